//! Disabling at once: the next call of every session is refused, and what runs ends
//! within 10 ms, whatever it is doing.

use super::create_waiting;
use crate::support::{column, refuse, run, runtime, text, vault};
use perihelion::{Error, Session, Storage, Value, Vault};
use std::time::{Duration, Instant};

/// How soon a running call must end.
const BOUND: Duration = Duration::from_millis(10);

/// How often it is tried: other work on the machine may delay any one thread.
const TRIES: u32 = 20;

/// Calls a function, disables it from another session, and says how long after that the
/// call ended, and with what.
fn disable(vault: &Vault, function: &str, arguments: &[Value]) -> (Duration, Error) {
    let mut manager = vault.session_as("manager").unwrap();
    run(
        &mut manager,
        &format!("ALTER FUNCTION {function} SET ENABLED = true"),
    );
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let mut session = vault.session().unwrap();
            let error = session.call(function, arguments).unwrap_err();
            let ended = Instant::now();
            run(&mut session, "SELECT 1");
            (ended, error)
        });
        std::thread::sleep(Duration::from_millis(200));
        assert!(!running.is_finished(), "{function} has ended by itself");
        run(
            &mut manager,
            &format!("ALTER FUNCTION {function} SET ENABLED = false"),
        );
        let disabled = Instant::now();
        let (ended, error) = running.join().unwrap();
        (ended.saturating_duration_since(disabled), error)
    })
}

#[track_caller]
fn ends_in_time(vault: &Vault, function: &str, arguments: &[Value]) {
    let mut fastest = Duration::MAX;
    for _ in 0..TRIES {
        let (time, error) = disable(vault, function, arguments);
        assert_eq!(error.sqlstate().as_str(), "55000", "{error:?}");
        let message = format!("function \"{function}\" is disabled");
        assert_eq!(error.message(), message);
        assert!(time < Duration::from_secs(1), "{function}: {time:?}");
        fastest = fastest.min(time);
        if fastest < BOUND {
            return;
        }
    }
    panic!("{function}: {fastest:?} at best");
}

/// Functions that are busy in every way that there is, on the table `notes`.
const BUSY: &str = "
    CREATE TABLE notes (note TEXT);
    CREATE FUNCTION spin() LANGUAGE javascript AS $$ function spin() { for (;;) {} } $$;
    CREATE FUNCTION search() RETURNS JSON LANGUAGE javascript AS $$
      function search() {
        return heliosdb.query(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                               SELECT count(*) FROM n`).rows;
      }
    $$;
    CREATE FUNCTION note() LANGUAGE javascript AS $$
      function note() { heliosdb.execute('INSERT INTO notes VALUES (?)', ['x']); }
    $$;
    ALTER FUNCTION search GRANT CAPABILITY DATABASE_READ('notes');
    ALTER FUNCTION note GRANT CAPABILITY DATABASE_WRITE('notes');";

fn busy(vault: &Vault) -> Session {
    let mut session = vault.session().unwrap();
    run(&mut session, BUSY);
    create_waiting(&mut session);
    session
}

#[test]
fn h100_h104_a_disabled_function_is_refused_to_the_next_call_of_every_session() {
    let vault = vault();
    let mut session = busy(&vault);
    let mut others = ["ada", "bob"].map(|caller| vault.session_as(caller).unwrap());
    run(&mut session, "SELECT note()");
    run(&mut session, "ALTER FUNCTION note SET ENABLED = false");
    for other in others.iter_mut().chain([&mut session]) {
        let error = refuse(other, "SELECT note()", "55000");
        assert_eq!(error.message(), "function \"note\" is disabled");
        refuse(other, "CALL note()", "55000");
        assert_eq!(
            other.call("note", &[]).unwrap_err().sqlstate().as_str(),
            "55000"
        );
    }
    assert_eq!(text(&mut session, "SELECT count(*) FROM notes"), "1");
}

#[test]
fn h104_a_guest_that_spins_ends_within_10_ms() {
    let vault = vault();
    busy(&vault);
    ends_in_time(&vault, "spin", &[]);
}

#[test]
fn h104_a_guest_that_waits_for_sqlite_ends_within_10_ms() {
    let vault = vault();
    busy(&vault);
    ends_in_time(&vault, "search", &[]);
}

#[test]
fn h104_a_guest_that_sleeps_ends_within_10_ms() {
    let vault = vault();
    busy(&vault);
    ends_in_time(&vault, "wait", &[Value::Integer(8_000_000_000)]);
}

#[test]
fn h104_a_guest_that_waits_for_a_lock_ends_within_10_ms() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().to_path_buf());
    let vault = runtime().vault(storage).unwrap();
    let mut holder = busy(&vault);
    run(
        &mut holder,
        "BEGIN EXCLUSIVE; INSERT INTO notes VALUES ('held')",
    );
    ends_in_time(&vault, "note", &[]);
    run(&mut holder, "ROLLBACK");
    assert_eq!(text(&mut holder, "SELECT count(*) FROM notes"), "0");
}

#[test]
fn h101_h105_h106_the_log_is_read_while_it_is_disabled_and_it_is_enabled_again() {
    let vault = vault();
    let mut session = busy(&vault);
    run(
        &mut session,
        "SELECT note(); ALTER FUNCTION note SET ENABLED = false",
    );
    let log = "SELECT event_type FROM heliosdb.audit_log WHERE function_name = 'note'
               ORDER BY timestamp DESC LIMIT 3";
    let events = column(&mut session, log);
    assert_eq!(
        events,
        ["FunctionChanged", "ExecutionCompleted", "DatabaseOperation"]
    );
    run(
        &mut session,
        "ALTER FUNCTION note SET SECURITY POLICY MINIMAL;
         ALTER FUNCTION note SET ENABLED = true;",
    );
    refuse(&mut session, "SELECT note()", "42501");
    run(
        &mut session,
        "ALTER FUNCTION note GRANT CAPABILITY DATABASE_WRITE('notes'); SELECT note()",
    );
    // The trace of one execution.
    let trace = "SELECT group_concat(event_type) FROM heliosdb.audit_log WHERE execution_id =
                 (SELECT execution_id FROM heliosdb.audit_log
                  WHERE function_name = 'note' AND event_type = 'ExecutionCompleted' LIMIT 1)";
    assert_eq!(
        text(&mut session, trace),
        "ExecutionStarted,CapabilityCheck,DatabaseOperation,ExecutionCompleted"
    );
}
