//! Ten thousand JavaScript functions in one vault.

use crate::subject;
use perihelion::{Runtime, Session, Storage, Value};
use std::path::Path;
use std::time::{Duration, Instant};

/// The functions of the vault.
pub const FUNCTIONS: u64 = 10_000;

/// What one process saw.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// How long it took.
    pub time: Duration,
    /// The process's memory, in bytes.
    pub memory_bytes: u64,
}

/// Makes a vault with all of them in the directory, and calls one.
pub fn create(directory: &Path) -> Seen {
    let mut session = open(directory);
    let start = Instant::now();
    for number in 0..FUNCTIONS {
        let sql = format!(
            "CREATE FUNCTION f{number}(a BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
                 function f{number}(a) {{
                     return a + {number};
                 }}
             $$"
        );
        subject::run(&mut session, &sql);
    }
    let time = start.elapsed();
    call_one(&mut session);
    Seen {
        time,
        memory_bytes: memory_bytes(),
    }
}

/// Opens the vault again and calls a function. The process should be a new one.
pub fn first_call(directory: &Path) -> Seen {
    let start = Instant::now();
    call_one(&mut open(directory));
    Seen {
        time: start.elapsed(),
        memory_bytes: memory_bytes(),
    }
}

fn open(directory: &Path) -> Session {
    let runtime = Runtime::builder()
        .cache_directory(super::cache_directory())
        .build()
        .expect("a runtime");
    let storage = Storage::Directory(directory.to_path_buf());
    let vault = runtime.vault(storage).expect("a vault");
    vault.session().expect("a session")
}

fn call_one(session: &mut Session) {
    let result = subject::call(session, "f4321", &[Value::Integer(1)]);
    assert_eq!(result, Value::Integer(4322));
}

/// What of this process is in memory.
fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok());
    1024 * kib.expect("a number of KiB")
}
