//! What a crash may cost: nothing that was acknowledged.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

const DIRECTORY: &str = "PERIHELION_TEST_AUDIT_DIRECTORY";

/// Runs one of the ignored tests below in a process of its own, with the signal for a
/// file that exceeds its limit ignored.
fn spawn(test: &str, directory: &Path) -> Child {
    let module = module_path!().split_once("::").unwrap().1;
    Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            &format!("{module}::{test}"),
        ])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn directory_of_child() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// A log of ten entries, closed; the path of its one file, and its bytes.
fn ten_entries(directory: &Path) -> (PathBuf, Vec<u8>) {
    let log = Log::open(Some(directory)).unwrap();
    fill(&log, 10);
    drop(log);
    let file = segment_files(directory).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    (file, bytes)
}

/// Where the last entry of a file of equal entries begins.
fn last_entry(bytes: &[u8]) -> usize {
    bytes.len() - (bytes.len() - segment::HEADER_BYTES as usize) / 10
}

#[track_caller]
fn assert_recovers(directory: &Path, entries: u64) {
    let log = Log::open(Some(directory)).unwrap();
    assert_eq!(log.head().unwrap().entries, entries);
    fill(&log, 2);
    let head = log.head().unwrap();
    assert_eq!((log.verify().unwrap(), head.entries), (head, entries + 2));
    drop(log);
    assert_eq!(verify(directory).unwrap(), head);
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for lines in [1, 50, 500] {
        let mut child = spawn("appends_until_killed", directory.path());
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let seqs = output
            .by_ref()
            .filter_map(|line| line.unwrap().parse::<u64>().ok());
        acknowledged = seqs.take(lines).last().unwrap().max(acknowledged);
        child.kill().unwrap();
        child.wait().unwrap();
        // It went on until it died.
        let seqs = output.filter_map(|line| line.unwrap().parse::<u64>().ok());
        acknowledged = seqs.max().unwrap_or(acknowledged);
        let log = Log::open(Some(directory.path())).unwrap();
        assert!(log.head().unwrap().entries >= acknowledged);
        assert_eq!(log.verify().unwrap(), log.head().unwrap());
    }
    assert!(acknowledged > 1000);
}

#[test]
#[ignore = "the process that another test kills"]
fn appends_until_killed() {
    let Some(directory) = directory_of_child() else {
        return;
    };
    let log = Log::open_with(Some(&directory), 50_000).unwrap();
    println!();
    loop {
        let seq = append(&log, &[record(&log), record(&log)], Durability::Written).unwrap();
        writeln!(std::io::stdout(), "{seq}").unwrap();
    }
}

#[test]
fn a_write_that_ends_halfway_is_undone() {
    let directory = tempfile::tempdir().unwrap();
    let output = spawn("appends_until_full", directory.path())
        .wait_with_output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let file = &segment_files(directory.path())[0];
    assert!(std::fs::metadata(file).unwrap().len() < 10_000);
    // Without opening it, which would repair it.
    let entries = verify(directory.path()).unwrap().entries;
    assert!(entries > 10);
    assert_recovers(directory.path(), entries);
}

#[test]
#[ignore = "the process that another test starts"]
fn appends_until_full() {
    let Some(directory) = directory_of_child() else {
        return;
    };
    let limit = rustix::process::Rlimit {
        current: Some(10_000),
        maximum: Some(10_000),
    };
    let log = Log::open(Some(&directory)).unwrap();
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    let error = (0..1000)
        .find_map(|_| append(&log, &[record(&log)], Durability::Written).err())
        .unwrap();
    assert_eq!(error.sqlstate(), SqlState::IO);
    let again = append(&log, &[record(&log)], Durability::Written).unwrap_err();
    assert_eq!(again.message(), "audit log cannot be written");
}

#[test]
fn an_incomplete_entry_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (file, bytes) = ten_entries(directory.path());
    for length in last_entry(&bytes)..bytes.len() {
        std::fs::write(&file, &bytes[..length]).unwrap();
        assert_recovers(directory.path(), 9);
        std::fs::write(&file, [&bytes, &bytes[last_entry(&bytes)..length]].concat()).unwrap();
        if length == last_entry(&bytes) {
            assert_recovers(directory.path(), 10);
        }
    }
}

#[test]
fn a_tail_that_was_never_written_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (file, bytes) = ten_entries(directory.path());
    for zeroes in [1, 7, 8, 40, 5000] {
        std::fs::write(&file, [&bytes[..], &vec![0; zeroes]].concat()).unwrap();
        assert_recovers(directory.path(), 10);
    }
    let start = last_entry(&bytes);
    let mut tail = bytes.clone();
    tail[start..].fill(0);
    std::fs::write(&file, &tail).unwrap();
    assert_recovers(directory.path(), 9);

    // An entry that reaches into a sector which holds zeroes.
    let log = Log::open(Some(directory.path())).unwrap();
    let detail = format!("\"{}\"", "x".repeat(2000));
    append(
        &log,
        &[Record {
            detail: Some(&detail),
            ..record(&log)
        }],
        Durability::Synced,
    )
    .unwrap();
    drop(log);
    let mut bytes = std::fs::read(&file).unwrap();
    let sector = (bytes.len() - 1000).next_multiple_of(512);
    bytes[sector..].fill(0);
    std::fs::write(&file, &bytes).unwrap();
    assert_recovers(directory.path(), 11);
}

#[test]
fn a_whole_entry_is_never_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (file, bytes) = ten_entries(directory.path());
    let start = last_entry(&bytes);
    assert!(
        bytes.len() % 512 > 32,
        "no sector begins within the last hash"
    );
    for offset in start..bytes.len() {
        for changed in [0, bytes[offset] ^ 1, bytes[offset] ^ 0x80] {
            let mut damaged = bytes.clone();
            damaged[offset] = changed;
            std::fs::write(&file, &damaged).unwrap();
            if changed != bytes[offset] {
                let error = Log::open(Some(directory.path())).err().unwrap();
                assert_eq!(error.message(), "audit log is damaged at entry 10");
            }
        }
    }
}

#[test]
fn a_segment_without_a_header_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    ten_entries(directory.path());
    let next = directory.path().join("00000000000000000011.log");
    for length in [0, 1, segment::HEADER_BYTES] {
        std::fs::write(&next, vec![0; length as usize]).unwrap();
        let log = Log::open_with(Some(directory.path()), 1).unwrap();
        assert_eq!(log.head().unwrap().entries, 10);
        assert!(!next.exists());
    }
    let log = Log::open_with(Some(directory.path()), 1).unwrap();
    fill(&log, 1);
    assert!(next.exists());
    drop(log);
    assert_eq!(verify(directory.path()).unwrap().entries, 11);
}
