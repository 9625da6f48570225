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

/// Asks a condition that is the first of its process; says what was compiled for that.
fn first_decision(cache: &Path) -> Vec<String> {
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
    let decision = session.check("yes", "{}").unwrap();
    assert!(decision.is_allowed(), "{:?}", decision.failure);
    told.lock().unwrap().clone()
}

/// Its code differs from that of procedures, and compiling it takes longer than a
/// condition may run.
#[test]
fn the_engine_for_conditions_is_compiled_once_and_on_nobodys_clock() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    assert_eq!(
        first_decision(&cache),
        [
            "the JavaScript engine",
            "the JavaScript engine, for conditions"
        ]
    );
    assert_eq!(
        first_decision(&cache),
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
