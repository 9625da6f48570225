//! The counters. They know no catalog, no log and no clock, so that a model checker can
//! run them in every order: `model.rs`.

use super::sync::{AtomicBool, AtomicU64, Mutex, Ordering, PoisonError};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The refused system call that disables a function.
pub(crate) const VIOLATIONS_MAX: u64 = 5;

/// The denial that refuses a function to its caller, if all came within the window.
pub(crate) const DENIALS_MAX: usize = 5;

/// Within which denials count together, and how long the caller is then refused.
pub(crate) const DENIALS_WINDOW: Duration = Duration::from_secs(600);

/// The callers of one function whose denials are remembered.
pub(super) const CALLERS_MAX: usize = 1_024;

/// Whether a function may run, and what counts against that. Its executions look at it
/// while they run; once it is off it stays off, and enabling a function gives it
/// another one.
#[derive(Debug)]
pub(crate) struct Switch {
    on: AtomicBool,
    violations: AtomicU64,
    /// Whether there may be a caller below: without one, no call takes the lock.
    has_denials: AtomicBool,
    callers: Mutex<HashMap<Box<str>, Denials>>,
}

/// What a refused system call came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Counted {
    /// How many there are now.
    pub(crate) violations: u64,
    /// Whether it is the one that disables the function.
    pub(crate) disables: bool,
}

/// The denials of one caller.
#[derive(Default, Debug)]
struct Denials {
    /// Those that still count, oldest first.
    times: VecDeque<Instant>,
    refused_until: Option<Instant>,
}

impl Switch {
    pub(crate) fn new(on: bool) -> Arc<Switch> {
        Switch::with_violations(on, 0)
    }

    pub(crate) fn with_violations(on: bool, violations: u64) -> Arc<Switch> {
        Arc::new(Switch {
            on: AtomicBool::new(on),
            violations: AtomicU64::new(violations),
            has_denials: AtomicBool::new(false),
            callers: Mutex::new(HashMap::new()),
        })
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    pub(crate) fn turn_off(&self) {
        self.on.store(false, Ordering::Release);
    }

    pub(crate) fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }

    /// Counts a refused system call. `changes` is what only one thread can have, so that
    /// no count is lost; `store` makes it durable before anybody can see it.
    pub(crate) fn count<C, E>(
        &self,
        changes: &mut C,
        store: impl FnOnce(&mut C, Counted) -> Result<(), E>,
    ) -> Result<Counted, E> {
        let violations = self.violations().saturating_add(1);
        let counted = Counted {
            violations,
            disables: self.is_on() && violations >= VIOLATIONS_MAX,
        };
        store(changes, counted)?;
        self.violations.store(violations, Ordering::Relaxed);
        if counted.disables {
            self.turn_off();
        }
        Ok(counted)
    }

    /// Forgets all that counts. `_changes` is as in `count`.
    pub(crate) fn reset<C>(&self, _changes: &mut C) {
        self.violations.store(0, Ordering::Relaxed);
        self.forget_denials();
    }

    /// Forgets the denials of every caller: somebody who may grant has looked at the
    /// function.
    pub(crate) fn forget_denials(&self) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.clear();
        self.has_denials.store(false, Ordering::Release);
    }

    /// Counts a denial. Says for how long the function is refused to the caller, if this
    /// is the denial that does it.
    pub(crate) fn denied(&self, caller: &str, now: Instant) -> Option<Duration> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        self.has_denials.store(true, Ordering::Release);
        if callers.len() >= CALLERS_MAX && !callers.contains_key(caller) {
            forget_one(&mut callers, now);
        }
        callers.entry(caller.into()).or_default().add(now)
    }

    /// Whether the function may be refused to somebody. Most are to nobody, and need no
    /// look at the clock.
    pub(crate) fn has_denials(&self) -> bool {
        self.has_denials.load(Ordering::Acquire)
    }

    /// For how long the function is still refused to the caller, if it is.
    pub(crate) fn refused_for(&self, caller: &str, now: Instant) -> Option<Duration> {
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.get(caller)?.refused_for(now)
    }

    /// How many callers are remembered.
    #[cfg(test)]
    pub(super) fn callers(&self) -> usize {
        let callers = self.callers.lock();
        callers.unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Denials {
    fn refused_for(&self, now: Instant) -> Option<Duration> {
        let left = self.refused_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Calls that were under way when the caller was refused prolong nothing.
    fn add(&mut self, now: Instant) -> Option<Duration> {
        if self.refused_for(now).is_some() {
            return None;
        }
        self.times
            .retain(|time| now.saturating_duration_since(*time) <= DENIALS_WINDOW);
        self.times.push_back(now);
        if self.times.len() < DENIALS_MAX {
            return None;
        }
        self.times.clear();
        self.refused_until = now.checked_add(DENIALS_WINDOW);
        Some(DENIALS_WINDOW)
    }
}

/// Makes room: first whoever is not refused and was denied longest ago.
fn forget_one(callers: &mut HashMap<Box<str>, Denials>, now: Instant) {
    let oldest = callers
        .iter()
        .min_by_key(|(_, denials)| (denials.refused_for(now), denials.times.back().copied()))
        .map(|(caller, _)| caller.clone());
    if let Some(caller) = oldest {
        callers.remove(&caller);
    }
}
