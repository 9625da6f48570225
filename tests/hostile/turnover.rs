//! Two hundred uploads that are called and dropped, and as many that replace each other:
//! nothing of their code stays in the process.

use super::harness::{count_panics, judge_held, panics, report_success};
use super::process;
use super::wat;
use crate::support::{refuse, run as execute, value};
use perihelion::{Runtime, Session, Storage, Value};
use std::path::Path;

const UPLOADS: i64 = 200;

/// What the allocator keeps of compiling, and the log and catalog of the uploads.
const KEPT_MIB_MAX: u64 = 24;

pub(super) fn run() {
    count_panics();
    let files = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder().build().unwrap();
    let vault = runtime.vault(Storage::Memory).unwrap();
    let mut session = vault.session().unwrap();
    upload_all(&mut session, files.path(), -20..0);
    let before = process::held();
    upload_all(&mut session, files.path(), 0..UPLOADS);
    let after = process::held();
    println!("{UPLOADS} uploads twice: {before:?}, then {after:?}");
    assert_eq!(judge_held(&before, KEPT_MIB_MAX), None);
    assert_eq!(panics(), 0);
    report_success();
}

fn upload_all(session: &mut Session, files: &Path, numbers: std::ops::Range<i64>) {
    let path = files.join("guest.wasm");
    let create =
        |what: &str, name: &str| format!("{what} {name} LANGUAGE wasm AS '{}'", path.display());
    for number in numbers {
        std::fs::write(&path, component(number)).unwrap();
        execute(session, &create("CREATE FUNCTION", "dropped"));
        execute(session, &create("CREATE OR REPLACE FUNCTION", "replaced"));
        for name in ["dropped", "replaced"] {
            let result = value(session, &format!("SELECT {name}()"));
            assert_eq!(result, Value::Integer(number));
        }
        execute(session, "DROP FUNCTION dropped");
        refuse(session, "SELECT dropped()", "42883");
    }
}

/// It has data, so that its memory has an image, and code of some size.
fn component(number: i64) -> Vec<u8> {
    let padding = "i64.const 1 i64.add i64.const 1 i64.sub ".repeat(2_000);
    let dropped = format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 0) "{number} {}")
             (func (export "dropped") (result i64) i64.const {number} {padding})
             (func (export "replaced") (result i64) (i64.const {number})))"#,
        "x".repeat(60_000)
    );
    wat::core(
        "export dropped: func() -> s64; export replaced: func() -> s64;",
        &dropped,
    )
}
