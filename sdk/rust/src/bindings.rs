//! The functions that the host offers, as `wit-bindgen` makes them from `wit/`.
//!
//! Not for procedures: the modules beside this one wrap each of them. The types
//! of `heliosdb:host/types` are not made here but written in `types.rs`, where
//! they can have constructors and conversions of their own; one that drifts from
//! the contract does not compile.

wit_bindgen::generate!({
    path: "../../wit",
    world: "heliosdb:host/imports",
    with: { "heliosdb:host/types@0.1.0": crate::types },
    generate_all,
});
