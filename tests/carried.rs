//! What the host calls of one execution may carry together, and what one execution may
//! write to the log.

use crate::support::{refuse, run, session_with_users, text, value};
use perihelion::{Session, Value};

/// Functions on a table of ten rows: `read(n)` asks for one row n times, `range(n)` for n
/// rows at once, `write(n)` writes n times. None lets a failure through.
fn prepared() -> Session {
    let mut session = session_with_users();
    run(
        &mut session,
        "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT);
         INSERT INTO item SELECT value, 'x' FROM generate_series(1, 10);
         CREATE FUNCTION read(n BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
           function read(n) {
             let rows = 0;
             for (let i = 0; i < n; i++)
               try { rows += heliosdb.query('SELECT name FROM item WHERE id = 1').rowCount; } catch {}
             return rows;
           }
         $$;
         CREATE FUNCTION range(n BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
           function range(n) {
             try { return heliosdb.query('SELECT name FROM item WHERE id <= ?', [n]).rows.length; }
             catch { return -1; }
           }
         $$;
         CREATE FUNCTION write(n BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
           function write(n) {
             for (let i = 0; i < n; i++)
               try { heliosdb.execute('UPDATE item SET name = ? WHERE id = 1', ['y']); } catch {}
             return n;
           }
         $$;
         ALTER FUNCTION read GRANT CAPABILITY DATABASE_READ('item');
         ALTER FUNCTION range GRANT CAPABILITY DATABASE_READ('item');
         ALTER FUNCTION write GRANT CAPABILITY DATABASE_READ('item'), DATABASE_WRITE('item');"
            .replace("SELECT value, 'x' FROM generate_series(1, 10)", TEN)
            .as_str(),
    );
    session
}

const TEN: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
                   SELECT i, 'x' FROM n";

/// What EXPLAIN (ANALYZE) says that a resource's use was, of how much.
fn explained(session: &mut Session, call: &str, resource: &str) -> (String, String) {
    let outcome = run(session, &format!("EXPLAIN (ANALYZE) SELECT {call}"));
    let name = Value::Text(resource.to_string());
    let row = outcome.rows.into_iter().find(|row| row[1] == name);
    match &row.unwrap()[2..4] {
        [Value::Text(used), Value::Text(limit)] => (used.clone(), limit.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn h63_the_rows_of_an_execution_are_limited_to_the_row() {
    let mut session = prepared();
    run(
        &mut session,
        "ALTER FUNCTION range SET (max_rows = 4); ALTER FUNCTION read SET (max_rows = 4);",
    );
    assert_eq!(value(&mut session, "SELECT range(4)"), Value::Integer(4));
    let (used, limit) = explained(&mut session, "range(4)", "row");
    assert_eq!((used.as_str(), limit.as_str()), ("4 rows", "4 rows"));
    let error = refuse(&mut session, "SELECT range(5)", "53200");
    assert_eq!(
        error.message(),
        "function \"range\" was ended: row limit of 4 rows reached (5 rows needed; \
         function \"range\", max_rows)"
    );
    assert_eq!(
        error.hint(),
        Some("ALTER FUNCTION range SET (max_rows = 8);")
    );
    // Of all its queries together, and of all rows of a statement.
    assert_eq!(value(&mut session, "SELECT read(4)"), Value::Integer(4));
    refuse(&mut session, "SELECT read(5)", "53200");
    refuse(&mut session, "SELECT read(3) FROM users", "53200");
    assert_eq!(
        value(&mut session, "SELECT sum(read(2)) FROM users"),
        Value::Integer(4)
    );
}

#[test]
fn h63_the_bytes_of_an_execution_are_limited_to_the_byte() {
    let mut session = prepared();
    let (used, limit) = explained(&mut session, "read(3)", "host bytes");
    assert_eq!(limit, "512 MiB");
    let used: u64 = used.trim_end_matches(" bytes").parse().unwrap();
    run(
        &mut session,
        &format!("ALTER FUNCTION read SET (max_host_bytes = {used})"),
    );
    assert_eq!(value(&mut session, "SELECT read(3)"), Value::Integer(3));
    run(
        &mut session,
        &format!("ALTER FUNCTION read SET (max_host_bytes = {})", used - 1),
    );
    let error = refuse(&mut session, "SELECT read(3)", "53200");
    assert!(
        error.message().contains("host bytes limit of "),
        "{error:?}"
    );
    let logged = "SELECT json_extract(detail, '$.resource') FROM heliosdb.audit_log
                  WHERE event_type = 'ResourceLimitExceeded'";
    assert_eq!(text(&mut session, logged), "host bytes");
    assert_eq!(value(&mut session, "SELECT read(2)"), Value::Integer(2));
}

fn entries_of_last_execution(session: &mut Session) -> i64 {
    let count = "SELECT count(*) FROM heliosdb.audit_log WHERE execution_id = (
                   SELECT execution_id FROM heliosdb.audit_log
                   WHERE event_type LIKE 'Execution%' ORDER BY seq DESC LIMIT 1)";
    match value(session, count) {
        Value::Integer(count) => count,
        other => panic!("{other:?}"),
    }
}

#[test]
fn h63_a_flood_of_entries_ends_the_execution_and_the_chain_verifies() {
    let mut session = prepared();
    run(
        &mut session,
        "ALTER FUNCTION write SET (max_audit_entries = 50)",
    );
    // Its start, and two checks.
    assert_eq!(value(&mut session, "SELECT write(47)"), Value::Integer(47));
    assert_eq!(entries_of_last_execution(&mut session), 51);
    run(&mut session, "UPDATE item SET name = 'z'");
    let error = refuse(&mut session, "SELECT write(1000)", "53400");
    assert_eq!(
        error.message(),
        "function \"write\" was ended: audit entry limit of 50 entries reached (51 entries \
         needed; function \"write\", max_audit_entries)"
    );
    // What was one too many, the limit, the end. Nothing is missing, nothing was written.
    assert_eq!(entries_of_last_execution(&mut session), 53);
    assert_eq!(text(&mut session, "SELECT DISTINCT name FROM item"), "z");
    let (used, limit) = explained(&mut session, "write(1)", "audit entry");
    assert_eq!((used.as_str(), limit.as_str()), ("4 entries", "50 entries"));
}

#[test]
fn h63_entries_of_a_policy_without_logging_are_not_many() {
    let mut session = prepared();
    run(
        &mut session,
        "CREATE SECURITY POLICY quiet AS (
           capabilities: [DATABASE_READ('item'), DATABASE_WRITE('item')],
           audit_logging: false, max_audit_entries: 10);
         ALTER FUNCTION write SET SECURITY POLICY quiet;",
    );
    assert_eq!(
        value(&mut session, "SELECT write(1000)"),
        Value::Integer(1000)
    );
    run(
        &mut session,
        "ALTER SECURITY POLICY quiet SET (audit_logging = true)",
    );
    refuse(&mut session, "SELECT write(1000)", "53400");
}
