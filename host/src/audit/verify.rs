//! Recomputes a log from the bytes of its files alone: every seq, every time, every
//! link. Nothing that the log claims about itself is believed, and nothing is
//! repaired here.
//!
//! What this cannot find is what is missing from the end: a log that was cut after a
//! whole entry, or a directory put back as it was yesterday, is a correct log that
//! is shorter. Compare [`Verified`] with one that was kept elsewhere.

use super::entry::{Body, Entry, Position, link};
use super::reader::{Reader, Step};
use super::segment::{self, Segment, damaged};
use crate::error::Result;
use std::io;
use std::path::Path;

/// What a log consists of, after all of it was recomputed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The number of entries, which is the seq of the last.
    pub entries: u64,
    /// The hash of the last entry; zeroes if there is none.
    pub head: [u8; 32],
}

/// A log's segments as they were at one moment.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) segments: Vec<Segment>,
    /// Where the last segment ends; None is wherever its file does.
    pub(super) end: Option<u64>,
}

/// Reads one segment and checks each entry against the one before.
pub(super) struct Walk {
    reader: Reader,
    position: Position,
    /// Where the entry begins that was last asked for.
    offset: u64,
}

/// An entry that continues the one before it.
pub(super) struct Link<'a> {
    pub(super) body: Body<'a>,
    pub(super) prev_hash: [u8; 32],
    pub(super) hash: [u8; 32],
}

/// The entries of a snapshot from one seq on, read as they are asked for. After an
/// error there are no more.
pub(crate) struct Entries {
    segments: std::vec::IntoIter<Segment>,
    end: Option<u64>,
    from_seq: u64,
    walk: Option<Walk>,
    position: Option<Position>,
}

/// Verifies the log in a directory that no process is writing to.
///
/// An entry that a crash left incomplete is an error here; opening the log removes
/// it.
pub(crate) fn verify(directory: &Path) -> Result<Verified> {
    let segments = segment::list(directory)?;
    Snapshot {
        segments,
        end: None,
    }
    .verify()
}

impl Snapshot {
    pub(super) fn verify(self) -> Result<Verified> {
        let mut entries = self.entries(1);
        entries.position = Some(Position::START);
        while entries.advance(|_| ())?.is_some() {}
        let Position { seq, hash, .. } = entries.position.unwrap_or(Position::START);
        Ok(Verified {
            entries: seq,
            head: hash,
        })
    }

    /// The entries from `from_seq` on. Segments that end before it are not read.
    pub(super) fn entries(mut self, from_seq: u64) -> Entries {
        let before = self
            .segments
            .partition_point(|segment| segment.first_seq <= from_seq);
        self.segments.drain(..before.saturating_sub(1));
        Entries {
            segments: self.segments.into_iter(),
            end: self.end,
            from_seq,
            walk: None,
            position: None,
        }
    }
}

impl Walk {
    /// Begins a segment, which continues `expected` if that is known. None if a crash
    /// left its header incomplete.
    pub(super) fn new(
        segment: &Segment,
        end: Option<u64>,
        expected: Option<Position>,
    ) -> Result<Option<Walk>> {
        if let Some(expected) = expected.filter(|e| e.seq + 1 != segment.first_seq) {
            return Err(damaged(
                expected.seq + 1,
                "it is missing: no segment begins with it",
            ));
        }
        let Some((position, reader)) = segment.read(end)? else {
            return Ok(None);
        };
        if expected.is_some_and(|expected| expected != position) {
            return Err(damaged(
                segment.first_seq,
                "its segment does not continue the one before",
            ));
        }
        Ok(Some(Walk {
            offset: reader.offset(),
            reader,
            position,
        }))
    }

    /// Checks the next entry and gives it; None at the end of the segment.
    pub(super) fn next(&mut self) -> Result<Option<Link<'_>>> {
        let seq = self.position.seq + 1;
        self.offset = self.reader.offset();
        let (bytes, hash) = match self.reader.next()? {
            Step::Frame { body, hash } => (body, hash),
            Step::End => return Ok(None),
            Step::Incomplete => return Err(damaged(seq, "it is incomplete")),
            Step::BadLength => return Err(damaged(seq, "its length contradicts itself")),
        };
        let prev_hash = self.position.hash;
        if link(&prev_hash, bytes) != hash {
            return Err(damaged(
                seq,
                "its hash is not that of its bytes after the entry before",
            ));
        }
        let body = Body::decode(bytes).ok_or_else(|| damaged(seq, "its encoding is wrong"))?;
        if body.seq != seq || body.timestamp < self.position.timestamp {
            return Err(damaged(
                seq,
                "its seq or its time does not follow the entry before",
            ));
        }
        self.position = Position {
            seq,
            timestamp: body.timestamp,
            hash,
        };
        Ok(Some(Link {
            body,
            prev_hash,
            hash,
        }))
    }

    /// Where the chain stands after what was read.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Where in the file the last entry begins that `next` was asked for: one that it
    /// refused, or the end.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the entry that `next` refused is one that a crash left incomplete.
    pub(super) fn is_torn(&self) -> io::Result<bool> {
        self.reader.is_torn(self.offset)
    }
}

impl Entries {
    /// Moves to the next entry from `from_seq` on and gives what `take` makes of it.
    fn advance<T>(&mut self, take: impl Fn(Link<'_>) -> T) -> Result<Option<T>> {
        loop {
            let Some(walk) = &mut self.walk else {
                if !self.begin_segment()? {
                    return Ok(None);
                }
                continue;
            };
            match walk.next()? {
                Some(link) if link.body.seq >= self.from_seq => return Ok(Some(take(link))),
                Some(_) => {}
                None => {
                    self.position = Some(walk.position());
                    self.walk = None;
                }
            }
        }
    }

    fn begin_segment(&mut self) -> Result<bool> {
        let Some(segment) = self.segments.next() else {
            return Ok(false);
        };
        let end = self.end.filter(|_| self.segments.as_slice().is_empty());
        let walk = Walk::new(&segment, end, self.position)?;
        self.walk =
            Some(walk.ok_or_else(|| damaged(segment.first_seq, "its segment has no header"))?);
        Ok(true)
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        let next = self.advance(|link| link.body.to_entry(link.prev_hash, link.hash));
        if next.is_err() {
            self.walk = None;
            self.segments = Vec::new().into_iter();
        }
        next.transpose()
    }
}
