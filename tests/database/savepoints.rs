//! D12: transactions of a guest's, inside the unit that its call is.

use crate::support::{column, refuse, run, session_with_users, text};
use perihelion::Session;

const BOTH: &str = "DATABASE_READ('users'), DATABASE_WRITE('users')";

/// `add` inserts a name; `names` gives them all.
const TOOLS: &str = "
  const add = (name) => heliosdb.execute('INSERT INTO users(name) VALUES (?)', [name]);
  const names = () => heliosdb.query('SELECT name FROM users ORDER BY id').rows.map(r => r.name).join();
  const caught = (request) => { try { return request(); } catch (e) { return String(e.message ?? e); } };";

fn with_function(body: &str, grants: &str) -> Session {
    let mut session = session_with_users();
    let create = format!(
        "CREATE FUNCTION f() RETURNS TEXT LANGUAGE javascript AS $$
           {TOOLS} {body} $$;
         ALTER FUNCTION f GRANT CAPABILITY {grants};"
    );
    run(&mut session, &create);
    session
}

#[track_caller]
fn gives(body: &str, result: &str) -> Session {
    let mut session = with_function(&format!("function f() {{ {body} }}"), BOTH);
    assert_eq!(text(&mut session, "SELECT f()"), result, "{body}");
    session
}

#[test]
fn d12_a_transaction_that_throws_leaves_nothing_and_others_stay() {
    let mut session = gives(
        "add('a');
         caught(() => heliosdb.transaction(() => { add('b'); throw new Error('no'); }));
         heliosdb.transaction(() => { add('c'); });
         return names()",
        "Ada,Bob,a,c",
    );
    assert_eq!(
        text(&mut session, "SELECT group_concat(name) FROM users"),
        "Ada,Bob,a,c"
    );
    let operations = "SELECT detail ->> 'operation' FROM heliosdb.audit_log
         WHERE event_type = 'DatabaseOperation' ORDER BY seq";
    // The log keeps what was written, and that it was undone.
    assert_eq!(
        column(&mut session, operations),
        ["INSERT", "INSERT", "ROLLBACK", "INSERT", "SELECT"]
    );
}

#[test]
fn d12_transactions_lie_in_each_other() {
    gives(
        "heliosdb.transaction(() => {
           add('a');
           caught(() => heliosdb.transaction(() => {
             add('b');
             heliosdb.transaction(() => add('c'));
             throw 1;
           }));
           heliosdb.transaction(() => add('d'));
         });
         return names()",
        "Ada,Bob,a,d",
    );
    gives(
        "const deeper = (n) => heliosdb.transaction(() => { add(String(n)); return deeper(n + 1); });
         return caught(() => deeper(1)) + ' ' + names()",
        "open_transactions is 33, and at most 32 is allowed Ada,Bob",
    );
}

#[test]
fn d12_a_transaction_of_an_async_function() {
    let body = "async function f() {
       await heliosdb.transaction(async () => { await null; add('a'); });
       try { await heliosdb.transaction(async () => { add('b'); await null; throw 1; }); } catch { }
       const two = await Promise.allSettled([
         heliosdb.transaction(async () => { add('c'); await null; await null; }),
         heliosdb.transaction(async () => { add('d'); for (let n = 0; n < 9; n++) await null; }),
       ]);
       return two.map(r => r.status).join() + ' ' + names();
     }";
    let mut session = with_function(body, BOTH);
    // They overlap, so that the one that was begun first cannot end first.
    assert_eq!(
        text(&mut session, "SELECT f()"),
        "rejected,rejected Ada,Bob,a"
    );
}

#[test]
fn d12_what_is_left_open_is_undone() {
    let body = "function f() {
       heliosdb.transaction(() => new Promise(() => {})).catch(() => {});
       return 'left';
     }";
    // The promise never settles, and nobody waits for it.
    let mut session = with_function(
        &body.replace("return 'left'", "add('b'); return 'left'"),
        BOTH,
    );
    assert_eq!(text(&mut session, "SELECT f()"), "left");
    assert_eq!(text(&mut session, "SELECT count(*) FROM users"), "2");
    assert!(!session.in_transaction());
}

#[test]
fn d12_a_guests_transaction_is_refused_inside_a_writing_statement() {
    let body = "function f() {
       return caught(() => heliosdb.transaction(() => add('a')));
     }";
    let mut session = with_function(body, BOTH);
    run(&mut session, "CREATE TABLE t(n TEXT)");
    let refused =
        "a transaction cannot begin inside a statement that writes: that statement is the unit";
    run(&mut session, "INSERT INTO t VALUES (f())");
    assert_eq!(text(&mut session, "SELECT n FROM t"), refused);
    run(&mut session, "UPDATE t SET n = f()");
    assert_eq!(text(&mut session, "SELECT n FROM t"), refused);
    run(
        &mut session,
        "CREATE TABLE u(id); CREATE TRIGGER u AFTER INSERT ON u BEGIN
           UPDATE t SET n = n || f(); END;
         INSERT INTO u VALUES (1)",
    );
    assert_eq!(text(&mut session, "SELECT count(*) FROM users"), "2");
    // Its SQLSTATE.
    let body = "function f() { heliosdb.transaction(() => add('a')); return 'x'; }";
    let mut session = with_function(
        &body
            .replace("heliosdb", "try { heliosdb")
            .replace("; return", " } catch (e) { return e.sqlstate } return"),
        BOTH,
    );
    run(
        &mut session,
        "CREATE TABLE t(n TEXT); INSERT INTO t VALUES (f())",
    );
    assert_eq!(text(&mut session, "SELECT n FROM t"), "0A000");
    // In a statement that reads, and in a block of the client's, they work.
    assert_eq!(text(&mut session, "SELECT f()"), "x");
    run(
        &mut session,
        "BEGIN; SELECT f(); ROLLBACK; BEGIN; SELECT f(); COMMIT",
    );
    assert_eq!(text(&mut session, "SELECT count(*) FROM users"), "4");
}

/// A failed call takes its transactions along, committed or not.
#[test]
fn d12_a_commit_is_part_of_the_call() {
    for ending in ["throw new Error('after')", "for (;;);", "return f()"] {
        let body = format!(
            "function f() {{
               heliosdb.transaction(() => {{ add('a'); heliosdb.transaction(() => add('b')); }});
               heliosdb.transaction(() => {{ add('c'); {ending}; }});
             }}"
        );
        let mut session = with_function(&body, BOTH);
        run(&mut session, "ALTER FUNCTION f SET (max_cpu_time_ms = 200)");
        assert!(session.execute("SELECT f()").is_err(), "{ending}");
        assert_eq!(
            text(&mut session, "SELECT count(*) FROM users"),
            "2",
            "{ending}"
        );
        assert!(!session.in_transaction());
    }
}

#[test]
fn d12_control_by_text_stays_refused() {
    let mut session = with_function(
        "function f() { return caught(() => heliosdb.execute('SAVEPOINT mine')); }",
        BOTH,
    );
    assert_eq!(
        text(&mut session, "SELECT f()"),
        "a procedure may not run SAVEPOINT, RELEASE or ROLLBACK TO"
    );
    // The host's own savepoints have names that a client may use as well.
    run(
        &mut session,
        "SAVEPOINT heliosdb_1; INSERT INTO users(name) VALUES ('mine'); RELEASE heliosdb_1",
    );
    refuse(&mut session, "RELEASE heliosdb_1", "42601");
}
