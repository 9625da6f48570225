//! Tells the host why a procedure is about to trap.
//!
//! Without a hook a panic on `wasm32-unknown-unknown` loses its message: the caller
//! would read `unreachable` and nothing else.

use std::panic::{PanicHookInfo, set_hook};
use std::sync::Once;

use crate::bindings::heliosdb::host::log;

/// Installs the hook, once an instance. Every exported function calls it first,
/// since a component has no other beginning.
pub fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| set_hook(Box::new(|info| log::panicked(&describe(info)))));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("panic");
    match info.location() {
        Some(location) => format!("{message} at {location}"),
        None => message.to_owned(),
    }
}
