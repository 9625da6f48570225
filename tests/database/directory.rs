//! D20: a vault in a directory, its sessions, its locks, and what a restart keeps.

use crate::support::{column, refuse, run, runtime, text, value};
use perihelion::{Session, Storage, Value, Vault};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const SETUP: &str = "
CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT);
CREATE FUNCTION note(id BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
  function note(id) { return heliosdb.execute(`INSERT INTO notes VALUES (?, 'x')`, [id]).rowCount; }
$$;
CREATE FUNCTION notes_count() RETURNS BIGINT LANGUAGE javascript AS $$
  function notes_count() { return heliosdb.query('SELECT count(*) AS n FROM notes').rows[0].n; }
$$;
ALTER FUNCTION note GRANT CAPABILITY DATABASE_WRITE('notes');
ALTER FUNCTION notes_count GRANT CAPABILITY DATABASE_READ('notes');
";

fn open(directory: &Path) -> Vault {
    runtime()
        .vault(Storage::Directory(directory.to_path_buf()))
        .unwrap()
}

fn two_sessions(directory: &Path) -> (Vault, Session, Session) {
    let vault = open(directory);
    let mut first = vault.session().unwrap();
    run(&mut first, SETUP);
    let second = vault.session().unwrap();
    (vault, first, second)
}

#[test]
fn d20_a_reader_does_not_wait_for_a_writer() {
    let directory = tempfile::tempdir().unwrap();
    let (_vault, mut writer, mut reader) = two_sessions(directory.path());
    run(
        &mut writer,
        "BEGIN IMMEDIATE; INSERT INTO notes VALUES (1, 'not yet')",
    );
    let begun = Instant::now();
    assert_eq!(reader.call("notes_count", &[]).unwrap(), Value::Integer(0));
    assert_eq!(
        value(&mut reader, "SELECT notes_count()"),
        Value::Integer(0)
    );
    assert_eq!(
        value(&mut writer, "SELECT notes_count()"),
        Value::Integer(1)
    );
    run(&mut writer, "COMMIT");
    assert_eq!(reader.call("notes_count", &[]).unwrap(), Value::Integer(1));
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[test]
fn d20_a_writing_call_waits_for_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let (_vault, mut holder, mut waiter) = two_sessions(directory.path());
    for by_statement in [false, true] {
        run(
            &mut holder,
            "BEGIN IMMEDIATE; INSERT INTO notes(text) VALUES ('held')",
        );
        let holding = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            run(&mut holder, "COMMIT");
            holder
        });
        let begun = Instant::now();
        let id = 100 + 100 * i64::from(by_statement);
        if by_statement {
            run(&mut waiter, &format!("SELECT note({id})"));
        } else {
            waiter.call("note", &[Value::Integer(id)]).unwrap();
        }
        assert!(
            begun.elapsed() >= Duration::from_millis(200),
            "{:?}",
            begun.elapsed()
        );
        holder = holding.join().unwrap();
    }
    assert_eq!(
        value(&mut holder, "SELECT count(*) FROM notes"),
        Value::Integer(4)
    );
}

/// Ten seconds long, as a call's wall time is.
#[test]
#[ignore = "slow"]
fn d20_a_writing_call_waits_no_longer_than_its_wall_time() {
    let directory = tempfile::tempdir().unwrap();
    let (_vault, mut holder, mut waiter) = two_sessions(directory.path());
    run(&mut holder, "BEGIN IMMEDIATE");
    let begun = Instant::now();
    let ended = waiter.call("note", &[Value::Integer(1)]).unwrap_err();
    assert_eq!(ended.sqlstate().as_str(), "57014", "{ended:?}");
    assert!(
        ended.message().contains("wall time limit of 10 s reached"),
        "{ended:?}"
    );
    assert!(
        (9..12).contains(&begun.elapsed().as_secs()),
        "{:?}",
        begun.elapsed()
    );
    run(&mut holder, "COMMIT");
    waiter.call("note", &[Value::Integer(1)]).unwrap();
}

#[test]
fn d20_a_change_of_the_catalog_does_not_wait_for_a_writer() {
    let directory = tempfile::tempdir().unwrap();
    let (_vault, mut writer, mut manager) = two_sessions(directory.path());
    run(
        &mut writer,
        "BEGIN EXCLUSIVE; INSERT INTO notes VALUES (1, 'held')",
    );
    let begun = Instant::now();
    run(
        &mut manager,
        "ALTER FUNCTION note REVOKE CAPABILITY DATABASE_WRITE('notes');
         ALTER FUNCTION note SET ENABLED = false;
         CREATE FUNCTION other() LANGUAGE javascript AS $$ function other() { } $$;
         DROP FUNCTION other;",
    );
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    refuse(&mut writer, "SELECT note(2)", "55000");
    run(
        &mut writer,
        "COMMIT; ALTER FUNCTION note SET ENABLED = true",
    );
    refuse(&mut writer, "SELECT note(2)", "42501");
}

#[test]
fn d20_what_commits_by_itself_is_refused_in_a_transaction_block() {
    let directory = tempfile::tempdir().unwrap();
    let (_vault, mut session, _) = two_sessions(directory.path());
    for begin in ["BEGIN", "SAVEPOINT s"] {
        run(&mut session, begin);
        for statement in [
            "CREATE FUNCTION f() LANGUAGE javascript AS $$ function f() { } $$",
            "CREATE OR REPLACE FUNCTION note() LANGUAGE javascript AS $$ function note() { } $$",
            "ALTER FUNCTION note GRANT CAPABILITY TIME_ACCESS",
            "ALTER FUNCTION note REVOKE CAPABILITY DATABASE_WRITE('notes')",
            "ALTER FUNCTION note SET ENABLED = false",
            "DROP FUNCTION note",
            "DROP FUNCTION IF EXISTS note",
        ] {
            refuse(&mut session, statement, "25001");
        }
        assert!(session.in_transaction());
        run(&mut session, "SELECT note(NULL)");
        run(
            &mut session,
            if begin == "BEGIN" {
                "COMMIT"
            } else {
                "RELEASE s"
            },
        );
    }
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM notes"),
        Value::Integer(2)
    );
}

#[test]
fn d20_a_directory_has_one_owner_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let vault = open(directory.path());
    let session = vault.session().unwrap();
    let second = runtime().vault(Storage::Directory(directory.path().to_path_buf()));
    let error = second.err().unwrap();
    assert_eq!(error.sqlstate().as_str(), "55006", "{error:?}");
    drop(vault);
    let still = runtime().vault(Storage::Directory(directory.path().to_path_buf()));
    assert_eq!(
        still.err().unwrap().sqlstate().as_str(),
        "55006",
        "a session is open"
    );
    drop(session);
    open(directory.path());
}

#[test]
fn d20_a_restart_keeps_tables_functions_grants_and_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let list = "SELECT name || ' ' || version || ' ' || enabled FROM heliosdb.functions";
    let grants =
        "SELECT function_name || kind || capability || coalesce(pattern, '') FROM heliosdb.grants";
    let log = "SELECT hash FROM heliosdb.audit_log ORDER BY seq";
    let (vault, mut session, second) = two_sessions(directory.path());
    run(
        &mut session,
        "SELECT note(1); ALTER FUNCTION note DENY CAPABILITY DATABASE_READ('*');
         ALTER FUNCTION note GRANT CAPABILITY TIME_ACCESS;
         CREATE OR REPLACE FUNCTION notes_count() RETURNS BIGINT LANGUAGE javascript AS $$
           function notes_count() { return 1 + heliosdb.query('SELECT count(*) AS n FROM notes').rows[0].n; }
         $$;
         CREATE FUNCTION off() LANGUAGE javascript AS $$ function off() { } $$;
         ALTER FUNCTION off SET ENABLED = false;",
    );
    let before = [list, grants, log].map(|sql| column(&mut session, sql));
    let verified = vault.verify_audit_log().unwrap();
    drop((vault, session, second));
    let vault = open(directory.path());
    let mut session = vault.session().unwrap();
    assert_eq!(
        [list, grants, log].map(|sql| column(&mut session, sql)),
        before
    );
    assert_eq!(vault.verify_audit_log().unwrap(), verified);
    assert_eq!(
        value(&mut session, "SELECT notes_count()"),
        Value::Integer(2)
    );
    refuse(&mut session, "SELECT off()", "55000");
    run(&mut session, "SELECT note(2)");
    let ids = "SELECT count(*) - count(DISTINCT execution_id) FROM heliosdb.audit_log
               WHERE event_type IN ('ExecutionStarted', 'FunctionChanged')";
    assert_eq!(text(&mut session, ids), "0");
}

#[test]
fn d20_a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let format = directory.path().join("format");
    let ours = std::fs::read_to_string(&format).unwrap();
    std::fs::write(&format, "perihelion 2\n").unwrap();
    let refused = runtime().vault(Storage::Directory(directory.path().to_path_buf()));
    assert_eq!(refused.err().unwrap().sqlstate().as_str(), "0A000");
    std::fs::write(&format, ours).unwrap();
    let catalog = rusqlite::Connection::open(directory.path().join("catalog.db")).unwrap();
    let version: i64 = catalog
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    catalog
        .pragma_update(None, "user_version", version + 1)
        .unwrap();
    drop(catalog);
    let refused = runtime().vault(Storage::Directory(directory.path().to_path_buf()));
    assert_eq!(refused.err().unwrap().sqlstate().as_str(), "0A000");
}

/// By way of a file the client could change the catalog unrecorded, or another vault.
#[test]
fn a_client_opens_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    drop(open(other.path()));
    let vault = open(directory.path());
    let mut session = vault.session().unwrap();
    let catalog = directory.path().join("catalog.db");
    let data = other.path().join("data.db");
    let copy = directory.path().join("copy.db");
    for statement in [
        format!("ATTACH '{}' AS c", catalog.display()),
        format!("ATTACH 'file:{}?mode=ro' AS c", catalog.display()),
        format!("ATTACH '{}' || '' AS c", catalog.display()),
        format!("ATTACH (SELECT '{}') AS c", catalog.display()),
        format!("ATTACH '{}' AS c", data.display()),
        "ATTACH 'relative.db' AS c".to_string(),
        format!("VACUUM INTO '{}'", copy.display()),
        format!("VACUUM main INTO '{}' || ''", copy.display()),
    ] {
        refuse(&mut session, &statement, "42501");
    }
    assert!(!copy.exists());
    run(
        &mut session,
        "ATTACH ':memory:' AS m; ATTACH '' AS t; CREATE TABLE m.x(a); DETACH m; VACUUM;",
    );
}

#[test]
fn d20_sessions_in_memory_share_the_data() {
    let vault = runtime().vault(Storage::Memory).unwrap();
    let mut first = vault.session().unwrap();
    run(&mut first, SETUP);
    let mut second = vault.session().unwrap();
    run(&mut second, "SELECT note(1)");
    assert_eq!(value(&mut first, "SELECT notes_count()"), Value::Integer(1));
    let mut other = runtime().vault(Storage::Memory).unwrap().session().unwrap();
    refuse(&mut other, "SELECT * FROM notes", "42P01");
    refuse(&mut other, "SELECT note(1)", "42883");
}
