//! Who may run next: the places for calls, of which the engine's pool has a fixed number,
//! and the memory that all calls may hold together.
//!
//! A call takes a place and as many bytes as it can come to hold at most, so that no
//! calls that run can need more than there is. It waits for both until its deadline,
//! instead of failing at once. The vaults take turns: what is free goes to the waiting
//! vault that has the least, and no vault can have all of it. Small calls may overtake a
//! large one that does not fit yet, but only so often: then what comes free is kept for
//! it. A function that runs within a call that has a place (another one of the same SQL
//! statement) never waits, or two calls could wait for each other for ever: for those
//! there are places and memory of their own.

mod amount;
#[cfg(test)]
mod tests;

use crate::error::{Error, Result, SqlState};
use crate::function::Function;
use crate::guard::{Guard, Guards};
use crate::limits::{Limit, MEMORY_BUDGET_BYTES, MEMORY_BUDGET_BYTES_MAX, quantity};
use amount::{Amount, Room};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The memory that all calls of a runtime may hold together, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget(pub(crate) u64);

/// The places of one runtime, and its memory for calls.
pub(crate) struct Admission {
    guards: Guards,
    all: Amount,
    free: Room,
    /// Of functions that run within a call.
    free_nested: Room,
    /// How many wait: only if nobody does, a place may be taken without the lock.
    waiting: AtomicU32,
    queues: Mutex<Vec<Queue>>,
}

/// A vault's share of what there is: what its calls have.
pub(crate) struct Share {
    running: Room,
}

/// Those who wait for places of one vault, in order.
struct Queue {
    share: Arc<Share>,
    waiters: VecDeque<Arc<Waiter>>,
}

struct Waiter {
    needs: Amount,
    /// Both are changed under the lock of the queues only.
    has_place: std::sync::atomic::AtomicBool,
    overtaken: AtomicU32,
    woken: Condvar,
}

/// Why a call must wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Blocked {
    /// All places are taken.
    Places,
    /// Less memory is free than it needs.
    Memory,
    /// Its vault has as many places as one may have.
    VaultPlaces,
    /// Its vault has too much of the memory already.
    VaultMemory,
}

/// A place and its memory, which are given back when this is dropped.
pub(crate) struct Place {
    admission: Arc<Admission>,
    has: Has,
    /// Counts what its session holds.
    held: Arc<AtomicU32>,
}

/// Where a place's parts are from.
enum Has {
    Own(Arc<Share>, Amount),
    /// Of what there is for functions within calls.
    Nested(Amount),
    /// A place of those, and memory that no other call has asked for.
    NestedInFree(Amount),
}

/// How many smaller calls may run before one that does not fit yet: then what comes free
/// is kept for it.
const OVERTAKEN_MAX: u32 = 32;

impl Default for Budget {
    fn default() -> Budget {
        Budget(MEMORY_BUDGET_BYTES)
    }
}

impl Admission {
    /// As many places for calls, and as many nested ones. A quarter of the memory is for
    /// the nested ones.
    pub(crate) fn new(places: u32, budget: Budget, guards: Guards) -> Arc<Admission> {
        let nested = budget.0 / 4;
        let all = Amount::new(places, budget.0 - nested);
        let bytes = |bytes| guards.bound(Guard::MemoryBudget, bytes, MEMORY_BUDGET_BYTES_MAX);
        let free = guards.bound(Guard::Places, places, Amount::PLACES_MANY);
        let free_nested = guards.bound(Guard::NestedPlaces, places, Amount::PLACES_MANY);
        Arc::new(Admission {
            guards,
            all,
            free: Room::of(Amount::new(free, bytes(all.bytes()))),
            free_nested: Room::of(Amount::new(free_nested, bytes(nested))),
            waiting: AtomicU32::new(0),
            queues: Mutex::default(),
        })
    }

    /// The same for calls of at least so many bytes, if the budget can be one.
    pub(crate) fn checked(
        places: u32,
        budget: Budget,
        least: u64,
        guards: Guards,
    ) -> Result<Arc<Admission>> {
        let admission = Admission::new(places, budget, guards);
        let fits = budget.0 <= MEMORY_BUDGET_BYTES_MAX && admission.all.bytes() >= least;
        match fits {
            true => Ok(admission),
            false => Err(bad_budget(budget, least)),
        }
    }

    /// A place for a call that holds at most so many bytes, as soon as there is one. None
    /// if there is none in time.
    pub(crate) fn enter(
        self: &Arc<Self>,
        share: &Arc<Share>,
        bytes: u64,
        held: &Arc<AtomicU32>,
        patience: Duration,
    ) -> Option<Place> {
        let needs = Amount::new(1, bytes);
        let has_place = self.waiting.load(SeqCst) == 0 && self.try_take(share, needs).is_ok();
        (has_place || self.wait(share, needs, patience))
            .then(|| self.place(Has::Own(Arc::clone(share), needs), held))
    }

    /// A place for a function that runs within a call. Never waits.
    pub(crate) fn enter_nested(
        self: &Arc<Self>,
        bytes: u64,
        held: &Arc<AtomicU32>,
    ) -> Option<Place> {
        let (place, memory) = (Amount::new(1, 0), Amount::new(0, bytes));
        if self.waiting.load(SeqCst) == 0 && self.free.take(memory) {
            let has = Has::NestedInFree(memory);
            if self.free_nested.take(place) {
                return Some(self.place(has, held));
            }
            self.give_back(memory);
            return None;
        }
        let needs = place.and(memory);
        let taken = self.free_nested.take(needs);
        taken.then(|| self.place(Has::Nested(needs), held))
    }

    /// The error of a call that could not even run alone, if it could not.
    pub(crate) fn check(&self, function: &Function) -> Result<()> {
        let needs = function.call_bytes();
        match needs <= self.all.bytes() || !self.guards.holds(Guard::MemoryBudget) {
            true => Ok(()),
            false => Err(never_fits(function, needs, self.all.bytes())),
        }
    }

    /// The error of a call that found no place in time.
    pub(crate) fn no_place(&self, function: &Function) -> Error {
        let message = format!(
            "{} \"{}\" found no free place in {} s",
            function.kind.noun(),
            function.name,
            function.limits.wall_time().as_secs_f64()
        );
        Error::new(SqlState::TOO_MANY, message).with_detail(format!(
            "at most {} calls run at once, which may hold {} together; the others wait, as long \
             as they might run",
            self.all.places(),
            amount(self.all.bytes()),
        ))
    }

    fn place(self: &Arc<Self>, has: Has, held: &Arc<AtomicU32>) -> Place {
        held.fetch_add(1, SeqCst);
        Place {
            admission: Arc::clone(self),
            has,
            held: Arc::clone(held),
        }
    }

    fn try_take(&self, share: &Share, needs: Amount) -> Result<(), Blocked> {
        share.take(needs, self.all, self.guards)?;
        if self.free.take(needs) {
            return Ok(());
        }
        share.give_back(needs);
        match self.free.now().places() {
            0 => Err(Blocked::Places),
            _ => Err(Blocked::Memory),
        }
    }

    fn wait(&self, share: &Arc<Share>, needs: Amount, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut queues = self.lock();
        // Said before the last look: whoever leaves after it sees that somebody waits.
        self.waiting.fetch_add(1, SeqCst);
        let waiter = Waiter::new(needs);
        queue_of(&mut queues, share).push_back(Arc::clone(&waiter));
        self.give_places(&mut queues);
        while !waiter.has_place.load(SeqCst) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                queue_of(&mut queues, share).retain(|other| !Arc::ptr_eq(other, &waiter));
                // What was kept for it may be enough for others.
                self.give_places(&mut queues);
                break;
            }
            let woken = waiter.woken.wait_timeout(queues, left);
            queues = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.waiting.fetch_sub(1, SeqCst);
        queues.retain(|queue| !queue.waiters.is_empty());
        waiter.has_place.load(SeqCst)
    }

    fn give_back(&self, amount: Amount) {
        self.free.give(amount);
        if self.waiting.load(SeqCst) > 0 {
            let mut queues = self.lock();
            self.give_places(&mut queues);
        }
    }

    /// Gives what is free to those who wait.
    fn give_places(&self, queues: &mut [Queue]) {
        while let Some((queue, index)) = self.next(queues) {
            if let Some(waiter) = queues[queue].waiters.remove(index) {
                waiter.has_place.store(true, SeqCst);
                waiter.woken.notify_one();
            }
        }
    }

    /// Who is next, by queue and place in it, with what it needs taken for it: of the
    /// vault that has the least, the first that fits.
    fn next(&self, queues: &[Queue]) -> Option<(usize, usize)> {
        let mut order: Vec<(f64, usize)> = queues
            .iter()
            .enumerate()
            .filter(|(_, queue)| !queue.waiters.is_empty())
            .map(|(number, queue)| (queue.share.running.now().part_of(self.all), number))
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut too_large: Vec<&Waiter> = Vec::new();
        for (_, number) in order {
            let Queue { share, waiters } = &queues[number];
            let first = waiters.front()?;
            let blocked = match self.try_take(share, first.needs) {
                Ok(()) => {
                    too_large.iter().for_each(|waiter| waiter.is_overtaken());
                    return Some((number, 0));
                }
                Err(blocked) => blocked,
            };
            match blocked {
                Blocked::Places => return None,
                Blocked::Memory if first.must_be_next() => return None,
                Blocked::VaultMemory if first.must_be_next() => continue,
                Blocked::VaultPlaces => continue,
                Blocked::Memory => too_large.push(first),
                Blocked::VaultMemory => {}
            }
            let smaller = waiters.iter().enumerate().skip(1);
            let mut smaller =
                smaller.filter(|(_, waiter)| waiter.needs.bytes() < first.needs.bytes());
            let fits = smaller.find(|(_, waiter)| self.try_take(share, waiter.needs).is_ok());
            if let Some((index, _)) = fits {
                if blocked == Blocked::VaultMemory {
                    first.is_overtaken();
                }
                too_large.iter().for_each(|waiter| waiter.is_overtaken());
                return Some((number, index));
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    pub(crate) fn new() -> Arc<Share> {
        Arc::new(Share {
            running: Room::of(Amount::NONE),
        })
    }

    /// Counts what the vault takes, if it may: some of everything is always left for
    /// another. One call of a vault runs, whatever it needs.
    fn take(&self, needs: Amount, all: Amount, guards: Guards) -> Result<(), Blocked> {
        let most = Amount::new(
            places_of_one_vault(all.places()),
            all.bytes() - all.bytes() / 4,
        );
        let fits = |sum, running| {
            running == Amount::NONE || most.covers(sum) || !guards.holds(Guard::VaultShare)
        };
        let taken = self.running.add_if(needs, fits);
        let blocked = |running: Amount| match running.places() < most.places() {
            true => Blocked::VaultMemory,
            false => Blocked::VaultPlaces,
        };
        taken.map_err(blocked)
    }

    fn give_back(&self, amount: Amount) {
        self.running.remove(amount);
    }
}

impl Waiter {
    fn new(needs: Amount) -> Arc<Waiter> {
        Arc::new(Waiter {
            needs,
            has_place: false.into(),
            overtaken: AtomicU32::new(0),
            woken: Condvar::new(),
        })
    }

    fn is_overtaken(&self) {
        self.overtaken.fetch_add(1, SeqCst);
    }

    fn must_be_next(&self) -> bool {
        self.overtaken.load(SeqCst) >= OVERTAKEN_MAX
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.held.fetch_sub(1, SeqCst);
        match &self.has {
            Has::Own(share, amount) => {
                share.give_back(*amount);
                self.admission.give_back(*amount);
            }
            Has::Nested(amount) => self.admission.free_nested.give(*amount),
            Has::NestedInFree(memory) => {
                self.admission.free_nested.give(Amount::new(1, 0));
                self.admission.give_back(*memory);
            }
        }
    }
}

/// How many of the places may be one vault's: some are always left for another.
pub(crate) const fn places_of_one_vault(places: u32) -> u32 {
    places - places / 4
}

fn amount(bytes: u64) -> String {
    quantity(Limit::Memory, bytes)
}

fn bad_budget(Budget(bytes): Budget, least: u64) -> Error {
    // A quarter is for functions within calls.
    let least = least * 4 / 3;
    let message = format!("{} cannot be the memory of all calls", amount(bytes));
    Error::new(SqlState::INVALID_VALUE, message).with_detail(format!(
        "it is from {} to {}",
        amount(least),
        amount(MEMORY_BUDGET_BYTES_MAX)
    ))
}

fn never_fits(function: &Function, needs: u64, all: u64) -> Error {
    let message = format!(
        "{} \"{}\" may come to hold {}, more than all calls may together",
        function.kind.noun(),
        function.name,
        amount(needs)
    );
    Error::new(SqlState::OUT_OF_MEMORY, message)
        .with_detail(format!(
            "all calls may hold {}; of this function's, {} are its memory limit",
            amount(all),
            amount(function.limits.memory_bytes)
        ))
        .with_hint("lower its max_memory_bytes, or give the host a larger memory budget")
}

fn queue_of<'q>(queues: &'q mut Vec<Queue>, share: &Arc<Share>) -> &'q mut VecDeque<Arc<Waiter>> {
    let known = queues
        .iter()
        .position(|queue| Arc::ptr_eq(&queue.share, share));
    let index = known.unwrap_or_else(|| {
        queues.push(Queue {
            share: Arc::clone(share),
            waiters: VecDeque::new(),
        });
        queues.len() - 1
    });
    &mut queues[index].waiters
}
