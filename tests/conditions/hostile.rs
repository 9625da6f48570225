//! Conditions that would do more than compute, or never end.

use super::components::{of_a_text, upload};
use super::{create, denies, entries};
use crate::support::{run, session, text, value};
use perihelion::{FailureKind, Session, Value};
use std::time::{Duration, Instant};

/// What is more than any condition may take on this machine, which others use too.
const AT_MOST: Duration = Duration::from_millis(3_000);

#[test]
fn i5_i30_i31_i32_javascript_reaches_nothing() {
    let mut session = session();
    for (body, import) in [
        ("Date.now() > 0", "heliosdb:host/time.now"),
        ("new Date() > 0", "heliosdb:host/time.now"),
        ("Date() !== ''", "heliosdb:host/time.now"),
        (
            "new (Object.getPrototypeOf(new Date(0)).constructor)() > 0",
            "heliosdb:host/time.now",
        ),
        (
            "heliosdb.query('SELECT 1').rows.length",
            "heliosdb:host/database-read.query",
        ),
        (
            "heliosdb.execute('DELETE FROM t')",
            "heliosdb:host/database-write.execute",
        ),
        ("console.log('x') === undefined", "heliosdb:host/log.write"),
    ] {
        // A refusal that the guest could catch would be a bit that it could read.
        for body in [
            format!("return !!({body});"),
            format!("try {{ {body}; }} catch {{}} finally {{ return true; }}"),
        ] {
            create(&mut session, "c", &body);
            let decision = denies(&mut session, "c", "{}", FailureKind::NotPure, "42501");
            let message = decision.failure.unwrap().error.message().to_string();
            assert_eq!(
                message,
                format!("condition \"c\" may not call \"{import}\"")
            );
        }
    }
    for body in [
        "Math.random() >= 0",
        "fetch('http://localhost') !== null",
        "require('fs') !== null",
        "performance.now() >= 0",
        "crypto.randomUUID() !== ''",
        "process.env !== null",
        "std.getenv('HOME') !== ''",
    ] {
        create(&mut session, "c", &format!("return {body};"));
        denies(&mut session, "c", "{}", FailureKind::Guest, "38000");
    }
    create(&mut session, "c", "return import('fs').then(() => true);");
    denies(&mut session, "c", "{}", FailureKind::Guest, "38000");
    // What is asked for at the top level of the module is so, too.
    run(
        &mut session,
        "CREATE OR REPLACE CONDITION c(context JSON) LANGUAGE javascript AS $$
           const start = Date.now();
           function c() { return true; }
         $$",
    );
    denies(&mut session, "c", "{}", FailureKind::NotPure, "42501");
    // Its time is the context's.
    create(
        &mut session,
        "c",
        "return new Date(context.now).getTime() < Date.UTC(2030, 0);",
    );
    assert!(
        session
            .check("c", r#"{"now": "2026-11-25T00:00Z"}"#)
            .unwrap()
            .is_allowed()
    );
}

/// Bodies that never end or need too much, with the SQLSTATE of their limit.
const ENDLESS: [(&str, &str, &str); 11] = [
    ("for (;;) {}", "57014", "instruction"),
    (
        "try { for (;;) {} } finally { for (;;) {} }",
        "57014",
        "instruction",
    ),
    (
        "return /^(a+)+$/.test('a'.repeat(60) + 'b');",
        "57014",
        "instruction",
    ),
    ("return { get then() { for (;;) {} } };", "38000", ""),
    (
        "return Promise.resolve({ get then() { for (;;) {} } });",
        "57014",
        "instruction",
    ),
    (
        "return new Proxy({}, { getPrototypeOf() { for (;;) {} } });",
        "38000",
        "",
    ),
    (
        "const spin = () => Promise.resolve().then(spin); return spin();",
        "57014",
        "instruction",
    ),
    (
        "const all = []; for (;;) all.push(new Uint8Array(65536).fill(1));",
        "53200",
        "memory",
    ),
    ("return 'x'.repeat(1 << 28).length > 0;", "53200", "memory"),
    (
        "const again = () => again() + 1; return again() > 0;",
        "54001",
        "stack",
    ),
    ("throw { get message() { for (;;) {} } };", "38000", ""),
];

#[test]
fn i27_i28_i29_a_javascript_condition_that_does_not_end_denies() {
    let mut session = session();
    create(&mut session, "calm", "return true;");
    for (body, sqlstate, limit) in ENDLESS {
        create(&mut session, "c", body);
        let begun = Instant::now();
        let decision = session.check("c", "{}").unwrap();
        assert!(begun.elapsed() < AT_MOST, "{body}: {:?}", begun.elapsed());
        assert!(!decision.is_allowed(), "{body}");
        let error = decision.failure.unwrap().error;
        assert_eq!(error.sqlstate().as_str(), sqlstate, "{body}: {error:?}");
        if !limit.is_empty() {
            is_recorded(&mut session, sqlstate, limit);
        }
        assert!(session.check("calm", "{}").unwrap().is_allowed(), "{body}");
    }
    assert_eq!(entries(&mut session), 2 * ENDLESS.len() as i64);
    assert_eq!(value(&mut session, "SELECT c('{}')"), Value::Integer(0));
}

#[track_caller]
fn is_recorded(session: &mut Session, sqlstate: &str, limit: &str) {
    let last = "SELECT detail FROM heliosdb.audit_log WHERE event_type = 'Decision'
                ORDER BY seq DESC LIMIT 1";
    let detail = text(session, last);
    let end = format!("\"failure\":\"limit\",\"sqlstate\":\"{sqlstate}\",\"limit\":\"{limit}\"}}");
    assert!(detail.ends_with(&end), "{detail}");
}

#[test]
fn i27_i28_i29_a_component_that_does_not_end_denies() {
    let mut session = session();
    let grow = "(loop $l i32.const 1 memory.grow i32.const -1 i32.ne br_if $l) i32.const 1";
    // A fill of 1 MiB again and again: what instructions alone would not measure.
    let fill = "i32.const 16 memory.grow drop
                (loop $l i32.const 0 i32.const 7 i32.const 1048576 memory.fill br $l) i32.const 1";
    for (instructions, sqlstate, limit) in [
        ("(loop $l br $l) i32.const 1", "57014", "instruction"),
        (grow, "53200", "memory"),
        ("local.get 0 call $again", "54001", "stack"),
        (fill, "57014", "instruction"),
    ] {
        upload(&mut session, &of_a_text(instructions)).unwrap();
        let begun = Instant::now();
        denies(
            &mut session,
            "f",
            r#"{"user": "ada"}"#,
            FailureKind::Limit,
            sqlstate,
        );
        assert!(
            begun.elapsed() < AT_MOST,
            "{instructions}: {:?}",
            begun.elapsed()
        );
        is_recorded(&mut session, sqlstate, limit);
    }
    upload(&mut session, &of_a_text("unreachable")).unwrap();
    denies(
        &mut session,
        "f",
        r#"{"user": "ada"}"#,
        FailureKind::Guest,
        "38000",
    );
    // An error text that lies outside its memory, and one that is no text.
    for place in ["i32.const 2147483647", "i32.const 0"] {
        let bytes = super::components::component(
            "record context { user: string }",
            "func(context: context) -> result<bool, string>",
            &format!(
                r#"(module
                     (memory (export "memory") 1)
                     (data (i32.const 16) "\01\00\00\00\00\00\00\00\04\00\00\00")
                     (data (i32.const 0) "\ff\ff\ff\ff")
                     (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 64)
                     (func (export "check#f") (param i32 i32) (result i32)
                       i32.const 20 {place} i32.store i32.const 16))"#
            ),
        );
        upload(&mut session, &bytes).unwrap();
        denies(
            &mut session,
            "f",
            r#"{"user": "ada"}"#,
            FailureKind::Guest,
            "38000",
        );
    }
    // No boolean of the guest's making has more than two values.
    upload(&mut session, &of_a_text("i32.const 2")).unwrap();
    assert!(
        session
            .check("f", r#"{"user": "ada"}"#)
            .unwrap()
            .is_allowed()
    );
}

#[test]
fn i27_the_clocks_end_what_instructions_do_not() {
    let mut session = session();
    create(&mut session, "c", "for (;;) {}");
    let begun = Instant::now();
    for _ in 0..5 {
        denies(&mut session, "c", "{}", FailureKind::Limit, "57014");
    }
    let each = begun.elapsed() / 5;
    assert!(each < Duration::from_millis(1_050), "{each:?}");
}

#[test]
fn i5_a_condition_ends_at_once_when_it_is_disabled() {
    let vault = crate::support::vault();
    let mut session = vault.session().unwrap();
    create(&mut session, "c", "for (;;) {}");
    let others = vault.clone();
    let stop = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(5));
        let mut session = others.session().unwrap();
        run(&mut session, "ALTER CONDITION c SET ENABLED = false");
    });
    let mut kinds = Vec::new();
    while kinds.last() != Some(&FailureKind::Disabled) {
        let decision = session.check("c", "{}").unwrap();
        assert!(!decision.is_allowed());
        kinds.push(decision.failure.unwrap().kind);
        assert!(kinds.len() < 1_000);
    }
    stop.join().unwrap();
}
