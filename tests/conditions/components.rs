//! Conditions as components: what may be uploaded, and how a context becomes a record.

use super::{denies, entries};
use crate::support::{guest, refuse, run, session, value, wasi_guest};
use perihelion::{FailureKind, Session, Value};
use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// A component that exports `check#f`, with its WIT types and its core module.
pub(crate) fn component(types: &str, signature: &str, module: &str) -> Vec<u8> {
    let wit = format!(
        "package test:conditions;
         world conditions {{ export check: interface {{ {types} f: {signature}; }} }}"
    );
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("test.wit", &wit).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.module(&module).unwrap();
    encoder.validate(true).encode().unwrap()
}

/// The same of one record, with the instructions of its function, which has the text
/// of the record's one field as `$text` and `$bytes`.
pub(crate) fn of_a_text(instructions: &str) -> Vec<u8> {
    component(
        "record context { user: string }",
        "func(context: context) -> bool",
        &format!(
            r#"(module
                 (memory (export "memory") 2 1024)
                 (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
                 (func $again (param i32) (result i32) local.get 0 call $again i32.const 1 i32.add)
                 (func (export "check#f") (param $text i32) (param $bytes i32) (result i32)
                   (local $i i32) (local $x f64) (local $y f32) {instructions}))"#
        ),
    )
}

/// Uploads a component as the condition `f`.
pub(crate) fn upload(session: &mut Session, bytes: &[u8]) -> perihelion::Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("condition.wasm");
    std::fs::write(&path, bytes).unwrap();
    create(session, "f", &path)
}

fn create(session: &mut Session, name: &str, path: &Path) -> perihelion::Result<()> {
    let path = path.display();
    let sql = format!("CREATE OR REPLACE CONDITION {name} LANGUAGE wasm AS '{path}'");
    session.execute(&sql).map(drop)
}

const REQUEST: &str =
    r#"{"user": "ada", "clearance": 3, "labels": ["secret"], "asked_at": "2026-11-25"}"#;

#[test]
fn d11_a_component_takes_the_context_as_its_record() {
    let mut session = session();
    let path = guest("condition_guest");
    create(&mut session, "may_read", &path).unwrap();
    create(&mut session, "may_share", &path).unwrap();
    let check = |session: &mut Session, name, from: &str, to: &str| {
        let decision = session.check(name, &REQUEST.replace(from, to)).unwrap();
        assert!(decision.failure.is_none(), "{:?}", decision.failure);
        decision.is_allowed()
    };
    assert!(check(&mut session, "may_read", "", ""));
    assert!(!check(&mut session, "may_read", ": 3", ": 2"));
    assert!(check(&mut session, "may_read", "secret", "public"));
    let until = |day| format!("\"valid_until\": \"2026-{day}\", \"user\"");
    assert!(check(&mut session, "may_read", "\"user\"", &until("12-31")));
    assert!(!check(
        &mut session,
        "may_read",
        "\"user\"",
        &until("01-01")
    ));
    assert!(check(
        &mut session,
        "may_read",
        "\"user\"",
        "\"valid_until\": null, \"user\""
    ));
    // A result of bool: ok(true), ok(false), and an error.
    assert!(check(&mut session, "may_share", "secret", "public"));
    assert!(!check(&mut session, "may_share", "", ""));
    let context = REQUEST.replace("secret", "purple");
    let decision = denies(
        &mut session,
        "may_share",
        &context,
        FailureKind::Guest,
        "38000",
    );
    let message = decision.failure.unwrap().error.message().to_string();
    assert_eq!(
        message,
        "condition \"may_share\" failed: there is no label \"purple\""
    );
    let sql = format!("SELECT may_read('{REQUEST}') + may_read(NULL)");
    assert_eq!(value(&mut session, &sql), Value::Integer(1));
}

#[test]
fn d11_a_context_that_does_not_fit_names_the_field() {
    let mut session = session();
    create(&mut session, "may_read", &guest("condition_guest")).unwrap();
    for (from, to, part, sqlstate) in [
        ("\"user\": \"ada\", ", "", "no member \"user\"", "22023"),
        (
            ", \"asked_at\": \"2026-11-25\"",
            "",
            "no member \"asked_at\"",
            "22023",
        ),
        (
            "\"user\"",
            "\"admin\": true, \"user\"",
            "an unknown member \"admin\"",
            "22023",
        ),
        ("\"ada\"", "7", "in member \"user\"", "22023"),
        ("\"ada\"", "null", "in member \"user\"", "22023"),
        (": 3", ": 300", "in member \"clearance\"", "22003"),
        (": 3", ": -1", "in member \"clearance\"", "22003"),
        (": 3", ": 1.5", "in member \"clearance\"", "22003"),
        (": 3", ": \"3\"", "in member \"clearance\"", "22023"),
        (": 3", ": true", "in member \"clearance\"", "22023"),
        (
            "[\"secret\"]",
            "\"secret\"",
            "in member \"labels\"",
            "22023",
        ),
        (
            "\"secret\"",
            "\"secret\", 1",
            "in member \"labels\"",
            "22023",
        ),
        ("2026-11-25", "yesterday", "in member \"asked_at\"", "22P02"),
    ] {
        let context = REQUEST.replace(from, to);
        let decision = denies(
            &mut session,
            "may_read",
            &context,
            FailureKind::Context,
            sqlstate,
        );
        let shown = format!("{:?}", decision.failure.unwrap().error);
        assert!(shown.contains(part), "{context}: {shown}");
        assert_eq!(decision.instructions, 0, "nothing ran");
    }
    let context = REQUEST.replace("\"user\"", "\"user\": \"eve\", \"user\"");
    denies(
        &mut session,
        "may_read",
        &context,
        FailureKind::Context,
        "22P02",
    );
    denies(
        &mut session,
        "may_read",
        "[]",
        FailureKind::Context,
        "22023",
    );
    let nested = component(
        "record inner { age: u8 } record context { user: inner }",
        "func(context: context) -> bool",
        r#"(module (memory (export "memory") 1)
             (func (export "check#f") (param i32) (result i32) i32.const 1))"#,
    );
    upload(&mut session, &nested).unwrap();
    assert!(
        session
            .check("f", r#"{"user": {"age": 1}}"#)
            .unwrap()
            .is_allowed()
    );
    let context = r#"{"user": {"age": "x"}}"#;
    let decision = denies(&mut session, "f", context, FailureKind::Context, "22023");
    let error = decision.failure.unwrap().error;
    assert_eq!(error.detail(), Some("in member \"user.age\""));
}

#[test]
fn d11_only_one_record_in_and_a_boolean_out() {
    let mut session = session();
    let record = "record context { age: u32 }";
    for (types, signature, core) in [
        ("", "func() -> bool", "(result i32) i32.const 1"),
        (
            "",
            "func(age: u32) -> bool",
            "(param i32) (result i32) i32.const 1",
        ),
        (record, "func(context: context)", "(param i32)"),
        (
            record,
            "func(context: context) -> u32",
            "(param i32) (result i32) i32.const 1",
        ),
        (
            record,
            "func(context: context, more: context) -> bool",
            "(param i32 i32) (result i32) i32.const 1",
        ),
        (
            record,
            "func(context: option<context>) -> bool",
            "(param i32 i32) (result i32) i32.const 1",
        ),
    ] {
        let module =
            format!(r#"(module (memory (export "memory") 1) (func (export "check#f") {core}))"#);
        let error = upload(&mut session, &component(types, signature, &module)).unwrap_err();
        assert_eq!(error.sqlstate().as_str(), "22023", "{signature}");
        assert!(error.message().contains("is no condition"), "{error:?}");
    }
    let refused = create(&mut session, "nobody", &guest("condition_guest")).unwrap_err();
    assert_eq!(refused.sqlstate().as_str(), "22023");
    let count = value(&mut session, "SELECT count(*) FROM heliosdb.functions");
    assert_eq!(count, Value::Integer(0));
}

#[test]
fn i5_i30_i31_i33_whatever_reaches_something_is_refused_when_uploaded() {
    let mut session = session();
    let import = |name: &str| {
        let text = format!("(component (import \"{name}\" (instance (export \"go\" (func)))))");
        wat::parse_str(text).unwrap()
    };
    for name in [
        "heliosdb:host/log@0.1.0",
        "heliosdb:host/time@0.1.0",
        "heliosdb:host/database-read@0.1.0",
        "heliosdb:host/types@0.2.0",
        "heliosdb:host/typos@0.1.0",
        "wasi:cli/environment@0.2.3",
        "wasi:clocks/wall-clock@0.2.3",
        "wasi:clocks/monotonic-clock@0.2.3",
        "wasi:random/random@0.2.3",
        "wasi:random/insecure-seed@0.2.3",
        "wasi:sockets/tcp@0.2.3",
        "wasi:http/outgoing-handler@0.2.3",
        "wasi:filesystem/types@0.2.3",
        "wasi:io/poll@0.2.3",
        "evil:host/launch@1.0.0",
    ] {
        let error = upload(&mut session, &import(name)).unwrap_err();
        assert_eq!(error.sqlstate().as_str(), "22023", "{name}");
        let message = format!("a condition may not import \"{name}\"");
        assert_eq!(error.message(), message);
    }
    // All of them are named at once.
    for (path, imports) in [
        (
            guest("bench_guest"),
            [
                "heliosdb:host/log@0.1.0",
                "heliosdb:host/database-read@0.1.0",
            ],
        ),
        (wasi_guest(), ["wasi:cli/environment@", "wasi:io/streams@"]),
    ] {
        let error = create(&mut session, "nop", &path).unwrap_err();
        assert_eq!(error.sqlstate().as_str(), "22023");
        for import in imports {
            assert!(error.message().contains(import), "{error:?}");
        }
    }
    let function = wat::parse_str("(component (import \"now\" (func (result u64))))").unwrap();
    let error = upload(&mut session, &function).unwrap_err();
    assert!(
        error.message().contains("may not import \"now\""),
        "{error:?}"
    );
    // Nothing is stored, and each refusal is recorded.
    for (sql, expected) in [
        ("SELECT count(*) FROM heliosdb.functions", 0),
        ("SELECT count(*) FROM heliosdb.function_versions", 0),
        (
            "SELECT count(*) FROM heliosdb.audit_log WHERE event_type = 'FunctionChanged'
             AND NOT allowed AND json_extract(detail, '$.kind', '$.language', '$.sqlstate')
                 = '[\"condition\",\"wasm\",\"22023\"]'",
            18,
        ),
        ("SELECT count(*) FROM heliosdb.audit_log", 18),
    ] {
        assert_eq!(value(&mut session, sql), Value::Integer(expected), "{sql}");
    }
    // An upload that replaces one leaves that as it was.
    upload(&mut session, &of_a_text("i32.const 1")).unwrap();
    upload(&mut session, &import("evil:host/launch@1.0.0")).unwrap_err();
    assert!(session.check("f", r#"{"user": ""}"#).unwrap().is_allowed());
    assert_eq!(
        value(&mut session, "SELECT version FROM heliosdb.functions"),
        Value::Integer(1)
    );
}

#[test]
fn i33_a_source_that_does_not_compile_is_refused_and_recorded() {
    let mut session = session();
    for body in [
        "function f( {",
        "import { now } from 'time'; function f() { return now() > 0; }",
        "function g() {}",
    ] {
        let sql = format!("CREATE CONDITION f(context JSON) LANGUAGE javascript AS $${body}$$");
        session.execute(&sql).unwrap_err();
    }
    refuse(&mut session, "SELECT f('1')", "42883");
    let refused =
        "SELECT count(*) FROM heliosdb.audit_log WHERE allowed = 0 AND function_name = 'f'";
    assert_eq!(value(&mut session, refused), Value::Integer(3));
}

#[test]
fn i5_a_component_of_a_condition_is_no_way_around_a_function() {
    let mut session = session();
    let path = guest("bench_guest");
    run(
        &mut session,
        &format!("CREATE FUNCTION nop LANGUAGE wasm AS '{}'", path.display()),
    );
    let error = create(&mut session, "nop", &path).unwrap_err();
    // Its imports are looked at first.
    assert_eq!(error.sqlstate().as_str(), "22023");
    run(&mut session, "CALL nop()");
    assert_eq!(entries(&mut session), 0);
}
