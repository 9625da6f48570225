//! What an append costs, beside its parts and beside a bare write(2) of as many bytes.
//!
//! Not a test: `cargo test --release -- --ignored --nocapture audit::tests::cost`. Set
//! `TMPDIR` to choose the disk. Contenders take turns of a few calls, so that other
//! load on the machine meets all alike; the lowest percentile is the quiet machine.

use super::*;
use std::hint::black_box;
use std::time::Instant;

/// A name, and what is measured under it.
type Contender<'a> = (&'a str, Box<dyn FnMut(&mut Batch) + 'a>);

const CALLS: usize = 20;
const TURNS: usize = 3000;

#[test]
#[ignore = "measures, and asserts nothing"]
fn two_entries() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(Some(&directory.path().join("audit"))).unwrap();
    let memory = Log::open(None).unwrap();
    let detail = r#"{"arguments":3,"policy":"default","purpose":"monthly statement of account","mode":"reading"}"#;
    let started = Record {
        event: EventType::ExecutionStarted,
        detail: Some(detail),
        ..record(&log)
    };
    let completed = Record {
        event: EventType::ExecutionCompleted,
        ..started
    };
    let push = |batch: &mut Batch| {
        batch.push(&started);
        batch.push(&completed);
    };
    let mut batch = Batch::new();
    push(&mut batch);
    let bytes = batch.bytes().to_vec();
    batch.clear();
    let bare = directory.path().join("bare");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(bare)
        .unwrap();
    let mut contenders: [Contender<'_>; 5] = [
        (
            "bare write(2)",
            Box::new(|_| std::io::Write::write_all(&mut &file, &bytes).unwrap()),
        ),
        (
            "push",
            Box::new(|batch| {
                push(batch);
                black_box(batch).clear();
            }),
        ),
        (
            "push, seal",
            Box::new(|batch| {
                push(batch);
                black_box(batch.seal(Position::START, 1));
                batch.clear();
            }),
        ),
        (
            "push, append",
            Box::new(|batch| {
                push(batch);
                log.append(batch, Durability::Written).unwrap();
            }),
        ),
        (
            "push, append in memory",
            Box::new(|batch| {
                push(batch);
                memory.append(batch, Durability::Written).unwrap();
            }),
        ),
    ];
    let mut times = [const { Vec::new() }; 5];
    for _ in 0..TURNS {
        for ((_, call), times) in contenders.iter_mut().zip(&mut times) {
            let start = Instant::now();
            (0..CALLS).for_each(|_| call(&mut batch));
            times.push(start.elapsed().as_nanos() as usize / CALLS);
        }
    }
    println!(
        "{} bytes in {}, nanoseconds:",
        bytes.len(),
        directory.path().display()
    );
    for ((name, _), times) in contenders.iter().zip(&mut times) {
        times.sort();
        let [p1, p10, p50, p90, p99] = [1, 10, 50, 90, 99].map(|at| times[at * TURNS / 100]);
        println!("{name:24} p1 {p1:5}  p10 {p10:5}  p50 {p50:5}  p90 {p90:5}  p99 {p99:7}");
    }
    let start = Instant::now();
    for _ in 0..200 {
        push(&mut batch);
        log.append(&mut batch, Durability::Synced).unwrap();
    }
    println!(
        "synced, one caller: {} us",
        start.elapsed().as_micros() / 200
    );
    let start = Instant::now();
    let verified = log.verify().unwrap();
    let each = start.elapsed().as_nanos() / u128::from(verified.entries);
    println!(
        "verifying {each} an entry; {} syncs",
        log.shared.lock().unwrap().sync_count
    );
}
