//! Every case beside its floor, in turns in one run, against what is promised.
//!
//! `cargo bench --bench ratios [-- [--check] [name…]]`: with names, only the cases
//! whose names contain one of them (`many` is ten thousand functions); with `--check`,
//! a broken promise is a failure.
//!
//! Whatever else the machine does meets a case and its floor alike, so a ratio is that
//! of each round, and of those the median. Times have no such remedy: those shown, and
//! compared with a promise in time, are each side's tenth percentile, which is the
//! machine when it does little else.

use perihelion_benches::many::{self, Seen};
use perihelion_benches::{Bound, Case, cases};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// The rounds of a case, as far as its time allows.
const ROUNDS: usize = 200;
const TIME: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    match &arguments[..] {
        [command, directory] if command == "--create" => {
            return say(many::create(directory.as_ref()));
        }
        [command, directory] if command == "--first-call" => {
            return say(many::first_call(directory.as_ref()));
        }
        _ => {}
    }
    let names: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| name.contains(n.as_str()));
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    println!(
        "{:22}{:>12}{:>12}{:>20}{:>20}",
        "case", "ours", "floor", "", "bound"
    );
    let mut kept = true;
    for mut case in cases(directory.path()) {
        if wanted(case.name) {
            kept &= compare(&mut case);
        }
    }
    if wanted("many") {
        kept &= ten_thousand(&directory.path().join("many"));
    }
    let check = arguments.iter().any(|argument| argument == "--check");
    ExitCode::from(u8::from(check && !kept))
}

/// Measures a case and its floor in turns; prints the row; whether the bound is kept.
fn compare(case: &mut Case) -> bool {
    let rounds = measure(case);
    let our = percentile(rounds.iter().map(|(our, _)| *our), 10);
    let floor = percentile(rounds.iter().map(|(_, floor)| *floor), 10);
    let ratio = percentile(rounds.iter().map(|(our, floor)| our / floor), 50);
    let found = match case.bound {
        Bound::Above(_) => format!("{:+.0} ns", our - floor),
        _ => format!("{ratio:.2} times"),
    };
    let (bound, kept) = match case.bound {
        Bound::Ratio(most) => (format!("{most:.2} times"), ratio <= most),
        Bound::Above(most) => {
            let most = most.as_nanos() as f64;
            (format!("+{most} ns"), our - floor <= most)
        }
        Bound::RatioAndAbove(times, above) => {
            let most = times * floor + above.as_nanos() as f64;
            let text = format!("{times:.1} times +{} ns", above.as_nanos());
            (text, our <= most)
        }
        Bound::AtMost(most) => {
            let most = most.as_nanos() as f64;
            (format!("{most} ns"), our <= most)
        }
        Bound::None => (String::new(), true),
    };
    let [our, floor] = [our, floor].map(|ns| format!("{ns:.0} ns"));
    row(case.name, &our, &floor, &found, &bound, kept);
    kept
}

/// What each round took, in nanoseconds each time: the case, and its floor.
fn measure(case: &mut Case) -> Vec<(f64, f64)> {
    let each = |time: Duration| time.as_nanos() as f64 / case.batch as f64;
    let start = Instant::now();
    let mut rounds = Vec::with_capacity(1 + ROUNDS);
    while rounds.len() <= ROUNDS && (rounds.len() < 2 || start.elapsed() < TIME) {
        let our = each((case.perihelion)(case.batch));
        rounds.push((our, each((case.floor)(case.batch))));
    }
    // The first warms both up.
    rounds.split_off(1)
}

/// Each part in a process of its own, so that its memory is the functions' alone.
fn ten_thousand(directory: &Path) -> bool {
    let created = in_a_process("--create", directory);
    let opened = in_a_process("--first-call", directory);
    [
        limit("many/create", created.time.as_millis(), "ms", 60_000),
        limit(
            "many/memory",
            u128::from(created.memory_bytes >> 20),
            "MiB",
            300,
        ),
        limit("many/restart", opened.time.as_millis(), "ms", 1_000),
        limit(
            "many/restart memory",
            u128::from(opened.memory_bytes >> 20),
            "MiB",
            300,
        ),
    ]
    .iter()
    .all(|kept| *kept)
}

fn limit(name: &str, found: u128, unit: &str, most: u128) -> bool {
    let text = |amount| format!("{amount} {unit}");
    row(name, &text(found), "", "", &text(most), found <= most);
    found <= most
}

fn row(name: &str, ours: &str, floor: &str, found: &str, bound: &str, kept: bool) {
    let verdict = if kept { "" } else { "  BROKEN" };
    println!("{name:22}{ours:>12}{floor:>12}{found:>20}{bound:>20}{verdict}");
}

fn in_a_process(command: &str, directory: &Path) -> Seen {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).arg(command).arg(directory).output();
    let output = output.expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    match numbers[..] {
        [microseconds, memory_bytes] => Seen {
            time: Duration::from_micros(microseconds),
            memory_bytes,
        },
        _ => panic!("{text}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn say(seen: Seen) -> ExitCode {
    println!("{} {}", seen.time.as_micros(), seen.memory_bytes);
    ExitCode::SUCCESS
}

fn percentile(numbers: impl Iterator<Item = f64>, percent: usize) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() * percent / 100]
}
