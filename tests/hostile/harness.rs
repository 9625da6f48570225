//! Runs a group's attacks one by one, and looks at everything that an attack must not
//! have changed. What is wrong is gathered, so that one run shows all of it.

use super::attack::{Attack, CPU_TIME_MS, Ending, Guest};
use super::neighbour::{Neighbour, median};
use super::process::{self, Held};
use super::wat;
use super::world::{World, entries_since, last_entry};
use crate::support::guest;
use perihelion::{Error, Notice, Outcome, Value};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

const GROUP: &str = "PERIHELION_TEST_ATTACKS";

/// What no reply, message or entry may hold: it stands in a table that nothing may read,
/// and in the name of the vault's directory.
pub(super) const CANARY: &str = "CANARY-";

/// What the process may keep of an attack: the allocator's, and the pool's warm pages.
const KEPT_MIB_MAX: u64 = 48;

/// A component's memory image, which is kept together with its compiled code.
const KEPT_DESCRIPTORS_MAX: usize = 1;

/// The time until the process must have given everything back.
const SETTLE_TIME: Duration = Duration::from_secs(3);

/// Beyond its CPU time: the way from the limit to its end.
const CPU_MARGIN: Duration = Duration::from_millis(150);
const WALL_MARGIN: Duration = Duration::from_secs(1);

/// A reply's texts, without rows.
const REPLY_BYTES_MAX: usize = 64 << 10;
const NOTICES_BYTES_MAX: usize = 1 << 20;

/// Fewer calls of the neighbour say nothing.
const LATENCIES_MIN: usize = 50;

/// What a well-behaved call may take beside an attack, in shares of what it takes beside
/// a computation; and how often an attack may be tried until it shows that, since the
/// machine does other things too.
const SLOWDOWN_MAX: f64 = 2.0;
const ATTEMPTS: usize = 4;

/// What came of an attack.
struct Seen {
    outcome: Result<Outcome, Error>,
    notices: Vec<Notice>,
    entries: Vec<super::world::Entry>,
    cpu_time: Duration,
    wall_time: Duration,
    before: Held,
    peak_mib: u64,
    slowdown: Option<f64>,
}

/// Runs a group in a process of its own.
pub(super) fn run_in_a_process(group: &str) {
    // Built here, so that what cargo says is not mistaken for a failure.
    guest("hostile_guest");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hostile::group", "--ignored", "--nocapture"])
        .env(GROUP, group)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains(DONE),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{said}");
}

/// The last line of a group's process: the test of another name would succeed too.
const DONE: &str = "every attack ended as it should";

pub(super) fn group_of_this_process() -> Option<String> {
    std::env::var(GROUP).ok()
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts the panics of every thread, caught ones too.
pub(super) fn count_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, SeqCst);
        before(panic);
    }));
}

pub(super) fn panics() -> usize {
    PANICS.load(SeqCst)
}

pub(super) fn run_group(attacks: &[Attack]) {
    count_panics();
    let neighbour = Neighbour::start();
    // What the first calls of a process build once is no attack's doing.
    attempt(&attacks[0], &neighbour);
    let mut all = Vec::new();
    for attack in attacks {
        let begun = Instant::now();
        let (summary, complaints) = try_until_fast(attack, &neighbour);
        println!(
            "{:7.0?} ms  {}  {summary}",
            begun.elapsed().as_millis(),
            attack.name
        );
        for complaint in complaints {
            println!("            {complaint}");
            all.push(format!("{}: {complaint}", attack.name));
        }
    }
    drop(neighbour);
    assert!(all.is_empty(), "{} complaints", all.len());
    report_success();
}

pub(super) fn report_success() {
    println!("{DONE}");
}

fn try_until_fast(attack: &Attack, neighbour: &Neighbour) -> (String, Vec<String>) {
    let mut slowdowns = Vec::new();
    loop {
        let (slowdown, summary, mut complaints) = attempt(attack, neighbour);
        let Some(slowdown) = slowdown.filter(|slowdown| *slowdown > SLOWDOWN_MAX) else {
            return (summary, complaints);
        };
        slowdowns.push(format!("{slowdown:.1}"));
        if slowdowns.len() == ATTEMPTS || !complaints.is_empty() {
            complaints.push(format!("it slowed another down {}", slowdowns.join(", ")));
            return (summary, complaints);
        }
    }
}

/// Runs an attack in a new vault, and says what is wrong afterwards.
fn attempt(attack: &Attack, neighbour: &Neighbour) -> (Option<f64>, String, Vec<String>) {
    let mut world = World::new();
    let panics_before = panics();
    let files = tempfile::tempdir().unwrap();
    let created = create(attack, &mut world, files.path());
    let mut complaints = Vec::new();
    let mut summary = String::new();
    let mut slowdown = None;
    match (created, attack.ending) {
        (Err(error), Ending::NotCreated(sqlstate, message)) => {
            complaints.extend(judge_error(&error, sqlstate, message));
            complaints.extend(judge_texts(&texts_of(&error)));
            summary = one_line(&error);
        }
        (Ok(()), Ending::NotCreated(..)) => complaints.push("it was created".to_string()),
        (Err(error), _) => complaints.push(format!("it was not created: {error:?}")),
        (Ok(()), _) => {
            let before = world.data();
            let seen = execute(attack, &mut world, neighbour);
            summary = summarize(&seen);
            slowdown = seen.slowdown;
            complaints.extend(judge(attack, &seen));
            if world.data() != before {
                complaints.push("the data changed".to_string());
            }
            let held_before = seen.before;
            drop(seen);
            complaints.extend(judge_held(&held_before, KEPT_MIB_MAX));
        }
    }
    complaints.extend(world.complaints());
    let panicked = panics() - panics_before;
    if panicked > 0 {
        complaints.push(format!("{panicked} panics"));
    }
    (slowdown, summary, complaints)
}

fn create(attack: &Attack, world: &mut World, files: &Path) -> Result<(), Error> {
    let name = match attack.guest {
        Guest::Rust(_, export) => export,
        _ => "f",
    };
    let mut path = PathBuf::new();
    let body = match attack.guest {
        Guest::None => None,
        Guest::JavaScript(source) => Some(format!("javascript AS $hostile${source}$hostile$")),
        Guest::Source(make) => Some(format!("javascript AS $hostile${}$hostile$", make())),
        Guest::Query(sql) => Some(script("query", sql)),
        Guest::Execute(sql) => Some(script("execute", sql)),
        Guest::Rust(crate_name, _) => {
            path = guest(crate_name);
            Some(format!("wasm AS '{}'", path.display()))
        }
        Guest::Core(world, module) => {
            path = save(files, &wat::core(world, module));
            Some(format!("wasm AS '{}'", path.display()))
        }
        Guest::Component(text) => {
            path = save(files, &wat::component(text));
            Some(format!("wasm AS '{}'", path.display()))
        }
        Guest::Bytes(make) => {
            path = save(files, &make());
            Some(format!("wasm AS '{}'", path.display()))
        }
    };
    if let Some(body) = body {
        let sql = format!("CREATE FUNCTION {name}{} LANGUAGE {body}", attack.signature);
        world.session.execute(&sql)?;
        if !attack.limits.is_empty() {
            let sql = format!("ALTER FUNCTION {name} SET ({})", attack.limits);
            world.session.execute(&sql)?;
        }
    }
    let before = attack
        .before
        .replace("{guest}", &path.display().to_string());
    world.session.execute_script(&before, drop)?;
    if !attack.first.is_empty() {
        let _ = world.session.execute(attack.first);
        world.session.take_notices();
    }
    Ok(())
}

/// A function whose only act is a statement.
fn script(request: &str, sql: &str) -> String {
    let quoted = serde_json::Value::from(sql);
    format!(
        "javascript AS $hostile$function f() {{ return heliosdb.{request}({quoted}); }}$hostile$"
    )
}

fn save(directory: &Path, bytes: &[u8]) -> PathBuf {
    let path = directory.join("guest.wasm");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn execute(attack: &Attack, world: &mut World, neighbour: &Neighbour) -> Seen {
    let last = last_entry(&mut world.session);
    let before = process::held();
    process::reset_peak();
    let mut usual = neighbour.beside_computation(Duration::from_millis(25));
    let (begun, cpu_begun) = (Instant::now(), process::thread_cpu_time());
    let (mut beside, outcome) = neighbour.during(|| world.session.execute(attack.call));
    let (cpu_time, wall_time) = (process::thread_cpu_time() - cpu_begun, begun.elapsed());
    let peak_mib = process::peak_mib().saturating_sub(before.memory_mib);
    let enough = beside.len() >= LATENCIES_MIN && usual.len() >= LATENCIES_MIN;
    let slowdown = enough.then(|| {
        let [beside, usual] = [&mut beside, &mut usual].map(|l| median(l).as_secs_f64());
        beside / usual
    });
    let notices = match &outcome {
        Ok(outcome) => outcome.notices.clone(),
        Err(_) => world.session.take_notices(),
    };
    Seen {
        outcome,
        notices,
        entries: entries_since(&mut world.session, last),
        cpu_time,
        wall_time,
        before,
        peak_mib,
        slowdown,
    }
}

fn judge(attack: &Attack, seen: &Seen) -> Vec<String> {
    let mut complaints = Vec::new();
    let (is_recorded, limit, failed) = match (&seen.outcome, attack.ending) {
        (Ok(outcome), Ending::Gives(expected)) => {
            let given = text_of(outcome);
            if given != expected {
                let given: String = given.chars().take(300).collect();
                complaints.push(format!("it gave {given}"));
            }
            (true, None, None)
        }
        (Err(error), Ending::Limit(limit)) => {
            complaints.extend(judge_error(error, limit.sqlstate, limit.message));
            (true, Some(limit.resource), Some(error))
        }
        (Err(error), Ending::Fails(sqlstate, message)) => {
            complaints.extend(judge_error(error, sqlstate, message));
            (true, None, Some(error))
        }
        (Err(error), Ending::Refused(sqlstate, message)) => {
            complaints.extend(judge_error(error, sqlstate, message));
            (false, None, None)
        }
        (Ok(outcome), _) => {
            let given: String = text_of(outcome).chars().take(300).collect();
            complaints.push(format!("it succeeded: {given}"));
            return complaints;
        }
        (Err(error), _) => {
            complaints.push(format!("it failed: {error:?}"));
            return complaints;
        }
    };
    let sqlstate = failed.map(|error| error.sqlstate().as_str());
    let expected = super::world::expected(is_recorded, limit.is_some(), sqlstate, attack.entries);
    complaints.extend(super::world::compare(
        &seen.entries,
        &expected,
        limit,
        sqlstate,
    ));
    complaints.extend(judge_cost(attack, seen));
    let mut texts: Vec<&str> = seen.notices.iter().map(|n| n.message.as_str()).collect();
    texts.extend(seen.entries.iter().map(|entry| entry.all.as_str()));
    if let Err(error) = &seen.outcome {
        texts.extend(texts_of(error));
        let bytes: usize = texts_of(error).iter().map(|text| text.len()).sum();
        if bytes > REPLY_BYTES_MAX {
            complaints.push(format!("its error has {bytes} bytes"));
        }
    }
    let values = seen.outcome.as_ref().map(text_of).unwrap_or_default();
    texts.push(&values);
    complaints.extend(judge_texts(&texts));
    let bytes: usize = seen.notices.iter().map(|n| n.message.len()).sum();
    if bytes > NOTICES_BYTES_MAX {
        complaints.push(format!("its notices have {bytes} bytes"));
    }
    complaints
}

fn judge_error(error: &Error, sqlstate: &str, message: &str) -> Option<String> {
    let fits = error.sqlstate().as_str() == sqlstate && error.message().contains(message);
    (!fits).then(|| format!("another error: {}", cut(&format!("{error:?}"))))
}

fn judge_texts(texts: &[&str]) -> Option<String> {
    let text = texts.iter().find(|text| text.contains(CANARY))?;
    Some(format!("a secret got out: {}", cut(text)))
}

fn judge_cost(attack: &Attack, seen: &Seen) -> Vec<String> {
    let setting = |key: &str, default_ms| {
        let rest = attack.limits.split(key).nth(1);
        let value = rest.and_then(|rest| rest.split([' ', ',', '=']).find(|w| !w.is_empty()));
        Duration::from_millis(value.map_or(default_ms, |value| value.parse().unwrap()))
    };
    let cpu_max = setting("max_cpu_time_ms", 5_000) + CPU_MARGIN;
    let wall_max = setting("max_wall_time_ms", 10_000) + WALL_MARGIN;
    let mut complaints = Vec::new();
    if seen.cpu_time > cpu_max {
        complaints.push(format!("{:?} of CPU time", seen.cpu_time));
    }
    if seen.wall_time > wall_max {
        complaints.push(format!("{:?} on the clock", seen.wall_time));
    }
    if seen.peak_mib > attack.peak_mib {
        complaints.push(format!("{} MiB at its most", seen.peak_mib));
    }
    complaints
}

/// Waits until everything was given back.
pub(super) fn judge_held(before: &Held, kept_mib_max: u64) -> Option<String> {
    let begun = Instant::now();
    loop {
        let now = process::held();
        if now.memory_mib <= before.memory_mib + kept_mib_max
            && now.descriptors <= before.descriptors + KEPT_DESCRIPTORS_MAX
            && now.threads <= before.threads
        {
            return None;
        }
        if begun.elapsed() > SETTLE_TIME {
            return Some(format!("not given back: {before:?}, then {now:?}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn texts_of(error: &Error) -> Vec<&str> {
    let more = [error.detail(), error.hint(), error.context()];
    std::iter::once(error.message())
        .chain(more.into_iter().flatten())
        .collect()
}

/// The values of all rows, separated by blanks.
fn text_of(outcome: &Outcome) -> String {
    let text = |value: &Value| match value {
        Value::Text(text) | Value::Json(text) => text.clone(),
        Value::Null => "NULL".to_string(),
        Value::Integer(n) => n.to_string(),
        other => format!("{other:?}"),
    };
    let values: Vec<String> = outcome.rows.iter().flatten().map(text).collect();
    values.join(" ")
}

fn summarize(seen: &Seen) -> String {
    let ended = match &seen.outcome {
        Ok(outcome) => cut(&text_of(outcome)),
        Err(error) => one_line(error),
    };
    let slowdown = seen.slowdown.map_or("-".to_string(), |s| format!("{s:.2}"));
    let cpu_ms = seen.cpu_time.as_millis();
    format!(
        "[{cpu_ms} ms CPU, {} MiB, neighbour {slowdown}] {ended}",
        seen.peak_mib
    )
}

fn one_line(error: &Error) -> String {
    let line = cut(error.message()).replace('\n', " ");
    format!("{} {line}", error.sqlstate())
}

fn cut(text: &str) -> String {
    text.chars().take(400).collect()
}

const _: () = assert!(CPU_TIME_MS == 300, "the rows' settings and messages say so");
