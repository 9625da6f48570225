//! `cargo xtask test`: everything that must pass before a change lands.
//!
//! Every check runs, whatever the ones before it said, so that one run tells all.

use crate::{
    command::{cargo, shown, succeed},
    js_engine, setup,
};
use std::{
    io::{self, BufRead, BufReader},
    path::Path,
    process::{Command, ExitCode, ExitStatus, Stdio},
};

/// The root workspace, and the ones that cannot be in it.
const WORKSPACES: [&str; 5] = [
    ".",
    "guests/rust",
    "guests/component",
    "sdk/js-engine",
    "sdk/js-engine/build",
];

/// What the checks said so far.
#[derive(Default)]
struct Report {
    failed: Vec<&'static str>,
    tally: Tally,
}

/// How many tests there were.
#[derive(Default, PartialEq, Eq, Debug)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs every check; with `full` also the slow ones.
pub(crate) fn run(root: &Path, full: bool) -> Result<ExitCode, String> {
    setup::tests()?;
    let mut report = Report::default();
    report.check("formatting", |_| formatting(root));
    report.check("lints", |_| lints(root));
    report.check("documentation", |_| documentation(root));
    report.check("tests", |tally| tests(root, tally));
    report.check("tests of the guests", |tally| guests(root, tally));
    if full {
        report.check("JavaScript engine", |_| engine(root));
        report.check("cargo component", |tally| component(root, tally));
    }
    Ok(report.finish())
}

impl Report {
    fn check(&mut self, name: &'static str, check: impl FnOnce(&mut Tally) -> Result<(), String>) {
        eprintln!("xtask: {name}");
        if let Err(error) = check(&mut self.tally) {
            eprintln!("xtask: {error}");
            self.failed.push(name);
        }
    }

    /// The number of tests comes last, where whoever reads only the end finds it.
    fn finish(self) -> ExitCode {
        if !self.failed.is_empty() {
            eprintln!("xtask: failed: {}", self.failed.join(", "));
        }
        let Tally {
            passed,
            failed,
            ignored,
        } = self.tally;
        println!("{passed} passed, {failed} failed, {ignored} ignored");
        if self.failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn formatting(root: &Path) -> Result<(), String> {
    let mut outcome = Ok(());
    for workspace in WORKSPACES {
        let directory = root.join(workspace);
        let checked = succeed(&mut cargo(&directory, &["fmt", "--check"]));
        outcome = outcome.and(checked.map_err(|error| format!("{workspace}: {error}")));
    }
    outcome
}

fn lints(root: &Path) -> Result<(), String> {
    let arguments = ["clippy", "--workspace", "--all-targets"];
    let deny = ["--", "--deny", "warnings"];
    let mut guests = guest_cargo(root, &arguments);
    let host = succeed(cargo(root, &arguments).args(deny));
    host.and(succeed(guests.args(deny)))
}

fn documentation(root: &Path) -> Result<(), String> {
    let mut doc = cargo(root, &["doc", "--workspace", "--no-deps", "--lib"]);
    succeed(doc.env("RUSTDOCFLAGS", "--deny warnings"))
}

fn tests(root: &Path, tally: &mut Tally) -> Result<(), String> {
    tally.count(&mut cargo(root, &["test", "--workspace", "--no-fail-fast"]))
}

/// What of a guest needs no host is tested as plain Rust.
fn guests(root: &Path, tally: &mut Tally) -> Result<(), String> {
    tally.count(&mut guest_cargo(root, &["test", "--workspace"]))
}

/// The committed engine is what its sources make.
fn engine(root: &Path) -> Result<(), String> {
    setup::js_engine()?;
    js_engine::compare(root)
}

/// A guest of `cargo component` builds, loads and runs.
fn component(root: &Path, tally: &mut Tally) -> Result<(), String> {
    let program = setup::cargo_component(root)?;
    let mut build = Command::new(program);
    build
        .current_dir(root.join("guests/component"))
        .args(["component", "build", "--release", "--target-dir"])
        .arg(root.join("target/guests"));
    succeed(&mut build)?;
    let test = ["test", "--package", "perihelion-tests", "cargo_component"];
    tally.count(cargo(root, &test).args(["--", "--ignored"]))
}

fn guest_cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = cargo(&root.join("guests/rust"), arguments);
    command.arg("--target-dir").arg(root.join("target/guests"));
    command
}

impl Tally {
    /// Runs `cargo test`, shows what it prints, and counts.
    fn count(&mut self, command: &mut Command) -> Result<(), String> {
        let status = self
            .watch(command.stdout(Stdio::piped()))
            .map_err(|error| format!("{}: {error}", shown(command)))?;
        if status.success() {
            return Ok(());
        }
        Err(format!("{}: {status}", shown(command)))
    }

    fn watch(&mut self, command: &mut Command) -> io::Result<ExitStatus> {
        let mut child = command.spawn()?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                self.add(&line);
            }
        }
        child.wait()
    }

    /// Adds what one test binary's last line says.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let result = result.split_once(". ").map_or(result, |(_, counts)| counts);
        for count in result.split(';') {
            match count.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                Some((number, "ignored")) => self.ignored += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn a_tally_sums_up_the_last_lines_of_test_binaries() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.20s",
        ] {
            tally.add(line);
        }
        assert_eq!(
            tally,
            Tally {
                passed: 7,
                failed: 2,
                ignored: 1
            }
        );
    }
}
