//! From the compiled core module to the component: initialize, snapshot, strip,
//! encode.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};
use wasm_encoder::{Module, RawSection};
use wasmparser::{Parser, Payload};
use wasmtime::{Engine, Linker, Result, Store, error::Context as _};
use wasmtime_wizer::Wizer;

/// The component of an uninitialized core module.
pub(crate) fn build(core: &[u8]) -> Result<Vec<u8>> {
    let snapshot = strip(&initialize(core)?)?;
    let encode = || {
        wit_component::ComponentEncoder::default()
            .validate(true)
            .module(&snapshot)?
            .encode()
    };
    encode()
        .map_err(|error| wasmtime::format_err!("the module does not make a component: {error:#}"))
}

/// Runs the module's initialization, with imports that trap, and keeps its memory.
fn initialize(core: &[u8]) -> Result<Vec<u8>> {
    let mut store = Store::new(&Engine::default(), ());
    let mut wizer = Wizer::new();
    wizer.init_func("wizer-initialize").keep_init_func(false);
    let snapshot = wizer.run(&mut store, core, async |store, module| {
        let mut linker = Linker::new(store.engine());
        linker.define_unknown_imports_as_traps(module)?;
        linker.instantiate_async(store, module).await
    });
    finish(snapshot).context("the initialization failed")
}

/// Nothing in here ever waits, so a future is done after a few polls.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Leaves out the custom sections that only debuggers read. The ones that describe
/// the component's types stay.
fn strip(module: &[u8]) -> Result<Vec<u8>> {
    let mut stripped = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::CustomSection(section) = &payload
            && !section.name().starts_with("component-type")
        {
            continue;
        }
        if let Some((id, range)) = payload.as_section() {
            let data = &module[range.start as usize..range.end as usize];
            stripped.section(&RawSection { id, data });
        }
    }
    Ok(stripped.finish())
}
