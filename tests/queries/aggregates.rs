//! Aggregates, which are made of functions.

use crate::support::{column, guest, refuse, run, session, text, value};
use perihelion::{Session, Value};

const SCRIPT: &str = "
CREATE FUNCTION add_up(state JSON, x DOUBLE PRECISION) RETURNS JSON STRICT LANGUAGE javascript AS $$
  function add_up([n, sum], x) { return [n + 1, sum + x]; }
$$;
CREATE FUNCTION divide(state JSON) RETURNS DOUBLE PRECISION LANGUAGE javascript AS $$
  function divide([n, sum]) { return n === 0 ? null : sum / n; }
$$;
CREATE AGGREGATE mean(DOUBLE PRECISION) (
  SFUNC = add_up, STYPE = JSON, FINALFUNC = divide, INITCOND = '[0, 0]'
);
CREATE TABLE sales (region TEXT, amount REAL);
INSERT INTO sales VALUES ('north', 1), ('north', 2), ('south', 10), ('south', NULL), ('west', NULL);
";

fn sales() -> Session {
    let mut session = session();
    run(&mut session, SCRIPT);
    session
}

/// A function of two integers with this body, and an aggregate of it.
fn fold(session: &mut Session, attributes: &str, body: &str, settings: &str) {
    run(
        session,
        &format!(
            "CREATE OR REPLACE FUNCTION f(state BIGINT, x BIGINT) RETURNS BIGINT {attributes}
             LANGUAGE javascript AS $$ function f(state, x) {{ {body} }} $$;
             CREATE OR REPLACE AGGREGATE fold(x BIGINT) (SFUNC = f, STYPE = BIGINT {settings})"
        ),
    );
}

#[test]
fn an_aggregate_makes_one_value_of_many_rows() {
    let mut session = sales();
    for (sql, expected) in [
        (
            "SELECT (mean(amount) * 3) || '' FROM sales",
            &["13.0"] as &[&str],
        ),
        (
            "SELECT region || ' ' || coalesce(mean(amount), '-') FROM sales GROUP BY region",
            &["north 1.5", "south 10.0", "west -"],
        ),
        (
            "SELECT coalesce(mean(amount), '-') FROM sales WHERE false",
            &["-"],
        ),
        (
            "SELECT mean(DISTINCT amount) || '' FROM sales WHERE region = 'north'",
            &["1.5"],
        ),
        (
            "SELECT mean(amount) FILTER (WHERE amount > 1) || '' FROM sales",
            &["6.0"],
        ),
        (
            "SELECT mean(amount) || mean(-amount) FROM sales WHERE region = 'north'",
            &["1.5-1.5"],
        ),
        (
            "SELECT region FROM sales GROUP BY region HAVING mean(amount) > 2",
            &["south"],
        ),
        ("CALL mean(3)", &["Real(3.0)"]),
    ] {
        assert_eq!(column(&mut session, sql), expected, "{sql}");
    }
    // One execution of each function, however many groups there are.
    run(
        &mut session,
        "SELECT region, mean(amount) FROM sales GROUP BY region",
    );
    assert_eq!(
        column(
            &mut session,
            "SELECT function_name || ' ' || invocations FROM
             (SELECT *, json_extract(detail, '$.invocations') AS invocations
              FROM heliosdb.audit_log WHERE event_type = 'ExecutionCompleted'
              ORDER BY seq DESC LIMIT 2) ORDER BY 1"
        ),
        ["add_up 3", "divide 3"]
    );
    let sql = "SELECT kind || ' ' || language || ' ' || parameters || ' ' || returns
               FROM heliosdb.functions WHERE name = 'mean'";
    assert_eq!(
        text(&mut session, sql),
        "aggregate sql arg1 DOUBLE PRECISION DOUBLE PRECISION"
    );
    let window = "SELECT mean(amount) OVER () FROM sales";
    let refused = refuse(&mut session, window, "42601");
    assert!(
        refused
            .message()
            .contains("may not be used as a window function"),
        "{refused}"
    );
}

/// As PostgreSQL has it.
#[test]
fn null_reaches_a_function_that_is_not_strict() {
    let mut session = sales();
    run(
        &mut session,
        "CREATE TABLE n (x); INSERT INTO n VALUES (NULL), (3), (NULL), (4)",
    );
    let sql = "SELECT fold(x) FROM n";
    fold(&mut session, "STRICT", "return state * 10 + x;", "");
    // The first value that is not NULL is the first state.
    assert_eq!(value(&mut session, sql), Value::Integer(34));
    assert_eq!(
        value(&mut session, "SELECT fold(x) FROM n WHERE false"),
        Value::Null
    );
    fold(
        &mut session,
        "STRICT",
        "return state * 10 + x;",
        ", INITCOND = '7'",
    );
    assert_eq!(value(&mut session, sql), Value::Integer(734));
    assert_eq!(
        value(&mut session, "SELECT fold(x) FROM n WHERE false"),
        Value::Integer(7)
    );
    fold(&mut session, "", "return (state ?? 1) * 10 + (x ?? 0);", "");
    assert_eq!(value(&mut session, sql), Value::Integer(10304));
}

#[test]
fn many_groups_take_no_more_than_one() {
    let mut session = sales();
    let groups = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
                  SELECT count(*), sum(m) FROM (SELECT mean(i) AS m FROM n GROUP BY i / 3)";
    let outcome = run(&mut session, groups);
    assert_eq!(outcome.rows[0][0], Value::Integer(20_001));
    // States are bounded, those of all aggregates in a statement together.
    run(
        &mut session,
        "CREATE FUNCTION grow(state TEXT, n INTEGER) RETURNS TEXT LANGUAGE javascript AS $$
           function grow(state, n) { return 'x'.repeat(n); }
         $$;
         CREATE AGGREGATE grown(INTEGER) (SFUNC = grow, STYPE = TEXT)",
    );
    let three = "SELECT length(grown(3000000)), length(grown(3000001)), length(grown(3000002))";
    run(&mut session, three);
    let six = "SELECT length(grown(3000000)), length(grown(3000001)), length(grown(3000002)),
                      length(grown(3000003)), length(grown(3000004)), length(grown(3000005))";
    let ended = refuse(&mut session, six, "53200");
    assert!(ended.message().contains("states of aggregates"), "{ended}");
    run(&mut session, three);
}

#[test]
fn d12_a_failure_in_the_middle_fails_the_statement() {
    let mut session = sales();
    fold(
        &mut session,
        "",
        "if (x === 2) throw new Error('two'); return x;",
        "",
    );
    let failure = refuse(
        &mut session,
        "SELECT region, fold(amount) FROM sales GROUP BY region",
        "38000",
    );
    assert!(failure.message().ends_with("Error: two"), "{failure}");
    assert_eq!(value(&mut session, "SELECT fold(1)"), Value::Integer(1));
    fold(&mut session, "", "return 2n ** 63n;", "");
    refuse(&mut session, "SELECT fold(amount) FROM sales", "22003");
    refuse(&mut session, "SELECT fold('one') FROM sales", "22P02");
    refuse(&mut session, "SELECT fold(1, 2) FROM sales", "42883");
    // What its functions write is the statement's.
    run(
        &mut session,
        "CREATE TABLE journal (x BIGINT);
         CREATE OR REPLACE FUNCTION f(state BIGINT, x BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
           function f(state, x) {
             heliosdb.execute('INSERT INTO journal VALUES (?)', [x]);
             if (x === 10) throw new Error('ten');
             return x;
           }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_WRITE('journal')",
    );
    refuse(&mut session, "SELECT fold(amount) FROM sales", "38000");
    assert!(!session.in_transaction());
    assert!(column(&mut session, "SELECT x FROM journal").is_empty());
    run(
        &mut session,
        "SELECT fold(amount) FROM sales WHERE amount < 10",
    );
    assert_eq!(column(&mut session, "SELECT x FROM journal"), ["1", "2"]);
}

#[test]
fn an_aggregate_fits_its_functions() {
    let mut session = sales();
    for (sql, sqlstate, message) in [
        (
            "CREATE AGGREGATE a(TEXT) (SFUNC = add_up, STYPE = JSON)",
            "42883",
            "no function \"add_up(json, text)\"",
        ),
        (
            "CREATE AGGREGATE a(REAL) (SFUNC = none, STYPE = JSON)",
            "42883",
            "no function \"none\"",
        ),
        (
            "CREATE AGGREGATE a(JSON) (SFUNC = mean, STYPE = JSON)",
            "42809",
            "is an aggregate and not a function",
        ),
        (
            "CREATE AGGREGATE a() (SFUNC = divide, STYPE = JSON)",
            "42601",
            "syntax error",
        ),
        (
            "CREATE AGGREGATE a(DOUBLE PRECISION) (SFUNC = add_up, STYPE = JSON, INITCOND = '[')",
            "22P02",
            "bad JSON",
        ),
        (
            "CREATE AGGREGATE a(DOUBLE PRECISION) (SFUNC = add_up, STYPE = JSON, FINALFUNC = add_up)",
            "42883",
            "no function \"add_up(json)\"",
        ),
        (
            "CREATE AGGREGATE mean(DOUBLE PRECISION) (SFUNC = add_up, STYPE = JSON)",
            "42723",
            "already exists",
        ),
        (
            "CREATE AGGREGATE sum(DOUBLE PRECISION) (SFUNC = add_up, STYPE = JSON)",
            "42723",
            "of the database's own",
        ),
        (
            "CREATE OR REPLACE AGGREGATE divide(DOUBLE PRECISION) (SFUNC = add_up, STYPE = JSON)",
            "42809",
            "is a function",
        ),
        (
            "DROP FUNCTION mean",
            "42809",
            "is an aggregate and not a function",
        ),
        (
            "DROP AGGREGATE divide",
            "42809",
            "is a function and not an aggregate",
        ),
        (
            "ALTER FUNCTION mean GRANT CAPABILITY TIME_ACCESS",
            "42809",
            "is an aggregate",
        ),
        (
            "DROP FUNCTION add_up",
            "2BP01",
            "aggregate \"mean\" uses it",
        ),
        (
            "DROP FUNCTION divide",
            "2BP01",
            "aggregate \"mean\" uses it",
        ),
    ] {
        let refused = refuse(&mut session, sql, sqlstate);
        assert!(refused.message().contains(message), "{refused}\n{sql}");
    }
    let call = session.call("mean", &[Value::Real(1.0)]).unwrap_err();
    assert_eq!(call.sqlstate().as_str(), "42809");
    run(
        &mut session,
        "DROP AGGREGATE IF EXISTS none; DROP AGGREGATE mean; DROP FUNCTION add_up",
    );
    refuse(&mut session, "SELECT mean(1)", "42883");
}

#[test]
fn d10_a_guests_statement_calls_no_aggregate() {
    let mut session = sales();
    run(
        &mut session,
        "CREATE FUNCTION ask(sql TEXT) RETURNS JSON LANGUAGE javascript AS $$
           function ask(sql) { return heliosdb.query(sql).rows; }
         $$;
         ALTER FUNCTION ask GRANT CAPABILITY DATABASE_READ('*')",
    );
    refuse(
        &mut session,
        "SELECT ask('SELECT mean(amount) FROM sales')",
        "42501",
    );
}

#[test]
fn components_make_aggregates_and_files_keep_them() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let storage = perihelion::Storage::Directory(directory.path().join("vault"));
        crate::support::runtime().vault(storage).unwrap()
    };
    {
        let mut session = open().session().unwrap();
        let path = guest("bench_guest").display().to_string();
        run(
            &mut session,
            &format!(
                "CREATE FUNCTION \"add\" LANGUAGE wasm AS '{path}';
                 CREATE AGGREGATE total_of(BIGINT) (SFUNC = \"add\", STYPE = BIGINT, INITCOND = '0')"
            ),
        );
    }
    let mut session = open().session().unwrap();
    let sql = "SELECT total_of(column1) FROM (VALUES (1), (2), (39))";
    assert_eq!(value(&mut session, sql), Value::Integer(42));
}
