//! Creating, granting, calling: the statements of the seed documents, by row.

use crate::support::{
    column, guest, refuse, run, session, session_for_any_text, session_with_users, text, value,
    wasi_guest,
};
use perihelion::Value;

#[test]
fn h8_a_new_function_computes_and_nothing_else() {
    let mut session = session_with_users();
    run(
        &mut session,
        "CREATE FUNCTION read_only_function(id INTEGER)
RETURNS JSON
LANGUAGE javascript
AS $$
  function read_only_function(id) {
    // Can only perform computations
    // No database, file, or network access
    return { id: id, processed: true };
  }
$$;",
    );
    assert_eq!(
        text(&mut session, "SELECT read_only_function(7)"),
        r#"{"id":7,"processed":true}"#
    );
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM heliosdb.grants"),
        Value::Integer(0)
    );
}

#[test]
fn h9_a_read_grant_opens_its_table_and_no_other() {
    let mut session = session_with_users();
    run(
        &mut session,
        "CREATE FUNCTION user_lookup(t TEXT) RETURNS JSON LANGUAGE javascript AS $$
           function user_lookup(t) { return heliosdb.query('SELECT * FROM ' + t).rows; }
         $$",
    );
    let refused = refuse(&mut session, "SELECT user_lookup('users')", "42501");
    assert_eq!(
        refused.message(),
        "permission denied: function \"user_lookup\" may not read table \"users\""
    );
    assert_eq!(refused.detail(), Some("it has no grants"));
    assert_eq!(
        refused.hint(),
        Some("ALTER FUNCTION user_lookup GRANT CAPABILITY DATABASE_READ('users');")
    );
    run(
        &mut session,
        "ALTER FUNCTION user_lookup
GRANT CAPABILITY DATABASE_READ('users');",
    );
    assert!(text(&mut session, "SELECT user_lookup('users')").contains("Ada"));
    refuse(&mut session, "SELECT user_lookup('secrets')", "42501");
    assert_eq!(
        column(
            &mut session,
            "SELECT target || ' ' || allowed FROM heliosdb.audit_log
             WHERE event_type = 'CapabilityCheck' ORDER BY seq"
        ),
        ["main.users 0", "main.users 1", "main.secrets 0"]
    );
}

#[test]
fn h10_a_write_grant_writes_its_table_and_reads_nothing() {
    let mut session = session_for_any_text();
    run(
        &mut session,
        "CREATE FUNCTION update_user(sql TEXT) RETURNS BIGINT LANGUAGE javascript AS $$
           function update_user(sql) { return heliosdb.execute(sql).rowCount; }
         $$;
         ALTER FUNCTION update_user
GRANT CAPABILITY DATABASE_WRITE('users');",
    );
    assert_eq!(
        value(
            &mut session,
            "SELECT update_user('INSERT INTO users VALUES (3, ''Cy'', NULL)')"
        ),
        Value::Integer(1)
    );
    assert_eq!(
        value(
            &mut session,
            "SELECT update_user('UPDATE users SET name = ''x''')"
        ),
        Value::Integer(3)
    );
    let refused = refuse(
        &mut session,
        "SELECT update_user('UPDATE users SET name = ''y'' WHERE id = 1')",
        "42501",
    );
    assert!(
        refused.message().contains("may not read table \"users\""),
        "{refused:?}"
    );
    refuse(
        &mut session,
        "SELECT update_user('DELETE FROM secrets')",
        "42501",
    );
    assert_eq!(
        value(&mut session, "SELECT update_user('DELETE FROM users')"),
        Value::Integer(3)
    );
}

#[test]
fn rust_components_are_called_by_their_wit_types() {
    let mut session = session();
    let path = guest("bench_guest");
    run(
        &mut session,
        &format!(
            "CREATE FUNCTION add LANGUAGE wasm AS '{0}';
             CREATE FUNCTION describe LANGUAGE wasm AS '{0}';
             CREATE FUNCTION point LANGUAGE wasm AS '{0}';
             CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, amount INTEGER);
             INSERT INTO item VALUES (1, 'one', 10), (2, 'two', 20);
             ALTER FUNCTION point GRANT CAPABILITY DATABASE_READ('item');",
            path.display()
        ),
    );
    assert_eq!(
        value(&mut session, "SELECT \"add\"(40, 2)"),
        Value::Integer(42)
    );
    assert_eq!(
        column(&mut session, "SELECT point(id) FROM item ORDER BY id"),
        ["one", "two"]
    );
    assert_eq!(
        text(
            &mut session,
            "SELECT parameters || ' ' || returns FROM heliosdb.functions WHERE name = 'point'"
        ),
        "id BIGINT TEXT"
    );
    assert_eq!(
        session
            .call("add", &[Value::Integer(1), Value::Integer(2)])
            .unwrap(),
        Value::Integer(3)
    );
}

#[test]
fn a_component_of_the_wasi_target_runs() {
    let mut session = session();
    run(
        &mut session,
        &format!(
            "CREATE FUNCTION words LANGUAGE wasm AS '{}'",
            wasi_guest().display()
        ),
    );
    assert_eq!(
        value(&mut session, "SELECT json_array_length(words('a b  c'))"),
        Value::Integer(3)
    );
}

#[test]
fn a_component_of_plain_wit_bindgen_runs() {
    let mut session = session();
    let path = guest("plain_guest");
    run(
        &mut session,
        &format!(
            "CREATE FUNCTION greet LANGUAGE wasm AS '{0}';
             CREATE FUNCTION artists LANGUAGE wasm AS '{0}';
             CREATE TABLE Artist (ArtistId INTEGER PRIMARY KEY, Name TEXT);
             INSERT INTO Artist VALUES (1, 'AC/DC'), (2, 'Accept');",
            path.display()
        ),
    );
    assert!(text(&mut session, "SELECT greet('Ada')").contains("Ada"));
    let error = refuse(&mut session, "SELECT artists()", "42501");
    run(&mut session, error.hint().unwrap());
    assert_eq!(value(&mut session, "SELECT artists()"), Value::Integer(2));
}

#[test]
fn h41_h54_a_grant_on_everything_is_warned_of() {
    let mut session = session();
    run(
        &mut session,
        "CREATE FUNCTION f() LANGUAGE javascript AS $$ function f() {} $$",
    );
    let outcome = run(
        &mut session,
        "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('*')",
    );
    assert_eq!(outcome.notices.len(), 1);
    assert_eq!(outcome.notices[0].severity.name(), "WARNING");
}

#[test]
fn a_bound_value_does_not_make_sqlite_plan_a_checked_statement_anew() {
    let mut session = session();
    run(
        &mut session,
        "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, kind INTEGER);
         CREATE INDEX item_name ON item (name);
         CREATE INDEX item_kind ON item (kind);
         INSERT INTO item VALUES (1, 'ant', 1), (2, 'bee', 1), (3, 'auk', 2);
         ANALYZE main;
         CREATE FUNCTION f(p TEXT) RETURNS JSON LANGUAGE javascript AS $$
           function f(p) {
             const sql = 'SELECT count(*) AS n FROM item WHERE name LIKE ? AND kind < ?';
             return [heliosdb.query(sql, [p, 3]).rows[0].n, heliosdb.query(sql, [p, 2]).rows[0].n];
           }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('item');",
    );
    assert_eq!(text(&mut session, "SELECT f('a%')"), "[2,1]");
}

/// Whatever the language, what ran was WebAssembly that burnt fuel, and nothing in the host
/// could have run it otherwise.
#[test]
fn h2_all_code_runs_in_the_sandbox() {
    let mut session = session();
    let path = guest("bench_guest");
    run(
        &mut session,
        &format!(
            "CREATE FUNCTION js() LANGUAGE javascript AS $$ function js() {{}} $$;
             CREATE FUNCTION nop LANGUAGE wasm AS '{}';
             SELECT js(), nop()",
            path.display()
        ),
    );
    let metered = "SELECT count(*) FROM heliosdb.audit_log WHERE event_type = 'ExecutionCompleted'
                   AND json_extract(detail, '$.instructions') > 0";
    assert_eq!(value(&mut session, metered), Value::Integer(2));
    for language in ["python", "sql", "plpgsql", "c", "internal"] {
        let sql = format!("CREATE FUNCTION f() LANGUAGE {language} AS ''");
        refuse(&mut session, &sql, "0A000");
    }
    let lock = std::fs::read_to_string(crate::support::root().join("Cargo.lock")).unwrap();
    for interpreter in [
        "boa_engine",
        "deno_core",
        "jit-compiler",
        "mlua",
        "pyo3",
        "quickjs",
        "rhai",
        "rquickjs",
        "rusty_jsc",
        "starlark",
        "v8",
        "wasmi",
    ] {
        let entry = format!("name = \"{interpreter}\"");
        assert!(
            !lock.contains(&entry),
            "{interpreter} is no sandbox of ours"
        );
    }
}
