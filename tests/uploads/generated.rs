//! Generated components, good and bad: whatever they are, they are uploaded or refused,
//! run or fail, and the host serves on.
//!
//! A failure prints its seed; `PERIHELION_SEED=… cargo test generated` runs it alone.

use super::upload;
use crate::support::value;
use arbitrary::Unstructured;
use perihelion::{Result, Runtime, Session, Storage, Value};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use wasm_smith::{Component, Config, Module};

/// Of each kind.
const SEEDS: u64 = 1_000;

/// The bytes that one component is made from.
const SEED_BYTES: usize = 4 << 10;

/// Twice the wall time of a call: two calls are made.
const TIME_MAX: Duration = Duration::from_secs(25);

/// What can be called: its parameters and result reach into the guest's memory.
const SHAPE: &str = r#"(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "f") (param i64 f64) (result i64) unreachable)
    (func (export "g") (param i32 i32) (result i32) unreachable)
    (func (export "h") (result i32) unreachable))
  (core instance $m (instantiate $m))
  (alias core export $m "memory" (core memory $memory))
  (alias core export $m "realloc" (core func $realloc))
  (func (export "f") (param "a" s64) (param "b" f64) (result s64)
    (canon lift (core func $m "f")))
  (func (export "g") (param "a" string) (result string)
    (canon lift (core func $m "g") (memory $memory) (realloc $realloc)))
  (func (export "h") (result (list (tuple bool char (option string))))
    (canon lift (core func $m "h") (memory $memory) (realloc $realloc))))"#;

/// Says which seed it was, if the test ends with it.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("PERIHELION_SEED={}", self.0);
        }
    }
}

/// In this process: a worker for each would be most of the time.
fn session() -> Session {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Runtime::builder().build().unwrap());
    runtime.vault(Storage::Memory).unwrap().session().unwrap()
}

fn seeds(kind: u64) -> impl Iterator<Item = u64> {
    let only = std::env::var("PERIHELION_SEED")
        .ok()
        .map(|seed| seed.parse::<u64>().unwrap());
    let all = (0..SEEDS).map(move |n| kind * SEEDS + n);
    all.filter(move |seed| only.is_none_or(|only| only == *seed))
}

/// The same bytes for the same seed.
fn bytes_of(seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; SEED_BYTES];
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// What is on is more than the engine runs, now and then.
fn config(u: &mut Unstructured<'_>) -> Config {
    let odd = u.ratio(1, 50).unwrap();
    Config {
        max_imports: 0,
        max_memories: 1,
        max_memory32_bytes: 32 << 20,
        max_table_elements: 1_000,
        max_modules: 4,
        max_instructions: 300,
        threads_enabled: odd,
        gc_enabled: odd,
        memory64_enabled: odd,
        exceptions_enabled: odd,
        wide_arithmetic_enabled: odd,
        compact_imports_enabled: odd,
        ..Config::default()
    }
}

/// Its parts as wasm-smith puts them together: mostly types and nesting.
fn generated_component(seed: u64) -> Vec<u8> {
    let bytes = bytes_of(seed);
    let mut u = Unstructured::new(&bytes);
    let config = config(&mut u);
    Component::new(config, &mut u).map_or_else(|_| Vec::new(), |component| component.to_bytes())
}

/// A core module of wasm-smith's that runs, in a component that can be called.
fn generated_code(seed: u64) -> Vec<u8> {
    static WRAPPED: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    let (shape, after) = WRAPPED.get_or_init(|| take_apart(&wat::parse_str(SHAPE).unwrap()));
    let bytes = bytes_of(seed);
    let mut u = Unstructured::new(&bytes);
    let mut config = config(&mut u);
    // The memory is that of the shape.
    config.max_memories = 0;
    config.disallow_traps = seed.is_multiple_of(2);
    config.allow_start_export = seed.is_multiple_of(4);
    config.exports = Some(shape.clone());
    let Ok(mut module) = Module::new(config, &mut u) else {
        return Vec::new();
    };
    // Some loop until a limit ends them.
    if !seed.is_multiple_of(100) {
        let _ = module.ensure_termination(100_000);
    }
    let module = super::section(1, &module.to_bytes());
    [b"\0asm\x0d\0\x01\0", &module[..], after].concat()
}

/// The core module with which a component begins, and what follows it.
fn take_apart(component: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let body = &component[8..];
    assert_eq!(body[0], 1, "a core module is first");
    let mut length = 0;
    let mut at = 1;
    loop {
        length |= usize::from(body[at] & 0x7f) << (7 * (at - 1));
        at += 1;
        if body[at - 1] < 0x80 {
            break;
        }
    }
    (body[at..at + length].to_vec(), body[at + length..].to_vec())
}

/// An error that is the component's, and no fault of the host.
#[track_caller]
fn check<T>(result: Result<T>) -> bool {
    const EXPECTED: [&str; 8] = [
        "22023", "54000", "0A000", "38000", "53200", "54001", "57014", "42723",
    ];
    match result {
        Ok(_) => true,
        Err(error) => {
            assert!(EXPECTED.contains(&error.sqlstate().as_str()), "{error:?}");
            assert!(
                !error.message().contains("the component cannot be compiled"),
                "{error:?}"
            );
            false
        }
    }
}

#[test]
fn i5_generated_components_do_no_harm() {
    let mut valid = 0;
    let mut session = session();
    for seed in seeds(0) {
        let _seed = Seed(seed);
        let start = Instant::now();
        let bytes = generated_component(seed);
        let functions = perihelion::inspect(&bytes).map(|i| i.functions());
        valid += u64::from(functions.is_ok());
        let first = functions
            .ok()
            .and_then(|functions| functions.first().cloned());
        let name = first
            .as_deref()
            .and_then(|f| f.split_once('('))
            .map_or("none", |f| f.0);
        if check(upload(&mut session, &format!("\"{name}\""), &bytes)) {
            check(session.execute(&format!("SELECT \"{name}\"()")));
            session
                .execute(&format!("DROP FUNCTION \"{name}\""))
                .unwrap();
        }
        assert!(start.elapsed() < TIME_MAX, "{:?}", start.elapsed());
    }
    assert_eq!(value(&mut session, "SELECT 1 + 1"), Value::Integer(2));
    println!("{valid} of them could be looked into");
}

#[test]
fn i5_generated_code_does_no_harm() {
    let (mut valid, mut returned) = (0, 0);
    let mut session = session();
    for seed in seeds(1) {
        let _seed = Seed(seed);
        let start = Instant::now();
        let bytes = generated_code(seed);
        let (name, arguments) = match seed % 3 {
            0 => ("f", vec![Value::Integer(7), Value::Real(0.5)]),
            1 => ("g", vec![Value::Text("x".repeat(100))]),
            _ => ("h", Vec::new()),
        };
        if check(upload(&mut session, name, &bytes)) {
            valid += 1;
            returned += u64::from(check(session.call(name, &arguments)));
            check(session.call(name, &arguments));
            session.execute(&format!("DROP FUNCTION {name}")).unwrap();
        }
        assert!(start.elapsed() < TIME_MAX, "{:?}", start.elapsed());
    }
    assert_eq!(value(&mut session, "SELECT 1 + 1"), Value::Integer(2));
    println!("{valid} were created, {returned} returned a value");
    if std::env::var_os("PERIHELION_SEED").is_none() {
        assert!(
            valid > SEEDS / 2 && returned > SEEDS / 20,
            "{valid}, {returned}"
        );
    }
}
