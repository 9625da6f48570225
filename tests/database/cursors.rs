//! Cursors: rows in portions, however many there are.

use super::{THROWN, create, gives, with_function};
use crate::support::{column, refuse, run, runtime, text};
use perihelion::{Session, Storage};

const READ: &str = "DATABASE_READ('users')";
const NUMBERS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) SELECT i FROM n";

/// Neither the host nor the guest holds more than a portion: the guest has its default
/// of 16 MiB, and the rows have hundreds.
#[test]
fn h27_a_cursor_reads_ten_million_rows_in_bounded_memory() {
    let body = format!(
        "let [count, sum] = [0, 0];
         for (const {{ i }} of heliosdb.stream('{NUMBERS}', [10_000_000])) {{ count++; sum += i; }}
         return [count, sum]"
    );
    let mut session = with_function(&body, READ);
    run(
        &mut session,
        "ALTER FUNCTION f SET (max_cpu_time_ms = 60000, max_wall_time_ms = 120000,
           max_instructions = 100000000000, max_rows = 10000000, max_host_bytes = 8589934592)",
    );
    assert_eq!(
        text(&mut session, "SELECT f()"),
        "[10000000,50000005000000]"
    );
    let operation = "SELECT concat_ws(' ', detail ->> 'runs', detail ->> 'rows')
         FROM heliosdb.audit_log WHERE event_type = 'DatabaseOperation'";
    assert_eq!(column(&mut session, operation), ["1 10000000"]);
    let peak = "SELECT max(detail ->> 'memory_bytes_peak') < 4 << 20 FROM heliosdb.audit_log";
    assert_eq!(text(&mut session, peak), "1");
}

/// A portion ends when it is large, however many rows were asked for.
#[test]
fn large_rows_come_in_small_portions() {
    let body = "
      let bytes = 0;
      const sql = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 400)
                   SELECT hex(zeroblob(50000)) AS s FROM n`;
      for (const { s } of heliosdb.stream(sql)) bytes += s.length;
      return bytes";
    gives(body, READ, "40000000");
}

#[test]
fn a_loop_that_is_left_closes_the_cursor() {
    let body = format!(
        "for (let n = 0; n < 1000; n++) {{
           for (const {{ i }} of heliosdb.stream('{NUMBERS}', [1000])) if (i > 20) break;
           heliosdb.stream('{NUMBERS}', [5]);
         }}
         const open = [];
         for (let n = 0; n < 100; n++) open.push(heliosdb.stream('SELECT id FROM users'));
         return [thrown(() => heliosdb.stream('SELECT id FROM users')), open[99].next().value.id]"
    );
    gives(
        &format!("{THROWN} {body}"),
        READ,
        r#"[["limit","open_cursors"],1]"#,
    );
}

/// D6: a revoked grant ends it at its next portion, and a grant that has nothing to do
/// with it does not.
#[test]
fn d6_a_cursor_ends_with_its_grant() {
    let vault = runtime().vault(Storage::Memory).unwrap();
    let mut session = vault.session().unwrap();
    run(
        &mut session,
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000)
         INSERT INTO users SELECT i, 'user ' || i FROM n",
    );
    // It waits until the clock says that the administrator is done.
    create(
        &mut session,
        "const rows = heliosdb.stream('SELECT id FROM users');
         const first = rows.next().value.id;
         for (const end = Date.now() + 1500; Date.now() < end;);
         let last = first;
         try { for (const { id } of rows) last = id; } catch (e) { return [last, e.code, e.denials]; }
         return [last]",
        "DATABASE_READ('users'), TIME_ACCESS",
    );
    let during = |session: &mut Session, change: &'static str| {
        std::thread::scope(|scope| {
            let vault = vault.clone();
            scope.spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(500));
                run(&mut vault.session().unwrap(), change);
            });
            text(session, "SELECT f()")
        })
    };
    let granted = during(
        &mut session,
        "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('other')",
    );
    assert_eq!(granted, "[1000]");
    let revoked = during(
        &mut session,
        "ALTER FUNCTION f REVOKE CAPABILITY DATABASE_READ('users')",
    );
    assert_eq!(
        revoked,
        r#"[16,"denied",[{"capability":"DATABASE_READ","target":"main.users"}]]"#
    );
    let rows = "SELECT detail ->> 'rows' FROM heliosdb.audit_log
         WHERE event_type = 'DatabaseOperation' ORDER BY seq";
    assert_eq!(column(&mut session, rows), ["1000", "16"]);
    // A table of which only some rows are granted now has no others by an open cursor.
    run(
        &mut session,
        "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')",
    );
    let filtered = during(
        &mut session,
        "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users' WHERE id < 0);
         ALTER FUNCTION f REVOKE CAPABILITY DATABASE_READ('users')",
    );
    assert_eq!(filtered, "[16,\"failed\",null]");
}

/// Undefined, as in SQLite, is which of them it sees; it reads whole rows, and ends.
#[test]
fn a_cursor_over_a_table_that_is_written_meanwhile() {
    let both = "DATABASE_READ('users'), DATABASE_WRITE('users')";
    let body = "
      const seen = [];
      for (const { id, name } of heliosdb.stream('SELECT id, name FROM users WHERE id < 100')) {
        seen.push(name);
        heliosdb.execute('INSERT INTO users(name) VALUES (?)', ['new']);
        heliosdb.execute('DELETE FROM users WHERE id = ?', [id]);
      }
      const whole = seen.every((name) => ['Ada', 'Bob', 'new'].includes(name));
      return [seen.slice(0, 2), whole, heliosdb.queryOne('SELECT count(*) AS n FROM users').n > 0]";
    gives(body, both, r#"[["Ada","Bob"],true,true]"#);
}

/// What it reads may be rolled back, but not be dropped.
#[test]
fn a_cursor_beside_transactions_and_changes_of_the_schema() {
    let all = "DATABASE_READ('*'), DATABASE_WRITE('*'), DATABASE_EXECUTE";
    let body = format!(
        "{THROWN}
         for (let n = 0; n < 50; n++) heliosdb.execute('INSERT INTO users(name) VALUES (?)', ['more']);
         const rows = heliosdb.stream('SELECT id FROM users ORDER BY id');
         rows.next();
         try {{ heliosdb.transaction(() => {{ heliosdb.execute('DELETE FROM users'); throw 1 }}) }} catch {{ }}
         const dropped = thrown(() => heliosdb.execute('DROP TABLE users'));
         const last = [...rows].pop().id;
         rows.return();
         heliosdb.execute('DROP TABLE users');
         return [dropped, last]"
    );
    let mut session = gives(&body, all, r#"[["failed","40001"],52]"#);
    refuse(&mut session, "SELECT 1 FROM users", "42P01");
}

/// A cursor belongs to its row's call.
#[test]
fn a_cursor_ends_with_the_call() {
    let body = "
      globalThis.rows ??= heliosdb.stream('SELECT id FROM users');
      return [...globalThis.rows].length";
    let mut session = with_function(body, READ);
    assert_eq!(
        text(
            &mut session,
            "SELECT group_concat(f()) FROM (SELECT 1 UNION ALL SELECT 2)"
        ),
        "2,0"
    );
    let body = "
      globalThis.rows ??= heliosdb.stream('SELECT id FROM users');
      return globalThis.rows.next().done";
    let mut session = with_function(body, READ);
    assert_eq!(
        text(
            &mut session,
            "SELECT group_concat(f()) FROM (SELECT 1 UNION ALL SELECT 2)"
        ),
        "false,false"
    );
}

/// A result that `query` would end the call over.
#[test]
fn a_limit_in_the_middle_of_a_cursor_ends_the_call() {
    let body = format!("for (const row of heliosdb.stream('{NUMBERS}', [-1]));");
    let mut session = with_function(&body, READ);
    run(&mut session, "ALTER FUNCTION f SET (max_cpu_time_ms = 200)");
    refuse(&mut session, "SELECT f()", "57014");
    assert_eq!(text(&mut session, "SELECT count(*) FROM users"), "2");
}
