//! One entry of the log and its only encoding. It reads and writes no files.
//!
//! This is all that a verifier in another language needs to know about an entry
//! (`segment.rs` says how a file begins). Integers are little-endian. An entry lies
//! in a file as a frame:
//!
//! | bytes | what                                             |
//! |-------|--------------------------------------------------|
//! | 4     | length of the body, at most 65,496               |
//! | 4     | the bitwise complement of these four bytes       |
//! | …     | the body                                         |
//! | 32    | the entry's hash                                 |
//!
//! and the body is
//!
//! | bytes | what                                                            |
//! |-------|-----------------------------------------------------------------|
//! | 8     | seq: 1 for the first entry of the log, then one more each       |
//! | 8     | timestamp: signed microseconds since 1970-01-01T00:00:00Z       |
//! | 1     | event type: the number in [`EventType`]                         |
//! | 1     | allowed: 0 false, 1 true, 255 NULL                              |
//! | 1     | 1 if there is a function version, 0 if it is NULL               |
//! | 8     | function version, at most 2^63 - 1; 0 if it is NULL             |
//! | 2 + … | six texts: execution id, function name, caller, capability,     |
//! |       | target, detail; each a length and that many bytes of UTF-8; the |
//! |       | length 65,535 is NULL, which the first three may not be         |
//!
//! and nothing after it. The hash is
//! `BLAKE3("perihelion.log.1" || hash of the previous entry || body)`; 32 zero bytes
//! stand for the entry before the first. Only the body's length varies, and the body
//! delimits itself, so no two entries are hashed from the same bytes. Timestamps
//! never decrease; as written here each is at least a microsecond after the last, so
//! that the newest entry is well defined.

use std::fmt;

/// The length of a frame's head.
pub(super) const HEAD_BYTES: usize = 8;
/// The length of a hash.
pub(super) const HASH_BYTES: usize = 32;
/// The longest body: a frame is at most 64 KiB.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024 - HEAD_BYTES - HASH_BYTES;

const DOMAIN: &[u8; 16] = b"perihelion.log.1";
const NULL_TEXT: u16 = u16::MAX;
const NULL_ALLOWED: u8 = 255;
/// The body's length before its texts.
pub(super) const FIXED_BYTES: usize = 27;

/// One entry of the audit log, as `heliosdb.audit_log` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// 1, 2, 3 and so on, without gaps.
    pub(crate) seq: u64,
    /// Microseconds since 1970-01-01T00:00:00Z; never less than the entry before.
    pub(crate) timestamp: i64,
    /// Which execution it belongs to.
    pub(crate) execution_id: String,
    /// The function that it is about; empty if it is about none.
    pub(crate) function_name: String,
    /// The version of the function, where one is known.
    pub(crate) function_version: Option<u64>,
    /// Who called.
    pub(crate) caller: String,
    /// What happened.
    pub(crate) event_type: EventType,
    /// The capability that was asked for.
    pub(crate) capability: Option<String>,
    /// What it was asked for: a table, say.
    pub(crate) target: Option<String>,
    /// Whether it was allowed, where that was the question.
    pub(crate) allowed: Option<bool>,
    /// The rest, as JSON.
    pub(crate) detail: Option<String>,
    /// The hash of the entry before.
    pub(crate) prev_hash: [u8; 32],
    /// This entry's hash.
    pub(crate) hash: [u8; 32],
}

/// What an entry records. The numbers are part of the encoding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub(crate) enum EventType {
    /// A function begins.
    ExecutionStarted = 1,
    /// A function returned.
    ExecutionCompleted = 2,
    /// A function failed or was ended.
    ExecutionFailed = 3,
    /// A capability was asked for, and allowed or denied.
    CapabilityCheck = 4,
    /// A limit ended a function.
    ResourceLimitExceeded = 5,
    /// A function ran a statement.
    DatabaseOperation = 6,
    /// A function or what it may do was changed.
    FunctionChanged = 7,
    /// A security policy was made, changed or dropped: the target.
    PolicyChanged = 8,
    /// A function made a system call: the target.
    SyscallAttempt = 9,
    /// A condition answered: allowed says what.
    Decision = 10,
}

/// Names one execution among all that a log ever saw.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ExecutionId {
    pub(super) opened_at: u64,
    pub(super) number: u64,
}

/// What the caller says about an entry; the log adds seq, time and hash.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) event: EventType,
    pub(crate) execution_id: ExecutionId,
    pub(crate) function_name: &'a str,
    pub(crate) function_version: Option<u64>,
    pub(crate) caller: &'a str,
    pub(crate) capability: Option<&'a str>,
    pub(crate) target: Option<&'a str>,
    pub(crate) allowed: Option<bool>,
    /// A JSON document.
    pub(crate) detail: Option<&'a str>,
}

/// Where a chain stands after an entry: what the next one continues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Position {
    pub(super) seq: u64,
    pub(super) timestamp: i64,
    pub(super) hash: [u8; HASH_BYTES],
}

/// A body as it is read, without copying its texts.
pub(super) struct Body<'a> {
    pub(super) seq: u64,
    pub(super) timestamp: i64,
    event_type: EventType,
    allowed: Option<bool>,
    function_version: Option<u64>,
    texts: [Option<&'a str>; 6],
}

impl EventType {
    /// Every event type.
    pub(crate) const ALL: [EventType; 10] = [
        EventType::ExecutionStarted,
        EventType::ExecutionCompleted,
        EventType::ExecutionFailed,
        EventType::CapabilityCheck,
        EventType::ResourceLimitExceeded,
        EventType::DatabaseOperation,
        EventType::FunctionChanged,
        EventType::PolicyChanged,
        EventType::SyscallAttempt,
        EventType::Decision,
    ];

    /// The name in SQL.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            EventType::ExecutionStarted => "ExecutionStarted",
            EventType::ExecutionCompleted => "ExecutionCompleted",
            EventType::ExecutionFailed => "ExecutionFailed",
            EventType::CapabilityCheck => "CapabilityCheck",
            EventType::ResourceLimitExceeded => "ResourceLimitExceeded",
            EventType::DatabaseOperation => "DatabaseOperation",
            EventType::FunctionChanged => "FunctionChanged",
            EventType::PolicyChanged => "PolicyChanged",
            EventType::SyscallAttempt => "SyscallAttempt",
            EventType::Decision => "Decision",
        }
    }
}

impl Entry {
    /// A system call as the security model words it; None for any other entry.
    pub(super) fn text(&self) -> Option<String> {
        if self.event_type != EventType::SyscallAttempt {
            return None;
        }
        // The model's word for the one that opens files.
        let syscall = match self.target.as_deref()? {
            "path_open" => "open",
            other => other,
        };
        let detail: serde_json::Value = serde_json::from_str(self.detail.as_deref()?).ok()?;
        Some(format!(
            "[AUDIT] Syscall attempted: {syscall}\nFunction: {}\nAllowed: {}\nAction: {}",
            self.function_name,
            self.allowed?,
            detail.get("action")?.as_str()?
        ))
    }
}

impl Position {
    /// Before the first entry.
    pub(super) const START: Position = Position {
        seq: 0,
        timestamp: i64::MIN,
        hash: [0; HASH_BYTES],
    };
}

impl<'a> Body<'a> {
    /// Reads a body; None if it is not exactly as the encoding says.
    pub(super) fn decode(mut bytes: &'a [u8]) -> Option<Body<'a>> {
        let rest = &mut bytes;
        let seq = u64::from_le_bytes(take(rest)?);
        let timestamp = i64::from_le_bytes(take(rest)?);
        let [event, allowed, has_version] = take(rest)?;
        let version = u64::from_le_bytes(take(rest)?);
        let body = Body {
            seq,
            timestamp,
            event_type: EventType::ALL.into_iter().find(|e| *e as u8 == event)?,
            allowed: match allowed {
                0 => Some(false),
                1 => Some(true),
                NULL_ALLOWED => None,
                _ => return None,
            },
            function_version: match (has_version, version) {
                (0, 0) => None,
                (1, version) if i64::try_from(version).is_ok() => Some(version),
                _ => return None,
            },
            texts: [
                Some(take_text(rest)??),
                Some(take_text(rest)??),
                Some(take_text(rest)??),
                take_text(rest)?,
                take_text(rest)?,
                take_text(rest)?,
            ],
        };
        rest.is_empty().then_some(body)
    }

    /// The entry, with copies of the texts.
    pub(super) fn to_entry(&self, prev_hash: [u8; 32], hash: [u8; 32]) -> Entry {
        let [
            execution_id,
            function_name,
            caller,
            capability,
            target,
            detail,
        ] = self.texts.map(|text| text.map(str::to_owned));
        Entry {
            seq: self.seq,
            timestamp: self.timestamp,
            execution_id: execution_id.unwrap_or_default(),
            function_name: function_name.unwrap_or_default(),
            function_version: self.function_version,
            caller: caller.unwrap_or_default(),
            event_type: self.event_type,
            capability,
            target,
            allowed: self.allowed,
            detail,
            prev_hash,
            hash,
        }
    }
}

/// The hash of the entry with this body after the one with this hash.
pub(super) fn link(prev_hash: &[u8; HASH_BYTES], body: &[u8]) -> [u8; HASH_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN).update(prev_hash).update(body);
    hasher.finalize().into()
}

/// Appends the part of a body that has a fixed length; seq and timestamp are zero
/// until the log knows them.
pub(super) fn encode_fixed(bytes: &mut Vec<u8>, record: &Record<'_>) {
    let version = record.function_version.map(|v| v.min(i64::MAX as u64));
    bytes.extend_from_slice(&[0; 16]);
    bytes.push(record.event as u8);
    bytes.push(record.allowed.map_or(NULL_ALLOWED, u8::from));
    bytes.push(u8::from(version.is_some()));
    bytes.extend_from_slice(&version.unwrap_or(0).to_le_bytes());
}

/// Appends a text, whose length the caller has limited, or NULL.
pub(super) fn encode_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    let text = text.map(|text| (text, u16::try_from(text.len())));
    match text {
        Some((text, Ok(length))) if length != NULL_TEXT => {
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        _ => bytes.extend_from_slice(&NULL_TEXT.to_le_bytes()),
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// None if the bytes are not a text, Some(None) if they are NULL.
fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a str>> {
    let length = u16::from_le_bytes(take(bytes)?);
    if length == NULL_TEXT {
        return Some(None);
    }
    let (text, rest) = bytes.split_at_checked(usize::from(length))?;
    *bytes = rest;
    std::str::from_utf8(text).ok().map(Some)
}

/// Two hexadecimal numbers: where the log stood when it was opened, and a count.
impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.opened_at, self.number)
    }
}
