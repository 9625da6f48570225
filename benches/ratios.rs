//! Every case beside its floor, in turns in one run, against what is promised.
//!
//! `cargo bench --bench ratios [-- [--check] [name…]]`: with names, only the cases
//! whose names contain one of them (`many` is ten thousand functions); with `--check`,
//! a broken promise is a failure. Whatever else the machine does meets a case and its
//! floor alike, so the ratio or difference of each round is taken, and of those the
//! median.

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
        "{:22}{:>12}{:>12}{:>20}{:>18}",
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
    let each = |time: Duration| time.as_nanos() as f64 / case.batch as f64;
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    let (mut ratios, mut differences) = (Vec::new(), Vec::new());
    let start = Instant::now();
    // The first round warms both up.
    for round in 0..=ROUNDS {
        let our = each((case.perihelion)(case.batch));
        let floor = each((case.floor)(case.batch));
        if round > 0 {
            ours.push(our);
            floors.push(floor);
            ratios.push(our / floor);
            differences.push(our - floor);
        }
        if start.elapsed() > TIME {
            break;
        }
    }
    let (our, floor) = (median(ours), median(floors));
    let (ratio, difference) = (median(ratios), median(differences));
    let found = match case.bound {
        Bound::Above(_) => format!("{difference:+.0} ns"),
        _ => format!("{ratio:.2} times"),
    };
    let (bound, kept) = match case.bound {
        Bound::Ratio(most) => (format!("{most:.1} times"), ratio <= most),
        Bound::Above(most) => (
            format!("+{} ns", most.as_nanos()),
            difference <= most.as_nanos() as f64,
        ),
        Bound::AtMost(most) => (
            format!("{} ns", most.as_nanos()),
            our <= most.as_nanos() as f64,
        ),
        Bound::None => (String::new(), true),
    };
    row(
        case.name,
        &format!("{our:.0} ns"),
        &format!("{floor:.0} ns"),
        &found,
        &bound,
        kept,
    );
    kept
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
    println!("{name:22}{ours:>12}{floor:>12}{found:>20}{bound:>18}{verdict}");
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

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
