//! The rest of what a guest can do with a statement: one row, RETURNING, a batch, a
//! prepared one; and what a row's values are.

use super::{THROWN, add_probes, ask, gives, probed, with_function};
use crate::support::{column, refuse, run, session_for_any_text, text, value};
use perihelion::Value;

const READ: &str = "DATABASE_READ('users')";
const BOTH: &str = "DATABASE_READ('users'), DATABASE_WRITE('users')";

#[test]
fn h57_one_row_is_one_row_or_none() {
    let body = "return [
        heliosdb.queryOne('SELECT id, name FROM users WHERE id = ?', [1]),
        heliosdb.queryOne('SELECT id FROM users WHERE id = ?', [3]),
        thrown(() => heliosdb.queryOne('SELECT id FROM users')),
        thrown(() => heliosdb.prepare('SELECT id FROM users').queryOne()),
    ]";
    let many = r#"["failed","21000"]"#;
    gives(
        &format!("{THROWN} {body}"),
        READ,
        &format!(r#"[{{"id":1,"name":"Ada"}},null,{many},{many}]"#),
    );
}

#[test]
fn a_writing_statement_gives_its_rows_and_the_last_id() {
    let body = "
      const insert = 'INSERT INTO users(name) VALUES (?), (?) RETURNING id, name';
      const { rows, columns, rowCount, lastInsertId } = heliosdb.execute(insert, ['Cy', 'Di']);
      const update = heliosdb.execute('UPDATE users SET name = upper(name) WHERE id > ?', [2]);
      const none = heliosdb.execute('DELETE FROM users WHERE id > ? RETURNING name', [99]);
      return [rows, columns, rowCount, lastInsertId, update.rowCount, update.lastInsertId, none.rows]";
    gives(
        body,
        BOTH,
        r#"[[{"id":3,"name":"Cy"},{"id":4,"name":"Di"}],["id","name"],2,4,2,null,[]]"#,
    );
    // RETURNING reads.
    let mut session = with_function(body, "DATABASE_WRITE('users')");
    let error = refuse(&mut session, "SELECT f()", "42501");
    assert!(error.message().contains("may not read table \"users\""));
    assert_eq!(text(&mut session, "SELECT count(*) FROM users"), "2");
}

/// What a guest inserted is nothing that the client, or the next function, can ask for.
#[test]
fn h96_the_last_id_leaks_to_nobody() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE TABLE mine(id INTEGER PRIMARY KEY); INSERT INTO mine VALUES (41)",
    );
    assert_eq!(
        ask(&mut session, "x", "INSERT INTO users(id) VALUES (77)", "[]"),
        "1"
    );
    assert_eq!(text(&mut session, "SELECT last_insert_rowid()"), "41");
    let body = "return heliosdb.execute('DELETE FROM users WHERE id = 77').lastInsertId";
    let create = format!(
        "CREATE FUNCTION f() RETURNS JSON LANGUAGE javascript AS $$ function f() {{ {body} }} $$;
         ALTER FUNCTION f GRANT CAPABILITY {BOTH};"
    );
    run(&mut session, &create);
    assert_eq!(value(&mut session, "SELECT f()"), Value::Null);
}

#[test]
fn a_batch_takes_effect_as_a_whole_or_not_at_all() {
    let body = "
      const insert = 'INSERT INTO users(id, name) VALUES (?, ?)';
      const first = heliosdb.batch(insert, [[3, 'Cy'], [4, 'Di']]).rowCount;
      const failed = thrown(() => heliosdb.batch(insert, [[5, 'Ed'], [1, 'twice']]));
      const wrong = thrown(() => heliosdb.batch(insert, [[5, 'Ed'], [6]]));
      const none = heliosdb.batch(insert, []).rowCount;
      return [first, failed, wrong, none, heliosdb.query('SELECT max(id) AS id FROM users').rows[0].id]";
    let mut session = gives(
        &format!("{THROWN} {body}"),
        BOTH,
        r#"[2,["failed","23505"],["invalid","the statement has 2 parameters and 1 values were given"],0,4]"#,
    );
    let entries =
        "SELECT concat_ws(' ', detail ->> 'operation', detail ->> 'runs', detail ->> 'rows')
         FROM heliosdb.audit_log WHERE event_type = 'DatabaseOperation'";
    assert_eq!(column(&mut session, entries), ["INSERT 2 2", "SELECT 1 1"]);
}

/// D12: inside a writing statement nothing smaller can be undone.
#[test]
fn d12_a_batch_that_fails_inside_a_writing_statement_fails_the_statement() {
    let body = "
      try { heliosdb.batch('INSERT INTO users(id) VALUES (?)', [[7], [1]]); } catch { }
      return 1";
    let mut session = with_function(body, BOTH);
    run(&mut session, "CREATE TABLE t(n)");
    refuse(&mut session, "INSERT INTO t VALUES (f())", "23000");
    assert_eq!(text(&mut session, "SELECT count(*) FROM users"), "2");
    assert_eq!(text(&mut session, "SELECT count(*) FROM t"), "0");
    // In a statement that reads it is undone by itself.
    run(&mut session, "SELECT f()");
    assert_eq!(text(&mut session, "SELECT count(*) FROM users"), "2");
}

#[test]
fn d6_a_prepared_statement_ends_with_its_grant() {
    let mut session = with_function(
        &format!(
            "{THROWN} const s = heliosdb.prepare('SELECT name FROM users WHERE id = ?');
             const first = s.queryOne([1]).name;
             heliosdb.query('SELECT name FROM users');
             return [first, thrown(() => s.queryOne([2]).name)]"
        ),
        READ,
    );
    assert_eq!(text(&mut session, "SELECT f()"), r#"["Ada","Bob"]"#);
    // The tables change between two runs: it is checked anew, and goes on.
    let body = "
      const s = heliosdb.prepare('SELECT count(*) AS n FROM users');
      const before = s.queryOne().n;
      heliosdb.execute('CREATE TABLE other (id INTEGER)');
      return [before, s.queryOne().n]";
    gives(body, "DATABASE_READ('users'), DATABASE_EXECUTE", "[2,2]");
}

#[test]
fn prepared_statements_are_counted_and_closed() {
    let body = "
      const kept = [];
      const open = (n) => { const s = heliosdb.prepare('SELECT ? AS n'); kept.push(s); return s.queryOne([n]).n; };
      for (let n = 0; n < 1000; n++) heliosdb.prepare('SELECT ? AS n').queryOne([n]);
      for (let n = 0; n < 100; n++) open(n);
      return [thrown(() => open(100)), kept[99].queryOne([5]).n]";
    gives(
        &format!("{THROWN} {body}"),
        READ,
        r#"[["limit","open_statements"],5]"#,
    );
}

#[test]
fn d15_runs_of_a_prepared_statement_are_one_entry() {
    let body = "
      const s = heliosdb.prepare('SELECT name FROM users WHERE id <= ?');
      for (let n = 0; n < 3; n++) s.query([n]);
      return 1";
    let mut session = gives(body, READ, "1");
    let entries =
        "SELECT concat_ws(' ', detail ->> 'operation', detail ->> 'runs', detail ->> 'rows')
         FROM heliosdb.audit_log WHERE event_type = 'DatabaseOperation'";
    assert_eq!(column(&mut session, entries), ["SELECT 3 3"]);
}

/// The type that the table declares decides, as far as the value has its form.
#[test]
fn h57_a_columns_declared_type_decides_what_its_values_are() {
    let mut session = session_for_any_text();
    add_probes(&mut session);
    run(
        &mut session,
        "CREATE TABLE typed(b BOOLEAN, d DATE, t TIMESTAMP, u DATETIME, j JSON, n NUMERIC(10,2), s TEXT);
         INSERT INTO typed VALUES (1, '2026-11-22', '2026-11-22 09:30:00.000000',
           '2009-01-01 00:00:00', '{\"a\":[1]}', 12.5, '2026-11-22'),
           (7, 'soon', '', 'never', '{', 'x', 'y'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL);
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('typed');
         CREATE FUNCTION kinds(sql TEXT) RETURNS TEXT LANGUAGE javascript AS $$
           const kind = (v) => v === null ? 'null' : v instanceof Date ? 'Date' : typeof v;
           function kinds(sql) {
             return heliosdb.query(sql).rows.map(r => Object.values(r).map(kind).join()).join(' ');
           }
         $$;
         ALTER FUNCTION kinds GRANT CAPABILITY DATABASE_READ('typed');",
    );
    assert_eq!(
        text(&mut session, "SELECT kinds('SELECT * FROM typed')"),
        "boolean,Date,Date,Date,object,number,string \
         number,string,string,string,string,string,string \
         null,null,null,null,null,null,null"
    );
    // What is computed has no declared type.
    assert_eq!(
        text(
            &mut session,
            "SELECT kinds('SELECT b + 0, CAST(d AS TEXT), max(t), j FROM typed WHERE b = 1')"
        ),
        "number,string,string,object"
    );
    assert_eq!(
        ask(&mut session, "q", "SELECT b, d, j FROM typed LIMIT 1", "[]"),
        r#"[{"b":true,"d":"2026-11-22T00:00:00.000Z","j":{"a":[1]}}]"#
    );
}
