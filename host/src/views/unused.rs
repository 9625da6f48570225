//! Grants that nobody uses, by the log: what `heliosdb.unused_grants` shows.
//!
//! It reads the whole log each time, as a query of the log does.

use super::rows::{Row, text};
use crate::audit::{Entry, EventType, Log, now_microseconds, timestamp_text};
use crate::capability::Grant;
use crate::catalog::Catalog;
use crate::database::grant::covers_target;
use crate::error::Result;
use crate::function::Function;
use rusqlite::types::Value;
use std::collections::HashMap;

const DAY_MICROSECONDS: i64 = 24 * 60 * 60 * 1_000_000;

/// What the log says of functions: when something happened last, in microseconds.
#[derive(Default)]
struct History {
    /// By function and capability: each target that was allowed.
    uses: HashMap<(String, String), HashMap<String, i64>>,
    /// By function, and grant or policy as the log has them.
    given: HashMap<(String, String), i64>,
}

/// Each grant that was never used, or not within the last day.
pub(super) fn rows(catalog: &Catalog, log: &Log) -> Result<Vec<Row>> {
    let mut history = History::default();
    for entry in log.entries(0)? {
        history.note(entry?);
    }
    let now = now_microseconds();
    let functions = catalog.functions();
    let rows = functions.iter().flat_map(|f| history.unused(f, now));
    Ok(rows.collect())
}

impl History {
    fn note(&mut self, entry: Entry) {
        let capability = entry.capability.unwrap_or_default();
        let target = entry.target.unwrap_or_default();
        match entry.event_type {
            EventType::CapabilityCheck if entry.allowed == Some(true) => {
                let uses = self.uses.entry((entry.function_name, capability));
                uses.or_default().insert(target, entry.timestamp);
            }
            EventType::FunctionChanged => {
                let detail = entry.detail.unwrap_or_default();
                let what = if detail.contains("\"action\":\"GRANT\"") {
                    format!("{capability} {target}")
                } else if detail.contains("\"action\":\"SET SECURITY POLICY\"") {
                    String::new()
                } else {
                    return;
                };
                self.given
                    .insert((entry.function_name, what), entry.timestamp);
            }
            _ => {}
        }
    }

    fn unused(&self, function: &Function, now: i64) -> Vec<Row> {
        let authority = &function.authority;
        let policy = authority.policy.capabilities.iter();
        let policy = policy.map(|grant| ("POLICY", grant, String::new()));
        let own = authority.grants.iter().map(|grant| {
            let pattern = grant.pattern().map(ToString::to_string).unwrap_or_default();
            (
                "GRANT",
                grant,
                format!("{} {pattern}", grant.capability().name()),
            )
        });
        let mut rows = Vec::new();
        for (kind, grant, what) in policy.chain(own) {
            let given = self.given.get(&(function.name.clone(), what)).copied();
            let used = self.last_use(&function.name, grant);
            if used.is_none_or(|used| now - used >= DAY_MICROSECONDS) {
                rows.push(row(function, kind, grant, (given, used, now)));
            }
        }
        rows
    }

    fn last_use(&self, function: &str, grant: &Grant) -> Option<i64> {
        let capability = grant.capability().name().to_string();
        let uses = self.uses.get(&(function.to_string(), capability))?;
        let covers = |target: &str| grant.pattern().is_none_or(|p| covers_target(p, target));
        let uses = uses.iter().filter(|(target, _)| covers(target));
        uses.map(|(_, at)| *at).max()
    }
}

fn row(
    function: &Function,
    kind: &str,
    grant: &Grant,
    (given, used, now): (Option<i64>, Option<i64>, i64),
) -> Row {
    let time = |at: Option<i64>| at.map_or(Value::Null, |at| text(timestamp_text(at)));
    let since = used.or(given);
    vec![
        text(&function.name),
        text(kind),
        text(grant.capability().name()),
        grant.pattern().map_or(Value::Null, |p| text(p.to_string())),
        time(given),
        time(used),
        since.map_or(Value::Null, |since| {
            Value::Integer((now - since).max(0) / DAY_MICROSECONDS)
        }),
    ]
}
