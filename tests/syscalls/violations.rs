//! What refused system calls and denied capabilities count, and what that ends in.

use super::{CLOCK, CONNECT, OPEN, calling, create, create_calling, outcome};
use crate::support::{column, refuse, run, runtime, session, text, value, vault};
use perihelion::{Session, Storage, Value, Vault};
use std::path::Path;
use std::sync::Barrier;

fn violations(session: &mut Session) -> Value {
    let sql = "SELECT violations FROM heliosdb.functions WHERE name = 'f'";
    value(session, sql)
}

fn is_enabled(session: &mut Session) -> Value {
    let sql = "SELECT enabled FROM heliosdb.functions WHERE name = 'f'";
    value(session, sql)
}

/// The numbers that the attempts in the log were given.
fn numbers(session: &mut Session) -> Vec<String> {
    column(
        session,
        "SELECT json_extract(detail, '$.violations') FROM heliosdb.audit_log
         WHERE event_type = 'SyscallAttempt' ORDER BY seq",
    )
}

/// The entries of what disabled the function.
fn disabled(session: &mut Session) -> Vec<String> {
    column(
        session,
        "SELECT detail FROM heliosdb.audit_log
         WHERE event_type = 'FunctionChanged' AND json_extract(detail, '$.reason') IS NOT NULL",
    )
}

#[test]
fn h69_the_fifth_violation_disables_and_the_sixth_call_is_refused_with_the_cure() {
    let vault = vault();
    let mut session = vault.session().unwrap();
    create_calling(&mut session, "f", &OPEN);
    for number in 1..=5 {
        assert_eq!(is_enabled(&mut session), Value::Integer(1));
        refuse(&mut session, "SELECT f()", "42501");
        assert_eq!(violations(&mut session), Value::Integer(number));
    }
    assert_eq!(is_enabled(&mut session), Value::Integer(0));
    assert_eq!(
        disabled(&mut session),
        [r#"{"action":"SET ENABLED","enabled":false,"reason":"5 violations"}"#]
    );
    // For everyone.
    let mut other = vault.session_as("ada").unwrap();
    let error = refuse(&mut other, "SELECT f()", "55000");
    assert_eq!(
        error.message(),
        "function \"f\" is disabled: 5 of its system calls were refused"
    );
    assert_eq!(violations(&mut session), Value::Integer(5));
    run(&mut other, error.hint().unwrap());
    assert_eq!(violations(&mut session), Value::Integer(0));
    refuse(&mut session, "SELECT f()", "42501");
    assert_eq!(numbers(&mut session), ["1", "2", "3", "4", "5", "1"]);
    assert_eq!(disabled(&mut session).len(), 1);
    vault.verify_audit_log().unwrap();
}

#[test]
fn h69_a_guest_that_is_told_of_each_refusal_ends_with_the_fifth() {
    let mut session = session();
    create(&mut session, "f", &calling("f", &CONNECT, 4));
    assert_eq!(outcome(&mut session, "f"), "101");
    assert_eq!(violations(&mut session), Value::Integer(4));
    let error = refuse(&mut session, "SELECT f()", "55000");
    assert!(error.message().contains("5 of its system calls"));
    assert_eq!(numbers(&mut session), ["1", "2", "3", "4", "5"]);
}

#[test]
fn h69_other_changes_leave_the_count() {
    let mut session = session();
    create_calling(&mut session, "f", &OPEN);
    refuse(&mut session, "SELECT f()", "42501");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), wat::parse_str(calling("f", &OPEN, 2)).unwrap()).unwrap();
    for change in [
        &format!(
            "CREATE OR REPLACE FUNCTION f LANGUAGE wasm AS '{}'",
            file.path().display()
        ),
        "ALTER FUNCTION f SET SECURITY POLICY DEFAULT",
        "ALTER FUNCTION f SET (max_cpu_time_ms = 100)",
        "ALTER FUNCTION f SET VERSION 1",
        "ALTER FUNCTION f SET ENABLED = false",
    ] {
        run(&mut session, change);
        assert_eq!(violations(&mut session), Value::Integer(1), "{change}");
    }
    // The sequence of the security model.
    run(
        &mut session,
        "ALTER FUNCTION f SET SECURITY POLICY MINIMAL; ALTER FUNCTION f SET ENABLED = true",
    );
    assert_eq!(violations(&mut session), Value::Integer(0));
}

#[test]
fn h69_a_rollback_does_not_take_a_violation_back() {
    let mut session = session();
    create_calling(&mut session, "f", &OPEN);
    run(&mut session, "CREATE TABLE t (n INTEGER)");
    for number in 1..=5 {
        run(&mut session, "BEGIN; INSERT INTO t VALUES (1)");
        refuse(&mut session, "SELECT f() FROM t", "42501");
        run(&mut session, "ROLLBACK");
        assert_eq!(violations(&mut session), Value::Integer(number));
    }
    refuse(&mut session, "SELECT f()", "55000");
    assert_eq!(text(&mut session, "SELECT count(*) FROM t"), "0");
}

fn open(directory: &Path) -> Vault {
    let storage = Storage::Directory(directory.to_path_buf());
    runtime().vault(storage).unwrap()
}

#[test]
fn h69_the_count_and_the_end_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = open(directory.path()).session().unwrap();
    create_calling(&mut session, "f", &OPEN);
    for _ in 0..3 {
        refuse(&mut session, "SELECT f()", "42501");
    }
    drop(session);
    let mut session = open(directory.path()).session().unwrap();
    assert_eq!(violations(&mut session), Value::Integer(3));
    for _ in 0..2 {
        refuse(&mut session, "SELECT f()", "42501");
    }
    drop(session);
    let mut session = open(directory.path()).session().unwrap();
    let error = refuse(&mut session, "SELECT f()", "55000");
    assert!(error.message().contains("5 of its system calls"));
    run(&mut session, error.hint().unwrap());
    drop(session);
    let vault = open(directory.path());
    let mut session = vault.session().unwrap();
    assert_eq!(violations(&mut session), Value::Integer(0));
    assert_eq!(is_enabled(&mut session), Value::Integer(1));
    assert_eq!(disabled(&mut session).len(), 1);
    vault.verify_audit_log().unwrap();
}

#[test]
fn h69_many_threads_at_once_lose_no_count_and_disable_it_once() {
    const THREADS: usize = 8;
    let vault = vault();
    let mut session = vault.session().unwrap();
    create_calling(&mut session, "f", &OPEN);
    for round in 1..=20 {
        let (before, start) = (numbers(&mut session).len(), Barrier::new(THREADS));
        let attempt = || {
            let mut session = vault.session().unwrap();
            start.wait();
            [(); 3].map(|()| outcome(&mut session, "f"))
        };
        let outcomes: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(attempt)).collect();
            let outcomes = threads.into_iter().flat_map(|t| t.join().unwrap());
            outcomes.collect()
        });
        assert!(outcomes.iter().all(|o| ["42501", "55000"].contains(&&**o)));
        let mut counted = numbers(&mut session).split_off(before);
        counted.sort_by_key(|number| number.parse::<u64>().unwrap());
        let expected: Vec<String> = (1..=counted.len()).map(|n| n.to_string()).collect();
        assert_eq!(counted, expected, "each has a number of its own");
        assert_eq!(
            violations(&mut session),
            Value::Integer(counted.len() as i64)
        );
        let refused = outcomes.iter().filter(|o| *o == "42501").count();
        assert_eq!(refused, counted.len());
        assert!(refused >= 5);
        assert_eq!(is_enabled(&mut session), Value::Integer(0));
        assert_eq!(disabled(&mut session).len(), round);
        run(&mut session, "ALTER FUNCTION f SET ENABLED = true");
    }
}

/// A function that asks for what it may not have.
fn with_denials(vault: &Vault) -> Session {
    let mut session = vault.session().unwrap();
    run(
        &mut session,
        "CREATE TABLE users (id INTEGER, name TEXT);
         CREATE FUNCTION f() RETURNS JSON LANGUAGE javascript AS $$
           function f() { return heliosdb.query('SELECT name FROM users').rowCount }
         $$",
    );
    session
}

#[test]
fn d4_denied_capabilities_refuse_the_function_to_that_caller_only() {
    let vault = vault();
    let mut owner = with_denials(&vault);
    let (mut ada, mut bob) = (
        vault.session_as("ada").unwrap(),
        vault.session_as("bob").unwrap(),
    );
    for _ in 0..5 {
        refuse(&mut ada, "SELECT f()", "42501");
    }
    let error = refuse(&mut ada, "SELECT f()", "55000");
    let start = "function \"f\" is refused to \"ada\" for another ";
    assert!(error.message().starts_with(start), "{error:?}");
    assert_eq!(
        error.detail().map(|detail| &detail[..42]),
        Some("it was denied 5 times within 10 minutes wh")
    );
    // In every session of that caller, and of no other.
    refuse(&mut vault.session_as("ada").unwrap(), "CALL f()", "55000");
    refuse(&mut bob, "SELECT f()", "42501");
    assert_eq!(violations(&mut owner), Value::Integer(0));
    assert_eq!(is_enabled(&mut owner), Value::Integer(1));
    // A call that is refused before it begins has its entries all the same.
    assert_eq!(
        column(
            &mut owner,
            "SELECT json_extract(detail, '$.invocations', '$.sqlstate')
             FROM heliosdb.audit_log WHERE event_type = 'ExecutionFailed' AND caller = 'ada'
             ORDER BY seq DESC LIMIT 1"
        ),
        [r#"[0,"55000"]"#]
    );
    // The hint is a cure, and so is the grant that was missing.
    run(&mut owner, error.hint().unwrap());
    for _ in 0..5 {
        refuse(&mut ada, "SELECT f()", "42501");
    }
    refuse(&mut ada, "SELECT f()", "55000");
    run(
        &mut owner,
        "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')",
    );
    run(&mut bob, "SELECT f()");
    run(&mut ada, "SELECT f()");
}

#[test]
fn d4_the_denial_that_refuses_the_caller_says_so_in_the_log() {
    let vault = vault();
    let mut owner = with_denials(&vault);
    let mut ada = vault.session_as("ada").unwrap();
    for _ in 0..5 {
        refuse(&mut ada, "SELECT f()", "42501");
    }
    assert_eq!(
        column(
            &mut owner,
            "SELECT coalesce(json_extract(detail, '$.for_s'), '-') FROM heliosdb.audit_log
             WHERE event_type = 'CapabilityCheck' AND caller = 'ada' ORDER BY seq"
        ),
        ["-", "-", "-", "-", "600"]
    );
}

#[test]
fn d4_a_default_system_call_without_its_capability_is_a_denied_capability() {
    let vault = vault();
    let mut owner = vault.session().unwrap();
    create_calling(&mut owner, "f", &CLOCK);
    let mut ada = vault.session_as("ada").unwrap();
    for _ in 0..5 {
        refuse(&mut ada, "SELECT f()", "42501");
    }
    refuse(&mut ada, "SELECT f()", "55000");
    assert_eq!(violations(&mut owner), Value::Integer(0));
    refuse(&mut owner, "SELECT f()", "42501");
}

#[test]
fn h69_without_audit_logging_violations_are_recorded_all_the_same() {
    let mut session = session();
    create_calling(&mut session, "f", &OPEN);
    run(
        &mut session,
        "CREATE SECURITY POLICY quiet AS (audit_logging: false);
         ALTER FUNCTION f SET SECURITY POLICY quiet;",
    );
    for _ in 0..5 {
        refuse(&mut session, "SELECT f()", "42501");
    }
    assert_eq!(numbers(&mut session), ["1", "2", "3", "4", "5"]);
    assert_eq!(disabled(&mut session).len(), 1);
}
