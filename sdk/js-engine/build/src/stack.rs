//! How much native stack each recursion takes before the engine ends it.
//!
//! The engine's own check sees only the shadow stack, so this is what its limit is
//! chosen by: every recursion that it checks must end in an exception, with room to spare below
//! the host's smallest `max_wasm_stack`.

use crate::{
    host::{Host, config},
    recursions::{CHECKED, UNCHECKED},
};
use wasmtime::{Engine, Result, Trap, component::Component};

const OVERFLOW: &str = "the native stack overflows";

/// The host's smallest class of stacks.
const STACK_BYTES: usize = 2 << 20;

/// Tries every recursion, on a thread whose own stack is larger than any of theirs.
pub(crate) fn run(component: &[u8]) -> Result<()> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 20);
        let tries = thread.spawn_scoped(scope, || try_all(component))?;
        tries.join().expect("a recursion ended this process")
    })
}

/// Prints the least native stack with which each recursion still ends in the
/// engine, and fails if one needs more than the host has.
fn try_all(component: &[u8]) -> Result<()> {
    let artefact = Engine::new(&config())?.precompile_component(component)?;
    let mut most = 0;
    for (name, source) in CHECKED {
        let (outcome, kibibytes) = least(&artefact, source)?;
        println!("{kibibytes:6} KiB  {name}: {outcome}");
        most = most.max(kibibytes);
    }
    for (name, source) in UNCHECKED {
        let outcome = attempt(&artefact, source, STACK_BYTES)?;
        println!(
            "    trap?  {name}: {}",
            outcome.as_deref().unwrap_or(OVERFLOW)
        );
    }
    println!("{most:6} KiB at most, of {}", STACK_BYTES >> 10);
    wasmtime::ensure!(
        most << 10 <= STACK_BYTES / 8 * 7,
        "too little native stack is left"
    );
    Ok(())
}

/// The least stack, by bisection.
fn least(artefact: &[u8], source: &str) -> Result<(String, usize)> {
    let (mut too_little, mut enough) = (16, 4 << 10);
    let mut outcome = attempt(artefact, source, enough << 10)?.unwrap_or(OVERFLOW.into());
    while enough - too_little > 16 {
        let middle = (too_little + enough) / 2;
        match attempt(artefact, source, middle << 10)? {
            Some(ended) => (enough, outcome) = (middle, ended),
            None => too_little = middle,
        }
    }
    Ok((outcome, enough))
}

/// What a script comes to, or nothing if the native stack overflowed.
fn attempt(artefact: &[u8], source: &str, stack_bytes: usize) -> Result<Option<String>> {
    let mut config = config();
    config
        .max_wasm_stack(stack_bytes)
        .async_stack_size(stack_bytes + (1 << 20));
    let engine = Engine::new(&config)?;
    // SAFETY: this process made the artefact.
    let component = unsafe { Component::deserialize(&engine, artefact) }?;
    let host = Host::new(engine, &component, true)?;
    let mut instance = host.instance_with_memory(1 << 30)?;
    let mut run = || -> Result<String> {
        let bytecode = match instance.compile("f.js", source, &["f"])? {
            Ok(bytecode) => bytecode,
            Err(exception) => {
                return Ok(format!(
                    "compile: {}: {}",
                    exception.name, exception.message
                ));
            }
        };
        if let Err(exception) = instance.load(&bytecode)? {
            return Ok(format!("load: {}: {}", exception.name, exception.message));
        }
        Ok(match instance.call(&[], true)? {
            Ok(value) => format!("returns {value:?}").chars().take(60).collect(),
            Err(exception) => format!("{}: {}", exception.name, exception.message),
        })
    };
    match run() {
        Ok(outcome) => Ok(Some(outcome)),
        Err(error) if error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) => Ok(None),
        Err(error) => Ok(Some(format!("ended: {}", error.root_cause()))),
    }
}
