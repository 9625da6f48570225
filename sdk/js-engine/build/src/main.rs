//! Makes the component `engine.wasm` of the compiled JavaScript engine, and tries
//! it.
//!
//! - `build-js-engine build <core.wasm> <engine.wasm>` initializes the module, takes
//!   a snapshot and writes the component;
//! - `build-js-engine check <engine.wasm>` runs scripts in it, friendly and hostile;
//! - `build-js-engine run <engine.wasm> <f.js>` shows what one script's `f` comes to;
//! - `build-js-engine stack <engine.wasm>` shows how much native stack a recursion
//!   takes before the engine ends it;
//! - `build-js-engine measure <engine.wasm>` shows what calls cost.
//!
//! `cargo xtask` runs the first two. Not part of any product: the host never links
//! this.

mod check;
mod component;
mod host;
mod measure;
mod recursions;
mod scripts;
mod stack;

use std::process::ExitCode;
use wasmtime::Result;

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("build-js-engine: {error:?}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["build", core, output] => Ok(std::fs::write(
            output,
            component::build(&std::fs::read(core)?)?,
        )?),
        ["check", engine] => check::run(&std::fs::read(engine)?),
        ["run", engine, script] => {
            check::show(&std::fs::read(engine)?, &std::fs::read_to_string(script)?)
        }
        ["stack", engine] => stack::run(&std::fs::read(engine)?),
        ["measure", engine] => measure::run(&std::fs::read(engine)?),
        _ => wasmtime::bail!("expected build, check, run, stack or measure, and paths"),
    }
}
