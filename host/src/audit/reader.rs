//! Finds the frames in a file. It knows where an entry begins and ends, not what it
//! says nor whether it is right.

use super::entry::{BODY_BYTES_MAX, HASH_BYTES, HEAD_BYTES};
use super::segment::unreadable;
use crate::error::Result;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// How much is read at once: many frames of the usual size, one of the longest.
const READ_BYTES: usize = 64 * 1024;
/// What a disk writes as a whole.
const SECTOR_BYTES: u64 = 512;

/// Reads the frames of one segment in order.
pub(super) struct Reader {
    file: Arc<File>,
    /// Where reading ends: what is appended later is not seen.
    end: u64,
    /// Where in the file the next frame begins.
    offset: u64,
    buffer: Vec<u8>,
    /// Where in the buffer the next frame begins.
    start: usize,
}

/// What lies at a reader's offset.
pub(super) enum Step<'a> {
    End,
    Frame {
        body: &'a [u8],
        hash: [u8; HASH_BYTES],
    },
    /// The file ends within the frame.
    Incomplete,
    /// The frame's length contradicts itself.
    BadLength,
}

enum Head {
    Whole(usize),
    Incomplete,
    Bad,
}

impl Reader {
    /// Reads the frames of a file between two offsets.
    pub(super) fn new(file: Arc<File>, offset: u64, end: u64) -> Reader {
        Reader {
            file,
            end,
            offset,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// Where the next frame begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next frame. After anything but a frame it stays where it is.
    pub(super) fn next(&mut self) -> Result<Step<'_>> {
        self.fill(HEAD_BYTES).map_err(unreadable)?;
        let bytes = match frame_bytes(&self.buffer[self.start..]) {
            _ if self.start == self.buffer.len() => return Ok(Step::End),
            Head::Whole(bytes) => bytes,
            Head::Incomplete => return Ok(Step::Incomplete),
            Head::Bad => return Ok(Step::BadLength),
        };
        self.fill(bytes).map_err(unreadable)?;
        let Some(frame) = self.buffer[self.start..].get(..bytes) else {
            return Ok(Step::Incomplete);
        };
        self.start += bytes;
        self.offset += bytes as u64;
        let (body, hash) = frame[HEAD_BYTES..].split_at(bytes - HEAD_BYTES - HASH_BYTES);
        Ok(Step::Frame {
            body,
            hash: array(hash, 0),
        })
    }

    /// Whether the frame at `offset` is one that a crash left incomplete: it goes
    /// beyond the end of the file, or the file's end is zero from a sector's start
    /// within the frame on, which is how a disk leaves sectors that it never wrote.
    pub(super) fn is_torn(&self, offset: u64) -> io::Result<bool> {
        let mut tail = vec![0; (self.end - offset) as usize];
        self.file.read_exact_at(&mut tail, offset)?;
        let used = tail
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        if used == 0 {
            return Ok(true);
        }
        let written_end = (offset + used as u64).next_multiple_of(SECTOR_BYTES);
        tail.truncate((written_end - offset) as usize);
        Ok(match frame_bytes(&tail) {
            Head::Whole(bytes) => bytes > tail.len(),
            Head::Incomplete => true,
            Head::Bad => false,
        })
    }

    /// Buffers `count` bytes from the offset on, or as many as there are.
    fn fill(&mut self, count: usize) -> io::Result<()> {
        if self.buffer.len() - self.start >= count {
            return Ok(());
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let buffered = self.buffer.len();
        let left = self.end - self.offset - buffered as u64;
        let wanted =
            (count.max(READ_BYTES) - buffered).min(usize::try_from(left).unwrap_or(usize::MAX));
        self.buffer.resize(buffered + wanted, 0);
        self.file
            .read_exact_at(&mut self.buffer[buffered..], self.offset + buffered as u64)
    }
}

/// The length of the frame that begins here.
fn frame_bytes(bytes: &[u8]) -> Head {
    let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else {
        return Head::Incomplete;
    };
    let length = u32::from_le_bytes(array(head, 0));
    if !length != u32::from_le_bytes(array(head, 4)) || length as usize > BODY_BYTES_MAX {
        return Head::Bad;
    }
    Head::Whole(HEAD_BYTES + length as usize + HASH_BYTES)
}

/// The `N` bytes at `at`, which the caller knows to exist.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}
