//! The locks and atomics of `counting.rs`: those of the standard library. The model
//! check puts its own in their place.

pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(super) use std::sync::{Mutex, PoisonError};
