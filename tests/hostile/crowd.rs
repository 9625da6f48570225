//! Two hundred calls at once that each want a hundred megabytes: they wait for memory, all
//! end, and the process stays bounded. The marks that they leave are in no memory
//! that anybody gets after them.

use super::harness::{count_panics, judge_held, panics, report_success};
use super::process;
use super::wat;
use crate::support::{self, value};
use perihelion::{Runtime, Storage, Value, Vault};
use std::time::{Duration, Instant};

const CALLS: usize = 200;

/// Fills a hundred megabytes with a mark, holds them for a while, and sums it up.
const FILLER: &str = r#"(module (memory (export "memory") 1)
  (func $all (drop (memory.grow (i32.const 1600))))
  (func (export "f") (result i64) (local $turns i32)
    (call $all)
    (memory.fill (i32.const 0) (i32.const 0xA5) (i32.const 104857600))
    (i64.load8_u (i32.const 104857599)))
  (func (export "scan") (result i64) (local $at i32) (local $found i64)
    (call $all)
    (loop
      (local.set $found (i64.or (local.get $found) (i64.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if 0 (i32.lt_u (local.get $at) (i32.const 104857600))))
    local.get $found))"#;

pub(super) fn run() {
    count_panics();
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("filler.wasm");
    let world = "export f: func() -> s64; export scan: func() -> s64;";
    std::fs::write(&path, wat::core(world, FILLER)).unwrap();
    let runtime = Runtime::builder()
        .cache_directory(support::root().join("target/test-cache"))
        .compile_worker(support::binary())
        .memory_budget_bytes(BUDGET_MIB << 20)
        .build()
        .unwrap();
    let vaults: Vec<Vault> = (0..4)
        .map(|_| runtime.vault(Storage::Memory).unwrap())
        .collect();
    for vault in &vaults {
        let script = format!(
            "CREATE FUNCTION f LANGUAGE wasm AS '{0}';
             CREATE FUNCTION scan LANGUAGE wasm AS '{0}';
             ALTER FUNCTION f SET SECURITY POLICY PERMISSIVE;
             ALTER FUNCTION scan SET SECURITY POLICY PERMISSIVE;",
            path.display()
        );
        run_script(vault, &script);
    }
    let before = process::held();
    process::reset_peak();
    let begun = Instant::now();
    all_at_once(&vaults, "f", 0xA5);
    let (peak_mib, time) = (process::peak_mib() - before.memory_mib, begun.elapsed());
    println!("{CALLS} calls of 100 MiB in {time:.1?}, {peak_mib} MiB at their most");
    assert!(time < Duration::from_secs(100), "{time:?}");
    assert!(peak_mib <= PEAK_MIB_MAX, "{peak_mib} MiB at their most");
    all_at_once(&vaults, "scan", 0);
    for vault in &vaults {
        let mut session = vault.session().unwrap();
        let failed = "SELECT count(*) FROM heliosdb.audit_log WHERE event_type = 'ExecutionFailed'";
        assert_eq!(value(&mut session, failed), Value::Integer(0));
        let ended =
            "SELECT count(*) FROM heliosdb.audit_log WHERE event_type = 'ExecutionCompleted'";
        let calls = 2 * CALLS / vaults.len();
        assert_eq!(value(&mut session, ended), Value::Integer(calls as i64));
        vault.verify_audit_log().unwrap();
    }
    // Each place keeps a little of its memory warm.
    assert_eq!(judge_held(&before, 256), None);
    assert_eq!(panics(), 0);
    report_success();
}

/// What all calls may hold together.
const BUDGET_MIB: u64 = 4 * 1024;

/// The same, and what the pool keeps warm.
const PEAK_MIB_MAX: u64 = BUDGET_MIB + 256;

fn run_script(vault: &Vault, script: &str) {
    support::run(&mut vault.session().unwrap(), script);
}

/// Each call on a thread and in a session of its own.
fn all_at_once(vaults: &[Vault], function: &str, expected: i64) {
    std::thread::scope(|scope| {
        for number in 0..CALLS {
            let vault = &vaults[number % vaults.len()];
            scope.spawn(move || {
                let mut session = vault.session().unwrap();
                let result = session.call(function, &[]).unwrap();
                assert_eq!(result, Value::Integer(expected));
            });
        }
    });
}
