//! What a statement sets in motion: triggers, foreign keys, INSTEAD OF.

use super::{check, execute, probed};
use crate::support::{run, text, value};
use perihelion::Value;

#[test]
fn a_trigger_needs_the_grants_for_what_it_touches() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE TABLE journal(who TEXT);
         CREATE TRIGGER noted AFTER UPDATE ON users
           BEGIN INSERT INTO journal SELECT value FROM secrets WHERE id = old.id; END;",
    );
    let update = "UPDATE users SET name = 'x'";
    let grants = [
        (
            "DATABASE_WRITE('journal')",
            "denied DATABASE_READ main.secrets, DATABASE_WRITE main.journal",
        ),
        (
            "DATABASE_READ('secrets')",
            "denied DATABASE_READ main.secrets",
        ),
    ];
    for (grant, before) in grants {
        assert_eq!(execute(&mut session, update), before);
        run(
            &mut session,
            &format!("ALTER FUNCTION x GRANT CAPABILITY {grant}"),
        );
    }
    assert_eq!(execute(&mut session, update), "2");
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM journal"),
        Value::Integer(1)
    );
    // A trigger that does not fire asks for nothing.
    run(
        &mut session,
        "ALTER FUNCTION x REVOKE CAPABILITY DATABASE_WRITE('journal')",
    );
    assert_eq!(
        execute(&mut session, "INSERT INTO users(name) VALUES ('y')"),
        "1"
    );
}

#[test]
fn what_a_foreign_key_changes_needs_its_grants() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE TABLE orders(id INTEGER PRIMARY KEY,
           user INTEGER REFERENCES users(id) ON DELETE CASCADE ON UPDATE SET NULL);
         INSERT INTO orders VALUES (1, 1), (2, 2);",
    );
    let refused = "denied DATABASE_READ main.orders, DATABASE_WRITE main.orders";
    check(
        &mut session,
        "x",
        &[
            ("DELETE FROM users WHERE id = 1", refused),
            ("UPDATE users SET id = 7 WHERE id = 1", refused),
            ("REPLACE INTO users VALUES (1, 'a', NULL)", refused),
            ("UPDATE users SET name = 'x' WHERE id = 1", "1"),
        ],
    );
    run(
        &mut session,
        "ALTER FUNCTION x GRANT CAPABILITY DATABASE_READ('orders'), DATABASE_WRITE('orders')",
    );
    check(
        &mut session,
        "x",
        &[
            ("DELETE FROM users WHERE id = 1", "1"),
            ("UPDATE users SET id = 7 WHERE id = 2", "1"),
            (
                "INSERT INTO orders VALUES (3, 99)",
                "failed 23503 FOREIGN KEY constraint failed",
            ),
        ],
    );
    assert_eq!(
        text(
            &mut session,
            "SELECT group_concat(id) || user IS NULL FROM orders"
        ),
        "1"
    );
}

#[test]
fn writing_through_a_view_needs_the_view_and_what_its_trigger_touches() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE VIEW people AS SELECT id, name FROM users;
         CREATE TRIGGER add_person INSTEAD OF INSERT ON people BEGIN
           INSERT INTO users(id, name) VALUES (new.id, new.name);
           DELETE FROM secrets;
         END;",
    );
    let insert = "INSERT INTO people VALUES (9, 'Zoe')";
    assert_eq!(
        execute(&mut session, insert),
        "denied DATABASE_READ main.people, DATABASE_WRITE main.people, DATABASE_WRITE main.secrets"
    );
    run(
        &mut session,
        "ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('people'), DATABASE_READ('people')",
    );
    assert_eq!(
        execute(&mut session, insert),
        "denied DATABASE_WRITE main.secrets"
    );
    run(
        &mut session,
        "ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('secrets')",
    );
    // SQLite counts the rows that a statement changed itself: here none.
    assert_eq!(execute(&mut session, insert), "0");
    assert_eq!(
        text(&mut session, "SELECT name FROM users WHERE id = 9"),
        "Zoe"
    );
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM secrets"),
        Value::Integer(0)
    );
}

/// What an index computes is the table's own affair.
#[test]
fn expression_indexes_and_generated_columns_need_the_tables_grant_only() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE INDEX upper_name ON users(upper(name)) WHERE length(email) > 3;
         ALTER TABLE users ADD COLUMN initial TEXT AS (substr(name, 1, 1));",
    );
    check(
        &mut session,
        "x",
        &[
            (
                "INSERT INTO users(id, name, email) VALUES (3, 'cy', 'c@x.y')",
                "1",
            ),
            (
                "UPDATE users SET name = 'dy' WHERE upper(name) = 'CY' AND length(email) > 3",
                "1",
            ),
        ],
    );
    check(
        &mut session,
        "q",
        &[(
            "SELECT initial FROM users WHERE id = 3",
            r#"[{"initial":"d"}]"#,
        )],
    );
}

/// The message names what the statement itself violates, and no value.
#[test]
fn h96_messages_of_constraints_hold_no_values() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE UNIQUE INDEX email ON users(email);
         CREATE TABLE limited(n INTEGER CHECK (n < 5), m TEXT NOT NULL);
         ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('limited');",
    );
    check(
        &mut session,
        "x",
        &[
            (
                "INSERT INTO users VALUES (5, 'CANARY', 'ada@example.com')",
                "failed 23505 UNIQUE constraint failed: users.email",
            ),
            (
                "INSERT INTO users VALUES (1, 'CANARY', NULL)",
                "failed 23505 UNIQUE constraint failed: users.id",
            ),
            (
                "INSERT INTO limited VALUES (77, 'CANARY')",
                "failed 23514 CHECK constraint failed",
            ),
            (
                "INSERT INTO limited VALUES (1, NULL)",
                "failed 23502 NOT NULL constraint failed: limited.m",
            ),
        ],
    );
}
