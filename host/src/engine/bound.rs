//! How large the directory of compiled code gets: what was not used for longest is
//! removed. Other processes may do the same in the same directory at the same time, so
//! a file may be gone at any moment; whoever misses one compiles anew.

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A file of compiled code.
struct Artefact {
    path: PathBuf,
    bytes: u64,
    used_at: SystemTime,
}

/// No write takes as long: an unfinished file that is older has no writer any more.
const UNFINISHED_TIME: Duration = Duration::from_secs(3_600);

/// Removes files until those that are left have at most so many bytes, but none that
/// stays.
pub(super) fn bound(
    directory: &Path,
    bytes_max: u64,
    stays: impl Fn(&Path) -> bool,
) -> io::Result<()> {
    let mut files = artefacts(directory)?;
    files.sort_by_key(|file| file.used_at);
    let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
    for file in files {
        if bytes <= bytes_max {
            break;
        }
        if !stays(&file.path) {
            remove(&file.path)?;
            bytes -= file.bytes;
        }
    }
    Ok(())
}

/// Says that a file was used now. If it cannot be said, the file goes earlier.
pub(super) fn touch(path: &Path) {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}

/// The files of compiled code. What a killed process left unfinished is removed.
#[expect(clippy::disallowed_methods, reason = "the cache's own directory")]
fn artefacts(directory: &Path) -> io::Result<Vec<Artefact>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let metadata = match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => continue,
        };
        let used_at = metadata.modified()?;
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension {
            Some("cwasm") => files.push(Artefact {
                bytes: metadata.len(),
                used_at,
                path,
            }),
            Some("tmp") if is_old(used_at) => remove(&path)?,
            _ => {}
        }
    }
    Ok(files)
}

#[expect(clippy::disallowed_methods, reason = "the age of a file")]
fn is_old(used_at: SystemTime) -> bool {
    let age = SystemTime::now().duration_since(used_at);
    age.is_ok_and(|age| age > UNFINISHED_TIME)
}

/// Another process may have been faster.
#[expect(clippy::disallowed_methods, reason = "the cache's own files")]
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
