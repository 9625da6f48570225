//! Compiled code on disk is executable input: only what this host wrote is loaded.

use crate::support::{guest, run};
use perihelion::{Runtime, Storage, Value};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A runtime on a cache directory that counts what it compiles.
fn counting_runtime(cache: &Path) -> (Runtime, Arc<AtomicUsize>) {
    let compiled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&compiled);
    let runtime = Runtime::builder()
        .cache_directory(cache)
        .on_compile(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    (runtime, compiled)
}

/// Creates a function and calls it; says how many components were compiled.
fn use_component(cache: &Path) -> usize {
    let (runtime, compiled) = counting_runtime(cache);
    let mut session = runtime.vault(Storage::Memory).unwrap().session().unwrap();
    let path = guest("bench_guest");
    run(
        &mut session,
        &format!("CREATE FUNCTION add LANGUAGE wasm AS '{}'", path.display()),
    );
    let sum = session
        .call("add", &[Value::Integer(1), Value::Integer(2)])
        .unwrap();
    assert_eq!(sum, Value::Integer(3));
    compiled.load(Ordering::Relaxed)
}

fn artefact(cache: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = std::fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "cwasm")
        })
        .collect();
    assert_eq!(files.len(), 1);
    files.remove(0)
}

#[test]
fn h62_compiled_code_is_loaded_only_if_this_host_wrote_it() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    assert_eq!(use_component(&cache), 1);
    assert_eq!(use_component(&cache), 0, "the second process finds it");
    let file = artefact(&cache);
    let good = std::fs::read(&file).unwrap();
    for place in [0, 31, 32, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        std::fs::write(&file, &bad).unwrap();
        assert_eq!(
            use_component(&cache),
            1,
            "a flipped bit at {place} is not loaded"
        );
    }
    std::fs::write(&file, &good[..good.len() / 2]).unwrap();
    assert_eq!(use_component(&cache), 1);
    // Another key: the file of another host.
    std::fs::write(cache.join("key"), [7; 32]).unwrap();
    assert_eq!(use_component(&cache), 1);
}

/// Creates a condition that is the first of its process; says what was compiled for that.
/// Nothing is when it is asked.
fn first_condition(cache: &Path) -> Vec<String> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let runtime = Runtime::builder()
        .cache_directory(cache)
        .on_compile(move |what| tell.lock().unwrap().push(what.to_string()))
        .build()
        .unwrap();
    let mut session = runtime.vault(Storage::Memory).unwrap().session().unwrap();
    run(
        &mut session,
        "CREATE CONDITION yes(context JSON) LANGUAGE javascript AS $$
           function yes() { return true; }
         $$",
    );
    let compiled = told.lock().unwrap().clone();
    let decision = session.check("yes", "{}").unwrap();
    assert!(decision.is_allowed(), "{:?}", decision.failure);
    assert_eq!(*told.lock().unwrap(), compiled);
    compiled
}

/// Its code differs from that of procedures, and compiling it takes longer than a
/// condition may run.
#[test]
fn the_engine_for_conditions_is_compiled_once_and_on_nobodys_clock() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    assert_eq!(
        first_condition(&cache),
        [
            "the JavaScript engine",
            "the JavaScript engine, for conditions"
        ]
    );
    assert_eq!(
        first_condition(&cache),
        [""; 0],
        "the second process finds both"
    );
}

#[test]
fn the_directory_and_its_key_are_private() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    counting_runtime(&cache);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache), 0o700);
    assert_eq!(mode(&cache.join("key")), 0o600);
    std::fs::set_permissions(&cache, PermissionsExt::from_mode(0o777)).unwrap();
    let error = Runtime::builder()
        .cache_directory(&cache)
        .build()
        .err()
        .unwrap();
    assert_eq!(error.sqlstate().as_str(), "58030");
}

/// A component whose function `f` returns the number.
fn numbered(directory: &Path, number: i64) -> PathBuf {
    let text = format!(
        r#"(component
             (core module $m (func (export "f") (result i64) (i64.const {number})))
             (core instance $i (instantiate $m))
             (func (export "f") (result s64) (canon lift (core func $i "f"))))"#
    );
    let path = directory.join(format!("{number}.wasm"));
    std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    path
}

fn create_numbered(session: &mut perihelion::Session, directory: &Path, number: i64) {
    let path = numbered(directory, number);
    let path = path.display();
    run(
        session,
        &format!("CREATE OR REPLACE FUNCTION f LANGUAGE wasm AS '{path}'"),
    );
}

#[test]
fn code_that_was_let_go_of_runs_again() {
    let directory = tempfile::tempdir().unwrap();
    // Room for one at a time.
    let runtime = Runtime::builder().code_bytes(1, 1 << 30).build().unwrap();
    let vaults: Vec<_> = (0..3)
        .map(|_| runtime.vault(Storage::Memory).unwrap())
        .collect();
    let mut sessions: Vec<_> = vaults
        .iter()
        .map(|vault| vault.session().unwrap())
        .collect();
    for (number, session) in sessions.iter_mut().enumerate() {
        create_numbered(session, directory.path(), number as i64);
    }
    for _ in 0..3 {
        for (number, session) in sessions.iter_mut().enumerate() {
            assert_eq!(
                session.call("f", &[]).unwrap(),
                Value::Integer(number as i64)
            );
        }
    }
    // What two vaults have runs in the one when the other drops it.
    for session in &mut sessions[..2] {
        create_numbered(session, directory.path(), 7);
        assert_eq!(session.call("f", &[]).unwrap(), Value::Integer(7));
    }
    run(&mut sessions[0], "DROP FUNCTION f");
    assert_eq!(sessions[1].call("f", &[]).unwrap(), Value::Integer(7));
    // And an earlier version.
    run(&mut sessions[1], "ALTER FUNCTION f SET VERSION 1");
    assert_eq!(sessions[1].call("f", &[]).unwrap(), Value::Integer(1));
}

fn files_of(cache: &Path) -> Vec<(PathBuf, u64)> {
    let files = std::fs::read_dir(cache).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let is_code = path
            .extension()
            .is_some_and(|extension| extension == "cwasm");
        let bytes = std::fs::metadata(&path).ok()?.len();
        is_code.then_some((path, bytes))
    });
    files.collect()
}

#[test]
fn the_directory_stays_within_its_bound_whoever_else_uses_it() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    let runtime = |bytes| {
        let builder = Runtime::builder()
            .cache_directory(&cache)
            .code_bytes(1 << 20, bytes);
        builder.build().unwrap()
    };
    let session = |runtime: &Runtime| runtime.vault(Storage::Memory).unwrap().session().unwrap();
    create_numbered(&mut session(&runtime(1 << 30)), directory.path(), 0);
    let one = files_of(&cache)[0].1;
    std::fs::write(cache.join("another.txt"), "not code").unwrap();
    // Each has room for ten, and a half.
    std::thread::scope(|scope| {
        for first in [100, 200] {
            let (runtime, session, directory) = (&runtime, &session, directory.path());
            scope.spawn(move || {
                let mut session = session(&runtime(10 * one + one / 2));
                for number in first..first + 30 {
                    create_numbered(&mut session, directory, number);
                    assert_eq!(session.call("f", &[]).unwrap(), Value::Integer(number));
                }
            });
        }
    });
    let files = files_of(&cache);
    let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    assert!(bytes <= 10 * one + one / 2 && files.len() >= 5, "{files:?}");
    assert!(cache.join("key").exists() && cache.join("another.txt").exists());
}
