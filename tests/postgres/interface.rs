//! What a guest has besides single statements: rows that a write returns, one row,
//! batches, prepared statements, and transactions inside its call.

use super::{World, granted};
use perihelion::Value;

/// Calls a function whose body is this, with what it needs to report an error.
#[track_caller]
fn body(world: &mut World, body: &str) -> String {
    world.run(&format!(
        "CREATE OR REPLACE FUNCTION f() RETURNS TEXT LANGUAGE javascript AS $$
           function tell(work) {{ try {{ return work(); }} catch (e) {{ return e.sqlstate ?? e.code; }} }}
           function f() {{ {body} }}
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users')"
    ));
    match world.session.call("f", &[]) {
        Ok(Value::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn names(world: &World) -> String {
    world
        .database
        .sql("SELECT string_agg(name, ' ' ORDER BY id) FROM users")
}

#[test]
fn a_write_returns_rows_and_a_query_one_row() {
    let mut world = granted();
    let text = body(
        &mut world,
        "const done = heliosdb.execute(
           'INSERT INTO users VALUES (?, ?), (?, ?) RETURNING id, name', [3, 'Cy', 4, 'Di']);
         const one = heliosdb.queryOne('SELECT name FROM users WHERE id = ?', [3]);
         const none = heliosdb.queryOne('SELECT name FROM users WHERE id = ?', [99]);
         const many = tell(() => heliosdb.queryOne('SELECT name FROM users', []));
         return JSON.stringify([done.rowCount, done.rows, one, none, many]);",
    );
    assert_eq!(
        text,
        r#"[2,[{"id":3,"name":"Cy"},{"id":4,"name":"Di"}],{"name":"Cy"},null,"21000"]"#
    );
    assert_eq!(names(&world), "Ada Bob Cy Di");
}

#[test]
fn transactions_lie_in_each_other_and_a_failed_one_leaves_nothing() {
    let mut world = granted();
    let text = body(
        &mut world,
        "const add = (id, name) => heliosdb.execute('INSERT INTO users VALUES (?, ?)', [id, name]);
         add(3, 'kept');
         const failed = tell(() => heliosdb.transaction(() => {
           add(4, 'gone');
           heliosdb.transaction(() => add(5, 'gone too'));
           const clash = tell(() => add(3, 'again'));
           add(6, 'gone as well');
           throw Object.assign(new Error(), { code: 'as planned after ' + clash });
         }));
         heliosdb.transaction(() => {
           add(7, 'stays');
           tell(() => heliosdb.transaction(() => { add(8, 'gone'); throw new Error(); }));
           add(9, 'stays too');
         });
         return failed + ', ' + heliosdb.query('SELECT id FROM users', []).rows.length;",
    );
    assert_eq!(text, "as planned after 23505, 5");
    assert_eq!(names(&world), "Ada Bob kept stays stays too");
}

#[test]
fn what_is_not_built_is_refused_and_says_so() {
    let mut world = granted();
    let text = body(
        &mut world,
        "return tell(() => { for (const row of heliosdb.stream('SELECT name FROM users', [])) {} });",
    );
    assert_eq!(text, "0A000");
    let text = body(
        &mut world,
        "return tell(() => { for (const row of heliosdb.stream('SELECT value FROM secrets', [])) {} });",
    );
    assert_eq!(text, "denied");
}
