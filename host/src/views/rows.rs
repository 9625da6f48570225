//! What each view shows.

use super::unused;
use crate::audit::Log;
use crate::capability::Grant;
use crate::catalog::{Catalog, History};
use crate::error::Result;
use crate::function::{Function, Kind};
use crate::limits::{FIXED, Limits, MEMORY_BUDGET_BYTES, MEMORY_BUDGET_BYTES_MAX, SETTINGS};
use crate::policy::Policy;
use rusqlite::types::Value;
use std::ffi::CStr;
use std::sync::Arc;

/// One view: its declaration, and its rows.
pub(super) struct View {
    pub(super) name: &'static str,
    pub(super) declaration: &'static CStr,
    pub(super) rows: fn(&Catalog, &Log) -> Result<Vec<Row>>,
}

pub(super) type Row = Vec<Value>;

pub(super) static VIEWS: [View; 8] = [
    View {
        name: "functions",
        declaration: c"CREATE TABLE functions (
            name TEXT, language TEXT, parameters TEXT, returns TEXT, strict INTEGER,
            version INTEGER, enabled INTEGER, policy TEXT, content_hash TEXT,
            violations INTEGER, kind TEXT, volatility TEXT)",
        rows: |catalog, _| each(catalog.functions(), |f| vec![function(f)]),
    },
    View {
        name: "grants",
        declaration: c"CREATE TABLE grants (
            function_name TEXT, kind TEXT, capability TEXT, pattern TEXT)",
        rows: |catalog, _| each(catalog.functions(), grants),
    },
    View {
        name: "unused_grants",
        declaration: c"CREATE TABLE unused_grants (
            function_name TEXT, kind TEXT, capability TEXT, pattern TEXT, granted_at TEXT,
            last_used TEXT, unused_days INTEGER)",
        rows: unused::rows,
    },
    View {
        name: "function_limits",
        declaration: c"CREATE TABLE function_limits (
            function_name TEXT, name TEXT, setting TEXT, value INTEGER, unit TEXT, set_by TEXT)",
        rows: |catalog, _| each(catalog.functions(), function_limits),
    },
    View {
        name: "function_versions",
        declaration: c"CREATE TABLE function_versions (
            function_name TEXT, version INTEGER, current INTEGER, language TEXT,
            content_hash TEXT, created_at TEXT, created_by TEXT)",
        rows: |catalog, _| catalog.history(History::Functions),
    },
    View {
        name: "policies",
        declaration: c"CREATE TABLE policies (
            name TEXT, version INTEGER, built_in INTEGER, capabilities TEXT,
            max_memory_bytes INTEGER, max_cpu_time_ms INTEGER, max_wall_time_ms INTEGER,
            max_instructions INTEGER, max_stack_bytes INTEGER, max_host_bytes INTEGER,
            max_rows INTEGER, max_audit_entries INTEGER, audit_logging INTEGER,
            audit_durability TEXT, allowed_syscalls TEXT, reviewed_by TEXT)",
        rows: |catalog, _| each(catalog.policies(), |p| vec![policy(p)]),
    },
    View {
        name: "policy_versions",
        declaration: c"CREATE TABLE policy_versions (
            name TEXT, version INTEGER, definition TEXT, created_at TEXT, created_by TEXT)",
        rows: |catalog, _| catalog.history(History::Policies),
    },
    View {
        name: "limits",
        declaration: c"CREATE TABLE limits (
            name TEXT, setting TEXT, unit TEXT, default_value INTEGER, max_value INTEGER,
            effect TEXT)",
        rows: |_, _| Ok(limits()),
    },
];

fn each<T>(items: Vec<Arc<T>>, rows: impl Fn(&T) -> Vec<Row>) -> Result<Vec<Row>> {
    Ok(items.iter().flat_map(|item| rows(item)).collect())
}

pub(super) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// SQLite's integers have a sign; no value here is near its end.
fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn function(function: &Function) -> Row {
    let signature = function.signature.to_string();
    let parameters = signature
        .split(") RETURNS")
        .next()
        .unwrap_or("")
        .trim_start_matches('(');
    let hash = blake3::Hash::from_bytes(function.content_hash());
    vec![
        text(&function.name),
        text(function.language()),
        text(parameters),
        text(function.signature.returns_text()),
        Value::Integer(function.strict.into()),
        number(function.version),
        Value::Integer(function.enabled.is_on().into()),
        match function.kind {
            Kind::Procedure => text(&function.policy().name),
            Kind::Condition | Kind::Aggregate => Value::Null,
        },
        text(hash.to_hex().as_str()),
        number(function.enabled.violations()),
        text(function.kind.as_str()),
        text(function.signature.volatility.name()),
    ]
}

fn grants(function: &Function) -> Vec<Row> {
    let authority = &function.authority;
    let sides = [
        ("POLICY", &authority.policy.capabilities),
        ("GRANT", &authority.grants),
        ("DENY", &authority.denials),
    ];
    let row = |kind: &str, grant: &Grant| {
        vec![
            text(&function.name),
            text(kind),
            text(grant.capability().name()),
            grant
                .pattern()
                .map_or(Value::Null, |pattern| text(pattern.to_string())),
        ]
    };
    sides
        .into_iter()
        .flat_map(|(kind, grants)| grants.iter().map(move |grant| row(kind, grant)))
        .collect()
}

fn function_limits(function: &Function) -> Vec<Row> {
    let row = |setting: &crate::limits::Setting| {
        vec![
            text(&function.name),
            text(setting.limit.name()),
            text(setting.key),
            number(function.limits.value(setting)),
            text(setting.unit()),
            text(function.origin(setting)),
        ]
    };
    SETTINGS.iter().map(row).collect()
}

fn policy(policy: &Policy) -> Row {
    let list = |names: Vec<String>| text(names.join(", "));
    let capabilities = policy.capabilities.iter().map(Grant::to_string).collect();
    let syscalls = policy.allowed_syscalls.iter();
    let syscalls = syscalls.map(|syscall| syscall.name().to_string()).collect();
    let mut row = vec![
        text(&policy.name),
        number(policy.version),
        Value::Integer(policy.is_built_in().into()),
        list(capabilities),
    ];
    row.extend(SETTINGS.iter().map(|s| number(policy.limits.value(s))));
    row.extend([
        Value::Integer(policy.audit_logging.into()),
        text(policy.audit_durability()),
        list(syscalls),
        policy.reviewed_by.as_ref().map_or(Value::Null, text),
    ]);
    row
}

fn limits() -> Vec<Row> {
    let settings = SETTINGS.iter().map(|setting| {
        let sqlstate = setting.limit.sqlstate();
        vec![
            text(setting.limit.name()),
            text(setting.key),
            text(setting.unit()),
            number(Limits::DEFAULT.value(setting)),
            number(Limits::MOST.value(setting)),
            text(format!("the call ends, {sqlstate}")),
        ]
    });
    let fixed = FIXED.iter().map(|fixed| {
        vec![
            text(fixed.name),
            Value::Null,
            text(fixed.unit),
            number(fixed.value),
            number(fixed.value),
            text(fixed.effect),
        ]
    });
    let bound_conditions = SETTINGS
        .iter()
        .filter(|setting| setting.bounds_conditions());
    let conditions = bound_conditions.map(|setting| {
        let value = number(Limits::CONDITION.value(setting));
        vec![
            text(format!("condition {}", setting.limit.name())),
            Value::Null,
            text(setting.unit()),
            value.clone(),
            value,
            text("the condition denies"),
        ]
    });
    let budget = vec![
        text("memory of all calls"),
        Value::Null,
        text("bytes"),
        number(MEMORY_BUDGET_BYTES),
        number(MEMORY_BUDGET_BYTES_MAX),
        text("a call waits as long as it may run, 53300; the hosting program may give another"),
    ];
    let all = settings.chain(conditions).chain(fixed);
    all.chain([budget]).collect()
}
