//! Conditions: functions that say yes or no from their argument alone, and what
//! becomes of their answer.
//!
//! `run.rs` runs one, in a fresh instance whose store holds nothing that a guest could
//! reach; `context.rs` reads the argument. Whatever goes wrong is a denial; only a
//! record that cannot be written is an error, since no answer is released without one.

mod context;
mod run;

pub(crate) use run::{Bounds, Conditions, NotPure};

use crate::admission::Place;
use crate::audit::{Batch, Durability, EventType, Record};
use crate::error::{Error, Result, SqlState};
use crate::function::Function;
use crate::guard::Guard;
use crate::limits::Limit;
use crate::statement::name_in_sql;
use crate::types::Value;
use crate::vault::VaultCore;
use context::Context;
use std::fmt::Write as _;

/// A condition's answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// The condition returned true.
    Allow,
    /// The condition returned false, or failed.
    Deny,
}

/// What a condition said, and why, if it failed.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// Why the condition came to no answer of its own. Then the verdict is a denial.
    pub failure: Option<Failure>,
    /// The WebAssembly instructions that it took: as many in every run.
    pub instructions: u64,
}

/// Why a condition came to no answer of its own. For the operator: it may quote the
/// context and the condition's own words.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What is wrong, with its SQLSTATE.
    pub error: Error,
    /// The limit that ended it.
    pub(crate) limit: Option<Limit>,
}

/// What kind of failure a condition's is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FailureKind {
    /// The condition is disabled.
    Disabled,
    /// The context is no JSON, or does not fit the condition's record.
    Context,
    /// A limit was reached.
    Limit,
    /// It tried to do something else than compute.
    NotPure,
    /// It threw, trapped or returned an error.
    Guest,
    /// It returned something else than true or false.
    Result,
    /// The host could not run it.
    Host,
}

impl Decision {
    /// Whether the verdict is to allow.
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allow
    }
}

impl FailureKind {
    /// The word in the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            FailureKind::Disabled => "disabled",
            FailureKind::Context => "context",
            FailureKind::Limit => "limit",
            FailureKind::NotPure => "not pure",
            FailureKind::Guest => "guest",
            FailureKind::Result => "result",
            FailureKind::Host => "host",
        }
    }
}

impl Failure {
    fn new(kind: FailureKind, error: Error) -> Failure {
        Failure {
            kind,
            error,
            limit: None,
        }
    }
}

/// Asks a condition, in a place for it, and records its answer. The one error is that of
/// the log.
pub(crate) fn decide(
    vault: &VaultCore,
    caller: &str,
    function: &Function,
    context: &Value,
    place: Result<Place>,
) -> Result<Decision> {
    let guards = vault.runtime.engine.guards;
    let context = Context::of(context, guards);
    let is_off = !function.enabled.is_on() && guards.holds(Guard::DisabledCalls);
    let (answer, instructions) = match place {
        Err(error) => (Err(Failure::new(FailureKind::Host, error)), 0),
        Ok(_) if is_off => (Err(disabled(&function.name)), 0),
        Ok(_place) => run::run(vault, function, &context),
    };
    let decision = Decision {
        verdict: match answer {
            Ok(true) => Verdict::Allow,
            Ok(false) | Err(_) => Verdict::Deny,
        },
        failure: answer.err(),
        instructions,
    };
    record(vault, caller, function, &context, &decision)?;
    if let Some(Failure { kind, error, .. }) = &decision.failure {
        tracing::info!(condition = function.name, ?kind, ?error, "denied");
    }
    Ok(decision)
}

fn disabled(name: &str) -> Failure {
    let error = Error::new(
        SqlState::DISABLED,
        format!("condition \"{name}\" is disabled"),
    )
    .with_hint(format!(
        "ALTER CONDITION {} SET ENABLED = true;",
        name_in_sql(name)
    ));
    Failure::new(FailureKind::Disabled, error)
}

/// One entry a decision. It has nothing that another run would not have as well, and
/// of the context only a digest.
fn record(
    vault: &VaultCore,
    caller: &str,
    function: &Function,
    context: &Context<'_>,
    decision: &Decision,
) -> Result<()> {
    let log = &vault.log;
    let detail = detail(context, decision);
    let mut batch = Batch::new();
    batch.push(&Record {
        event: EventType::Decision,
        execution_id: log.next_execution_id(),
        function_name: &function.name,
        function_version: Some(function.version),
        caller,
        capability: None,
        target: None,
        allowed: Some(decision.is_allowed()),
        detail: Some(&detail),
    });
    log.append(&mut batch, Durability::Written).map(drop)
}

fn detail(context: &Context<'_>, decision: &Decision) -> String {
    let mut text = String::with_capacity(160);
    // Writing to a String cannot fail.
    let _ = match context.digest() {
        Some(digest) => write!(text, "{{\"context\":\"{}\"", digest.to_hex()),
        None => write!(text, "{{\"context\":null"),
    };
    let _ = write!(text, ",\"instructions\":{}", decision.instructions);
    if let Some(failure) = &decision.failure {
        let (kind, sqlstate) = (failure.kind.name(), failure.error.sqlstate());
        let _ = write!(text, ",\"failure\":\"{kind}\",\"sqlstate\":\"{sqlstate}\"");
        if let Some(limit) = failure.limit {
            let _ = write!(text, ",\"limit\":\"{}\"", limit.name());
        }
    }
    text.push('}');
    text
}
