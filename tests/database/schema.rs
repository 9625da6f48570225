//! H35: changes of the schema by DATABASE_EXECUTE, and what it does not cover.

use crate::support::{column, refuse, run, session_for_any_text, text};
use perihelion::{Session, Value};

/// A function that sends a text for a change of the schema or a statement that writes,
/// and gives what came of it.
const CHANGER: &str = "
CREATE FUNCTION c(sql TEXT) RETURNS TEXT LANGUAGE javascript AS $$
  function c(sql) {
    try { return String(heliosdb.execute(sql).rowCount); } catch (e) {
      if (!(e instanceof HeliosError)) throw e;
      switch (e.code) {
        case 'denied': return 'denied ' + e.denials.map(d => d.capability + ' ' + d.target).join(', ');
        case 'failed': return 'failed ' + e.sqlstate + ' ' + e.message;
        default: return e.code + ' ' + e.message;
      }
    }
  }
$$;";

fn changer(grants: &str) -> Session {
    let mut session = session_for_any_text();
    run(&mut session, CHANGER);
    run(
        &mut session,
        &format!("ALTER FUNCTION c GRANT CAPABILITY {grants}"),
    );
    session
}

#[track_caller]
fn change(session: &mut Session, sql: &str) -> String {
    let answer = match session.call("c", &[Value::Text(sql.into())]) {
        Ok(Value::Text(answer)) => answer,
        other => panic!("{other:?}\nof: {sql}"),
    };
    if answer.starts_with("denied") || answer.contains("may not run") {
        run(session, "ALTER FUNCTION c SET ENABLED = true");
    }
    answer
}

#[track_caller]
fn check(session: &mut Session, cases: &[(&str, &str)]) {
    for (sql, expected) in cases {
        assert_eq!(change(session, sql), *expected, "{sql}");
    }
}

fn schema(session: &mut Session) -> Vec<String> {
    column(
        session,
        "SELECT type || ' ' || name FROM sqlite_schema ORDER BY name",
    )
}

const UNCHANGED: [&str; 2] = ["table secrets", "table users"];

#[test]
fn h35_tables_and_indexes_are_created_altered_and_dropped() {
    let mut session = changer("DATABASE_EXECUTE, DATABASE_READ('*'), DATABASE_WRITE('*')");
    check(
        &mut session,
        &[
            (
                "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT DEFAULT 'none')",
                "0",
            ),
            ("CREATE TABLE IF NOT EXISTS notes (id)", "0"),
            ("INSERT INTO notes(id) VALUES (1)", "1"),
            (
                "ALTER TABLE notes ADD COLUMN user INTEGER NOT NULL DEFAULT 1 CHECK (user > 0)",
                "0",
            ),
            (
                "CREATE UNIQUE INDEX by_text ON notes(text, upper(text)) WHERE id > 0",
                "0",
            ),
            ("ALTER TABLE notes RENAME COLUMN text TO body", "0"),
            ("ALTER TABLE notes RENAME TO remarks", "0"),
            ("DROP INDEX by_text", "0"),
            ("ALTER TABLE remarks DROP COLUMN user", "0"),
            ("DROP INDEX IF EXISTS by_text", "0"),
            ("DROP TABLE IF EXISTS nowhere", "0"),
            (
                "CREATE TABLE child (user INTEGER REFERENCES users(id) ON DELETE CASCADE)",
                "0",
            ),
            ("DROP TABLE child", "0"),
        ],
    );
    assert_eq!(text(&mut session, "SELECT body FROM remarks"), "none");
    assert_eq!(change(&mut session, "DROP TABLE remarks"), "0");
    run(&mut session, "DROP TABLE IF EXISTS nowhere");
    let operations = "SELECT detail ->> 'operation' || ' ' || target FROM heliosdb.audit_log
         WHERE event_type = 'DatabaseOperation' AND target <> '' ORDER BY seq LIMIT 4";
    assert_eq!(
        column(&mut session, operations),
        [
            "CREATE TABLE main.notes",
            "CREATE TABLE main.notes",
            "INSERT main.notes",
            "ALTER TABLE main.notes"
        ]
    );
}

#[test]
fn h35_no_other_capability_implies_it() {
    let mut session = changer("DATABASE_READ('*'), DATABASE_WRITE('*'), TIME_ACCESS");
    check(
        &mut session,
        &[
            (
                "CREATE TABLE notes (id)",
                "denied DATABASE_EXECUTE CREATE TABLE notes",
            ),
            (
                "ALTER TABLE users ADD COLUMN x",
                "denied DATABASE_EXECUTE ALTER TABLE users",
            ),
            (
                "DROP TABLE users",
                "denied DATABASE_EXECUTE DROP TABLE users",
            ),
            (
                "CREATE INDEX i ON users(name)",
                "denied DATABASE_EXECUTE CREATE INDEX i",
            ),
        ],
    );
    assert_eq!(schema(&mut session), UNCHANGED);
    // The hint cures it.
    run(
        &mut session,
        "CREATE FUNCTION d() LANGUAGE javascript AS $$
           function d() { heliosdb.execute('CREATE TABLE notes (id)'); } $$",
    );
    let error = refuse(&mut session, "SELECT d()", "42501");
    assert_eq!(
        error.message(),
        "permission denied: function \"d\" may not CREATE TABLE notes"
    );
    run(&mut session, error.hint().unwrap());
    run(&mut session, "SELECT d()");
    assert_eq!(text(&mut session, "SELECT count(*) FROM notes"), "0");
    // No policy gives it.
    run(
        &mut session,
        "ALTER FUNCTION c SET SECURITY POLICY PERMISSIVE",
    );
    assert_eq!(
        change(&mut session, "CREATE TABLE more (id)"),
        "denied DATABASE_EXECUTE CREATE TABLE more"
    );
}

/// What is there holds data, and its name is what grants go by: a renamed table would
/// get away from them.
#[test]
fn h35_a_table_that_is_there_needs_grants_of_its_own() {
    let mut session =
        changer("DATABASE_EXECUTE, DATABASE_READ('public_*'), DATABASE_WRITE('users')");
    let both = "denied DATABASE_READ main.secrets, DATABASE_WRITE main.secrets";
    check(
        &mut session,
        &[
            ("ALTER TABLE secrets RENAME TO public_secrets", both),
            ("ALTER TABLE secrets DROP COLUMN value", both),
            ("DROP TABLE secrets", both),
            ("DROP TABLE IF EXISTS main.secrets", both),
            ("CREATE UNIQUE INDEX i ON secrets(value)", both),
            ("DROP TABLE users", "denied DATABASE_READ main.users"),
            // Nor is a column of it told.
            ("ALTER TABLE secrets ADD COLUMN value", both),
            ("ALTER TABLE secrets ADD COLUMN more", both),
            ("ALTER TABLE secrets DROP COLUMN nowhere", both),
            ("CREATE INDEX i ON secrets(nowhere)", both),
            (
                "CREATE TABLE child (secret INTEGER REFERENCES secrets(id))",
                "denied DATABASE_READ main.secrets",
            ),
            (
                "CREATE TABLE child (secret INTEGER, FOREIGN KEY (secret) REFERENCES \"SECRETS\"(id))",
                "denied DATABASE_READ main.SECRETS",
            ),
            // In the same words if there is no such table.
            (
                "DROP TABLE nowhere",
                "denied DATABASE_READ main.nowhere, DATABASE_WRITE main.nowhere",
            ),
            (
                "ALTER TABLE nowhere ADD COLUMN x",
                "denied DATABASE_READ main.nowhere, DATABASE_WRITE main.nowhere",
            ),
        ],
    );
    assert_eq!(schema(&mut session), UNCHANGED);
}

#[test]
fn h35_nothing_that_acts_by_itself_or_stands_for_another_thing() {
    let mut session = changer("DATABASE_EXECUTE, DATABASE_READ('*'), DATABASE_WRITE('*')");
    run(
        &mut session,
        "CREATE VIEW v AS SELECT id FROM users;
         CREATE TABLE guarded (id); CREATE TRIGGER g AFTER DELETE ON guarded BEGIN SELECT 1; END;
         ATTACH ':memory:' AS other; CREATE TABLE other.t (id)",
    );
    let before = schema(&mut session);
    let may_not = "invalid a procedure may not run ";
    for (sql, expected) in [
        (
            "CREATE VIEW w AS SELECT 1",
            "denied DATABASE_EXECUTE CREATE VIEW w",
        ),
        (
            "CREATE TEMP VIEW w AS SELECT 1",
            "denied DATABASE_EXECUTE CREATE VIEW w",
        ),
        ("DROP VIEW v", "denied DATABASE_EXECUTE DROP VIEW v"),
        (
            "CREATE TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; END",
            "denied DATABASE_EXECUTE CREATE TRIGGER t",
        ),
        ("DROP TRIGGER g", "denied DATABASE_EXECUTE DROP TRIGGER g"),
        // It would take the trigger along.
        (
            "DROP TABLE guarded",
            "denied DATABASE_EXECUTE DROP TRIGGER g",
        ),
        (
            "CREATE VIRTUAL TABLE t USING fts5(a)",
            "denied DATABASE_EXECUTE CREATE VIRTUAL TABLE t",
        ),
        (
            "CREATE TEMP TABLE t (id)",
            "denied DATABASE_EXECUTE CREATE TABLE t",
        ),
        (
            "CREATE TABLE temp.t (id)",
            "denied DATABASE_EXECUTE CREATE TABLE temp.t",
        ),
        (
            "CREATE TABLE other.t2 (id)",
            "denied DATABASE_EXECUTE CREATE TABLE other.t2",
        ),
        (
            "DROP TABLE other.t",
            "denied DATABASE_EXECUTE DROP TABLE other.t",
        ),
        (
            "CREATE TABLE heliosdb.t (id)",
            "denied DATABASE_EXECUTE CREATE TABLE heliosdb.t",
        ),
        (
            "CREATE TABLE pragma_table_list (id)",
            "denied DATABASE_EXECUTE CREATE TABLE pragma_table_list",
        ),
        (
            "ALTER TABLE users RENAME TO pragma_module_list",
            "denied DATABASE_EXECUTE CREATE TABLE pragma_module_list",
        ),
        (
            "CREATE TABLE sqlite_x (id)",
            "invalid object name reserved for internal use: sqlite_x",
        ),
    ] {
        assert_eq!(change(&mut session, sql), expected, "{sql}");
    }
    for sql in [
        "CREATE TABLE copied AS SELECT * FROM secrets",
        "CREATE TABLE copied AS SELECT sql FROM sqlite_schema",
        "/* DROP */ ATTACH ':memory:' AS x",
        "VACUUM",
        "PRAGMA writable_schema = 1",
        "EXPLAIN DROP TABLE users",
    ] {
        let answer = change(&mut session, sql);
        let fits = answer.starts_with(may_not)
            || answer.starts_with("denied DATABASE_EXECUTE")
            || answer.starts_with("invalid this changes the schema");
        assert!(fits, "{sql}: {answer}");
    }
    for two in [
        "CREATE TABLE a (id); CREATE TABLE b (id)",
        "DROP TABLE users; DROP TABLE secrets",
    ] {
        assert_eq!(
            change(&mut session, two),
            "invalid the text holds more than one statement"
        );
    }
    assert_eq!(schema(&mut session), before);
}

/// A function in a DEFAULT or CHECK would run when somebody else writes.
#[test]
fn h35_a_table_hides_no_function() {
    let mut session = changer("DATABASE_EXECUTE, DATABASE_READ('users'), DATABASE_WRITE('users')");
    run(
        &mut session,
        "CREATE FUNCTION evil(x TEXT) RETURNS TEXT IMMUTABLE LANGUAGE javascript AS $$ (x) => x $$"
            .replace("(x) => x", "function evil(x) { return x; }")
            .as_str(),
    );
    check(
        &mut session,
        &[
            (
                "CREATE TABLE t (a DEFAULT (random()))",
                "denied RANDOM_ACCESS random",
            ),
            (
                "CREATE TABLE t (a DEFAULT (evil('x')))",
                "denied CALL_FUNCTION evil",
            ),
            (
                "CREATE TABLE t (a CHECK (evil(a) = 'x'))",
                "denied CALL_FUNCTION evil",
            ),
            (
                "ALTER TABLE users ADD COLUMN a CHECK (evil(a) = 'x')",
                "denied CALL_FUNCTION evil",
            ),
            (
                "CREATE TABLE t (a CHECK (abs(a) > 0), b DEFAULT (1 + 2))",
                "0",
            ),
        ],
    );
    let answer = change(&mut session, "CREATE INDEX i ON users(evil(name))");
    assert_eq!(answer, "denied CALL_FUNCTION evil");
    assert_eq!(
        schema(&mut session),
        ["table secrets", "table t", "table users"]
    );
}

/// A change is part of the call, and of a transaction.
#[test]
fn d12_a_change_of_the_schema_is_undone_with_its_call() {
    let mut session = changer("DATABASE_EXECUTE");
    let keys = "CREATE TABLE keys (a TEXT PRIMARY KEY, b UNIQUE)";
    assert_eq!(change(&mut session, keys), "0");
    run(&mut session, "DROP TABLE keys");
    run(
        &mut session,
        "CREATE FUNCTION fails() LANGUAGE javascript AS $$
           function fails() { heliosdb.execute('CREATE TABLE notes (id)'); throw new Error('no'); }
         $$;
         CREATE FUNCTION half() LANGUAGE javascript AS $$
           function half() {
             heliosdb.execute('CREATE TABLE kept (id)');
             try { heliosdb.transaction(() => { heliosdb.execute('CREATE TABLE notes (id)'); throw 1; }); }
             catch { }
           }
         $$;
         ALTER FUNCTION fails GRANT CAPABILITY DATABASE_EXECUTE;
         ALTER FUNCTION half GRANT CAPABILITY DATABASE_EXECUTE, DATABASE_WRITE('x');",
    );
    refuse(&mut session, "SELECT fails()", "38000");
    assert_eq!(schema(&mut session), UNCHANGED);
    run(&mut session, "SELECT half()");
    assert_eq!(
        schema(&mut session),
        ["table kept", "table secrets", "table users"]
    );
    // Inside a statement that writes, it is refused.
    run(&mut session, "CREATE TABLE t (n)");
    run(
        &mut session,
        "INSERT INTO t VALUES (c('CREATE TABLE notes (id)'))",
    );
    assert_eq!(
        text(&mut session, "SELECT n FROM t"),
        "failed 0A000 a transaction cannot begin inside a statement that writes: that statement is the unit"
    );
}
