//! Who may run next: the places for calls, of which the engine's pool has a fixed number.
//!
//! A call waits for a place until its deadline, instead of failing at once. The vaults
//! take turns: a free place goes to the waiting vault that has the fewest, and no vault
//! can have them all. A function that runs within a call that has a place (another one of
//! the same SQL statement) never waits, or two calls could wait for each other for ever:
//! for those there are places of their own.

use crate::guard::{Guard, Guards};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The places of one runtime.
pub(crate) struct Admission {
    guards: Guards,
    places: u32,
    free: AtomicU32,
    free_nested: AtomicU32,
    /// How many wait: only if nobody does, a place may be taken without the lock.
    waiting: AtomicU32,
    queues: Mutex<Vec<Queue>>,
}

/// A vault's share of the places.
pub(crate) struct Share {
    running: AtomicU32,
}

/// Those who wait for places of one vault, in order.
struct Queue {
    share: Arc<Share>,
    waiters: VecDeque<Arc<Waiter>>,
}

#[derive(Default)]
struct Waiter {
    /// Changed under the lock of the queues only.
    has_place: std::sync::atomic::AtomicBool,
    woken: Condvar,
}

/// A place, which is given back when this is dropped.
pub(crate) struct Place {
    admission: Arc<Admission>,
    /// None for a nested one.
    share: Option<Arc<Share>>,
    /// Counts what its session holds.
    held: Arc<AtomicU32>,
}

impl Admission {
    /// As many places for calls, and as many nested ones.
    pub(crate) fn new(places: u32, guards: Guards) -> Arc<Admission> {
        // So many that none is ever missing, and some more can be given back.
        let many = u32::MAX / 2;
        Arc::new(Admission {
            guards,
            places,
            free: AtomicU32::new(guards.bound(Guard::Places, places, many)),
            free_nested: AtomicU32::new(guards.bound(Guard::NestedPlaces, places, many)),
            waiting: AtomicU32::new(0),
            queues: Mutex::default(),
        })
    }

    /// How many calls run at once.
    pub(crate) fn places(&self) -> u32 {
        self.places
    }

    /// A place for a call, as soon as there is one. None if there is none in time.
    pub(crate) fn enter(
        self: &Arc<Self>,
        share: &Arc<Share>,
        held: &Arc<AtomicU32>,
        patience: Duration,
    ) -> Option<Place> {
        let has_place = self.waiting.load(SeqCst) == 0 && self.try_take(share);
        (has_place || self.wait(share, patience)).then(|| self.place(Some(share), held))
    }

    /// A place for a function that runs within a call. Never waits.
    pub(crate) fn enter_nested(self: &Arc<Self>, held: &Arc<AtomicU32>) -> Option<Place> {
        take(&self.free_nested).then(|| self.place(None, held))
    }

    fn place(self: &Arc<Self>, share: Option<&Arc<Share>>, held: &Arc<AtomicU32>) -> Place {
        held.fetch_add(1, SeqCst);
        Place {
            admission: Arc::clone(self),
            share: share.cloned(),
            held: Arc::clone(held),
        }
    }

    fn try_take(&self, share: &Share) -> bool {
        let limit = places_of_one_vault(self.places);
        let limit = self.guards.bound(Guard::VaultShare, limit, u32::MAX);
        let counted = share
            .running
            .fetch_update(SeqCst, SeqCst, |n| (n < limit).then_some(n + 1));
        if counted.is_err() {
            return false;
        }
        let taken = take(&self.free);
        if !taken {
            share.running.fetch_sub(1, SeqCst);
        }
        taken
    }

    fn wait(&self, share: &Arc<Share>, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut queues = self.lock();
        // Said before the last look: whoever leaves after it sees that somebody waits.
        self.waiting.fetch_add(1, SeqCst);
        let waiter = Arc::new(Waiter::default());
        queue_of(&mut queues, share).push_back(Arc::clone(&waiter));
        self.give_places(&mut queues);
        while !waiter.has_place.load(SeqCst) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                queue_of(&mut queues, share).retain(|other| !Arc::ptr_eq(other, &waiter));
                break;
            }
            let woken = waiter.woken.wait_timeout(queues, left);
            queues = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.waiting.fetch_sub(1, SeqCst);
        queues.retain(|queue| !queue.waiters.is_empty());
        waiter.has_place.load(SeqCst)
    }

    /// Gives what is free to those who wait: first to the vault that has the fewest.
    fn give_places(&self, queues: &mut [Queue]) {
        loop {
            let mut waiting: Vec<&mut Queue> = queues
                .iter_mut()
                .filter(|q| !q.waiters.is_empty())
                .collect();
            waiting.sort_by_key(|queue| queue.share.running.load(SeqCst));
            let Some(queue) = waiting
                .into_iter()
                .find(|queue| self.try_take(&queue.share))
            else {
                return;
            };
            if let Some(waiter) = queue.waiters.pop_front() {
                waiter.has_place.store(true, SeqCst);
                waiter.woken.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    pub(crate) fn new() -> Arc<Share> {
        Arc::new(Share {
            running: AtomicU32::new(0),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.held.fetch_sub(1, SeqCst);
        let Some(share) = &self.share else {
            self.admission.free_nested.fetch_add(1, SeqCst);
            return;
        };
        share.running.fetch_sub(1, SeqCst);
        self.admission.free.fetch_add(1, SeqCst);
        if self.admission.waiting.load(SeqCst) > 0 {
            let mut queues = self.admission.lock();
            self.admission.give_places(&mut queues);
        }
    }
}

/// How many of the places may be one vault's: some are always left for another.
pub(crate) const fn places_of_one_vault(places: u32) -> u32 {
    places - places / 4
}

/// Takes one of what is left, if something is.
fn take(left: &AtomicU32) -> bool {
    left.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1))
        .is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::thread;

    fn enter(admission: &Arc<Admission>, share: &Arc<Share>, patience: Duration) -> Option<Place> {
        admission.enter(share, &Arc::default(), patience)
    }

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn without_a_free_place_a_call_waits_until_its_deadline() {
        let admission = Admission::new(1, Guards::default());
        let share = Share::new();
        let place = enter(&admission, &share, SOON).unwrap();
        let begun = Instant::now();
        assert!(enter(&admission, &share, SOON).is_none());
        assert!(begun.elapsed() >= SOON);
        drop(place);
        assert!(enter(&admission, &share, SOON).is_some());
    }

    #[test]
    fn a_place_that_comes_free_goes_to_who_waits() {
        let admission = Admission::new(1, Guards::default());
        let share = Share::new();
        let place = enter(&admission, &share, SOON).unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| enter(&admission, &share, LONG).is_some());
            while admission.waiting.load(SeqCst) == 0 {
                thread::yield_now();
            }
            drop(place);
            assert!(waiter.join().unwrap());
        });
    }

    #[test]
    fn no_vault_has_all_places_and_a_nested_one_never_waits() {
        let admission = Admission::new(4, Guards::default());
        let (greedy, modest) = (Share::new(), Share::new());
        let held: Vec<_> = (0..3)
            .map(|_| enter(&admission, &greedy, SOON).unwrap())
            .collect();
        assert!(enter(&admission, &greedy, SOON).is_none());
        assert!(enter(&admission, &modest, SOON).is_some());
        let nested: Vec<_> = (0..4)
            .map(|_| admission.enter_nested(&Arc::default()).unwrap())
            .collect();
        assert!(admission.enter_nested(&Arc::default()).is_none());
        drop((held, nested));
        assert!(admission.enter_nested(&Arc::default()).is_some());
    }

    /// One vault floods; another asks for one place at a time, and always gets it soon.
    #[test]
    fn a_busy_vault_does_not_starve_another() {
        let admission = Admission::new(2, Guards::default());
        let (busy, quiet) = (Share::new(), Share::new());
        let worst = thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let place = enter(&admission, &busy, LONG).unwrap();
                        thread::sleep(Duration::from_millis(1));
                        drop(place);
                    }
                });
            }
            let mut worst = Duration::ZERO;
            for _ in 0..50 {
                let begun = Instant::now();
                drop(enter(&admission, &quiet, LONG).unwrap());
                worst = worst.max(begun.elapsed());
                thread::sleep(Duration::from_millis(1));
            }
            worst
        });
        // Behind eight others in one queue it would wait for four of their turns or more.
        assert!(worst < Duration::from_millis(100), "{worst:?}");
        assert_eq!(admission.free.load(SeqCst), 2);
    }

    #[test]
    fn there_are_never_more_calls_than_places() {
        let admission = Admission::new(3, Guards::default());
        let shares = [Share::new(), Share::new(), Share::new()];
        let (running, most) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for number in 0..12 {
                let share = &shares[number % 3];
                let (admission, running, most) = (&admission, &running, &most);
                scope.spawn(move || {
                    for _ in 0..2_000 {
                        let place = enter(admission, share, LONG).unwrap();
                        most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                        running.fetch_sub(1, SeqCst);
                        drop(place);
                    }
                });
            }
        });
        assert!(most.load(SeqCst) <= 3);
        assert_eq!(admission.free.load(SeqCst), 3);
        assert!(shares.iter().all(|share| share.running.load(SeqCst) == 0));
    }
}
