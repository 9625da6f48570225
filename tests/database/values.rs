//! Texts, parameters and results of a guest's statements.

use super::{ask, check, execute, probed, query};
use crate::support::{run, text, value};
use perihelion::Value;

#[test]
fn h66_one_text_is_one_statement() {
    let mut session = probed();
    let two = "invalid the text holds more than one statement";
    check(
        &mut session,
        "q",
        &[
            ("SELECT 1; SELECT 2", two),
            ("SELECT 1;SELECT 2;", two),
            ("SELECT 1; -- x\n SELECT 2", two),
            ("SELECT 1; /* x */ DROP TABLE users", two),
            ("SELECT 1;;; -- nothing\n /* more */ ;", r#"[{"1":1}]"#),
            ("/* a */ -- b\n SELECT 1 AS n /* unclosed", r#"[{"n":1}]"#),
            ("SELECT ';' AS n", r#"[{"n":";"}]"#),
            ("SELECT '--' AS n -- ; SELECT 2", r#"[{"n":"--"}]"#),
            ("", "invalid the text holds no statement"),
            (" ; -- nothing", "invalid the text holds no statement"),
            ("SELEC 1", "invalid near \"SELEC\": syntax error"),
            (
                "SELECT 1 \0",
                "invalid the statement contains a NUL character",
            ),
            ("SELECT * FROM missing", "denied DATABASE_READ main.missing"),
            (
                "SELECT missing FROM users",
                "failed 42703 no such column: missing",
            ),
        ],
    );
    check(
        &mut session,
        "x",
        &[
            ("DELETE FROM users; DELETE FROM users", two),
            (
                "SELECT * FROM users",
                "invalid execute runs statements that write…",
            ),
        ],
    );
    check(
        &mut session,
        "q",
        &[("DELETE FROM users", "denied DATABASE_WRITE main.users")],
    );
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM users"),
        Value::Integer(2)
    );
}

#[test]
fn h56_values_are_parameters_and_stay_values() {
    let mut session = probed();
    let attack = r#"["'; DROP TABLE users;--", 1]"#;
    let update = "UPDATE users SET email = ? WHERE id = ?";
    assert_eq!(ask(&mut session, "x", update, attack), "1");
    assert_eq!(
        text(&mut session, "SELECT email FROM users WHERE id = 1"),
        "'; DROP TABLE users;--"
    );
    for (sql, params, expected) in [
        ("SELECT ? AS v", "[7]", r#"[{"v":7}]"#),
        ("SELECT ?1 + ?1 AS v", "[7]", r#"[{"v":14}]"#),
        ("SELECT $2 || $1 AS v", r#"["a", "b"]"#, r#"[{"v":"ba"}]"#),
        ("SELECT $1 || $1 AS v", r#"["a"]"#, r#"[{"v":"aa"}]"#),
        ("SELECT ? AS v", "[null]", r#"[{"v":null}]"#),
        ("SELECT typeof(?) AS v", "[true]", r#"[{"v":"integer"}]"#),
        ("SELECT typeof(?) AS v", "[1.5]", r#"[{"v":"real"}]"#),
        ("SELECT length(?) AS v", r#"["a\u0000b"]"#, r#"[{"v":1}]"#),
        ("SELECT ? AS v", r#"["a\u0000b"]"#, r#"[{"v":"a\u0000b"}]"#),
        (
            "SELECT ? AS v",
            "[]",
            "invalid the statement has 1 parameters and 0 values were given",
        ),
        (
            "SELECT ? AS v",
            "[1, 2]",
            "invalid the statement has 1 parameters and 2 values were given",
        ),
        (
            "SELECT 1 AS v",
            "[1]",
            "invalid the statement has 0 parameters and 1 values were given",
        ),
        (
            "SELECT $2 AS v",
            "[1]",
            "invalid the statement has 2 parameters and 1 values were given",
        ),
    ] {
        assert_eq!(
            ask(&mut session, "q", sql, params),
            expected,
            "{sql} {params}"
        );
    }
    for sql in ["SELECT :a", "SELECT @a", "SELECT $a", "SELECT ?, $1"] {
        let answer = ask(&mut session, "q", sql, "[1]");
        assert!(
            answer.starts_with("invalid a parameter is"),
            "{sql}: {answer}"
        );
    }
}

#[test]
fn double_quotes_are_names_and_never_strings() {
    let mut session = probed();
    check(
        &mut session,
        "q",
        &[
            ("SELECT \"secrets\"", "failed 42703 no such column…"),
            (
                "SELECT id FROM users WHERE name = \"Ada\"",
                "failed 42703 no such column…",
            ),
            (
                "SELECT id FROM users WHERE \"name\" = 'Ada'",
                r#"[{"id":1}]"#,
            ),
        ],
    );
}

#[test]
fn h57_a_result_is_rows_keyed_by_name() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE FUNCTION shape() RETURNS JSON LANGUAGE javascript AS $$
           function shape() {
             const r = heliosdb.query('SELECT id, name FROM users ORDER BY id');
             return [r.columns, r.rowCount, r.rows[0].name, Array.isArray(r.rows), Object.keys(r.rows[1])];
           }
         $$;
         ALTER FUNCTION shape GRANT CAPABILITY DATABASE_READ('users')",
    );
    assert_eq!(
        text(&mut session, "SELECT shape()"),
        r#"[["id","name"],2,"Ada",true,["id","name"]]"#
    );
}

#[test]
fn text_that_is_not_utf8_is_an_error_and_never_changed() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE TABLE raw(id INTEGER, t TEXT);
         INSERT INTO raw VALUES (1, CAST(x'ff41' AS TEXT)), (2, 'fine');
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('raw')",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT id, t FROM raw",
                "failed 22021 column 2 of the result is text that is not UTF-8",
            ),
            (
                "SELECT hex(t) AS h FROM raw WHERE id = 1",
                r#"[{"h":"FF41"}]"#,
            ),
            ("SELECT t FROM raw WHERE id = 2", r#"[{"t":"fine"}]"#),
        ],
    );
}

#[test]
fn a_text_beyond_its_bound_is_refused_and_the_call_goes_on() {
    let mut session = probed();
    let text = format!("SELECT {}1", " ".repeat(1 << 20));
    assert!(
        query(&mut session, &text).starts_with("limit sql_bytes is 1048"),
        "too long"
    );
    let text = format!("SELECT {}1 AS n", " ".repeat((1 << 20) - 13));
    assert_eq!(query(&mut session, &text), r#"[{"n":1}]"#);
    // A program that takes SQLite too long from one look at the clocks to the next.
    let text = format!("SELECT {}", vec!["upper(?1)"; 2_000].join(","));
    assert_eq!(
        ask(&mut session, "q", &text, "[1]"),
        r#"[{"upper(?1)":"1"}]"#
    );
    let sums = vec!["length(hex(id))"; 900].join("+");
    let text = format!("SELECT {} FROM users", vec![sums; 40].join(","));
    assert!(
        query(&mut session, &text).starts_with("failed 53200"),
        "the program is too long"
    );
}

#[test]
fn a_hundred_thousand_rows_pass() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE FUNCTION many() RETURNS BIGINT LANGUAGE javascript AS $$
           function many() {
             const sql = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                          SELECT i FROM n`;
             return heliosdb.query(sql, [100000]).rows.reduce((sum, row) => sum + row.i, 0);
           }
         $$;
         ALTER FUNCTION many GRANT CAPABILITY DATABASE_READ('users')",
    );
    assert_eq!(
        value(&mut session, "SELECT many()"),
        Value::Integer(5_000_050_000)
    );
}

#[test]
fn a_value_beyond_its_bound_is_refused() {
    let mut session = probed();
    let refused = "failed 53200 string or blob too big";
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT length(zeroblob(16777216)) AS n",
                r#"[{"n":16777216}]"#,
            ),
            ("SELECT zeroblob(16777217)", refused),
            ("SELECT zeroblob(2000000000)", refused),
            ("SELECT printf('%.*c', 2000000000, 'x')", refused),
            ("SELECT printf('%2000000000d', 1)", refused),
            ("SELECT hex(zeroblob(16000000))", refused),
            (
                "SELECT replace(hex(zeroblob(1000000)), '0', '0123456789')",
                refused,
            ),
        ],
    );
    assert_eq!(
        execute(&mut session, "UPDATE users SET name = zeroblob(20000000)"),
        refused
    );
    // The client's own limit is untouched.
    assert_eq!(
        value(&mut session, "SELECT length(zeroblob(20000000))"),
        Value::Integer(20_000_000)
    );
}
