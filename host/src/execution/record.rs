//! What one execution writes to the audit log: each event once, decisions before
//! their effects.

use crate::audit::{Batch, Durability, EventType, ExecutionId, Log, Record};
use crate::error::{Error, Result};
use crate::execution::meter::Cost;
use crate::function::Function;
use crate::guard::Guard;
use crate::limits::{Exceeded, Limit};
use crate::violations::{Counted, VIOLATIONS_MAX};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Gathers an execution's entries and appends them: before its commit, and at the end.
pub(crate) struct Recorder {
    log: Arc<Log>,
    execution_id: ExecutionId,
    function: Arc<Function>,
    caller: Arc<str>,
    batch: Batch,
    /// How many have been pushed.
    entries: u64,
    checks: Vec<Check>,
    reads: Vec<Read>,
    denials: u64,
    syscalls: Vec<AllowedSyscall>,
    syscalls_refused: u64,
    /// The statements that have written.
    writes: u64,
    /// An effect outside the call, or a denial: the log must be on disk first.
    must_sync: bool,
    pub(crate) invocations: u64,
}

/// An allowed check: recorded at its first use, counted after.
struct Check {
    capability: &'static str,
    target: Arc<str>,
    count: u64,
}

/// A system call that a guest tries: its name in WASI preview 1, or the function's if it
/// has none; and the function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) syscall: &'a str,
    pub(crate) function: &'a str,
}

/// An allowed system call: recorded at its first use, counted after.
struct AllowedSyscall {
    attempt: Attempt<'static>,
    count: u64,
}

/// The runs of one reading statement.
struct Read {
    statement: Arc<StatementSummary>,
    runs: u64,
    rows: u64,
}

/// A statement as the log shows it: never its text, never its values.
pub(crate) struct StatementSummary {
    pub(crate) operation: &'static str,
    /// The tables that it writes, or reads if it only reads, comma-separated.
    pub(crate) target: String,
    /// All of them: a JSON object's members `reads` and `writes`.
    pub(crate) tables: String,
    /// BLAKE3 of the text, the first 16 bytes in hexadecimal.
    pub(crate) digest: String,
}

impl StatementSummary {
    /// Of a text, and the tables that it reads and writes by unambiguous names.
    pub(crate) fn new(
        operation: &'static str,
        sql: &str,
        reads: &[String],
        writes: &[String],
    ) -> StatementSummary {
        let json = |tables: &[String]| serde_json::Value::from(tables).to_string();
        StatementSummary {
            operation,
            target: if writes.is_empty() { reads } else { writes }.join(","),
            tables: format!("\"reads\":{},\"writes\":{}", json(reads), json(writes)),
            digest: blake3::hash(sql.as_bytes()).to_hex()[..32].to_string(),
        }
    }
}

/// Denials beyond this are only counted.
const DENIALS_MAX: u64 = 100;

/// Reading statements that are counted at a time; a guest can make up any number.
const READS_MAX: usize = 256;

/// Entries of a long execution are appended in portions of this many.
const BATCH_ENTRIES_MAX: usize = 256;

/// Or of this many bytes: one entry may have 64 KiB.
const BATCH_BYTES_MAX: usize = 1 << 20;

impl Recorder {
    /// Records the start.
    pub(crate) fn start(log: Arc<Log>, function: Arc<Function>, caller: Arc<str>) -> Recorder {
        let mut recorder = Recorder {
            execution_id: log.next_execution_id(),
            log,
            must_sync: function.policy().audit_sync,
            function,
            caller,
            batch: Batch::new(),
            entries: 0,
            checks: Vec::new(),
            reads: Vec::new(),
            denials: 0,
            syscalls: Vec::new(),
            syscalls_refused: 0,
            writes: 0,
            invocations: 0,
        };
        recorder.push(EventType::ExecutionStarted, None, None, None, None);
        recorder
    }

    /// A capability was asked for and is granted.
    pub(crate) fn allowed(&mut self, capability: &'static str, target: &Arc<str>) {
        let known = self
            .checks
            .iter_mut()
            .find(|c| c.capability == capability && c.target == *target);
        match known {
            Some(check) => check.count += 1,
            None => {
                self.checks.push(Check {
                    capability,
                    target: Arc::clone(target),
                    count: 1,
                });
                let target = Some(&**target).filter(|target| !target.is_empty());
                self.push(
                    EventType::CapabilityCheck,
                    Some(capability),
                    target,
                    Some(true),
                    None,
                );
            }
        }
    }

    /// A capability was asked for and is missing. `refused_for` is how long the function
    /// is refused to its caller from now on, if it is.
    pub(crate) fn denied(&mut self, capability: &str, target: &str, refused_for: Option<Duration>) {
        self.must_sync = true;
        self.denials += 1;
        let most = self
            .log
            .guards
            .bound(Guard::DenialEntries, DENIALS_MAX, u64::MAX);
        if self.denials <= most || refused_for.is_some() {
            let target = Some(target).filter(|target| !target.is_empty());
            let capability = Some(capability).filter(|capability| !capability.is_empty());
            let detail = refused_for.map(|time| {
                let time_s = time.as_secs();
                json!({"action": "Refused the function to its caller", "for_s": time_s}).to_string()
            });
            self.push(
                EventType::CapabilityCheck,
                capability,
                target,
                Some(false),
                detail.as_deref(),
            );
        }
    }

    /// A system call passed the filter, and has the capability behind it.
    pub(crate) fn syscall_allowed(&mut self, attempt: Attempt<'static>) {
        match self.syscalls.iter_mut().find(|s| s.attempt == attempt) {
            Some(allowed) => allowed.count += 1,
            None => {
                self.syscalls.push(AllowedSyscall { attempt, count: 1 });
                self.syscall(attempt, true, "Allowed, logged", None, None);
            }
        }
    }

    /// A system call passed the filter, and lacks the capability behind it.
    pub(crate) fn syscall_denied(&mut self, attempt: Attempt<'_>, capability: &str) {
        self.syscalls_refused += 1;
        let action = "Blocked, logged, counted as a denied capability";
        self.syscall(attempt, false, action, Some(capability), None);
    }

    /// A system call did not pass the filter. What comes of it is written, on disk,
    /// before it is counted.
    pub(crate) fn syscall_refused(
        &mut self,
        attempt: Attempt<'_>,
        counted: Option<Counted>,
    ) -> Result<()> {
        self.syscalls_refused += 1;
        let (action, violations) = match counted {
            Some(counted) => (
                "Blocked, logged, incremented violation counter",
                Some(counted.violations),
            ),
            None => ("Blocked, logged", None),
        };
        self.syscall(attempt, false, action, None, violations);
        if counted.is_some_and(|counted| counted.disables) {
            let reason = format!("{VIOLATIONS_MAX} violations");
            let detail = json!({"action": "SET ENABLED", "enabled": false, "reason": reason});
            let detail = detail.to_string();
            self.push(EventType::FunctionChanged, None, None, None, Some(&detail));
        }
        self.must_sync = true;
        self.append()
    }

    /// A reading statement ran so often, or an earlier run of it gave more rows.
    pub(crate) fn read(
        &mut self,
        statement: &Arc<StatementSummary>,
        runs: u64,
        rows: u64,
    ) -> Result<()> {
        if self.reads.len() >= READS_MAX {
            self.record_reads();
        }
        match self
            .reads
            .iter_mut()
            .find(|read| Arc::ptr_eq(&read.statement, statement))
        {
            Some(read) => {
                read.runs += runs;
                read.rows += rows;
            }
            None => {
                self.reads.push(Read {
                    statement: Arc::clone(statement),
                    runs,
                    rows,
                });
            }
        }
        self.append_if_large()
    }

    /// A writing statement ran so often; it takes effect with the commit.
    pub(crate) fn wrote(
        &mut self,
        statement: &StatementSummary,
        runs: u64,
        rows: u64,
    ) -> Result<()> {
        self.writes += 1;
        self.must_sync = true;
        self.operation(statement, runs, rows);
        self.append_if_large()
    }

    /// How many statements have written.
    pub(crate) fn writes(&self) -> u64 {
        self.writes
    }

    /// What the last statements wrote was undone.
    pub(crate) fn rolled_back(&mut self) -> Result<()> {
        let detail = Some("{\"operation\":\"ROLLBACK\"}");
        self.push(EventType::DatabaseOperation, None, None, None, detail);
        self.append_if_large()
    }

    /// Appends what there is, on disk, if the call has written: the commit that
    /// follows is its effect.
    pub(crate) fn before_commit(&mut self) -> Result<()> {
        if self.writes == 0 || !self.log.guards.holds(Guard::RecordedFirst) {
            return Ok(());
        }
        self.record_reads();
        self.append()
    }

    /// Its entries until now, with those that are still counted together.
    pub(crate) fn entries(&self) -> u64 {
        match self.function.policy().audit_logging {
            true => self.entries + self.reads.len() as u64,
            false => self.entries,
        }
    }

    /// The limit on entries, if it was exceeded.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        let (allowed, observed) = (self.function.limits.audit_entries, self.entries());
        let is_beyond = observed > allowed && self.log.guards.holds(Guard::AuditEntries);
        is_beyond.then_some(Exceeded {
            limit: Limit::AuditEntries,
            allowed,
            observed: Some(observed),
        })
    }

    /// Appends what there is, if it is much.
    pub(crate) fn append_if_large(&mut self) -> Result<()> {
        if self.batch.len() >= BATCH_ENTRIES_MAX || self.batch.bytes_len() >= BATCH_BYTES_MAX {
            self.log.append(&mut self.batch, Durability::Written)?;
        }
        Ok(())
    }

    /// Records the end. The result may be released if this succeeds.
    pub(crate) fn finish(
        &mut self,
        cost: &Cost,
        exceeded: Option<Exceeded>,
        error: Option<&Error>,
    ) -> Result<()> {
        self.record_reads();
        if let Some(exceeded) = exceeded {
            let detail = format!(
                "{{\"resource\":\"{}\",\"limit\":{},\"observed\":{}}}",
                exceeded.limit.name(),
                exceeded.allowed,
                exceeded
                    .observed
                    .map_or("null".to_string(), |n| n.to_string()),
            );
            self.push(
                EventType::ResourceLimitExceeded,
                None,
                None,
                None,
                Some(&detail),
            );
        }
        let event = match error {
            None => EventType::ExecutionCompleted,
            Some(_) => EventType::ExecutionFailed,
        };
        let detail = self.ending(cost, error);
        self.push(event, None, None, None, Some(&detail));
        self.append()
    }

    fn append(&mut self) -> Result<()> {
        if self.batch.len() == 0 {
            // A policy without logging, and nothing that is recorded all the same.
            return Ok(());
        }
        let durability = if self.must_sync {
            Durability::Synced
        } else {
            Durability::Written
        };
        self.log.append(&mut self.batch, durability).map(drop)
    }

    fn record_reads(&mut self) {
        for read in std::mem::take(&mut self.reads) {
            self.operation(&read.statement, read.runs, read.rows);
        }
    }

    fn operation(&mut self, statement: &StatementSummary, runs: u64, rows: u64) {
        let StatementSummary {
            operation,
            target,
            tables,
            digest,
        } = statement;
        let detail = format!(
            "{{\"operation\":\"{operation}\",\"runs\":{runs},\"rows\":{rows},\"statement\":\"{digest}\",{tables}}}"
        );
        let target = Some(target.as_str()).filter(|target| !target.is_empty());
        self.push(
            EventType::DatabaseOperation,
            None,
            target,
            None,
            Some(&detail),
        );
    }

    fn ending(&self, cost: &Cost, error: Option<&Error>) -> String {
        let checks: u64 = self.checks.iter().map(|check| check.count).sum();
        let mut text = String::with_capacity(256);
        let mut number = itoa::Buffer::new();
        for (key, value) in [
            ("{\"invocations\":", self.invocations),
            (",\"instructions\":", cost.instructions),
            (",\"cpu_us\":", microseconds(cost.cpu_time)),
            (",\"wall_us\":", microseconds(cost.wall_time)),
            (",\"memory_bytes_peak\":", cost.memory_bytes_peak),
            (",\"host_calls\":", cost.host_calls),
            (",\"host_bytes\":", cost.host_bytes),
            (",\"checks_allowed\":", checks),
            (",\"checks_denied\":", self.denials),
        ] {
            text.push_str(key);
            text.push_str(number.format(value));
        }
        if !self.syscalls.is_empty() || self.syscalls_refused > 0 {
            let allowed: u64 = self.syscalls.iter().map(|syscall| syscall.count).sum();
            text.push_str(",\"syscalls_allowed\":");
            text.push_str(number.format(allowed));
            text.push_str(",\"syscalls_refused\":");
            text.push_str(number.format(self.syscalls_refused));
        }
        if let Some(error) = error {
            // The message of a guest is its own words, and may hold anything: the log
            // keeps the code, which is the host's.
            text.push_str(",\"sqlstate\":\"");
            text.push_str(error.sqlstate().as_str());
            text.push('"');
        }
        text.push('}');
        text
    }

    fn syscall(
        &mut self,
        Attempt { syscall, function }: Attempt<'_>,
        allowed: bool,
        action: &str,
        capability: Option<&str>,
        violations: Option<u64>,
    ) {
        let mut detail = json!({"syscall": syscall, "function": function, "action": action});
        if let Some(violations) = violations {
            detail["violations"] = violations.into();
        }
        self.push(
            EventType::SyscallAttempt,
            capability,
            Some(syscall),
            Some(allowed),
            Some(&detail.to_string()),
        );
    }

    fn push(
        &mut self,
        event: EventType,
        capability: Option<&str>,
        target: Option<&str>,
        allowed: Option<bool>,
        detail: Option<&str>,
    ) {
        let is_security = allowed == Some(false)
            || matches!(
                event,
                EventType::ResourceLimitExceeded | EventType::FunctionChanged
            );
        if !is_security && !self.function.policy().audit_logging {
            return;
        }
        self.entries += 1;
        self.batch.push(&Record {
            event,
            execution_id: self.execution_id,
            function_name: &self.function.name,
            function_version: Some(self.function.version),
            caller: &self.caller,
            capability,
            target,
            allowed,
            detail,
        });
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
