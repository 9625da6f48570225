//! The files of the log: the only place here that opens, makes or removes one. What
//! follows a file's header is read by `reader.rs` and written by `writer.rs`.
//!
//! A log is a directory of segments. A segment is named after its first entry's seq
//! in 20 digits, `00000000000000000001.log`, and begins with a header (integers are
//! little-endian):
//!
//! | bytes | what                                                         |
//! |-------|--------------------------------------------------------------|
//! | 16    | `perihelion audit`                                           |
//! | 4     | format version, 1                                            |
//! | 8     | seq of the first entry                                       |
//! | 32    | hash of the entry before it, zeroes in the first segment     |
//! | 8     | timestamp of the entry before it, -2^63 in the first segment |
//!
//! Frames follow, as `entry.rs` describes them. A log without a directory has the
//! same segments in anonymous memory.

use super::entry::Position;
use super::reader::{Reader, array};
use crate::error::{Error, Result, SqlState};
use crate::guard::{Guard, Guards};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The length of a segment's header.
pub(super) const HEADER_BYTES: u64 = 68;

const MAGIC: &[u8; 16] = b"perihelion audit";
const FORMAT_VERSION: u32 = 1;

/// Where segments are made.
pub(super) enum Place {
    /// The handle holds the lock that keeps a second writer out.
    Directory {
        path: PathBuf,
        handle: File,
    },
    Memory,
}

/// A segment that can be read.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) first_seq: u64,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Path(PathBuf),
    Open(Arc<File>),
}

impl Place {
    /// Opens or makes the directory and locks it.
    pub(super) fn open(directory: Option<&Path>, guards: Guards) -> Result<Place> {
        let Some(path) = directory else {
            return Ok(Place::Memory);
        };
        let handle = open_directory(path).map_err(unreadable)?;
        if guards.holds(Guard::LogLock) {
            let alone = rustix::fs::FlockOperation::NonBlockingLockExclusive;
            rustix::fs::flock(&handle, alone).map_err(|error| {
                Error::new(SqlState::IN_USE, "audit log is in use").with_cause(error)
            })?;
        }
        Ok(Place::Directory {
            path: path.to_owned(),
            handle,
        })
    }

    /// The segments that exist, in order.
    pub(super) fn segments(&self) -> Result<Vec<Segment>> {
        match self {
            Place::Directory { path, .. } => list(path),
            Place::Memory => Ok(Vec::new()),
        }
    }

    /// Makes the segment that continues `position`; it is on disk when this returns.
    #[expect(clippy::disallowed_methods, reason = "the log's own files")]
    pub(super) fn create(&self, position: Position) -> io::Result<(Segment, Arc<File>)> {
        let first_seq = position.seq + 1;
        let (file, path) = match self {
            Place::Directory { path, .. } => {
                let path = path.join(format!("{first_seq:020}.log"));
                (
                    OpenOptions::new()
                        .read(true)
                        .append(true)
                        .create_new(true)
                        .mode(0o600)
                        .open(&path)?,
                    Some(path),
                )
            }
            Place::Memory => (open_memory()?, None),
        };
        (&file).write_all(&header(position))?;
        if let Place::Directory { handle, .. } = self {
            file.sync_all()?;
            handle.sync_all()?;
        }
        let file = Arc::new(file);
        let source = path.map_or_else(|| Source::Open(Arc::clone(&file)), Source::Path);
        Ok((Segment { first_seq, source }, file))
    }
}

/// A child process that is just being started shares the handle, so closing it here
/// would not always release the lock.
impl Drop for Place {
    fn drop(&mut self) {
        if let Place::Directory { handle, .. } = self {
            // If this fails, the lock ends with the last copy of the handle.
            let _ = rustix::fs::flock(handle, rustix::fs::FlockOperation::Unlock);
        }
    }
}

impl Segment {
    /// A segment in memory, of bytes that somebody may have changed.
    #[cfg(test)]
    pub(super) fn of_bytes(first_seq: u64, bytes: &[u8]) -> Segment {
        let file = open_memory().unwrap();
        (&file).write_all(bytes).unwrap();
        Segment {
            first_seq,
            source: Source::Open(Arc::new(file)),
        }
    }

    /// Opens it for appending.
    #[expect(clippy::disallowed_methods, reason = "the log's own files")]
    pub(super) fn open_append(&self) -> io::Result<Arc<File>> {
        match &self.source {
            Source::Path(path) => OpenOptions::new()
                .read(true)
                .append(true)
                .open(path)
                .map(Arc::new),
            Source::Open(file) => Ok(Arc::clone(file)),
        }
    }

    /// Reads the header, and then the frames up to `end` or the end of the file.
    /// None if the file ends within its header.
    #[expect(clippy::disallowed_methods, reason = "the log's own files")]
    pub(super) fn read(&self, end: Option<u64>) -> Result<Option<(Position, Reader)>> {
        let file = match &self.source {
            Source::Path(path) => Arc::new(File::open(path).map_err(unreadable)?),
            Source::Open(file) => Arc::clone(file),
        };
        let length = file.metadata().map_err(unreadable)?.len();
        let end = end.unwrap_or(length).min(length);
        let mut bytes = [0; HEADER_BYTES as usize];
        if end < HEADER_BYTES {
            return Ok(None);
        }
        file.read_exact_at(&mut bytes, 0).map_err(unreadable)?;
        if end == HEADER_BYTES && bytes == [0; HEADER_BYTES as usize] {
            return Ok(None);
        }
        let position = self.parse_header(&bytes)?;
        Ok(Some((position, Reader::new(file, HEADER_BYTES, end))))
    }

    /// Removes the file of a segment that never came to hold an entry.
    #[expect(clippy::disallowed_methods, reason = "the log's own files")]
    pub(super) fn remove(&self) -> io::Result<()> {
        match &self.source {
            Source::Path(path) => std::fs::remove_file(path),
            Source::Open(_) => Ok(()),
        }
    }

    fn parse_header(&self, bytes: &[u8; HEADER_BYTES as usize]) -> Result<Position> {
        let (magic, rest) = bytes.split_at(16);
        let version = u32::from_le_bytes(array(rest, 0));
        let first_seq = u64::from_le_bytes(array(rest, 4));
        let position = Position {
            seq: self.first_seq.saturating_sub(1),
            hash: array(rest, 12),
            timestamp: i64::from_le_bytes(array(rest, 44)),
        };
        if magic != MAGIC || version == 0 {
            return Err(damaged(self.first_seq, "its segment's header is not one"));
        }
        if version > FORMAT_VERSION {
            let message = format!("audit log has format {version}, newer than this version reads");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                .with_detail(format!("the format from entry {} on", self.first_seq)));
        }
        // Beyond the largest INTEGER there is no seq that SQL could show.
        if first_seq != self.first_seq || first_seq == 0 || first_seq > i64::MAX as u64 {
            return Err(damaged(
                self.first_seq,
                "its segment's name and header disagree",
            ));
        }
        Ok(position)
    }
}

/// The segments of a directory, in order. Other files in it are not the log's.
#[expect(clippy::disallowed_methods, reason = "the log's own files")]
pub(super) fn list(directory: &Path) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for file in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = file.map_err(unreadable)?.path();
        if let Some(first_seq) = path.file_name().and_then(|name| first_seq(name.to_str()?)) {
            segments.push(Segment {
                first_seq,
                source: Source::Path(path),
            });
        }
    }
    segments.sort_by_key(|segment| segment.first_seq);
    Ok(segments)
}

/// Damage to the log, by the first entry that does not verify.
pub(super) fn damaged(seq: u64, what: &str) -> Error {
    Error::new(
        SqlState::CORRUPTED,
        format!("audit log is damaged at entry {seq}"),
    )
    .with_detail(what)
}

/// The log's files cannot be read.
pub(super) fn unreadable(cause: impl std::fmt::Display) -> Error {
    Error::new(SqlState::IO, "audit log cannot be read").with_cause(cause)
}

/// The log's files cannot be written.
pub(super) fn unwritable(cause: impl std::fmt::Display) -> Error {
    Error::new(SqlState::IO, "audit log cannot be written").with_cause(cause)
}

fn first_seq(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

fn header(position: Position) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES as usize);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&(position.seq + 1).to_le_bytes());
    bytes.extend_from_slice(&position.hash);
    bytes.extend_from_slice(&position.timestamp.to_le_bytes());
    bytes
}

#[expect(clippy::disallowed_methods, reason = "the log's own directory")]
fn open_directory(path: &Path) -> io::Result<File> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            if let Some(parent) = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
            {
                File::open(parent)?.sync_all()?;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    File::open(path)
}

fn open_memory() -> io::Result<File> {
    let file = rustix::fs::memfd_create("perihelion-audit", rustix::fs::MemfdFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::APPEND)?;
    Ok(File::from(file))
}
