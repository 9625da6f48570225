//! Triggers that call functions: the client's statement fires them, and is the unit.

use crate::support::{column, refuse, run, session, text, value};
use perihelion::{Session, Value};

/// A trigger that calls a function which writes, and fails over 'bad'.
const SCRIPT: &str = "
CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT);
CREATE TABLE journal (line TEXT);
CREATE FUNCTION journalize(item TEXT) RETURNS BIGINT LANGUAGE javascript AS $$
  let lines = 0;
  function journalize(item) {
    heliosdb.execute('INSERT INTO journal VALUES (?)', [`${++lines}: ${item}`]);
    if (item === 'bad') throw new Error('bad item');
    return lines;
  }
$$;
ALTER FUNCTION journalize GRANT CAPABILITY DATABASE_WRITE('journal');
CREATE TRIGGER ordered AFTER INSERT ON orders BEGIN SELECT journalize(NEW.item); END;
";

fn orders() -> Session {
    let mut session = session();
    run(&mut session, SCRIPT);
    session
}

fn executions(session: &mut Session) -> String {
    text(
        session,
        "SELECT group_concat(event_type || ' ' || coalesce(json_extract(detail, '$.invocations'), ''), ', ')
         FROM (SELECT * FROM heliosdb.audit_log
               WHERE function_name = 'journalize' AND event_type LIKE 'Execution%' ORDER BY seq)",
    )
}

#[test]
fn d12_a_trigger_calls_a_function_within_its_statement() {
    let mut session = orders();
    run(
        &mut session,
        "INSERT INTO orders(item) VALUES ('a'), ('b'), ('c')",
    );
    // One instance and one record for all rows of the statement.
    assert_eq!(
        column(&mut session, "SELECT line FROM journal"),
        ["1: a", "2: b", "3: c"]
    );
    assert_eq!(
        executions(&mut session),
        "ExecutionStarted , ExecutionCompleted 3"
    );
}

#[test]
fn d12_a_failure_in_a_trigger_takes_the_statement_back_and_no_more() {
    let mut session = orders();
    let statement = "INSERT INTO orders(item) VALUES ('a'), ('bad'), ('c')";
    let failure = refuse(&mut session, statement, "38000");
    assert!(failure.message().ends_with("Error: bad item"), "{failure}");
    assert!(!session.in_transaction());
    for (begin, end) in [("BEGIN", "COMMIT"), ("SAVEPOINT s", "RELEASE s")] {
        run(&mut session, begin);
        run(&mut session, "INSERT INTO orders(item) VALUES ('before')");
        refuse(&mut session, statement, "38000");
        assert!(session.in_transaction());
        run(&mut session, end);
        assert_eq!(
            column(&mut session, "SELECT line FROM journal"),
            ["1: before"]
        );
        run(&mut session, "DELETE FROM journal; DELETE FROM orders");
    }
    assert!(executions(&mut session).contains("ExecutionFailed 2"));
}

/// The limits are the statement's, however many rows there are.
#[test]
fn h13_the_limits_hold_for_the_statement_as_a_whole() {
    let mut session = orders();
    run(
        &mut session,
        "CREATE FUNCTION busy(n BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
           function busy(n) { let s = 0; for (let i = 0; i < 20000; i++) s += i; return s; }
         $$;
         ALTER FUNCTION busy SET (max_instructions = 20000000);
         CREATE TRIGGER checked BEFORE INSERT ON orders BEGIN SELECT busy(NEW.id); END;
         INSERT INTO orders VALUES (1, 'one')",
    );
    let rows = "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
                INSERT INTO orders SELECT i, 'many' FROM n";
    let ended = refuse(&mut session, rows, "57014");
    assert!(
        ended.message().contains("instruction limit of 20,000,000"),
        "{ended}"
    );
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM orders"),
        Value::Integer(1)
    );
}

#[test]
fn d10_a_guest_fires_no_trigger_that_calls_a_function() {
    let mut session = orders();
    run(
        &mut session,
        "CREATE FUNCTION run_sql(sql TEXT) RETURNS TEXT LANGUAGE javascript AS $$
           function run_sql(sql) {
             return JSON.stringify(sql.startsWith('SELECT')
               ? heliosdb.query(sql).rows : heliosdb.execute(sql));
           }
         $$;
         CREATE VIEW journalized AS SELECT journalize(item) AS line FROM orders;
         ALTER FUNCTION run_sql GRANT CAPABILITY DATABASE_WRITE('orders'), DATABASE_WRITE('journal'),
           DATABASE_READ('orders'), DATABASE_READ('journalized')",
    );
    for sql in [
        "INSERT INTO orders(item) SELECT item FROM orders",
        "SELECT journalize(item) FROM orders",
        "SELECT line FROM journalized",
        "SELECT item FROM orders ORDER BY run_sql(item)",
    ] {
        let refused = refuse(&mut session, &format!("SELECT run_sql('{sql}')"), "42501");
        let message = refused.message();
        assert!(
            message.contains("may not call the SQL function"),
            "{message}"
        );
    }
    // Nor does it begin or end a transaction inside the statement that calls it.
    run(
        &mut session,
        "CREATE TABLE requests (sql TEXT);
         CREATE TRIGGER requested AFTER INSERT ON requests BEGIN SELECT run_sql(NEW.sql); END;
         ALTER FUNCTION run_sql SET ENABLED = true",
    );
    for sql in ["SAVEPOINT s", "COMMIT", "ROLLBACK"] {
        let failure = refuse(
            &mut session,
            &format!("INSERT INTO requests VALUES ('{sql}')"),
            "38000",
        );
        assert!(
            failure.message().contains("a procedure may not run"),
            "{failure}"
        );
    }
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM requests"),
        Value::Integer(0)
    );
    assert!(column(&mut session, "SELECT line FROM journal").is_empty());
}
