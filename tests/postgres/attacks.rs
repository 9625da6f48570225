//! Ways out of a function's role that PostgreSQL has, each tried: none reaches beyond the
//! grants, none outlives the call, and the next call finds a clean connection.

use super::{World, granted};
use perihelion::Value;
use std::time::{Duration, Instant};

/// Tries a statement by both interfaces; neither may succeed.
#[track_caller]
fn refused(world: &mut World, sql: &str) {
    for probe in ["q", "x"] {
        let answer = world.ask(probe, sql, "[]");
        let starts = [
            "denied ",
            "invalid ",
            "failed 42501",
            "failed 42883",
            "failed 42P01",
            "failed 25006",
        ];
        let is_refused = starts.iter().any(|start| answer.starts_with(start));
        assert!(is_refused, "{probe}: {sql}\n  gave {answer}");
    }
}

/// What was there before is there still, and nothing else.
fn check_intact(world: &mut World) {
    assert_eq!(
        world
            .database
            .sql("SELECT string_agg(name, ' ' ORDER BY id) FROM users"),
        "Ada Bob"
    );
    assert_eq!(
        world.database.sql("SELECT value FROM secrets"),
        "CANARY-5f3a"
    );
    let left = "SELECT (SELECT count(*) FROM pg_largeobject_metadata),
                       (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
                       (SELECT count(*) FROM pg_class WHERE relname LIKE 'stolen%'),
                       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
                          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
                       (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'stolen%')";
    assert_eq!(world.database.sql(left), "0|0|0|0|0");
    assert_eq!(
        world.query("SELECT name FROM users WHERE id = 1"),
        r#"[{"name":"Ada"}]"#
    );
}

#[test]
fn no_statement_ends_the_transaction_or_changes_the_role() {
    let mut world = granted();
    for sql in [
        "COMMIT",
        "END",
        "ROLLBACK",
        "ABORT",
        "BEGIN",
        "START TRANSACTION",
        "SAVEPOINT heliosdb_statement",
        "RELEASE SAVEPOINT heliosdb_statement",
        "PREPARE TRANSACTION 'stolen'",
        "SET ROLE postgres",
        "SET LOCAL ROLE postgres",
        "RESET ROLE",
        "RESET ALL",
        "SET SESSION AUTHORIZATION postgres",
        "SET statement_timeout = 0",
        "SET search_path = secrets",
        "SELECT set_config('role', 'postgres', false)",
        "SELECT pg_catalog.set_config('role', 'none', false)",
        "SELECT set_config('statement_timeout', '0', false) FROM users",
        "SELECT (SELECT set_config('search_path', 'pg_catalog', true)) FROM users",
        "SELECT name FROM users WHERE set_config('role', 'postgres', false) = 'x'",
        "SELECT name FROM users ORDER BY set_config('role', 'postgres', false)",
        "/* SELECT */ COMMIT",
        "-- SELECT\nCOMMIT",
        "COMMIT; SELECT 1",
        "SELECT 1; COMMIT",
        "SELECT name FROM users; DROP TABLE users",
        "SELECT 1 /* ; */ ; -- \n COMMIT",
        "SELECT '\\'; COMMIT; --'",
    ] {
        refused(&mut world, sql);
    }
    check_intact(&mut world);
}

#[test]
fn no_statement_runs_code_or_reaches_files_or_programs() {
    let mut world = granted();
    for sql in [
        "DO $$ BEGIN COMMIT; END $$",
        "CALL p()",
        "COPY users TO '/tmp/stolen'",
        "COPY users FROM PROGRAM 'id'",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        "COPY users TO STDOUT",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_read_binary_file('/etc/passwd')",
        "SELECT * FROM pg_ls_dir('/')",
        "SELECT pg_stat_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_export(1, '/tmp/stolen')",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'stolen')",
        "SELECT pg_reload_conf()",
        "SELECT pg_terminate_backend(1)",
        "SELECT pg_cancel_backend(1)",
        "SELECT pg_rotate_logfile()",
        "LOAD 'auto_explain'",
        "CREATE EXTENSION dblink",
        "SELECT dblink_connect('host=localhost')",
        "SELECT dblink('dbname=postgres', 'SELECT 1')",
        "CREATE FUNCTION stolen() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER SYSTEM SET log_statement = 'all'",
        "EXPLAIN ANALYZE DELETE FROM users",
        "EXECUTE stolen",
        "PREPARE stolen AS SELECT 1",
        "SELECT query_to_xml('SELECT * FROM secrets', true, true, '')",
        "SELECT table_to_xml('secrets', true, true, '')",
        "SELECT query_to_xml('SELECT set_config(''role'', ''postgres'', false)', true, true, '')",
        "SELECT database_to_xml(true, true, '')",
        "SELECT * FROM ts_stat('SELECT to_tsvector(value) FROM secrets')",
        "SELECT ts_rewrite('a'::tsquery, 'SELECT a, b FROM secrets')",
        "SELECT currval('users_id_seq')",
    ] {
        refused(&mut world, sql);
    }
    check_intact(&mut world);
}

#[test]
fn h64_nothing_of_a_function_is_heard_or_held_by_others() {
    let mut world = granted();
    for sql in [
        "NOTIFY stolen, 'secret'",
        "SELECT pg_notify('stolen', name) FROM users",
        "LISTEN stolen",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_advisory_xact_lock(1)",
        "SELECT pg_try_advisory_lock(id) FROM users",
        "LOCK TABLE users IN ACCESS EXCLUSIVE MODE",
        "DECLARE stolen CURSOR WITH HOLD FOR SELECT * FROM users",
        "FETCH ALL FROM stolen",
        "SELECT cursor_to_xml('stolen', 1, true, true, '')",
        "CREATE TEMP TABLE secrets AS SELECT 1",
        "CREATE TEMP VIEW users AS SELECT 1",
        "CREATE TABLE stolen (a int)",
        "CREATE TABLE pg_temp.users (a int)",
        "CREATE SCHEMA stolen",
        "CREATE ROLE stolen",
        "SELECT * INTO TEMP stolen FROM users",
        "SELECT * INTO stolen FROM users",
        "GRANT ALL ON users TO PUBLIC",
        "REVOKE ALL ON users FROM PUBLIC",
        "ALTER TABLE users OWNER TO postgres",
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
        "COMMENT ON TABLE users IS 'stolen'",
        "SECURITY LABEL ON TABLE users IS 'stolen'",
        "CREATE TRIGGER stolen BEFORE INSERT ON users EXECUTE FUNCTION stolen()",
        "CREATE RULE stolen AS ON SELECT TO users DO INSTEAD SELECT 1",
        "TRUNCATE users",
        "VACUUM",
        "ANALYZE users",
        "REINDEX TABLE users",
        "CLUSTER users",
        "CHECKPOINT",
        "DISCARD ALL",
        "IMPORT FOREIGN SCHEMA s FROM SERVER s INTO public",
        "SELECT setval('users_id_seq', 1)",
        "SELECT pg_export_snapshot()",
        "SELECT pg_logical_emit_message(false, 'a', 'b')",
        "SELECT pg_switch_wal()",
    ] {
        refused(&mut world, sql);
    }
    check_intact(&mut world);
}

#[test]
fn h64_the_catalogs_tell_nothing() {
    let mut world = granted();
    for sql in [
        "SELECT prosrc FROM pg_proc",
        "SELECT prosrc FROM pg_catalog.pg_proc",
        "SELECT prosrc FROM \"pg_catalog\".\"pg_proc\"",
        "SELECT 1 FROM pg_class WHERE relname = 'secrets'",
        "SELECT * FROM pg_stat_activity",
        "SELECT * FROM pg_stats",
        "SELECT * FROM pg_roles",
        "SELECT * FROM pg_settings",
        "SELECT * FROM information_schema.columns",
        "TABLE pg_proc",
        "WITH x AS (TABLE pg_class) SELECT * FROM x",
        "SELECT 'secrets'::regclass",
        "SELECT 'secrets'::pg_catalog.regclass::oid",
        "SELECT regclass 'secrets'",
        "SELECT to_regclass('secrets')",
        "SELECT has_table_privilege('secrets', 'select')",
        "SELECT pg_get_viewdef('v')",
        "SELECT pg_get_functiondef(1)",
        "SELECT pg_relation_size('secrets')",
        "SELECT current_setting('data_directory')",
        "SELECT obj_description(1)",
        "SELECT version()",
        "SELECT inet_server_addr()",
        "SELECT pg_backend_pid()",
    ] {
        refused(&mut world, sql);
    }
    // The same answer, whether or not there is such a table.
    for table in ["secrets", "absent"] {
        let denied = format!("denied DATABASE_READ public.{table}");
        for sql in [
            format!("SELECT * FROM {table}"),
            format!("SELECT no_column FROM {table}"),
            format!("SELECT name FROM users WHERE id IN (SELECT no_column FROM {table})"),
        ] {
            assert_eq!(world.query(&sql), denied, "{sql}");
        }
    }
    check_intact(&mut world);
}

/// A view and a trigger are the database administrator's doors: a guest can go through
/// them, and finds what he put there. What they do ends with the call all the same.
#[test]
fn what_the_administrators_views_do_ends_with_the_call() {
    let mut world = granted();
    world.run(
        "CREATE VIEW sleeper AS SELECT pg_sleep(60)::text AS a;
         CREATE VIEW locker AS SELECT pg_advisory_lock(42)::text AS a;
         CREATE VIEW untimer AS SELECT set_config('statement_timeout', '0', false) AS a;
         CREATE VIEW pather AS SELECT set_config('search_path', 'sales', false) AS a;
         CREATE VIEW insider AS SELECT value FROM secrets;
         CREATE SCHEMA sales; CREATE TABLE sales.users (id INTEGER, name TEXT);
         ALTER FUNCTION q SET (max_wall_time_ms = 600);
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('sleeper'), DATABASE_READ('locker'),
           DATABASE_READ('untimer'), DATABASE_READ('pather'), DATABASE_READ('insider')",
    );
    let begun = Instant::now();
    let sleep = [
        Value::Text("SELECT * FROM sleeper".into()),
        Value::Json("[]".into()),
    ];
    let error = world.session.call("q", &sleep).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "57014");
    assert!(begun.elapsed() < Duration::from_secs(3));
    world.check_quiet();
    assert_eq!(world.query("SELECT * FROM locker"), r#"[{"a":""}]"#);
    assert_eq!(
        world
            .database
            .sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42"),
        "0"
    );
    // The host's own clock does not depend on what the session was told.
    world.run(
        "CREATE FUNCTION untimed() RETURNS TEXT LANGUAGE javascript AS $$
           function untimed() {
             heliosdb.query('SELECT * FROM untimer', []);
             return heliosdb.query('SELECT * FROM sleeper', []).rows[0].a;
           }
         $$;
         ALTER FUNCTION untimed SET (max_wall_time_ms = 600);
         ALTER FUNCTION untimed GRANT CAPABILITY DATABASE_READ('untimer'), DATABASE_READ('sleeper')",
    );
    let begun = Instant::now();
    let error = world.session.call("untimed", &[]).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "57014");
    assert!(begun.elapsed() < Duration::from_secs(3));
    world.check_quiet();
    // Nor does the next call find another path than it should.
    assert_eq!(world.query("SELECT * FROM pather"), r#"[{"a":"sales"}]"#);
    assert_eq!(
        world.query("SELECT name FROM users WHERE id = 1"),
        r#"[{"name":"Ada"}]"#
    );
    assert_eq!(
        world.query("SELECT * FROM insider"),
        r#"[{"value":"CANARY-5f3a"}]"#
    );
    check_intact(&mut world);
}

/// A table that the view reads with the rights of who asks, or that a trigger writes: the
/// server refuses, the log has it, and the guest is told no more than that.
#[test]
fn what_the_server_refuses_is_a_denial_in_the_log() {
    let mut world = granted();
    world.run(
        "CREATE VIEW invoker WITH (security_invoker = true) AS SELECT value FROM secrets;
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('invoker')",
    );
    if world
        .database
        .cluster
        .sql("postgres", "SHOW server_version_num")
        .as_str()
        >= "150000"
    {
        assert_eq!(
            world.query("SELECT * FROM invoker"),
            "failed 42501 permission denied for table secrets"
        );
        let denials = "SELECT target FROM heliosdb.audit_log WHERE event_type = 'CapabilityCheck' AND NOT allowed";
        assert_eq!(
            crate::support::column(&mut world.session, denials),
            ["table secrets"]
        );
    }
}

#[test]
fn a_function_uses_only_the_servers_own_functions() {
    let mut world = granted();
    world.database.sql(
        "CREATE FUNCTION public.peek() RETURNS text SECURITY DEFINER LANGUAGE sql AS 'SELECT value FROM secrets'",
    );
    refused(&mut world, "SELECT peek()");
    refused(&mut world, "SELECT public.peek()");
    refused(&mut world, "SELECT * FROM peek()");
    assert_eq!(
        world.query("SELECT now() FROM users"),
        "denied TIME_ACCESS now"
    );
    assert_eq!(
        world.query("SELECT current_timestamp FROM users"),
        "denied TIME_ACCESS current_timestamp"
    );
    assert_eq!(
        world.query("SELECT random() FROM users"),
        "denied RANDOM_ACCESS random"
    );
    world.run("ALTER FUNCTION q GRANT CAPABILITY TIME_ACCESS");
    assert!(
        world
            .query("SELECT now() AS at FROM users LIMIT 1")
            .starts_with("[{\"at\":\"20")
    );
    world.check(
        "q",
        &[(
            "SELECT upper(name) AS n, length(email) AS l FROM users ORDER BY lower(name) LIMIT 1",
            r#"[{"n":"ADA","l":15}]"#,
        )],
    );
}
