//! The log as SQL shows it.

use super::*;
use rusqlite::Connection;
use rusqlite::types::Value;

fn connect(log: &Arc<Log>) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch("ATTACH ':memory:' AS heliosdb")
        .unwrap();
    register(&connection, Arc::clone(log)).unwrap();
    connection
}

fn query(connection: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|i| row.get(i)).collect());
    rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

/// The values of the first column, which are integers.
fn integers(connection: &Connection, sql: &str) -> Vec<i64> {
    let integer = |row: &Vec<Value>| match row[0] {
        Value::Integer(integer) => integer,
        _ => panic!("{row:?} has no integer"),
    };
    query(connection, sql).iter().map(integer).collect()
}

/// Three executions: one is denied a table, one runs out of memory, one fails.
fn example(log: &Log) {
    let plain = Record {
        function_version: None,
        capability: None,
        target: None,
        allowed: None,
        detail: None,
        ..record(log)
    };
    let mut batch = Batch::new();
    for (name, event, allowed) in [
        ("sensitive_function", EventType::ExecutionStarted, None),
        ("sensitive_function", EventType::CapabilityCheck, Some(true)),
        (
            "sensitive_function",
            EventType::CapabilityCheck,
            Some(false),
        ),
        ("sensitive_function", EventType::ExecutionFailed, None),
        ("hungry", EventType::ExecutionStarted, None),
        ("hungry", EventType::ResourceLimitExceeded, None),
        ("hungry", EventType::ExecutionFailed, None),
        ("hungry", EventType::ExecutionStarted, None),
        ("hungry", EventType::ExecutionFailed, None),
        ("fine", EventType::ExecutionStarted, None),
        ("fine", EventType::ExecutionCompleted, None),
    ] {
        let capability = allowed.map(|_| "DATABASE_READ");
        batch.push(&Record {
            function_name: name,
            event,
            allowed,
            capability,
            ..plain
        });
    }
    log.append(&mut batch, Durability::Written).unwrap();
}

#[test]
fn the_documented_queries_run_as_they_are_written() {
    let log = Log::open(None).unwrap();
    example(&log);
    let connection = connect(&log);
    let of_function = "-- View audit log
        SELECT * FROM heliosdb.audit_log
        WHERE function_name = 'sensitive_function'
        ORDER BY timestamp DESC;";
    assert_eq!(integers(&connection, of_function), [4, 3, 2, 1]);
    let denied = "-- Find denied capability checks
        SELECT *
        FROM heliosdb.audit_log
        WHERE event_type = 'CapabilityCheck'
          AND allowed = false
        ORDER BY timestamp DESC
        LIMIT 100;";
    assert_eq!(integers(&connection, denied), [3]);
    let limits = "-- Find resource limit violations
        SELECT *
        FROM heliosdb.audit_log
        WHERE event_type = 'ResourceLimitExceeded'
        ORDER BY timestamp DESC;";
    assert_eq!(integers(&connection, limits), [6]);
    let failures = "-- Function execution failures
        SELECT
          function_name,
          COUNT(*) as failure_count,
          MIN(timestamp) as first_failure,
          MAX(timestamp) as last_failure
        FROM heliosdb.audit_log
        WHERE event_type = 'ExecutionFailed'
        GROUP BY function_name
        ORDER BY failure_count DESC;";
    let text = |text: &str| Value::Text(text.to_owned());
    let time = |seq: i64| {
        let sql = format!("SELECT timestamp FROM heliosdb.audit_log WHERE seq = {seq}");
        query(&connection, &sql).remove(0).remove(0)
    };
    let expected = [
        [text("hungry"), Value::Integer(2), time(7), time(9)],
        [
            text("sensitive_function"),
            Value::Integer(1),
            time(4),
            time(4),
        ],
    ];
    assert_eq!(query(&connection, failures), expected);
}

#[test]
fn every_column_is_shown() {
    let log = Log::open(None).unwrap();
    append(&log, &[record(&log)], Durability::Written).unwrap();
    let connection = connect(&log);
    let statement = connection
        .prepare("SELECT * FROM heliosdb.audit_log")
        .unwrap();
    let names = "seq timestamp execution_id function_name function_version caller event_type \
                 capability target allowed detail prev_hash hash";
    assert_eq!(
        statement.column_names().collect::<Vec<_>>().join(" "),
        names
    );
    let row = query(&connection, "SELECT * FROM heliosdb.audit_log").remove(0);
    let text = |text: &str| Value::Text(text.to_owned());
    let Value::Text(time) = &row[1] else {
        panic!("{row:?}")
    };
    assert_eq!(time.len(), "2026-01-31 23:59:59.000000".len());
    assert!(time.starts_with("20") && time.as_bytes()[10] == b' ' && time.as_bytes()[19] == b'.');
    assert_eq!(row[0], Value::Integer(1));
    assert_eq!(row[2..4], [text("0-1"), text("transfer_funds")]);
    assert_eq!(row[4..6], [Value::Integer(3), text("alice")]);
    assert_eq!(row[6..8], [text("CapabilityCheck"), text("DATABASE_READ")]);
    assert_eq!(row[8..10], [text("main.accounts"), Value::Integer(1)]);
    assert_eq!(row[10..12], [text(r#"{"uses":1}"#), text(&"0".repeat(64))]);
    let head: String = log
        .head()
        .unwrap()
        .head
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(row[12], text(&head));
    let uses = "SELECT json_extract(detail, '$.uses') FROM heliosdb.audit_log";
    assert_eq!(integers(&connection, uses), [1]);
}

#[test]
fn conditions_on_seq_are_right_for_any_value() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open_with(Some(directory.path()), 1000).unwrap();
    fill(&log, 20);
    let connection = connect(&log);
    for (condition, expected) in [
        ("seq = 7", (7..=7).collect::<Vec<i64>>()),
        ("seq >= 18", vec![18, 19, 20]),
        ("seq > 18", vec![19, 20]),
        ("18 < seq AND seq > 3", vec![19, 20]),
        ("seq > 3 AND seq = 9", vec![9]),
        ("seq BETWEEN 3 AND 5", vec![3, 4, 5]),
        ("seq IN (20, 3, 21)", vec![3, 20]),
        ("seq < 3", vec![1, 2]),
        ("rowid = 4", vec![4]),
        ("seq > 18.5", vec![19, 20]),
        ("seq > '18'", vec![19, 20]),
        ("seq > -1 AND seq < 2", vec![1]),
        ("seq = -1", vec![]),
        ("seq = NULL", vec![]),
        ("seq > 20", vec![]),
    ] {
        let sql = format!("SELECT seq FROM heliosdb.audit_log WHERE {condition} ORDER BY seq");
        assert_eq!(integers(&connection, &sql), expected, "{condition}");
    }
    let joined = "SELECT b.seq FROM heliosdb.audit_log a JOIN heliosdb.audit_log b
        ON b.seq = a.seq + 1 AND b.prev_hash = a.hash ORDER BY 1";
    assert_eq!(integers(&connection, joined), (2..=20).collect::<Vec<_>>());
}

#[test]
fn a_query_sees_the_log_as_it_was_when_it_began() {
    let log = Log::open(None).unwrap();
    fill(&log, 3);
    let connection = connect(&log);
    let mut statement = connection
        .prepare("SELECT seq FROM heliosdb.audit_log")
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut count = 0;
    while rows.next().unwrap().is_some() {
        fill(&log, 1);
        count += 1;
    }
    assert_eq!(count, 3);
    assert_eq!(
        integers(&connection, "SELECT count(*) FROM heliosdb.audit_log"),
        [6]
    );
}

#[test]
fn nothing_writes_the_log_and_nothing_else_shows_it() {
    let log = Log::open(None).unwrap();
    fill(&log, 2);
    let connection = connect(&log);
    for sql in [
        "INSERT INTO heliosdb.audit_log (seq) VALUES (3)",
        "UPDATE heliosdb.audit_log SET allowed = 1",
        "DELETE FROM heliosdb.audit_log",
        "CREATE VIRTUAL TABLE other USING perihelion_audit_log",
        "CREATE VIRTUAL TABLE heliosdb.other USING perihelion_audit_log",
        "CREATE VIRTUAL TABLE main.audit_log USING perihelion_audit_log",
        "SELECT * FROM perihelion_audit_log",
        "CREATE VIEW heliosdb.other AS SELECT * FROM audit_log; SELECT * FROM heliosdb.other",
    ] {
        assert!(connection.execute_batch(sql).is_err(), "{sql}");
    }
    assert_eq!(
        integers(&connection, "SELECT count(*) FROM heliosdb.audit_log"),
        [2]
    );
}

#[test]
fn a_damaged_log_fails_the_query() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(Some(directory.path())).unwrap();
    fill(&log, 3);
    let file = &segment_files(directory.path())[0];
    let mut bytes = std::fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(file, bytes).unwrap();
    let connection = connect(&log);
    let count = "SELECT count(*) FROM heliosdb.audit_log";
    let error = connection
        .query_row(count, [], |row| row.get::<_, i64>(0))
        .unwrap_err();
    assert_eq!(error.to_string(), "audit log is damaged at entry 3");
}
