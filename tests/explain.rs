//! What a statement cost: `EXPLAIN (ANALYZE)` and `CALL … WITH (explain)`.

use crate::support::{refuse, run, session_with_users, value};
use perihelion::{Outcome, Session, Value};

fn prepared() -> Session {
    let mut session = session_with_users();
    run(
        &mut session,
        "CREATE FUNCTION rename(id BIGINT, name TEXT) RETURNS BIGINT LANGUAGE javascript AS $$
           function rename(id, name) {
             const sql = 'UPDATE users SET name = ? WHERE id = ?';
             return heliosdb.execute(sql, [name, id]).rowCount;
           }
         $$;
         ALTER FUNCTION rename GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users');
         CREATE FUNCTION double(n BIGINT) RETURNS BIGINT LANGUAGE javascript
           AS $$ function double(n) { return 2 * n; } $$;",
    );
    session
}

/// A resource's row: what was used, the limit, the share.
fn resource(outcome: &Outcome, function: &str, resource: &str) -> [Value; 3] {
    let (function, resource) = (Value::Text(function.into()), Value::Text(resource.into()));
    let row = outcome
        .rows
        .iter()
        .find(|row| row[0] == function && row[1] == resource);
    let row = row.unwrap_or_else(|| panic!("{outcome:?}"));
    [row[2].clone(), row[3].clone(), row[4].clone()]
}

#[test]
fn every_resource_is_shown_with_its_share_of_the_limit() {
    let mut session = prepared();
    for sql in [
        "EXPLAIN (ANALYZE) SELECT rename(1, 'Eve')",
        "CALL rename(1, 'Eve') WITH (explain)",
    ] {
        let outcome = run(&mut session, sql);
        assert_eq!(
            outcome.columns,
            ["function_name", "resource", "used", "limit", "share"]
        );
        for (name, limit) in [
            ("instruction", "10,000,000,000 instructions"),
            ("cpu time", "5 s"),
            ("wall time", "10 s"),
            ("memory", "16 MiB"),
        ] {
            let [used, allowed, share] = resource(&outcome, "rename", name);
            assert_eq!(allowed, Value::Text(limit.into()), "{outcome:?}");
            assert_ne!(used, Value::Text("0 bytes".into()));
            assert!(matches!(share, Value::Text(share) if share.ends_with(" %")));
        }
        let [calls, ..] = resource(&outcome, "rename", "host calls");
        assert_eq!(calls, Value::Text("1".into()));
        let [bytes, ..] = resource(&outcome, "rename", "host bytes");
        assert_eq!(bytes, Value::Text("38 bytes".into()));
    }
}

#[test]
fn the_statement_takes_effect_and_gives_costs_instead_of_rows() {
    let mut session = prepared();
    let outcome = run(
        &mut session,
        "EXPLAIN ANALYZE SELECT rename(id, 'X'), double(id) FROM users",
    );
    let [invocations, ..] = resource(&outcome, "double", "invocations");
    assert_eq!(invocations, Value::Text("2".into()));
    let renamed = "SELECT count(*) FROM users WHERE name = 'X'";
    assert_eq!(value(&mut session, renamed), Value::Integer(2));
    // What comes after is not explained.
    assert_eq!(value(&mut session, "SELECT double(4)"), Value::Integer(8));
    assert!(
        run(&mut session, "EXPLAIN ANALYZE SELECT 1")
            .rows
            .is_empty()
    );
}

#[test]
fn a_statement_that_fails_fails_when_it_is_explained() {
    let mut session = prepared();
    run(
        &mut session,
        "ALTER FUNCTION rename REVOKE CAPABILITY DATABASE_WRITE('users')",
    );
    refuse(
        &mut session,
        "EXPLAIN ANALYZE SELECT rename(1, 'X')",
        "42501",
    );
    refuse(
        &mut session,
        "EXPLAIN ANALYZE CREATE FUNCTION f() LANGUAGE js AS ''",
        "42601",
    );
    assert_eq!(value(&mut session, "SELECT double(4)"), Value::Integer(8));
}
