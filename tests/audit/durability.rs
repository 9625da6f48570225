//! The log outlives the process, and nothing in it can be changed unnoticed.

use crate::support::{column, run, runtime, text};
use perihelion::{SqlState, Storage, Value, Vault, verify_audit_log};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn open(directory: &Path) -> Vault {
    runtime()
        .vault(Storage::Directory(directory.to_path_buf()))
        .unwrap()
}

const DIRECTORY: &str = "PERIHELION_TEST_DIRECTORY";

/// Not a test of its own: what `d14_…` runs in a process that it kills. It says what it
/// has done on lines of its own, and waits.
#[test]
#[ignore = "run by d14_what_was_released_survives_a_killed_process"]
fn child_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let vault = open(Path::new(&directory));
    let mut session = vault.session().unwrap();
    run(
        &mut session,
        "CREATE TABLE notes(id INTEGER PRIMARY KEY);
         CREATE FUNCTION note(id BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
           function note(id) { return heliosdb.execute('INSERT INTO notes VALUES (?)', [id]).rowCount; }
         $$;
         CREATE FUNCTION plain() RETURNS BIGINT LANGUAGE javascript AS $$ function plain() { return 7; } $$;
         CREATE FUNCTION refused() RETURNS TEXT LANGUAGE javascript AS $$
           function refused() { try { heliosdb.query('SELECT * FROM notes'); } catch { return 'no'; } }
         $$;
         ALTER FUNCTION note GRANT CAPABILITY DATABASE_WRITE('notes');",
    );
    for id in 0.. {
        session.call("note", &[Value::Integer(id)]).unwrap();
        session.call("refused", &[]).unwrap();
        session.call("plain", &[]).unwrap();
        if id % 4 == 3 {
            // Five denials would refuse it to this caller.
            run(&mut session, "ALTER FUNCTION refused SET ENABLED = true");
        }
        println!("\nreleased {id}");
    }
}

fn spawn(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "audit::durability::child_that_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn d14_what_was_released_survives_a_killed_process() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = spawn(directory.path());
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let last = lines
        .map_while(Result::ok)
        .filter_map(|line| {
            line.strip_prefix("released ")
                .and_then(|id| id.parse::<i64>().ok())
        })
        .find(|id| *id >= 5);
    child.kill().unwrap();
    child.wait().unwrap();
    let last = last.expect("the child reported nothing");
    let verified = verify_audit_log(&directory.path().join("audit")).unwrap();
    let vault = open(directory.path());
    assert_eq!(vault.verify_audit_log().unwrap(), verified);
    let mut session = vault.session().unwrap();
    for function in ["note", "refused", "plain"] {
        let completed = text(
            &mut session,
            &format!(
                "SELECT count(*) FROM heliosdb.audit_log
                 WHERE function_name = '{function}' AND event_type = 'ExecutionCompleted'"
            ),
        );
        assert!(
            completed.parse::<i64>().unwrap() > last,
            "{function}: {completed} of {last}"
        );
    }
    // The entry of an effect comes before it: no row is without its entry.
    let rows = text(&mut session, "SELECT count(*) FROM notes")
        .parse::<i64>()
        .unwrap();
    let writes = "SELECT count(*) FROM heliosdb.audit_log WHERE event_type = 'DatabaseOperation'";
    assert!((last + 1..=text(&mut session, writes).parse().unwrap()).contains(&rows));
    run(&mut session, "SELECT note(-1)");
    assert!(vault.verify_audit_log().unwrap().entries > verified.entries);
}

#[test]
fn h22_the_chain_verifies_after_everything() {
    let mut session = super::audited();
    run(
        &mut session,
        "SELECT reads(1); SELECT writes(9); SELECT refused(3)",
    );
    session.call("fails", &[]).unwrap_err();
    session.call("bomb", &[]).unwrap_err();
    let links = "SELECT count(*) FROM heliosdb.audit_log a JOIN heliosdb.audit_log b
                 ON b.seq = a.seq + 1 AND b.prev_hash = a.hash AND b.timestamp > a.timestamp";
    let entries = text(&mut session, "SELECT max(seq) FROM heliosdb.audit_log");
    assert_eq!(
        text(&mut session, "SELECT count(*) FROM heliosdb.audit_log"),
        entries
    );
    let linked = text(&mut session, links).parse::<u64>().unwrap();
    assert_eq!(linked + 1, entries.parse::<u64>().unwrap());
}

#[test]
fn i25_a_changed_byte_is_found() {
    let directory = tempfile::tempdir().unwrap();
    {
        let vault = open(directory.path());
        let mut session = vault.session().unwrap();
        run(
            &mut session,
            "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$ function f() { return 1; } $$;
             SELECT f(); SELECT f();",
        );
        assert_eq!(column(&mut session, "SELECT f()"), ["1"]);
    }
    let audit = directory.path().join("audit");
    verify_audit_log(&audit).unwrap();
    let segment = std::fs::read_dir(&audit)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_file() && std::fs::metadata(path).unwrap().len() > 100)
        .unwrap();
    let bytes = std::fs::read(&segment).unwrap();
    for at in [bytes.len() / 3, bytes.len() / 2, bytes.len() - 40] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        std::fs::write(&segment, &changed).unwrap();
        let found = verify_audit_log(&audit).unwrap_err();
        assert_eq!(found.sqlstate(), SqlState::CORRUPTED, "at {at}: {found:?}");
    }
    std::fs::write(&segment, &bytes).unwrap();
    verify_audit_log(&audit).unwrap();
}
