//! A well-behaved function of another vault, called all the time from a thread of its
//! own: how long its calls take while this thread attacks, and while it only computes.

use crate::support::{run, vault};
use perihelion::Value;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The thread that calls.
pub(super) struct Neighbour {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Raised whenever another measurement begins: a call that was under way then belongs
    /// to neither.
    phase: AtomicUsize,
    latencies: Mutex<Vec<Duration>>,
    has_ended: AtomicBool,
}

impl Neighbour {
    pub(super) fn start() -> Neighbour {
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let thread = std::thread::spawn(move || call_forever(&its));
        Neighbour {
            shared,
            thread: Some(thread),
        }
    }

    /// Its calls' durations while this thread works.
    pub(super) fn during<R>(&self, work: impl FnOnce() -> R) -> (Vec<Duration>, R) {
        self.begin_phase();
        let result = work();
        (self.begin_phase(), result)
    }

    /// Its calls' durations while this thread computes and touches nothing.
    pub(super) fn beside_computation(&self, time: Duration) -> Vec<Duration> {
        self.during(|| {
            let end = Instant::now() + time;
            let mut turns = 0_u64;
            while Instant::now() < end {
                for _ in 0..10_000 {
                    turns = black_box(turns.wrapping_mul(31).wrapping_add(7));
                }
            }
        })
        .0
    }

    fn begin_phase(&self) -> Vec<Duration> {
        let mut latencies = self.shared.latencies.lock().unwrap();
        self.shared.phase.fetch_add(1, SeqCst);
        std::mem::take(&mut latencies)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, SeqCst);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            std::thread::panicking() || matches!(ended, Some(Ok(()))),
            "a well-behaved function failed beside the attacks"
        );
    }
}

fn call_forever(shared: &Shared) {
    let mut session = vault().session().unwrap();
    // Its entries would be what the process needs ever more memory for.
    run(
        &mut session,
        "CREATE FUNCTION modest(n BIGINT) RETURNS BIGINT LANGUAGE javascript
         AS $$ function modest(n) { return n + 1; } $$;
         CREATE SECURITY POLICY unrecorded AS (audit_logging: false);
         ALTER FUNCTION modest SET SECURITY POLICY unrecorded;",
    );
    while !shared.has_ended.load(SeqCst) {
        let phase = shared.phase.load(SeqCst);
        let begun = Instant::now();
        let result = session.call("modest", &[Value::Integer(20)]);
        let taken = begun.elapsed();
        assert_eq!(result.unwrap(), Value::Integer(21));
        let mut latencies = shared.latencies.lock().unwrap();
        if shared.phase.load(SeqCst) == phase {
            latencies.push(taken);
        }
    }
}

/// The one in the middle.
pub(super) fn median(latencies: &mut [Duration]) -> Duration {
    latencies.sort_unstable();
    latencies[latencies.len() / 2]
}
