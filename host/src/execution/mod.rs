//! One execution: what a guest's store holds, and what its host functions work on.
//!
//! An execution is a top-level call, or a function's use within one SQL statement,
//! however many rows that has.

mod carried;
pub(crate) mod meter;
pub(crate) mod record;

use crate::bindings::heliosdb::host::types as wit;
use crate::database::open::Open;
use crate::error::{Error, SqlState};
use crate::function::{Authority, Function};
use crate::guard::{Guard, Guards};
use crate::limits::Exceeded;
use crate::log::MessageBudget;
use crate::session::core::SessionCore;
use crate::statement::name_in_sql;
use crate::violations::{Counted, DENIALS_MAX, DENIALS_WINDOW, VIOLATIONS_MAX};
use crate::wasi::Timers;
pub(crate) use carried::Carried;
use meter::{Cost, MemoryMeter, Meter, Stop};
use record::{Attempt, Recorder};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The state behind a guest's imports.
pub(crate) struct Execution {
    pub(crate) session: Arc<SessionCore>,
    pub(crate) function: Arc<Function>,
    /// What the function may do now: a grant may come or go while it runs.
    pub(crate) authority: Arc<Authority>,
    /// The function's `changed_at` that the authority belongs to.
    authority_key: u64,
    catalog_version: u64,
    pub(crate) meter: Arc<Meter>,
    pub(crate) memory: MemoryMeter,
    pub(crate) recorder: Recorder,
    pub(crate) messages: MessageBudget,
    host_calls: u64,
    pub(crate) carried: Carried,
    /// What was refused, in the host's own words: a guest may only claim it.
    pub(crate) refusals: Vec<Refusal>,
    /// What was called malformed, in the host's own words, too.
    malformed: Vec<String>,
    /// The last message of a panic.
    pub(crate) panic_message: Option<String>,
    /// What the guest may wait for.
    pub(crate) timers: Timers,
    /// What it has open in the database.
    pub(crate) open: Open,
}

/// A permission that was asked for and is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) capability: String,
    pub(crate) target: String,
    /// What was tried, for people: `read table "secrets"`.
    pub(crate) action: String,
    /// The grant that would cure it, if there is one.
    pub(crate) grant: Option<String>,
}

/// Refusals beyond this are not kept for the message; the log has them.
const REFUSALS_MAX: usize = 32;

/// A fault of the host's, or of the log's, in the middle of a host call: it ends the
/// execution, and no guest can catch it.
#[derive(Debug)]
pub(crate) struct HostFault(pub(crate) Error);

impl std::fmt::Display for HostFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for HostFault {}

impl Execution {
    pub(crate) fn start(session: &Arc<SessionCore>, function: &Arc<Function>) -> Execution {
        let recorder = Recorder::start(
            Arc::clone(&session.vault.log),
            Arc::clone(function),
            Arc::clone(&session.caller),
        );
        let (limits, guards) = (function.limits, session.guards());
        let meter = Meter::start(limits, Arc::clone(&function.enabled), guards);
        Execution {
            session: Arc::clone(session),
            authority: Arc::clone(&function.authority),
            authority_key: function.changed_at,
            // Older than any: the first host call looks the function up anew.
            catalog_version: function.changed_at,
            function: Arc::clone(function),
            meter: Arc::new(meter.within(session.database.deadline.meter())),
            memory: MemoryMeter::new(limits.memory_bytes, guards),
            recorder,
            messages: MessageBudget::default(),
            host_calls: 0,
            carried: Carried::new(guards),
            refusals: Vec::new(),
            malformed: Vec::new(),
            panic_message: None,
            timers: Timers::default(),
            open: Open::default(),
        }
    }

    /// Every host function begins here: the limits are looked at, and what the
    /// function may do is what the catalog says now.
    pub(crate) fn enter_host(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        self.meter.check().map_err(|stop| self.stop(stop))?;
        self.check_recorded()?;
        let catalog = &self.session.vault.catalog;
        let version = catalog.version();
        if version != self.catalog_version && self.meter.guards.holds(Guard::AuthorityNow) {
            self.catalog_version = version;
            match catalog.function(&self.function.name) {
                Some(now) if now.enabled.is_on() => {
                    self.authority = Arc::clone(&now.authority);
                    self.authority_key = now.changed_at;
                }
                _ => return Err(self.stop(Stop::Disabled)),
            }
        }
        Ok(())
    }

    /// Counts bytes that a host call carries.
    pub(crate) fn carry(&mut self, bytes: usize) -> wasmtime::Result<()> {
        let counted = self.carried.add_bytes(bytes, &self.function.limits);
        counted.map_err(|exceeded| self.exceed_noted(exceeded))
    }

    /// Looks at what was recorded, and appends much of it. What is beyond the limit ends
    /// the execution: it was recorded too, so that nothing is missing from the log.
    pub(crate) fn check_recorded(&mut self) -> wasmtime::Result<()> {
        if let Some(exceeded) = self.recorder.exceeded() {
            return Err(self.exceed_noted(exceeded));
        }
        let appended = self.recorder.append_if_large();
        appended.map_err(|error| self.fault(error))
    }

    fn exceed_noted(&self, exceeded: Exceeded) -> wasmtime::Error {
        self.meter.note(exceeded);
        self.exceed(exceeded)
    }

    /// Names the authority: it changes whenever the function does.
    pub(crate) fn authority_key(&self) -> u64 {
        let guards = self.meter.guards;
        guards.bound(Guard::StatementKey, self.authority_key, 0)
    }

    /// Records refusals and counts them against function and caller, and makes the value
    /// that the guest gets.
    pub(crate) fn refuse(&mut self, refusals: Vec<Refusal>) -> wit::Error {
        let denials = refusals
            .iter()
            .map(|refusal| wit::Denial {
                capability: refusal.capability.clone(),
                target: refusal.target.clone(),
            })
            .collect();
        for refusal in refusals {
            self.deny(&refusal.capability, &refusal.target);
            if self.refusals.len() < REFUSALS_MAX && !self.refusals.contains(&refusal) {
                self.refusals.push(refusal);
            }
        }
        wit::Error::Denied(denials)
    }

    /// Records a denial, and counts it against function and caller. No capability stands
    /// behind some.
    pub(crate) fn deny(&mut self, capability: &str, target: &str) {
        let caller = &self.session.caller;
        let counts = self.meter.guards.holds(Guard::CallerLockout);
        let denied = || self.function.enabled.denied(caller, Instant::now());
        let refused_for = counts.then(denied).flatten();
        self.recorder.denied(capability, target, refused_for);
    }

    /// Records a system call that did not pass the filter, and counts it against the
    /// function. None if there was nothing to count it against any more.
    pub(crate) fn refuse_syscall(
        &mut self,
        attempt: Attempt<'_>,
    ) -> wasmtime::Result<Option<Counted>> {
        let recorder = &mut self.recorder;
        if !self.meter.guards.holds(Guard::Violations) {
            let recorded = recorder.syscall_refused(attempt, None).map(|()| None);
            return recorded.map_err(|error| self.fault(error));
        }
        let catalog = &self.session.vault.catalog;
        let counted = catalog.count_violation(&self.function, |counted| {
            recorder.syscall_refused(attempt, counted)
        });
        counted.map_err(|error| self.fault(error))
    }

    /// Makes the value that the guest gets for a request that is malformed by the rules of
    /// the host's: two statements, values for other parameters, literals.
    pub(crate) fn malformed(&mut self, message: String) -> wit::Error {
        if self.malformed.len() < REFUSALS_MAX && !self.malformed.contains(&message) {
            self.malformed.push(message.clone());
        }
        wit::Error::Invalid(message)
    }

    /// Whether the host said so: a guest may only claim it.
    pub(crate) fn confirm_malformed(&self, claimed: &str) -> bool {
        self.malformed.iter().any(|message| message == claimed)
    }

    /// The error for a guest that gave up over a refusal: true only if the host did
    /// refuse just that.
    pub(crate) fn confirm_denied(&self, claimed: &[wit::Denial]) -> Option<Error> {
        if !self.meter.guards.holds(Guard::ClaimedDenials) {
            return Some(self.denied(&[]));
        }
        let confirmed: Option<Vec<&Refusal>> = claimed
            .iter()
            .map(|denial| {
                self.refusals
                    .iter()
                    .find(|r| r.capability == denial.capability && r.target == denial.target)
            })
            .collect();
        confirmed
            .filter(|list| !list.is_empty())
            .map(|list| self.denied(&list))
    }

    fn denied(&self, refusals: &[&Refusal]) -> Error {
        let name = &self.function.name;
        let grants: Option<Vec<&str>> = refusals.iter().map(|r| r.grant.as_deref()).collect();
        let error = Error::new(
            SqlState::DENIED,
            format!(
                "permission denied: function \"{name}\" may not {}",
                together(refusals)
            ),
        )
        .with_detail(self.authority.describe());
        match grants {
            Some(grants) => error.with_hint(format!(
                "ALTER FUNCTION {} GRANT CAPABILITY {};",
                name_in_sql(name),
                grants.join(", ")
            )),
            None => error,
        }
    }

    /// Ends the execution with an error that is not the guest's to handle.
    pub(crate) fn fault(&self, error: Error) -> wasmtime::Error {
        wasmtime::Error::new(HostFault(error))
    }

    /// Ends the execution over a limit.
    pub(crate) fn exceed(&self, exceeded: Exceeded) -> wasmtime::Error {
        wasmtime::Error::new(exceeded)
    }

    /// Ends the execution for the reason that its meter has.
    pub(crate) fn stop(&self, stop: Stop) -> wasmtime::Error {
        match stop {
            Stop::Limit(exceeded) => self.exceed(exceeded),
            Stop::Disabled => self.fault(self.no_longer_there()),
        }
    }

    /// The error of an execution whose function was disabled or dropped meanwhile.
    pub(crate) fn no_longer_there(&self) -> Error {
        let name = &self.function.name;
        match self.session.vault.catalog.function(name) {
            Some(function) => disabled(&function),
            None => dropped(name),
        }
    }

    /// What was used so far, given the fuel that burnt.
    pub(crate) fn cost(&self, instructions: u64) -> Cost {
        let (wall_time, cpu_time) = self.meter.used();
        Cost {
            instructions,
            cpu_time,
            wall_time,
            memory_bytes_peak: self.memory.peak_bytes(),
            host_calls: self.host_calls,
            host_bytes: self.carried.bytes,
            rows: self.carried.rows,
            audit_entries: self.recorder.entries(),
        }
    }
}

/// What was tried, with the objects of one verb together: `read tables "a", "b"`.
fn together(refusals: &[&Refusal]) -> String {
    let mut verbs: Vec<(&str, Vec<&str>)> = Vec::new();
    for refusal in refusals {
        let quote = refusal.action.find('"').unwrap_or(refusal.action.len());
        let (verb, object) = refusal.action.split_at(quote);
        match verbs.iter_mut().find(|(known, _)| *known == verb) {
            Some((_, objects)) => objects.push(object),
            None => verbs.push((verb, vec![object])),
        }
    }
    let phrases: Vec<String> = verbs
        .into_iter()
        .map(|(verb, objects)| match objects.len() {
            1 => format!("{verb}{}", objects[0]),
            _ => format!(
                "{}s {}",
                verb.trim_end().trim_end_matches('s'),
                objects.join(", ")
            ),
        })
        .collect();
    phrases.join(", nor ")
}

/// The error of a call that must not begin, if it must not.
pub(crate) fn refuse_call(function: &Function, caller: &str, guards: Guards) -> Result<(), Error> {
    if !function.enabled.is_on() && guards.holds(Guard::DisabledCalls) {
        return Err(disabled(function));
    }
    if !function.enabled.has_denials() {
        return Ok(());
    }
    match function.enabled.refused_for(caller, Instant::now()) {
        Some(left) => Err(refused_to(caller, function, left)),
        None => Ok(()),
    }
}

fn disabled(function: &Function) -> Error {
    let name = &function.name;
    let message = format!("function \"{name}\" is disabled");
    let error = match function.enabled.violations() {
        violations @ VIOLATIONS_MAX.. => Error::new(
            SqlState::DISABLED,
            format!("{message}: {violations} of its system calls were refused"),
        )
        .with_detail("the audit log has them, with event_type 'SyscallAttempt'"),
        _ => Error::new(SqlState::DISABLED, message),
    };
    error.with_hint(enable(name))
}

fn refused_to(caller: &str, function: &Function, left: Duration) -> Error {
    let name = &function.name;
    let (seconds, minutes) = (left.as_secs().max(1), DENIALS_WINDOW.as_secs() / 60);
    Error::new(
        SqlState::DISABLED,
        format!("function \"{name}\" is refused to \"{caller}\" for another {seconds} s"),
    )
    .with_detail(format!(
        "it was denied {DENIALS_MAX} times within {minutes} minutes what it asked for; the audit \
         log has that, with event_type 'CapabilityCheck'"
    ))
    .with_hint(enable(name))
}

fn enable(function: &str) -> String {
    format!(
        "ALTER FUNCTION {} SET ENABLED = true;",
        name_in_sql(function)
    )
}

fn dropped(function: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("function \"{function}\" was dropped"),
    )
}
