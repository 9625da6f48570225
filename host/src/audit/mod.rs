//! The audit log: entries in one gapless chain of hashes, in files that are only
//! ever appended to.
//!
//! [`Log`] gives entries their place in the chain and decides when they are safe;
//! `entry` is what they look like, `batch` how several are appended at once, `segment`,
//! `reader` and `writer` the files, `verify` the check of them, `table` the SQL view.
//! Which events are recorded, and how often, is not decided here. Nothing here signs:
//! a chain shows that what it holds was not changed, not who wrote it, nor that its
//! end is missing.

mod batch;
mod entry;
mod reader;
mod segment;
mod table;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub(crate) use batch::Batch;
pub(crate) use entry::{Entry, EventType, ExecutionId, Record};
pub(crate) use table::{register, timestamp_text};
pub use verify::Verified;
pub(crate) use verify::{Entries, verify};
pub(crate) use writer::now_microseconds;

use crate::error::Result;
use crate::guard::{Guard, Guards};
use segment::unwritable;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;
use verify::Snapshot;
use writer::Writer;

/// A segment ends when the next batch would make it longer.
const SEGMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long an entry that was written may wait for the sync that puts it on disk:
/// half of what is promised, which leaves the other half to the sync itself.
const SYNC_DELAY: Duration = Duration::from_millis(5);
/// How many delays without an entry pass before the syncing thread sleeps until it is
/// woken. Waking it costs the caller a system call, so a busy log should not have to.
const IDLE_DELAYS_MAX: u32 = 100;

/// When `append` returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Durability {
    /// Once the operating system has the entries: they survive the end of this
    /// process. They are on disk within 10 ms.
    Written,
    /// Once they are on disk.
    Synced,
}

/// An open log.
///
/// After any failure to write or to sync nobody knows what the files hold, so the
/// log takes no more entries until it is opened anew.
pub(crate) struct Log {
    shared: Arc<Shared>,
    syncer: Option<JoinHandle<()>>,
    opened_at: u64,
    executions: AtomicU64,
    pub(crate) guards: Guards,
}

/// What the log and its syncing thread share.
struct Shared {
    state: Mutex<State>,
    /// A sync has ended.
    synced: Condvar,
    /// The syncing thread has something to do.
    wake: Condvar,
}

struct State {
    writer: Writer,
    synced_seq: u64,
    sync_running: bool,
    #[cfg(test)]
    sync_count: u64,
    syncer_asleep: bool,
    closing: bool,
    /// Why the log takes no more entries.
    failure: Option<String>,
}

impl Log {
    /// Opens the log in a directory, which is made if it is missing; without one the
    /// log is kept in memory. Reads the last segment only, and removes from its end
    /// what a crash left of entries that were never acknowledged.
    pub(crate) fn open_guarded(directory: Option<&Path>, guards: Guards) -> Result<Arc<Log>> {
        Log::open_in(directory, SEGMENT_BYTES_MAX, guards)
    }

    #[cfg(test)]
    fn open(directory: Option<&Path>) -> Result<Arc<Log>> {
        Log::open_with(directory, SEGMENT_BYTES_MAX)
    }

    #[cfg(test)]
    fn open_with(directory: Option<&Path>, segment_bytes_max: u64) -> Result<Arc<Log>> {
        Log::open_in(directory, segment_bytes_max, Guards::default())
    }

    fn open_in(
        directory: Option<&Path>,
        segment_bytes_max: u64,
        guards: Guards,
    ) -> Result<Arc<Log>> {
        let writer = Writer::open(directory, segment_bytes_max, guards)?;
        let opened_at = writer.position().seq;
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(writer)),
            synced: Condvar::new(),
            wake: Condvar::new(),
        });
        let syncer = directory.map(|_| spawn_syncer(&shared)).transpose()?;
        Ok(Arc::new(Log {
            shared,
            syncer,
            opened_at,
            executions: AtomicU64::new(0),
            guards,
        }))
    }

    /// Appends the entries of a batch and says the seq of the last. The batch is empty
    /// afterwards. If this fails, the entries are not acknowledged, though they may
    /// be in the log, and the log takes no more.
    pub(crate) fn append(&self, batch: &mut Batch, durability: Durability) -> Result<u64> {
        if !self.guards.holds(Guard::AuditLog) {
            batch.clear();
            return Ok(0);
        }
        let mut state = self.shared.lock()?;
        state.append(batch)?;
        let seq = state.writer.position().seq;
        match durability {
            Durability::Written => {
                if std::mem::take(&mut state.syncer_asleep) {
                    drop(state);
                    self.shared.wake.notify_one();
                }
            }
            Durability::Synced => self.shared.sync_until(state, seq)?,
        }
        Ok(seq)
    }

    /// An id that no other execution in this log has or had.
    pub(crate) fn next_execution_id(&self) -> ExecutionId {
        let number = self.executions.fetch_add(1, Ordering::Relaxed) + 1;
        ExecutionId {
            opened_at: self.opened_at,
            number,
        }
    }

    /// The entries from `from_seq` on that have been appended when this is called.
    /// Each is checked against the one before.
    pub(crate) fn entries(&self, from_seq: u64) -> Result<Entries> {
        Ok(self.snapshot()?.entries(from_seq))
    }

    /// Recomputes the whole chain as it is now.
    pub(crate) fn verify(&self) -> Result<Verified> {
        self.snapshot()?.verify()
    }

    /// The number of entries and the last one's hash, as the log remembers them.
    #[cfg(test)]
    fn head(&self) -> Result<Verified> {
        let position = self.shared.lock()?.writer.position();
        Ok(Verified {
            entries: position.seq,
            head: position.hash,
        })
    }

    fn snapshot(&self) -> Result<Snapshot> {
        Ok(self.shared.lock()?.writer.snapshot())
    }
}

/// What was written is put on disk before the log is gone.
impl Drop for Log {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.state.lock() {
            state.closing = true;
        }
        self.shared.wake.notify_one();
        if let Some(syncer) = self.syncer.take() {
            // A panic in there has poisoned the log, which is all that one can do.
            let _ = syncer.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> Result<MutexGuard<'_, State>> {
        self.state
            .lock()
            .map_err(|_| unwritable("a thread panicked while it held the log"))
    }

    /// Waits until the entry is on disk. Whoever finds no sync running syncs all that
    /// has been written until then, so that waiting callers share one sync.
    fn sync_until<'a>(&'a self, mut state: MutexGuard<'a, State>, seq: u64) -> Result<()> {
        while state.synced_seq < seq {
            state.check()?;
            state = if state.sync_running {
                self.synced.wait(state).map_err(unwritable)?
            } else {
                self.sync(state)?
            };
        }
        Ok(())
    }

    /// Syncs the last segment with the lock released. The segments before it were
    /// synced when they ended.
    fn sync<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Result<MutexGuard<'a, State>> {
        state.sync_running = true;
        let (file, seq) = (state.writer.file(), state.writer.position().seq);
        drop(state);
        let outcome = file.sync_data();
        let state = self.lock();
        // Whoever waits must learn of it even if the lock is poisoned by now.
        self.synced.notify_all();
        let mut state = state?;
        state.sync_running = false;
        #[cfg(test)]
        {
            state.sync_count += 1;
        }
        match outcome {
            Ok(()) => state.synced_seq = state.synced_seq.max(seq),
            Err(error) => state.failure = Some(error.to_string()),
        }
        Ok(state)
    }

    /// The syncing thread: syncs what was written a delay ago, and sleeps when nothing
    /// has been written for a while.
    fn sync_forever(&self) -> Result<()> {
        let mut idle_delays = 0;
        let mut state = self.lock()?;
        loop {
            state.check()?;
            let seq = state.writer.position().seq;
            if state.synced_seq < seq {
                idle_delays = 0;
                self.sync_until(state, seq)?;
                state = self.lock()?;
            } else if state.closing {
                return Ok(());
            } else if idle_delays < IDLE_DELAYS_MAX {
                idle_delays += 1;
            } else {
                state.syncer_asleep = true;
                state = self.wake.wait(state).map_err(unwritable)?;
                state.syncer_asleep = false;
                idle_delays = 0;
            }
            if !state.closing {
                state = self
                    .wake
                    .wait_timeout(state, SYNC_DELAY)
                    .map_err(unwritable)?
                    .0;
            }
        }
    }
}

impl State {
    fn new(writer: Writer) -> State {
        State {
            synced_seq: writer.position().seq,
            writer,
            sync_running: false,
            #[cfg(test)]
            sync_count: 0,
            syncer_asleep: false,
            closing: false,
            failure: None,
        }
    }

    fn check(&self) -> Result<()> {
        self.failure
            .as_ref()
            .map_or(Ok(()), |cause| Err(unwritable(cause)))
    }

    fn append(&mut self, batch: &mut Batch) -> Result<()> {
        self.check()?;
        self.writer.append(batch).map_err(|error| {
            self.failure = Some(error.to_string());
            unwritable(error)
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "one thread for each open log")]
fn spawn_syncer(shared: &Arc<Shared>) -> Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("audit-sync".to_owned())
        .spawn(move || {
            // Why it ended is in the state, where the next append finds it.
            let _ = shared.sync_forever();
        })
        .map_err(unwritable)
}
