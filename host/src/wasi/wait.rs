//! Waiting: timers, and `poll` on them. A guest that waits is not charged CPU time, and
//! ends by its wall time, or as soon as its function is disabled.

use super::answers::{READY, handle};
use super::filter::{self, Pass};
use super::{Arguments, table};
use crate::error::{Error, SqlState};
use crate::execution::Execution;
use crate::guard::Guard;
use crate::limits::HANDLES_MAX;
use crate::syscall::Syscall;
use std::time::{Duration, Instant};
use wasmtime::component::Val;
use wasmtime::{Result, StoreContextMut};

/// The number of the first timer; smaller ones are streams.
pub(super) const FIRST: u32 = READY + 1;

/// Between two looks at the meter: a disabled function must end within 10 ms.
const SLICE: Duration = Duration::from_millis(3);

/// Longer than any call lives.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The timers of an execution, by their number. There are no more of them than a guest
/// may have handles: it can lose a handle without dropping it.
#[derive(Default)]
pub(crate) struct Timers(Vec<Option<Instant>>);

impl Timers {
    /// Forgets a timer whose handle is gone. Any other handle's number is none.
    pub(super) fn remove(&mut self, number: u32) {
        if let Some(timer) = number
            .checked_sub(FIRST)
            .and_then(|index| self.0.get_mut(index as usize))
        {
            *timer = None;
        }
    }

    /// The number of a new timer; None if there are too many.
    fn add(&mut self, until: Instant, most: usize) -> Option<u32> {
        let free = self.0.iter().position(Option::is_none);
        let index = free.unwrap_or(self.0.len());
        match self.0.get_mut(index) {
            Some(timer) => *timer = Some(until),
            None if index < most => self.0.push(Some(until)),
            None => return None,
        }
        Some(FIRST + index as u32)
    }

    fn get(&self, number: u32) -> Option<Instant> {
        let index = number.checked_sub(FIRST)?;
        *self.0.get(index as usize)?
    }
}

pub(super) fn subscribe_duration(
    store: &mut StoreContextMut<'_, Execution>,
    arguments: &Arguments<'_>,
    _: &Pass,
) -> Result<Option<Val>> {
    subscribe(store, nanoseconds(arguments))
}

pub(super) fn subscribe_instant(
    store: &mut StoreContextMut<'_, Execution>,
    arguments: &Arguments<'_>,
    pass: &Pass,
) -> Result<Option<Val>> {
    let now_ns = pass.now_us().saturating_mul(1_000);
    subscribe(store, nanoseconds(arguments).saturating_sub(now_ns))
}

/// `pollable.ready`
pub(super) fn is_ready(
    store: &mut StoreContextMut<'_, Execution>,
    arguments: &Arguments<'_>,
) -> Result<Option<Val>> {
    let timers = timers(store.data_mut(), &arguments.handles)?;
    let now = Instant::now();
    Ok(Some(Val::Bool(
        timers.iter().all(|timer| *timer <= Some(now)),
    )))
}

/// `pollable.block`
pub(super) fn block(
    store: &mut StoreContextMut<'_, Execution>,
    arguments: &Arguments<'_>,
) -> Result<Option<Val>> {
    let timers = timers(store.data_mut(), &arguments.handles)?;
    wait_for_one(store.data(), &timers)?;
    Ok(None)
}

/// `poll`: the places of those that are ready, once one is.
pub(super) fn poll(
    store: &mut StoreContextMut<'_, Execution>,
    arguments: &Arguments<'_>,
) -> Result<Option<Val>> {
    let timers = timers(store.data_mut(), &arguments.handles)?;
    let now = wait_for_one(store.data(), &timers)?;
    let ready = (0..).zip(&timers).filter(|(_, timer)| **timer <= Some(now));
    Ok(Some(Val::List(
        ready.map(|(place, _)| Val::U32(place)).collect(),
    )))
}

fn nanoseconds(arguments: &Arguments<'_>) -> u64 {
    match arguments.values {
        [Val::U64(nanoseconds)] => *nanoseconds,
        _ => 0,
    }
}

fn subscribe(store: &mut StoreContextMut<'_, Execution>, ns: u64) -> Result<Option<Val>> {
    let until = Instant::now() + Duration::from_nanos(ns).min(LONGEST);
    let execution = store.data_mut();
    let most = execution
        .meter
        .guards
        .bound(Guard::Timers, HANDLES_MAX, usize::MAX);
    match execution.timers.add(until, most) {
        Some(number) => handle(store, number),
        None => Err(execution.fault(too_many(&execution.function.name))),
    }
}

fn too_many(function: &str) -> Error {
    Error::new(
        SqlState::GUEST_EXCEPTION,
        format!("function \"{function}\" failed: it has more than {HANDLES_MAX} timers"),
    )
}

/// The timers behind these handles; None for what is always ready. Waiting for a timer is
/// a system call, waiting for a stream is not.
fn timers(execution: &mut Execution, handles: &[u32]) -> Result<Vec<Option<Instant>>> {
    let timers: Vec<_> = handles.iter().map(|n| execution.timers.get(*n)).collect();
    if timers.iter().any(Option::is_some) {
        let missing = || Error::internal("poll_oneoff is not in the table");
        let row = table::row(Syscall::PollOneoff);
        let function = row.and_then(|row| Some((row, row.functions.first()?)));
        let (row, function) = function.ok_or_else(|| execution.fault(missing()))?;
        if let Err(refused) = filter::pass(execution, row, function)? {
            return Err(refused.end_call(execution));
        }
    }
    Ok(timers)
}

/// Sleeps until the first of them is ready, and says when that was.
fn wait_for_one(execution: &Execution, timers: &[Option<Instant>]) -> Result<Instant> {
    let first = timers.iter().copied().min().flatten();
    loop {
        if execution.meter.guards.holds(Guard::WaitClock) {
            let checked = execution.meter.check();
            checked.map_err(|stop| execution.stop(stop))?;
        }
        let now = Instant::now();
        let left = first.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        if left.is_zero() {
            return Ok(now);
        }
        std::thread::sleep(left.min(SLICE));
    }
}
