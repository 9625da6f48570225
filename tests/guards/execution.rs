//! The limits of an execution, and what becomes of what it says.

use super::row::{OnMessage, Row, call, session, upload};
use crate::hostile::wat;
use crate::support::run;
use crate::syscalls;
use perihelion::{Guard, Session};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) const ROWS: &[Row] = &[
    Row::call(
        &[Guard::CpuTime],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { let n = 0; while (n < 2000000) n++; return n; }
         $$;
         ALTER FUNCTION f SET (max_cpu_time_ms = 20)",
    )
    .ends("57014", "2000000"),
    Row::call(
        &[Guard::WallTime],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { let n = 0; while (n < 2000000) n++; return n; }
         $$;
         ALTER FUNCTION f SET (max_wall_time_ms = 20)",
    )
    .ends("57014", "2000000"),
    Row::call(
        &[Guard::Instructions],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { let n = 0; while (n < 500000) n++; return n; }
         $$;
         ALTER FUNCTION f SET (max_instructions = 5000000)",
    )
    .ends("57014", "500000"),
    Row::run(&[Guard::Instructions], |without| {
        let mut session = session(without);
        run(
            &mut session,
            "CREATE CONDITION f(context JSON) LANGUAGE javascript AS $$
               function f() { let n = 0; while (n < 2500000) n++; return true; }
             $$",
        );
        let decision = session.check("f", "{}").unwrap();
        let ended = decision.failure.map(|failure| failure.error.sqlstate().as_str());
        ended.unwrap_or("allowed").to_string()
    })
    .ends("57014", "allowed"),
    Row::call(
        &[Guard::Memory],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { return new Uint8Array(20000000).length; }
         $$",
    )
    .ends("53200", "20000000"),
    Row::call(
        &[Guard::HostBytes],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { for (let n = 0; n < 20; n++) console.log('x'.repeat(1000)); return 7; }
         $$;
         ALTER FUNCTION f SET (max_host_bytes = 10000)",
    )
    .ends("53200", "7"),
    Row::call(
        &[Guard::Rows],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { return heliosdb.query('SELECT id FROM users').rows.length; }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users');
         ALTER FUNCTION f SET (max_rows = 1)",
    )
    .ends("53200", "2"),
    Row::call(
        &[Guard::AuditEntries],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() {
             for (let n = 0; n < 20; n++) heliosdb.execute('UPDATE users SET name = ?', ['x']);
             return 7;
           }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_WRITE('users');
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users');
         ALTER FUNCTION f SET (max_audit_entries = 10)",
    )
    .ends("53400", "7"),
    // Eighty thousand frames: more than 2 MiB, and less than 8.
    Row::run(&[Guard::Stack], |without| {
        of_core(
            without,
            "export f: func() -> s64;",
            r#"(module
                 (func $g (param i64) (result i64)
                   (if (result i64) (i64.eqz (local.get 0))
                     (then (i64.const 0))
                     (else (i64.add (call $g (i64.sub (local.get 0) (i64.const 1))) (local.get 0)))))
                 (func (export "f") (result i64) (call $g (i64.const 80000))))"#,
        )
    })
    .ends("54001", "3200040000"),
    Row::run(&[Guard::HostCallBytes], |without| {
        of_core(
            without,
            "export f: func() -> list<u8>;",
            r#"(module (memory (export "memory") 32)
                 (func (export "f") (result i32)
                   (i32.store (i32.const 0) (i32.const 64))
                   (i32.store (i32.const 4) (i32.const 2000000)) i32.const 0))"#,
        )
    })
    .ends("53200", "2000000 bytes"),
    Row::run(&[Guard::Handles], |without| {
        of_component(
            without,
            r#"(component
                 (type $r (resource (rep i32)))
                 (core func $new (canon resource.new $r))
                 (core module $m (import "" "new" (func $new (param i32) (result i32)))
                   (func (export "f") (local i32)
                     (loop (drop (call $new (local.get 0)))
                       (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                       (br_if 0 (i32.lt_u (local.get 0) (i32.const 5000))))))
                 (core instance $i (instantiate $m
                   (with "" (instance (export "new" (func $new))))))
                 (func (export "f") (canon lift (core func $i "f"))))"#,
        )
    })
    .ends("53400", "NULL"),
    // A timer that is not given back is a handle, too.
    Row::run(&[Guard::Timers, Guard::Handles], |without| {
        let mut session = session(without);
        upload(&mut session, &wat::component(TIMERS)).unwrap();
        allow_waiting(&mut session);
        call(&mut session)
    })
    .ends("38000", "2000")
    .or("53400"),
    Row::run(&[Guard::WaitClock], |without| {
        let mut session = session(without);
        upload(&mut session, &wat::component(&waiting_ms(400))).unwrap();
        allow_waiting(&mut session);
        run(&mut session, "ALTER FUNCTION f SET (max_wall_time_ms = 150)");
        call(&mut session)
    })
    .ends("57014", "1"),
    // The guest itself is done at once.
    Row::run(&[Guard::ConversionClock], |without| {
        let mut session = session(without);
        let module = r#"(module (memory (export "memory") 32)
             (func (export "f") (result i32)
               (i32.store (i32.const 0) (i32.const 64))
               (i32.store (i32.const 4) (i32.const 200000)) i32.const 0))"#;
        let bytes = wat::core("export f: func() -> list<s64>;", module);
        upload(&mut session, &bytes).unwrap();
        run(&mut session, "ALTER FUNCTION f SET (max_wall_time_ms = 1)");
        call(&mut session)
    })
    .ends("57014", "400001 bytes"),
    Row::run(&[Guard::PanicCatch], panic_in_a_host_function).ends("38000", "a panic"),
    Row::run(&[Guard::LogMessages], |without| messages(without, 150)).ends("100", "150"),
    Row::run(&[Guard::LogMessages, Guard::Notices], |without| {
        messages(without, 1_200)
    })
    .ends("100", "1200")
    .or("1000"),
    Row::run(&[Guard::LogMessageText], |without| {
        let mut session = session(without);
        run(
            &mut session,
            r"CREATE FUNCTION f() LANGUAGE javascript AS $$
                function f() { console.log('\u001b[2J' + 'x'.repeat(9000)); }
              $$",
        );
        let notices = run(&mut session, "SELECT f()").notices;
        let message = &notices[0].message;
        format!("{} bytes from {:?}", message.len(), &message[..1])
    })
    .ends("8191 bytes from \"[\"", "9004 bytes from \"\\u{1b}\""),
    Row::run(&[Guard::ErrorText], |without| {
        let mut session = session(without);
        let module = r#"(module (memory (export "memory") 1)
             (func (export "f") (result i32)
               (memory.fill (i32.const 64) (i32.const 120) (i32.const 20000))
               (i32.store (i32.const 0) (i32.const 1))
               (i32.store (i32.const 4) (i32.const 64))
               (i32.store (i32.const 8) (i32.const 20000)) i32.const 0))"#;
        let bytes = wat::core("export f: func() -> result<s32, string>;", module);
        upload(&mut session, &bytes).unwrap();
        let error = session.call("f", &[]).unwrap_err();
        let is_whole = error.message().len() >= 20_000;
        if is_whole { "whole" } else { "cut off" }.to_string()
    })
    .ends("cut off", "whole"),
];

/// A component that begins to wait for two thousand timers, and keeps them.
const TIMERS: &str = r#"
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $p (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "pollable" (type $p (eq $pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core module $m
    (import "i" "subscribe" (func $subscribe (param i64) (result i32)))
    (func (export "f") (result i64)
      (local $n i64)
      (loop $again
        (drop (call $subscribe (i64.const 1000000000)))
        (local.set $n (i64.add (local.get $n) (i64.const 1)))
        (br_if $again (i64.lt_u (local.get $n) (i64.const 2000))))
      (local.get $n)))
  (core instance $m (instantiate $m (with "i" (instance
    (export "subscribe" (func $subscribe))))))
  (func (export "f") (result s64) (canon lift (core func $m "f"))))
"#;

/// A component whose `f` waits for so long, and then returns 1.
pub(super) fn waiting_ms(time_ms: u64) -> String {
    let time = format!("(call $subscribe (i64.const {}))", time_ms * 1_000_000);
    let changes = [
        (
            "(func (export \"wait\") (param $ns i64)",
            "(func (export \"wait\")",
        ),
        ("(call $subscribe (local.get $ns))", &*time),
        (
            "(func (export \"wait\") (param \"ns\" s64)",
            "(func (export \"f\")",
        ),
    ];
    changes
        .iter()
        .fold(syscalls::WAITING.to_string(), |text, (old, new)| {
            assert!(text.contains(old), "{old}");
            text.replacen(old, new, 1)
        })
}

/// Lets `f` wait.
pub(super) fn allow_waiting(session: &mut Session) {
    run(
        session,
        "CREATE SECURITY POLICY patient AS (
           capabilities: [TIME_ACCESS], allowed_syscalls: ['poll_oneoff']);
         ALTER FUNCTION f SET SECURITY POLICY patient",
    );
}

fn of_core(without: &[Guard], world: &str, module: &str) -> String {
    let mut session = session(without);
    upload(&mut session, &wat::core(world, module)).unwrap();
    call(&mut session)
}

fn of_component(without: &[Guard], text: &str) -> String {
    let mut session = session(without);
    upload(&mut session, &wat::component(text)).unwrap();
    call(&mut session)
}

/// How many of so many messages reach the caller.
fn messages(without: &[Guard], count: usize) -> String {
    let mut session = session(without);
    run(
        &mut session,
        &format!(
            "CREATE FUNCTION f() LANGUAGE javascript AS $$
               function f() {{ for (let n = 0; n < {count}; n++) console.log('message'); }}
             $$"
        ),
    );
    let notices = run(&mut session, "SELECT f()").notices;
    let arrived = notices.iter().filter(|notice| notice.message == "message");
    arrived.count().to_string()
}

/// No host function is known to panic: here the embedder's own subscriber does, which a
/// guest's message reaches.
fn panic_in_a_host_function(without: &[Guard]) -> String {
    let mut session = session(without);
    run(
        &mut session,
        "CREATE FUNCTION f() LANGUAGE javascript AS $$
           function f() { console.log('panic'); }
         $$",
    );
    let called = tracing::subscriber::with_default(OnMessage(|| panic!("a subscriber")), || {
        catch_unwind(AssertUnwindSafe(|| call(&mut session)))
    });
    called.unwrap_or_else(|_| "a panic".to_string())
}
