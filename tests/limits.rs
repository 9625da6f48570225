//! Limits: what they count, and what they say. What comes of going beyond them is in
//! `hostile`.

use crate::support::{column, guest, refuse, run, session, session_with_users, text, value};
use perihelion::{Session, Value};
use std::time::{Duration, Instant};

fn create_bystander(session: &mut Session) {
    run(
        session,
        "CREATE FUNCTION bystander(n BIGINT) RETURNS BIGINT LANGUAGE javascript
         AS $$ function bystander(n) { return n + 1; } $$",
    );
}

#[test]
fn a_panic_names_its_file_and_line() {
    let mut session = session();
    let path = guest("hostile_guest");
    run(
        &mut session,
        &format!(
            "CREATE FUNCTION panic_now LANGUAGE wasm AS '{}'",
            path.display()
        ),
    );
    let error = refuse(&mut session, "SELECT panic_now()", "38000");
    assert!(error.message().contains("lib.rs:"), "{error:?}");
}

#[test]
fn a_claimed_denial_is_no_denial() {
    let mut session = session();
    let path = guest("hostile_guest");
    run(
        &mut session,
        &format!(
            "CREATE FUNCTION forge_denied LANGUAGE wasm AS '{}'",
            path.display()
        ),
    );
    let error = refuse(&mut session, "SELECT forge_denied()", "38000");
    assert_eq!(
        error.hint(),
        None,
        "a guest must not talk an administrator into a grant"
    );
}

#[test]
fn log_messages_are_bounded() {
    let mut session = session();
    run(
        &mut session,
        "CREATE FUNCTION chatty() LANGUAGE javascript AS $$
           function chatty() { for (let i = 0; i < 1000; i++) console.log('x'.repeat(100000)); }
         $$",
    );
    let outcome = run(&mut session, "SELECT chatty()");
    assert_eq!(outcome.notices.len(), 101);
    assert!(
        outcome
            .notices
            .iter()
            .all(|notice| notice.message.len() <= 8 << 10)
    );
    assert!(outcome.notices[100].message.contains("900 more messages"));
}

#[test]
fn h15_instructions_are_counted_the_same_in_every_run() {
    let mut session = session();
    create_bystander(&mut session);
    for _ in 0..5 {
        run(&mut session, "SELECT bystander(1)");
    }
    let counts = column(
        &mut session,
        "SELECT DISTINCT json_extract(detail, '$.instructions') FROM heliosdb.audit_log
         WHERE event_type = 'ExecutionCompleted'",
    );
    assert_eq!(counts.len(), 1, "{counts:?}");
}

#[test]
fn sql_inside_a_call_ends_by_the_calls_limit() {
    let mut session = session_with_users();
    run(
        &mut session,
        "CREATE FUNCTION endless() RETURNS JSON LANGUAGE javascript AS $$
           function endless() {
             return heliosdb.query(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                                    SELECT count(*) FROM n`).rows;
           }
         $$;
         ALTER FUNCTION endless GRANT CAPABILITY DATABASE_READ('users');",
    );
    let begun = Instant::now();
    let error = refuse(&mut session, "SELECT endless()", "57014");
    // On a busy machine 10 s pass before 5 s of CPU time are used.
    assert!(error.message().contains("time limit of"), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(11));
    assert_eq!(
        text(&mut session, "SELECT name FROM users WHERE id = 1"),
        "Ada"
    );
}

#[test]
fn h3_no_state_is_left_for_the_next_call() {
    let mut session = session();
    run(
        &mut session,
        "CREATE FUNCTION remember() RETURNS BIGINT LANGUAGE javascript AS $$
           let calls = 0;
           function remember() { globalThis.marker = (globalThis.marker ?? 0) + 1; return ++calls; }
         $$;
         CREATE TABLE three (n INTEGER); INSERT INTO three VALUES (1), (2), (3);",
    );
    assert_eq!(value(&mut session, "SELECT remember()"), Value::Integer(1));
    assert_eq!(value(&mut session, "SELECT remember()"), Value::Integer(1));
    assert_eq!(session.call("remember", &[]).unwrap(), Value::Integer(1));
    // Within one statement the instance serves row after row.
    assert_eq!(
        column(&mut session, "SELECT remember() FROM three"),
        ["1", "2", "3"]
    );
}

#[test]
fn h71_the_most_memory_of_an_execution_is_recorded() {
    let mut session = session();
    run(
        &mut session,
        "CREATE FUNCTION hold(bytes BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
           function hold(bytes) { return new Uint8Array(bytes).fill(1).length; }
         $$;
         SELECT hold(1); SELECT hold(8000000); SELECT hold(1);",
    );
    let peaks: Vec<u64> = column(
        &mut session,
        "SELECT json_extract(detail, '$.memory_bytes_peak') FROM heliosdb.audit_log
         WHERE event_type = 'ExecutionCompleted' ORDER BY seq",
    )
    .iter()
    .map(|peak| peak.parse().unwrap())
    .collect();
    let [before, held, after] = peaks[..] else {
        panic!("{peaks:?}")
    };
    assert_eq!(before, after);
    // The array, less what was free before.
    assert!(
        (7_500_000..9_000_000).contains(&(held - before)),
        "{peaks:?}"
    );
}
