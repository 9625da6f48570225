//! What calls cost, each beside its floor: what the same work costs without this host.
//!
//! `cases` is the list of what is measured; `subject` makes the calls through the
//! host, `floor` makes them through bare wasmtime and bare rusqlite, and `audit_log`
//! appends entries without a call; `metering` computes. `many` is ten thousand functions in one vault.
//! `call.rs` lets criterion measure the cases, and `ratios.rs` compares them with
//! their bounds.

mod audit_log;
mod cases;
mod floor;
pub mod many;
mod metering;
mod subject;

pub use cases::{Bound, Case, cases};

// The log is private to the host, and what it costs is promised all the same. So its
// files are compiled in here, as they are.
#[allow(
    dead_code,
    missing_docs,
    unfulfilled_lint_expectations,
    unreachable_pub,
    unused_imports
)]
#[path = "../host/src/audit/mod.rs"]
mod audit;
#[allow(dead_code, unreachable_pub, missing_docs)]
#[path = "../host/src/error.rs"]
mod error;
#[allow(
    dead_code,
    missing_docs,
    unexpected_cfgs,
    unfulfilled_lint_expectations,
    unreachable_pub
)]
#[path = "../host/src/guard.rs"]
mod guard;

use std::path::{Path, PathBuf};

/// The rows of the table `item`, ids 1 to this.
pub(crate) const ITEMS: i64 = 10_000;

/// The table that queries read and that statements with functions run over.
pub(crate) const SCHEMA: &str =
    "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, amount INTEGER)";

/// Its rows; the amount of an item is three times its id.
pub(crate) const FILL: &str = "
    WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 10000)
    INSERT INTO item SELECT id, 'item ' || id, 3 * id FROM n";

/// The sum of the amounts of items 1 to `n`.
pub(crate) fn amounts(n: i64) -> i64 {
    3 * n * (n + 1) / 2
}

fn root() -> PathBuf {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    benches.parent().unwrap_or(benches).to_path_buf()
}

/// Where compiled code is kept between runs.
pub(crate) fn cache_directory() -> PathBuf {
    root().join("target/bench-cache")
}

/// A guest of `guests/rust`, built by plain cargo.
pub(crate) fn guest(package: &str) -> PathBuf {
    let target = root().join("target/guests");
    let status = std::process::Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "-p", package])
        .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(&target)
        .current_dir(root().join("guests/rust"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the guest does not build");
    let file = format!("{}.wasm", package.replace('-', "_"));
    target.join("wasm32-unknown-unknown/release").join(file)
}
