//! Which entries an execution leaves.

use super::{audited, detail, events};
use crate::support::{column, refuse, run, session_for_any_text, text, value, vault};
use perihelion::Value;

#[test]
fn h24_every_execution_starts_once_and_ends_once() {
    let mut session = audited();
    run(
        &mut session,
        "CREATE TABLE t(id INTEGER); INSERT INTO t VALUES (1), (2), (3);
         SELECT reads(1); SELECT reads(id) FROM t; SELECT reads(1), writes(77);
         UPDATE t SET id = id WHERE reads(id) <> ''; CALL refused(2);
         BEGIN; SELECT writes(78); ROLLBACK;",
    );
    session.call("reads", &[Value::Integer(1)]).unwrap();
    session.call("fails", &[]).unwrap_err();
    refuse(&mut session, "SELECT fails()", "38000");
    refuse(&mut session, "SELECT bomb()", "53200");
    refuse(&mut session, "SELECT reads(id), writes(1) FROM t", "38000");
    refuse(&mut session, "SELECT writes(1) FROM t", "38000");
    let ends = "SELECT count(*) AS executions,
        sum(starts <> 1), sum(ends <> 1), sum(names <> 1), sum(first <> 'ExecutionStarted')
        FROM (SELECT execution_id, sum(event_type = 'ExecutionStarted') AS starts,
                sum(event_type IN ('ExecutionCompleted', 'ExecutionFailed')) AS ends,
                count(DISTINCT function_name) AS names,
                min(printf('%08d', seq) || event_type) AS m,
                substr(min(printf('%08d', seq) || event_type), 9) AS first
              FROM heliosdb.audit_log WHERE event_type <> 'FunctionChanged' GROUP BY execution_id)";
    let outcome = run(&mut session, ends);
    let zero = Value::Integer(0);
    assert_eq!(
        outcome.rows[0],
        [
            Value::Integer(14),
            zero.clone(),
            zero.clone(),
            zero.clone(),
            zero
        ]
    );
    assert_eq!(
        column(
            &mut session,
            "SELECT function_name || ' ' || count(*) FROM heliosdb.audit_log
             WHERE event_type = 'ExecutionFailed' GROUP BY function_name ORDER BY 1"
        ),
        ["bomb 1", "fails 2", "reads 1", "writes 2"]
    );
}

#[test]
fn d15_a_use_within_one_statement_is_one_execution() {
    let mut session = audited();
    run(
        &mut session,
        "CREATE TABLE t(id INTEGER); INSERT INTO t VALUES (1), (2), (7)",
    );
    assert_eq!(
        column(&mut session, "SELECT reads(id) IS NULL FROM t"),
        ["0", "0", "1"]
    );
    assert_eq!(
        events(&mut session, "reads"),
        [
            "ExecutionStarted",
            "CapabilityCheck DATABASE_READ main.users yes",
            "DatabaseOperation main.users",
            "ExecutionCompleted",
        ]
    );
    for (event, path, expected) in [
        ("DatabaseOperation", "operation", "SELECT"),
        ("DatabaseOperation", "runs", "3"),
        ("DatabaseOperation", "rows", "2"),
        ("ExecutionCompleted", "invocations", "3"),
        ("ExecutionCompleted", "checks_allowed", "3"),
        ("ExecutionCompleted", "checks_denied", "0"),
    ] {
        assert_eq!(
            detail(&mut session, event, path),
            expected,
            "{event} {path}"
        );
    }
    run(&mut session, "SELECT writes(id + 10) FROM t");
    assert_eq!(
        events(&mut session, "writes"),
        [
            "ExecutionStarted",
            "CapabilityCheck DATABASE_WRITE main.users yes",
            "DatabaseOperation main.users",
            "DatabaseOperation main.users",
            "DatabaseOperation main.users",
            "ExecutionCompleted",
        ]
    );
    assert_eq!(detail(&mut session, "DatabaseOperation", "runs"), "1");
    assert_eq!(
        detail(&mut session, "DatabaseOperation", "operation"),
        "INSERT"
    );
}

#[test]
fn h25_every_denial_is_recorded_and_beyond_a_hundred_counted() {
    let mut session = audited();
    assert_eq!(text(&mut session, "SELECT refused(3)"), "went on");
    assert_eq!(
        events(&mut session, "refused"),
        [
            "ExecutionStarted",
            "CapabilityCheck DATABASE_READ main.secrets no",
            "CapabilityCheck DATABASE_READ main.secrets no",
            "CapabilityCheck DATABASE_READ main.secrets no",
            "ExecutionCompleted",
        ]
    );
    assert_eq!(
        detail(&mut session, "ExecutionCompleted", "checks_denied"),
        "3"
    );
    run(&mut session, "SELECT refused(150)");
    assert_eq!(events(&mut session, "refused").len(), 102);
    assert_eq!(
        detail(&mut session, "ExecutionCompleted", "checks_denied"),
        "150"
    );
}

/// What a function did for the first rows is recorded, however the statement ends.
#[test]
fn d15_an_error_between_two_invocations_loses_no_entry() {
    let mut session = audited();
    run(
        &mut session,
        "CREATE TABLE t(id); INSERT INTO t VALUES (2), ('not a number')",
    );
    refuse(&mut session, "SELECT refused(id) FROM t", "22P02");
    assert_eq!(
        events(&mut session, "refused"),
        [
            "ExecutionStarted",
            "CapabilityCheck DATABASE_READ main.secrets no",
            "CapabilityCheck DATABASE_READ main.secrets no",
            "ExecutionFailed",
        ]
    );
    refuse(
        &mut session,
        "SELECT writes(id + 20), refused(1), iif(id = 2, 1, fails()) FROM t",
        "38000",
    );
    for function in ["writes", "refused", "fails"] {
        let events = events(&mut session, function);
        assert_eq!(
            events.last().map(String::as_str),
            Some("ExecutionFailed"),
            "{function}"
        );
    }
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM users"),
        Value::Integer(2)
    );
}

#[test]
fn h26_a_broken_limit_is_recorded_with_what_it_was() {
    let mut session = audited();
    refuse(&mut session, "SELECT bomb()", "53200");
    assert_eq!(
        events(&mut session, "bomb"),
        [
            "ExecutionStarted",
            "ResourceLimitExceeded",
            "ExecutionFailed"
        ]
    );
    for (path, expected) in [("resource", "memory"), ("limit", "16777216")] {
        assert_eq!(
            detail(&mut session, "ResourceLimitExceeded", path),
            expected
        );
    }
    let observed = detail(&mut session, "ResourceLimitExceeded", "observed");
    assert!(observed.parse::<u64>().unwrap() > 16 << 20);
    assert_eq!(detail(&mut session, "ExecutionFailed", "sqlstate"), "53200");
    run(&mut session, "SELECT reads(1)");
    let count =
        "SELECT count(*) FROM heliosdb.audit_log WHERE event_type = 'ResourceLimitExceeded'";
    assert_eq!(value(&mut session, count), Value::Integer(1));
}

/// The digest is of the text, so that who has the text can find its runs.
#[test]
fn h27_a_database_operation_names_its_tables_and_the_digest_of_its_text() {
    let mut session = audited();
    run(&mut session, "SELECT reads(1)");
    let sql = "SELECT name FROM users WHERE id = ?";
    let digest = &blake3::hash(sql.as_bytes()).to_hex()[..32];
    assert_eq!(
        detail(&mut session, "DatabaseOperation", "statement"),
        digest
    );
    assert_eq!(
        text(
            &mut session,
            "SELECT group_concat(j.key) FROM heliosdb.audit_log AS l, json_each(l.detail) AS j
             WHERE l.event_type = 'DatabaseOperation'"
        ),
        "operation,runs,rows,statement,reads,writes"
    );
}

#[test]
fn h9_a_change_of_a_grant_is_recorded_with_who_made_it() {
    let vault = vault();
    let mut session = vault.session_as("alice").unwrap();
    run(
        &mut session,
        "CREATE FUNCTION f() LANGUAGE javascript AS $$ function f() { } $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), TIME_ACCESS;
         ALTER FUNCTION f DENY CAPABILITY DATABASE_WRITE('*');
         ALTER FUNCTION f REVOKE CAPABILITY TIME_ACCESS;
         ALTER FUNCTION f SET ENABLED = false; DROP FUNCTION f;",
    );
    assert_eq!(
        column(
            &mut session,
            "SELECT json_extract(detail, '$.action') || coalesce(' ' || capability, '')
                    || coalesce(' ' || target, '') || ' ' || caller
             FROM heliosdb.audit_log WHERE event_type = 'FunctionChanged' ORDER BY seq"
        ),
        [
            "CREATE alice",
            "GRANT DATABASE_READ users alice",
            "GRANT TIME_ACCESS alice",
            "DENY DATABASE_WRITE * alice",
            "REVOKE TIME_ACCESS alice",
            "SET ENABLED alice",
            "DROP alice",
        ]
    );
    refuse(
        &mut session,
        "ALTER FUNCTION f REVOKE CAPABILITY TIME_ACCESS",
        "42883",
    );
    assert_eq!(vault.verify_audit_log().unwrap().entries, 7);
}

#[test]
fn h27_a_database_operation_names_all_that_it_reads_and_writes() {
    let mut session = session_for_any_text();
    run(
        &mut session,
        "CREATE TABLE \"a,main.b\"(id INTEGER, \"q\"\"\" TEXT); CREATE VIEW names AS SELECT name FROM users;
         CREATE TABLE log(id INTEGER);
         CREATE TRIGGER logs AFTER UPDATE ON \"a,main.b\" BEGIN DELETE FROM log; END;
         CREATE FUNCTION runs(sql TEXT) LANGUAGE javascript AS $$
           function runs(sql) {
             const f = /^(SELECT|VALUES|WITH c AS MATERIALIZED)/.test(sql) ? 'query' : 'execute';
             heliosdb[f](sql);
           }
         $$;
         ALTER FUNCTION runs GRANT CAPABILITY DATABASE_READ('*'), DATABASE_WRITE('*')",
    );
    for (sql, operation, target, reads, writes) in [
        (
            "SELECT name FROM users",
            "SELECT",
            "main.users",
            r#"["main.users"]"#,
            "[]",
        ),
        ("VALUES (1)", "SELECT", "NULL", "[]", "[]"),
        (
            "WITH c AS MATERIALIZED (SELECT name FROM names) SELECT * FROM c, json_each('[1]')",
            "SELECT",
            "main.users,main.names",
            r#"["main.users","main.names"]"#,
            "[]",
        ),
        (
            "INSERT INTO \"a,main.b\"(id) SELECT id FROM users",
            "INSERT",
            r#"main."a,main.b""#,
            r#"["main.users"]"#,
            r#"["main.\"a,main.b\""]"#,
        ),
        (
            "WITH c AS (SELECT 1) REPLACE INTO users(id) SELECT * FROM c",
            "INSERT",
            "main.users",
            "[]",
            r#"["main.users"]"#,
        ),
        (
            "UPDATE \"a,main.b\" SET id = (SELECT max(id) FROM users)",
            "UPDATE",
            r#"main."a,main.b",main.log"#,
            r#"["main.users"]"#,
            r#"["main.\"a,main.b\"","main.log"]"#,
        ),
        (
            "/* x */ DELETE FROM log",
            "DELETE",
            "main.log",
            "[]",
            r#"["main.log"]"#,
        ),
    ] {
        session.call("runs", &[Value::Text(sql.into())]).expect(sql);
        assert_eq!(
            detail(&mut session, "DatabaseOperation", "operation"),
            operation,
            "{sql}"
        );
        assert_eq!(
            detail(&mut session, "DatabaseOperation", "reads"),
            reads,
            "{sql}"
        );
        assert_eq!(
            detail(&mut session, "DatabaseOperation", "writes"),
            writes,
            "{sql}"
        );
        let recorded = "SELECT coalesce(target, 'NULL') FROM heliosdb.audit_log
            WHERE event_type = 'DatabaseOperation' ORDER BY seq DESC LIMIT 1";
        assert_eq!(text(&mut session, recorded), target, "{sql}");
    }
}
