//! IMMUTABLE functions: what indexes and generated columns may rely on.

use crate::support::{column, refuse, run, runtime, session, text, value};
use perihelion::{Session, Storage, Value};

/// A function that an index uses, one that is not IMMUTABLE, and a table.
const SCRIPT: &str = "
CREATE FUNCTION slug(name TEXT) RETURNS TEXT IMMUTABLE LANGUAGE javascript AS $$
  function slug(name) { return name.toLowerCase().replaceAll(' ', '-'); }
$$;
CREATE FUNCTION fickle(name TEXT) RETURNS TEXT STABLE LANGUAGE javascript AS $$
  function fickle(name) { return name; }
$$;
CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT);
INSERT INTO posts VALUES (1, 'Hello World'), (2, 'Second Post');
";

fn posts() -> Session {
    let mut session = session();
    run(&mut session, SCRIPT);
    session
}

#[test]
fn d20_an_immutable_function_is_used_by_indexes_and_generated_columns() {
    let mut session = posts();
    run(
        &mut session,
        "CREATE UNIQUE INDEX by_slug ON posts(slug(title));
         CREATE INDEX hello ON posts(id) WHERE slug(title) = 'hello-world';
         CREATE TABLE pages (title TEXT, slug TEXT AS (slug(title)) STORED,
                             also TEXT AS (slug(title)) VIRTUAL);
         INSERT INTO pages VALUES ('A Page');
         INSERT INTO posts VALUES (3, 'Third Post')",
    );
    assert_eq!(
        text(&mut session, "SELECT slug || also FROM pages"),
        "a-pagea-page"
    );
    let sql = "SELECT id FROM posts WHERE slug(title) = 'third-post'";
    let plan = run(&mut session, &format!("EXPLAIN QUERY PLAN {sql}"));
    let plan = format!("{:?}", plan.rows);
    assert!(plan.contains("USING INDEX by_slug"), "{plan}");
    assert_eq!(value(&mut session, sql), Value::Integer(3));
    let sql = "INSERT INTO posts VALUES (4, 'THIRD POST')";
    refuse(&mut session, sql, "23505");
    // What the index asked of the function is in the log like any other use.
    assert_eq!(
        text(
            &mut session,
            "SELECT count(*) FROM heliosdb.audit_log
             WHERE function_name = 'slug' AND event_type LIKE 'Execution%'"
        ),
        "12"
    );
}

#[test]
fn d20_a_function_that_may_change_its_mind_is_used_by_none() {
    let mut session = posts();
    for sql in [
        "CREATE INDEX i ON posts(fickle(title))",
        "CREATE INDEX i ON posts(id) WHERE fickle(title) = ''",
        "CREATE TABLE t (a, b AS (fickle(a)))",
    ] {
        let refused = refuse(&mut session, sql, "42601");
        assert!(refused.message().contains("non-deterministic"), "{refused}");
    }
    let sql = "SELECT name, volatility FROM heliosdb.functions ORDER BY name";
    let rows = run(&mut session, sql).rows;
    let said = rows.iter().map(|row| format!("{:?} {:?}", row[0], row[1]));
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            "Text(\"fickle\") Text(\"STABLE\")",
            "Text(\"slug\") Text(\"IMMUTABLE\")"
        ]
    );
}

#[test]
fn an_immutable_function_reaches_nothing() {
    let mut session = posts();
    let grant = "ALTER FUNCTION slug GRANT CAPABILITY DATABASE_READ('posts'), TIME_ACCESS";
    let refused = refuse(&mut session, grant, "42P17");
    assert_eq!(
        refused.message(),
        "function \"slug\" cannot be IMMUTABLE and have DATABASE_READ('posts'), TIME_ACCESS"
    );
    refuse(
        &mut session,
        "ALTER FUNCTION slug SET SECURITY POLICY DEFAULT",
        "42P17",
    );
    run(
        &mut session,
        "CREATE SECURITY POLICY nothing AS (capabilities: []);
         ALTER FUNCTION slug SET SECURITY POLICY nothing",
    );
    let alter = "ALTER SECURITY POLICY nothing SET (capabilities = [TIME_ACCESS])";
    refuse(&mut session, alter, "42P17");
    let replace = "CREATE OR REPLACE SECURITY POLICY nothing AS (capabilities: [TIME_ACCESS])";
    refuse(&mut session, replace, "42P17");
    // Nothing of what was refused took effect.
    let sql = "SELECT count(*) FROM heliosdb.grants WHERE function_name = 'slug'";
    assert_eq!(value(&mut session, sql), Value::Integer(0));
    // Nor does a function become IMMUTABLE that has grants, by any way.
    run(
        &mut session,
        "ALTER FUNCTION fickle GRANT CAPABILITY TIME_ACCESS",
    );
    let create = |volatility: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION fickle(name TEXT) RETURNS TEXT {volatility}
             LANGUAGE javascript AS $$ function fickle(name) {{ return name; }} $$"
        )
    };
    refuse(&mut session, &create("IMMUTABLE"), "42P17");
    // A denial of the whole capability leaves nothing, until it goes.
    run(
        &mut session,
        "ALTER FUNCTION fickle DENY CAPABILITY TIME_ACCESS",
    );
    run(&mut session, &create("IMMUTABLE"));
    let revoke = "ALTER FUNCTION fickle REVOKE CAPABILITY TIME_ACCESS";
    run(&mut session, revoke);
    run(&mut session, &create("VOLATILE"));
    run(
        &mut session,
        "ALTER FUNCTION fickle REVOKE CAPABILITY TIME_ACCESS",
    );
    run(
        &mut session,
        "ALTER FUNCTION fickle GRANT CAPABILITY TIME_ACCESS",
    );
    refuse(&mut session, "ALTER FUNCTION fickle SET VERSION 2", "42P17");
    run(&mut session, "ALTER FUNCTION fickle SET VERSION 1");
}

#[test]
fn d20_what_an_index_uses_is_neither_replaced_nor_dropped() {
    let changes = [
        "CREATE OR REPLACE FUNCTION slug(name TEXT) RETURNS TEXT IMMUTABLE LANGUAGE javascript
         AS $$ function slug(name) { return name; } $$",
        "DROP FUNCTION slug",
        "DROP FUNCTION IF EXISTS slug",
        "ALTER FUNCTION slug SET VERSION 1",
    ];
    for (user, named, end) in [
        (
            "CREATE INDEX \"by Slug\" ON posts(\"SLUG\"(title))",
            "index \"by Slug\" uses it",
            "DROP INDEX \"by Slug\"",
        ),
        (
            "CREATE INDEX hello ON posts(id) WHERE slug(title) = 'a'",
            "index \"hello\" uses it",
            "DROP INDEX hello",
        ),
        (
            "CREATE TABLE pages (title, slug AS (slug(title)))",
            "a generated column of table \"pages\" uses it",
            "DROP TABLE pages",
        ),
        (
            "CREATE TEMP TABLE pages (title, slug AS (slug(title)))",
            "a generated column of table \"pages\" uses it",
            "DROP TABLE pages",
        ),
    ] {
        let mut session = posts();
        run(&mut session, user);
        for change in changes {
            let refused = refuse(&mut session, change, "2BP01");
            assert!(refused.message().ends_with(named), "{refused}");
        }
        // It can be disabled all the same: then nothing is written that needs it.
        run(
            &mut session,
            "ALTER FUNCTION slug SET ENABLED = false; ALTER FUNCTION slug SET ENABLED = true",
        );
        run(&mut session, end);
        run(&mut session, changes[0]);
        run(&mut session, "DROP FUNCTION slug");
    }
}

/// A name in a text is no use of a function.
#[test]
fn d20_what_only_looks_like_a_use_is_none() {
    let mut session = posts();
    run(
        &mut session,
        "CREATE TABLE slug (slug TEXT DEFAULT 'slug(x)', /* slug(slug) */ CHECK (slug(slug) <> ''));
         CREATE INDEX slugs ON slug(slug) WHERE slug <> 'slug(slug)';
         CREATE VIEW v AS SELECT slug(title) FROM posts;
         CREATE TRIGGER g AFTER INSERT ON posts BEGIN SELECT slug(new.title); END;
         DROP FUNCTION slug",
    );
}

/// The index that another session is making counts: the change waits for it.
#[test]
fn d20_another_sessions_index_counts() {
    let directory = tempfile::tempdir().unwrap();
    let vault = runtime()
        .vault(Storage::Directory(directory.path().join("vault")))
        .unwrap();
    let (mut first, mut second) = (vault.session().unwrap(), vault.session().unwrap());
    run(&mut first, SCRIPT);
    run(
        &mut second,
        "BEGIN; CREATE INDEX by_slug ON posts(slug(title))",
    );
    let dropping = std::thread::spawn(move || {
        refuse(&mut first, "DROP FUNCTION slug", "2BP01");
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    run(&mut second, "COMMIT");
    dropping.join().unwrap();
    assert!(!second.in_transaction());
}

#[test]
fn d20_a_plain_sqlite_reads_the_file_and_does_not_write_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("vault");
    {
        let vault = runtime().vault(Storage::Directory(place.clone())).unwrap();
        let mut session = vault.session().unwrap();
        run(&mut session, SCRIPT);
        run(
            &mut session,
            "CREATE INDEX by_slug ON posts(slug(title)); CREATE TABLE other (a)",
        );
    }
    {
        let plain = rusqlite::Connection::open(place.join("data.db")).unwrap();
        let count = "SELECT count(*) FROM posts WHERE title > ''";
        let count: i64 = plain.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 2);
        plain.execute("INSERT INTO other VALUES (1)", []).unwrap();
        let failure = plain.execute("INSERT INTO posts VALUES (9, 'x')", []);
        assert!(failure.unwrap_err().to_string().contains("slug"));
        plain.execute("DROP INDEX by_slug", []).unwrap();
        plain
            .execute("INSERT INTO posts VALUES (9, 'x')", [])
            .unwrap();
    }
    let vault = runtime().vault(Storage::Directory(place)).unwrap();
    let mut session = vault.session().unwrap();
    run(&mut session, "CREATE INDEX by_slug ON posts(slug(title))");
    refuse(&mut session, "DROP FUNCTION slug", "2BP01");
}

/// A guest's write makes an index call its function, which reaches nothing, within the
/// guest's limits; and a failure is the guest's to handle.
#[test]
fn d10_what_a_guest_writes_is_indexed() {
    let mut session = posts();
    run(
        &mut session,
        "CREATE FUNCTION picky(title TEXT) RETURNS TEXT IMMUTABLE LANGUAGE javascript AS $$
           function picky(title) {
             if (title === 'loop') for (;;) { }
             if (title === 'throw') throw new Error('picky');
             return title;
           }
         $$;
         CREATE INDEX picked ON posts(picky(title));
         CREATE FUNCTION add_post(title TEXT) RETURNS TEXT LANGUAGE javascript AS $$
           function add_post(title) {
             try { heliosdb.execute('INSERT INTO posts(title) VALUES (?)', [title]); }
             catch (error) { return `${error.code} ${error.sqlstate} ${error.message}`; }
             return 'done';
           }
         $$;
         ALTER FUNCTION add_post GRANT CAPABILITY DATABASE_WRITE('posts');
         ALTER FUNCTION add_post SET (max_cpu_time_ms = 50)",
    );
    for around in ["SELECT add_post", "CALL add_post"] {
        let call = |title: &str| format!("{around}('{title}')");
        assert_eq!(text(&mut session, &call("fine")), "done");
        assert_eq!(
            text(&mut session, &call("throw")),
            "failed 38000 function \"picky\" failed: Error: picky"
        );
        let ended = refuse(&mut session, &call("loop"), "57014");
        assert!(ended.message().contains("0.05 s"), "{ended}");
    }
    let call = |session: &mut Session, title: &str| {
        session.call("add_post", &[Value::Text(title.to_string())])
    };
    assert_eq!(
        call(&mut session, "again").unwrap(),
        Value::Text("done".into())
    );
    call(&mut session, "throw").unwrap();
    assert_eq!(value(&mut session, "SELECT 1"), Value::Integer(1));
    assert_eq!(
        column(&mut session, "SELECT title FROM posts WHERE id > 2"),
        ["fine", "fine", "again"]
    );
    assert_eq!(
        text(
            &mut session,
            "SELECT count(*) FILTER (WHERE event_type = 'ExecutionStarted')
                  - count(*) FILTER (WHERE event_type IN ('ExecutionCompleted', 'ExecutionFailed'))
             FROM heliosdb.audit_log WHERE function_name IN ('picky', 'add_post')"
        ),
        "0"
    );
}

/// The authorizer tells of the function in the DEFAULT, and not of the one in the CHECK.
#[test]
fn d10_a_table_brings_no_granted_function_along() {
    let mut session = posts();
    run(
        &mut session,
        "CREATE TABLE checked (a TEXT CHECK (fickle(a) <> ''), b TEXT DEFAULT (fickle('b')));
         INSERT INTO checked(a) VALUES ('client');
         CREATE FUNCTION put(a TEXT, b TEXT) RETURNS TEXT LANGUAGE javascript AS $$
           function put(a, b) {
             try { heliosdb.execute(
               b === null ? 'INSERT INTO checked(a) VALUES (?)'
                          : 'INSERT INTO checked(a, b) VALUES (?, ?)', b === null ? [a] : [a, b]); }
             catch (error) { return error.message; }
           }
         $$;
         ALTER FUNCTION put GRANT CAPABILITY DATABASE_WRITE('checked')",
    );
    for (call, refusal) in [
        (
            "put('a', 'b')",
            "the statement of a function may not call function \"fickle\"",
        ),
        ("put('a', NULL)", "CALL_FUNCTION on \"fickle\""),
    ] {
        assert_eq!(
            text(&mut session, &format!("SELECT {call}")),
            format!("permission denied: {refusal}")
        );
    }
    assert_eq!(column(&mut session, "SELECT b FROM checked"), ["b"]);
}
