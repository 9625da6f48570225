//! Functions that return tables, in JavaScript.

use crate::support::{column, refuse, run, session, text, value};
use perihelion::{Session, Value};

const SCRIPT: &str = "
CREATE FUNCTION series(a INTEGER, b INTEGER) RETURNS TABLE (i INTEGER, square INTEGER)
LANGUAGE javascript AS $$
  function* series(a, b) { for (let i = a; i <= b; i++) yield { i, square: i * i }; }
$$;
CREATE FUNCTION naturals(first INTEGER) RETURNS TABLE (n INTEGER) LANGUAGE javascript AS $$
  function* naturals(first) {
    try { for (let n = first; ; n++) yield [n]; } finally { console.log('closed'); }
  }
$$;
CREATE TABLE bounds (id INTEGER PRIMARY KEY, low INTEGER, high INTEGER);
INSERT INTO bounds VALUES (1, 1, 2), (2, 5, 7), (3, 9, 8);
";

fn tables() -> Session {
    let mut session = session();
    run(&mut session, SCRIPT);
    session
}

/// Rows as text, a line each.
#[track_caller]
fn rows(session: &mut Session, sql: &str) -> Vec<String> {
    let show = |value: &Value| match value {
        Value::Null => "NULL".to_string(),
        Value::Integer(n) => n.to_string(),
        Value::Real(x) => format!("{x:?}"),
        Value::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    let rows = run(session, sql).rows.into_iter();
    rows.map(|row| row.iter().map(show).collect::<Vec<_>>().join(" "))
        .collect()
}

/// Makes a function `t` without parameters of these columns, with this body.
fn create(session: &mut Session, columns: &str, body: &str) {
    run(
        session,
        &format!(
            "CREATE OR REPLACE FUNCTION t() RETURNS TABLE ({columns}) LANGUAGE javascript AS
             $$ {body} $$"
        ),
    );
}

#[test]
fn a_function_may_be_a_table() {
    let mut session = tables();
    let outcome = run(
        &mut session,
        "SELECT * FROM series(1, 10) WHERE square > 20 LIMIT 2",
    );
    assert_eq!(outcome.columns, ["i", "square"]);
    let expected = [[5, 25], [6, 36]].map(|row| row.map(Value::Integer).to_vec());
    assert_eq!(outcome.rows, expected);
    let outcome = run(&mut session, "CALL series(1, 3)");
    assert_eq!((outcome.command.as_str(), outcome.rows.len()), ("CALL", 3));
    for (sql, expected) in [
        ("SELECT count(*) FROM series(1, 1000)", &["1000"] as &[&str]),
        ("SELECT i FROM series(3, 1)", &[]),
        (
            "SELECT i FROM series(1, 3) ORDER BY i DESC",
            &["3", "2", "1"],
        ),
        (
            "SELECT a, b, i FROM series WHERE a = 4 AND b = 5",
            &["4 5 4", "4 5 5"],
        ),
        (
            "SELECT i FROM series(1, 3) WHERE i IN (SELECT n FROM naturals(2) LIMIT 1)",
            &["2"],
        ),
        (
            "SELECT x.i * y.i FROM series(1, 2) x, series(3, 4) y",
            &["3", "4", "6", "8"],
        ),
        (
            "SELECT id, i FROM bounds, series(low, high) ORDER BY id, i",
            &["1 1", "1 2", "2 5", "2 6", "2 7"],
        ),
        (
            "SELECT id, i FROM series(low, high) JOIN bounds ON true WHERE id = 2",
            &["2 5", "2 6", "2 7"],
        ),
        (
            "SELECT id, i FROM bounds LEFT JOIN series(low, high) ON true WHERE id > 2",
            &["3 NULL"],
        ),
        (
            "SELECT (SELECT sum(i) FROM series(low, high)) FROM bounds",
            &["3", "18", "NULL"],
        ),
        ("SELECT a FROM series('2', 2.0)", &["2"]),
    ] {
        assert_eq!(rows(&mut session, sql), expected, "{sql}");
    }
    run(
        &mut session,
        "CREATE VIEW squares AS SELECT square FROM series(1, 3);
         CREATE TABLE copy AS SELECT * FROM series(1, 3);
         CREATE TRIGGER filled AFTER INSERT ON bounds
           BEGIN INSERT INTO copy SELECT * FROM series(NEW.low, NEW.high); END;
         INSERT INTO bounds VALUES (4, 10, 11)",
    );
    assert_eq!(rows(&mut session, "SELECT * FROM squares"), ["1", "4", "9"]);
    assert_eq!(
        column(&mut session, "SELECT i FROM copy"),
        ["1", "2", "3", "10", "11"]
    );
}

/// A table may have no end: no more of it is made than is wanted, and it is told so.
#[test]
fn a_limit_ends_a_generator() {
    let mut session = tables();
    let outcome = run(&mut session, "SELECT n FROM naturals(1) LIMIT 10");
    assert_eq!(outcome.rows.len(), 10);
    let notices: Vec<&str> = outcome.notices.iter().map(|n| n.message.as_str()).collect();
    assert_eq!(notices, ["closed"]);
    // Each one that a join leaves is closed, and one that came to its end is not.
    let outcome = run(
        &mut session,
        "SELECT (SELECT n FROM naturals(low) LIMIT 1) FROM bounds, series(1, 2)",
    );
    assert_eq!((outcome.rows.len(), outcome.notices.len()), (6, 6));
    let cost = run(
        &mut session,
        "EXPLAIN (ANALYZE) SELECT n FROM naturals(1) LIMIT 10",
    );
    let cost = format!("{:?}", cost.rows);
    assert!(cost.contains("\"invocations\"), Text(\"1\")"), "{cost}");
    // What fails while it is closed fails the statement.
    create(
        &mut session,
        "n INTEGER",
        "function* t() { try { yield [1]; yield [2]; } finally { throw new Error('late'); } }",
    );
    let failure = refuse(&mut session, "SELECT * FROM t() LIMIT 1", "38000");
    assert!(failure.message().contains("Error: late"), "{failure}");
    assert_eq!(value(&mut session, "SELECT 1"), Value::Integer(1));
}

#[test]
fn rows_come_from_whatever_yields_them() {
    let mut session = tables();
    for body in [
        "const t = () => [{ a: 1, b: 'x' }, { b: 'y', a: 2 }];",
        "const t = () => [[1, 'x'], [2, 'y']];",
        "const t = async () => [[1, 'x'], { a: 2, b: 'y' }];",
        "function* t() { yield [1, 'x']; yield { a: 2, b: 'y' }; }",
        "async function* t() { yield [1, 'x']; await null; yield { a: 2, b: 'y' }; }",
        "const t = () => new Map([[1, 'x'], [2, 'y']]);",
        "const t = () => [1, 2].values().map((a) => ({ a, b: a === 1 ? 'x' : 'y' }));",
        "class Row { constructor(a) { this.a = a; } get b() { return this.a === 1 ? 'x' : 'y'; } }
         export default () => [new Row(1), new Row(2)];",
        "const t = () => ({ [Symbol.iterator]: () => {
           let a = 0; return { next: () => ({ done: ++a > 2, value: [a, a < 2 ? 'x' : 'y'] }) }; } });",
    ] {
        create(&mut session, "a INTEGER, b TEXT", body);
        assert_eq!(rows(&mut session, "SELECT * FROM t()"), ["1 x", "2 y"], "{body}");
    }
    for body in [
        "function t() { }",
        "const t = () => null;",
        "const t = () => [];",
        "function* t() { }",
    ] {
        create(&mut session, "a INTEGER, b TEXT", body);
        assert!(rows(&mut session, "SELECT * FROM t").is_empty(), "{body}");
    }
}

#[test]
fn d19_values_are_coerced_to_the_columns_types() {
    let mut session = tables();
    create(
        &mut session,
        "flag BOOLEAN, small SMALLINT, big BIGINT, x DOUBLE PRECISION, amount NUMERIC, name TEXT,
         data BYTEA, doc JSON, day DATE, moment TIMESTAMP, nothing TEXT, id UUID",
        "const t = () => [[true, '7', 2n ** 62n, 1, '1.50', 5, new Uint8Array([1, 2]), { a: [1] },
           new Date(86400000), new Date(1000), undefined, 'AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE']];
         const Date = globalThis.Date;",
    );
    assert_eq!(
        rows(&mut session, "SELECT * FROM t()"),
        [
            "1 7 4611686018427387904 1.0 1.50 5 Blob([1, 2]) {\"a\":[1]} 1970-01-02 \
             1970-01-01 00:00:01.000000 NULL aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
        ]
    );
    // A comparison is that of the column's type.
    for condition in [
        "amount = 1.5",
        "flag",
        "small = '7'",
        "doc ->> '$.a[0]' = 1",
        "day < moment || 'x' OR true",
    ] {
        let sql = format!("SELECT count(*) FROM t() WHERE {condition}");
        assert_eq!(value(&mut session, &sql), Value::Integer(1), "{condition}");
    }
    for (value, sqlstate, message) in [
        ("32768", "22003", "\"32768\" is out of range for SMALLINT"),
        ("'seven'", "22P02", "bad SMALLINT \"seven\""),
        ("new Uint8Array(1)", "42804", "bytes cannot become SMALLINT"),
    ] {
        create(
            &mut session,
            "n SMALLINT",
            &format!("const t = () => [[1], [{value}]];"),
        );
        let failure = refuse(&mut session, "SELECT * FROM t()", sqlstate);
        assert_eq!(failure.message(), message);
        assert_eq!(failure.detail(), Some("column \"n\" of function \"t\""));
    }
}

#[test]
fn a_row_has_each_column_and_no_more() {
    let mut session = tables();
    for (rows, message) in [
        ("[{ a: 1 }]", "TypeError: row 1 has no member \"b\""),
        (
            "[[1, 2], { a: 1, B: 2 }]",
            "TypeError: row 2 has a member \"B\", which is no column",
        ),
        (
            "[{ a: 1, b: 2, c: 3 }]",
            "TypeError: row 1 has a member \"c\", which is no column",
        ),
        ("[[1]]", "TypeError: row 1 has 1 values for 2 columns"),
        ("[[1, 2, 3]]", "TypeError: row 1 has 3 values for 2 columns"),
        (
            "[[1, 2], 3]",
            "TypeError: row 2 is neither an object nor an array",
        ),
        (
            "[null]",
            "TypeError: row 1 is neither an object nor an array",
        ),
        (
            "[[1, {}]]",
            "TypeError: cannot return an object as a SQL value; declare the column JSON",
        ),
        (
            "7",
            "TypeError: a table is an array or another iterable of rows",
        ),
        (
            "'rows'",
            "TypeError: a table is an array or another iterable of rows",
        ),
        (
            "({ a: 1, b: 2 })",
            "TypeError: a table is an array or another iterable of rows",
        ),
        (
            "new Promise(() => { })",
            "Error: the promise that t returned never settles",
        ),
    ] {
        create(
            &mut session,
            "a INTEGER, b INTEGER",
            &format!("const t = () => {rows};"),
        );
        let failure = refuse(&mut session, "SELECT * FROM t()", "38000");
        assert_eq!(
            failure.message(),
            format!("function \"t\" failed: {message}")
        );
    }
    create(
        &mut session,
        "a INTEGER, b INTEGER",
        "function* t() { yield [1, 2]; throw new Error('middle'); }",
    );
    let failure = refuse(&mut session, "SELECT * FROM t()", "38000");
    assert!(
        failure.context().unwrap().contains("t.js:1:"),
        "{failure:?}"
    );
    // NULL is a value of any column; the member must be there all the same.
    create(
        &mut session,
        "a INTEGER, b INTEGER",
        "const t = () => [{ a: null, b: undefined }];",
    );
    assert_eq!(self::rows(&mut session, "SELECT * FROM t()"), ["NULL NULL"]);
}

#[test]
fn arguments_are_those_of_the_signature() {
    let mut session = tables();
    for sql in [
        "SELECT * FROM series",
        "SELECT * FROM series(1)",
        "CALL series(1)",
        "SELECT * FROM series WHERE b = 1",
    ] {
        let failure = refuse(&mut session, sql, "42883");
        assert!(
            failure
                .message()
                .starts_with("function \"series\" takes 2 arguments"),
            "{failure}"
        );
    }
    let failure = refuse(&mut session, "SELECT * FROM series(1, 2, 3)", "42601");
    assert!(
        failure.message().contains("too many arguments"),
        "{failure}"
    );
    refuse(&mut session, "SELECT * FROM series('x', 2)", "22P02");
    let failure = refuse(&mut session, "SELECT series(1, 2)", "42809");
    assert_eq!(
        failure.message(),
        "function \"series\" returns a table, not a value"
    );
    assert_eq!(
        failure.hint(),
        Some("SELECT * FROM series(integer, integer);")
    );
    let call = session.call("series", &[Value::Integer(1), Value::Integer(2)]);
    assert_eq!(call.unwrap_err().sqlstate().as_str(), "42809");
    // NULL reaches the function, unless it is STRICT: then there are no rows.
    assert_eq!(
        rows(&mut session, "SELECT n FROM naturals(NULL) LIMIT 2"),
        ["NULL", "1"]
    );
    run(
        &mut session,
        "CREATE OR REPLACE FUNCTION naturals(first INTEGER) RETURNS TABLE (n INTEGER) STRICT
         LANGUAGE javascript AS $$ const naturals = (n) => [[n]]; $$",
    );
    assert!(rows(&mut session, "SELECT n FROM naturals(NULL)").is_empty());
    assert_eq!(rows(&mut session, "SELECT n FROM naturals(3)"), ["3"]);
    let returns = "SELECT returns FROM heliosdb.functions WHERE name = 'series'";
    assert_eq!(
        text(&mut session, returns),
        "TABLE (i INTEGER, square INTEGER)"
    );
}

#[test]
fn a_table_comes_and_goes_with_its_function() {
    let mut session = tables();
    let scalar = "CREATE OR REPLACE FUNCTION series(a INTEGER) RETURNS INTEGER LANGUAGE javascript
                  AS $$ const series = (a) => a; $$";
    run(&mut session, scalar);
    refuse(&mut session, "SELECT * FROM series(1, 2)", "42P01");
    assert_eq!(value(&mut session, "SELECT series(1)"), Value::Integer(1));
    run(&mut session, "ALTER FUNCTION series SET VERSION 1");
    assert_eq!(rows(&mut session, "SELECT i FROM series(1, 2)"), ["1", "2"]);
    run(&mut session, "DROP FUNCTION series");
    refuse(&mut session, "SELECT * FROM series(1, 2)", "42P01");
    for name in [
        "bounds",
        "json_each",
        "jsonb_tree",
        "pragma_table_list",
        "PRAGMA_x",
        "sqlite_x",
        "perihelion_functions",
        "rtree",
        "dbstat",
    ] {
        let create = format!(
            "CREATE FUNCTION \"{name}\"() RETURNS TABLE (a INTEGER) LANGUAGE javascript
             AS $$ export default () => [] $$"
        );
        let refused = refuse(&mut session, &create, "42723");
        assert!(
            refused
                .message()
                .contains("is a table, or the database's own"),
            "{refused}"
        );
    }
    for (signature, message) in [
        (
            "(a INTEGER) RETURNS TABLE (A INTEGER)",
            "given twice, as a column or a parameter",
        ),
        (
            "() RETURNS TABLE (a INTEGER, \"A\" TEXT)",
            "given twice, as a column or a parameter",
        ),
    ] {
        let create = format!(
            "CREATE FUNCTION f{signature} LANGUAGE javascript AS $$ export default () => [] $$"
        );
        let refused = refuse(&mut session, &create, "22023");
        assert!(refused.message().contains(message), "{refused}");
    }
    let without =
        "CREATE FUNCTION f() RETURNS TABLE LANGUAGE javascript AS $$ export default () => [] $$";
    refuse(&mut session, without, "42601");
    // Names are names, whatever is in them.
    run(
        &mut session,
        "CREATE FUNCTION \"Odd \"\"one\"() RETURNS TABLE (\"a \"\"b\" TEXT, \"hidden\" TEXT, __proto__ TEXT)
         LANGUAGE javascript AS $$ export default () => [['1', '2', '3']] $$",
    );
    assert_eq!(
        rows(&mut session, "SELECT * FROM \"Odd \"\"one\"()"),
        ["1 2 3"]
    );
}

/// Grants, the unit and the log are those of any function.
#[test]
fn d12_a_table_reads_and_writes_as_it_is_granted() {
    let mut session = tables();
    run(
        &mut session,
        "CREATE TABLE journal (line TEXT);
         CREATE FUNCTION lines(n INTEGER) RETURNS TABLE (id INTEGER) LANGUAGE javascript AS $$
           function* lines(n) {
             for (const row of heliosdb.query('SELECT id FROM bounds').rows) {
               heliosdb.execute('INSERT INTO journal VALUES (?)', [`line ${row.id}`]);
               if (row.id === n) throw new Error('no more');
               yield row;
             }
           }
         $$",
    );
    let refused = refuse(&mut session, "SELECT * FROM lines(0)", "42501");
    assert_eq!(
        refused.hint(),
        Some("ALTER FUNCTION lines GRANT CAPABILITY DATABASE_READ('bounds');")
    );
    run(
        &mut session,
        "ALTER FUNCTION lines GRANT CAPABILITY DATABASE_READ('bounds'), DATABASE_WRITE('journal')",
    );
    assert_eq!(
        rows(&mut session, "SELECT * FROM lines(0)"),
        ["1", "2", "3"]
    );
    assert!(!session.in_transaction());
    assert_eq!(
        column(&mut session, "SELECT line FROM journal"),
        ["line 1", "line 2", "line 3"]
    );
    run(&mut session, "BEGIN; DELETE FROM journal");
    refuse(&mut session, "SELECT * FROM bounds, lines(2)", "38000");
    run(&mut session, "COMMIT");
    assert!(column(&mut session, "SELECT line FROM journal").is_empty());
    assert_eq!(
        rows(
            &mut session,
            "SELECT event_type, json_extract(detail, '$.invocations'), json_extract(detail, '$.runs')
             FROM heliosdb.audit_log WHERE function_name = 'lines' AND allowed IS NULL
             AND event_type <> 'FunctionChanged' ORDER BY seq LIMIT 8"
        ),
        [
            "ExecutionStarted NULL NULL",
            "ExecutionFailed 1 NULL",
            "ExecutionStarted NULL NULL",
            "DatabaseOperation NULL 1",
            "DatabaseOperation NULL 1",
            "DatabaseOperation NULL 1",
            "DatabaseOperation NULL 1",
            "ExecutionCompleted 1 NULL",
        ]
    );
}

/// Its cursor lasts from one batch to the next, beside those of other tables.
#[test]
fn a_table_may_stream_another() {
    let mut session = tables();
    run(
        &mut session,
        "INSERT INTO bounds(low) SELECT i FROM series(4, 500);
         CREATE FUNCTION streamed() RETURNS TABLE (id INTEGER) LANGUAGE javascript AS $$
           function* streamed() {
             for (const row of heliosdb.stream('SELECT id FROM bounds ORDER BY id')) yield row;
           }
         $$;
         ALTER FUNCTION streamed GRANT CAPABILITY DATABASE_READ('bounds')",
    );
    for (sql, expected) in [
        ("SELECT count(*) FROM streamed()", 500),
        (
            "SELECT max(id) FROM (SELECT id FROM streamed() LIMIT 40)",
            40,
        ),
        (
            "SELECT count(*) FROM streamed() a, streamed() b WHERE a.id < 5 AND b.id > 490",
            40,
        ),
    ] {
        assert_eq!(value(&mut session, sql), Value::Integer(expected), "{sql}");
        assert!(!session.in_transaction());
    }
    // A cursor ends with the last table of its function.
    run(
        &mut session,
        "CREATE FUNCTION careless(n INTEGER) RETURNS TABLE (state TEXT) LANGUAGE javascript AS $$
           let kept;
           function careless(n) {
             if (n === 1) {
               kept = heliosdb.stream('SELECT id FROM bounds ORDER BY id');
               return [[`read ${kept.next().value.id}`]];
             }
             let rest = 0;
             for (const row of kept) rest++;
             return [[rest === 499 ? 'the rest' : 'no more']];
           }
         $$;
         ALTER FUNCTION careless GRANT CAPABILITY DATABASE_READ('bounds')",
    );
    let sql = "SELECT state FROM (VALUES (1), (2)), careless(column1)";
    assert_eq!(column(&mut session, sql), ["read 1", "no more"]);
}

#[test]
fn h63_a_table_is_bounded() {
    let mut session = tables();
    // The instructions, the memory and the time are those of the statement.
    run(
        &mut session,
        "ALTER FUNCTION naturals SET (max_instructions = 50000000)",
    );
    refuse(&mut session, "SELECT count(*) FROM naturals(1)", "57014");
    // A million rows leave the guest in batches, within 16 MiB of its own.
    let big =
        "function* t() { const s = 'x'.repeat(1000); for (let i = 0; i < 50000; i++) yield [s]; }";
    create(&mut session, "s TEXT", big);
    assert_eq!(
        value(&mut session, "SELECT sum(length(s)) FROM t()"),
        Value::Integer(50_000_000)
    );
    // Rows that the host would hold are counted, those of all open tables together.
    create(
        &mut session,
        "s TEXT",
        "const s = 'x'.repeat(5 << 20); function* t() { yield [s]; yield [s]; }",
    );
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM t()"),
        Value::Integer(2)
    );
    let four = "SELECT count(*) FROM t() a, t() b, t() c, t() d";
    let ended = refuse(&mut session, four, "53200");
    assert!(
        ended.message().contains("query result limit of 16 MiB"),
        "{ended}"
    );
    create(&mut session, "s TEXT", "function* t() { for (;;); }");
    run(&mut session, "ALTER FUNCTION t SET (max_cpu_time_ms = 50)");
    refuse(&mut session, "SELECT * FROM t()", "57014");
}

#[test]
fn d10_a_guests_statement_reads_no_function() {
    let mut session = tables();
    run(
        &mut session,
        "CREATE VIEW squares AS SELECT square FROM series(1, 3);
         CREATE FUNCTION ask() RETURNS JSON LANGUAGE javascript AS $$ function ask() {} $$;
         ALTER FUNCTION ask GRANT CAPABILITY DATABASE_READ('*')",
    );
    for sql in [
        "SELECT i FROM series(1, 3)",
        "SELECT count(*) FROM naturals(1)",
        "SELECT * FROM squares",
    ] {
        let create = format!(
            "CREATE OR REPLACE FUNCTION ask() RETURNS JSON LANGUAGE javascript AS $$
               function ask() {{ return heliosdb.query('{sql}').rows; }}
             $$"
        );
        run(&mut session, &create);
        refuse(&mut session, "SELECT ask()", "42501");
    }
}
