//! Limits: what a call may use, how it ends beyond that, and that the session goes on.

use crate::support::{column, guest, refuse, run, session, session_with_users, text, value};
use perihelion::{Session, Value};
use std::time::{Duration, Instant};

/// A guest that goes beyond a limit, and how that ends.
struct Attack {
    name: &'static str,
    body: &'static str,
    sqlstate: &'static str,
    message: &'static str,
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "h70_infinite_loop",
        body: "function f() { while (true) { } }",
        sqlstate: "57014",
        message: "instruction limit of 10,000,000,000 instructions reached",
    },
    Attack {
        name: "a loop in a finally block",
        body: "function f() { try { throw 1 } finally { while (true) { } } }",
        sqlstate: "57014",
        message: "limit",
    },
    Attack {
        name: "a catastrophic regular expression",
        body: "function f() { return /^(a+)+$/.test('a'.repeat(60) + 'b'); }",
        sqlstate: "57014",
        message: "limit",
    },
    Attack {
        name: "a loop in toJSON, while the result is converted",
        body: "function f() { return { toJSON() { for (;;) { } } }; }",
        sqlstate: "57014",
        message: "limit",
    },
    Attack {
        name: "an iterator that never ends, while the result is converted",
        body: "function f() { return (function* () { for (;;) yield 'x'.repeat(1000); })(); }",
        sqlstate: "53200",
        message: "limit",
    },
    Attack {
        name: "h72_memory_bomb",
        body: "function f() {
                 const huge = []; for (let i = 0; ; i++) huge.push(new Uint8Array(1 << 16).fill(i));
               }",
        sqlstate: "53200",
        message: "memory limit of 16 MiB reached",
    },
    Attack {
        name: "one huge array, filled",
        body: "function f() { const a = new Array(100000000); a.fill(7); return a.length; }",
        sqlstate: "53200",
        message: "memory limit",
    },
    Attack {
        name: "a limit that the guest tries to catch",
        body: "function f() { try { new Uint8Array(1 << 26) } catch (e) { return 'caught' } }",
        sqlstate: "53200",
        message: "memory limit",
    },
    Attack {
        name: "h6_infinite_recursion",
        body: "function f() { return f() + 1; }",
        sqlstate: "54001",
        message: "stack limit of 2 MiB reached",
    },
];

#[test]
fn h63_every_attack_ends_by_its_limit_and_the_session_goes_on() {
    let mut session = session_with_users();
    create_bystander(&mut session);
    for attack in ATTACKS {
        let Attack {
            name,
            body,
            sqlstate,
            message,
        } = attack;
        run(
            &mut session,
            &format!(
                "CREATE OR REPLACE FUNCTION f() RETURNS JSON LANGUAGE javascript AS $${body}$$"
            ),
        );
        let begun = Instant::now();
        let error = refuse(&mut session, "SELECT f()", sqlstate);
        assert!(error.message().contains(message), "{name}: {error:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(11),
            "{name} took {:?}",
            begun.elapsed()
        );
        assert_eq!(
            value(&mut session, "SELECT bystander(20)"),
            Value::Integer(21),
            "{name}"
        );
        assert!(!session.in_transaction(), "{name}");
    }
    assert_eq!(
        value(
            &mut session,
            "SELECT count(*) FROM heliosdb.audit_log WHERE event_type = 'ResourceLimitExceeded'"
        ),
        Value::Integer(ATTACKS.len() as i64)
    );
}

fn create_bystander(session: &mut Session) {
    run(
        session,
        "CREATE FUNCTION bystander(n BIGINT) RETURNS BIGINT LANGUAGE javascript
         AS $$ function bystander(n) { return n + 1; } $$",
    );
}

#[test]
fn h63_rust_guests_end_by_their_limits_too() {
    let mut session = session();
    create_bystander(&mut session);
    let path = guest("hostile_guest");
    for (function, sqlstate, message) in [
        ("spin", "57014", "limit"),
        ("grow", "53200", "memory limit of 16 MiB reached"),
        ("recurse", "54001", "stack limit of 2 MiB reached"),
        ("panic_now", "38000", "panic: "),
    ] {
        run(
            &mut session,
            &format!(
                "CREATE FUNCTION {function} LANGUAGE wasm AS '{}'",
                path.display()
            ),
        );
        let error = refuse(&mut session, &format!("SELECT {function}()"), sqlstate);
        assert!(error.message().contains(message), "{function}: {error:?}");
        assert_eq!(
            value(&mut session, "SELECT bystander(1)"),
            Value::Integer(2)
        );
    }
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
fn a_result_beyond_its_bound_ends_the_call() {
    let mut session = session_with_users();
    run(
        &mut session,
        "CREATE FUNCTION greedy() RETURNS JSON LANGUAGE javascript AS $$
           function greedy() {
             return heliosdb.query(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                                    SELECT i FROM n`).rows.length;
           }
         $$;
         ALTER FUNCTION greedy GRANT CAPABILITY DATABASE_READ('users');",
    );
    let error = refuse(&mut session, "SELECT greedy()", "53200");
    assert!(
        error
            .message()
            .contains("query result limit of 16 MiB reached"),
        "{error:?}"
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
