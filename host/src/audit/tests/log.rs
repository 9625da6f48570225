//! Appending, reading and syncing.

use super::*;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::time::Instant;

#[test]
fn entries_come_back_as_they_were_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(Some(directory.path())).unwrap();
    let first = record(&log);
    let second = Record {
        event: EventType::ExecutionStarted,
        function_version: None,
        capability: None,
        target: None,
        allowed: None,
        detail: None,
        ..record(&log)
    };
    assert_eq!(
        append(&log, &[first, second], Durability::Synced).unwrap(),
        2
    );
    let entries = all(&log);
    assert_eq!((entries[0].seq, entries[1].seq), (1, 2));
    assert_eq!(entries[0].execution_id, "0-1");
    assert_eq!(entries[0].function_name, "transfer_funds");
    assert_eq!(entries[0].function_version, Some(3));
    assert_eq!(entries[0].caller, "alice");
    assert_eq!(entries[0].event_type, EventType::CapabilityCheck);
    assert_eq!(entries[0].capability.as_deref(), Some("DATABASE_READ"));
    assert_eq!(entries[0].target.as_deref(), Some("main.accounts"));
    assert_eq!(entries[0].allowed, Some(true));
    assert_eq!(entries[0].detail.as_deref(), Some(r#"{"uses":1}"#));
    assert_eq!(entries[0].prev_hash, [0; 32]);
    assert_eq!(entries[1].prev_hash, entries[0].hash);
    assert!(entries[1].timestamp > entries[0].timestamp);
    assert_eq!(entries[1].event_type, EventType::ExecutionStarted);
    assert_eq!(entries[1].function_version, None);
    assert_eq!(entries[1].capability, None);
    assert_eq!(entries[1].target, None);
    assert_eq!(entries[1].allowed, None);
    assert_eq!(entries[1].detail, None);
    assert_eq!(
        log.verify().unwrap(),
        Verified {
            entries: 2,
            head: entries[1].hash
        }
    );
}

#[test]
fn a_batch_is_empty_after_it_is_appended() {
    let log = Log::open(None).unwrap();
    let mut batch = Batch::new();
    assert_eq!(batch.len(), 0);
    batch.push(&record(&log));
    assert_eq!(batch.len(), 1);
    assert_eq!(log.append(&mut batch, Durability::Synced).unwrap(), 1);
    assert_eq!(batch.len(), 0);
    assert_eq!(log.append(&mut batch, Durability::Synced).unwrap(), 1);
    batch.push(&record(&log));
    batch.clear();
    assert_eq!(batch.len(), 0);
    assert_eq!(log.append(&mut batch, Durability::Written).unwrap(), 1);
}

#[test]
fn a_log_goes_on_where_it_was_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit");
    let (mut ids, mut timestamp) = (Vec::new(), i64::MIN);
    for opened in 0..4 {
        // The third time finds a last segment without entries.
        let log = Log::open_with(Some(&path), if opened == 2 { 1 } else { 800 }).unwrap();
        assert_eq!(log.head().unwrap().entries, opened * 5);
        fill(&log, 5);
        ids.push(log.next_execution_id().to_string());
        let entries = all(&log);
        assert!(entries[(opened * 5) as usize].timestamp > timestamp);
        timestamp = entries.last().unwrap().timestamp;
        let head = log.head().unwrap();
        assert_eq!(
            (log.verify().unwrap(), head.entries),
            (head, opened * 5 + 5)
        );
        drop(log);
        assert_eq!(verify(&path).unwrap(), head);
    }
    assert_eq!(ids, ["0-6", "5-6", "a-6", "f-6"]);
}

#[test]
fn only_the_owner_can_read_the_files_and_one_process_has_them_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit");
    let log = Log::open(Some(&path)).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&segment_files(&path)[0]), 0o600);
    assert!(segment_files(&path)[0].ends_with("00000000000000000001.log"));
    let second = Log::open(Some(&path)).err().unwrap();
    assert_eq!(second.sqlstate(), SqlState::IN_USE);
    drop(log);
    Log::open(Some(&path)).unwrap();
}

#[test]
fn segments_are_read_from_any_entry_on() {
    let directory = tempfile::tempdir().unwrap();
    for place in [Some(directory.path()), None] {
        let log = Log::open_with(place, 1000).unwrap();
        fill(&log, 50);
        let snapshot = log.entries(0).unwrap();
        for from in 1..=52 {
            let seqs: Vec<u64> = log.entries(from).unwrap().map(|e| e.unwrap().seq).collect();
            assert_eq!(seqs, (from..=50).collect::<Vec<_>>());
        }
        fill(&log, 1);
        assert_eq!(snapshot.count(), 50, "what is appended later is not seen");
    }
    assert!(segment_files(directory.path()).len() > 5);
}

#[test]
fn threads_append_to_one_chain() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open_with(Some(directory.path()), 100_000).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    append(&log, &[record(&log), record(&log)], Durability::Written).unwrap();
                }
            });
        }
    });
    let head = log.head().unwrap();
    assert_eq!(head.entries, 16_000);
    assert_eq!(log.verify().unwrap(), head);
    let mut ids: Vec<_> = all(&log)
        .into_iter()
        .map(|entry| entry.execution_id)
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 16_000);
    drop(log);
    assert_eq!(verify(directory.path()).unwrap(), head);
}

#[test]
fn waiting_threads_share_a_sync() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(Some(directory.path())).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let seq = append(&log, &[record(&log)], Durability::Synced).unwrap();
                    assert!(log.shared.lock().unwrap().synced_seq >= seq);
                }
            });
        }
    });
    let syncs = log.shared.lock().unwrap().sync_count;
    assert!(syncs < 320, "{syncs} syncs for 320 appends");
}

#[test]
fn what_is_written_is_synced_soon() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(Some(directory.path())).unwrap();
    // The second time finds the syncing thread asleep.
    for _ in 0..2 {
        let seq = append(&log, &[record(&log)], Durability::Written).unwrap();
        let start = Instant::now();
        while log.shared.lock().unwrap().synced_seq < seq {
            assert!(start.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(1));
        }
        while !log.shared.lock().unwrap().syncer_asleep {
            assert!(start.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn after_a_failed_write_the_log_takes_no_more() {
    for place in [Some(tempfile::tempdir().unwrap().path()), None] {
        let log = Log::open(place).unwrap();
        fill(&log, 3);
        let head = log.head().unwrap();
        // A device that is always full.
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let file = log
            .shared
            .lock()
            .unwrap()
            .writer
            .replace_file(Arc::new(full));
        for durability in [Durability::Written, Durability::Synced, Durability::Written] {
            let error = append(&log, &[record(&log)], durability).unwrap_err();
            assert_eq!(error.sqlstate(), SqlState::IO);
            assert_eq!(error.message(), "audit log cannot be written");
            assert!(
                error.cause().unwrap().contains("No space left"),
                "{error:?}"
            );
            // The disk has space again, but who knows what it holds.
            log.shared
                .lock()
                .unwrap()
                .writer
                .replace_file(Arc::clone(&file));
        }
        assert_eq!(log.verify().unwrap(), head);
    }
}

#[test]
fn after_a_failed_sync_the_log_takes_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(Some(directory.path())).unwrap();
    // Takes writes, but has no disk to sync.
    let (_reader, pipe) = std::io::pipe().unwrap();
    let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(pipe));
    log.shared
        .lock()
        .unwrap()
        .writer
        .replace_file(Arc::new(pipe));
    for _ in 0..2 {
        let error = append(&log, &[record(&log)], Durability::Synced).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::IO);
    }
    let error = append(&log, &[record(&log)], Durability::Written).unwrap_err();
    assert_eq!(error.message(), "audit log cannot be written");
}

#[test]
fn after_a_panic_the_log_takes_no_more() {
    let log = Log::open(None).unwrap();
    let held = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let _state = log.shared.lock().unwrap();
                panic!("as a bug would");
            })
            .join()
    });
    assert!(held.is_err());
    let error = append(&log, &[record(&log)], Durability::Written).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::IO);
    assert!(log.verify().is_err());
}

#[test]
fn a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Log::open(Some(directory.path())).unwrap());
    let file = &segment_files(directory.path())[0];
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(&[2], 16).unwrap();
    for error in [
        Log::open(Some(directory.path())).err().unwrap(),
        verify(directory.path()).unwrap_err(),
    ] {
        assert_eq!(error.sqlstate(), SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(
            error.message(),
            "audit log has format 2, newer than this version reads"
        );
    }
}
