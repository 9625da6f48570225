//! The filter: what passes by default, by a policy, and not at all.

use super::{
    ARGUMENTS, CLOCK, CONNECT, ENVIRONMENT, EXIT, Import, OPEN, RANDOM, RESOLUTION, calling,
    create, create_calling, create_waiting, outcome, refuse, run,
};
use crate::support::{column, session, session_with_users, text, value, vault, wasi_guest};
use perihelion::{Session, Value};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Each import with its name in preview 1.
const IMPORTS: [(&str, Import); 8] = [
    ("clock_time_get", CLOCK),
    ("random_get", RANDOM),
    ("proc_exit", EXIT),
    ("environ_get", ENVIRONMENT),
    ("args_get", ARGUMENTS),
    ("clock_res_get", RESOLUTION),
    ("path_open", OPEN),
    ("wasi:sockets/tcp-create-socket.create-tcp-socket", CONNECT),
];

/// A session with a function for each import, that has every capability there is.
fn with_imports() -> Session {
    let mut session = session();
    for (index, (_, import)) in IMPORTS.iter().enumerate() {
        create_calling(&mut session, &format!("f{index}"), import);
        run(
            &mut session,
            &format!("ALTER FUNCTION f{index} GRANT CAPABILITY TIME_ACCESS"),
        );
    }
    session
}

/// The attempts in the log: system call, allowed, and its capability if it lacks one.
fn attempts(session: &mut Session) -> Vec<String> {
    column(
        session,
        "SELECT concat_ws(' ', target, allowed, capability) FROM heliosdb.audit_log
         WHERE event_type = 'SyscallAttempt' ORDER BY seq",
    )
}

fn violations(session: &mut Session, function: &str) -> String {
    text(
        session,
        &format!("SELECT violations FROM heliosdb.functions WHERE name = '{function}'"),
    )
}

/// Calls every import once: what comes of it, the attempts, and who has violations.
fn call_all(session: &mut Session) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for index in 0..IMPORTS.len() {
        let name = format!("f{index}");
        let before = attempts(session).len();
        let mut result = outcome(session, &name);
        if result.len() > 5 {
            result = "a number".to_string();
        }
        let attempts = attempts(session)[before..].join(", ");
        all.push((result, attempts, violations(session, &name)));
    }
    all
}

fn check(session: &mut Session, expected: [(&str, &str, &str); 8]) {
    let expected = expected.map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string()));
    assert_eq!(call_all(session), expected);
}

const TCP: &str = "wasi:sockets/tcp-create-socket.create-tcp-socket 0";

#[test]
fn h20_h67_the_five_pass_by_default_and_the_others_are_refused_recorded_and_counted() {
    let mut session = with_imports();
    check(
        &mut session,
        [
            ("a number", "clock_time_get 1", "0"),
            // It passes the filter, and nobody has the capability behind it.
            ("42501", "random_get 0 RANDOM_ACCESS", "0"),
            ("38000", "proc_exit 1", "0"),
            ("0", "environ_get 1", "0"),
            ("42501", "args_get 0", "1"),
            ("42501", "clock_res_get 0", "1"),
            ("42501", "path_open 0", "1"),
            // It can be told of the refusal: "access-denied".
            ("101", TCP, "1"),
        ],
    );
}

#[test]
fn h19_h21_a_policy_says_what_passes_and_nothing_else_does() {
    let mut session = with_imports();
    run(
        &mut session,
        "CREATE SECURITY POLICY p AS (capabilities: [TIME_ACCESS],
           allowed_syscalls: ['args_get', 'args_sizes_get', 'clock_res_get'])",
    );
    for index in 0..IMPORTS.len() {
        run(
            &mut session,
            &format!("ALTER FUNCTION f{index} SET SECURITY POLICY p"),
        );
    }
    let refused = "42501";
    check(
        &mut session,
        [
            (refused, "clock_time_get 0", "1"),
            (refused, "random_get 0", "1"),
            (refused, "proc_exit 0", "1"),
            (refused, "environ_get 0", "1"),
            ("0", "args_get 1", "0"),
            ("1000", "clock_res_get 1", "0"),
            (refused, "path_open 0", "1"),
            ("101", TCP, "1"),
        ],
    );
    // It holds at once, for the functions that have the policy.
    let error = refuse(&mut session, "SELECT f0()", "42501");
    assert_eq!(
        error.detail(),
        Some("policy \"p\" allows args_get, args_sizes_get, clock_res_get")
    );
    run(&mut session, error.hint().unwrap());
    run(&mut session, "SELECT f0()");
    // Half of what a function stands for is not enough.
    run(
        &mut session,
        "ALTER SECURITY POLICY p SET (allowed_syscalls = ['args_get'])",
    );
    let error = refuse(&mut session, "SELECT f4()", "42501");
    assert!(error.message().contains("\"args_sizes_get\""), "{error:?}");
    run(
        &mut session,
        "ALTER SECURITY POLICY p SET (allowed_syscalls = [])",
    );
    refuse(&mut session, "SELECT f5()", "42501");
}

#[test]
fn h21_the_hint_for_a_built_in_policy_makes_one_that_allows_it() {
    let mut session = session();
    create_calling(&mut session, "f", &ARGUMENTS);
    for syscall in ["args_get", "args_sizes_get"] {
        let error = refuse(&mut session, "SELECT f()", "42501");
        assert!(error.message().contains(syscall), "{error:?}");
        run(&mut session, error.hint().unwrap());
    }
    assert_eq!(value(&mut session, "SELECT f()"), Value::Integer(0));
}

#[test]
fn h20_exit_ends_the_call_loudly_with_its_status() {
    let mut session = session();
    create_calling(&mut session, "f", &EXIT);
    let error = refuse(&mut session, "SELECT f()", "38000");
    assert_eq!(error.message(), "function \"f\" exited with status 1");
    run(&mut session, "SELECT 1");
}

#[test]
fn h43_a_wasi_clock_is_real_with_its_capability_and_refused_without() {
    let mut session = session();
    create_calling(&mut session, "f", &CLOCK);
    let error = refuse(&mut session, "SELECT f()", "42501");
    assert!(error.message().contains("may not read the clock"));
    assert_eq!(attempts(&mut session), ["clock_time_get 0 TIME_ACCESS"]);
    assert_eq!(violations(&mut session, "f"), "0");
    run(&mut session, error.hint().unwrap());
    let Value::Integer(now_ns) = value(&mut session, "SELECT f()") else {
        panic!("no number");
    };
    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let differs = real.abs_diff(Duration::from_nanos(now_ns as u64));
    assert!(differs < Duration::from_secs(10), "{differs:?}");
    assert_eq!(attempts(&mut session)[1..], ["clock_time_get 1"]);
}

#[test]
fn h44_wasi_randomness_is_refused_loudly_and_never_faked() {
    for function in ["get-random-u64", "get-insecure-random-u64"] {
        let mut session = session();
        let interface = match function {
            "get-random-u64" => "wasi:random/random@0.2.3",
            _ => "wasi:random/insecure@0.2.3",
        };
        let import = Import {
            interface,
            function,
            ..RANDOM
        };
        create_calling(&mut session, "f", &import);
        run(
            &mut session,
            "ALTER FUNCTION f SET SECURITY POLICY PERMISSIVE",
        );
        let error = refuse(&mut session, "SELECT f()", "42501");
        assert!(error.message().contains("may not read random bytes"));
        assert_eq!(violations(&mut session, "f"), "0");
        let denied = "SELECT count(*) FROM heliosdb.audit_log
                      WHERE event_type = 'CapabilityCheck' AND capability = 'RANDOM_ACCESS'";
        assert_eq!(value(&mut session, denied), Value::Integer(1));
    }
}

#[test]
fn h30_h67_an_allowed_attempt_is_recorded_at_its_first_use_and_counted_after() {
    let mut session = session();
    create(&mut session, "f", &calling("f", &CLOCK, 7));
    run(
        &mut session,
        "ALTER FUNCTION f GRANT CAPABILITY TIME_ACCESS",
    );
    run(&mut session, "SELECT f()");
    assert_eq!(attempts(&mut session), ["clock_time_get 1"]);
    let ending = run(
        &mut session,
        "SELECT json_extract(detail, '$.syscalls_allowed'),
                json_extract(detail, '$.syscalls_refused'),
                json_extract(detail, '$.checks_allowed')
         FROM heliosdb.audit_log WHERE event_type = 'ExecutionCompleted'",
    );
    assert_eq!(ending.rows, [[7, 0, 7].map(Value::Integer)]);
    run(&mut session, "SELECT f()");
    assert_eq!(attempts(&mut session).len(), 2);
}

#[test]
fn h68_the_text_is_that_of_the_security_model() {
    let mut session = session();
    create_calling(&mut session, "untrusted_function", &OPEN);
    refuse(&mut session, "SELECT untrusted_function()", "42501");
    let sql = "SELECT text FROM heliosdb.audit_log WHERE event_type = 'SyscallAttempt'";
    assert_eq!(
        text(&mut session, sql),
        "[AUDIT] Syscall attempted: open\n\
         Function: untrusted_function\n\
         Allowed: false\n\
         Action: Blocked, logged, incremented violation counter"
    );
    let row = run(
        &mut session,
        "SELECT function_name, target, allowed, json_extract(detail, '$.function'),
                json_extract(detail, '$.violations')
         FROM heliosdb.audit_log WHERE event_type = 'SyscallAttempt'",
    );
    let text = |text: &str| Value::Text(text.to_string());
    assert_eq!(
        row.rows,
        [vec![
            text("untrusted_function"),
            text("path_open"),
            Value::Integer(0),
            text("wasi:filesystem/preopens.get-directories"),
            Value::Integer(1)
        ]]
    );
    // No other entry has one, and `*` does not show it.
    let others = "SELECT count(text) FROM heliosdb.audit_log WHERE event_type <> 'SyscallAttempt'";
    assert_eq!(value(&mut session, others), Value::Integer(0));
    let all = run(&mut session, "SELECT * FROM heliosdb.audit_log LIMIT 1");
    assert!(!all.columns.contains(&"text".to_string()));
}

#[test]
fn h4_a_component_that_imports_anything_unlisted_is_not_created() {
    let mut session = session();
    let file = tempfile::NamedTempFile::new().unwrap();
    let create = format!(
        "CREATE FUNCTION f LANGUAGE wasm AS '{}'",
        file.path().display()
    );
    for interface in [
        "evil:host/files",
        "heliosdb:host/shell@0.1.0",
        "heliosdb:host/time@9.0.0",
        "wasi-like",
    ] {
        let import = Import { interface, ..CLOCK };
        let component = wat::parse_str(calling("f", &import, 1)).unwrap();
        std::fs::write(file.path(), component).unwrap();
        let error = refuse(&mut session, &create, "22023");
        assert!(error.message().contains(interface), "{error:?}");
    }
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM heliosdb.functions"),
        Value::Integer(0)
    );
}

/// Functions of every interface that reaches the system, whatever their types are.
const SYSTEM: [(&str, &str); 12] = [
    ("wasi:filesystem/types@0.2.0", "filesystem-error-code"),
    ("wasi:sockets/instance-network@0.2.0", "instance-network"),
    ("wasi:sockets/udp-create-socket@0.2.0", "create-udp-socket"),
    ("wasi:sockets/ip-name-lookup@0.2.0", "resolve-addresses"),
    ("wasi:http/outgoing-handler@0.2.0", "handle"),
    ("wasi:clocks/timezone@0.2.0", "utc-offset"),
    ("wasi:config/store@0.2.0-draft", "get"),
    ("wasi:keyvalue/store@0.2.0-draft", "open"),
    ("wasi:blobstore/blobstore", "get-container"),
    ("wasi:nn/graph@0.2.0-rc-2024-10-28", "load"),
    ("wasi:cli/run@0.2.0", "run"),
    ("wasi:made-up/at-all", "anything"),
];

#[test]
fn h4_no_wasi_function_reaches_the_system_whatever_is_granted() {
    let mut session = session();
    for (index, (interface, function)) in SYSTEM.into_iter().enumerate() {
        let name = format!("f{index}");
        let import = Import {
            interface,
            function,
            ..CLOCK
        };
        create_calling(&mut session, &name, &import);
        run(
            &mut session,
            &format!("ALTER FUNCTION {name} SET SECURITY POLICY PERMISSIVE"),
        );
        let error = refuse(&mut session, &format!("SELECT {name}()"), "42501");
        let full = format!("{}.{function}", interface.split('@').next().unwrap());
        assert!(error.message().contains(&full), "{error:?}");
        assert_eq!(attempts(&mut session)[index], format!("{full} 0"));
        assert_eq!(violations(&mut session, &name), "1");
    }
}

/// Four ways to the outside, each behind one capability: what it says if it is allowed.
const REQUESTS: [(&str, &str); 3] = [
    (
        "DATABASE_READ('users')",
        "CREATE FUNCTION f0() RETURNS BIGINT LANGUAGE javascript AS $$
           function f0() { return heliosdb.query('SELECT id FROM users WHERE id = 1').rows[0].id } $$",
    ),
    (
        "DATABASE_WRITE('users')",
        "CREATE FUNCTION f1() RETURNS BIGINT LANGUAGE javascript AS $$
           function f1() { return heliosdb.execute('DELETE FROM users').rowCount - 1 } $$",
    ),
    (
        "TIME_ACCESS",
        "CREATE FUNCTION f2() RETURNS BIGINT LANGUAGE javascript AS $$
           function f2() { return Date.now() > 0 ? 1 : 0 } $$",
    ),
];

#[test]
fn h5_what_is_open_is_what_is_granted_for_every_set_of_capabilities() {
    for granted in 0..1_u32 << REQUESTS.len() {
        let mut session = session_with_users();
        for (_, create) in REQUESTS {
            run(&mut session, create);
        }
        create_calling(&mut session, "f3", &CLOCK);
        let is_granted = |index: usize| granted & 1 << index != 0;
        for name in ["f0", "f1", "f2", "f3"] {
            for (index, (grant, _)) in REQUESTS.iter().enumerate() {
                if is_granted(index) {
                    let grant = format!("ALTER FUNCTION {name} GRANT CAPABILITY {grant}");
                    run(&mut session, &grant);
                }
            }
        }
        // The last two ask for the same.
        for (name, index) in [("f0", 0), ("f1", 1), ("f2", 2), ("f3", 2)] {
            let result = outcome(&mut session, name);
            assert_eq!(
                result != "42501",
                is_granted(index),
                "{name} with {granted:b}: {result}"
            );
        }
    }
}

#[test]
fn h20_a_wait_really_waits_and_is_not_charged_as_cpu_time() {
    let mut session = session();
    create_waiting(&mut session);
    // Fifty times its CPU time.
    run(
        &mut session,
        "ALTER FUNCTION wait SET (max_cpu_time_ms = 20)",
    );
    let begun = Instant::now();
    run(&mut session, "SELECT wait(1000000000)");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let cpu = "SELECT json_extract(detail, '$.cpu_us') FROM heliosdb.audit_log
               WHERE event_type = 'ExecutionCompleted'";
    let Value::Integer(cpu_us) = value(&mut session, cpu) else {
        panic!("no number");
    };
    assert!(cpu_us < 20_000, "{cpu_us}");
    let mut first = |a: i64, b: i64| text(&mut session, &format!("SELECT first_of({a}, {b})"));
    assert_eq!(first(1_000_000, 9_000_000_000), "1");
    assert_eq!(first(9_000_000_000, 1_000_000), "10");
    assert_eq!(first(0, 0), "11");
}

/// `pile_up(n)` makes timers and gives each away, to a `poll` that it declares to own
/// them: no handle is ever dropped.
const PILING_UP: &str = r#"
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "poll" (func (param "in" (own $p))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "pollable" (type $p (eq $pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $give (canon lower (func $poll "poll")))
  (core module $m
    (import "i" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "i" "give" (func $give (param i32)))
    (func (export "pile-up") (param $n i64) (result i64)
      (loop $again
        (call $give (call $subscribe (i64.const 0)))
        (local.set $n (i64.sub (local.get $n) (i64.const 1)))
        (br_if $again (i64.gt_s (local.get $n) (i64.const 0))))
      (i64.const 1)))
  (core instance $m (instantiate $m (with "i" (instance
    (export "subscribe" (func $subscribe)) (export "give" (func $give))))))
  (func (export "pile-up") (param "n" s64) (result s64) (canon lift (core func $m "pile-up"))))
"#;

#[test]
fn h63_a_guest_cannot_pile_up_timers() {
    let mut session = session();
    create_waiting(&mut session);
    create(&mut session, "pile_up", PILING_UP);
    run(
        &mut session,
        "ALTER FUNCTION pile_up SET SECURITY POLICY patient",
    );
    assert_eq!(
        value(&mut session, "SELECT pile_up(1000)"),
        Value::Integer(1)
    );
    let error = refuse(&mut session, "SELECT pile_up(1001)", "38000");
    assert!(
        error.message().contains("more than 1000 timers"),
        "{error:?}"
    );
}

/// A guest says of which types its imports are.
#[test]
fn h4_an_import_of_the_wrong_type_fails_and_nothing_else() {
    let mut session = session();
    let text = Import {
        ty: "(func (result string))",
        core: "(param i32)",
        call: "(call $f (i32.const 16)) (i64.const 0)",
        ..CLOCK
    };
    let status = Import {
        ty: "(func (param \"status\" string))",
        core: "(param i32 i32)",
        call: "(call $f (i32.const 0) (i32.const 3)) (i64.const 0)",
        ..EXIT
    };
    create_calling(&mut session, "text", &text);
    create_calling(&mut session, "status", &status);
    run(
        &mut session,
        "ALTER FUNCTION text GRANT CAPABILITY TIME_ACCESS",
    );
    for name in ["text", "status"] {
        refuse(&mut session, &format!("SELECT {name}()"), "38000");
        run(&mut session, "SELECT 1");
    }
}

#[test]
fn h14_a_wait_ends_with_the_wall_time() {
    let mut session = session();
    create_waiting(&mut session);
    run(
        &mut session,
        "ALTER FUNCTION wait SET (max_wall_time_ms = 300)",
    );
    let begun = Instant::now();
    // As long as it can be said.
    let error = refuse(&mut session, "SELECT wait(-1)", "57014");
    assert!(
        error.message().contains("wall time limit of 0.3 s"),
        "{error:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[test]
fn h21_h43_a_wait_needs_its_policy_and_the_clock() {
    let mut session = session();
    create_waiting(&mut session);
    run(
        &mut session,
        "ALTER SECURITY POLICY patient SET (capabilities = [])",
    );
    let error = refuse(&mut session, "SELECT wait(1)", "42501");
    assert!(error.message().contains("may not read the clock"));
    run(
        &mut session,
        "ALTER FUNCTION wait SET SECURITY POLICY DEFAULT",
    );
    let error = refuse(&mut session, "SELECT wait(1)", "42501");
    assert!(error.message().contains("\"poll_oneoff\""), "{error:?}");
    assert_eq!(
        attempts(&mut session),
        ["poll_oneoff 0 TIME_ACCESS", "poll_oneoff 0"]
    );
    assert_eq!(violations(&mut session, "wait"), "1");
}

/// The same through Rust's standard library.
#[test]
fn h19_h67_a_guest_with_a_standard_library_meets_the_filter_too() {
    let vault = vault();
    let mut session = vault.session().unwrap();
    let path = wasi_guest();
    run(
        &mut session,
        &format!(
            "CREATE FUNCTION attempt LANGUAGE wasm AS '{}'",
            path.display()
        ),
    );
    let try_it = |session: &mut Session, what: &str| {
        let result = session.call("attempt", &[Value::Text(what.into())]);
        let log = attempts(session).pop().unwrap_or_default();
        match result {
            Ok(Value::Text(text)) => format!("{text}; {log}"),
            Ok(other) => panic!("{other:?}"),
            Err(error) => format!("{}; {log}", error.sqlstate()),
        }
    };
    let check = |session: &mut Session, what: &str, expected: &str| {
        assert_eq!(try_it(session, what), expected, "{what}");
    };
    check(&mut session, "environment", "0; environ_get 1");
    check(&mut session, "time", "42501; clock_time_get 0 TIME_ACCESS");
    run(
        &mut session,
        "ALTER FUNCTION attempt GRANT CAPABILITY TIME_ACCESS",
    );
    let time = try_it(&mut session, "time");
    assert!(time.ends_with("; clock_time_get 1"), "{time}");
    check(&mut session, "exit", "38000; proc_exit 1");
    check(&mut session, "arguments", "42501; args_get 0");
    check(&mut session, "sleep", "42501; poll_oneoff 0");
    check(&mut session, "open", "42501; path_open 0");
    assert_eq!(violations(&mut session, "attempt"), "3");
    let connect = try_it(&mut session, "connect");
    assert!(connect.contains("wasi:sockets/"), "{connect}");
}
