//! `cargo xtask …`: what a shell script would do for this project, in Rust.
//!
//! It depends on next to nothing, so that it compiles in seconds. Each task first
//! installs what it needs and is missing, and says what that is.

mod command;
mod demo;
mod js_engine;
mod setup;
mod test;
#[cfg(test)]
mod tidy;

use clap::Parser;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Tasks of the Perihelion project.
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Runs the main job on the Chinook database.
    Demo {
        /// The database's SQL script.
        #[arg(long, value_name = "FILE")]
        chinook: Option<PathBuf>,
        /// Builds with every optimization, for the costs that the demo shows.
        #[arg(long)]
        release: bool,
    },
    /// Checks formatting, lints and documentation, and runs every test.
    Test {
        /// Also rebuilds the JavaScript engine, and a guest by `cargo component`.
        #[arg(long)]
        full: bool,
    },
    /// Rebuilds the JavaScript engine's component, which is committed.
    JsEngine,
}

fn main() -> ExitCode {
    run(Task::parse()).unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::FAILURE
    })
}

fn run(task: Task) -> Result<ExitCode, String> {
    match task {
        Task::Demo { chinook, release } => demo::run(root(), chinook, release)?,
        Task::Test { full } => return test::run(root(), full),
        Task::JsEngine => {
            setup::js_engine()?;
            js_engine::build(root())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The project's root.
fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}
