//! The host's own tables, SQLite's own, and the statements that only a client may send.

use super::{check, execute, probed, query};
use crate::support::{column, refuse, run, text, value};
use perihelion::{Session, Value};

fn probed_for_everything() -> Session {
    let mut session = probed();
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('*');
         ALTER FUNCTION x GRANT CAPABILITY DATABASE_READ('*'), DATABASE_WRITE('*')",
    );
    session
}

#[test]
fn d7_no_pattern_reaches_the_hosts_or_sqlites_tables() {
    let mut session = probed_for_everything();
    for (sql, target) in [
        ("SELECT * FROM heliosdb.audit_log", "heliosdb.audit_log"),
        (
            "SELECT count(*) FROM heliosdb.audit_log",
            "heliosdb.audit_log",
        ),
        ("SELECT count(*) FROM audit_log", "heliosdb.audit_log"),
        (
            "SELECT count(*) FROM \"HeliosDB\".\"audit_log\"",
            "heliosdb.audit_log",
        ),
        ("SELECT * FROM functions", "heliosdb.functions"),
        ("SELECT * FROM heliosdb.grants", "heliosdb.grants"),
        (
            "SELECT * FROM heliosdb.sqlite_schema",
            "heliosdb.sqlite_master",
        ),
        ("SELECT sql FROM sqlite_schema", "main.sqlite_master"),
        ("SELECT sql FROM sqlite_master", "main.sqlite_master"),
        (
            "SELECT count(*) FROM main.sqlite_schema",
            "main.sqlite_schema",
        ),
        (
            "SELECT * FROM sqlite_temp_schema",
            "temp.sqlite_temp_master",
        ),
        (
            "SELECT * FROM pragma_table_info('secrets')",
            "main.pragma_table_info",
        ),
        (
            "SELECT count(*) FROM pragma_table_info('secrets')",
            "main.pragma_table_info",
        ),
        (
            "SELECT name FROM pragma_table_list",
            "main.pragma_table_list",
        ),
        (
            "SELECT name FROM pragma_database_list",
            "main.pragma_database_list",
        ),
        ("SELECT name FROM dbstat", "main.dbstat"),
        ("SELECT count(*) FROM dbstat", "main.dbstat"),
        ("SELECT count(*) FROM main.dbstat", "main.dbstat"),
    ] {
        assert_eq!(
            query(&mut session, sql),
            format!("denied DATABASE_READ {target}"),
            "{sql}"
        );
    }
    run(
        &mut session,
        "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (5);
         CREATE INDEX t_id ON t(id); ANALYZE main;",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT * FROM sqlite_sequence",
                "denied DATABASE_READ main.sqlite_sequence",
            ),
            (
                "SELECT count(*) FROM sqlite_stat1",
                "denied DATABASE_READ main.sqlite_stat1",
            ),
            (
                "SELECT * FROM sqlite_stat4",
                "denied DATABASE_READ main.sqlite_stat4",
            ),
        ],
    );
    check(
        &mut session,
        "x",
        &[
            (
                "UPDATE sqlite_sequence SET seq = 9",
                "denied DATABASE_WRITE main.sqlite_sequence",
            ),
            (
                "DELETE FROM sqlite_stat1",
                "denied DATABASE_WRITE main.sqlite_stat1",
            ),
            (
                "DELETE FROM sqlite_schema",
                "invalid table sqlite_master may not be modified",
            ),
            (
                "DELETE FROM heliosdb.audit_log",
                "denied DATABASE_WRITE heliosdb.audit_log",
            ),
            (
                "INSERT INTO heliosdb.grants VALUES ('x', 'GRANT', 'TIME_ACCESS', NULL)",
                "denied DATABASE_WRITE heliosdb.grants",
            ),
            (
                "UPDATE heliosdb.functions SET enabled = 1",
                "denied DATABASE_WRITE heliosdb.functions",
            ),
        ],
    );
    assert_eq!(
        value(&mut session, "SELECT seq FROM sqlite_sequence"),
        Value::Integer(5)
    );
}

#[test]
fn h34_user_tables_named_like_the_hosts_are_the_users() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE TABLE audit_log(note TEXT); CREATE TABLE functions(note TEXT);
         CREATE TABLE grants(note TEXT); INSERT INTO functions VALUES ('mine');
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('audit_log'), DATABASE_READ('functions');
         ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('audit_log')",
    );
    check(
        &mut session,
        "x",
        &[
            ("INSERT INTO audit_log VALUES ('mine')", "1"),
            ("INSERT INTO main.audit_log VALUES ('mine')", "1"),
            (
                "INSERT INTO heliosdb.audit_log(seq) VALUES (1)",
                "denied DATABASE_WRITE heliosdb.audit_log",
            ),
            (
                "DELETE FROM heliosdb.audit_log",
                "denied DATABASE_WRITE heliosdb.audit_log",
            ),
        ],
    );
    check(
        &mut session,
        "q",
        &[
            ("SELECT count(*) AS n FROM audit_log", r#"[{"n":2}]"#),
            ("SELECT note FROM functions", r#"[{"note":"mine"}]"#),
            ("SELECT count(*) AS n FROM functions", r#"[{"n":1}]"#),
            (
                "SELECT count(*) FROM heliosdb.audit_log",
                "denied DATABASE_READ heliosdb.audit_log",
            ),
            (
                "SELECT count(*) FROM heliosdb.functions",
                "denied DATABASE_READ heliosdb.functions",
            ),
            (
                "SELECT count(*) FROM grants",
                "denied DATABASE_READ main.grants",
            ),
        ],
    );
}

/// Each is refused, recorded as a denial, and has no effect.
#[test]
fn statements_that_only_the_client_may_send_are_refused_and_recorded() {
    let mut session = probed_for_everything();
    run(&mut session, "CREATE INDEX user_name ON users(name)");
    let file = tempfile::tempdir().unwrap();
    let copy = file.path().join("copy.db");
    let vacuum_into = format!("VACUUM INTO '{}'", copy.display());
    for sql in [
        "PRAGMA user_version",
        "PRAGMA user_version = 7",
        "PRAGMA writable_schema = ON",
        "PRAGMA main.table_info(secrets)",
        "ATTACH ':memory:' AS z",
        "DETACH heliosdb",
        "VACUUM",
        &vacuum_into,
        "BEGIN",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "END",
        "ROLLBACK",
        "SAVEPOINT s",
        "RELEASE heliosdb_call",
        "ROLLBACK TO heliosdb_call",
        "EXPLAIN SELECT * FROM users",
        "EXPLAIN QUERY PLAN SELECT * FROM users",
        "EXPLAIN DELETE FROM users",
        "REINDEX users",
        "ANALYZE",
        "ANALYZE users",
        "CREATE TABLE t(a)",
        "CREATE TABLE t AS SELECT * FROM users",
        "CREATE TEMP TABLE t(a)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TEMP VIEW users AS SELECT 1",
        "CREATE INDEX i ON users(email)",
        "CREATE TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; END",
        "CREATE TEMP TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE t USING fts5(a)",
        "DROP TABLE users",
        "DROP INDEX user_name",
        "ALTER TABLE users RENAME TO t",
        "ALTER TABLE users ADD COLUMN a",
        "ALTER TABLE users DROP COLUMN email",
    ] {
        let before = denials(&mut session);
        for answer in [query(&mut session, sql), execute(&mut session, sql)] {
            let refused = answer.starts_with("denied DATABASE_EXECUTE")
                || answer.starts_with("invalid a procedure may not run");
            assert!(refused, "{sql}: {answer}");
        }
        assert_eq!(denials(&mut session), before + 2, "{sql}");
    }
    assert!(!copy.exists());
    assert!(!session.in_transaction());
    assert_eq!(
        value(&mut session, "PRAGMA user_version"),
        Value::Integer(0)
    );
    assert_eq!(
        column(
            &mut session,
            "SELECT name FROM sqlite_schema UNION SELECT name FROM sqlite_temp_schema"
        ),
        ["secrets", "user_name", "users"]
    );
}

fn denials(session: &mut Session) -> i64 {
    let sql = "SELECT count(*) FROM heliosdb.audit_log WHERE allowed = 0";
    match value(session, sql) {
        Value::Integer(n) => n,
        other => panic!("{other:?}"),
    }
}

#[test]
fn json_each_and_json_tree_read_no_table_and_need_no_grant() {
    let mut session = probed();
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT sum(value) AS n FROM json_each('[1,2,3]')",
                r#"[{"n":6}]"#,
            ),
            (
                "SELECT count(*) AS n FROM json_each('[1,2,3]')",
                r#"[{"n":3}]"#,
            ),
            (
                "SELECT atom FROM main.json_tree('{\"a\":[7]}') WHERE atom",
                r#"[{"atom":7}]"#,
            ),
            (
                "SELECT name FROM users AS u, json_each(json_array(2)) WHERE u.id = value",
                r#"[{"name":"Bob"}]"#,
            ),
            (
                "SELECT j.value FROM secrets, json_each(secrets.value) AS j",
                "denied DATABASE_READ main.secrets",
            ),
        ],
    );
    // A table of that name is a table like any other.
    run(
        &mut session,
        "CREATE TABLE json_each(value TEXT); INSERT INTO json_each VALUES ('x')",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT value FROM json_each",
                "denied DATABASE_READ main.json_each",
            ),
            (
                "SELECT count(*) FROM json_each",
                "denied DATABASE_READ main.json_each",
            ),
        ],
    );
}

/// What a module does beneath a virtual table is checked against no grant, and a
/// statement within a statement can write what it keeps its data in.
#[test]
fn virtual_tables_and_what_is_beneath_them_are_the_clients_only() {
    let mut session = probed_for_everything();
    run(
        &mut session,
        "CREATE VIRTUAL TABLE docs USING fts5(body); INSERT INTO docs VALUES ('hello');
         CREATE VIRTUAL TABLE boxes USING rtree(id, a, b); INSERT INTO boxes VALUES (1, 2, 3);",
    );
    for table in ["docs", "docs_content", "docs_data", "boxes", "boxes_node"] {
        let read = format!("denied DATABASE_READ main.{table}");
        let write = format!("denied DATABASE_WRITE main.{table}");
        check(
            &mut session,
            "q",
            &[
                (&format!("SELECT * FROM {table}"), &read),
                (&format!("SELECT count(*) FROM {table}"), &read),
            ],
        );
        let delete = format!("DELETE FROM {table}");
        let answer = execute(&mut session, &delete);
        // SQLite itself protects them too, but from statements of the client only.
        let defended = format!("invalid table {table} may not be modified");
        assert!(answer == write || answer == defended, "{answer}");
        let nested = format!("SELECT x('{delete}', '[]')");
        assert_eq!(text(&mut session, &nested), write);
    }
    assert_eq!(
        text(
            &mut session,
            "SELECT body FROM docs WHERE docs MATCH 'hello'"
        ),
        "hello"
    );
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM boxes"),
        Value::Integer(1)
    );
}

/// The log, and what shows it, belong to the host: the client can only read.
#[test]
fn the_client_cannot_change_what_is_the_hosts() {
    let mut session = probed();
    let before = value(&mut session, "SELECT count(*) FROM heliosdb.audit_log");
    for sql in [
        "INSERT INTO heliosdb.audit_log(seq) VALUES (1)",
        "UPDATE heliosdb.audit_log SET allowed = 1",
        "DELETE FROM heliosdb.audit_log",
        "DELETE FROM audit_log",
        "REPLACE INTO heliosdb.grants VALUES ('q', 'GRANT', 'TIME_ACCESS', NULL)",
        "DELETE FROM heliosdb.functions",
        "DROP TABLE heliosdb.audit_log",
        "DROP TABLE grants",
        "ALTER TABLE heliosdb.audit_log RENAME TO old",
        "ALTER TABLE heliosdb.audit_log ADD COLUMN c",
        "ALTER TABLE heliosdb.audit_log DROP COLUMN seq",
        "CREATE TABLE heliosdb.t(a)",
        "CREATE VIEW heliosdb.v AS SELECT 1",
        "CREATE INDEX heliosdb.i ON audit_log(seq)",
        "CREATE TRIGGER heliosdb.t AFTER INSERT ON heliosdb.audit_log BEGIN SELECT 1; END",
        "CREATE TEMP TRIGGER t AFTER INSERT ON heliosdb.grants BEGIN SELECT 1; END",
        "CREATE TEMP TRIGGER t INSTEAD OF DELETE ON heliosdb.audit_log BEGIN SELECT 1; END",
        "CREATE VIEW v AS SELECT * FROM heliosdb.audit_log",
        "DETACH heliosdb",
        "DETACH DATABASE 'HELIOSDB'",
        "ATTACH ':memory:' AS heliosdb",
        "DELETE FROM heliosdb.sqlite_schema",
        "CREATE VIRTUAL TABLE main.log USING perihelion_audit_log",
        "CREATE VIRTUAL TABLE temp.audit_log USING perihelion_audit_log",
        "CREATE VIRTUAL TABLE temp.grants USING perihelion_grants",
        "SELECT * FROM perihelion_audit_log",
    ] {
        let refused = session.execute(sql).expect_err(sql);
        let state = refused.sqlstate().as_str();
        assert!(
            ["42501", "42601", "0A000", "42P01"].contains(&state),
            "{sql}: {refused:?}"
        );
    }
    run(&mut session, "PRAGMA heliosdb.writable_schema = ON");
    refuse(
        &mut session,
        "UPDATE heliosdb.sqlite_schema SET sql = NULL",
        "42601",
    );
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM heliosdb.audit_log"),
        before
    );
    // A temporary view is the client's own, and no way for a guest.
    run(
        &mut session,
        "CREATE TEMP VIEW log AS SELECT seq FROM heliosdb.audit_log",
    );
    assert_eq!(value(&mut session, "SELECT count(*) FROM log"), before);
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('*')",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT * FROM log",
                "denied DATABASE_READ heliosdb.audit_log",
            ),
            (
                "SELECT count(*) FROM log",
                "denied DATABASE_READ heliosdb.audit_log",
            ),
        ],
    );
}

/// Data is the client's own; what guests are held by, and what other vaults share, is not.
#[test]
fn the_client_cannot_change_what_holds_guests() {
    let mut session = probed();
    for sql in [
        "PRAGMA busy_timeout = 60000",
        "PRAGMA BUSY_TIMEOUT(0)",
        "PRAGMA main.busy_timeout = 60000",
        "PRAGMA hard_heap_limit = 1000000",
        "PRAGMA soft_heap_limit(1)",
        "PRAGMA temp_store_directory = '/tmp'",
        "PRAGMA temp_store_directory = ''",
        "PRAGMA data_store_directory = '/tmp'",
    ] {
        let refused = refuse(&mut session, sql, "42501");
        assert!(refused.message().contains("PRAGMA"), "{refused:?}");
    }
    refuse(
        &mut session,
        "SELECT * FROM pragma_hard_heap_limit(1000000)",
        "42601",
    );
    assert_eq!(
        value(&mut session, "PRAGMA hard_heap_limit"),
        Value::Integer(0)
    );
}

/// What a client may set of its own connection opens nothing to a guest.
#[test]
fn no_setting_of_the_client_is_a_way_out_for_guests() {
    let mut session = probed_for_everything();
    run(
        &mut session,
        "PRAGMA trusted_schema = ON; PRAGMA writable_schema = ON; PRAGMA journal_mode = OFF;
         PRAGMA recursive_triggers = ON; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;
         PRAGMA query_only = OFF; PRAGMA read_uncommitted = ON; PRAGMA defer_foreign_keys = ON;
         PRAGMA case_sensitive_like = ON; PRAGMA cell_size_check = OFF; PRAGMA threads = 8;
         PRAGMA ignore_check_constraints = ON; PRAGMA legacy_alter_table = ON;
         CREATE VIEW columns AS SELECT name FROM pragma_table_info('secrets');
         CREATE VIEW loads AS SELECT load_extension('x') AS a;
         CREATE VIEW log AS SELECT 1 AS seq;",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT * FROM columns",
                "denied DATABASE_READ main.pragma_table_info…",
            ),
            (
                "SELECT * FROM loads",
                "invalid unsafe use of load_extension()",
            ),
            (
                "SELECT count(*) FROM sqlite_schema",
                "denied DATABASE_READ main.sqlite_…",
            ),
        ],
    );
    check(
        &mut session,
        "x",
        &[
            (
                "UPDATE sqlite_schema SET sql = NULL",
                "invalid table sqlite_master may not be modified",
            ),
            (
                "INSERT INTO users VALUES (3, 'Cy', NULL), (1, 'again', NULL)",
                "failed 23505…",
            ),
        ],
    );
    // A failed call is undone, without a journal mode that could not.
    refuse(
        &mut session,
        "SELECT x('DELETE FROM users', '[]'), abs(-9223372036854775807 - 1)",
        "42601",
    );
    assert_eq!(
        column(&mut session, "SELECT name FROM users ORDER BY id"),
        ["Ada", "Bob"]
    );
}

#[test]
fn a_client_analyzes_every_schema_but_writes_none_of_the_hosts() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE INDEX user_name ON users(name); ATTACH ':memory:' AS other;
         CREATE TABLE other.t(a); CREATE INDEX other.i ON t(a); INSERT INTO other.t VALUES (1);
         ANALYZE; ANALYZE main; ANALYZE heliosdb; PRAGMA optimize; PRAGMA optimize(0x10002);",
    );
    for schema in ["main", "other"] {
        let sql = format!("SELECT count(*) > 0 FROM {schema}.sqlite_stat1");
        assert_eq!(value(&mut session, &sql), Value::Integer(1), "{schema}");
    }
    for sql in [
        "INSERT INTO heliosdb.sqlite_stat1 VALUES ('audit_log', NULL, '1')",
        "DELETE FROM heliosdb.sqlite_stat1",
        "DROP TABLE heliosdb.sqlite_stat1",
        "CREATE TABLE heliosdb.sqlite_stat1(tbl, idx, stat)",
    ] {
        let refused = session.execute(sql).expect_err(sql);
        let state = refused.sqlstate().as_str();
        assert!(["42501", "42601"].contains(&state), "{sql}: {refused:?}");
    }
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM heliosdb.sqlite_stat1"),
        Value::Integer(0)
    );
}
