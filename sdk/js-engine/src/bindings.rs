//! The contract as Rust types, generated from `wit/`.
//!
//! Nothing here is written by hand; what it means is said in the WIT files.

#![allow(unsafe_code, missing_docs, unreachable_pub)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "javascript-engine",
});

pub(crate) use exports::heliosdb::host::javascript::{Batch, Column, Exception, Guest};
pub(crate) use heliosdb::host::{database_ddl, database_read, database_write, log, time, types};
