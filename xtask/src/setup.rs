//! What a task needs on this machine. What is missing is installed, and named.
//!
//! Whoever runs this has rustup and a C compiler, or it would not have compiled.
//! Building the workspace takes nothing else: SQLite is compiled from source that its
//! crate brings.

use crate::command::{cargo, output, shown, succeed};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// What the guests are compiled for.
pub(crate) const COMPONENT_TARGET: &str = "wasm32-unknown-unknown";
const WASI_TARGET: &str = "wasm32-wasip2";
const CARGO_COMPONENT_TARGET: &str = "wasm32-wasip1";
const CARGO_COMPONENT_VERSION: &str = "0.21.1";

/// Where Debian has the server of the tests: not on the path.
const POSTGRES: &str = "/usr/lib/postgresql/15/bin/postgres";
/// The patch of PostgreSQL 15 that the tests need: older ones leak by cursors what a role
/// may not read (CVE-2026-16239).
const POSTGRES_PATCH_LEAST: u32 = 20;

/// For the demo: a guest is compiled.
pub(crate) fn demo() -> Result<(), String> {
    target(COMPONENT_TARGET)
}

/// For the tests: formatting, lints, guests of both kinds, and a PostgreSQL to start.
pub(crate) fn tests() -> Result<(), String> {
    toolchain_component("fmt", "rustfmt")?;
    toolchain_component("clippy", "clippy")?;
    target(COMPONENT_TARGET)?;
    target(WASI_TARGET)?;
    postgres()
}

/// For the JavaScript engine, which is written in C.
pub(crate) fn js_engine() -> Result<(), String> {
    target(COMPONENT_TARGET)?;
    packages(&[("clang", "clang"), ("llvm-ar", "llvm")])
}

/// For guests of `cargo component`. Returns where the program is.
///
/// It is kept in the target directory: what is on the path stays as it is.
pub(crate) fn cargo_component(root: &Path) -> Result<PathBuf, String> {
    target(CARGO_COMPONENT_TARGET)?;
    let directory = root.join("target/tools");
    let program = directory.join("bin/cargo-component");
    let version = output(Command::new(&program).args(["component", "--version"]));
    if !version.is_some_and(|version| version.contains(CARGO_COMPONENT_VERSION)) {
        let mut install = cargo(root, &["install", "cargo-component", "--locked"]);
        install.args(["--version", CARGO_COMPONENT_VERSION, "--root"]);
        install.arg(&directory);
        announce(&mut install)?;
    }
    Ok(program)
}

/// Adds a compilation target, unless the compiler has its standard library.
fn target(name: &str) -> Result<(), String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let library = output(Command::new(rustc).args(["--print", "target-libdir", "--target", name]));
    if library.is_some_and(|path| Path::new(path.trim()).is_dir()) {
        return Ok(());
    }
    announce(Command::new("rustup").args(["target", "add", name]))
}

/// Adds a part of the toolchain, unless cargo has the command that it brings.
fn toolchain_component(command: &str, name: &str) -> Result<(), String> {
    match output(&mut cargo(Path::new("."), &[command, "--version"])) {
        Some(_) => Ok(()),
        None => announce(Command::new("rustup").args(["component", "add", name])),
    }
}

/// PostgreSQL's programs, which the tests start as a server of their own.
fn postgres() -> Result<(), String> {
    let installed = || postgres_patch(&output(Command::new(POSTGRES).arg("--version"))?);
    if installed() >= Some(POSTGRES_PATCH_LEAST) {
        return Ok(());
    }
    install(&["postgresql-15"])?;
    match installed() {
        Some(patch) if patch >= POSTGRES_PATCH_LEAST => Ok(()),
        _ => Err(format!(
            "needed: PostgreSQL 15.{POSTGRES_PATCH_LEAST} or newer as {POSTGRES}"
        )),
    }
}

/// The patch in `postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`.
fn postgres_patch(version: &str) -> Option<u32> {
    let (_, rest) = version.split_once("(PostgreSQL) 15.")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Installs the Debian packages of those programs that are missing.
fn packages(programs: &[(&str, &str)]) -> Result<(), String> {
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| output(Command::new(program).arg("--version")).is_none())
        .map(|(_, package)| *package)
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => install(&missing),
    }
}

/// Installs Debian packages, or brings them up to date.
fn install(packages: &[&str]) -> Result<(), String> {
    let mut install = apt_get(&["install", "--yes", "--no-install-recommends"]);
    install.args(packages);
    announce(&mut apt_get(&["update"]))
        .and_then(|()| announce(&mut install))
        .map_err(|error| format!("{error}\nneeded: {}", packages.join(", ")))
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(arguments);
    command
}

fn announce(command: &mut Command) -> Result<(), String> {
    eprintln!("xtask: {}", shown(command));
    succeed(command)
}

#[cfg(test)]
mod tests {
    use super::postgres_patch;

    #[test]
    fn the_patch_of_postgresql_is_read_from_its_version() {
        for (version, patch) in [
            (
                "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n",
                Some(20),
            ),
            ("postgres (PostgreSQL) 15.9\n", Some(9)),
            ("postgres (PostgreSQL) 16.1\n", None),
            ("", None),
        ] {
            assert_eq!(postgres_patch(version), patch, "{version}");
        }
    }
}
