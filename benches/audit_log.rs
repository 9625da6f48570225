//! The entries of a call without effects: one when it starts, one when it is complete,
//! appended together. Beside it a write(2) of as many bytes.

use crate::audit::{Batch, Durability, EventType, Log, Record};
use crate::guard::Guards;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

/// A log of its own.
pub(crate) struct AuditLog {
    log: Arc<Log>,
    bare: Option<BareFile>,
}

/// A file that gets as many bytes, in one write each time.
pub(crate) struct BareFile {
    file: File,
    bytes: Vec<u8>,
}

impl AuditLog {
    pub(crate) fn open(directory: &Path) -> AuditLog {
        let path = directory.join("audit");
        let log = Log::open_guarded(Some(&path), Guards::default()).expect("a log");
        AuditLog {
            bare: Some(BareFile::open(directory)),
            log,
        }
    }

    /// The bare file beside it, once.
    pub(crate) fn bare(&mut self) -> BareFile {
        self.bare.take().expect("the file is taken once")
    }

    /// What a call without effects appends, in the words that the host has for it.
    pub(crate) fn append_two_entries(&mut self) {
        let mut batch = Batch::new();
        let started = Record {
            event: EventType::ExecutionStarted,
            execution_id: self.log.next_execution_id(),
            function_name: "monthly_statement",
            function_version: Some(3),
            caller: "owner",
            capability: None,
            target: None,
            allowed: None,
            detail: None,
        };
        batch.push(&started);
        let detail = detail(&self.log);
        batch.push(&Record {
            event: EventType::ExecutionCompleted,
            detail: Some(&detail),
            ..started
        });
        assert_eq!(batch.len(), 2);
        let appended = self.log.append(&mut batch, Durability::Written);
        appended.expect("the log takes them");
    }
}

impl AuditLog {
    /// What a decision appends.
    pub(crate) fn append_decision(&mut self) {
        let mut batch = Batch::new();
        let digest = blake3::hash(b"{\"user\":\"ada\",\"clearance\":3,\"labels\":[\"secret\"]}");
        let detail = format!(
            "{{\"context\":\"{}\",\"instructions\":{}}}",
            digest.to_hex(),
            std::ptr::from_ref(self).addr() % 10_000
        );
        batch.push(&Record {
            event: EventType::Decision,
            execution_id: self.log.next_execution_id(),
            function_name: "may_read",
            function_version: Some(3),
            caller: "owner",
            capability: None,
            target: None,
            allowed: Some(true),
            detail: Some(&detail),
        });
        let appended = self.log.append(&mut batch, Durability::Written);
        appended.expect("the log takes it");
    }
}

/// As long as the host's, and made anew as well.
fn detail(log: &Log) -> String {
    let mut text = String::with_capacity(256);
    let mut number = itoa::Buffer::new();
    for (key, value) in [
        ("{\"invocations\":", 1),
        (
            ",\"instructions\":",
            std::ptr::from_ref(log).addr() % 10_000,
        ),
        (",\"cpu_us\":", 23),
        (",\"wall_us\":", 25),
        (",\"memory_bytes_peak\":", 1_114_112),
        (",\"host_calls\":", 0),
        (",\"host_bytes\":", 0),
        (",\"checks_allowed\":", 0),
        (",\"checks_denied\":", 0),
    ] {
        text.push_str(key);
        text.push_str(number.format(value));
    }
    text.push('}');
    text
}

impl BareFile {
    fn open(directory: &Path) -> BareFile {
        let file = File::options()
            .create(true)
            .append(true)
            .open(directory.join("bare"))
            .expect("a file");
        // The two entries above, as they lie in a segment.
        BareFile {
            file,
            bytes: vec![7; 377],
        }
    }

    pub(crate) fn write(&self) {
        (&self.file).write_all(&self.bytes).expect("it is written");
    }
}
