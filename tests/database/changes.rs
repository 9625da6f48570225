//! Grants and tables that change between a statement's check and its run, or while a
//! function runs.

use super::{execute, probed, query};
use crate::support::{run, session_with_users, text, vault_for_any_text};
use perihelion::{Error, Session, SqlState, Storage, Value, Vault};
use std::thread;
use std::time::{Duration, Instant};

const DENIED: &str = "denied DATABASE_READ main.users";

/// The prepared statements of every session are those of a grant, not of a text.
#[test]
fn h73_a_prepared_statement_does_not_outlive_its_grant() {
    let mut session = probed();
    let sql = "SELECT count(*) AS n FROM users";
    let allowed = r#"[{"n":2}]"#;
    for (statement, after) in [
        ("REVOKE CAPABILITY DATABASE_READ('users')", DENIED),
        ("GRANT CAPABILITY DATABASE_READ('users')", allowed),
        ("DENY CAPABILITY DATABASE_READ('us*')", DENIED),
        ("REVOKE CAPABILITY DATABASE_READ('us*')", allowed),
    ] {
        query(&mut session, sql);
        run(&mut session, &format!("ALTER FUNCTION q {statement}"));
        assert_eq!(query(&mut session, sql), after, "{statement}");
        assert_eq!(
            text(&mut session, &format!("SELECT q('{sql}', '[]')")),
            after,
            "{statement}"
        );
    }
    // Nor is it another function's.
    run(
        &mut session,
        "ALTER FUNCTION x REVOKE CAPABILITY DATABASE_READ('users')",
    );
    assert_eq!(execute(&mut session, sql), DENIED);
}

/// A function that reads until it is refused; what it returns says how that was.
const LOOP: &str = "
CREATE FUNCTION watch() RETURNS TEXT LANGUAGE javascript AS $$
  function watch() {
    for (let n = 0; ; n++) {
      try { heliosdb.query('SELECT count(*) FROM users'); }
      catch (e) { if (n > 0 && e.code === 'denied') return e.denials[0].target; throw e; }
    }
  }
$$;
ALTER FUNCTION watch GRANT CAPABILITY DATABASE_READ('users');";

fn watched() -> (Vault, Session) {
    let vault = vault_for_any_text(Storage::Memory);
    let mut session = vault.session().unwrap();
    run(&mut session, "CREATE TABLE users(id INTEGER)");
    run(&mut session, LOOP);
    (vault, session)
}

/// Runs the loop on another thread, makes a change a moment later, and says how the
/// loop ended; it must end at once.
fn during(change: &str) -> Result<Value, Error> {
    let (vault, mut session) = watched();
    let looping = thread::spawn({
        let vault = vault.clone();
        move || vault.session().unwrap().call("watch", &[])
    });
    thread::sleep(Duration::from_millis(300));
    assert!(!looping.is_finished());
    let begun = Instant::now();
    run(&mut session, change);
    let ended = looping.join().unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(vault.verify_audit_log().is_ok());
    ended
}

#[test]
fn h73_a_change_by_another_session_reaches_the_next_host_call() {
    let users = Value::Text("main.users".into());
    let revoke = "ALTER FUNCTION watch REVOKE CAPABILITY DATABASE_READ('users')";
    assert_eq!(during(revoke).unwrap(), users);
    let deny = "ALTER FUNCTION watch DENY CAPABILITY DATABASE_READ('*')";
    assert_eq!(during(deny).unwrap(), users);
    let disable = "ALTER FUNCTION watch SET ENABLED = false";
    assert_eq!(during(disable).unwrap_err().sqlstate().as_str(), "55000");
    let drop = "DROP FUNCTION watch";
    assert_eq!(during(drop).unwrap_err().sqlstate().as_str(), "42883");
}

/// A function that reads and writes until it is refused, and returns when the last
/// statement that was allowed had begun, in milliseconds since 1970.
const HURRY: &str = "
CREATE FUNCTION hurry(sql TEXT, writes BOOLEAN) RETURNS TEXT LANGUAGE javascript AS $$
  function hurry(sql, writes) {
    let last = 0;
    for (;;) {
      const now = Date.now();
      try { writes ? heliosdb.execute(sql) : heliosdb.query(sql); }
      catch (e) { if (last > 0 && e.code === 'denied') return String(last); throw e; }
      last = now;
    }
  }
$$;";

/// Whatever takes the grant away: when that has returned, no further statement is allowed.
#[test]
fn h73_revoking_stops_the_very_next_statement() {
    let vault = vault_for_any_text(Storage::Memory);
    let mut session = vault.session().unwrap();
    run(
        &mut session,
        "CREATE TABLE users(id INTEGER, name TEXT); INSERT INTO users VALUES (1, 'a')",
    );
    run(&mut session, HURRY);
    let (read, write) = ("SELECT id FROM users", "UPDATE users SET name = 'b'");
    let rounds = [
        (
            "DATABASE_READ('users')",
            "REVOKE",
            "DATABASE_READ('users')",
            read,
        ),
        ("DATABASE_READ('*')", "DENY", "DATABASE_READ('u*')", read),
        (
            "DATABASE_READ('users(id)')",
            "REVOKE",
            "DATABASE_READ('users(id)')",
            read,
        ),
        (
            "DATABASE_READ('users')",
            "DENY",
            "DATABASE_READ('users(id)')",
            read,
        ),
        (
            "DATABASE_READ('users' WHERE id = 1)",
            "REVOKE",
            "DATABASE_READ('users' WHERE id = 1)",
            read,
        ),
        (
            "DATABASE_WRITE('users')",
            "REVOKE",
            "DATABASE_WRITE('users')",
            write,
        ),
        (
            "DATABASE_WRITE('users(name)')",
            "DENY",
            "DATABASE_WRITE('users(name)')",
            write,
        ),
    ];
    for (grant, verb, taken, sql) in rounds.repeat(3) {
        let (last, taken_at) = last_before(&vault, (grant, verb, taken), sql, sql == write);
        assert!(
            last <= taken_at,
            "{} ms later: {verb} {taken}",
            last - taken_at
        );
    }
    assert!(vault.verify_audit_log().is_ok());
}

/// When the last statement was run that was allowed, and when the grant had been taken
/// away. A call that had not begun by then says nothing: it gets more time.
fn last_before(
    vault: &Vault,
    (grant, verb, taken): (&str, &str, &str),
    sql: &'static str,
    writes: bool,
) -> (i64, i64) {
    let mut session = vault.session().unwrap();
    for head_start_ms in [40, 400, 4_000] {
        run(
            &mut session,
            &format!(
                "ALTER FUNCTION hurry SET SECURITY POLICY DEFAULT;
                 ALTER FUNCTION hurry GRANT CAPABILITY {grant}"
            ),
        );
        let running = thread::spawn({
            let vault = vault.clone();
            move || {
                let arguments = [Value::Text(sql.into()), Value::Boolean(writes)];
                vault.session().unwrap().call("hurry", &arguments)
            }
        });
        thread::sleep(Duration::from_millis(head_start_ms));
        let take = format!("ALTER FUNCTION hurry {verb} CAPABILITY {taken}");
        run(&mut session, &take);
        let now = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
        let taken_at = text(&mut session, now);
        match running.join().unwrap() {
            Ok(Value::Text(last)) => return (last.parse().unwrap(), taken_at.parse().unwrap()),
            Err(error) if error.sqlstate() == SqlState::DENIED => {}
            other => panic!("{other:?} with {grant}"),
        }
    }
    panic!("the call never began");
}

/// Each script changes what a statement that is prepared and permitted would touch. Its
/// names stay the same, and for `count(*)` so does all that SQLite says of them.
#[test]
fn a_statement_is_checked_anew_when_tables_change() {
    for (sql, change, after) in [
        (
            "SELECT count(*) FROM users",
            "CREATE TEMP TABLE users(a)",
            "denied DATABASE_READ temp.users",
        ),
        (
            "SELECT id FROM users",
            "CREATE TEMP TABLE users(id)",
            "denied DATABASE_READ temp.users",
        ),
        (
            "SELECT count(*) FROM users",
            "DROP TABLE users; CREATE VIEW users AS SELECT value FROM secrets",
            "denied DATABASE_READ main.secrets",
        ),
        (
            "SELECT name FROM users",
            "DROP TABLE users; CREATE VIEW users AS SELECT value AS name FROM secrets",
            "denied DATABASE_READ main.secrets",
        ),
        (
            "SELECT count(*) FROM users",
            "DROP TABLE users; ATTACH ':memory:' AS z; CREATE TABLE z.users(a)",
            "denied DATABASE_READ z.users",
        ),
        (
            "SELECT name FROM users",
            "DROP TABLE users",
            "failed 42P01 no such table: users",
        ),
        (
            "SELECT name FROM users",
            "ALTER TABLE users ADD COLUMN more",
            r#"[{"name":"Ada"},{"name":"Bob"}]"#,
        ),
        (
            "SELECT count(*) AS n FROM users",
            "CREATE INDEX i ON users(name)",
            r#"[{"n":2}]"#,
        ),
        (
            "SELECT count(*) AS n FROM users",
            "CREATE TABLE t(a)",
            r#"[{"n":2}]"#,
        ),
    ] {
        let mut session = probed();
        for _ in 0..2 {
            let before = query(&mut session, sql);
            assert!(before.starts_with("[{"), "{before}");
        }
        run(&mut session, change);
        let mut ours: Vec<String> = words(&query(&mut session, sql));
        let mut expected = words(after);
        ours.sort();
        expected.sort();
        assert_eq!(ours, expected, "{sql} after {change}");
    }
}

/// In which order the missing grants are named is SQLite's affair.
fn words(text: &str) -> Vec<String> {
    text.split([' ', ',']).map(str::to_owned).collect()
}

#[test]
fn a_written_table_is_checked_anew_when_a_trigger_comes() {
    let mut session = probed();
    let update = "UPDATE users SET name = name";
    assert_eq!(execute(&mut session, update), "2");
    run(
        &mut session,
        "CREATE TRIGGER spy AFTER UPDATE ON users BEGIN DELETE FROM secrets; END",
    );
    assert_eq!(
        execute(&mut session, update),
        "denied DATABASE_WRITE main.secrets"
    );
    assert_eq!(text(&mut session, "SELECT count(*) FROM secrets"), "1");
}

/// `json_each` is no table as long as there is no table of that name.
#[test]
fn a_table_that_takes_a_modules_name_needs_its_grant() {
    let mut session = probed();
    let sql = "SELECT count(*) AS n FROM json_each";
    assert_eq!(query(&mut session, sql), r#"[{"n":0}]"#);
    run(&mut session, "CREATE TABLE json_each(value)");
    assert_eq!(
        query(&mut session, sql),
        "denied DATABASE_READ main.json_each"
    );
}

/// What a host's own table is called, once the user's of that name is gone.
#[test]
fn a_dropped_table_does_not_open_the_hosts() {
    let mut session = session_with_users();
    super::add_probes(&mut session);
    run(
        &mut session,
        "CREATE TABLE audit_log(a); ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('audit_log')",
    );
    let sql = "SELECT count(*) AS n FROM audit_log";
    assert_eq!(query(&mut session, sql), r#"[{"n":0}]"#);
    run(&mut session, "DROP TABLE audit_log");
    assert_eq!(
        query(&mut session, sql),
        "denied DATABASE_READ heliosdb.audit_log"
    );
}
