//! Tables: what a guest's SQL may touch, what it may not, and what a call leaves.

mod bombs;
mod builtins;
mod changes;
mod columns;
mod cursors;
mod directory;
mod effects;
mod host_names;
mod injection;
mod ledger;
mod memory;
mod names;
mod rows;
mod savepoints;
mod schema;
mod statements;
mod transactions;
mod values;

use crate::support::{PROBES, fits, run, session_for_any_text, session_with_users, text};
use perihelion::{Session, Value};

/// What the probes are granted, where nothing else is said.
const GRANTS: &str = "
ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users');
ALTER FUNCTION x GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users');
";

/// A session with the tables `users` and `secrets` and the probes, granted `users`.
fn probed() -> Session {
    let mut session = session_for_any_text();
    add_probes(&mut session);
    session
}

fn add_probes(session: &mut Session) {
    run(session, PROBES);
    run(session, GRANTS);
}

/// A guest's query, as a call of its own.
#[track_caller]
fn query(session: &mut Session, sql: &str) -> String {
    ask(session, "q", sql, "[]")
}

/// A guest's writing statement, as a call of its own.
#[track_caller]
fn execute(session: &mut Session, sql: &str) -> String {
    ask(session, "x", sql, "[]")
}

#[track_caller]
fn ask(session: &mut Session, probe: &str, sql: &str, params: &str) -> String {
    let arguments = [Value::Text(sql.into()), Value::Json(params.into())];
    let answer = match session.call(probe, &arguments) {
        Ok(Value::Text(answer)) => answer,
        other => panic!("{other:?}\nof: {sql}"),
    };
    if answer.starts_with("denied") || answer.contains("may not run") {
        forget_denials(session, probe);
    }
    answer
}

/// What a probe asks for in vain would soon refuse it to the session's caller. Only
/// then: it ends the statements that are kept for the probe.
#[track_caller]
fn forget_denials(session: &mut Session, probe: &str) {
    if !session.in_transaction() {
        let sql = format!("ALTER FUNCTION {probe} SET ENABLED = true");
        run(session, &sql);
    }
}

/// Statements, each with what the probe must answer: the whole of it, or its beginning
/// if it ends in `…`.
#[track_caller]
fn check(session: &mut Session, probe: &str, cases: &[(&str, &str)]) {
    for (sql, expected) in cases {
        let answer = ask(session, probe, sql, "[]");
        assert!(
            fits(&answer, expected),
            "{sql}\n  gave {answer}\n  not  {expected}"
        );
    }
}

/// A function `f` with these grants, whose body gives JSON.
fn with_function(body: &str, grants: &str) -> Session {
    let mut session = session_with_users();
    create(&mut session, body, grants);
    session
}

fn create(session: &mut Session, body: &str, grants: &str) {
    let create = format!(
        "CREATE FUNCTION f() RETURNS JSON LANGUAGE javascript AS $$ function f() {{ {body} }} $$;
         ALTER FUNCTION f GRANT CAPABILITY {grants};"
    );
    run(session, &create);
}

#[track_caller]
fn gives(body: &str, grants: &str, result: &str) -> Session {
    let mut session = with_function(body, grants);
    assert_eq!(text(&mut session, "SELECT f()"), result, "{body}");
    session
}

/// What a request throws, in few words.
const THROWN: &str = "const thrown = (request) => { try { return request(); }
    catch (e) { return [e.code, e.sqlstate ?? e.limit?.name ?? e.message]; } };";
