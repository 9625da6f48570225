//! What wasmtime generates from `wit/`: the traits that host functions implement, and
//! the exports of the JavaScript engine.
#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "javascript-engine",
    imports: { default: trappable },
    exports: { default: async },
});
