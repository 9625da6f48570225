//! What the tests share: one runtime, vaults on it, and the example guests as built
//! by plain cargo.

use perihelion::{Error, Guard, Outcome, Runtime, Session, Storage, Value, Vault};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The project's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// The runtime of all tests. Compiled code is kept in the target directory.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Runtime::builder()
            .cache_directory(root().join("target/test-cache"))
            .compile_worker(binary())
            .build()
            .unwrap()
    })
}

/// The `perihelion` binary, built once. It is another package's, so cargo does not name
/// it here.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "perihelion-server"])
            .current_dir(root())
            .status();
        assert!(status.unwrap().success());
        root().join("target/debug/perihelion")
    })
}

/// A vault in memory.
pub(crate) fn vault() -> Vault {
    runtime().vault(Storage::Memory).unwrap()
}

/// A session on a vault of its own, in memory.
pub(crate) fn session() -> Session {
    vault().session().unwrap()
}

/// A session on a new vault with the table `users` and two rows.
pub(crate) fn session_with_users() -> Session {
    with_users(session())
}

/// The same for functions that send what they are given: statements that are put together
/// may have literals here, so that each test is of what the statement does.
pub(crate) fn session_for_any_text() -> Session {
    with_users(vault_for_any_text(Storage::Memory).session().unwrap())
}

pub(crate) fn vault_for_any_text(storage: Storage) -> Vault {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        Runtime::builder()
            .cache_directory(root().join("target/test-cache"))
            .without(Guard::Literals)
            .build()
            .unwrap()
    });
    runtime.vault(storage).unwrap()
}

fn with_users(mut session: Session) -> Session {
    run(
        &mut session,
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT);
         INSERT INTO users VALUES (1, 'Ada', 'ada@example.com'), (2, 'Bob', 'bob@example.com');
         CREATE TABLE secrets (id INTEGER PRIMARY KEY, value TEXT);
         INSERT INTO secrets VALUES (1, 'CANARY-5f3a');",
    );
    session
}

/// Runs a script that must succeed, and returns what its last statement did.
#[track_caller]
pub(crate) fn run(session: &mut Session, script: &str) -> Outcome {
    let mut last = Outcome::default();
    match session.execute_script(script, |outcome| last = outcome) {
        Ok(()) => last,
        Err(error) => panic!("{error:?}\nin: {script}"),
    }
}

/// Runs one statement that must fail with this SQLSTATE.
#[track_caller]
pub(crate) fn refuse(session: &mut Session, sql: &str, sqlstate: &str) -> Error {
    match session.execute(sql) {
        Ok(outcome) => panic!("{sql} succeeded: {outcome:?}"),
        Err(error) => {
            assert_eq!(error.sqlstate().as_str(), sqlstate, "{error:?}\nin: {sql}");
            error
        }
    }
}

/// The single value of a query.
#[track_caller]
pub(crate) fn value(session: &mut Session, sql: &str) -> Value {
    let outcome = run(session, sql);
    assert_eq!(
        (outcome.rows.len(), outcome.columns.len()),
        (1, 1),
        "{outcome:?}"
    );
    outcome.rows[0][0].clone()
}

/// The single value of a query, as text.
#[track_caller]
pub(crate) fn text(session: &mut Session, sql: &str) -> String {
    match value(session, sql) {
        Value::Text(text) => text,
        Value::Integer(n) => n.to_string(),
        Value::Real(x) => x.to_string(),
        Value::Null => "NULL".to_string(),
        other => panic!("{other:?}"),
    }
}

/// The first column of a query, as text.
#[track_caller]
pub(crate) fn column(session: &mut Session, sql: &str) -> Vec<String> {
    run(session, sql)
        .rows
        .into_iter()
        .map(|row| match &row[0] {
            Value::Text(text) => text.clone(),
            Value::Integer(n) => n.to_string(),
            other => format!("{other:?}"),
        })
        .collect()
}

/// A guest of `guests/rust`, built by plain cargo: `shop_guest`, `bench_guest`, ….
pub(crate) fn guest(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let target = root().join("target/guests");
        build_guests(&target, "wasm32-unknown-unknown", &[]);
        target.join("wasm32-unknown-unknown/release")
    });
    directory.join(format!("{name}.wasm"))
}

/// The guest that imports WASI through Rust's standard library.
pub(crate) fn wasi_guest() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let target = root().join("target/guests");
        build_guests(&target, "wasm32-wasip2", &["-p", "wasip2-guest"]);
        target.join("wasm32-wasip2/release")
    });
    directory.join("wasip2_guest.wasm")
}

fn build_guests(target_directory: &Path, target: &str, more: &[&str]) {
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--release",
            "--target",
            target,
            "--target-dir",
        ])
        .arg(target_directory)
        .args(more)
        .current_dir(root().join("guests/rust"))
        .status()
        .unwrap();
    assert!(status.success(), "the guests do not build for {target}");
}

/// Two functions that send their argument to the database and return what came of it,
/// as text: rows as JSON, the number of changed rows, or the error.
pub(crate) const PROBES: &str = "
CREATE FUNCTION q(sql TEXT, params JSON) RETURNS TEXT LANGUAGE javascript AS $$
  function q(sql, params) {
    try { return JSON.stringify(heliosdb.query(sql, params).rows); } catch (e) { return tell(e); }
  }
  function tell(e) {
    if (!(e instanceof HeliosError)) throw e;
    switch (e.code) {
      case 'denied': return 'denied ' + e.denials.map(d => d.capability + ' ' + d.target).join(', ');
      case 'failed': return 'failed ' + e.sqlstate + ' ' + e.message;
      default: return e.code + ' ' + e.message;
    }
  }
$$;
CREATE FUNCTION x(sql TEXT, params JSON) RETURNS TEXT LANGUAGE javascript AS $$
  function x(sql, params) {
    try { return String(heliosdb.execute(sql, params).rowCount); } catch (e) { return tell(e); }
  }
  function tell(e) {
    if (!(e instanceof HeliosError)) throw e;
    switch (e.code) {
      case 'denied': return 'denied ' + e.denials.map(d => d.capability + ' ' + d.target).join(', ');
      case 'failed': return 'failed ' + e.sqlstate + ' ' + e.message;
      default: return e.code + ' ' + e.message;
    }
  }
$$;
";

/// Whether an answer is the expected one: the whole of it, or its beginning if that ends
/// in `…`.
pub(crate) fn fits(answer: &str, expected: &str) -> bool {
    match expected.strip_suffix('…') {
        Some(start) => answer.starts_with(start),
        None => answer == expected,
    }
}
