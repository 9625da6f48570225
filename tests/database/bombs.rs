//! SQL that would use the host up: it ends by the call's limits, soon, and the session
//! goes on.

use super::{check, probed, query};
use crate::support::{refuse, run, text};
use perihelion::Value;
use std::time::{Duration, Instant};

const FOREVER: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";

#[test]
fn h63_endless_statements_end_by_the_calls_limits() {
    let mut session = probed();
    for (probe, statement, sqlstate) in [
        // Each row takes long, and SQLite looks at the clocks between rows.
        (
            "q",
            "SELECT max(length(hex(zeroblob(1000000)))) FROM n",
            "57014",
        ),
        ("q", "SELECT i, hex(zeroblob(1000)) FROM n", "53200"),
        (
            "x",
            "INSERT INTO users(name) SELECT i FROM n WHERE i < 0",
            "57014",
        ),
    ] {
        let begun = Instant::now();
        refuse(
            &mut session,
            &format!("SELECT {probe}('{FOREVER} {statement}', '[]')"),
            sqlstate,
        );
        assert!(
            begun.elapsed() < Duration::from_secs(13),
            "{statement}: {:?}",
            begun.elapsed()
        );
        assert!(!session.in_transaction());
        assert_eq!(
            text(&mut session, "SELECT group_concat(name) FROM users"),
            "Ada,Bob"
        );
    }
}

#[test]
fn a_text_that_grows_ends_at_a_bound() {
    let mut session = probed();
    assert_eq!(
        query(&mut session, "SELECT length(printf('%.*c', 17000000, 'a'))"),
        "failed 53200 string or blob too big"
    );
    let grows = "WITH RECURSIVE n(t) AS (SELECT 'a' UNION ALL SELECT t || t FROM n)
                 SELECT max(length(t)) FROM n";
    let arguments = [Value::Text(grows.into()), Value::Json("[]".into())];
    let ended = session.call("q", &arguments).unwrap_err();
    assert_eq!(ended.sqlstate().as_str(), "53200", "{ended:?}");
}

/// What one row may make is divided among the steps to it, for the time that it takes.
#[test]
fn many_long_values_in_one_row_are_refused() {
    let mut session = probed();
    let one = "length(group_concat(hex(zeroblob(7000000))))";
    let statement = |count| format!("SELECT {} FROM users", vec![one; count].join("+"));
    let begun = Instant::now();
    for count in [40, 900] {
        let answer = query(&mut session, &statement(count));
        assert_eq!(answer, "failed 53200 string or blob too big", "{count}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    let few = "SELECT length(hex(zeroblob(1000000))) + length(hex(zeroblob(1000000))) AS n";
    assert_eq!(query(&mut session, few), r#"[{"n":4000000}]"#);
}

/// SQLite matches a pattern without a look at the clocks.
#[test]
fn patterns_and_what_they_are_matched_with_are_short() {
    let mut session = probed();
    let long = "printf('%.*c', 4000000, 'a')";
    let begun = Instant::now();
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT 'a' LIKE '%' || printf('%.*c', 100, 'a') || 'b'",
                "invalid LIKE or GLOB pattern too complex",
            ),
            (
                &format!("SELECT {long} LIKE '%' || printf('%.*c', 90, 'a') || 'b'"),
                "failed 53200 string or blob too big",
            ),
            (
                &format!("SELECT {long} GLOB '*b'"),
                "failed 53200 string or blob too big",
            ),
            (
                "SELECT printf('%.*c', 100000, 'a') LIKE '%b' AS v",
                r#"[{"v":0}]"#,
            ),
            (
                "SELECT name FROM users WHERE name GLOB 'A*'",
                r#"[{"name":"Ada"}]"#,
            ),
        ],
    );
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
}

/// They compare everything with everything, which takes hours in a single step.
#[test]
fn what_compares_two_long_texts_is_bounded_for_a_guest() {
    let mut session = probed();
    for long in [
        "instr(printf('%.*c', 4000000, 'a'), printf('%.*c', 2000000, 'a') || 'b')",
        "instr(zeroblob(4000000), CAST(zeroblob(2000000) || 'b' AS BLOB))",
        "trim(printf('%.*c', 400000, 'a'), printf('%.*c', 400000, 'b') || 'a')",
        "ltrim(printf('%.*c', 400000, 'a'), printf('%.*c', 400000, 'b') || 'a')",
        "rtrim(printf('%.*c', 400000, 'a'), printf('%.*c', 400000, 'b') || 'a')",
        "replace(printf('%.*c', 4000000, 'a'), printf('%.*c', 2000000, 'a') || 'b', 'c')",
        // Short ones of which the result is long.
        "replace(printf('%.*c', 1000000, 'a'), 'a', printf('%.*c', 1000000, 'b'))",
    ] {
        let begun = Instant::now();
        let answer = query(&mut session, &format!("SELECT length({long})"));
        assert_eq!(answer, "failed 53200 string or blob too big", "{long}");
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{long}: {:?}",
            begun.elapsed()
        );
    }
    // Many bounded ones in a single row: each looks at the clocks.
    let one = "length(trim(printf('%.*c', 10000, 'a'), printf('%.*c', 9999, 'b') || 'a'))";
    let many = format!("SELECT {}", vec![one; 500].join(","));
    let begun = Instant::now();
    let arguments = [Value::Text(many), Value::Json("[]".into())];
    let ended = session.call("q", &arguments).unwrap_err();
    assert_eq!(ended.sqlstate().as_str(), "57014", "{ended:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(13),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn what_compares_two_texts_gives_what_sqlite_gives() {
    let mut session = probed();
    check(
        &mut session,
        "q",
        &[
            ("SELECT instr('größe', 'e') AS v", r#"[{"v":5}]"#),
            ("SELECT instr(x'0102', x'02') AS v", r#"[{"v":2}]"#),
            ("SELECT instr(12345, 34) AS v", r#"[{"v":3}]"#),
            ("SELECT instr(NULL, 'a') AS v", r#"[{"v":null}]"#),
            ("SELECT trim('xxaxx', 'x') AS v", r#"[{"v":"a"}]"#),
            ("SELECT ltrim('xxaxx', 'x') AS v", r#"[{"v":"axx"}]"#),
            (
                "SELECT rtrim('xxaxx', 'x') || trim('  b ') AS v",
                r#"[{"v":"xxab"}]"#,
            ),
            ("SELECT replace(1.5, '.', ',') AS v", r#"[{"v":"1,5"}]"#),
            (
                "SELECT typeof(replace('1', '1', 2)) AS v",
                r#"[{"v":"text"}]"#,
            ),
        ],
    );
    // A client's own statement is not bounded, and may use them in its schema.
    run(
        &mut session,
        "CREATE INDEX trimmed ON users(trim(name, 'A')); INSERT INTO users(name) VALUES ('A');
         CREATE TABLE t(a TEXT, b TEXT AS (replace(a, 'x', 'y')) STORED);
         INSERT INTO t(a) VALUES ('axa')",
    );
    assert_eq!(text(&mut session, "SELECT b FROM t"), "aya");
    let long = "SELECT length(replace(printf('%.*c', 200000, 'a'), printf('%.*c', 600, 'a'), 'b'))";
    assert_eq!(text(&mut session, long), "533");
}
