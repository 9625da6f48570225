//! SQL that would use the host up: it ends by the call's limits, soon, and the session
//! goes on.

use super::{probed, query};
use crate::support::{refuse, text};
use std::time::{Duration, Instant};

const FOREVER: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";

#[test]
fn h63_endless_statements_end_by_the_calls_limits() {
    let mut session = probed();
    for (probe, statement, sqlstate) in [
        // Each row takes long, and SQLite looks at the clocks between rows.
        (
            "q",
            "SELECT max(length(hex(zeroblob(8000000)))) FROM n",
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
fn a_text_that_grows_ends_at_its_bound() {
    let sql = "WITH RECURSIVE n(t) AS (SELECT 'a' UNION ALL SELECT t || t FROM n)
               SELECT max(length(t)) FROM n";
    assert_eq!(
        query(&mut probed(), sql),
        "failed 53200 string or blob too big"
    );
}

/// SQLite matches a pattern without a look at the clocks.
#[test]
fn patterns_are_short() {
    let sql = "SELECT printf('%.*c', 4000000, 'a') LIKE '%' || printf('%.*c', 40000, 'a') || 'b'";
    assert_eq!(
        query(&mut probed(), sql),
        "invalid LIKE or GLOB pattern too complex"
    );
}
