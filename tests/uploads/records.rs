//! A refused upload leaves nothing behind but a record.

use super::{component, refuse, upload};
use crate::support::{run, session, text, value};
use perihelion::{Session, Value};

const EVIL: &str = "(import \"evil:host/launch@1.0.0\" (instance (export \"go\" (func))))";

fn refused_entries(session: &mut Session) -> Vec<String> {
    run(
        session,
        "SELECT detail FROM heliosdb.audit_log
         WHERE event_type = 'FunctionChanged' AND allowed = false AND function_version IS NULL",
    )
    .rows
    .iter()
    .map(|row| match &row[0] {
        Value::Text(text) | Value::Json(text) => text.clone(),
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn i33_an_import_that_this_host_does_not_have_is_refused_by_name() {
    let mut session = session();
    let bytes = component(EVIL);
    let error = upload(&mut session, "nop", &bytes).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "22023");
    assert!(
        error.message().contains("\"evil:host/launch@1.0.0\""),
        "{error:?}"
    );
    // Nothing is stored.
    let count = "SELECT count(*) FROM heliosdb.functions";
    assert_eq!(value(&mut session, count), Value::Integer(0));
    assert_eq!(
        session.call("nop", &[]).unwrap_err().sqlstate().as_str(),
        "42883"
    );
    // And it is on record: which bytes, and why.
    let entries = refused_entries(&mut session);
    assert_eq!(entries.len(), 1);
    let detail: serde_json::Value = serde_json::from_str(&entries[0]).unwrap();
    assert_eq!(detail["action"], "CREATE");
    assert_eq!(detail["sqlstate"], "22023");
    assert_eq!(detail["refused"], error.message());
    assert_eq!(
        detail["content_hash"],
        blake3::hash(&bytes).to_hex().as_str()
    );
    let name = "SELECT function_name FROM heliosdb.audit_log WHERE allowed = false";
    assert_eq!(text(&mut session, name), "nop");
    // A good one is stored, and leaves no such record.
    upload(&mut session, "nop", &component("")).unwrap();
    assert_eq!(value(&mut session, count), Value::Integer(1));
    assert_eq!(refused_entries(&mut session).len(), 1);
}

#[test]
fn every_refused_upload_is_on_record() {
    let mut session = session();
    let module = wat::parse_str("(module)").unwrap();
    let other_name = component("");
    let uploads: [(&str, &[u8]); 4] = [
        ("a", &module),
        ("b", b"\x7fELF"),
        ("c", &other_name),
        ("d", &other_name[..other_name.len() / 2]),
    ];
    for (number, (name, bytes)) in uploads.into_iter().enumerate() {
        upload(&mut session, name, bytes).unwrap_err();
        assert_eq!(refused_entries(&mut session).len(), number + 1);
    }
    // What replaces a function and is refused leaves the old one.
    upload(&mut session, "nop", &component("")).unwrap();
    let sql = "CREATE OR REPLACE FUNCTION nop LANGUAGE wasm AS 'AGFzbQ0AAQA='";
    session.execute(sql).unwrap_err();
    assert!(refused_entries(&mut session)[4].contains("CREATE OR REPLACE"));
    session.call("nop", &[]).unwrap();
}

/// An import may hide in a component inside: what reaches it was imported outside, or
/// there is nothing for it and the component is not valid.
#[test]
fn i33_an_import_cannot_hide_in_a_nested_component() {
    let nested =
        "(component $c (import \"evil:host/launch@1.0.0\" (instance $i (export \"go\" (func)))))";
    let given = format!(
        "{EVIL} {nested} (instance (instantiate $c (with \"evil:host/launch@1.0.0\" (instance 0))))"
    );
    let error = refuse(&component(&given), "22023");
    assert!(
        error.message().contains("\"evil:host/launch@1.0.0\""),
        "{error:?}"
    );
    let missing = format!("{nested} (instance (instantiate $c))");
    let error = refuse(&component(&missing), "22023");
    assert!(
        error.detail().unwrap().contains("evil:host/launch@1.0.0"),
        "{error:?}"
    );
    // Nothing instantiates it: nothing runs.
    let mut session = session();
    upload(&mut session, "nop", &component(nested)).unwrap();
    session.call("nop", &[]).unwrap();
}

/// An interface of ours with a function that it does not have.
#[test]
fn i33_a_function_that_an_interface_does_not_have_is_refused() {
    for import in [
        "(import \"heliosdb:host/time@0.1.0\" (instance (export \"launch\" (func))))",
        "(import \"heliosdb:host/time@0.1.0\" (instance (export \"now\" (func (result string)))))",
        "(import \"launch\" (func))",
        "(import \"m\" (core module))",
        "(import \"c\" (component))",
    ] {
        let error = refuse(&component(import), "22023");
        let text = format!("{error:?}");
        let named = ["time", "launch", "\"m\"", "\"c\""]
            .iter()
            .any(|name| text.contains(name));
        assert!(named, "{import}: {error:?}");
    }
}

/// A name is long, and there are many: an error shows the first.
#[test]
fn errors_do_not_repeat_everything() {
    let imports: String = (0..900)
        .map(|i| format!("(import \"evil:host/i{i}\" (instance))"))
        .collect();
    let error = refuse(&component(&imports), "22023");
    assert!(error.message().len() < 2_000, "{}", error.message().len());
    assert!(error.message().ends_with("and 880 more"), "{error:?}");
}

#[test]
fn h62_compiled_code_is_no_upload() {
    let engine = wasmtime::Engine::default();
    let compiled = engine.precompile_component(&component("")).unwrap();
    let error = refuse(&compiled, "22023");
    assert!(error.message().contains("compiled code"), "{error:?}");
    let module = engine.precompile_module(b"\0asm\x01\0\0\0").unwrap();
    refuse(&module, "22023");
}
