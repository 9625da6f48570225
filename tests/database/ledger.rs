//! The same from Rust: rows as structs, transactions, batches, prepared statements.

use crate::support::{
    column, guest, refuse, run, session, session_for_any_text, session_with_users, text, value,
};
use perihelion::{Session, Value};

/// The functions of a guest, each with its grants.
fn with_guest(session: &mut Session, file: &str, functions: &[(&str, &str)]) {
    let file = guest(file);
    for (name, grants) in functions {
        let create = format!(
            "CREATE FUNCTION {name} LANGUAGE wasm AS '{}'",
            file.display()
        );
        run(session, &create);
        if !grants.is_empty() {
            run(
                session,
                &format!("ALTER FUNCTION {name} GRANT CAPABILITY {grants}"),
            );
        }
    }
}

const FUNCTIONS: [(&str, &str); 5] = [
    ("set_up", "DATABASE_EXECUTE"),
    ("open_accounts", "DATABASE_WRITE('account')"),
    (
        "pay",
        "DATABASE_READ('account'), DATABASE_WRITE('account'), DATABASE_READ('payment'), DATABASE_WRITE('payment')",
    ),
    ("payments", "DATABASE_READ('payment')"),
    ("richest", "DATABASE_READ('account')"),
];

#[test]
fn h55_a_rust_guest_uses_the_whole_interface() {
    let mut session = session();
    with_guest(&mut session, "ledger_guest", &FUNCTIONS);
    run(&mut session, "SELECT set_up(); SELECT set_up()");
    assert_eq!(text(&mut session, "SELECT richest()"), "NULL");
    let opened = value(&mut session, "SELECT open_accounts('ada\nbob\ncy', 100)");
    assert_eq!(opened, Value::Integer(3));
    // A batch with one that is there already opens none.
    refuse(
        &mut session,
        "SELECT open_accounts('di\nbob', 100)",
        "38000",
    );
    assert_eq!(text(&mut session, "SELECT count(*) FROM account"), "3");
    assert_eq!(
        column(
            &mut session,
            "SELECT ifnull(pay(payer, payee, amount), 'refused') FROM (
               SELECT 'ada' AS payer, 'bob' AS payee, 60 AS amount
               UNION ALL SELECT 'ada', 'bob', 60 UNION ALL SELECT 'cy', 'nobody', 1
               UNION ALL SELECT 'bob', 'cy', 10)"
        ),
        ["1", "refused", "refused", "2"]
    );
    assert_eq!(
        column(
            &mut session,
            "SELECT owner || ' ' || balance FROM account ORDER BY owner"
        ),
        ["ada 40", "bob 150", "cy 110"]
    );
    assert_eq!(text(&mut session, "SELECT richest()"), "bob");
    assert_eq!(
        text(&mut session, "SELECT payments('cy')"),
        r#"[{"id":2,"payer":"bob","payee":"cy","amount":10}]"#
    );
}

/// Handles that a component keeps are no use to it, and hold nothing up.
#[test]
fn d12_what_a_component_leaves_open_ends_with_its_call() {
    let mut session = session_with_users();
    let both = "DATABASE_READ('users'), DATABASE_WRITE('users')";
    with_guest(&mut session, "sender_guest", &[("leave_open", both)]);
    assert_eq!(text(&mut session, "SELECT leave_open()"), "3");
    assert_eq!(
        column(&mut session, "SELECT leave_open() FROM users LIMIT 2"),
        ["4", "5"]
    );
    assert_eq!(
        text(&mut session, "SELECT group_concat(name) FROM users"),
        "Ada,Bob,kept,kept,kept"
    );
    run(&mut session, "DROP TABLE users");
}

/// Whatever is sent for a change of the schema.
#[test]
fn h35_nothing_but_a_change_of_tables_passes_for_one() {
    let mut session = session_for_any_text();
    let all = "DATABASE_EXECUTE, DATABASE_READ('*'), DATABASE_WRITE('*')";
    with_guest(&mut session, "sender_guest", &[("send_change", all)]);
    for sql in [
        "SELECT name FROM users",
        "INSERT INTO users(name) VALUES (1)",
        "WITH t AS (SELECT 1) DELETE FROM users",
        "VACUUM",
        "VACUUM INTO '/tmp/perihelion-test.db'",
        "ATTACH ':memory:' AS x",
        "PRAGMA writable_schema = 1",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT s",
        "REINDEX",
        "ANALYZE",
        "EXPLAIN DROP TABLE users",
        "EXPLAIN QUERY PLAN DROP TABLE users",
        "CREATE TABLE t AS SELECT * FROM users",
        "CREATE VIEW v AS SELECT 1",
        "DROP TABLE sqlite_master",
        "CREATE INDEX i ON sqlite_master(name)",
        "ALTER TABLE sqlite_master RENAME TO x",
        "DROP TABLE users; DROP TABLE secrets",
        "",
        "-- DROP",
    ] {
        let call = session.call("send_change", &[Value::Text(sql.into())]);
        let error = call.expect_err(sql);
        let state = error.sqlstate();
        assert!(
            ["38000", "42501", "42601"].contains(&state.as_str()),
            "{sql}: {error:?}"
        );
        run(
            &mut session,
            "ALTER FUNCTION send_change SET ENABLED = true",
        );
        assert!(!session.in_transaction(), "{sql}");
    }
    let names = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema ORDER BY name)";
    assert_eq!(text(&mut session, names), "secrets,users");
    assert_eq!(text(&mut session, "SELECT count(*) FROM users"), "2");
}
