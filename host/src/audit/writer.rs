//! Writes batches to the end of the last segment. It does not decide when what it has
//! written is synced, except where a segment ends, and knows no other threads.

use super::batch::Batch;
use super::entry::Position;
use super::segment::{HEADER_BYTES, Place, Segment, unreadable, unwritable};
use super::verify::{Snapshot, Walk};
use crate::error::{Result, SqlState};
use crate::guard::Guards;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The end of a log, after which no other process writes.
pub(super) struct Writer {
    place: Place,
    segments: Vec<Segment>,
    segment_bytes_max: u64,
    tail: Tail,
}

/// The last segment, and how far it is written.
struct Tail {
    file: Arc<File>,
    bytes: u64,
    position: Position,
}

impl Writer {
    pub(super) fn open(
        directory: Option<&Path>,
        segment_bytes_max: u64,
        guards: Guards,
    ) -> Result<Writer> {
        let place = Place::open(directory, guards)?;
        let mut segments = place.segments()?;
        let tail = match recover(&mut segments)? {
            Some(tail) => tail,
            None => {
                let (segment, file) = place.create(Position::START).map_err(unwritable)?;
                segments.push(segment);
                Tail {
                    file,
                    bytes: HEADER_BYTES,
                    position: Position::START,
                }
            }
        };
        Ok(Writer {
            place,
            segments,
            segment_bytes_max,
            tail,
        })
    }

    /// Where the chain stands.
    pub(super) fn position(&self) -> Position {
        self.tail.position
    }

    /// The file whose sync puts everything that was written on disk.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.tail.file)
    }

    /// Puts another file in the place of the last segment's, to make writing fail.
    #[cfg(test)]
    pub(super) fn replace_file(&mut self, file: Arc<File>) -> Arc<File> {
        std::mem::replace(&mut self.tail.file, file)
    }

    /// The log as it is now.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            segments: self.segments.clone(),
            end: Some(self.tail.bytes),
        }
    }

    /// Appends the batch, which is empty afterwards. After an error nothing more may
    /// be appended.
    pub(super) fn append(&mut self, batch: &mut Batch) -> io::Result<()> {
        let bytes = self.tail.bytes + batch.bytes().len() as u64;
        if bytes > self.segment_bytes_max && self.tail.bytes > HEADER_BYTES {
            self.begin_segment()?;
        }
        let position = batch.seal(self.tail.position, now_microseconds());
        self.write(batch.bytes())?;
        self.tail.position = position;
        batch.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = (&*self.tail.file).write_all(bytes) {
            // Nobody was told of a part that was written. If it cannot be removed
            // here, opening the log removes what is not a whole entry.
            let _ = self.tail.file.set_len(self.tail.bytes);
            return Err(error);
        }
        self.tail.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Ends the last segment, on disk, and begins the next: of all segments only the
    /// last can ever have an incomplete end. The caller waits for two syncs here, once
    /// in tens of thousands of entries.
    fn begin_segment(&mut self) -> io::Result<()> {
        self.tail.file.sync_data()?;
        let (segment, file) = self.place.create(self.tail.position)?;
        self.segments.push(segment);
        self.tail = Tail {
            file,
            bytes: HEADER_BYTES,
            position: self.tail.position,
        };
        Ok(())
    }
}

/// Checks the last segment and removes what a crash left incomplete: an entry at its
/// end, or a segment that ends within its header.
fn recover(segments: &mut Vec<Segment>) -> Result<Option<Tail>> {
    while let Some(last) = segments.last() {
        if let Some(walk) = Walk::new(last, None, None)? {
            return recover_tail(last, walk).map(Some);
        }
        last.remove().map_err(unwritable)?;
        segments.pop();
    }
    Ok(None)
}

fn recover_tail(segment: &Segment, mut walk: Walk) -> Result<Tail> {
    let torn = loop {
        match walk.next() {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(error) if error.sqlstate() != SqlState::CORRUPTED => return Err(error),
            Err(error) => match walk.is_torn().map_err(unreadable)? {
                true => break true,
                false => return Err(error),
            },
        }
    };
    let file = segment.open_append().map_err(unwritable)?;
    if torn {
        file.set_len(walk.offset()).map_err(unwritable)?;
    }
    // A killed process may have left entries that no disk has seen.
    file.sync_data().map_err(unwritable)?;
    Ok(Tail {
        file,
        bytes: walk.offset(),
        position: walk.position(),
    })
}

/// The only place where the log reads a clock.
#[expect(clippy::disallowed_methods, reason = "the time of entries")]
pub(crate) fn now_microseconds() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
