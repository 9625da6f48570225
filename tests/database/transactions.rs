//! D12: a call is one unit. What fails leaves nothing, and takes nothing else along.

use super::probed;
use crate::support::{column, guest, refuse, run, text, value};
use perihelion::{Error, Session, Value};

/// A function that writes and then ends as its second argument says.
const WRITER: &str = "
CREATE FUNCTION w(id BIGINT, ending TEXT) RETURNS BIGINT LANGUAGE javascript AS $$
  function w(id, ending) {
    heliosdb.execute('INSERT INTO notes VALUES (?, ?)', [id, 'w']);
    switch (ending) {
      case 'throw': throw new Error('on purpose');
      case 'loop': for (;;) { }
      case 'memory': for (const a = []; ; ) a.push(new Uint8Array(65536));
      case 'recursion': return w(id + 1000, ending);
      case 'denied': heliosdb.execute('DELETE FROM secrets');
      case 'constraint': heliosdb.execute('INSERT INTO notes VALUES (?, NULL)', [id]);
      case 'overflow': return 2n ** 63n;
    }
    return id;
  }
$$;
CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT);
ALTER FUNCTION w GRANT CAPABILITY DATABASE_WRITE('notes');
";

const ENDINGS: [(&str, &str); 7] = [
    ("throw", "38000"),
    ("loop", "57014"),
    ("memory", "53200"),
    ("recursion", "54001"),
    ("denied", "42501"),
    ("constraint", "38000"),
    ("overflow", "22003"),
];

fn session() -> Session {
    let mut session = probed();
    run(&mut session, WRITER);
    session
}

fn notes(session: &mut Session) -> Vec<String> {
    column(session, "SELECT id FROM notes ORDER BY id")
}

#[test]
fn d12_a_failed_call_leaves_nothing() {
    let mut session = session();
    for (ending, sqlstate) in ENDINGS {
        let call = session.call("w", &[Value::Integer(1), Value::Text(ending.into())]);
        assert_eq!(call.unwrap_err().sqlstate().as_str(), sqlstate, "{ending}");
        for statement in [
            format!("SELECT w(2, '{ending}')"),
            format!("CALL w(3, '{ending}')"),
        ] {
            if ending != "loop" {
                refuse(&mut session, &statement, sqlstate);
            }
        }
        assert!(notes(&mut session).is_empty(), "{ending}");
        assert!(!session.in_transaction(), "{ending}");
    }
    assert_eq!(
        session
            .call("w", &[Value::Integer(1), Value::Null])
            .unwrap(),
        Value::Integer(1)
    );
    run(&mut session, "SELECT w(2, NULL); CALL w(3, 'fine')");
    assert_eq!(notes(&mut session), ["1", "2", "3"]);
}

#[test]
fn d12_a_statement_is_the_unit_of_the_functions_in_it() {
    let mut session = session();
    run(
        &mut session,
        "CREATE TABLE t(id INTEGER, n INTEGER); INSERT INTO t(id) VALUES (1), (2), (3);
         CREATE TABLE u(id INTEGER);
         CREATE TRIGGER calls AFTER INSERT ON u
           BEGIN SELECT w(new.id, iif(new.id = 3, 'throw', 'fine')); END;",
    );
    for statement in [
        "UPDATE t SET n = w(id, iif(id = 3, 'throw', 'fine'))",
        "SELECT w(id, iif(id = 3, 'throw', 'fine')) FROM t",
        "INSERT INTO t(id) SELECT w(id, iif(id = 3, 'throw', 'fine')) FROM t",
        "DELETE FROM t WHERE w(id, iif(id = 3, 'throw', 'fine'))",
        "INSERT INTO u SELECT id FROM t",
    ] {
        for around in [
            &[] as &[&str],
            &["BEGIN", "COMMIT"],
            &["SAVEPOINT s", "RELEASE s"],
        ] {
            if let Some(begin) = around.first() {
                run(&mut session, begin);
            }
            refuse(&mut session, statement, "38000");
            if let Some(end) = around.last() {
                assert!(session.in_transaction());
                run(&mut session, end);
            }
            assert!(notes(&mut session).is_empty(), "{statement}");
            assert_eq!(
                text(&mut session, "SELECT count(*) || max(n) IS NULL FROM t"),
                "1"
            );
            assert_eq!(
                value(&mut session, "SELECT count(*) FROM t"),
                Value::Integer(3)
            );
            assert_eq!(
                value(&mut session, "SELECT count(*) FROM u"),
                Value::Integer(0)
            );
        }
    }
    run(
        &mut session,
        "UPDATE t SET n = w(id, 'fine'); INSERT INTO u VALUES (4)",
    );
    assert_eq!(notes(&mut session), ["1", "2", "3", "4"]);
}

#[test]
fn d12_in_a_transaction_block_only_the_calls_own_writes_vanish() {
    let mut session = session();
    for begin in ["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT mine"] {
        run(
            &mut session,
            &format!("{begin}; INSERT INTO notes VALUES (1, 'client')"),
        );
        for (ending, sqlstate) in ENDINGS.into_iter().filter(|(ending, _)| *ending != "loop") {
            refuse(&mut session, &format!("SELECT w(2, '{ending}')"), sqlstate);
            let call = session.call("w", &[Value::Integer(3), Value::Text(ending.into())]);
            assert_eq!(call.unwrap_err().sqlstate().as_str(), sqlstate);
            assert!(session.in_transaction(), "{begin} {ending}");
            assert_eq!(notes(&mut session), ["1"], "{begin} {ending}");
        }
        run(&mut session, "SELECT w(4, NULL)");
        session
            .call("w", &[Value::Integer(5), Value::Null])
            .unwrap();
        assert_eq!(notes(&mut session), ["1", "4", "5"]);
        run(
            &mut session,
            if begin == "SAVEPOINT mine" {
                "ROLLBACK TO mine; RELEASE mine"
            } else {
                "ROLLBACK"
            },
        );
        assert!(notes(&mut session).is_empty());
        // Five denials would refuse it to this caller.
        run(&mut session, "ALTER FUNCTION w SET ENABLED = true");
    }
    run(&mut session, "BEGIN; SELECT w(4, NULL); COMMIT");
    assert_eq!(notes(&mut session), ["4"]);
}

/// Asserts that the block has failed, and ends it.
#[track_caller]
fn end_failed_block(session: &mut Session, failure: &Error, end: &str) {
    assert_eq!(
        failure.hint(),
        Some("the transaction block was rolled back: end it with ROLLBACK")
    );
    let aborted = "current transaction is aborted, commands ignored until end of transaction block";
    for statement in [
        "INSERT INTO notes VALUES (9, 'outside')",
        "SELECT 1",
        "no SQL at all",
        "BEGIN",
        "SAVEPOINT s",
        "ROLLBACK TO s",
        "RELEASE s",
        "EXPLAIN COMMIT",
        "CALL w(9, NULL)",
        "DROP FUNCTION w",
        "ALTER FUNCTION w SET ENABLED = true",
        "CREATE FUNCTION z() LANGUAGE javascript AS $$ function z() {} $$",
    ] {
        assert!(session.in_transaction(), "{statement}");
        let refused = refuse(session, statement, "25P02");
        assert_eq!(refused.message(), aborted, "{statement}");
    }
    let call = session.call("w", &[Value::Integer(9), Value::Null]);
    assert_eq!(call.unwrap_err().sqlstate().as_str(), "25P02");
    assert_eq!(run(session, end).command, "ROLLBACK");
    assert!(!session.in_transaction());
    assert!(notes(session).is_empty());
}

/// SQLite rolls a whole transaction back when it interrupts a statement that writes.
/// That cannot be undone, but what the client sends next must not commit by itself.
#[test]
fn d12_an_interrupted_write_fails_the_transaction_block() {
    let mut session = session();
    for (filter, sqlstate, begin, end) in [
        ("", "53200", "BEGIN", "ROLLBACK"),
        ("WHERE i < 0", "57014", "BEGIN IMMEDIATE", "COMMIT"),
        ("", "53200", "SAVEPOINT mine", "END TRANSACTION"),
    ] {
        let insert = "INSERT INTO notes VALUES (1, 'client')";
        run(&mut session, &format!("{begin}; {insert}"));
        let sql = format!(
            "SELECT x('INSERT INTO users(name)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
             SELECT i FROM n {filter}', '[]')"
        );
        let ended = refuse(&mut session, &sql, sqlstate);
        end_failed_block(&mut session, &ended, end);
        let users = value(&mut session, "SELECT count(*) FROM users");
        assert_eq!(users, Value::Integer(2));
    }
    run(
        &mut session,
        "BEGIN; INSERT INTO notes VALUES (1, 'client'); COMMIT",
    );
    assert_eq!(notes(&mut session), ["1"]);
}

#[test]
fn d12_or_rollback_of_the_client_fails_its_transaction_block() {
    let mut session = session();
    let conflict = "INSERT OR ROLLBACK INTO notes VALUES (1, 'again')";
    run(
        &mut session,
        "BEGIN; INSERT INTO notes VALUES (1, 'client')",
    );
    let failure = refuse(&mut session, conflict, "23505");
    end_failed_block(&mut session, &failure, "COMMIT");
    // Without a block there is none to fail.
    run(&mut session, "INSERT INTO notes VALUES (1, 'client')");
    refuse(&mut session, conflict, "23505");
    assert!(!session.in_transaction());
    refuse(&mut session, "COMMIT", "42601");
    // Nor does a COMMIT that fails leave one behind.
    run(
        &mut session,
        "CREATE TABLE child(note INTEGER REFERENCES notes(id) DEFERRABLE INITIALLY DEFERRED);
         BEGIN; INSERT INTO child VALUES (7)",
    );
    refuse(&mut session, "COMMIT", "23503");
    assert!(session.in_transaction());
    run(&mut session, "INSERT INTO notes VALUES (7, 'late'); COMMIT");
    assert_eq!(notes(&mut session), ["1", "7"]);
}

/// A guest that could roll its unit back and go on would write outside of any.
#[test]
fn d12_or_rollback_ends_the_call() {
    let mut session = session();
    run(
        &mut session,
        "CREATE FUNCTION get_out() LANGUAGE javascript AS $$
           function get_out() {
             heliosdb.execute(`INSERT INTO notes VALUES (1, 'first')`);
             try { heliosdb.execute(`INSERT OR ROLLBACK INTO notes VALUES (1, 'second')`); } catch { }
             heliosdb.execute(`INSERT INTO notes VALUES (2, 'outside')`);
             throw new Error('and out');
           }
         $$;
         ALTER FUNCTION get_out GRANT CAPABILITY DATABASE_WRITE('notes')",
    );
    let rolled_back = "UNIQUE constraint failed: notes.id, and everything was rolled back";
    assert_eq!(
        session.call("get_out", &[]).unwrap_err().message(),
        rolled_back
    );
    assert_eq!(
        refuse(&mut session, "SELECT get_out()", "23000").message(),
        rolled_back
    );
    assert!(notes(&mut session).is_empty());
    run(
        &mut session,
        "BEGIN; INSERT INTO notes VALUES (7, 'client')",
    );
    let error = refuse(&mut session, "SELECT get_out()", "23000");
    end_failed_block(&mut session, &error, "ROLLBACK");
    // The other conflict clauses undo no more than their statement.
    for clause in ["ABORT", "FAIL", "IGNORE", "REPLACE"] {
        let sql = format!("INSERT OR {clause} INTO users(id) VALUES (1)");
        let answer = super::execute(&mut session, &sql);
        assert!(["0", "1", "failed 23505 UNIQUE constraint failed: users.id"].contains(&&*answer));
    }
}

#[test]
fn d12_a_constraint_that_is_checked_at_the_commit_fails_the_call() {
    let mut session = session();
    run(
        &mut session,
        "CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(parent INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);
         ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('child'), DATABASE_READ('parent')",
    );
    let sql = "INSERT INTO child VALUES (7)";
    let arguments = [Value::Text(sql.into()), Value::Json("[]".into())];
    let failed = session.call("x", &arguments).unwrap_err();
    assert_eq!(failed.sqlstate().as_str(), "23503");
    refuse(&mut session, &format!("SELECT x('{sql}', '[]')"), "23503");
    assert!(!session.in_transaction());
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM child"),
        Value::Integer(0)
    );
    assert_eq!(
        column(
            &mut session,
            "SELECT DISTINCT event_type FROM heliosdb.audit_log
             WHERE function_name = 'x' AND event_type LIKE 'Execution%' ORDER BY 1"
        ),
        ["ExecutionFailed", "ExecutionStarted"]
    );
    // In a transaction block the client may still bring the parent.
    run(
        &mut session,
        &format!("BEGIN; SELECT x('{sql}', '[]'); INSERT INTO parent VALUES (7); COMMIT"),
    );
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM child"),
        Value::Integer(1)
    );
}

/// The names of SQLite's functions have no case, those of quoted ones of ours do.
#[test]
fn d12_a_function_with_a_mixed_case_name_commits() {
    let mut session = session();
    run(
        &mut session,
        "CREATE FUNCTION \"Write\"() LANGUAGE javascript AS $$
           export default () => { heliosdb.execute(`INSERT INTO notes VALUES (1, 'mixed')`); }
         $$;
         ALTER FUNCTION \"Write\" GRANT CAPABILITY DATABASE_WRITE('notes');
         SELECT \"Write\"()",
    );
    assert!(!session.in_transaction());
    run(&mut session, "BEGIN; ROLLBACK");
    assert_eq!(notes(&mut session), ["1"]);
}

#[test]
fn d12_a_guest_that_catches_a_failure_keeps_what_succeeded() {
    let mut session = session();
    run(
        &mut session,
        "CREATE FUNCTION careful() RETURNS TEXT LANGUAGE javascript AS $$
           function careful() {
             heliosdb.execute(`INSERT INTO notes VALUES (1, 'a'), (2, 'b')`);
             try { heliosdb.execute(`INSERT INTO notes VALUES (3, 'c'), (1, 'd')`); }
             catch (e) { return e.sqlstate; }
           }
         $$;
         ALTER FUNCTION careful GRANT CAPABILITY DATABASE_WRITE('notes')",
    );
    assert_eq!(text(&mut session, "SELECT careful()"), "23505");
    assert_eq!(notes(&mut session), ["1", "2"]);
}

#[test]
fn h107_components_are_units_like_scripts() {
    let mut session = session();
    let shop = guest("shop_guest");
    run(
        &mut session,
        &format!(
            "CREATE TABLE Playlist(PlaylistId INTEGER PRIMARY KEY, Name TEXT UNIQUE);
             INSERT INTO Playlist VALUES (1, 'Music'), (2, 'Films');
             CREATE FUNCTION rename_playlist LANGUAGE wasm AS '{}';
             ALTER FUNCTION rename_playlist
             GRANT CAPABILITY DATABASE_READ('Playlist'), DATABASE_WRITE('Playlist');",
            shop.display()
        ),
    );
    run(&mut session, "SELECT rename_playlist(1, 'Songs')");
    refuse(
        &mut session,
        "SELECT rename_playlist(PlaylistId, 'Same') FROM Playlist",
        "38000",
    );
    assert_eq!(
        column(
            &mut session,
            "SELECT Name FROM Playlist ORDER BY PlaylistId"
        ),
        ["Songs", "Films"]
    );
}
