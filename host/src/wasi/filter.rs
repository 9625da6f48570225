//! The filter: a system call passes if the function's policy allows it, and then if the
//! capability behind it is granted. Both are looked up at each call.

use super::table::{Behind, Function, Row};
use crate::bindings::heliosdb::host::time::Host as _;
use crate::bindings::heliosdb::host::types::Error as WitError;
use crate::capability::Capability;
use crate::error::{Error, SqlState};
use crate::execution::meter::Stop;
use crate::execution::record::Attempt;
use crate::execution::{Execution, Refusal};
use crate::guard::Guard;
use crate::policy::Policy;
use crate::statement::name_in_sql;
use crate::syscall::Syscall;
use wasmtime::Result;
use wasmtime::component::Val;

/// The proof that a system call passed, with what it read of the clock.
pub(super) struct Pass {
    now_us: u64,
}

/// A system call that did not pass the filter. It is recorded and counted.
pub(super) struct Refused {
    error: Error,
    /// Whether it disabled the function.
    disables: bool,
}

impl Pass {
    /// Microseconds since 1970, from a system call that has the clock behind it.
    pub(super) fn now_us(&self) -> u64 {
        self.now_us
    }
}

impl Refused {
    /// The guest goes on, with an error.
    pub(super) fn tell_guest(self, execution: &Execution, error: &Val) -> Result<Val> {
        match self.disables {
            true => Err(execution.stop(Stop::Disabled)),
            false => Ok(error.clone()),
        }
    }

    /// The guest's function can return no error.
    pub(super) fn end_call(self, execution: &Execution) -> wasmtime::Error {
        execution.fault(self.error)
    }
}

/// Lets a system call pass, or refuses it. One that lacks its capability ends the call:
/// none of these functions can return an error.
pub(super) fn pass(
    execution: &mut Execution,
    row: &'static Row,
    function: &'static Function,
) -> Result<Result<Pass, Refused>> {
    let allowed = execution.authority.policy.allowed_syscalls;
    let function = function.name;
    let mut syscalls = row.syscalls.iter();
    let missing = syscalls.find(|syscall| !allowed.contains(**syscall));
    let guards = execution.meter.guards;
    if let Some(missing) = missing.filter(|_| guards.holds(Guard::SyscallFilter)) {
        let syscall = missing.name();
        let attempt = Attempt { syscall, function };
        return refuse(execution, attempt, Some(*missing)).map(Err);
    }
    let syscall = row.syscalls.first().map_or(function, |first| first.name());
    let attempt = Attempt { syscall, function };
    match capability(execution, row.behind)? {
        Ok(pass) => {
            execution.recorder.syscall_allowed(attempt);
            Ok(Ok(pass))
        }
        Err((capability, error)) => {
            execution.recorder.syscall_denied(attempt, capability);
            Err(execution.fault(error))
        }
    }
}

/// Refuses a system call that does not pass. `built` is one that a policy could allow.
pub(super) fn refuse(
    execution: &mut Execution,
    attempt: Attempt<'_>,
    built: Option<Syscall>,
) -> Result<Refused> {
    let counted = execution.refuse_syscall(attempt)?;
    Ok(Refused {
        error: error(execution, attempt, built),
        disables: counted.is_some_and(|counted| counted.disables),
    })
}

/// The second lock: what is granted, or the denied capability.
fn capability(
    execution: &mut Execution,
    behind: Behind,
) -> Result<Result<Pass, (&'static str, Error)>> {
    let (name, refused) = match behind {
        Behind::Nothing => return Ok(Ok(Pass { now_us: 0 })),
        Behind::Clock => match execution.now()? {
            Ok(now) => {
                let now_us = u64::try_from(now.microseconds).unwrap_or(0);
                return Ok(Ok(Pass { now_us }));
            }
            Err(refused) => (Capability::TimeAccess.name(), refused),
        },
        Behind::Randomness => (RANDOM_ACCESS, execution.refuse(vec![no_randomness()])),
    };
    let confirmed = match &refused {
        WitError::Denied(denials) => execution.confirm_denied(denials),
        _ => None,
    };
    let error = confirmed.unwrap_or_else(|| Error::internal("a refusal has no denial"));
    Ok(Err((name, error)))
}

const RANDOM_ACCESS: &str = "RANDOM_ACCESS";

fn no_randomness() -> Refusal {
    Refusal {
        capability: RANDOM_ACCESS.to_string(),
        target: String::new(),
        action: "read random bytes".to_string(),
        grant: None,
    }
}

fn error(execution: &Execution, attempt: Attempt<'_>, built: Option<Syscall>) -> Error {
    let (name, syscall) = (&execution.function.name, attempt.syscall);
    let message = format!(
        "permission denied: function \"{name}\" may not make the system call \"{syscall}\""
    );
    let error = Error::new(SqlState::DENIED, message);
    match built {
        Some(syscall) => allow(error, name, &execution.authority.policy, syscall),
        None => error.with_detail("no policy can allow it in this version"),
    }
}

/// Says how the policy, or one like a built-in one, would allow the system call.
fn allow(error: Error, function: &str, policy: &Policy, syscall: Syscall) -> Error {
    let list = |syscalls: Vec<Syscall>, quote: &str| {
        let names = syscalls
            .iter()
            .map(|s| format!("{quote}{}{quote}", s.name()));
        names.collect::<Vec<_>>().join(", ")
    };
    let allowed: Vec<Syscall> = policy.allowed_syscalls.iter().collect();
    let more: Vec<Syscall> = allowed.iter().copied().chain([syscall]).collect();
    let more = list(more, "'");
    let has = match allowed.is_empty() {
        true => "no system call".to_string(),
        false => list(allowed, ""),
    };
    let new = format!("{function}_policy");
    let [function, new, own] = [function, &new, &policy.name].map(name_in_sql);
    error
        .with_detail(format!("policy \"{}\" allows {has}", policy.name))
        .with_hint(match policy.is_built_in() {
            true => format!(
                "CREATE SECURITY POLICY {new} AS (allowed_syscalls: [{more}]); \
                 ALTER FUNCTION {function} SET SECURITY POLICY {new};"
            ),
            false => format!("ALTER SECURITY POLICY {own} SET (allowed_syscalls = [{more}]);"),
        })
}
