//! Grants of columns: what of a table a statement reads and changes, however it says so.

use super::{check, execute, probed, query};
use crate::support::{column, refuse, run, text};
use perihelion::Session;

/// The probes, with `users(id, name)` instead of the whole table, and more tables.
fn with_columns() -> Session {
    let mut session = probed();
    run(
        &mut session,
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, status TEXT, tenant TEXT);
         INSERT INTO orders VALUES (1, 'new', 't1'), (2, 'old', 't2');
         CREATE TABLE notes(a TEXT, b TEXT); INSERT INTO notes VALUES ('x', 'y');
         ALTER FUNCTION q REVOKE CAPABILITY DATABASE_READ('users');
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users(id, name)');
         ALTER FUNCTION x REVOKE CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users');
         ALTER FUNCTION x GRANT CAPABILITY DATABASE_READ('orders(id)'), DATABASE_WRITE('orders(status)');",
    );
    session
}

const EMAIL: &str = "denied DATABASE_READ main.users(email)";

#[test]
fn d17_every_way_to_read_a_column_needs_its_grant() {
    let mut session = with_columns();
    for sql in [
        "SELECT email FROM users",
        "SELECT \"EMAIL\" FROM users",
        "SELECT users.email FROM users",
        "SELECT main.users.[email] FROM main.users",
        "SELECT u.email FROM users AS u",
        "SELECT * FROM users",
        "SELECT users.* FROM users",
        "SELECT id FROM (SELECT * FROM users)",
        "SELECT id FROM users WHERE email = 'x'",
        "SELECT id FROM users WHERE email IS NULL",
        "SELECT id FROM users ORDER BY email",
        "SELECT id FROM users ORDER BY length(email)",
        "SELECT count(*) FROM users GROUP BY email",
        "SELECT count(*) FROM users HAVING max(email) = 'x'",
        "SELECT count(email) FROM users",
        "SELECT count(*) FILTER (WHERE email = 'x') FROM users",
        "SELECT group_concat(name ORDER BY email) FROM users",
        "SELECT id, row_number() OVER (ORDER BY email) FROM users",
        "SELECT id, sum(id) OVER w FROM users WINDOW w AS (PARTITION BY email)",
        "SELECT 1 FROM users LIMIT (SELECT length(email) FROM users)",
        "SELECT (SELECT email) FROM users",
        "SELECT CASE WHEN 0 THEN email END FROM users",
        "SELECT 1 WHERE 'x' IN (SELECT email FROM users)",
        "SELECT 1 WHERE (1, 'x') IN (SELECT id, email FROM users)",
        "SELECT EXISTS (SELECT 1 FROM users WHERE email = 'x')",
        "SELECT id FROM users UNION SELECT email FROM users",
        "SELECT a.id FROM users a, users b WHERE a.id = b.email",
        "SELECT a.id FROM users a LEFT JOIN users b ON a.name = b.email",
        "SELECT j.value FROM users u, json_each(u.email) j",
        "SELECT name COLLATE NOCASE FROM users WHERE email LIKE 'a%'",
        "VALUES ((SELECT email FROM users))",
        "WITH users AS (SELECT email AS name FROM main.users) SELECT name FROM users",
        "WITH u AS (SELECT * FROM users) SELECT id FROM u",
        "WITH RECURSIVE r(x) AS (SELECT email FROM users UNION SELECT x FROM r) SELECT x FROM r",
        "SELECT count(*) FROM (SELECT 'ada@example.com' AS email) JOIN users USING (email)",
        "SELECT count(*) FROM users JOIN (SELECT 'ada@example.com' AS email) USING (\"Email\")",
        "SELECT name FROM users FULL JOIN (SELECT 1 AS id, 'x' AS email) USING (id, email)",
        "SELECT email FROM users FULL JOIN (SELECT 'x' AS email) USING (email)",
        "SELECT a.name FROM users a JOIN users b USING (email)",
    ] {
        assert_eq!(query(&mut session, sql), EMAIL, "{sql}");
    }
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT id, NAME FROM Users WHERE ID = 1",
                r#"[{"id":1,"name":"Ada"}]"#,
            ),
            (
                "SELECT rowid AS a, oid AS b FROM users WHERE _rowid_ = 2",
                r#"[{"a":2,"b":2}]"#,
            ),
            (
                "SELECT name AS email FROM users ORDER BY email LIMIT 1",
                r#"[{"email":"Ada"}]"#,
            ),
            ("SELECT count(*) AS n FROM users", r#"[{"n":2}]"#),
            ("SELECT count(*) AS n FROM main.users", r#"[{"n":2}]"#),
            ("SELECT 1 AS n FROM users LIMIT 1", r#"[{"n":1}]"#),
            (
                "SELECT name FROM users JOIN (SELECT 1 AS id) USING (id)",
                r#"[{"name":"Ada"}]"#,
            ),
            // A natural join compares whatever has the same name.
            (
                "SELECT name FROM users NATURAL JOIN (SELECT 1 AS id)",
                "denied DATABASE_READ main.users",
            ),
            ("SELECT * FROM secrets", "denied DATABASE_READ main.secrets"),
            (
                "SELECT id, value FROM secrets",
                "denied DATABASE_READ main.secrets",
            ),
        ],
    );
}

#[test]
fn d17_what_is_missing_is_named_and_the_hint_grants_it() {
    let mut session = with_columns();
    run(
        &mut session,
        "ALTER TABLE users ADD COLUMN \"Home Phone\" TEXT;
         CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() {
             return heliosdb.query('SELECT u.*, o.id AS o, o.tenant FROM users u, orders o').rowCount;
           } $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('u*(id, name)'), DATABASE_READ('orders(id)')",
    );
    let error = refuse(&mut session, "SELECT f()", "42501");
    assert_eq!(
        error.message(),
        "permission denied: function \"f\" may not read columns \"Home Phone\", \"email\" of table \
         \"users\", nor read column \"tenant\" of table \"orders\""
    );
    assert_eq!(
        error.detail(),
        Some("its grants are DATABASE_READ('u*(id, name)'), DATABASE_READ('orders(id)')")
    );
    assert_eq!(
        error.hint(),
        Some(
            "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users(\"Home Phone\", email)'), \
             DATABASE_READ('orders(tenant)');"
        )
    );
    run(&mut session, error.hint().unwrap());
    assert_eq!(text(&mut session, "SELECT f()"), "4");
    assert_eq!(
        column(
            &mut session,
            "SELECT target || ' ' || allowed FROM heliosdb.audit_log
             WHERE event_type = 'CapabilityCheck' AND function_name = 'f' ORDER BY seq"
        ),
        [
            "main.users(\"Home Phone\", email) 0",
            "main.orders(tenant) 0",
            "main.users(\"Home Phone\", email, id, name) 1",
            "main.orders(id, tenant) 1",
        ]
    );
    // What the view shows can be pasted back, and is what REVOKE takes.
    let patterns = "SELECT pattern FROM heliosdb.grants WHERE function_name = 'f'";
    for pattern in column(&mut session, patterns) {
        let revoke = format!("ALTER FUNCTION f REVOKE CAPABILITY DATABASE_READ('{pattern}')");
        run(&mut session, &revoke);
    }
    assert_eq!(column(&mut session, patterns), Vec::<String>::new());
}

#[test]
fn d17_column_write_covers_update_of_these_columns() {
    let mut session = with_columns();
    let whole = "denied DATABASE_WRITE main.orders";
    let id = "denied DATABASE_WRITE main.orders(id)";
    check(
        &mut session,
        "x",
        &[
            ("UPDATE orders SET status = 'x' WHERE id = 1", "1"),
            (
                "UPDATE orders SET (STATUS) = (SELECT 'y') WHERE rowid = 1",
                "1",
            ),
            (
                "UPDATE orders SET status = replace('a', 'a', 'b') WHERE 0 OR replace('', '', '')",
                "0",
            ),
            ("UPDATE orders SET status = 'x', id = 7 WHERE id = 1", id),
            ("UPDATE orders SET id = 7", id),
            ("UPDATE orders SET rowid = 7", whole),
            (
                "UPDATE orders SET status = tenant",
                "denied DATABASE_READ main.orders(tenant)",
            ),
            (
                "UPDATE orders SET status = 'x' RETURNING tenant",
                "denied DATABASE_READ main.orders(tenant)",
            ),
            (
                "UPDATE orders SET status = 'z' WHERE id = 1 RETURNING id",
                "1",
            ),
            ("UPDATE OR REPLACE orders SET status = 'x'", whole),
            ("UPDATE OR/**/REPLACE orders SET status = 'x'", whole),
            ("UPDATE OR IGNORE orders SET status = 'x' WHERE id = 2", "1"),
            ("INSERT INTO orders(status) VALUES ('x')", whole),
            ("INSERT INTO orders DEFAULT VALUES", whole),
            ("REPLACE INTO orders(id, status) VALUES (1, 'x')", whole),
            ("DELETE FROM orders", whole),
            ("DELETE FROM orders WHERE id = 1", whole),
            (
                "INSERT INTO orders(id) VALUES (1) ON CONFLICT (id) DO UPDATE SET status = 'x'",
                whole,
            ),
            (
                "UPDATE orders SET status = 'x' FROM users WHERE users.id = orders.id",
                "denied DATABASE_READ main.users",
            ),
        ],
    );
    assert_eq!(
        column(
            &mut session,
            "SELECT concat_ws(' ', id, status, tenant) FROM orders ORDER BY id"
        ),
        ["1 z t1", "2 x t2"]
    );
    // The table's own constraints may delete rows, too.
    run(
        &mut session,
        "DROP TABLE orders;
         CREATE TABLE orders(id INTEGER PRIMARY KEY, status TEXT UNIQUE ON CONFLICT REPLACE);",
    );
    assert_eq!(
        execute(&mut session, "UPDATE orders SET status = 'x'"),
        whole
    );
}

#[test]
fn d9_a_denied_column_wins_over_every_grant() {
    let mut session = probed();
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('*');
         ALTER FUNCTION q DENY CAPABILITY DATABASE_READ('us*(Email)');
         ALTER FUNCTION x DENY CAPABILITY DATABASE_WRITE('users(id)');",
    );
    let whole = "denied DATABASE_WRITE main.users";
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT id, name FROM users WHERE id = 1",
                r#"[{"id":1,"name":"Ada"}]"#,
            ),
            ("SELECT count(*) AS n FROM users", r#"[{"n":2}]"#),
            (
                "SELECT count(*) AS n FROM users JOIN secrets USING (id)",
                r#"[{"n":1}]"#,
            ),
            ("SELECT * FROM users", EMAIL),
            ("SELECT count(*) FROM users WHERE email > 'x'", EMAIL),
            (
                "SELECT count(*) FROM users a JOIN users b USING (email)",
                EMAIL,
            ),
            (
                "SELECT count(*) FROM users NATURAL JOIN secrets",
                "denied DATABASE_READ main.users",
            ),
        ],
    );
    check(
        &mut session,
        "x",
        &[
            ("UPDATE users SET name = 'x' WHERE id = 1", "1"),
            (
                "UPDATE users SET id = 9",
                "denied DATABASE_WRITE main.users(id)",
            ),
            ("UPDATE users SET rowid = 9", whole),
            ("INSERT INTO users(name) VALUES ('x')", whole),
            ("DELETE FROM users", whole),
        ],
    );
    // No grant would help, so none is suggested.
    run(
        &mut session,
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { return heliosdb.query('SELECT email FROM users').rowCount } $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users');
         ALTER FUNCTION f DENY CAPABILITY DATABASE_READ('users(email)')",
    );
    let error = refuse(&mut session, "SELECT f()", "42501");
    assert_eq!(
        (error.detail(), error.hint()),
        (
            Some("its grants are DATABASE_READ('users'), less DATABASE_READ('users(email)')"),
            None
        )
    );
    run(
        &mut session,
        "ALTER FUNCTION f REVOKE CAPABILITY DATABASE_READ('users(email)')",
    );
    assert_eq!(text(&mut session, "SELECT f()"), "2");
}

/// The row's key is a column like any other, by whatever name it is read.
#[test]
fn the_rowid_is_a_column() {
    let mut session = with_columns();
    run(
        &mut session,
        "CREATE TABLE odd(rowid TEXT, a TEXT); CREATE TABLE \"\"(a TEXT);
         CREATE TABLE empty(\"\" TEXT, a TEXT);
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('notes(a)'), DATABASE_READ('odd(rowid)'),
           DATABASE_READ('empty(a)');
         ALTER FUNCTION q REVOKE CAPABILITY DATABASE_READ('users(id, name)');
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users(name)')",
    );
    check(
        &mut session,
        "q",
        &[
            ("SELECT a FROM notes", r#"[{"a":"x"}]"#),
            (
                "SELECT rowid FROM notes",
                "denied DATABASE_READ main.notes(rowid)",
            ),
            (
                "SELECT a FROM notes WHERE oid = 1",
                "denied DATABASE_READ main.notes(rowid)",
            ),
            (
                "SELECT rowid FROM users",
                "denied DATABASE_READ main.users(id)",
            ),
            // Which of the two is read cannot be told.
            ("SELECT oid FROM odd", "denied DATABASE_READ main.odd"),
            ("SELECT rowid FROM odd", "[]"),
            (
                "SELECT count(*) FROM empty",
                "denied DATABASE_READ main.empty",
            ),
            ("SELECT a FROM empty", "[]"),
        ],
    );
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('notes(rowid)')",
    );
    check(
        &mut session,
        "q",
        &[("SELECT rowid, a FROM notes", r#"[{"rowid":1,"a":"x"}]"#)],
    );
}

#[test]
fn d17_views_triggers_and_foreign_keys_need_the_columns_that_they_touch() {
    let mut session = with_columns();
    run(
        &mut session,
        "CREATE VIEW people AS SELECT id, name, email FROM users;
         CREATE VIEW pairs AS SELECT a.name FROM users a JOIN users b USING (email);
         CREATE TRIGGER noted AFTER UPDATE ON orders BEGIN
           UPDATE notes SET a = new.tenant; END;
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('people(name)'), DATABASE_READ('pairs');",
    );
    check(
        &mut session,
        "q",
        &[
            ("SELECT name FROM people", EMAIL),
            (
                "SELECT id FROM people",
                "denied DATABASE_READ main.users(email), DATABASE_READ main.people(id)",
            ),
            ("SELECT count(*) FROM people", EMAIL),
            ("SELECT name FROM pairs", EMAIL),
        ],
    );
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users(email)')",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT name FROM people WHERE name = 'Ada'",
                r#"[{"name":"Ada"}]"#,
            ),
            ("SELECT count(*) AS n FROM people", r#"[{"n":2}]"#),
            (
                "SELECT * FROM people",
                "denied DATABASE_READ main.people(email, id)",
            ),
            ("SELECT count(*) AS n FROM pairs", r#"[{"n":2}]"#),
        ],
    );
    let update = "UPDATE orders SET status = 'x' WHERE id = 1";
    assert_eq!(
        execute(&mut session, update),
        "denied DATABASE_READ main.orders(tenant), DATABASE_WRITE main.notes"
    );
    run(
        &mut session,
        "ALTER FUNCTION x GRANT CAPABILITY DATABASE_READ('orders(tenant)'), DATABASE_WRITE('notes(a)')",
    );
    assert_eq!(execute(&mut session, update), "1");
    // A statement's own conflict clause holds in its triggers.
    assert_eq!(
        execute(&mut session, "UPDATE OR REPLACE orders SET status = 'x'"),
        "denied DATABASE_WRITE main.orders, DATABASE_WRITE main.notes"
    );
    run(
        &mut session,
        "DROP TRIGGER noted; CREATE TABLE items(id INTEGER PRIMARY KEY, what TEXT,
           status TEXT REFERENCES orders(status) ON UPDATE CASCADE);
         CREATE UNIQUE INDEX status ON orders(status);",
    );
    assert_eq!(
        execute(&mut session, update),
        "denied DATABASE_READ main.orders(status), DATABASE_READ main.items, DATABASE_WRITE main.items"
    );
    run(
        &mut session,
        "ALTER FUNCTION x GRANT CAPABILITY DATABASE_READ('orders(status)'),
           DATABASE_READ('items(status)'), DATABASE_WRITE('items(status)')",
    );
    assert_eq!(execute(&mut session, update), "1");
}

/// As in PostgreSQL: whoever may read it reads what it was computed to be.
#[test]
fn a_generated_column_is_a_column_of_its_own() {
    let mut session = with_columns();
    run(
        &mut session,
        "ALTER TABLE users ADD COLUMN initial TEXT AS (substr(email, 1, 1));
         CREATE INDEX upper_email ON users(upper(email))",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT initial FROM users",
                "denied DATABASE_READ main.users(initial)",
            ),
            ("SELECT id FROM users WHERE upper(email) = 'X'", EMAIL),
            (
                "SELECT id FROM users INDEXED BY upper_email WHERE upper(email) = 'X'",
                EMAIL,
            ),
        ],
    );
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users(initial)')",
    );
    check(
        &mut session,
        "q",
        &[(
            "SELECT initial FROM users WHERE id = 1",
            r#"[{"initial":"a"}]"#,
        )],
    );
}

#[test]
fn h73_a_column_that_comes_later_is_not_granted() {
    let mut session = with_columns();
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('orders(id, status, tenant)')",
    );
    let sql = "SELECT * FROM orders WHERE id = 1";
    let one = r#"[{"id":1,"status":"new","tenant":"t1"}]"#;
    for _ in 0..2 {
        assert_eq!(query(&mut session, sql), one);
    }
    run(
        &mut session,
        "ALTER TABLE orders ADD COLUMN card TEXT DEFAULT 'CANARY'",
    );
    assert_eq!(
        query(&mut session, sql),
        "denied DATABASE_READ main.orders(card)"
    );
    run(&mut session, "ALTER TABLE orders DROP COLUMN card");
    assert_eq!(query(&mut session, sql), one);
    run(
        &mut session,
        "ALTER TABLE orders RENAME COLUMN tenant TO owner",
    );
    assert_eq!(
        query(&mut session, sql),
        "denied DATABASE_READ main.orders(owner)"
    );
}

/// Of a table with a column that is granted, the columns' names are no secret; of another,
/// they are.
#[test]
fn names_of_columns_are_told_of_tables_that_may_be_read() {
    let mut session = with_columns();
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT nmae FROM users",
                "failed 42703 no such column: nmae",
            ),
            ("SELECT email FROM users", EMAIL),
            (
                "SELECT value FROM secrets",
                "denied DATABASE_READ main.secrets",
            ),
            (
                "SELECT absent FROM secrets",
                "denied DATABASE_READ main.secrets",
            ),
            (
                "SELECT id FROM users JOIN secrets USING (absent)",
                "denied DATABASE_READ main.secrets",
            ),
            (
                "SELECT id FROM users JOIN secrets USING (id)",
                "denied DATABASE_READ main.secrets",
            ),
            (
                "SELECT count(*) FROM (SELECT '' AS value) JOIN secrets USING (value)",
                "denied DATABASE_READ main.secrets",
            ),
        ],
    );
}

#[test]
fn a_policy_gives_columns_too() {
    let mut session = with_columns();
    run(
        &mut session,
        "CREATE SECURITY POLICY names AS (capabilities: [DATABASE_READ('users(name)')]);
         ALTER FUNCTION q SET SECURITY POLICY names;
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users(\"ID\")')",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT id, name FROM users WHERE id = 1",
                r#"[{"id":1,"name":"Ada"}]"#,
            ),
            ("SELECT * FROM users", EMAIL),
        ],
    );
    assert_eq!(
        column(
            &mut session,
            "SELECT pattern FROM heliosdb.grants WHERE function_name = 'q'"
        ),
        ["users(name)", "users(\"ID\")"]
    );
}
