//! The client's transaction blocks around calls: nested savepoints, names like the
//! host's own, and constraints that are checked at the end.

use crate::support::{column, refuse, run, session, value};
use perihelion::{Session, Value};

/// A function that writes a row, then fails if it is told to.
const SCRIPT: &str = "
CREATE TABLE notes (id INTEGER PRIMARY KEY);
CREATE TABLE parent (id INTEGER PRIMARY KEY);
CREATE TABLE child (parent INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION w(id BIGINT, fails BOOLEAN) RETURNS BIGINT LANGUAGE javascript AS $$
  function w(id, fails) {
    heliosdb.execute('INSERT INTO notes VALUES (?)', [id]);
    if (fails) throw new Error('on purpose');
    return id;
  }
$$;
CREATE FUNCTION rows_of(first BIGINT) RETURNS TABLE (id BIGINT) LANGUAGE javascript AS $$
  function* rows_of(first) {
    for (let id = first; ; id++) {
      heliosdb.execute('INSERT INTO notes VALUES (?)', [id]);
      yield [id];
    }
  }
$$;
CREATE FUNCTION orphan(id BIGINT) LANGUAGE javascript AS $$
  function orphan(id) { heliosdb.execute('INSERT INTO child VALUES (?)', [id]); }
$$;
ALTER FUNCTION w GRANT CAPABILITY DATABASE_WRITE('notes');
ALTER FUNCTION rows_of GRANT CAPABILITY DATABASE_WRITE('notes');
ALTER FUNCTION orphan GRANT CAPABILITY DATABASE_WRITE('child'), DATABASE_READ('parent');
";

fn blocks() -> Session {
    let mut session = session();
    run(&mut session, SCRIPT);
    session
}

fn notes(session: &mut Session) -> Vec<String> {
    column(session, "SELECT id FROM notes ORDER BY id")
}

#[test]
fn d12_savepoints_of_the_client_nest_around_calls() {
    let mut session = blocks();
    run(
        &mut session,
        "BEGIN; SELECT w(1, false); SAVEPOINT a; SELECT w(2, false); SAVEPOINT b; CALL w(3, false)",
    );
    refuse(&mut session, "SELECT w(4, true)", "38000");
    session
        .call("w", &[Value::Integer(5), Value::Boolean(true)])
        .unwrap_err();
    assert_eq!(notes(&mut session), ["1", "2", "3"]);
    run(&mut session, "ROLLBACK TO b; SELECT w(6, false)");
    assert_eq!(notes(&mut session), ["1", "2", "6"]);
    run(&mut session, "RELEASE b; ROLLBACK TO a");
    assert_eq!(notes(&mut session), ["1"]);
    session
        .call("w", &[Value::Integer(7), Value::Boolean(false)])
        .unwrap();
    run(&mut session, "RELEASE a; COMMIT");
    assert!(!session.in_transaction());
    assert_eq!(notes(&mut session), ["1", "7"]);
}

/// The innermost savepoint of a name is meant, and the host's is innermost.
#[test]
fn d12_a_savepoint_may_have_the_name_of_the_hosts_own() {
    let mut session = blocks();
    for name in ["heliosdb_call", "HELIOSDB_CALL", "\"heliosdb_call\""] {
        run(
            &mut session,
            &format!("SAVEPOINT {name}; SELECT w(1, false); SAVEPOINT {name}; SELECT w(2, false)"),
        );
        refuse(&mut session, "SELECT w(3, true)", "38000");
        session
            .call("w", &[Value::Integer(4), Value::Boolean(true)])
            .unwrap_err();
        refuse(&mut session, "SELECT w(id, id = 2) FROM notes", "38000");
        assert_eq!(notes(&mut session), ["1", "2"]);
        run(&mut session, &format!("ROLLBACK TO {name}"));
        assert_eq!(notes(&mut session), ["1"]);
        run(
            &mut session,
            &format!("RELEASE {name}; ROLLBACK TO {name}; RELEASE {name}"),
        );
        assert!(!session.in_transaction() && notes(&mut session).is_empty());
    }
}

#[test]
fn d12_a_deferred_constraint_fails_the_commit_and_leaves_the_block() {
    let mut session = blocks();
    for (begin, end) in [("BEGIN", "COMMIT"), ("SAVEPOINT s", "RELEASE s")] {
        run(
            &mut session,
            &format!("{begin}; SELECT w(1, false); SELECT orphan(7)"),
        );
        refuse(&mut session, end, "23503");
        assert!(session.in_transaction());
        // The block goes on: the client brings the parent, or gives up.
        refuse(&mut session, "SELECT w(2, true)", "38000");
        assert_eq!(notes(&mut session), ["1"]);
        run(
            &mut session,
            &format!("INSERT INTO parent VALUES (7); {end}"),
        );
        assert!(!session.in_transaction());
        assert_eq!(
            value(&mut session, "SELECT count(*) FROM child"),
            Value::Integer(1)
        );
        run(
            &mut session,
            "DELETE FROM child; DELETE FROM parent; DELETE FROM notes",
        );
        run(&mut session, &format!("{begin}; SELECT orphan(8)"));
        refuse(&mut session, end, "23503");
        run(&mut session, "ROLLBACK");
        assert!(!session.in_transaction());
        assert_eq!(
            value(&mut session, "SELECT count(*) FROM child"),
            Value::Integer(0)
        );
    }
    // Outside of a block the call is its own, and fails at its commit.
    refuse(&mut session, "SELECT orphan(9)", "23503");
    refuse(
        &mut session,
        "INSERT INTO notes SELECT 5 WHERE orphan(9) IS NULL",
        "23503",
    );
    assert!(!session.in_transaction() && notes(&mut session).is_empty());
}

/// A statement that reads a table which writes is a unit like any other.
#[test]
fn d12_a_table_in_a_block_is_part_of_its_statement() {
    let mut session = blocks();
    run(
        &mut session,
        "BEGIN; SELECT * FROM rows_of(1) LIMIT 2; SAVEPOINT s",
    );
    assert_eq!(notes(&mut session).len(), 16);
    run(&mut session, "DELETE FROM notes WHERE id > 2");
    // Its 16th row is there already.
    run(&mut session, "INSERT INTO notes VALUES (20)");
    refuse(&mut session, "SELECT * FROM rows_of(5) LIMIT 3", "38000");
    assert!(session.in_transaction());
    assert_eq!(notes(&mut session), ["1", "2", "20"]);
    run(&mut session, "ROLLBACK TO s; COMMIT");
    assert_eq!(notes(&mut session).len(), 16);
}

#[test]
fn d20_what_changes_a_function_commits_by_itself() {
    let mut session = blocks();
    for begin in ["BEGIN", "SAVEPOINT s"] {
        run(&mut session, begin);
        for statement in [
            "CREATE AGGREGATE a(BOOLEAN) (SFUNC = w, STYPE = BIGINT)",
            "DROP AGGREGATE a",
            "DROP FUNCTION w",
            "CREATE OR REPLACE FUNCTION rows_of() RETURNS TABLE (id BIGINT) LANGUAGE javascript
             AS $$ const rows_of = () => []; $$",
        ] {
            refuse(&mut session, statement, "25001");
        }
        assert!(session.in_transaction());
        run(&mut session, "ROLLBACK");
    }
}
