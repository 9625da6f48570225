//! The entries of one append, encoded once and written as they lie here. It gives
//! them their place in the chain; it does not know where they are written to.

use super::entry::{
    BODY_BYTES_MAX, ExecutionId, FIXED_BYTES, HASH_BYTES, HEAD_BYTES, Position, Record,
    encode_fixed, encode_text, link,
};
use std::borrow::Cow;

/// The longest name of a function, a caller or a capability.
const NAME_BYTES_MAX: usize = 4 * 1024;
/// The longest target.
const TARGET_BYTES_MAX: usize = 16 * 1024;
/// The longest detail.
const DETAIL_BYTES_MAX: usize = 32 * 1024;
/// How much is kept of a longer one: as a JSON string no character is longer than
/// six times its bytes, and it needs two quotes and the ellipsis besides.
const DETAIL_BYTES_KEPT: usize = DETAIL_BYTES_MAX / 6 - 2;
/// The longest execution id: two 64-bit numbers in hexadecimal and a hyphen.
const EXECUTION_ID_BYTES_MAX: usize = 33;

/// What the entries of a call without effects take, and some more.
const USUAL_BYTES: usize = 768;

// A frame never exceeds what a reader accepts, whatever its texts.
const _: () = assert!(
    FIXED_BYTES
        + 6 * 2
        + EXECUTION_ID_BYTES_MAX
        + 3 * NAME_BYTES_MAX
        + TARGET_BYTES_MAX
        + DETAIL_BYTES_MAX
        <= BODY_BYTES_MAX
);

/// Entries that wait to be appended together, in order.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    entries: usize,
}

impl Batch {
    pub(crate) fn new() -> Batch {
        Batch::default()
    }

    /// Adds an entry. Texts beyond their limit are cut and end in `…`; a detail
    /// beyond it becomes a JSON string with its beginning, so that it stays JSON.
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(USUAL_BYTES);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEAD_BYTES]);
        encode_fixed(&mut self.bytes, record);
        self.push_execution_id(record.execution_id);
        let name = |text| cut(text, NAME_BYTES_MAX);
        encode_text(&mut self.bytes, Some(&name(record.function_name)));
        encode_text(&mut self.bytes, Some(&name(record.caller)));
        encode_text(&mut self.bytes, record.capability.map(name).as_deref());
        let target = record.target.map(|text| cut(text, TARGET_BYTES_MAX));
        encode_text(&mut self.bytes, target.as_deref());
        encode_text(&mut self.bytes, record.detail.map(cut_json).as_deref());
        self.finish_frame(start);
    }

    /// How many entries it has.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// How many bytes they have.
    pub(crate) fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the entries and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.entries = 0;
    }

    /// The frames, complete once `seal` was called.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the entries their seq, time and hash after `position`, and says where
    /// the chain stands after them.
    pub(super) fn seal(&mut self, mut position: Position, now: i64) -> Position {
        let mut rest = self.bytes.as_mut_slice();
        while let Some((head, after)) = rest.split_first_chunk_mut::<HEAD_BYTES>() {
            let [a, b, c, d, ..] = *head;
            let (body, after) = after.split_at_mut(u32::from_le_bytes([a, b, c, d]) as usize);
            let (hash, after) = after.split_at_mut(HASH_BYTES);
            position.seq += 1;
            position.timestamp = now.max(position.timestamp.saturating_add(1));
            body[..8].copy_from_slice(&position.seq.to_le_bytes());
            body[8..16].copy_from_slice(&position.timestamp.to_le_bytes());
            position.hash = link(&position.hash, body);
            hash.copy_from_slice(&position.hash);
            rest = after;
        }
        position
    }

    fn push_execution_id(&mut self, id: ExecutionId) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        push_hex(&mut self.bytes, id.opened_at);
        self.bytes.push(b'-');
        push_hex(&mut self.bytes, id.number);
        let length = (self.bytes.len() - start - 2) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_le_bytes());
    }

    fn finish_frame(&mut self, start: usize) {
        let length = (self.bytes.len() - start - HEAD_BYTES) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.bytes[start + 4..start + 8].copy_from_slice(&(!length).to_le_bytes());
        self.bytes.extend_from_slice(&[0; HASH_BYTES]);
        self.entries += 1;
    }
}

/// Appends a number as `{:x}` would, at a fraction of the cost.
fn push_hex(bytes: &mut Vec<u8>, number: u64) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        bytes.push(b"0123456789abcdef"[(number >> (4 * place)) as usize & 15]);
    }
}

/// The text, or as much of it as fits with an ellipsis.
fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let kept = text.floor_char_boundary(bytes_max - '…'.len_utf8());
    Cow::Owned(format!("{}…", &text[..kept]))
}

fn cut_json(detail: &str) -> Cow<'_, str> {
    if detail.len() <= DETAIL_BYTES_MAX {
        return Cow::Borrowed(detail);
    }
    Cow::Owned(serde_json::Value::from(cut(detail, DETAIL_BYTES_KEPT)).to_string())
}
