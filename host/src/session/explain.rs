//! EXPLAIN (ANALYZE) and CALL … WITH (explain): runs a statement, and shows what each
//! function in it cost instead of what it gave.

use super::core::SessionCore;
use super::{Outcome, Session};
use crate::error::Result;
use crate::execution::meter::Cost;
use crate::function::Function;
use crate::limits::{Limit, Setting, quantity};
use crate::types::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// What one execution cost.
pub(crate) struct Report {
    pub(crate) function: Arc<Function>,
    pub(crate) invocations: u64,
    pub(crate) cost: Cost,
}

/// The executions of a statement that is explained; none for any other.
#[derive(Default)]
pub(crate) struct Reports(Mutex<Option<Vec<Report>>>);

const COLUMNS: [&str; 5] = ["function_name", "resource", "used", "limit", "share"];

impl Reports {
    fn replace(&self, reports: Option<Vec<Report>>) -> Vec<Report> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *held, reports).unwrap_or_default()
    }

    fn push(&self, report: Report) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reports) = &mut *held {
            reports.push(report);
        }
    }
}

impl SessionCore {
    /// Takes note of an execution that ended, if its statement is explained.
    pub(crate) fn report(&self, function: &Arc<Function>, invocations: u64, cost: &Cost) {
        self.reports.push(Report {
            function: Arc::clone(function),
            invocations,
            cost: *cost,
        });
    }
}

impl Session {
    /// Runs the statement, whose effects stay, and gives the costs in place of its rows.
    pub(super) fn explain_analyze(
        &mut self,
        sql: &str,
        command: String,
        params: &[Value],
    ) -> Result<Outcome> {
        self.core.reports.replace(Some(Vec::new()));
        let outcome = self.run_sql(sql, command, params);
        let mut reports = self.core.reports.replace(None);
        let outcome = outcome?;
        reports.sort_by(|a, b| a.function.name.cmp(&b.function.name));
        Ok(Outcome {
            command: "EXPLAIN".to_string(),
            columns: COLUMNS.map(str::to_string).to_vec(),
            rows: reports.iter().flat_map(rows).collect(),
            affected: None,
            notices: outcome.notices,
        })
    }
}

fn rows(report: &Report) -> Vec<Vec<Value>> {
    let cost = &report.cost;
    let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(0);
    let bounded = [
        (Limit::Instructions, cost.instructions),
        (Limit::CpuTime, nanoseconds(cost.cpu_time)),
        (Limit::WallTime, nanoseconds(cost.wall_time)),
        (Limit::Memory, cost.memory_bytes_peak),
        (Limit::HostBytes, cost.host_bytes),
        (Limit::Rows, cost.rows),
        (Limit::AuditEntries, cost.audit_entries),
    ];
    let settings = bounded.into_iter().filter_map(|(limit, used)| {
        let setting = Setting::for_limit(limit)?;
        Some(bounded_row(report, setting, used))
    });
    let counted = [
        ("invocations", report.invocations.to_string()),
        ("host calls", cost.host_calls.to_string()),
    ];
    let counted = counted
        .into_iter()
        .map(|(resource, used)| row(report, resource, used, Value::Null, Value::Null));
    settings.chain(counted).collect()
}

fn bounded_row(report: &Report, setting: &Setting, used: u64) -> Vec<Value> {
    let allowed = report.function.limits.value(setting);
    let allowed = match setting.limit {
        Limit::CpuTime | Limit::WallTime => allowed.saturating_mul(1_000_000),
        _ => allowed,
    };
    let share = used as f64 / allowed as f64 * 100.0;
    row(
        report,
        setting.limit.name(),
        used_text(setting.limit, used),
        Value::Text(quantity(setting.limit, allowed)),
        Value::Text(format!("{share:.2} %")),
    )
}

/// What most calls use is little of what they may.
fn used_text(limit: Limit, used: u64) -> String {
    match limit {
        Limit::CpuTime | Limit::WallTime => format!("{:.3} ms", used as f64 / 1e6),
        limit => quantity(limit, used),
    }
}

fn row(report: &Report, resource: &str, used: String, limit: Value, share: Value) -> Vec<Value> {
    vec![
        Value::Text(report.function.name.clone()),
        Value::Text(resource.to_string()),
        Value::Text(used),
        limit,
        share,
    ]
}
