//! Builds the JavaScript engine's component, and keeps the record of the sources
//! that the committed one came from.
//!
//! Only whoever changes the engine needs this: everyone else uses the committed
//! `engine.wasm`, and needs no clang.

use crate::command::{cargo, succeed};
use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const ENGINE: &str = "sdk/js-engine";
const COMPONENT: &str = "sdk/js-engine/engine.wasm";
const RECORD: &str = "sdk/js-engine/engine.sources";

/// What the component is made from. What only tries it is not among them.
const SOURCES: [&str; 9] = [
    "sdk/js-engine/.cargo/config.toml",
    "sdk/js-engine/Cargo.lock",
    "sdk/js-engine/Cargo.toml",
    "sdk/js-engine/build/Cargo.lock",
    "sdk/js-engine/build/Cargo.toml",
    "sdk/js-engine/build/src/component.rs",
    "sdk/js-engine/build/src/main.rs",
    "sdk/js-engine/src",
    "wit",
];

/// Builds `engine.wasm`, tries it, and records its sources.
pub(crate) fn build(root: &Path) -> Result<(), String> {
    let component = root.join(COMPONENT);
    make(root, &component)?;
    let arguments = [OsStr::new("check"), component.as_os_str()];
    tool(root, arguments)?;
    fs::write(root.join(RECORD), sources(root)?).map_err(|error| format!("{RECORD}: {error}"))
}

/// Builds the component elsewhere, and compares it with the committed one.
pub(crate) fn compare(root: &Path) -> Result<(), String> {
    let made = Path::new(ENGINE).join("target/engine.wasm");
    make(root, &root.join(&made))?;
    if read(root, Path::new(COMPONENT))? == bytes(root, &made)? {
        return Ok(());
    }
    Err(format!(
        "{COMPONENT} is not what its sources make; compare it with {}",
        made.display()
    ))
}

/// The record: the hash and the path of every source, and of the component itself,
/// sorted by path.
pub(crate) fn sources(root: &Path) -> Result<String, String> {
    let mut paths = vec![PathBuf::from(COMPONENT)];
    for source in SOURCES {
        collect(root, Path::new(source), &mut paths)?;
    }
    paths.sort();
    let mut record = String::new();
    for path in paths {
        let bytes = read(root, &path)?;
        record += &format!("{}  {}\n", blake3::hash(&bytes).to_hex(), path.display());
    }
    Ok(record)
}

fn make(root: &Path, component: &Path) -> Result<(), String> {
    let engine = root.join(ENGINE);
    compile(&engine)?;
    let core = engine.join("target/wasm32-unknown-unknown/release/heliosdb_js_engine.wasm");
    let arguments = [OsStr::new("build"), core.as_os_str(), component.as_os_str()];
    tool(root, arguments)
}

/// The module must not depend on where it is built: paths that the compilers write into
/// it (for messages of panics and assertions) begin the same everywhere.
fn compile(engine: &Path) -> Result<(), String> {
    let arguments = ["build", "--release", "--target", "wasm32-unknown-unknown"];
    let mut cargo = cargo_in(engine, &arguments);
    let homes = [(engine.to_owned(), "/engine"), (cargo_home()?, "/cargo")];
    let remap = |option: &str| -> Vec<String> {
        let pairs = homes.iter();
        pairs
            .map(|(path, name)| format!("{option}{}={name}", path.display()))
            .collect()
    };
    // Added to those of the engine's own configuration.
    let flags = format!("{:?}", remap("--remap-path-prefix="));
    cargo.args([
        "--config",
        &format!("target.wasm32-unknown-unknown.rustflags={flags}"),
    ]);
    let defined = fs::read_to_string(engine.join(".cargo/config.toml"));
    let defined = defined.map_err(|error| format!("{ENGINE}/.cargo/config.toml: {error}"))?;
    let flags = remap("-ffile-prefix-map=").join(" ");
    cargo.env(CFLAGS, format!("{} {flags}", own_flags(&defined)?));
    for (variable, program) in [
        ("CC_wasm32_unknown_unknown", "clang"),
        ("AR_wasm32_unknown_unknown", "llvm-ar"),
    ] {
        if env::var_os(variable).is_none() {
            cargo.env(variable, program);
        }
    }
    succeed(&mut cargo)
}

const CFLAGS: &str = "CFLAGS_wasm32_unknown_unknown";

/// The flags for the C compiler that the engine's own configuration has.
fn own_flags(config: &str) -> Result<&str, String> {
    let line = config.lines().find(|line| line.starts_with(CFLAGS));
    let value = line
        .and_then(|line| line.split_once('='))
        .map(|(_, value)| value.trim());
    value
        .and_then(|value| value.strip_prefix('"')?.strip_suffix('"'))
        .ok_or_else(|| format!("{ENGINE}/.cargo/config.toml has no {CFLAGS}"))
}

/// Where cargo keeps what it downloads.
fn cargo_home() -> Result<PathBuf, String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let default = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    home.or_else(default)
        .ok_or_else(|| "neither CARGO_HOME nor HOME is set".to_owned())
}

/// Runs `build-js-engine`, a crate of its own so that xtask stays quick to compile.
fn tool<'a>(root: &Path, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<(), String> {
    let command = ["run", "--quiet", "--release", "--manifest-path"];
    let mut cargo = cargo_in(root, &command);
    cargo
        .arg(root.join(ENGINE).join("build/Cargo.toml"))
        .arg("--")
        .args(arguments);
    succeed(&mut cargo)
}

/// Both crates have lock files and target folders of their own.
fn cargo_in(directory: &Path, arguments: &[&str]) -> Command {
    let mut cargo = cargo(directory, arguments);
    cargo.env_remove("CARGO_TARGET_DIR");
    cargo
}

fn collect(root: &Path, path: &Path, paths: &mut Vec<PathBuf>) -> Result<(), String> {
    if !root.join(path).is_dir() {
        paths.push(path.to_owned());
        return Ok(());
    }
    let failed = |error| format!("{}: {error}", path.display());
    for entry in fs::read_dir(root.join(path)).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        collect(root, &path.join(name), paths)?;
    }
    Ok(())
}

/// A source's bytes, with the line ends that git keeps.
fn read(root: &Path, path: &Path) -> Result<Vec<u8>, String> {
    let bytes = bytes(root, path)?;
    if path == Path::new(COMPONENT) {
        return Ok(bytes);
    }
    let text = String::from_utf8(bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.replace("\r\n", "\n").into_bytes())
}

fn bytes(root: &Path, path: &Path) -> Result<Vec<u8>, String> {
    fs::read(root.join(path)).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{RECORD, sources};
    use std::path::Path;

    #[test]
    fn engine_wasm_was_built_from_these_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the workspace");
        let recorded = std::fs::read_to_string(root.join(RECORD)).expect("the record");
        let actual = sources(root).expect("the sources");
        let changed: Vec<&str> = actual
            .lines()
            .filter(|line| !recorded.lines().any(|old| old == *line))
            .collect();
        assert!(
            recorded == actual,
            "the JavaScript engine's sources changed; run `cargo xtask js-engine` and commit \
             engine.wasm and engine.sources with them:\n{}",
            changed.join("\n")
        );
    }
}
