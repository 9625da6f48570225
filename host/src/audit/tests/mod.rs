//! What the log promises, checked from outside its parts.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests do to the files what others might, and show what they measure"
)]

mod cost;
mod crash;
mod encoding;
mod log;
mod sql;
mod tamper;

use super::entry::{Entry, Position};
use super::*;
use crate::error::SqlState;
use std::path::PathBuf;

/// A record with a text in every field.
fn record(log: &Log) -> Record<'static> {
    Record {
        event: EventType::CapabilityCheck,
        execution_id: log.next_execution_id(),
        function_name: "transfer_funds",
        function_version: Some(3),
        caller: "alice",
        capability: Some("DATABASE_READ"),
        target: Some("main.accounts"),
        allowed: Some(true),
        detail: Some(r#"{"uses":1}"#),
    }
}

fn append(log: &Log, records: &[Record<'_>], durability: Durability) -> Result<u64> {
    let mut batch = Batch::new();
    records.iter().for_each(|record| batch.push(record));
    log.append(&mut batch, durability)
}

fn fill(log: &Log, entries: u64) {
    for _ in 0..entries {
        append(log, &[record(log)], Durability::Written).unwrap();
    }
}

fn all(log: &Log) -> Vec<Entry> {
    log.entries(1).unwrap().collect::<Result<_>>().unwrap()
}

/// The files of a log's segments, in order.
fn segment_files(directory: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}
