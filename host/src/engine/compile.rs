//! From a component to machine code: in this process, or in a worker, which this file
//! is the inside of. `worker.rs` starts it and waits for it.

use super::frame::{Answer, Request};
use super::{Configuration, FEATURES, code_config, compatibility};
use crate::component;
use crate::error::{Error, Result, SqlState};
use crate::guard::{Guard, Guards};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use wasmparser::Validator;
use wasmtime::component::Component;

/// Compiles one component, as a compile worker does: reads it from `input`, writes the
/// code to `output`, and is done. [`Builder::compile_worker`] says who calls it.
///
/// It bounds this process first: address space, CPU time, files, processes; and lets it
/// end with its parent. An error means that `input` or `output` did not hold.
///
/// [`Builder::compile_worker`]: crate::Builder::compile_worker
pub fn compile_worker(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let request = Request::read(&mut input)?;
    confine(request)?;
    let component = Request::read_component(&mut input)?;
    let answer = match caught(|| precompile(&component, request.configuration)) {
        Ok(answer) => answer,
        Err(error) => Answer::Refusal {
            message: error.message().to_string(),
            detail: error.detail().unwrap_or_default().to_string(),
        },
    };
    answer.write(&mut output)
}

/// Compiles and validates here; only components, never modules or compiled code.
pub(super) fn in_process(
    engine: &wasmtime::Engine,
    bytes: &[u8],
    guards: Guards,
) -> Result<Component> {
    caught(|| {
        if guards.holds(Guard::UploadFeatures) {
            validate(bytes)?;
        }
        Component::from_binary(engine, bytes).map_err(failed)
    })
}

/// One thread: its CPU time is the process's, and its memory does not depend on how
/// many processors there are.
fn precompile(bytes: &[u8], configuration: Configuration) -> Result<Answer> {
    validate(bytes)?;
    let mut config = code_config(configuration);
    config.parallel_compilation(false);
    let engine = wasmtime::Engine::new(&config).map_err(Error::internal)?;
    Ok(Answer::Code {
        compatibility: compatibility(&engine),
        code: engine.precompile_component(bytes).map_err(failed)?,
    })
}

/// The compiler validates what it compiles, but cannot say which proposal is missing.
fn validate(bytes: &[u8]) -> Result<()> {
    Validator::new_with_features(FEATURES)
        .validate_all(bytes)
        .map(drop)
        .map_err(component::invalid)
}

/// A compiler has assertions, and reads what a stranger made.
fn caught<T>(compile: impl FnOnce() -> Result<T>) -> Result<T> {
    // It does over a component that passes texts or lists between two memories of its own:
    // the code that joins them needs two memories, and such code is switched off.
    catch_unwind(AssertUnwindSafe(compile)).unwrap_or_else(|_| {
        Err(
            Error::new(SqlState::INVALID_VALUE, "the component cannot be compiled").with_detail(
                "components that are composed of several with code of their own are not supported",
            ),
        )
    })
}

fn failed(error: wasmtime::Error) -> Error {
    Error::new(
        SqlState::INVALID_VALUE,
        "the component is refused: it cannot be compiled",
    )
    .with_detail(format!("{error:#}"))
}

/// Whatever the component makes of the compiler, it reaches nothing and ends.
fn confine(request: Request) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let cpu_seconds = u64::from(request.cpu_seconds);
    // At the soft limit the system sends SIGXCPU, which the parent can tell from others.
    limit(Resource::Cpu, cpu_seconds, cpu_seconds + 5)?;
    limit(Resource::As, request.memory_bytes, request.memory_bytes)?;
    for none in [Resource::Core, Resource::Fsize, Resource::Nproc] {
        limit(none, 0, 0)?;
    }
    // The standard streams are open already; nothing else can be opened.
    limit(Resource::Nofile, 3, 3)
}

/// Sets a limit, unless a stricter one holds already.
fn limit(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    let before = getrlimit(resource);
    let stricter = |limit: u64, before: Option<u64>| Some(before.map_or(limit, |b| b.min(limit)));
    let new = Rlimit {
        current: stricter(current, before.maximum),
        maximum: stricter(maximum, before.maximum),
    };
    Ok(setrlimit(resource, new)?)
}
