//! What is uploaded: components, sources, conditions and their contexts, and the code
//! that is made of them.

use super::row::{Row, bare_builder, call, done, session, told, upload, upload_as};
use crate::hostile::wat;
use crate::support::run;
use perihelion::{Error, Guard, Storage, Value};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) const ROWS: &[Row] = &[
    Row::run(&[Guard::UploadBytes], |without| {
        let filling = "x".repeat(33 << 20);
        let bytes = wat::component(&component(&format!("(@custom \"filling\" \"{filling}\")")));
        done(upload(&mut session(without), &bytes))
    })
    .ends("54000", "done"),
    Row::run(&[Guard::SourceBytes], |without| {
        let filling = "x".repeat(4_200_000);
        done(session(without).execute(&format!(
            "CREATE FUNCTION f() LANGUAGE javascript AS $$ function f() {{}} /* {filling} */ $$"
        )))
    })
    .ends("54000", "done"),
    Row::run(&[Guard::UploadNesting], |without| {
        let nested = format!("{}{}", "(component ".repeat(20), ")".repeat(20));
        uploaded(without, &nested)
    })
    .ends("54000", "done"),
    Row::run(&[Guard::UploadNesting], |without| {
        let (begin, end) = ("(type (component ", "))");
        uploaded(without, &format!("{}{}", begin.repeat(20), end.repeat(20)))
    })
    .ends("54000", "done"),
    Row::run(&[Guard::UploadCounts], |without| {
        uploaded(without, &"(core module)".repeat(40))
    })
    .ends("54000", "done"),
    Row::run(&[Guard::UploadBodies], |without| {
        let locals = "(local i32)".repeat(20_001);
        uploaded(without, &format!("(core module (func {locals}))"))
    })
    .ends("54000", "done"),
    Row::run(&[Guard::UploadFeatures], |without| {
        worded(upload(
            &mut session(without),
            &wat::component(&component("(core module (memory i64 1))")),
        ))
    })
    .ends(
        "22023 the component is refused: it needs \"memory64\", which this host does not run",
        "22023 the component is refused: it cannot be compiled",
    )
    .behind("the engine's configuration"),
    Row::run(&[Guard::UploadImports], |without| {
        worded(upload(
            &mut session(without),
            &wat::component(
                "(component (import \"other:host/door\" (instance (export \"g\" (func))))
                   (core module $m (func (export \"f\")))
                   (core instance $m (instantiate $m))
                   (func (export \"f\") (canon lift (core func $m \"f\"))))",
            ),
        ))
    })
    .ends(
        "22023 the component imports what this host does not have: \"other:host/door\"",
        "22023 the component does not fit this host",
    )
    .behind("the linker"),
    // No list of imports would show it.
    Row::run(&[Guard::UploadImports], |without| {
        let imported = "(import \"code\" (core module $code (export \"g\" (func))))";
        worded(upload(
            &mut session(without),
            &wat::component(&component("").replacen("(component", &format!("(component {imported}"), 1)),
        ))
    })
    .ends(
        "22023 the component is refused: it imports a core module, \"code\"",
        "22023 the component does not fit this host",
    )
    .behind("the linker"),
    Row::run(&[Guard::ConditionImports], |without| {
        let bytes = wat::core(
            "use heliosdb:host/types@0.1.0.{json}; import heliosdb:host/time@0.1.0; export f: func(a: json) -> bool;",
            CONDITION_WITH_THE_TIME,
        );
        worded(upload_as(&mut session(without), "CONDITION f", &bytes))
    })
    .ends(
        "22023 a condition may not import \"heliosdb:host/time@0.1.0\"",
        "22023 the component does not fit this host",
    )
    .behind("the linker"),
    // It reaches nothing even so: the import does nothing instead of ending the call.
    Row::run(&[Guard::ConditionCalls], |without| {
        decided(without, "console.log('hello'); return true;", "{}")
    })
    .ends("denied", "allowed"),
    Row::run(&[Guard::ContextBytes], |without| {
        let context = format!("{{\"a\":\"{}\"}}", "x".repeat(300_000));
        decided(without, "return true;", &context)
    })
    .ends("denied", "allowed"),
    Row::run(&[Guard::ContextMembers], |without| {
        decided(without, "return context.admin;", r#"{"admin": false, "admin": true}"#)
    })
    .ends("denied", "allowed"),
    Row::run(&[Guard::DisabledCalls], |without| {
        let mut session = session(without);
        run(
            &mut session,
            "CREATE CONDITION f(context JSON) LANGUAGE javascript AS $$ function f() { return true; } $$;
             ALTER CONDITION f SET ENABLED = false",
        );
        told(session.execute("SELECT f('{}')").map(|o| o.rows[0][0].clone()))
    })
    .ends("0", "1"),
    Row::run(&[Guard::ContentHash], change_the_catalog).ends("XX001", "2"),
    Row::run(&[Guard::CompiledCode], change_compiled_code).ends("compiled", "loaded"),
    Row::run(&[Guard::CodeDirectory], |without| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
        done(bare_builder(without).cache_directory(directory.path()).build())
    })
    .ends("58030", "done"),
];

const CONDITION_WITH_THE_TIME: &str = r#"
    (module (import "heliosdb:host/time@0.1.0" "now" (func (param i32)))
      (memory (export "memory") 1)
      (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
      (func (export "f") (param i32 i32) (result i32) i32.const 1))"#;

/// A component that exports `f`, with something more in it.
fn component(more: &str) -> String {
    format!(
        "(component
           (core module $m (func (export \"f\")))
           (core instance $m (instantiate $m))
           (func (export \"f\") (canon lift (core func $m \"f\")))
           {more})"
    )
}

fn uploaded(without: &[Guard], more: &str) -> String {
    done(upload(
        &mut session(without),
        &wat::component(&component(more)),
    ))
}

fn worded(result: Result<(), Error>) -> String {
    match result {
        Ok(()) => "done".to_string(),
        Err(error) => format!("{} {}", error.sqlstate(), error.message()),
    }
}

fn decided(without: &[Guard], body: &str, context: &str) -> String {
    let mut session = session(without);
    run(
        &mut session,
        &format!(
            "CREATE CONDITION f(context JSON) LANGUAGE javascript AS $$
               function f(context) {{ {body} }}
             $$"
        ),
    );
    let decision = session.check("f", context).unwrap();
    if decision.is_allowed() {
        "allowed"
    } else {
        "denied"
    }
    .to_string()
}

/// A component whose `f` returns this number.
fn returning(number: i64) -> Vec<u8> {
    let module = format!(r#"(module (func (export "f") (result i64) i64.const {number}))"#);
    wat::core("export f: func() -> s64;", &module)
}

/// Whoever can write the catalog's file puts other code in the place of what was
/// uploaded.
fn change_the_catalog(without: &[Guard]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let vault = directory.path().join("vault");
    let session = |guards: &[Guard]| {
        let runtime = bare_builder(guards).build().unwrap();
        let vault = runtime.vault(Storage::Directory(vault.clone())).unwrap();
        vault.session().unwrap()
    };
    upload(&mut session(&[]), &returning(1)).unwrap();
    let catalog = rusqlite::Connection::open(vault.join("catalog.db")).unwrap();
    let changed = catalog.execute("UPDATE content SET bytes = ?", [returning(2)]);
    assert_eq!(changed.unwrap(), 1);
    catalog.close().unwrap();
    call(&mut session(without))
}

/// Whoever can write the directory changes a file in it: here its MAC, which proves
/// nothing any more, and not the code, which would be run.
fn change_compiled_code(without: &[Guard]) -> String {
    let cache = tempfile::tempdir().unwrap();
    let compiled = |guards: &[Guard]| {
        let count = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&count);
        let runtime = bare_builder(guards)
            .cache_directory(cache.path().join("code"))
            .on_compile(move |_| {
                counting.fetch_add(1, Ordering::Relaxed);
            })
            .build()
            .unwrap();
        let mut session = runtime.vault_in_memory().unwrap().session().unwrap();
        upload(&mut session, &returning(1)).unwrap();
        assert_eq!(session.call("f", &[]).unwrap(), Value::Integer(1));
        count.load(Ordering::Relaxed)
    };
    assert_eq!((compiled(&[]), compiled(&[])), (1, 0));
    let file = only_file(&cache.path().join("code"), "cwasm");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    if compiled(without) == 0 {
        "loaded"
    } else {
        "compiled"
    }
    .to_string()
}

fn only_file(directory: &Path, extension: &str) -> std::path::PathBuf {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let file = paths.find(|path| path.extension().is_some_and(|e| e == extension));
    file.unwrap()
}
