//! What SQLite holds for a guest, in memory and in temporary files: it is counted, and
//! the call ends by its limit.

use super::{add_probes, probed, query};
use crate::support::{refuse, run, text, value, vault_for_any_text};
use perihelion::{Session, Storage, Value};
use std::path::Path;
use std::time::{Duration, Instant};

const REACHED: &str = "database memory limit of 64 MiB reached";

/// A session with the probes on a vault in a directory, where SQLite uses files.
fn on_disk(directory: &Path) -> Session {
    let storage = Storage::Directory(directory.to_path_buf());
    let mut session = vault_for_any_text(storage).session().unwrap();
    run(
        &mut session,
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT);
         INSERT INTO users VALUES (1, 'Ada', 'ada@example.com')",
    );
    add_probes(&mut session);
    session
}

/// A guest's statement that must end its call by this limit; the probe would catch
/// anything else.
#[track_caller]
fn ends(session: &mut Session, probe: &str, sql: &str) {
    let begun = Instant::now();
    let error = session
        .call(probe, &[Value::Text(sql.into()), Value::Json("[]".into())])
        .expect_err(sql);
    assert_eq!(error.sqlstate().as_str(), "53200", "{error:?}\nof: {sql}");
    assert!(error.message().contains(REACHED), "{error:?}\nof: {sql}");
    assert!(begun.elapsed() < Duration::from_secs(11), "{sql}");
    assert!(!session.in_transaction());
    assert_eq!(
        query(session, "SELECT name FROM users WHERE id = 1"),
        r#"[{"name":"Ada"}]"#
    );
}

/// `count` rows `i`, each with a text of `bytes` bytes that no other row has.
fn rows(count: usize, bytes: usize) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {count}),
         t(i, s) AS (SELECT i, printf('%0{bytes}d', i) FROM n)"
    )
}

#[test]
fn h12_what_sqlite_allocates_for_a_guest_is_limited() {
    let mut session = probed();
    let texts: Vec<String> = (0..20)
        .map(|n| format!("length(group_concat(hex(zeroblob(5000{n:02}))))"))
        .collect();
    for sql in [
        &format!("SELECT {} FROM users, json_each('[1,2]')", texts.join(",")),
        &format!(
            "{} SELECT count(*) FROM (SELECT DISTINCT s FROM t)",
            rows(100_000, 2_000)
        ),
        &format!(
            "{} SELECT max(i) FROM (SELECT i FROM t ORDER BY s LIMIT -1)",
            rows(100_000, 2_000)
        ),
        &format!(
            "{} SELECT count(m) FROM (SELECT max(s) OVER () AS m FROM t)",
            rows(100_000, 2_000)
        ),
    ] {
        ends(&mut session, "q", sql);
    }
    let sql = format!(
        "{} INSERT INTO users(name) SELECT s FROM t",
        rows(100_000, 2_000)
    );
    ends(&mut session, "x", &sql);
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM users"),
        Value::Integer(2)
    );
    // Within the limit everything works.
    let sql = format!(
        "{} SELECT count(*) AS n FROM (SELECT DISTINCT s FROM t)",
        rows(5_000, 2_000)
    );
    assert_eq!(query(&mut session, &sql), r#"[{"n":5000}]"#);
}

#[test]
fn h12_temporary_files_of_a_guest_are_limited() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = on_disk(directory.path());
    for sql in [
        format!(
            "{} SELECT count(*) FROM (SELECT DISTINCT s FROM t)",
            rows(100_000, 2_000)
        ),
        format!(
            "{} SELECT max(i) FROM (SELECT i FROM t ORDER BY s LIMIT -1)",
            rows(100_000, 2_000)
        ),
    ] {
        ends(&mut session, "q", &sql);
    }
    for sql in [
        format!(
            "{} SELECT count(*) AS n FROM (SELECT DISTINCT s FROM t)",
            rows(10_000, 2_000)
        ),
        format!(
            "{} SELECT i AS n FROM t ORDER BY s LIMIT 1 OFFSET 9999",
            rows(10_000, 2_000)
        ),
    ] {
        assert_eq!(query(&mut session, &sql), r#"[{"n":10000}]"#, "{sql}");
    }
    // A client's own statement is not limited.
    let sql = format!(
        "{} SELECT i AS n FROM t ORDER BY s LIMIT 1 OFFSET 99999",
        rows(100_000, 2_000)
    );
    assert_eq!(text(&mut session, &sql), "100000");
}

/// Several statements of one call together, and none of the call before.
#[test]
fn h12_the_account_is_the_calls() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE TABLE notes(text TEXT);
         CREATE FUNCTION fill(count BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
           function fill(count) {
             for (let n = 0; n < count; n++) {
               heliosdb.execute(`INSERT INTO notes VALUES (hex(zeroblob(2000000)))`);
             }
             heliosdb.execute(`DELETE FROM notes`);
             return count;
           }
         $$;
         ALTER FUNCTION fill GRANT CAPABILITY DATABASE_WRITE('notes')",
    );
    // The data of a vault in memory is memory, too.
    let error = refuse(&mut session, "SELECT fill(30)", "53200");
    assert!(error.message().contains(REACHED), "{error:?}");
    for _ in 0..10 {
        assert_eq!(text(&mut session, "SELECT fill(5)"), "5");
    }
}

/// SQLite's own threads would work at nobody's expense.
#[test]
fn h12_a_guest_sorts_on_its_own_thread() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = on_disk(directory.path());
    run(&mut session, "PRAGMA threads = 4");
    let sql = format!(
        "{} SELECT max(i) FROM (SELECT i FROM t ORDER BY s LIMIT -1)",
        rows(100_000, 2_000)
    );
    ends(&mut session, "q", &sql);
}

/// Within a row SQLite looks at no clock, but it allocates.
#[test]
fn h63_a_long_row_ends_near_the_limit() {
    let mut session = probed();
    run(
        &mut session,
        "INSERT INTO users(name)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) SELECT i FROM n",
    );
    let text = "hex(zeroblob(30000 + users.id))".to_string();
    let one = (0..2).fold(text, |text, _| format!("upper(lower({text}))"));
    // Nested evenly: SQLite limits the depth.
    let all = (0..10).fold(format!("{one} > ''"), |all, _| format!("({all} AND {all})"));
    let sql = format!("SELECT name FROM users WHERE {all}");
    let error = session
        .call("q", &[Value::Text(sql), Value::Json("[]".into())])
        .unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "57014", "{error:?}");
    let sql = "SELECT max(detail ->> 'cpu_us') FROM heliosdb.audit_log
               WHERE event_type = 'ExecutionFailed'";
    match value(&mut session, sql) {
        Value::Integer(microseconds) => assert!(microseconds < 5_030_000, "{microseconds}"),
        other => panic!("{other:?}"),
    }
}

/// Where it could not be counted, no guest runs. SQLite is a process's, so this takes one
/// of its own.
#[test]
fn a_runtime_of_a_process_that_has_used_sqlite_is_refused() {
    const IS_OWN_PROCESS: &str = "PERIHELION_TEST_SQLITE_FIRST";
    if std::env::var_os(IS_OWN_PROCESS).is_some() {
        rusqlite::Connection::open_in_memory().unwrap();
        let refused = perihelion::Runtime::builder().build().err().unwrap();
        assert_eq!(refused.sqlstate().as_str(), "0A000", "{refused:?}");
        assert!(perihelion::Runtime::builder().build().is_err());
        return;
    }
    let name = "database::memory::a_runtime_of_a_process_that_has_used_sqlite_is_refused";
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(IS_OWN_PROCESS, "1")
        .status()
        .unwrap();
    assert!(status.success());
}
