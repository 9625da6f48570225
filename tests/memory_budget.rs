//! The memory that all calls of a runtime may hold together. What it does to a crowd of
//! large calls is in `hostile/crowd.rs`.

use crate::support::{binary, refuse, root, run, text, value};
use perihelion::{Runtime, Session, Storage, Value, Vault};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// What a call of JavaScript takes with the memory limit and stack of a new function.
const CALL: u64 = (16 + 4 + 4 + 64 + 48) * MIB;

/// A vault whose calls may hold so much, besides what is for functions within calls.
fn vault(bytes: u64) -> Vault {
    let runtime = Runtime::builder()
        .cache_directory(root().join("target/test-cache"))
        .compile_worker(binary())
        .memory_budget_bytes(bytes * 4 / 3)
        .build();
    runtime.unwrap().vault(Storage::Memory).unwrap()
}

fn prepare(session: &mut Session) {
    run(
        session,
        "CREATE FUNCTION one() RETURNS BIGINT LANGUAGE javascript
           AS $$ function one() { return 1; } $$;
         CREATE FUNCTION two() RETURNS BIGINT LANGUAGE javascript
           AS $$ function two() { return 2; } $$;
         CREATE FUNCTION spin() LANGUAGE javascript AS $$ function spin() { for (;;); } $$;
         ALTER FUNCTION spin SET (max_wall_time_ms = 1500, max_instructions = 100000000000);",
    );
}

#[test]
fn h72_a_function_that_never_fits_is_refused_at_once_and_others_run() {
    let mut session = vault(CALL).session().unwrap();
    prepare(&mut session);
    assert_eq!(value(&mut session, "SELECT one()"), Value::Integer(1));
    run(
        &mut session,
        "ALTER FUNCTION one SET (max_memory_bytes = 16842752)",
    );
    let begun = Instant::now();
    let error = refuse(&mut session, "SELECT one()", "53200");
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(
        error.message(),
        "function \"one\" may come to hold 139328 KiB, more than all calls may together"
    );
    let failed = "SELECT json_extract(detail, '$.sqlstate') FROM heliosdb.audit_log
                  WHERE event_type = 'ExecutionFailed'";
    assert_eq!(text(&mut session, failed), "53200");
    run(
        &mut session,
        "ALTER FUNCTION one SET (max_memory_bytes = DEFAULT)",
    );
    assert_eq!(value(&mut session, "SELECT one()"), Value::Integer(1));
}

#[test]
fn h72_a_call_waits_for_memory_as_long_as_it_might_run() {
    let vault = vault(CALL);
    let mut session = vault.session().unwrap();
    prepare(&mut session);
    run(
        &mut session,
        "ALTER FUNCTION one SET (max_wall_time_ms = 100)",
    );
    std::thread::scope(|scope| {
        let (told, started) = std::sync::mpsc::channel();
        let vault = &vault;
        scope.spawn(move || {
            let mut session = vault.session().unwrap();
            told.send(()).unwrap();
            refuse(&mut session, "SELECT spin()", "57014");
        });
        started.recv().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        let error = refuse(&mut session, "SELECT one()", "53300");
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(
            error.message(),
            "function \"one\" found no free place in 0.1 s"
        );
        assert!(
            error
                .detail()
                .unwrap()
                .contains("which may hold 136 MiB together")
        );
        // Another one has the time.
        assert_eq!(value(&mut session, "SELECT two()"), Value::Integer(2));
    });
    assert_eq!(value(&mut session, "SELECT one()"), Value::Integer(1));
}

#[test]
fn a_function_beside_another_in_a_statement_never_waits_for_memory() {
    // A second one fits into a third of what calls have, which is for such functions.
    let mut session = vault(3 * CALL).session().unwrap();
    prepare(&mut session);
    assert_eq!(
        value(&mut session, "SELECT one() + two()"),
        Value::Integer(3)
    );
    let mut session = vault(CALL).session().unwrap();
    prepare(&mut session);
    let begun = Instant::now();
    let error = refuse(&mut session, "SELECT one() + two()", "53400");
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(error.message().contains("too little memory"), "{error:?}");
    assert_eq!(value(&mut session, "SELECT one()"), Value::Integer(1));
}

#[test]
fn a_condition_for_which_no_memory_is_free_denies() {
    let mut session = vault(CALL).session().unwrap();
    prepare(&mut session);
    run(
        &mut session,
        "CREATE CONDITION yes(context JSON) LANGUAGE javascript AS $$
           function yes() { return true; } $$",
    );
    assert_eq!(value(&mut session, "SELECT yes('{}')"), Value::Integer(1));
    // It needs little, and has the part for functions beside another.
    assert_eq!(
        value(&mut session, "SELECT one() + yes('{}')"),
        Value::Integer(2)
    );
}

#[test]
fn a_budget_too_small_for_any_call_makes_no_runtime() {
    let refused = Runtime::builder().memory_budget_bytes(CALL).build();
    let error = refused.err().unwrap();
    assert_eq!(error.sqlstate().as_str(), "22023");
    assert!(
        error
            .message()
            .contains("136 MiB cannot be the memory of all calls"),
        "{error:?}"
    );
}

#[test]
fn the_budget_is_among_the_limits() {
    let mut session = crate::support::session();
    let budget = "SELECT default_value FROM heliosdb.limits WHERE name = 'memory of all calls'";
    assert_eq!(value(&mut session, budget), Value::Integer(12 << 30));
}
