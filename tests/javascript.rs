//! JavaScript procedures: the seeds' samples, types, modern syntax, and errors that
//! show the guest's line.

use crate::support::{refuse, run, session, session_with_users, text, value};
use perihelion::Value;

/// A function `f` with this signature and body, in place of the one before.
fn create(session: &mut perihelion::Session, signature: &str, body: &str) {
    run(
        session,
        &format!("CREATE OR REPLACE FUNCTION f{signature} LANGUAGE javascript AS $${body}$$"),
    );
}

const UPDATE_USER_EMAIL: &str = "CREATE FUNCTION update_user_email(user_id INTEGER, email TEXT)
LANGUAGE javascript AS $$
function update_user_email(user_id, email) {
  // Validate user_id
  if (typeof user_id !== 'number' || user_id < 1) {
    throw new Error('Invalid user ID');
  }

  // Validate email
  if (typeof email !== 'string' || !email.match(/^[^\\s@]+@[^\\s@]+\\.[^\\s@]+$/)) {
    throw new Error('Invalid email format');
  }

  // Prevent SQL injection by using parameterized queries
  heliosdb.execute(
    'UPDATE users SET email = ? WHERE id = ?',
    [email, user_id]
  );
}
$$;
ALTER FUNCTION update_user_email
GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users');";

#[test]
fn h55_the_sample_validates_its_input_and_the_error_shows_its_line() {
    let mut session = session_with_users();
    run(&mut session, UPDATE_USER_EMAIL);
    run(
        &mut session,
        "SELECT update_user_email(1, 'ada@new.example')",
    );
    assert_eq!(
        text(&mut session, "SELECT email FROM users WHERE id = 1"),
        "ada@new.example"
    );
    let error = refuse(
        &mut session,
        "SELECT update_user_email(1, 'nonsense')",
        "38000",
    );
    assert_eq!(
        error.message(),
        "function \"update_user_email\" failed: Error: Invalid email format"
    );
    let context = error.context().unwrap();
    assert!(
        context.starts_with("at update_user_email (update_user_email.js:9:"),
        "{context}"
    );
    assert!(
        context.contains("> 9 |     throw new Error('Invalid email format');"),
        "{context}"
    );
    refuse(
        &mut session,
        "SELECT update_user_email(0, 'a@b.example')",
        "38000",
    );
    assert_eq!(
        value(
            &mut session,
            "SELECT count(*) FROM heliosdb.audit_log WHERE event_type = 'ExecutionFailed'"
        ),
        Value::Integer(2)
    );
    // Types are checked before the guest runs.
    refuse(
        &mut session,
        "SELECT update_user_email('x', 'a@b.example')",
        "22P02",
    );
}

#[test]
fn h56_parameters_are_values_and_never_sql() {
    let mut session = session_with_users();
    run(&mut session, UPDATE_USER_EMAIL);
    run(
        &mut session,
        "CREATE FUNCTION rename(id BIGINT, name TEXT) LANGUAGE javascript AS $$
           function rename(id, name) {
             heliosdb.execute('UPDATE users SET name = $2 WHERE id = $1', [id, name]);
           }
         $$;
         ALTER FUNCTION rename GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users');
         SELECT \"rename\"(1, '''; DROP TABLE users;--');",
    );
    assert_eq!(
        text(&mut session, "SELECT name FROM users WHERE id = 1"),
        "'; DROP TABLE users;--"
    );
    create(
        &mut session,
        "() RETURNS JSON",
        "function f() { return heliosdb.query('SELECT * FROM users WHERE id = ?', []).rows; }",
    );
    run(
        &mut session,
        "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')",
    );
    let error = refuse(&mut session, "SELECT f()", "42601");
    assert!(error.message().contains("1 parameter"), "{error:?}");
}

#[test]
fn h57_only_returned_fields_leave() {
    let mut session = session_with_users();
    run(
        &mut session,
        "CREATE FUNCTION get_user_info(user_id INTEGER) RETURNS JSON LANGUAGE javascript AS $$
function get_user_info(user_id) {
  const user = heliosdb.query(
    'SELECT * FROM users WHERE id = ?',
    [user_id]
  ).rows[0];

  // Don't expose sensitive fields
  return {
    id: user.id,
    name: user.name,
    email: user.email,
    // Exclude: password_hash, ssn, etc.
  };
}
$$;
ALTER TABLE users ADD COLUMN password_hash TEXT DEFAULT 'CANARY';
ALTER FUNCTION get_user_info GRANT CAPABILITY DATABASE_READ('users');",
    );
    assert_eq!(
        text(&mut session, "SELECT get_user_info(1)"),
        r#"{"id":1,"name":"Ada","email":"ada@example.com"}"#
    );
}

#[test]
fn h43_the_clock_is_real_or_refused() {
    for body in [
        "function f() { return Date.now(); }",
        "function f() { return new Date().getTime(); }",
        "function f() { return Date.parse(Date()); }",
        "function f() { return new ((new Date(0)).constructor)().getTime(); }",
    ] {
        let mut session = session();
        create(&mut session, "() RETURNS BIGINT", body);
        let error = refuse(&mut session, "SELECT f()", "42501");
        assert_eq!(
            error.hint(),
            Some("ALTER FUNCTION f GRANT CAPABILITY TIME_ACCESS;"),
            "{body}"
        );
        run(&mut session, error.hint().unwrap());
        let since = text(&mut session, "SELECT abs(unixepoch() * 1000 - f()) < 5000");
        assert_eq!(since, "1", "{body}");
    }
    let mut session = session();
    create(
        &mut session,
        "() RETURNS TEXT",
        "function f() { return new Date(0).toISOString(); }",
    );
    assert_eq!(text(&mut session, "SELECT f()"), "1970-01-01T00:00:00.000Z");
}

#[test]
fn h44_there_is_no_randomness_without_its_capability() {
    let mut session = session();
    create(
        &mut session,
        "() RETURNS REAL",
        "function f() { return Math.random(); }",
    );
    let error = refuse(&mut session, "SELECT f()", "38000");
    assert!(error.message().contains("RANDOM_ACCESS"), "{error:?}");
}

#[test]
fn d19_values_arrive_and_return_as_the_table_of_types_says() {
    let mut session = session();
    // Type, SQL argument, what JavaScript sees, SQL result.
    let rows = [
        ("BOOLEAN", "true", "boolean", "1"),
        ("SMALLINT", "7", "number", "7"),
        ("BIGINT", "9007199254740991", "number", "9007199254740991"),
        (
            "BIGINT",
            "9223372036854775807",
            "bigint",
            "9223372036854775807",
        ),
        (
            "BIGINT",
            "-9223372036854775807 - 1",
            "bigint",
            "-9223372036854775808",
        ),
        ("DOUBLE PRECISION", "0.1", "number", "0.1"),
        (
            "NUMERIC",
            "'12345678901234567890.12'",
            "string",
            "12345678901234567890.12",
        ),
        ("TEXT", "'grüße 🎉'", "string", "grüße 🎉"),
        (
            "UUID",
            "'6F9619FF-8B86-D011-B42D-00CF4FC964FF'",
            "string",
            "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
        ),
        ("JSON", "'{\"a\":[1,null]}'", "object", "{\"a\":[1,null]}"),
        ("DATE", "'2026-11-22'", "object", "2026-11-22"),
        (
            "TIMESTAMP",
            "'2026-11-22 09:30:00.123'",
            "object",
            "2026-11-22 09:30:00.123000",
        ),
        ("TEXT", "NULL", "object", "NULL"),
    ];
    for (sql_type, argument, kind, result) in rows {
        create(
            &mut session,
            &format!("(kind TEXT, x {sql_type}) RETURNS {sql_type}"),
            "function f(kind, x) {
               if (typeof x !== kind) throw new Error(`${typeof x}: ${String(x)}`);
               return x;
             }",
        );
        let sql = format!("SELECT f('{kind}', {argument})");
        assert_eq!(text(&mut session, &sql), result, "{sql_type} {argument}");
    }
    create(
        &mut session,
        "(x BYTEA) RETURNS BYTEA",
        "function f(x) { return x.reverse(); }",
    );
    assert_eq!(
        value(&mut session, "SELECT f(x'010203')"),
        Value::Blob(vec![3, 2, 1])
    );
    create(
        &mut session,
        "(x INTEGER) RETURNS INTEGER",
        "function f(x) { return x * 2; }",
    );
    refuse(&mut session, "SELECT f(2000000000)", "22003");
    refuse(&mut session, "SELECT f('many')", "22P02");
    refuse(&mut session, "SELECT f()", "42883");
    refuse(&mut session, "SELECT f(1, 2)", "42883");
}

#[test]
fn modern_javascript_runs() {
    let mut session = session();
    for (body, expected) in [
        (
            "async function f() { return await Promise.resolve({ a: 1 }); }",
            r#"{"a":1}"#,
        ),
        (
            "export default async () => [1, 2].map((x) => x ** 2)",
            "[1,4]",
        ),
        ("function* f() { yield 1; yield* [2, 3]; }", "[1,2,3]"),
        (
            "const g = ({ a, ...rest }) => rest?.b ?? 'none'; const f = () => g({ a: 1, b: 2 });",
            "2",
        ),
        (
            "class A { #x = 1; get x() { return this.#x; } } function f() { return new A().x; }",
            "1",
        ),
        (
            "const x = await Promise.resolve(7); export function f() { return x; }",
            "7",
        ),
        ("function f() { return [3n, 2n].toSorted().length; }", "2"),
    ] {
        create(&mut session, "() RETURNS JSON", body);
        assert_eq!(text(&mut session, "SELECT f()"), expected, "{body}");
    }
}

#[test]
fn d19_the_entry_point_is_the_named_function_else_the_default_export() {
    let mut session = session();
    run(
        &mut session,
        "CREATE FUNCTION camelCase() RETURNS TEXT LANGUAGE javascript
         AS $$ function camelCase() { return 'camel'; } $$",
    );
    assert_eq!(text(&mut session, "SELECT camelcase()"), "camel");
    create(
        &mut session,
        "() RETURNS TEXT",
        "export default function other() { return 'default'; } export function f() { return 'named'; }",
    );
    assert_eq!(text(&mut session, "SELECT f()"), "named");
    let error = refuse(
        &mut session,
        "CREATE FUNCTION g() LANGUAGE javascript AS $$ function h() {} $$",
        "42601",
    );
    assert!(
        error.message().contains("no function named \"g\""),
        "{error:?}"
    );
}

#[test]
fn errors_say_what_and_where() {
    let mut session = session();
    let error = refuse(
        &mut session,
        "CREATE FUNCTION f() LANGUAGE javascript AS $$\nfunction f() {\n  return 1 +;\n}\n$$",
        "42601",
    );
    assert!(
        error.context().unwrap().contains("> 2 |   return 1 +;"),
        "{error:?}"
    );
    for (body, expected) in [
        (
            "function f() { throw new TypeError('no'); }",
            "TypeError: no",
        ),
        ("function f() { throw 'text'; }", "text"),
        ("function f() { throw null; }", "null"),
        ("function f() { throw Symbol('s'); }", "Symbol"),
        ("function f() { null.x; }", "TypeError: "),
        (
            "function f() { return new Promise(() => {}); }",
            "never settles",
        ),
        (
            "async function f() { await 1; throw new Error('late'); }",
            "Error: late",
        ),
        ("function f() { return {}; }", "RETURNS JSON"),
    ] {
        create(&mut session, "() RETURNS TEXT", body);
        let error = refuse(&mut session, "SELECT f()", "38000");
        assert!(error.message().contains(expected), "{body}: {error:?}");
    }
}

#[test]
fn a_guest_that_spoils_its_own_globals_harms_only_itself() {
    let mut session = session_with_users();
    run(
        &mut session,
        "CREATE FUNCTION spoil() RETURNS JSON LANGUAGE javascript AS $$
           function spoil() {
             Array.prototype.map = Array.prototype.push = JSON.stringify = () => { throw 1 };
             heliosdb.query = () => ({ rows: [{ forged: true }] });
             Object.defineProperty(Object.prototype, 'toJSON', { get() { return undefined; } });
             return heliosdb.query('SELECT * FROM secrets').rows;
           }
         $$;
         CREATE FUNCTION honest() RETURNS JSON LANGUAGE javascript
         AS $$ function honest() { return [1, 2].map((x) => x + 1); } $$;",
    );
    assert_eq!(text(&mut session, "SELECT spoil()"), r#"[{"forged":true}]"#);
    assert_eq!(text(&mut session, "SELECT honest()"), "[2,3]");
}

#[test]
fn imports_of_other_modules_are_refused() {
    let mut session = session();
    for body in [
        "import x from 'fs'; export default () => x",
        "export default async () => { const x = await import('fs'); return 1; }",
    ] {
        let created = session.execute(&format!(
            "CREATE OR REPLACE FUNCTION f() RETURNS TEXT LANGUAGE javascript AS $${body}$$"
        ));
        let error = match created {
            Err(error) => error,
            Ok(_) => session.execute("SELECT f()").unwrap_err(),
        };
        assert!(error.message().contains("cannot import"), "{error:?}");
    }
}
