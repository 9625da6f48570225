//! Grants of some rows of a table: the others are as if they were not there.

use super::{add_probes, check, execute, forget_denials, query};
use crate::support::{column, refuse, run, session, text, value, vault_for_any_text};
use perihelion::{Session, Storage, Value, Vault};

const FILTERED: &str = "DATABASE_READ('orders' WHERE tenant = current_caller())";

fn vault_with_orders() -> Vault {
    let vault = vault_for_any_text(Storage::Memory);
    let mut session = vault.session().unwrap();
    run(
        &mut session,
        "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT);
         INSERT INTO users VALUES (1, 'Ada'), (2, 'Bob');
         CREATE TABLE orders(id INTEGER PRIMARY KEY, status TEXT UNIQUE, tenant TEXT, amount INTEGER);
         CREATE INDEX by_amount ON orders(amount);
         INSERT INTO orders VALUES (1, 'new', 'ada', 5), (2, 'CANARY', 'bob', -9223372036854775808),
           (3, 'old', 'ada', 7);
         CREATE VIEW every_order AS SELECT * FROM orders;",
    );
    add_probes(&mut session);
    run(
        &mut session,
        &format!(
            "ALTER FUNCTION q GRANT CAPABILITY {FILTERED}, DATABASE_READ('every_order');
             ALTER FUNCTION x GRANT CAPABILITY {FILTERED}, DATABASE_WRITE('orders')"
        ),
    );
    vault
}

fn ada() -> Session {
    vault_with_orders().session_as("ada").unwrap()
}

#[test]
fn d17_a_function_sees_the_rows_that_are_granted() {
    let vault = vault_with_orders();
    let mut ada = vault.session_as("ada").unwrap();
    let mut bob = vault.session_as("bob").unwrap();
    let sql = "SELECT id FROM orders ORDER BY id";
    for _ in 0..3 {
        assert_eq!(query(&mut ada, sql), r#"[{"id":1},{"id":3}]"#);
        assert_eq!(query(&mut bob, sql), r#"[{"id":2}]"#);
    }
    assert_eq!(query(&mut vault.session().unwrap(), sql), "[]");
    // The sessions' own statements see everything, and no view is left.
    assert_eq!(text(&mut ada, "SELECT count(*) FROM orders"), "3");
    assert_eq!(
        text(&mut ada, "SELECT count(*) FROM sqlite_temp_schema"),
        "0"
    );
    check(
        &mut ada,
        "q",
        &[
            ("SELECT count(*) AS n FROM orders", r#"[{"n":2}]"#),
            ("SELECT count(*) AS n FROM \"Orders\"", r#"[{"n":2}]"#),
            ("SELECT count(*) AS n FROM temp.orders", r#"[{"n":2}]"#),
            ("SELECT * FROM orders WHERE id = 2", "[]"),
            (
                "SELECT sum(amount) AS n, max(status) AS s FROM orders",
                r#"[{"n":12,"s":"old"}]"#,
            ),
            (
                "SELECT name FROM users JOIN orders USING (id) ORDER BY 1",
                r#"[{"name":"Ada"}]"#,
            ),
            (
                "SELECT count(*) AS n FROM orders a, orders b",
                r#"[{"n":4}]"#,
            ),
            (
                "WITH o AS (SELECT * FROM orders) SELECT count(*) AS n FROM o",
                r#"[{"n":2}]"#,
            ),
            ("SELECT name FROM users WHERE id = 1", r#"[{"name":"Ada"}]"#),
        ],
    );
    assert_eq!(
        column(
            &mut ada,
            "SELECT DISTINCT target FROM heliosdb.audit_log
             WHERE event_type = 'CapabilityCheck' AND function_name = 'q' ORDER BY 1"
        ),
        ["main.orders", "main.users"]
    );
    assert!(vault.verify_audit_log().is_ok());
}

/// What is granted is the view that the name stands for, and not the table.
#[test]
fn d17_no_other_name_reaches_the_other_rows() {
    let mut session = ada();
    for sql in [
        "SELECT * FROM main.orders",
        "SELECT * FROM \"main\".[orders]",
        "SELECT * FROM MAIN.ORDERS",
        "WITH orders AS (SELECT * FROM main.orders) SELECT * FROM orders",
        "WITH o AS MATERIALIZED (SELECT * FROM main.orders) SELECT * FROM o",
        "WITH rows_0 AS (SELECT * FROM main.orders) SELECT * FROM rows_0",
        "SELECT * FROM (SELECT * FROM main.orders) AS orders",
        "SELECT (SELECT count(*) FROM (SELECT * FROM main.orders)) FROM orders",
    ] {
        let answer = query(&mut session, sql);
        assert!(
            answer.starts_with("denied DATABASE_READ main.orders"),
            "{sql}: {answer}"
        );
    }
    let table = "denied DATABASE_READ main.orders";
    for sql in [
        "SELECT count(*) FROM main.orders",
        "SELECT 1 FROM orders, main.orders",
        "SELECT tenant FROM main.orders FULL JOIN (SELECT 'x' AS tenant) USING (tenant)",
        "SELECT count(*) FROM main.orders NATURAL JOIN (SELECT 'CANARY' AS status)",
        "SELECT status FROM main.orders NATURAL FULL JOIN orders",
        "SELECT id FROM every_order",
        "SELECT count(*) FROM every_order",
        "SELECT id FROM orders UNION SELECT id FROM every_order",
    ] {
        let answer = query(&mut session, sql);
        assert!(answer.starts_with(table), "{sql}: {answer}");
    }
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT rowid FROM orders",
                "failed 42703 no such column: rowid",
            ),
            (
                "SELECT id FROM orders INDEXED BY by_amount",
                "invalid no such index…",
            ),
            (
                "SELECT sql FROM sqlite_temp_schema",
                "denied DATABASE_READ temp.…",
            ),
            (
                "SELECT sql FROM temp.sqlite_schema",
                "denied DATABASE_READ temp.…",
            ),
            (
                "SELECT current_caller()",
                "denied CALL_FUNCTION current_caller",
            ),
        ],
    );
    let error = "SELECT q('SELECT count(*) FROM main.orders', '[]')";
    assert!(text(&mut session, error).starts_with(table));
}

/// An error, or the lack of one, must not depend on rows that are not granted.
#[test]
fn d17_nothing_of_the_guest_is_computed_of_the_other_rows() {
    let mut session = ada();
    let two = r#"[{"id":1},{"id":3}]"#;
    // `abs` fails for the smallest integer, which is in the row that is not granted.
    for condition in [
        "abs(amount) > 0",
        "amount >= -9223372036854775808 AND abs(amount) > 0",
        "abs(amount) > 0 AND id > 0",
        "json_extract(iif(status = 'CANARY', '{', '{}'), '$') = '{}'",
        "CASE WHEN status LIKE 'CAN%' THEN abs(-9223372036854775808) ELSE 1 END",
        "(SELECT abs(o.amount)) > 0",
        "id IN (SELECT id FROM orders WHERE abs(amount) > 0)",
        "EXISTS (SELECT 1 FROM orders p WHERE p.id = o.id AND abs(p.amount) > 0)",
        "(id, abs(amount)) IN (SELECT id, abs(amount) FROM orders)",
    ] {
        let sql = format!("SELECT id FROM orders o WHERE {condition} ORDER BY id");
        assert_eq!(query(&mut session, &sql), two, "{condition}");
    }
    for sql in [
        "SELECT id FROM orders ORDER BY abs(amount)",
        "SELECT id FROM orders GROUP BY id HAVING max(abs(amount)) > 0",
        "SELECT id FROM (SELECT *, abs(amount) AS a FROM orders) WHERE a > 0 ORDER BY id",
        "SELECT o.id FROM orders o JOIN orders p ON abs(p.amount) = abs(o.amount) ORDER BY 1",
        "SELECT o.id FROM orders o LEFT JOIN orders p ON abs(p.amount) = 7 ORDER BY 1",
        "SELECT o.id FROM json_each('[1,2,3]') j CROSS JOIN orders o
           ON o.id = j.value AND abs(o.amount) > 0 ORDER BY 1",
        "SELECT id FROM (SELECT id, sum(abs(amount)) OVER (ORDER BY id) FROM orders)",
        "SELECT id FROM orders WHERE amount IN (SELECT abs(amount) FROM orders) ORDER BY 1",
        "SELECT DISTINCT id FROM orders WHERE abs(amount) ORDER BY 1",
        "SELECT id FROM orders WHERE abs(amount) UNION SELECT id FROM orders WHERE abs(amount)",
    ] {
        assert_eq!(query(&mut session, sql), two, "{sql}");
    }
    run(&mut session, "ANALYZE");
    let sql = "SELECT id FROM orders WHERE amount < 0 OR abs(amount) > 0 ORDER BY id";
    assert_eq!(query(&mut session, sql), two);
}

/// A column that the table lacks is not looked for in what the guest puts around it.
#[test]
fn a_condition_that_does_not_fit_the_table_lets_nothing_through() {
    let mut session = ada();
    run(
        &mut session,
        "ALTER TABLE orders RENAME COLUMN tenant TO owner",
    );
    let none = "failed 42703 no such column: tenant, in the condition of a grant";
    for sql in [
        "SELECT id FROM orders",
        "SELECT (SELECT count(*) FROM orders) FROM (SELECT 'ada' AS tenant)",
        "SELECT 1 FROM (SELECT 'ada' AS tenant) t WHERE EXISTS (SELECT 1 FROM orders)",
    ] {
        assert_eq!(query(&mut session, sql), none, "{sql}");
    }
    // Of two conditions, none is tried alone; and nothing is left of the first's view.
    run(
        &mut session,
        "CREATE TABLE aaa(tenant TEXT); INSERT INTO aaa VALUES ('x');
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('aaa' WHERE tenant = current_caller())",
    );
    assert_eq!(query(&mut session, "SELECT 1 FROM aaa, orders"), none);
    assert_eq!(text(&mut session, "SELECT count(*) FROM aaa"), "1");
    run(
        &mut session,
        "ALTER TABLE orders RENAME COLUMN owner TO tenant",
    );
    assert_eq!(
        query(&mut session, "SELECT count(*) AS n FROM aaa, orders"),
        r#"[{"n":0}]"#
    );
}

#[test]
fn writing_needs_the_tables_own_name_and_reads_no_row() {
    let mut session = ada();
    check(
        &mut session,
        "x",
        &[
            (
                "INSERT INTO orders VALUES (9, 'a', 'ada', 1)",
                "invalid cannot modify orders because it is a view",
            ),
            ("INSERT INTO main.orders VALUES (9, 'a', 'ada', 1)", "1"),
            ("UPDATE main.orders SET amount = 1", "4"),
            (
                "INSERT INTO main.orders SELECT id + 10, status || 'x', tenant, amount FROM orders",
                "3",
            ),
        ],
    );
    for sql in [
        "INSERT INTO main.orders VALUES (8, 'b', 'bob', 1) RETURNING status",
        "UPDATE main.orders SET amount = 2 WHERE tenant = 'bob'",
        "UPDATE main.orders SET amount = id",
        "UPDATE main.orders SET amount = 2 RETURNING *",
        "DELETE FROM main.orders WHERE id = 2",
        "INSERT INTO main.orders(id) VALUES (2) ON CONFLICT (id) DO UPDATE SET amount = id",
        "INSERT INTO main.orders SELECT * FROM main.orders",
    ] {
        let answer = execute(&mut session, sql);
        assert!(
            answer.starts_with("denied DATABASE_READ main.orders"),
            "{sql}: {answer}"
        );
    }
    assert_eq!(text(&mut session, "SELECT count(*) FROM orders"), "7");
    run(
        &mut session,
        "CREATE TRIGGER spy AFTER INSERT ON users BEGIN
           UPDATE users SET name = (SELECT group_concat(status) FROM orders); END",
    );
    let answer = execute(&mut session, "INSERT INTO users VALUES (7, 'x')");
    assert!(
        answer.starts_with("denied DATABASE_READ main.orders"),
        "{answer}"
    );
}

/// Views come and go with a statement, whatever becomes of the call around it.
#[test]
fn the_view_is_gone_after_the_statement() {
    let mut session = ada();
    run(
        &mut session,
        &format!(
            "CREATE FUNCTION f(id BIGINT, fails BOOLEAN) RETURNS BIGINT LANGUAGE javascript AS $$
               function f(id, fails) {{
                 const n = heliosdb.query('SELECT count(*) AS n FROM orders').rows[0].n;
                 if (fails) throw new Error('no');
                 return n;
               }} $$;
             ALTER FUNCTION f GRANT CAPABILITY {FILTERED}"
        ),
    );
    let left =
        "SELECT (SELECT count(*) FROM orders) || ' ' || (SELECT count(*) FROM sqlite_temp_schema)";
    assert_eq!(
        column(&mut session, "SELECT f(id, false) FROM orders ORDER BY id"),
        ["2", "2", "2"]
    );
    assert_eq!(text(&mut session, left), "3 0");
    refuse(
        &mut session,
        "SELECT f(id, id = 3) FROM orders ORDER BY id",
        "38000",
    );
    assert_eq!(text(&mut session, left), "3 0");
    run(
        &mut session,
        "BEGIN; INSERT INTO orders VALUES (4, 'more', 'ada', 0)",
    );
    assert_eq!(value(&mut session, "SELECT f(1, false)"), Value::Integer(3));
    refuse(&mut session, "CALL f(1, true)", "38000");
    assert_eq!(text(&mut session, left), "4 0");
    run(&mut session, "ROLLBACK");
    assert_eq!(text(&mut session, left), "3 0");
    // The client's own temporary table is not the one that is granted.
    run(
        &mut session,
        "CREATE TEMP TABLE orders(id, tenant); INSERT INTO temp.orders VALUES (77, 'ada')",
    );
    let answer = query(&mut session, "SELECT id FROM orders");
    assert!(answer.starts_with("invalid"), "{answer}");
    assert_eq!(text(&mut session, "SELECT id FROM orders"), "77");
}

#[test]
fn conditions_add_up_and_columns_hold_in_them() {
    let mut session = ada();
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('orders(id, status)' WHERE amount < 0)",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT id, status FROM orders WHERE id = 2",
                r#"[{"id":2,"status":"CANARY"}]"#,
            ),
            // A column is granted for every row that is seen, or not at all.
            (
                "SELECT amount FROM orders",
                "denied DATABASE_READ main.orders(amount)",
            ),
            ("SELECT count(*) AS n FROM orders", r#"[{"n":3}]"#),
        ],
    );
    run(
        &mut session,
        "ALTER FUNCTION q DENY CAPABILITY DATABASE_READ('orders(status)')",
    );
    assert_eq!(
        query(&mut session, "SELECT status FROM orders"),
        "denied DATABASE_READ main.orders(status)"
    );
    assert_eq!(
        query(&mut session, "SELECT count(id) AS n FROM orders"),
        r#"[{"n":3}]"#
    );
    run(
        &mut session,
        "ALTER FUNCTION q DENY CAPABILITY DATABASE_READ('orders')",
    );
    assert_eq!(
        query(&mut session, "SELECT id FROM orders"),
        "denied DATABASE_READ main.orders"
    );
    run(
        &mut session,
        "ALTER FUNCTION q REVOKE CAPABILITY DATABASE_READ('orders'), DATABASE_READ('orders(status)');
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('ord*')",
    );
    // A grant of every row needs no condition.
    assert_eq!(
        query(&mut session, "SELECT count(*) AS n FROM main.orders"),
        r#"[{"n":3}]"#
    );
}

#[test]
fn the_hint_for_a_column_keeps_the_condition() {
    let mut session = ada();
    run(
        &mut session,
        "CREATE FUNCTION f(sql TEXT) RETURNS BIGINT LANGUAGE javascript AS $$
           function f(sql) { return heliosdb.query(sql).rowCount } $$;
         ALTER FUNCTION f GRANT CAPABILITY
           DATABASE_READ('orders(id)' WHERE tenant = current_caller() /* or */ AND 'it''s' <> \")\")",
    );
    run(
        &mut session,
        "ALTER TABLE orders ADD COLUMN \")\" TEXT DEFAULT 'x'",
    );
    let shown = r#"'orders(id)' WHERE tenant = current_caller() AND 'it''s' <> ")""#;
    let patterns = "SELECT pattern FROM heliosdb.grants WHERE function_name = 'f'";
    assert_eq!(column(&mut session, patterns), [shown]);
    let error = refuse(
        &mut session,
        "SELECT f('SELECT id, amount FROM orders')",
        "42501",
    );
    let hint = shown.replace("(id)", "(amount)");
    assert_eq!(
        error.hint(),
        Some(format!("ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ({hint});").as_str())
    );
    run(&mut session, error.hint().unwrap());
    assert_eq!(
        text(&mut session, "SELECT f('SELECT id, amount FROM orders')"),
        "2"
    );
    // All rows are held back on purpose: no hint opens them.
    let error = refuse(
        &mut session,
        "SELECT f('SELECT id FROM main.orders')",
        "42501",
    );
    assert_eq!(
        (error.message(), error.hint()),
        (
            "permission denied: function \"f\" may not read all rows of table \"orders\"",
            None
        )
    );
    forget_denials(&mut session, "f");
    run(
        &mut session,
        &format!(
            "ALTER FUNCTION f REVOKE CAPABILITY DATABASE_READ({shown}), DATABASE_READ({hint})"
        ),
    );
    assert_eq!(column(&mut session, patterns), Vec::<String>::new());
}

#[test]
fn what_no_condition_can_be_is_refused() {
    let mut session = session();
    run(
        &mut session,
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$ function f() { return 1 } $$",
    );
    for (capability, sqlstate) in [
        ("GRANT CAPABILITY DATABASE_READ('t' WHERE)", "22023"),
        ("GRANT CAPABILITY DATABASE_READ('t' WHERE a = ?)", "22023"),
        ("GRANT CAPABILITY DATABASE_READ('t' WHERE a = :a)", "22023"),
        (
            "GRANT CAPABILITY DATABASE_READ('t' WHERE a IN (SELECT 1))",
            "22023",
        ),
        (
            "GRANT CAPABILITY DATABASE_READ('t' WHERE EXISTS (VALUES (1)))",
            "22023",
        ),
        (
            "GRANT CAPABILITY DATABASE_READ('t' WHERE a IN secrets)",
            "22023",
        ),
        (
            "GRANT CAPABILITY DATABASE_READ('t' WHERE a IN \"secrets\")",
            "22023",
        ),
        (
            "GRANT CAPABILITY DATABASE_READ('t' WHERE a) OR (1)",
            "42601",
        ),
        ("GRANT CAPABILITY DATABASE_READ('t' WHERE (a)", "42601"),
        ("GRANT CAPABILITY DATABASE_READ('t' HAVING a)", "42601"),
        ("GRANT CAPABILITY DATABASE_READ('t' WHERE f() = 1)", "0A000"),
        (
            "GRANT CAPABILITY DATABASE_READ('t' WHERE \"f\"() = 1)",
            "0A000",
        ),
        (
            "GRANT CAPABILITY DATABASE_READ('t' WHERE random() = 1)",
            "0A000",
        ),
        ("GRANT CAPABILITY DATABASE_WRITE('t' WHERE a = 1)", "0A000"),
        ("DENY CAPABILITY DATABASE_READ('t' WHERE a = 1)", "0A000"),
        ("GRANT CAPABILITY TIME_ACCESS('t' WHERE a = 1)", "42601"),
    ] {
        refuse(
            &mut session,
            &format!("ALTER FUNCTION f {capability}"),
            sqlstate,
        );
    }
    refuse(
        &mut session,
        "CREATE SECURITY POLICY p AS (capabilities: [DATABASE_READ('t' WHERE f())])",
        "0A000",
    );
    run(
        &mut session,
        "CREATE SECURITY POLICY p AS (capabilities: [DATABASE_READ('t' WHERE a = 'x''y')]);
         CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('x''y'), ('z');
         CREATE FUNCTION n() RETURNS BIGINT LANGUAGE javascript AS $$
           function n() { return heliosdb.query('SELECT a FROM t').rowCount } $$;
         ALTER FUNCTION n SET SECURITY POLICY p",
    );
    assert_eq!(text(&mut session, "SELECT n()"), "1");
    refuse(
        &mut session,
        "CREATE FUNCTION current_caller() RETURNS TEXT LANGUAGE javascript AS $$ function current_caller() {} $$",
        "42723",
    );
}

/// What stays open between requests outlives the view, and sees no more than it.
#[test]
fn open_statements_cursors_and_transactions_see_the_same_rows() {
    let mut session = ada();
    run(
        &mut session,
        &format!(
            "CREATE FUNCTION f() RETURNS JSON LANGUAGE javascript AS $$
               function f() {{
                 const all = 'SELECT id FROM orders ORDER BY id', ids = rows => rows.map(r => r.id);
                 const seen = [];
                 const one = heliosdb.prepare('SELECT id FROM orders WHERE id = ?');
                 for (const id of [1, 2, 3, 2]) seen.push(one.queryOne([id])?.id ?? null);
                 for (const row of heliosdb.stream(all)) seen.push(row.id, ids(heliosdb.query(all).rows));
                 try {{
                   heliosdb.transaction(() => {{
                     heliosdb.execute(\"INSERT INTO main.orders VALUES (4, 'd', 'ada', 1), (5, 'e', 'bob', 1)\");
                     seen.push(ids(heliosdb.query(all).rows));
                     throw new Error('undo');
                   }});
                 }} catch (e) {{ if (e.message !== 'undo') throw e; }}
                 seen.push(ids(heliosdb.query(all).rows));
                 return seen;
               }} $$;
             ALTER FUNCTION f GRANT CAPABILITY {FILTERED}, DATABASE_WRITE('orders')"
        ),
    );
    let seen = "[1,null,3,null,1,[1,3],3,[1,3],[1,3,4],[1,3]]";
    for _ in 0..2 {
        assert_eq!(text(&mut session, "SELECT f()"), seen);
    }
    assert_eq!(text(&mut session, "SELECT count(*) FROM orders"), "3");
    assert_eq!(
        text(&mut session, "SELECT count(*) FROM sqlite_temp_schema"),
        "0"
    );
}
