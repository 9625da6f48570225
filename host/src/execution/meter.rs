//! What a call has used, and whether it has reached a limit.

use crate::limits::{Exceeded, Limit, Limits};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use wasmtime::ResourceLimiter;

/// The clocks of one execution. Shared with SQLite's callbacks, which look at it
/// while the guest waits for a statement.
pub(crate) struct Meter {
    limits: Limits,
    started: Instant,
    cpu_started: Duration,
    exceeded: Mutex<Option<Exceeded>>,
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
}

impl Meter {
    /// Starts the clocks. Must be called on the thread that runs the call.
    pub(crate) fn start(limits: Limits) -> Meter {
        Meter {
            limits,
            started: Instant::now(),
            cpu_started: thread_cpu_time(),
            exceeded: Mutex::new(None),
        }
    }

    /// Looks at the clocks. What the statement around the call does on this thread
    /// counts too. Once a limit is reached, it stays reached.
    pub(crate) fn check(&self) -> Result<(), Exceeded> {
        if let Some(exceeded) = self.exceeded() {
            return Err(exceeded);
        }
        let wall = self.started.elapsed();
        if wall >= self.limits.wall_time {
            return Err(self.exceed(Limit::WallTime, self.limits.wall_time, wall));
        }
        let cpu = self.cpu_time();
        if cpu >= self.limits.cpu_time {
            return Err(self.exceed(Limit::CpuTime, self.limits.cpu_time, cpu));
        }
        Ok(())
    }

    /// The limit that was reached, if one was.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        *self
            .exceeded
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Notes a limit that was reached elsewhere: by the fuel, the limiter, a query.
    pub(crate) fn note(&self, exceeded: Exceeded) {
        self.exceeded
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get_or_insert(exceeded);
    }

    pub(crate) fn wall_time(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn cpu_time(&self) -> Duration {
        thread_cpu_time().saturating_sub(self.cpu_started)
    }

    fn exceed(&self, limit: Limit, allowed: Duration, observed: Duration) -> Exceeded {
        let exceeded = Exceeded {
            limit,
            allowed: allowed.as_nanos() as u64,
            observed: Some(observed.as_nanos() as u64),
        };
        *self
            .exceeded
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(exceeded);
        exceeded
    }
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
    pub(crate) fn new(bytes_max: u64) -> MemoryMeter {
        MemoryMeter {
            used_bytes: 0,
            peak_bytes: 0,
            bytes_max,
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
        let mut meter = MemoryMeter::new(100 * 65_536);
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
