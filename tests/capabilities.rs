//! Every function of every capability's interface: allowed with the grant, refused
//! without it, and recorded either way.

use crate::support::{column, refuse, run, session_with_users, text};
use perihelion::Session;

/// A function `f` that makes one request.
fn requesting(body: &str) -> Session {
    let mut session = session_with_users();
    run(
        &mut session,
        &format!(
            "CREATE FUNCTION f() RETURNS JSON LANGUAGE javascript AS $$ function f() {{ {body} }} $$"
        ),
    );
    session
}

/// The request succeeds with this grant, and the check is in the log.
fn allow(body: &str, grant: &str, result: &str, check: &str) {
    let mut session = requesting(body);
    run(
        &mut session,
        &format!("ALTER FUNCTION f GRANT CAPABILITY {grant}"),
    );
    assert_eq!(text(&mut session, "SELECT f()"), result);
    assert_eq!(checks(&mut session), [format!("{check} 1")]);
}

/// The request is refused with every other grant, and the denial is in the log.
fn refused(body: &str, others: &str, message: &str, check: &str) {
    let mut session = requesting(body);
    run(
        &mut session,
        &format!("ALTER FUNCTION f GRANT CAPABILITY {others}"),
    );
    let error = refuse(&mut session, "SELECT f()", "42501");
    assert!(error.message().contains(message), "{error:?}");
    assert_eq!(checks(&mut session), [format!("{check} 0")]);
    assert_eq!(text(&mut session, "SELECT count(*) FROM users"), "2");
}

fn checks(session: &mut Session) -> Vec<String> {
    column(
        session,
        "SELECT concat_ws(' ', capability, target, allowed) FROM heliosdb.audit_log
         WHERE event_type = 'CapabilityCheck' ORDER BY seq",
    )
}

const QUERY: &str = "return heliosdb.query('SELECT name FROM users ORDER BY id').rows[0].name";
const EXECUTE: &str = "return heliosdb.execute('DELETE FROM users').rowCount";
const NOW: &str = "return Date.now() > 0";

#[test]
fn database_read_query_allow() {
    allow(
        QUERY,
        "DATABASE_READ('users')",
        "\"Ada\"",
        "DATABASE_READ main.users",
    );
}

#[test]
fn database_read_query_refuse() {
    let others = "DATABASE_READ('secrets'), DATABASE_WRITE('*'), TIME_ACCESS";
    refused(
        QUERY,
        others,
        "may not read table \"users\"",
        "DATABASE_READ main.users",
    );
    // Not linked at all.
    refused(
        QUERY,
        "TIME_ACCESS",
        "may not read table \"users\"",
        "DATABASE_READ main.users",
    );
}

#[test]
fn database_write_execute_allow() {
    allow(
        EXECUTE,
        "DATABASE_WRITE('users')",
        "2",
        "DATABASE_WRITE main.users",
    );
}

#[test]
fn database_write_execute_refuse() {
    let others = "DATABASE_WRITE('secrets'), DATABASE_READ('*'), TIME_ACCESS";
    refused(
        EXECUTE,
        others,
        "may not write table \"users\"",
        "DATABASE_WRITE main.users",
    );
    refused(
        EXECUTE,
        "DATABASE_READ('*')",
        "may not write table \"users\"",
        "DATABASE_WRITE main.users",
    );
}

const QUERY_ONE: &str = "return heliosdb.queryOne('SELECT name FROM users WHERE id = 1').name";
const STREAM: &str = "return [...heliosdb.stream('SELECT name FROM users ORDER BY id')][0].name";
const PREPARE: &str =
    "return heliosdb.prepare('SELECT name FROM users WHERE id = ?').queryOne([1]).name";
const BATCH: &str =
    "return heliosdb.batch('INSERT INTO users(name) VALUES (?)', [['Cy'], ['Di']]).rowCount";
const PREPARE_WRITE: &str = "return heliosdb.prepare('INSERT INTO users(name) VALUES (?)').batch([['Cy'], ['Di']]).rowCount";
const COMMIT: &str =
    "return heliosdb.transaction(() => heliosdb.execute('DELETE FROM users').rowCount)";
const ROLL_BACK: &str = "
    try { heliosdb.transaction(() => { heliosdb.execute('DELETE FROM users'); throw 1; }) }
    catch (e) { if (e instanceof HeliosError) throw e; }
    return true";
const CHANGE: &str =
    "return heliosdb.execute('CREATE TABLE notes (id INTEGER PRIMARY KEY)').rowCount";

const READ: &str = "DATABASE_READ('users')";
const READ_CHECK: &str = "DATABASE_READ main.users";
const WRITE: &str = "DATABASE_WRITE('users')";
const WRITE_CHECK: &str = "DATABASE_WRITE main.users";

/// Without the grant on the table, and without the interface.
fn read_refused(body: &str) {
    for others in [
        "DATABASE_READ('secrets'), DATABASE_WRITE('*'), DATABASE_EXECUTE",
        "TIME_ACCESS",
    ] {
        refused(body, others, "may not read table \"users\"", READ_CHECK);
    }
}

fn write_refused(body: &str) {
    for others in [
        "DATABASE_WRITE('secrets'), DATABASE_READ('*')",
        "DATABASE_EXECUTE",
    ] {
        refused(body, others, "may not write table \"users\"", WRITE_CHECK);
    }
}

#[test]
fn database_read_query_one_allow() {
    allow(QUERY_ONE, READ, "\"Ada\"", READ_CHECK);
}

#[test]
fn database_read_query_one_refuse() {
    read_refused(QUERY_ONE);
}

#[test]
fn database_read_stream_allow() {
    allow(STREAM, READ, "\"Ada\"", READ_CHECK);
}

#[test]
fn database_read_stream_refuse() {
    read_refused(STREAM);
}

#[test]
fn database_read_prepare_allow() {
    allow(PREPARE, READ, "\"Ada\"", READ_CHECK);
}

#[test]
fn database_read_prepare_refuse() {
    read_refused(PREPARE);
}

/// The engine asks every statement and cursor for its columns.
#[test]
fn database_read_columns_allow() {
    let body = "return Object.keys(heliosdb.prepare('SELECT name FROM users').query().rows[0])[0]";
    allow(body, READ, "\"name\"", READ_CHECK);
}

#[test]
fn database_read_columns_refuse() {
    read_refused("return heliosdb.prepare('SELECT name FROM users').query().columns");
}

#[test]
fn database_read_next_allow() {
    let body = "return heliosdb.stream('SELECT name FROM users ORDER BY id').next().value.name";
    allow(body, READ, "\"Ada\"", READ_CHECK);
}

#[test]
fn database_read_next_refuse() {
    read_refused("return heliosdb.stream('SELECT name FROM users').next().done");
}

#[test]
fn database_write_execute_batch_allow() {
    allow(BATCH, WRITE, "2", WRITE_CHECK);
}

#[test]
fn database_write_execute_batch_refuse() {
    write_refused(BATCH);
}

#[test]
fn database_write_prepare_allow() {
    allow(PREPARE_WRITE, WRITE, "2", WRITE_CHECK);
}

#[test]
fn database_write_prepare_refuse() {
    write_refused(PREPARE_WRITE);
}

#[test]
fn database_write_begin_allow() {
    allow(COMMIT, WRITE, "2", WRITE_CHECK);
}

#[test]
fn database_write_begin_refuse() {
    let others = "DATABASE_READ('*'), DATABASE_EXECUTE";
    refused(COMMIT, others, "may not write tables", "DATABASE_WRITE");
}

#[test]
fn database_write_commit_allow() {
    allow(COMMIT, "DATABASE_WRITE('*')", "2", WRITE_CHECK);
}

/// The transaction begins, and what it is to commit is refused.
#[test]
fn database_write_commit_refuse() {
    let others = "DATABASE_WRITE('secrets')";
    refused(COMMIT, others, "may not write table \"users\"", WRITE_CHECK);
}

#[test]
fn database_write_roll_back_allow() {
    allow(ROLL_BACK, WRITE, "true", WRITE_CHECK);
}

#[test]
fn database_write_roll_back_refuse() {
    refused(ROLL_BACK, READ, "may not write tables", "DATABASE_WRITE");
}

#[test]
fn database_ddl_execute_allow() {
    allow(
        CHANGE,
        "DATABASE_EXECUTE",
        "0",
        "DATABASE_EXECUTE CREATE TABLE main.notes",
    );
}

#[test]
fn database_ddl_execute_refuse() {
    let others = "DATABASE_READ('*'), DATABASE_WRITE('*'), TIME_ACCESS";
    refused(
        CHANGE,
        others,
        "may not CREATE TABLE notes",
        "DATABASE_EXECUTE CREATE TABLE notes",
    );
}

#[test]
fn time_now_allow() {
    allow(NOW, "TIME_ACCESS", "true", "TIME_ACCESS");
}

#[test]
fn time_now_refuse() {
    let others = "DATABASE_READ('*'), DATABASE_WRITE('*')";
    refused(NOW, others, "may not read the clock", "TIME_ACCESS");
}

#[test]
fn d9_deny_wins_and_revoke_removes_exactly_one_grant() {
    let mut session = requesting(QUERY);
    run(
        &mut session,
        "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('*'), DATABASE_READ('users')",
    );
    run(
        &mut session,
        "ALTER FUNCTION f DENY CAPABILITY DATABASE_READ('users')",
    );
    let error = refuse(&mut session, "SELECT f()", "42501");
    assert_eq!(
        error.detail(),
        Some(
            "its grants are DATABASE_READ('*'), DATABASE_READ('users'), less DATABASE_READ('users')"
        )
    );
    run(
        &mut session,
        "ALTER FUNCTION f REVOKE CAPABILITY DATABASE_READ('users')",
    );
    refuse(&mut session, "SELECT f()", "42501");
    // The denial is revoked once the grant of that name is gone.
    run(
        &mut session,
        "ALTER FUNCTION f REVOKE CAPABILITY DATABASE_READ('users')",
    );
    assert_eq!(text(&mut session, "SELECT f()"), "\"Ada\"");
}

#[test]
fn all_missing_grants_are_named_at_once_and_the_hint_cures_them() {
    let mut session = requesting(
        "return heliosdb.query('SELECT u.name, s.value FROM users u JOIN secrets s USING (id)').rowCount",
    );
    let error = refuse(&mut session, "SELECT f()", "42501");
    assert_eq!(
        error.hint(),
        Some("ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_READ('secrets');")
    );
    run(&mut session, error.hint().unwrap());
    assert_eq!(text(&mut session, "SELECT f()"), "1");
}

#[test]
fn a_guest_that_catches_a_refusal_goes_on_and_it_is_recorded() {
    let mut session = requesting(
        "try { heliosdb.query('SELECT * FROM secrets') }
         catch (e) { return [e.code, e.denials, e instanceof HeliosError] }",
    );
    assert_eq!(
        text(&mut session, "SELECT f()"),
        r#"["denied",[{"capability":"DATABASE_READ","target":"main.secrets"}],true]"#
    );
    assert_eq!(checks(&mut session), ["DATABASE_READ main.secrets 0"]);
}
