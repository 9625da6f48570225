//! What a call has used, and whether it has reached a limit.

use crate::database::memory::Account;
use crate::guard::{Guard, Guards};
use crate::limits::{Exceeded, Limit, Limits};
use crate::violations::Switch;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use wasmtime::ResourceLimiter;

/// The clocks of one execution. Shared with SQLite's callbacks, which look at it
/// while the guest waits for a statement.
pub(crate) struct Meter {
    pub(crate) guards: Guards,
    limits: Limits,
    /// Whether the function may still run.
    enabled: Arc<Switch>,
    /// The execution whose statement called this one's function, whose limits hold too.
    outer: Option<Arc<Meter>>,
    started: Instant,
    /// The thread's CPU clock at the start. Reading that clock takes a system call, so it
    /// is read at the first look: until then the guest has computed, for a fifth of a
    /// millisecond at most, and the time on the clock, which bounds it, stands for it.
    cpu_started: OnceLock<Duration>,
    /// Before this time on the clock the CPU time cannot have reached its limit: a
    /// thread's CPU clock is never faster.
    cpu_look_at_ns: AtomicU64,
    ended: Mutex<Option<Stop>>,
    /// What SQLite holds for the execution.
    pub(crate) database: Account,
}

/// Why an execution must end, whatever its guest does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    Limit(Exceeded),
    /// The function was disabled or dropped.
    Disabled,
}

/// What an execution cost.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Cost {
    /// WebAssembly instructions, as wasmtime's fuel counts them.
    pub(crate) instructions: u64,
    /// CPU time of the thread, guest and host work.
    pub(crate) cpu_time: Duration,
    /// Time on the clock.
    pub(crate) wall_time: Duration,
    /// The most that memories and tables had together.
    pub(crate) memory_bytes_peak: u64,
    /// Calls of host functions.
    pub(crate) host_calls: u64,
    /// What they carried of texts and rows, in bytes.
    pub(crate) host_bytes: u64,
    /// The rows among that.
    pub(crate) rows: u64,
    /// Its entries in the audit log until now.
    pub(crate) audit_entries: u64,
}

impl Meter {
    /// Starts the clocks. Must be called on the thread that runs the call.
    pub(crate) fn start(limits: Limits, enabled: Arc<Switch>, guards: Guards) -> Meter {
        Meter {
            guards,
            enabled,
            outer: None,
            started: Instant::now(),
            cpu_started: OnceLock::new(),
            cpu_look_at_ns: AtomicU64::new(nanoseconds(limits.cpu_time())),
            ended: Mutex::new(None),
            limits,
            database: Account::default(),
        }
    }

    /// The same within an execution that waits for it.
    pub(crate) fn within(self, outer: Option<Arc<Meter>>) -> Meter {
        Meter { outer, ..self }
    }

    /// Looks at the clocks, and whether the function was disabled. What the statement
    /// around the call does on this thread counts too. What has ended stays ended.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        if let Some(stop) = self.ended() {
            return Err(stop);
        }
        if let Some(stop) = self.outer.as_ref().and_then(|outer| outer.check().err()) {
            return Err(self.end(stop));
        }
        if !self.enabled.is_on() && self.guards.holds(Guard::DisableSwitch) {
            return Err(self.end(Stop::Disabled));
        }
        let wall = self.started.elapsed();
        if wall >= self.limits.wall_time() && self.guards.holds(Guard::WallTime) {
            return Err(self.exceed(Limit::WallTime, self.limits.wall_time(), wall));
        }
        self.begin_cpu_time(wall);
        if nanoseconds(wall) < self.cpu_look_at_ns.load(Ordering::Relaxed) {
            return Ok(());
        }
        let cpu = self.cpu_time(wall);
        let left = self.limits.cpu_time().saturating_sub(cpu);
        if left.is_zero() && self.guards.holds(Guard::CpuTime) {
            return Err(self.exceed(Limit::CpuTime, self.limits.cpu_time(), cpu));
        }
        let look_at = nanoseconds(wall.saturating_add(left));
        self.cpu_look_at_ns.store(look_at, Ordering::Relaxed);
        Ok(())
    }

    /// Why it must end, if it must.
    pub(crate) fn ended(&self) -> Option<Stop> {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limit that was reached, if one was.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        match self.ended() {
            Some(Stop::Limit(exceeded)) => Some(exceeded),
            _ => None,
        }
    }

    /// Notes a limit that was reached elsewhere: by the fuel, the limiter, a query.
    pub(crate) fn note(&self, exceeded: Exceeded) {
        self.end(Stop::Limit(exceeded));
    }

    /// What was used of both clocks so far: wall time, and CPU time. A thread uses no more
    /// of the second than of the first, and what is short is not worth a system call.
    pub(crate) fn used(&self) -> (Duration, Duration) {
        let wall = self.started.elapsed();
        match wall < SHORT {
            true => (wall, wall),
            false => (wall, self.cpu_time(wall)),
        }
    }

    /// From now on the thread may wait, or work for somebody else.
    pub(crate) fn begin_waiting(&self) {
        if self.cpu_started.get().is_none() {
            self.begin_cpu_time(self.started.elapsed());
        }
    }

    fn begin_cpu_time(&self, wall: Duration) -> Duration {
        let begin = || thread_cpu_time().saturating_sub(wall);
        *self.cpu_started.get_or_init(begin)
    }

    fn cpu_time(&self, wall: Duration) -> Duration {
        thread_cpu_time().saturating_sub(self.begin_cpu_time(wall))
    }

    fn exceed(&self, limit: Limit, allowed: Duration, observed: Duration) -> Stop {
        self.end(Stop::Limit(Exceeded {
            limit,
            allowed: nanoseconds(allowed),
            observed: Some(nanoseconds(observed)),
        }))
    }

    /// Of several reasons the first one stays.
    fn end(&self, stop: Stop) -> Stop {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended.get_or_insert(stop)
    }
}

/// Below this the time on the clock stands for the CPU time, which it bounds.
const SHORT: Duration = Duration::from_micros(20);

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The sum of all memories and tables of one call.
///
/// A refusal is an error, not a failed `memory.grow`: a guest could catch that.
pub(crate) struct MemoryMeter {
    used_bytes: u64,
    peak_bytes: u64,
    bytes_max: u64,
}

/// What one table element costs the host.
const TABLE_ELEMENT_BYTES: u64 = 8;

impl MemoryMeter {
    pub(crate) fn new(bytes_max: u64, guards: Guards) -> MemoryMeter {
        MemoryMeter {
            used_bytes: 0,
            peak_bytes: 0,
            bytes_max: guards.bound(Guard::Memory, bytes_max, u64::MAX),
        }
    }

    pub(crate) fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }

    fn grow(&mut self, current: u64, desired: u64) -> wasmtime::Result<bool> {
        let used = self
            .used_bytes
            .saturating_add(desired.saturating_sub(current));
        if used > self.bytes_max {
            return Err(wasmtime::Error::new(Exceeded {
                limit: Limit::Memory,
                allowed: self.bytes_max,
                observed: Some(used),
            }));
        }
        self.used_bytes = used;
        self.peak_bytes = self.peak_bytes.max(used);
        Ok(true)
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current as u64, desired as u64)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(
            (current as u64).saturating_mul(TABLE_ELEMENT_BYTES),
            (desired as u64).saturating_mul(TABLE_ELEMENT_BYTES),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h12_all_memories_and_tables_count_together_to_the_byte() {
        let mut meter = MemoryMeter::new(100 * 65_536, Guards::default());
        assert!(meter.memory_growing(0, 60 * 65_536, None).unwrap());
        assert!(meter.memory_growing(0, 39 * 65_536, None).unwrap());
        assert!(meter.table_growing(0, 8_192, None).unwrap());
        assert_eq!(meter.peak_bytes(), 100 * 65_536);
        let refused = meter.table_growing(8_192, 8_193, None).unwrap_err();
        let exceeded = refused.downcast_ref::<Exceeded>().unwrap();
        assert_eq!(exceeded.limit, Limit::Memory);
        assert_eq!(exceeded.observed, Some(100 * 65_536 + 8));
    }
}
