//! What neither the log nor a message may hold.

use crate::support::{column, refuse, run, runtime, session_with_users};
use perihelion::{Storage, Value};
use std::path::Path;

const CANARY: &str = "CANARY-71c9e";

#[test]
fn h27_no_value_is_ever_in_the_logs_files() {
    let directory = tempfile::tempdir().unwrap();
    let vault = runtime()
        .vault(Storage::Directory(directory.path().to_path_buf()))
        .unwrap();
    let mut session = vault.session().unwrap();
    run(
        &mut session,
        "CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT UNIQUE);
         CREATE FUNCTION keep(id BIGINT, t TEXT) RETURNS TEXT LANGUAGE javascript AS $$
           function keep(id, t) {
             heliosdb.execute('INSERT INTO notes VALUES (?, ?)', [id, t]);
             console.log(t);
             return heliosdb.query('SELECT text FROM notes WHERE text = ?', [t]).rows[0].text;
           }
         $$;
         CREATE FUNCTION tell(t TEXT) LANGUAGE javascript AS $$
           function tell(t) { throw new Error(t); }
         $$;
         ALTER FUNCTION keep GRANT CAPABILITY DATABASE_READ('notes'), DATABASE_WRITE('notes');",
    );
    let canary = Value::Text(CANARY.into());
    assert_eq!(
        session
            .call("keep", &[Value::Integer(1), canary.clone()])
            .unwrap(),
        canary
    );
    session
        .call("keep", &[Value::Integer(2), canary.clone()])
        .unwrap_err();
    session
        .call("tell", std::slice::from_ref(&canary))
        .unwrap_err();
    session
        .execute_with("SELECT keep(3, ? || 'x')", &[canary])
        .unwrap();
    refuse(
        &mut session,
        &format!("SELECT keep(1, '{CANARY}')"),
        "38000",
    );
    drop((session, vault));
    assert!(!holds(&directory.path().join("audit"), CANARY));
    assert!(holds(directory.path(), CANARY), "the data itself is there");
}

fn holds(directory: &Path, text: &str) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path.is_file() && contains(&std::fs::read(&path).unwrap(), text.as_bytes())
    })
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// One function's errors and entries hold nothing of another's.
#[test]
fn h96_a_function_learns_nothing_of_what_another_may_see() {
    let mut session = session_with_users();
    run(
        &mut session,
        "CREATE FUNCTION may() RETURNS BIGINT LANGUAGE javascript AS $$
           function may() { return heliosdb.query('SELECT * FROM secrets').rowCount; }
         $$;
         ALTER FUNCTION may GRANT CAPABILITY DATABASE_READ('secrets');
         CREATE FUNCTION may_not(sql TEXT) RETURNS TEXT LANGUAGE javascript AS $$
           function may_not(sql) {
             try { return JSON.stringify(heliosdb.query(sql).rows); }
             catch (e) { return JSON.stringify([e.code, e.message, e.denials, e.sqlstate, e.stack]); }
           }
         $$;
         ALTER FUNCTION may_not GRANT CAPABILITY DATABASE_READ('users');
         SELECT may();",
    );
    for sql in [
        "SELECT * FROM users WHERE id = (SELECT value FROM secrets)",
        "SELECT * FROM users NATURAL JOIN secrets",
        "SELECT CAST(value AS INTEGER) FROM secrets",
        "SELECT abs(value) FROM secrets",
        "SELECT json(value) FROM secrets",
        "SELECT secret FROM users",
        "SELECT * FROM secret",
        "SELECT may()",
        "SELECT ma()",
    ] {
        let answer = session.call("may_not", &[Value::Text(sql.into())]).unwrap();
        let Value::Text(answer) = answer else {
            panic!()
        };
        // Five denials would refuse it to this caller.
        run(&mut session, "ALTER FUNCTION may_not SET ENABLED = true");
        assert!(answer.starts_with('['), "{answer}");
        assert!(!answer.contains("CANARY"), "{sql}: {answer}");
        // A name is in the answer only if it was in the question.
        for name in ["secrets", "value", "may("] {
            assert!(
                sql.contains(name) || !answer.contains(name),
                "{sql}: {answer}"
            );
        }
    }
    let log = column(
        &mut session,
        "SELECT function_name || coalesce(target, '') || coalesce(detail, '') FROM heliosdb.audit_log",
    );
    assert!(log.iter().all(|entry| !entry.contains("CANARY")));
    let own = column(
        &mut session,
        "SELECT coalesce(target, '') FROM heliosdb.audit_log
         WHERE function_name = 'may_not' AND event_type = 'DatabaseOperation'",
    );
    assert!(own.iter().all(|target| target == "users"), "{own:?}");
}
