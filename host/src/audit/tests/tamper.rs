//! Every change to a log's files is found, and found where it begins.

use super::*;
use crate::audit::segment::Segment;

/// A log's files: the seq that each is named after, and its bytes.
#[derive(Clone)]
struct Files(Vec<(u64, Vec<u8>)>);

/// Where each entry begins in the one file of a log.
struct Frames(Vec<usize>);

impl Files {
    fn of(entries: u64, segment_bytes_max: u64) -> (Files, Verified) {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::open_with(Some(directory.path()), segment_bytes_max).unwrap();
        fill(&log, entries);
        let head = log.head().unwrap();
        drop(log);
        assert_eq!(verify(directory.path()).unwrap(), head);
        let read = |path: &PathBuf| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            (name.parse().unwrap(), std::fs::read(path).unwrap())
        };
        (
            Files(segment_files(directory.path()).iter().map(read).collect()),
            head,
        )
    }

    /// Verifies the files as if they lay in a directory.
    fn verify(&self) -> Result<Verified> {
        let mut segments: Vec<Segment> = self
            .0
            .iter()
            .map(|(seq, bytes)| Segment::of_bytes(*seq, bytes))
            .collect();
        segments.sort_by_key(|segment| segment.first_seq);
        Snapshot {
            segments,
            end: None,
        }
        .verify()
    }

    #[track_caller]
    fn assert_damaged(&self, seq: u64) {
        let error = self.verify().expect_err("the damage was not found");
        // A header that claims to be newer is refused for that.
        if error.sqlstate() == SqlState::FEATURE_NOT_SUPPORTED {
            assert_eq!(
                error.detail(),
                Some(format!("the format from entry {seq} on").as_str())
            );
        } else {
            assert_eq!(error.sqlstate(), SqlState::CORRUPTED);
            assert_eq!(
                error.message(),
                format!("audit log is damaged at entry {seq}")
            );
        }
    }
}

impl Frames {
    fn of(bytes: &[u8]) -> Frames {
        let mut starts = vec![segment::HEADER_BYTES as usize];
        while let Some(length) = bytes
            .get(starts[starts.len() - 1]..)
            .and_then(<[u8]>::first_chunk)
        {
            starts.push(starts[starts.len() - 1] + 8 + u32::from_le_bytes(*length) as usize + 32);
        }
        Frames(starts)
    }

    /// The entry with the byte at `offset`, of a file that begins with `first_seq`.
    fn seq(&self, first_seq: u64, offset: usize) -> u64 {
        let begun = self.0.iter().filter(|start| **start <= offset).count() as u64;
        first_seq + begun.saturating_sub(1)
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        self.0[index]..self.0[index + 1]
    }
}

/// Changes the one file of a log and expects the damage at the first byte that differs.
#[track_caller]
fn check(original: &Files, change: impl FnOnce(&mut Vec<u8>)) {
    let mut files = original.clone();
    change(&mut files.0[0].1);
    let (before, after) = (&original.0[0].1, &files.0[0].1);
    let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    if before.len() == same && after.len() == same {
        return;
    }
    files.assert_damaged(Frames::of(before).seq(1, same));
}

#[test]
fn a_changed_byte_is_found() {
    let (files, head) = Files::of(50, 2000);
    assert_eq!(files.verify().unwrap(), head);
    assert!(files.0.len() > 3);
    let mut first_seq = 1;
    for index in 0..files.0.len() {
        let bytes = files.0[index].1.clone();
        let frames = Frames::of(&bytes);
        for (offset, byte) in bytes.iter().enumerate() {
            let mut files = files.clone();
            for changed in [byte ^ 1, byte ^ 0x80, !byte, 0] {
                files.0[index].1[offset] = changed;
                if changed != *byte {
                    files.assert_damaged(frames.seq(first_seq, offset));
                }
            }
        }
        first_seq += frames.0.len() as u64 - 1;
    }
    assert_eq!(first_seq, 51);
}

#[test]
fn a_missing_or_inserted_byte_is_found() {
    let (files, _) = Files::of(50, u64::MAX);
    for offset in 0..files.0[0].1.len() {
        check(&files, |bytes| {
            bytes.remove(offset);
        });
        check(&files, |bytes| bytes.insert(offset, 0));
        check(&files, |bytes| bytes.insert(offset, bytes[offset]));
    }
    check(&files, |bytes| bytes.push(0));
    check(&files, |bytes| bytes.extend_from_slice(&[0; 4096]));
}

#[test]
fn missing_repeated_and_exchanged_entries_are_found() {
    let (files, _) = Files::of(50, u64::MAX);
    let frames = Frames::of(&files.0[0].1);
    for index in 0..50 {
        let range = frames.range(index);
        if index < 49 {
            check(&files, |bytes| drop(bytes.drain(range.clone())));
        }
        for other in 0..50 {
            let (copy, to) = (files.0[0].1[range.clone()].to_vec(), frames.range(other));
            let mut exchanged = files.0[0].1[to.clone()].to_vec();
            check(&files, |bytes| {
                drop(bytes.splice(to.start..to.start, copy.clone()))
            });
            check(&files, |bytes| {
                bytes.splice(to.clone(), copy).for_each(drop)
            });
            if index < other {
                check(&files, |bytes| {
                    let moved = bytes
                        .splice(to, bytes[range.clone()].to_vec())
                        .collect::<Vec<_>>();
                    exchanged.clone_from(&moved);
                    bytes.splice(range.clone(), exchanged).for_each(drop);
                });
            }
        }
    }
}

#[test]
fn a_cut_within_an_entry_is_found() {
    let (files, _) = Files::of(50, u64::MAX);
    let frames = Frames::of(&files.0[0].1);
    for length in 0..files.0[0].1.len() {
        if !frames.0.contains(&length) {
            check(&files, |bytes| bytes.truncate(length));
        }
    }
}

/// The file alone cannot show it: only what was kept elsewhere can.
#[test]
fn a_cut_between_entries_is_found_against_a_kept_head() {
    let (files, head) = Files::of(50, 2000);
    let mut cut = files.clone();
    let (mut entries, mut heads) = (50, vec![head]);
    while let Some((name, bytes)) = cut.0.pop() {
        for length in Frames::of(&bytes).0.into_iter().rev() {
            let mut cut = cut.clone();
            cut.0.push((name, bytes[..length].to_vec()));
            let verified = cut.verify().unwrap();
            assert_eq!(verified.entries, entries);
            if entries < 50 && length > segment::HEADER_BYTES as usize {
                assert!(!heads.contains(&verified));
                heads.push(verified);
            }
            entries -= u64::from(length > segment::HEADER_BYTES as usize);
        }
    }
    assert_eq!((entries, heads.len()), (0, 50));
}

#[test]
fn missing_and_exchanged_segments_are_found() {
    let (files, _) = Files::of(50, 2000);
    for index in 0..files.0.len() - 1 {
        let mut changed = files.clone();
        changed.0.remove(index);
        changed.assert_damaged(files.0[index].0);
        let mut changed = files.clone();
        changed.0[index].1 = files.0[index + 1].1.clone();
        changed.assert_damaged(files.0[index].0);
        let mut changed = files.clone();
        changed.0[index + 1].0 = 99;
        changed.assert_damaged(files.0[index + 1].0);
        // A whole log of its own in the place of a segment.
        let (other, _) = Files::of(50, 2000);
        let mut changed = files.clone();
        changed.0[index + 1].1 = other.0[index + 1].1.clone();
        changed.assert_damaged(files.0[index + 1].0);
    }
}

#[test]
fn reading_stops_at_damage() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(Some(directory.path())).unwrap();
    fill(&log, 50);
    let file = &segment_files(directory.path())[0];
    let mut bytes = std::fs::read(file).unwrap();
    let frame = Frames::of(&bytes).range(29);
    bytes[frame.start + 40] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let mut entries = log.entries(1).unwrap();
    assert_eq!(
        entries.by_ref().take_while(|entry| entry.is_ok()).count(),
        29
    );
    assert!(entries.next().is_none());
    assert_eq!(
        log.verify().unwrap_err().message(),
        "audit log is damaged at entry 30"
    );
}

#[test]
fn a_seq_that_sql_could_not_show_is_refused() {
    let (files, _) = Files::of(1, u64::MAX);
    for first_seq in [0, 1 << 63, u64::MAX] {
        let directory = tempfile::tempdir().unwrap();
        let mut bytes = files.0[0].1.clone();
        bytes[20..28].copy_from_slice(&u64::to_le_bytes(first_seq));
        std::fs::write(directory.path().join(format!("{first_seq:020}.log")), bytes).unwrap();
        let error = Log::open(Some(directory.path())).err().unwrap();
        assert_eq!(
            error.message(),
            format!("audit log is damaged at entry {first_seq}")
        );
        assert!(verify(directory.path()).is_err());
    }
}
