//! Uploads are compiled in a process that has limits and ends with them.

use super::{component, leb128, section, upload};
use crate::support::{binary, root, value};
use perihelion::{CompileLimits, Error, Runtime, Session, Storage, Value};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LIMITS: CompileLimits = CompileLimits {
    cpu_time: Duration::from_secs(60),
    wall_time: Duration::from_secs(60),
    memory_bytes: 2 << 30,
};

fn session_with(worker: impl Into<PathBuf>, limits: CompileLimits) -> Session {
    let runtime = Runtime::builder()
        .compile_worker(worker)
        .compile_limits(limits)
        .build()
        .unwrap();
    runtime.vault(Storage::Memory).unwrap().session().unwrap()
}

/// A component whose functions take a compiler seconds each: thousands of loops, in
/// each of which every local may have another value.
fn bomb(functions: usize, locals: usize) -> Vec<u8> {
    let mut body = [&[1][..], &leb128(locals), &[0x7e]].concat();
    for i in 0..6_000 {
        let (a, b) = (leb128(i % locals), leb128((i * 7 + 1) % locals));
        // loop, a = a + b, again if a = 0, end
        body.extend([&[0x03, 0x40, 0x20][..], &a, &[0x20], &b, &[0x7c, 0x21], &a].concat());
        body.extend([&[0x20][..], &a, &[0x50, 0x0d, 0, 0x0b]].concat());
    }
    body.push(0x0b);
    let count = leb128(functions);
    let bodies = [&leb128(body.len())[..], &body].concat().repeat(functions);
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, b"\x01\x60\0\0"),
        section(3, &[&count[..], &vec![0; functions]].concat()),
        section(10, &[&count[..], &bodies].concat()),
    ]
    .concat();
    [component(""), section(1, &module)].concat()
}

/// The session serves on, and nothing is stored.
#[track_caller]
fn refused(session: &mut Session, bytes: &[u8], sqlstate: &str) -> Error {
    let error = upload(session, "nop", bytes).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), sqlstate, "{error:?}");
    let count = "SELECT count(*) FROM heliosdb.functions";
    assert_eq!(value(session, count), Value::Integer(0));
    let records = "SELECT count(*) FROM heliosdb.audit_log WHERE allowed = false";
    assert_eq!(value(session, records), Value::Integer(1));
    error
}

#[test]
fn a_worker_compiles_and_the_code_runs() {
    let mut session = session_with(binary(), LIMITS);
    upload(&mut session, "nop", &component("")).unwrap();
    assert_eq!(session.call("nop", &[]).unwrap(), Value::Null);
    let sum = "(component
        (core module $m (func (export \"add\") (param i64 i64) (result i64)
          (i64.add (local.get 0) (local.get 1))))
        (core instance $m (instantiate $m))
        (func (export \"add\") (param \"a\" s64) (param \"b\" s64) (result s64)
          (canon lift (core func $m \"add\"))))";
    upload(&mut session, "add", &wat::parse_str(sum).unwrap()).unwrap();
    assert_eq!(
        value(&mut session, "SELECT \"add\"(40, 2)"),
        Value::Integer(42)
    );
}

#[test]
fn i5_a_compile_bomb_ends_with_the_cpu_time_of_its_worker() {
    let limits = CompileLimits {
        cpu_time: Duration::from_secs(1),
        ..LIMITS
    };
    let mut session = session_with(binary(), limits);
    let start = Instant::now();
    let error = refused(&mut session, &bomb(40, 300), "54000");
    assert_eq!(
        error.message(),
        "the component is refused: compiling it took more than 1 s of CPU time"
    );
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    upload(&mut session, "nop", &component("")).unwrap();
}

#[test]
fn i5_a_compile_bomb_ends_with_the_time_of_its_worker() {
    let limits = CompileLimits {
        wall_time: Duration::from_millis(500),
        ..LIMITS
    };
    let mut session = session_with(binary(), limits);
    let error = refused(&mut session, &bomb(40, 300), "54000");
    assert_eq!(
        error.message(),
        "the component is refused: compiling it took more than 0.5 s on the clock"
    );
}

#[test]
fn i5_a_compile_bomb_ends_with_the_memory_of_its_worker() {
    let limits = CompileLimits {
        memory_bytes: 128 << 20,
        ..LIMITS
    };
    let mut session = session_with(binary(), limits);
    let error = refused(&mut session, &bomb(1, 1_000), "54000");
    assert_eq!(
        error.message(),
        "the component is refused: compiling it took more than 128 MiB of memory"
    );
    upload(&mut session, "nop", &component("")).unwrap();
}

/// What needs most of the usual: an engine of a language in a component.
#[test]
fn an_engine_of_a_language_compiles_within_the_limits() {
    let limits = CompileLimits {
        memory_bytes: 512 << 20,
        ..LIMITS
    };
    let mut session = session_with(binary(), limits);
    let bytes = std::fs::read(root().join("sdk/js-engine/engine.wasm")).unwrap();
    upload(&mut session, "load", &bytes).unwrap();
}

#[test]
fn a_worker_that_is_none_is_an_error_that_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    let limits = CompileLimits {
        wall_time: Duration::from_millis(700),
        ..LIMITS
    };
    for (worker, sqlstate, message) in [
        (
            "/nonexistent".into(),
            "58030",
            "the compile worker cannot be started",
        ),
        (
            "/dev/null".into(),
            "58030",
            "the compile worker cannot be started",
        ),
        (
            "/bin/true".into(),
            "58030",
            "the compile worker gave no answer",
        ),
        (
            "/bin/false".into(),
            "58030",
            "the compile worker gave no answer",
        ),
        (
            "/bin/echo".into(),
            "58030",
            "the compile worker gave no answer",
        ),
        // Machine code, says it, and says too much of it, or less than it promised.
        (
            script(
                "a",
                r"cat >/dev/null; printf '\0abcdefghijklmnopqrstuvwxyzabcdef\3\0\0\0\0\0\0\0abc'",
            ),
            "58030",
            "the compile worker is of another version",
        ),
        (
            script(
                "b",
                r"cat >/dev/null; printf '\0abcdefghijklmnopqrstuvwxyzabcdef\0\0\0\0\377\0\0\0abc'",
            ),
            "58030",
            "the compile worker gave no answer",
        ),
        (
            script(
                "c",
                r"cat >/dev/null; printf '\0abcdefghijklmnopqrstuvwxyzabcdef\5\0\0\0\0\0\0\0abc'",
            ),
            "58030",
            "the compile worker gave no answer",
        ),
        (
            script("d", r"cat >/dev/null; printf '\1\3\0\0\0\0\0\0\0abc'"),
            "58030",
            "the compile worker gave no answer",
        ),
        (
            script("e", "kill -SEGV $$"),
            "22023",
            "the component is refused: the compiler was ended by it",
        ),
        (
            script("f", "cat >/dev/null; sleep 1000"),
            "54000",
            "the component is refused: compiling it took more than 0.7 s on the clock",
        ),
        (
            script("g", "sleep 1000 & exec cat"),
            "58030",
            "the compile worker gave no answer",
        ),
    ] {
        let shown = worker.display().to_string();
        let mut session = session_with(worker, limits);
        let error = refused(&mut session, &component(""), sqlstate);
        assert_eq!(error.message(), message, "{shown}: {error:?}");
        assert!(
            !format!("{error} {:?} {:?}", error.detail(), error.hint()).contains('/'),
            "no path: {error:?}"
        );
    }
}

/// A worker knows nothing of the process that it works for.
#[test]
fn a_worker_inherits_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (path, seen) = (
        directory.path().join("worker"),
        directory.path().join("seen"),
    );
    let text = format!(
        "#!/bin/sh\n{{ /usr/bin/env; pwd; ls -l /proc/$$/fd; }} > {}",
        seen.display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    refused(&mut session_with(&path, LIMITS), &component(""), "58030");
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("\n/\n"), "{seen}");
    for inherited in ["HOME=", "PATH=", "CARGO", "socket:", ".db"] {
        assert!(!seen.contains(inherited), "{seen}");
    }
}

/// The host is killed in the middle of a compilation; its worker goes with it.
#[test]
fn a_worker_does_not_outlive_its_host() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bomb.wasm");
    std::fs::write(&path, bomb(100, 300)).unwrap();
    let sql = format!("CREATE FUNCTION nop LANGUAGE wasm AS '{}'", path.display());
    let mut host = Command::new(binary())
        .args(["sql", "-c", &sql])
        .env("PERIHELION_CACHE", directory.path().join("cache"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let worker = wait_for(|| child_of(host.id()).filter(|worker| cpu_ticks(*worker) > 20));
    host.kill().unwrap();
    host.wait().unwrap();
    wait_for(|| (!Path::new(&format!("/proc/{worker}/exe")).exists()).then_some(()));
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn child_of(process: u32) -> Option<u32> {
    let children =
        std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// The CPU time of a process, in hundredths of a second.
fn cpu_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    fields
        .get(11)
        .and_then(|ticks| ticks.parse().ok())
        .unwrap_or(0)
}
