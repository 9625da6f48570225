//! Values between PostgreSQL's types and a guest's, and the errors over them.

use super::granted;

const ALL: &str = "CREATE TABLE every (
    b BOOLEAN, s SMALLINT, i INTEGER, l BIGINT, r REAL, d DOUBLE PRECISION, n NUMERIC,
    t TEXT, v VARCHAR(10), c CHAR(3), u UUID, y BYTEA, day DATE, at TIMESTAMP,
    tz TIMESTAMPTZ, j JSON, jb JSONB)";

#[test]
fn every_type_goes_in_and_comes_back() {
    let mut world = granted();
    world.run(ALL);
    world.run(
        "ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('every');
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('every')",
    );
    let insert = "INSERT INTO every VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, ?, ?)";
    let params = r#"[true, -7, 2147483647, 9007199254740991, 0.5, 1e300,
        "123456789012345678901234567890.000000000123", "Größe", "abc", "xy ",
        "00112233-4455-6677-8899-aabbccddeeff", "2026-11-25", "2026-11-25 09:30:00.000001",
        "2026-11-25T09:30:00Z", "{\"a\":[1]}", "{\"a\": [1]}"]"#;
    assert_eq!(world.ask("x", insert, params), "1");
    let stored = world.database.sql("SELECT * FROM every");
    assert_eq!(
        stored,
        "t|-7|2147483647|9007199254740991|0.5|1e+300|\
         123456789012345678901234567890.000000000123|Größe|abc|xy |\
         00112233-4455-6677-8899-aabbccddeeff||2026-11-25|2026-11-25 09:30:00.000001|\
         2026-11-25 09:30:00+00|{\"a\":[1]}|{\"a\": [1]}"
    );
    let back = world.query("SELECT * FROM every");
    for part in [
        r#""b":true,"s":-7,"i":2147483647,"l":9007199254740991,"r":0.5,"d":1e+300"#,
        r#""n":"123456789012345678901234567890.000000000123""#,
        r#""t":"Größe","v":"abc","c":"xy ","u":"00112233-4455-6677-8899-aabbccddeeff","y":null"#,
        r#""day":"2026-11-25T00:00:00.000Z","at":"2026-11-25T09:30:00.000Z""#,
        r#""tz":"2026-11-25T09:30:00.000Z""#,
    ] {
        assert!(back.contains(part), "{part}\nin {back}");
    }
}

#[test]
fn parameters_have_either_form_and_are_values_whatever_they_hold() {
    let mut world = granted();
    let injection = r#"["'; DROP TABLE users;--", 2]"#;
    let update = "UPDATE users SET name = ? WHERE id = ?";
    assert_eq!(world.ask("x", update, injection), "1");
    let numbered = "SELECT id FROM users WHERE name = $1 AND id = $2";
    assert_eq!(world.ask("q", numbered, injection), r#"[{"id":2}]"#);
    for (sql, params, expected) in [
        (
            "SELECT id FROM users WHERE id = ?",
            "[]",
            "invalid the statement has 1 parameters and 0 values were given",
        ),
        (
            "SELECT id FROM users WHERE id = ?",
            "[1, 2]",
            "invalid the statement has 1 parameters and 2 values were given",
        ),
        (
            "SELECT id FROM users WHERE id = ?",
            "[\"x\"]",
            "failed 22P02 …",
        ),
        (
            "SELECT id FROM users WHERE id = ?",
            "[3000000000]",
            "failed 22003 …",
        ),
        (
            "SELECT id FROM users WHERE name = ?",
            "[\"a\\u0000b\"]",
            "failed 22021 …",
        ),
        (
            "SELECT id FROM users WHERE id = ? OR '?' = ?",
            "[1, \"?\"]",
            r#"[{"id":1},{"id":2}]"#,
        ),
        (
            "SELECT id, $1::jsonb ? 'a' AS has FROM users WHERE id = 1",
            "[\"{\\\"a\\\":1}\"]",
            r#"[{"id":1,"has":true}]"#,
        ),
    ] {
        let answer = world.ask("q", sql, params);
        let fits = match expected.strip_suffix('…') {
            Some(start) => answer.starts_with(start),
            None => answer == expected,
        };
        assert!(
            fits,
            "{sql} with {params}\n  gave {answer}\n  not  {expected}"
        );
    }
}

#[test]
fn a_type_that_cannot_be_carried_is_refused_by_its_name_and_has_a_way_out() {
    let mut world = granted();
    world.check(
        "q",
        &[
            (
                "SELECT '10.0.0.1'::inet AS a FROM users LIMIT 1",
                "failed 0A000 column \"a\" has type inet…",
            ),
            (
                "SELECT ARRAY[1, 2] AS a FROM users LIMIT 1",
                "failed 0A000 column \"a\" has type _int4…",
            ),
            (
                "SELECT '10.0.0.1'::inet::text AS a FROM users LIMIT 1",
                r#"[{"a":"10.0.0.1/32"}]"#,
            ),
            (
                "SELECT to_json(ARRAY[1, 2])::text AS a FROM users LIMIT 1",
                r#"[{"a":"[1,2]"}]"#,
            ),
            (
                "SELECT 'NaN'::numeric AS a FROM users LIMIT 1",
                "failed 22003…",
            ),
            (
                "SELECT 'infinity'::timestamp AS a FROM users LIMIT 1",
                "failed 22003…",
            ),
            ("SELECT id FROM users WHERE id = 1", r#"[{"id":1}]"#),
        ],
    );
    world.run("CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN small AS INTEGER CHECK (VALUE < 10)");
    world.run("CREATE TABLE moods (m mood, s small); INSERT INTO moods VALUES ('glad', 3)");
    world.run("ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('moods'); ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('moods')");
    assert_eq!(
        world.query("SELECT * FROM moods"),
        r#"[{"m":"glad","s":3}]"#
    );
    assert_eq!(
        world.ask("x", "INSERT INTO moods VALUES (?, ?)", "[\"sad\", 4]"),
        "1"
    );
    let refused = world.ask("x", "INSERT INTO moods VALUES (?, ?)", "[\"sad\", 40]");
    assert!(refused.starts_with("failed 23514"), "{refused}");
}

/// What a row holds is in the DETAIL of the server's errors, which goes nowhere.
#[test]
fn h96_errors_over_constraints_quote_no_values() {
    let mut world = granted();
    world.run(
        "CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL REFERENCES users, age INTEGER CHECK (age > 0));
         ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('pets')",
    );
    world.check(
        "x",
        &[
            (
                "INSERT INTO users VALUES (7, 'x', 'ada@example.com')",
                "failed 23505 duplicate key value violates unique constraint \"users_email_key\"",
            ),
            (
                "INSERT INTO pets VALUES (1, 77, 1)",
                "failed 23503 a foreign key constraint does not hold",
            ),
            (
                "INSERT INTO pets VALUES (1, NULL, 1)",
                "failed 23502 null value in column \"owner\" violates not-null constraint",
            ),
            (
                "INSERT INTO pets VALUES (1, 1, -5)",
                "failed 23514 the row violates check constraint \"pets_age_check\"",
            ),
            ("INSERT INTO pets VALUES (1, 1, 5)", "1"),
            // It names no table that the function was not granted.
            (
                "DELETE FROM users WHERE id = 1",
                "failed 23503 a foreign key constraint does not hold",
            ),
        ],
    );
}

#[test]
fn a_result_is_bounded_in_bytes_while_it_comes_in() {
    let mut world = granted();
    // The server takes seconds to make the second one, on a busy machine more than ten.
    world.run("ALTER FUNCTION q SET (max_wall_time_ms = 60000)");
    for sql in [
        // Many rows, and one row that the library would hold as a whole.
        "SELECT repeat('x', 1000) FROM users, generate_series(1, 1000000)",
        "SELECT repeat('x', 900000000) FROM users LIMIT 1",
    ] {
        let error = world
            .session
            .call(
                "q",
                &[
                    perihelion::Value::Text(sql.into()),
                    perihelion::Value::Json("[]".into()),
                ],
            )
            .unwrap_err();
        assert_eq!(error.sqlstate().as_str(), "53200", "{error:?}");
        assert!(
            error.message().contains("query result limit of 16 MiB"),
            "{error:?}"
        );
    }
    assert_eq!(
        world.query("SELECT id FROM users WHERE id = 1"),
        r#"[{"id":1}]"#
    );
    world.check_quiet();
}
