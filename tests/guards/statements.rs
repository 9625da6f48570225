//! What a guest's statements may take of the host.

use super::row::{Row, call, runtime, session, told, with_tables};
use crate::support::run;
use perihelion::{Guard, Storage, Value};
use std::sync::mpsc;
use std::time::Duration;

pub(super) const ROWS: &[Row] = &[
    Row::run(&[Guard::StatementClock], |without| {
        let mut session = session(without);
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500000)";
        run(
            &mut session,
            &query(&format!("{rows} SELECT max(i) FROM n")),
        );
        run(&mut session, "ALTER FUNCTION f SET (max_cpu_time_ms = 20)");
        call(&mut session)
    })
    .ends("57014", "500000"),
    Row::run(&[Guard::LockWait], wait_for_a_lock).ends("57014", "1"),
    Row::run(&[Guard::ResultBytes], |without| {
        let mut session = session(without);
        let script = query("SELECT zeroblob(6000000) FROM json_each('[1,2,3]')");
        run(&mut session, &script.replace("rows[0][0]", "rows.length"));
        run(
            &mut session,
            "ALTER FUNCTION f SET (max_memory_bytes = 134217728)",
        );
        call(&mut session)
    })
    .ends("53200", "3"),
    Row::run(&[Guard::DatabaseMemory], |without| {
        queried(without, &format!("{LARGE} SELECT sum(length(s)) FROM t"))
    })
    .ends("53200", "80000000"),
    Row::run(&[Guard::TemporaryFiles], in_temporary_files).ends("53200", "200000"),
    Row::run(&[Guard::StatementBytes], |without| {
        queried(
            without,
            &format!("SELECT 1 /* {} */", "x".repeat(1_100_000)),
        )
    })
    .ends("38000", "1"),
    Row::run(&[Guard::StatementValues], |without| {
        queried(without, "SELECT length(zeroblob(20000000))")
    })
    .ends("38000", "20000000"),
    Row::run(&[Guard::StatementPatterns], |without| {
        queried(without, &format!("SELECT 'y' LIKE '{}'", "%x".repeat(60)))
    })
    .ends("38000", "0"),
    Row::run(&[Guard::StatementProgram], |without| {
        let rows: Vec<String> = (0..20_000).map(|n| format!("({n})")).collect();
        let values = rows.join(",");
        queried(
            without,
            &format!("SELECT sum(column1) FROM (VALUES {values})"),
        )
    })
    .ends("38000", "199990000"),
    Row::run(&[Guard::Comparisons], |without| {
        queried(
            without,
            "WITH t(s) AS (SELECT hex(zeroblob(10000)))
             SELECT instr(s, substr(s, 1, 19000) || '1') FROM t",
        )
    })
    .ends("38000", "0"),
    Row::call(
        &[Guard::OpenHandles],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() {
             const open = [];
             for (let n = 0; n < 150; n++) open.push(heliosdb.stream('SELECT id FROM users'));
             return open.length;
           }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')",
    )
    .ends("38000", "150"),
    // The second statement is not run even so: SQLite compiles the first, and nobody
    // looks at the rest.
    Row::run(&[Guard::OneStatement], |without| {
        queried(without, "SELECT 1; DELETE FROM users")
    })
    .ends("42601", "1"),
    Row::run(&[Guard::NulCharacters, Guard::OneStatement], |without| {
        queried(without, r"SELECT 1\0; DELETE FROM users")
    })
    .ends("42601", "1"),
    Row::call(
        &[Guard::Literals],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f(name = \"x' OR '' = '\") {
             const sql = \"SELECT count(*) AS n FROM users WHERE name = '\" + name + \"'\";
             return heliosdb.query(sql).rows[0].n;
           }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')",
    )
    .ends("42601", "2"),
];

/// Ten texts of 8 MB at a time.
const LARGE: &str = "WITH t(s) AS MATERIALIZED (
    SELECT hex(zeroblob(4000000)) FROM json_each('[1,2,3,4,5,6,7,8,9,10]'))";

/// A function that gives the one value of a query.
fn query(sql: &str) -> String {
    format!(
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() {{
             const rows = heliosdb.query(`{sql}`).rows.map(Object.values);
             return rows[0][0];
           }}
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')"
    )
}

fn queried(without: &[Guard], sql: &str) -> String {
    let mut session = session(without);
    run(&mut session, &query(sql));
    call(&mut session)
}

/// What does not fit SQLite's cache is written to a file. In memory there is little.
fn in_temporary_files(without: &[Guard]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().join("vault"));
    let vault = runtime(without).vault(storage).unwrap();
    let mut session = with_tables(vault.session().unwrap());
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000),
                t(s) AS (SELECT printf('%0400d', i) FROM n)";
    let sql = format!("{rows} SELECT count(*) FROM (SELECT DISTINCT s FROM t)");
    run(&mut session, &query(&sql));
    call(&mut session)
}

/// Another session holds the lock for longer than the guest may run.
fn wait_for_a_lock(without: &[Guard]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().join("vault"));
    let vault = runtime(without).vault(storage).unwrap();
    let mut session = with_tables(vault.session().unwrap());
    run(
        &mut session,
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { return heliosdb.execute(`UPDATE users SET name = 'x' WHERE id = 1`).rowCount; }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users');
         ALTER FUNCTION f SET (max_wall_time_ms = 100)",
    );
    let (holds, held) = mpsc::channel();
    std::thread::scope(|scope| {
        let mut other = vault.session().unwrap();
        scope.spawn(move || {
            run(&mut other, "BEGIN IMMEDIATE");
            holds.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(400));
            run(&mut other, "COMMIT");
        });
        held.recv().unwrap();
        told(session.call("f", &[] as &[Value]))
    })
}
