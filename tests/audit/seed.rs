//! The queries of the seed document, as they stand there.

use super::audited;
use crate::support::{column, refuse, run};
use perihelion::{Session, Value};

fn busy() -> Session {
    let mut session = audited();
    run(&mut session, "SELECT refused(120); SELECT reads(1)");
    for statement in ["SELECT fails()", "CALL fails()", "SELECT fails()"] {
        refuse(&mut session, statement, "38000");
    }
    refuse(&mut session, "SELECT bomb()", "53200");
    session
}

#[test]
fn h23_the_log_of_one_function_newest_first() {
    let mut session = busy();
    let outcome = run(
        &mut session,
        "SELECT * FROM heliosdb.audit_log
WHERE function_name = 'reads'
ORDER BY timestamp DESC;",
    );
    let column = |name: &str| {
        outcome
            .columns
            .iter()
            .position(|column| column == name)
            .unwrap()
    };
    let (seq, event, name) = (column("seq"), column("event_type"), column("function_name"));
    assert!(outcome.rows.is_sorted_by_key(|row| match row[seq] {
        Value::Integer(seq) => -seq,
        _ => panic!("{row:?}"),
    }));
    assert!(
        outcome
            .rows
            .iter()
            .all(|row| row[name] == Value::Text("reads".into()))
    );
    assert_eq!(
        outcome.rows[0][event],
        Value::Text("ExecutionCompleted".into())
    );
    assert_eq!(
        outcome.rows.last().unwrap()[event],
        Value::Text("FunctionChanged".into())
    );
}

#[test]
fn h74_denied_capability_checks() {
    let mut session = busy();
    let outcome = run(
        &mut session,
        "-- Find denied capability checks
SELECT *
FROM heliosdb.audit_log
WHERE event_type = 'CapabilityCheck'
  AND allowed = false
ORDER BY timestamp DESC
LIMIT 100;",
    );
    assert_eq!(outcome.rows.len(), 100);
    let allowed = outcome
        .columns
        .iter()
        .position(|name| name == "allowed")
        .unwrap();
    assert!(
        outcome
            .rows
            .iter()
            .all(|row| row[allowed] == Value::Integer(0))
    );
}

#[test]
fn h75_resource_limit_violations() {
    let mut session = busy();
    assert_eq!(
        column(
            &mut session,
            "SELECT function_name FROM (
-- Find resource limit violations
SELECT *
FROM heliosdb.audit_log
WHERE event_type = 'ResourceLimitExceeded'
ORDER BY timestamp DESC
);"
        ),
        ["bomb"]
    );
}

#[test]
fn h76_execution_failures_by_function() {
    let mut session = busy();
    let outcome = run(
        &mut session,
        "-- Function execution failures
SELECT
  function_name,
  COUNT(*) as failure_count,
  MIN(timestamp) as first_failure,
  MAX(timestamp) as last_failure
FROM heliosdb.audit_log
WHERE event_type = 'ExecutionFailed'
GROUP BY function_name
ORDER BY failure_count DESC;",
    );
    assert_eq!(
        outcome.columns,
        [
            "function_name",
            "failure_count",
            "first_failure",
            "last_failure"
        ]
    );
    let [fails, bomb] = &outcome.rows[..] else {
        panic!("{outcome:?}");
    };
    assert_eq!(fails[..2], [Value::Text("fails".into()), Value::Integer(3)]);
    assert_eq!(bomb[..2], [Value::Text("bomb".into()), Value::Integer(1)]);
    let (Value::Text(first), Value::Text(last)) = (&fails[2], &fails[3]) else {
        panic!("{fails:?}");
    };
    assert!(first < last);
    assert_eq!(bomb[2], bomb[3]);
}
