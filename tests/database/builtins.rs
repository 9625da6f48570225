//! SQL functions in a guest's statement: computations, clocks, dice, and procedures.

use super::{check, execute, probed, query};
use crate::support::{column, refuse, run, text, value};
use perihelion::Value;

#[test]
fn computations_need_no_grant() {
    let mut session = probed();
    check(
        &mut session,
        "q",
        &[
            ("SELECT upper('a') || hex(x'01') AS v", r#"[{"v":"A01"}]"#),
            (
                "SELECT json_extract('{\"a\":2}', '$.a') AS v",
                r#"[{"v":2}]"#,
            ),
            ("SELECT '{\"a\":2}' ->> 'a' AS v", r#"[{"v":2}]"#),
            ("SELECT 'abc' LIKE 'A%' AS v", r#"[{"v":1}]"#),
            ("SELECT 'abc' GLOB 'A*' AS v", r#"[{"v":0}]"#),
            ("SELECT max(name) AS v FROM users", r#"[{"v":"Bob"}]"#),
            (
                "SELECT row_number() OVER (ORDER BY id DESC) AS v FROM users",
                r#"[{"v":1},{"v":2}]"#,
            ),
            ("SELECT printf('%05.1f', 2.25) AS v", r#"[{"v":"002.3"}]"#),
            ("SELECT round(1.4142, 2) AS v", r#"[{"v":1.41}]"#),
        ],
    );
}

/// `date('2026-11-22')` is no other function to the authorizer than `date('now')`.
#[test]
fn d2_a_clock_needs_time_access_and_dice_are_refused() {
    let mut session = probed();
    let clocks = [
        ("SELECT date('now') > '2026' AS v", "date"),
        ("SELECT time('now') IS NOT NULL AS v", "time"),
        ("SELECT datetime() > '2026' AS v", "datetime"),
        ("SELECT julianday('now') > 2 AS v", "julianday"),
        ("SELECT unixepoch() > 2 AS v", "unixepoch"),
        ("SELECT strftime('%Y', 'now') > '2' AS v", "strftime"),
        (
            "SELECT timediff('now', '2000-01-01') > '+' AS v",
            "timediff",
        ),
        (
            "SELECT CURRENT_TIMESTAMP > '2026' AS v",
            "current_timestamp",
        ),
        ("SELECT CURRENT_DATE > '2026' AS v", "current_date"),
        ("SELECT CURRENT_TIME IS NOT NULL AS v", "current_time"),
        ("SELECT DateTime('2026-01-01') > '2026' AS v", "datetime"),
    ];
    for (sql, function) in clocks {
        assert_eq!(
            query(&mut session, sql),
            format!("denied TIME_ACCESS {function}"),
            "{sql}"
        );
    }
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY TIME_ACCESS",
    );
    for (sql, _) in clocks {
        assert_eq!(query(&mut session, sql), r#"[{"v":1}]"#, "{sql}");
    }
    check(
        &mut session,
        "q",
        &[
            ("SELECT random()", "denied RANDOM_ACCESS random"),
            (
                "SELECT hex(randomblob(4))",
                "denied RANDOM_ACCESS randomblob",
            ),
            (
                "SELECT id FROM users ORDER BY random()",
                "denied RANDOM_ACCESS random",
            ),
        ],
    );
}

#[test]
fn clocks_and_dice_of_the_schema_are_the_functions_that_use_them() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE TABLE stamped(id INTEGER, at TEXT DEFAULT CURRENT_TIMESTAMP);
         CREATE TABLE drawn(id INTEGER, n INTEGER DEFAULT (random()));
         CREATE TABLE computed(a TEXT, b TEXT AS (date(a)) STORED);
         CREATE TABLE touched(id INTEGER);
         CREATE TRIGGER touch AFTER INSERT ON touched
           BEGIN UPDATE touched SET id = unixepoch() WHERE id = new.id; END;
         CREATE VIEW today AS SELECT CURRENT_DATE AS day;
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('*');
         ALTER FUNCTION x GRANT CAPABILITY DATABASE_READ('*'), DATABASE_WRITE('*');",
    );
    check(
        &mut session,
        "x",
        &[
            (
                "INSERT INTO stamped(id) VALUES (1)",
                "denied TIME_ACCESS current_timestamp",
            ),
            ("INSERT INTO stamped VALUES (1, 'given')", "1"),
            (
                "INSERT INTO drawn(id) VALUES (1)",
                "denied RANDOM_ACCESS random",
            ),
            (
                "INSERT INTO touched VALUES (1)",
                "denied TIME_ACCESS unixepoch",
            ),
            // SQLite itself keeps clocks out of generated columns.
            (
                "INSERT INTO computed(a) VALUES ('now')",
                "invalid non-deterministic use of date()…",
            ),
            ("INSERT INTO computed(a) VALUES ('2026-01-01')", "1"),
        ],
    );
    assert_eq!(
        query(&mut session, "SELECT * FROM today"),
        "denied TIME_ACCESS current_date"
    );
    run(
        &mut session,
        "ALTER FUNCTION x GRANT CAPABILITY TIME_ACCESS",
    );
    assert_eq!(
        execute(&mut session, "INSERT INTO stamped(id) VALUES (2)"),
        "1"
    );
    assert_eq!(execute(&mut session, "INSERT INTO touched VALUES (1)"), "1");
}

#[test]
fn functions_that_nobody_has_looked_at_are_refused() {
    let mut session = probed();
    for function in [
        "changes()",
        "total_changes()",
        "last_insert_rowid()",
        "load_extension('x')",
        "sqlite_version()",
        "sqlite_source_id()",
        "sqlite_compileoption_get(1)",
        "sqlite_offset(1)",
        "fts3_tokenizer('simple')",
        "rtreecheck('users')",
    ] {
        let name = function.split('(').next().unwrap();
        let answer = query(&mut session, &format!("SELECT {function}"));
        let unknown = format!("failed 42883 no such function: {name}");
        assert!(
            [format!("denied CALL_FUNCTION {name}"), unknown].contains(&answer),
            "{answer}"
        );
    }
    assert!(query(&mut session, "SELECT nothing_of_the_kind()").starts_with("failed 42883"));
}

#[test]
fn d10_a_statement_of_a_guest_calls_no_procedure_however_it_is_hidden() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE FUNCTION g() RETURNS BIGINT LANGUAGE javascript AS $$ function g() { return 7; } $$;
         CREATE VIEW hidden AS SELECT g() AS n;
         CREATE TABLE t(id INTEGER, n INTEGER DEFAULT (g()));
         CREATE TABLE u(id INTEGER);
         CREATE TRIGGER calls AFTER INSERT ON u BEGIN SELECT g(); END;
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('*');
         ALTER FUNCTION x GRANT CAPABILITY DATABASE_READ('*'), DATABASE_WRITE('*');",
    );
    let refused = "denied CALL_FUNCTION g";
    check(
        &mut session,
        "q",
        &[
            ("SELECT g()", refused),
            ("SELECT \"G\"()", refused),
            ("SELECT id FROM users WHERE g() = id", refused),
            ("SELECT id FROM users ORDER BY g()", refused),
            ("SELECT * FROM hidden", refused),
            ("SELECT q('SELECT 1', '[]')", "denied CALL_FUNCTION q"),
        ],
    );
    check(
        &mut session,
        "x",
        &[
            ("UPDATE users SET name = g()", refused),
            ("INSERT INTO t(id) VALUES (1)", refused),
            ("INSERT INTO u VALUES (1)", refused),
        ],
    );
    assert_eq!(
        value(&mut session, "SELECT n FROM hidden"),
        Value::Integer(7)
    );
    let calls = "SELECT count(*) FROM heliosdb.audit_log
                 WHERE function_name = 'g' AND event_type = 'ExecutionStarted'";
    assert_eq!(value(&mut session, calls), Value::Integer(1));
}

#[test]
fn functions_whose_names_differ_in_case_only_are_refused() {
    let mut session = probed();
    let body = "RETURNS TEXT LANGUAGE javascript AS $$ export default () => 'the other' $$";
    refuse(
        &mut session,
        &format!("CREATE FUNCTION \"Q\"(a TEXT, b JSON) {body}"),
        "42723",
    );
    run(&mut session, &format!("CREATE FUNCTION \"Mixed\"() {body}"));
    refuse(
        &mut session,
        &format!("CREATE FUNCTION mixed() {body}"),
        "42723",
    );
    assert_eq!(text(&mut session, "SELECT mixed()"), "the other");
    assert_eq!(query(&mut session, "SELECT 1 AS n"), r#"[{"n":1}]"#);
    assert_eq!(
        column(&mut session, "SELECT name FROM heliosdb.functions"),
        ["Mixed", "q", "x"]
    );
}
