//! Each kind of grant, allowed and refused, by the product and by the server alone.

use super::{granted, probed, world};
use crate::support::refuse;

#[test]
fn h9_a_grant_to_read_a_table_is_one_to_read_that_table() {
    let mut world = probed();
    world.check(
        "q",
        &[(
            "SELECT name FROM users",
            "denied DATABASE_READ public.users",
        )],
    );
    world.run("ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users')");
    world.check(
        "q",
        &[
            (
                "SELECT name FROM users ORDER BY id",
                r#"[{"name":"Ada"},{"name":"Bob"}]"#,
            ),
            (
                "SELECT count(*)::int AS n FROM public.USERS",
                r#"[{"n":2}]"#,
            ),
            (
                "SELECT * FROM secrets",
                "denied DATABASE_READ public.secrets",
            ),
            ("SELECT * FROM absent", "denied DATABASE_READ public.absent"),
            (
                "SELECT 1 FROM users, secrets",
                "denied DATABASE_READ public.secrets",
            ),
        ],
    );
    assert_eq!(world.privileges("q"), "SELECT users");
    world.run("ALTER FUNCTION q REVOKE CAPABILITY DATABASE_READ('users')");
    world.check(
        "q",
        &[(
            "SELECT name FROM users",
            "denied DATABASE_READ public.users",
        )],
    );
    assert_eq!(world.privileges("q"), "");
}

#[test]
fn h10_a_grant_to_write_a_table_is_no_grant_to_read_it() {
    let mut world = probed();
    world.check(
        "x",
        &[("DELETE FROM users", "denied DATABASE_WRITE public.users")],
    );
    world.run("ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('users')");
    let denied = "denied DATABASE_READ public.users";
    world.check(
        "x",
        &[
            ("INSERT INTO users VALUES (3, 'Cy', NULL)", "1"),
            ("UPDATE users SET name = 'x'", "3"),
            ("UPDATE users SET name = 'x' WHERE id = 1", denied),
            ("UPDATE users SET name = email", denied),
            ("DELETE FROM users WHERE id = 1", denied),
            ("INSERT INTO users VALUES (4) RETURNING name", denied),
            (
                "INSERT INTO users VALUES (1) ON CONFLICT (id) DO NOTHING",
                denied,
            ),
            (
                "DELETE FROM secrets",
                "denied DATABASE_WRITE public.secrets",
            ),
            (
                "INSERT INTO users SELECT id + 10, value FROM secrets",
                "denied DATABASE_READ public.secrets",
            ),
            (
                "WITH x AS (SELECT value FROM secrets) INSERT INTO users SELECT 9, value FROM x",
                "denied DATABASE_READ public.secrets",
            ),
            ("DELETE FROM users", "3"),
        ],
    );
    assert_eq!(
        world.privileges("x"),
        "DELETE users, INSERT users, UPDATE users"
    );
    world.run("ALTER FUNCTION x GRANT CAPABILITY DATABASE_READ('users')");
    world.check(
        "x",
        &[
            ("INSERT INTO users VALUES (1, 'Ada', 'a@b')", "1"),
            ("UPDATE users SET name = 'Eve' WHERE id = 1", "1"),
            (
                "INSERT INTO users VALUES (1, 'Ada') ON CONFLICT (id) DO UPDATE SET name = 'Zoe'",
                "1",
            ),
        ],
    );
    assert_eq!(world.database.sql("SELECT name FROM users"), "Zoe");
}

#[test]
fn h31_a_star_is_every_table_and_none_of_the_servers_own() {
    let mut world = probed();
    world.run(
        "CREATE SCHEMA sales; CREATE TABLE sales.orders (id INTEGER);
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('*');
         ALTER FUNCTION x GRANT CAPABILITY DATABASE_READ('*'), DATABASE_WRITE('*')",
    );
    world.check(
        "q",
        &[
            ("SELECT value FROM secrets", r#"[{"value":"CANARY-5f3a"}]"#),
            ("SELECT * FROM sales.orders", "[]"),
            (
                "SELECT 1 FROM pg_catalog.pg_proc",
                "denied DATABASE_READ pg_catalog.pg_proc",
            ),
            (
                "SELECT prosrc FROM pg_proc",
                "denied DATABASE_READ pg_catalog.pg_proc",
            ),
            (
                "SELECT * FROM information_schema.tables",
                "denied DATABASE_READ information_schema.tables",
            ),
            (
                "SELECT * FROM heliosdb.audit_log",
                "denied DATABASE_READ heliosdb.audit_log",
            ),
        ],
    );
    world.check(
        "x",
        &[
            ("INSERT INTO sales.orders VALUES (1)", "1"),
            (
                "DELETE FROM pg_proc",
                "denied DATABASE_WRITE pg_catalog.pg_proc",
            ),
        ],
    );
}

#[test]
fn h33_a_pattern_covers_tables_that_come_later() {
    let mut world = world();
    world.run(super::PROBES);
    world.run("ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('user_*')");
    world.run("CREATE TABLE user_a (id INTEGER); CREATE TABLE users (id INTEGER); CREATE TABLE xuser_a (id INTEGER)");
    world.check(
        "q",
        &[
            ("SELECT * FROM user_a", "[]"),
            ("SELECT * FROM users", "denied DATABASE_READ public.users"),
            (
                "SELECT * FROM xuser_a",
                "denied DATABASE_READ public.xuser_a",
            ),
        ],
    );
    assert_eq!(world.privileges("q"), "SELECT user_a");
    // Somebody else made it, and the host was told nothing.
    let role = format!("host_{}", world.database.name);
    world.database.sql(&format!(
        "CREATE TABLE user_b (id INTEGER); GRANT SELECT ON user_b TO {role} WITH GRANT OPTION"
    ));
    assert_eq!(world.query("SELECT * FROM user_b"), "[]");
    world.run("DROP TABLE user_a; CREATE TABLE user_a (id INTEGER, other INTEGER)");
    assert_eq!(world.query("SELECT * FROM user_a"), "[]");
    // A table that is no longer covered because its name is another one.
    world.run("ALTER TABLE user_a RENAME TO owned");
    assert_eq!(world.privileges("q"), "SELECT user_b");
}

#[test]
fn a_serial_column_can_be_filled_and_its_sequence_not_be_asked() {
    let mut world = world();
    world.run(
        "CREATE TABLE things (id SERIAL PRIMARY KEY, name TEXT);
         CREATE TABLE more (id INTEGER GENERATED ALWAYS AS IDENTITY, name TEXT);
         CREATE TABLE other (id SERIAL)",
    );
    world.run(super::PROBES);
    world.run(
        "ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('things'), DATABASE_WRITE('more');
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('things')",
    );
    world.check(
        "x",
        &[
            ("INSERT INTO things(name) VALUES ('a')", "1"),
            ("INSERT INTO more(name) VALUES ('a')", "1"),
        ],
    );
    assert!(world.privileges("x").contains("USAGE things_id_seq"));
    assert!(!world.privileges("x").contains("other"));
    world.check(
        "q",
        &[
            ("SELECT id FROM things", r#"[{"id":1}]"#),
            (
                "SELECT nextval('things_id_seq')",
                "denied CALL_FUNCTION nextval",
            ),
            (
                "SELECT last_value FROM things_id_seq",
                "denied DATABASE_READ public.things_id_seq",
            ),
        ],
    );
}

#[test]
fn a_denial_and_a_policy_change_what_the_role_may() {
    let mut world = probed();
    world.run(
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('*');
         ALTER FUNCTION q DENY CAPABILITY DATABASE_READ('secrets')",
    );
    assert_eq!(world.privileges("q"), "SELECT users");
    world.check(
        "q",
        &[(
            "SELECT * FROM secrets",
            "denied DATABASE_READ public.secrets",
        )],
    );
    world.run(
        "CREATE SECURITY POLICY reader AS (capabilities: [DATABASE_READ('secrets')]);
         ALTER FUNCTION q SET SECURITY POLICY reader",
    );
    assert_eq!(world.privileges("q"), "SELECT secrets");
    world.run(
        "CREATE OR REPLACE SECURITY POLICY reader AS (capabilities: [DATABASE_READ('users')])",
    );
    assert_eq!(world.privileges("q"), "SELECT users");
}

/// What the role may is the server's own doing: it says so without the product.
#[test]
fn h73_the_server_refuses_what_is_not_granted_all_by_itself() {
    let mut world = granted();
    world.run("ALTER FUNCTION x REVOKE CAPABILITY DATABASE_WRITE('users')");
    let role = world
        .roles()
        .into_iter()
        .find(|role| {
            let sql = format!("SELECT has_table_privilege('{role}', 'users', 'SELECT')");
            world.database.sql(&sql) == "t"
        })
        .unwrap();
    world
        .database
        .sql(&format!("ALTER ROLE {role} PASSWORD 'known to the test'"));
    for (sql, allowed) in [
        ("SELECT * FROM users", true),
        ("SELECT * FROM secrets", false),
        ("DELETE FROM users", false),
        ("UPDATE users SET name = 'x'", false),
        ("CREATE TABLE t (a int)", false),
        ("CREATE TEMP TABLE t (a int)", false),
        ("CREATE SCHEMA s", false),
        ("SELECT lo_create(0)", false),
        ("SELECT lo_from_bytea(0, 'x')", false),
        ("SET ROLE postgres", false),
        ("SET SESSION AUTHORIZATION postgres", false),
        ("CREATE ROLE r", false),
        ("ALTER TABLE users ADD x int", false),
        ("DROP TABLE users", false),
        ("TRUNCATE users", false),
        ("SELECT pg_read_file('/etc/passwd')", false),
        ("COPY users TO '/tmp/stolen'", false),
        ("COPY users TO PROGRAM 'cat'", false),
    ] {
        let output =
            world
                .database
                .cluster
                .psql(&role, "known to the test", &world.database.name, sql);
        assert_eq!(output.status.success(), allowed, "{sql}: {output:?}");
        if !allowed {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(error.contains("42501"), "{sql}: {error}");
        }
    }
    // The host notices, and takes its role back.
    assert_eq!(
        world.query("SELECT count(*)::int AS n FROM users"),
        r#"[{"n":2}]"#
    );
}

#[test]
fn h73_a_revoke_stops_the_very_next_statement_of_a_running_call() {
    let mut world = granted();
    world.run(
        "CREATE FUNCTION looping() RETURNS TEXT LANGUAGE javascript AS $$
           function looping() {
             for (let n = 0; ; n++) {
               try { heliosdb.query('SELECT name FROM users WHERE id = 1'); }
               catch (e) { return e.code + (n > 0 ? ' later' : ' at once'); }
             }
           }
         $$;
         ALTER FUNCTION looping GRANT CAPABILITY DATABASE_READ('users')",
    );
    let mut other = world.vault.session().unwrap();
    let revoking = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let sql = "ALTER FUNCTION looping REVOKE CAPABILITY DATABASE_READ('users')";
        other.execute(sql).unwrap();
    });
    let answer = world.session.call("looping", &[]).unwrap();
    assert_eq!(answer, perihelion::Value::Text("denied later".into()));
    revoking.join().unwrap();
}

#[test]
fn a_refusal_states_its_cure_and_is_in_the_log() {
    let mut world = probed();
    world.run(
        "CREATE FUNCTION names() RETURNS JSON LANGUAGE javascript AS $$
           function names() { return heliosdb.query('SELECT name FROM users ORDER BY id').rows; }
         $$",
    );
    let refused = refuse(&mut world.session, "SELECT names()", "42501");
    assert_eq!(
        refused.message(),
        "permission denied: function \"names\" may not read table \"users\""
    );
    let cure = refused.hint().unwrap().to_string();
    assert_eq!(
        cure,
        "ALTER FUNCTION names GRANT CAPABILITY DATABASE_READ('users');"
    );
    world.run(&cure);
    let names = world.run("SELECT names()").rows;
    assert_eq!(
        names,
        [[perihelion::Value::Text(
            r#"[{"name":"Ada"},{"name":"Bob"}]"#.into()
        )]]
    );
    let log = "SELECT event_type || ' ' || coalesce(target, '') || ' ' || coalesce(allowed, '')
               FROM heliosdb.audit_log WHERE function_name = 'names' AND event_type IN
               ('CapabilityCheck', 'DatabaseOperation') ORDER BY seq";
    assert_eq!(
        crate::support::column(&mut world.session, log),
        [
            "CapabilityCheck public.users 0",
            "CapabilityCheck public.users 1",
            "DatabaseOperation public.users ",
        ]
    );
}

#[test]
fn d17_columns_are_granted_by_the_servers_own_privileges() {
    let mut world = probed();
    world.run(
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users(id, name)');
         ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('users(name)'), DATABASE_READ('users(id)')",
    );
    let denied = "denied DATABASE_READ public.users";
    world.check(
        "q",
        &[
            ("SELECT name FROM users WHERE id = 1", r#"[{"name":"Ada"}]"#),
            ("SELECT email FROM users", denied),
            ("SELECT * FROM users", denied),
            ("SELECT name FROM users WHERE email = 'x'", denied),
            ("SELECT name FROM users ORDER BY email", denied),
            ("SELECT users FROM users", denied),
        ],
    );
    let denied = "denied DATABASE_WRITE public.users";
    // Of both only columns are granted, and the server does not say which one it missed.
    let either = "denied DATABASE_READ public.users, DATABASE_WRITE public.users";
    world.check(
        "x",
        &[
            ("UPDATE users SET name = 'x' WHERE id = 1", "1"),
            ("UPDATE users SET email = 'x' WHERE id = 1", either),
            ("INSERT INTO users VALUES (9)", denied),
            ("DELETE FROM users WHERE id = 1", either),
        ],
    );
    let columns = "SELECT string_agg(a.attname || ' ' || x.privilege_type, ', ' ORDER BY 1)
                   FROM pg_attribute a, aclexplode(a.attacl) x WHERE attrelid = 'users'::regclass";
    assert_eq!(
        world.database.sql(columns),
        "id SELECT, id SELECT, name SELECT, name UPDATE"
    );
    // A denial of a column leaves the others.
    world.run(
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users');
         ALTER FUNCTION q DENY CAPABILITY DATABASE_READ('users(email)')",
    );
    world.check(
        "q",
        &[
            (
                "SELECT id, name FROM users WHERE id = 2",
                r#"[{"id":2,"name":"Bob"}]"#,
            ),
            (
                "SELECT email FROM users",
                "denied DATABASE_READ public.users",
            ),
        ],
    );
    world.run("ALTER FUNCTION q REVOKE CAPABILITY DATABASE_READ('users(email)')");
    world.check(
        "q",
        &[(
            "SELECT email FROM users WHERE id = 2",
            r#"[{"email":"bob@example.com"}]"#,
        )],
    );
    refuse(
        &mut world.session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users' WHERE name = current_caller())",
        "0A000",
    );
}

#[test]
fn h66_a_text_with_a_literal_is_a_constant_of_the_function() {
    let super::World {
        session,
        vault,
        url,
        database: _database,
        directory,
    } = granted();
    drop((session, vault));
    let storage = perihelion::Storage::Postgres {
        directory: directory.path().to_path_buf(),
        database: perihelion::PostgresUrl::parse(&url).unwrap(),
    };
    let vault = crate::support::runtime().vault(storage).unwrap();
    let mut session = vault.session().unwrap();
    let mut ask = |sql: &str| {
        let arguments = [
            perihelion::Value::Text(sql.into()),
            perihelion::Value::Json("[]".into()),
        ];
        match session.call("q", &arguments).unwrap() {
            perihelion::Value::Text(text) => text,
            other => panic!("{other:?}"),
        }
    };
    for literal in ["'x'", "$$x$$", "E'x'", "ARRAY['x']::text"] {
        let answer = ask(&format!("SELECT id FROM users WHERE name = {literal}"));
        assert!(
            answer.starts_with("invalid the statement was put together"),
            "{answer}"
        );
    }
    assert_eq!(
        ask("SELECT name FROM users ORDER BY id"),
        r#"[{"name":"Ada"},{"name":"Bob"}]"#
    );
}
