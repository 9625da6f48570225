//! What counts against a function: refused system calls, which end by disabling it for
//! everyone, and the denials of each caller, which end by refusing it to that caller.
//!
//! Not for what is stored or recorded of it: `catalog/violations.rs` does that.

mod counting;
#[cfg(test)]
mod model;
mod sync;
#[cfg(test)]
mod tests;

pub(crate) use counting::{Counted, Switch, VIOLATIONS_MAX};
pub(crate) use counting::{DENIALS_MAX, DENIALS_WINDOW};
