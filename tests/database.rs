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

use crate::support::{run, session_for_any_text};
use perihelion::{Session, Value};

/// Two functions that send their argument to the database and return what came of it,
/// as text: rows as JSON, the number of changed rows, or the error.
const PROBES: &str = "
CREATE FUNCTION q(sql TEXT, params JSON) RETURNS TEXT LANGUAGE javascript AS $$
  function q(sql, params) {
    try { return JSON.stringify(heliosdb.query(sql, params).rows); } catch (e) { return tell(e); }
  }
  function tell(e) {
    if (!(e instanceof HeliosError)) throw e;
    switch (e.code) {
      case 'denied': return 'denied ' + e.denials.map(d => d.capability + ' ' + d.target).join(', ');
      case 'failed': return 'failed ' + e.sqlstate + ' ' + e.message;
      default: return e.code + ' ' + e.message;
    }
  }
$$;
CREATE FUNCTION x(sql TEXT, params JSON) RETURNS TEXT LANGUAGE javascript AS $$
  function x(sql, params) {
    try { return String(heliosdb.execute(sql, params).rowCount); } catch (e) { return tell(e); }
  }
  function tell(e) {
    if (!(e instanceof HeliosError)) throw e;
    switch (e.code) {
      case 'denied': return 'denied ' + e.denials.map(d => d.capability + ' ' + d.target).join(', ');
      case 'failed': return 'failed ' + e.sqlstate + ' ' + e.message;
      default: return e.code + ' ' + e.message;
    }
  }
$$;
ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users');
ALTER FUNCTION x GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users');
";

/// A session with the tables `users` and `secrets` and the probes, granted `users`.
fn probed() -> Session {
    let mut session = session_for_any_text();
    run(&mut session, PROBES);
    session
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
        let fits = match expected.strip_suffix('…') {
            Some(start) => answer.starts_with(start),
            None => answer == *expected,
        };
        assert!(fits, "{sql}\n  gave {answer}\n  not  {expected}");
    }
}
