//! By whatever name, and wherever in a statement: a table needs its grant.

use super::{check, execute, probed, query};
use crate::support::{column, run, text};

const SECRETS: &str = "denied DATABASE_READ main.secrets";

#[test]
fn h7_every_way_to_read_a_table_needs_its_grant() {
    let mut session = probed();
    let refused = [
        "SELECT * FROM secrets",
        "SELECT value FROM main.secrets",
        "SELECT count(*) FROM secrets",
        "SELECT count(*) FROM main.secrets",
        "SELECT count(*) FROM MAIN.SECRETS",
        "SELECT 1 FROM secrets",
        "SELECT rowid FROM secrets",
        "SELECT EXISTS (SELECT 1 FROM secrets)",
        "SELECT count(*) FROM users, secrets",
        "SELECT users.id FROM users LEFT JOIN secrets USING (id)",
        "SELECT users.id FROM users NATURAL JOIN secrets",
        "SELECT id FROM users UNION ALL SELECT id FROM secrets",
        "SELECT id FROM users EXCEPT SELECT id FROM secrets",
        "SELECT id FROM users WHERE id IN (SELECT id FROM secrets)",
        "SELECT id FROM users GROUP BY (SELECT value FROM secrets)",
        "SELECT id FROM users GROUP BY id HAVING (SELECT value FROM secrets)",
        "SELECT id FROM users ORDER BY (SELECT value FROM secrets)",
        "SELECT id FROM users LIMIT (SELECT id FROM secrets)",
        "SELECT sum(id) OVER (ORDER BY (SELECT id FROM secrets)) FROM users",
        "SELECT CASE WHEN 0 THEN (SELECT value FROM secrets) END",
        "SELECT value FROM \"secrets\"",
        "SELECT value FROM [secrets]",
        "SELECT value FROM `secrets`",
        "SELECT value FROM 'secrets'",
        "SELECT/**/value/**/FROM/**/secrets--",
        "SELECT\u{c}value\nFROM\r\nSECRETS",
        "SELECT users.value FROM secrets AS users",
        "VALUES ((SELECT value FROM secrets))",
        "SELECT j.value FROM secrets, json_each('[1]') AS j",
        // A CTE that is named like a granted table.
        "WITH users AS (SELECT * FROM secrets) SELECT * FROM users",
        "WITH users AS (SELECT * FROM secrets) SELECT count(*) FROM users",
        "WITH users(id) AS (SELECT 1 FROM secrets) SELECT count(*) FROM users",
        "WITH users AS (WITH a AS (SELECT value FROM secrets) SELECT * FROM a) SELECT 1 FROM users",
        "WITH RECURSIVE users(v) AS (SELECT value FROM secrets UNION SELECT v FROM users) SELECT v FROM users",
        "SELECT * FROM (SELECT value FROM secrets) AS users",
    ];
    for sql in refused {
        let answer = query(&mut session, sql);
        assert_eq!(answer.to_lowercase(), SECRETS.to_lowercase(), "{sql}");
    }
    check(
        &mut session,
        "q",
        &[
            ("SELECT count(*) AS n FROM users", r#"[{"n":2}]"#),
            ("SELECT count(*) AS n FROM MAIN.Users", r#"[{"n":2}]"#),
            (
                "SELECT \"name\" FROM [users] WHERE `id` = 1 -- ;",
                r#"[{"name":"Ada"}]"#,
            ),
            // A name that the statement itself gives is no table, whatever it is.
            (
                "WITH secrets AS (SELECT 7 AS a) SELECT a FROM secrets",
                r#"[{"a":7}]"#,
            ),
            (
                "WITH c AS (SELECT 7) SELECT count(*) AS n FROM c",
                r#"[{"n":1}]"#,
            ),
            // SQLite does not tell this one from the table: the wider reading is refused.
            (
                "WITH secrets AS (SELECT 7) SELECT count(*) FROM secrets",
                SECRETS,
            ),
        ],
    );
}

#[test]
fn h10_every_way_to_write_a_table_needs_its_grant() {
    let mut session = probed();
    check(
        &mut session,
        "x",
        &[
            (
                "INSERT INTO secrets VALUES (2, 'x')",
                "denied DATABASE_WRITE main.secrets",
            ),
            (
                "INSERT INTO secrets DEFAULT VALUES",
                "denied DATABASE_WRITE main.secrets",
            ),
            (
                "REPLACE INTO secrets VALUES (1, 'x')",
                "denied DATABASE_WRITE main.secrets",
            ),
            (
                "UPDATE secrets SET value = 'x'",
                "denied DATABASE_WRITE main.secrets",
            ),
            ("DELETE FROM secrets", "denied DATABASE_WRITE main.secrets"),
            (
                "DELETE FROM \"main\".'secrets' WHERE 1",
                "denied DATABASE_WRITE main.secrets",
            ),
            (
                "WITH users AS (SELECT 1) DELETE FROM secrets",
                "denied DATABASE_WRITE main.secrets",
            ),
            ("INSERT INTO users(name) SELECT value FROM secrets", SECRETS),
            (
                "INSERT INTO users(name) VALUES ((SELECT value FROM secrets))",
                SECRETS,
            ),
            (
                "UPDATE users SET name = (SELECT value FROM secrets)",
                SECRETS,
            ),
            (
                "UPDATE users SET name = value FROM secrets WHERE secrets.id = users.id",
                SECRETS,
            ),
            (
                "DELETE FROM users WHERE id IN (SELECT id FROM secrets)",
                SECRETS,
            ),
            (
                "INSERT INTO users(id) VALUES (9) RETURNING (SELECT value FROM secrets)",
                SECRETS,
            ),
            (
                "INSERT INTO users(id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = (SELECT value FROM secrets)",
                SECRETS,
            ),
            ("UPDATE users SET name = 'x' WHERE id = 1", "1"),
            (
                "INSERT INTO users(id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = 'y'",
                "1",
            ),
            ("REPLACE INTO users VALUES (2, 'z', NULL)", "1"),
        ],
    );
    assert_eq!(
        column(&mut session, "SELECT name FROM users ORDER BY id"),
        ["y", "z"]
    );
    assert_eq!(
        text(&mut session, "SELECT value FROM secrets"),
        "CANARY-5f3a"
    );
}

#[test]
fn d16_what_a_writing_statement_reads_needs_read() {
    let mut session = probed();
    run(
        &mut session,
        "ALTER FUNCTION x REVOKE CAPABILITY DATABASE_READ('users')",
    );
    let refused = "denied DATABASE_READ main.users";
    check(
        &mut session,
        "x",
        &[
            ("UPDATE users SET name = 'x' WHERE id = 1", refused),
            ("UPDATE users SET name = email", refused),
            ("UPDATE users SET name = 'x' RETURNING id", refused),
            ("INSERT INTO users(id) VALUES (5) RETURNING name", refused),
            ("DELETE FROM users WHERE id = 1", refused),
            ("DELETE FROM users RETURNING *", refused),
            (
                "INSERT INTO users SELECT id + 10, name, email FROM users",
                refused,
            ),
            (
                "UPDATE users SET name = (SELECT count(*) FROM users)",
                refused,
            ),
            (
                "INSERT INTO users(id) VALUES (1) ON CONFLICT DO UPDATE SET name = email",
                refused,
            ),
            ("INSERT INTO users VALUES (3, 'Cy', NULL)", "1"),
            ("UPDATE users SET name = 'x'", "3"),
            ("DELETE FROM users", "3"),
        ],
    );
}

#[test]
fn d17_a_view_needs_its_own_grant_and_that_of_what_it_reads() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE VIEW names AS SELECT name FROM users;
         CREATE VIEW leaks AS SELECT value FROM secrets;
         CREATE VIEW ones AS SELECT 1 FROM secrets;
         CREATE VIEW outer AS SELECT * FROM leaks;",
    );
    check(
        &mut session,
        "q",
        &[
            ("SELECT * FROM names", "denied DATABASE_READ main.names"),
            (
                "SELECT count(*) FROM names",
                "denied DATABASE_READ main.names",
            ),
            ("SELECT * FROM outer", "denied DATABASE_READ main.…"),
        ],
    );
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('names'), DATABASE_READ('leaks'),
           DATABASE_READ('ones'), DATABASE_READ('outer')",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT * FROM names ORDER BY 1",
                r#"[{"name":"Ada"},{"name":"Bob"}]"#,
            ),
            ("SELECT * FROM leaks", SECRETS),
            ("SELECT count(*) FROM leaks", SECRETS),
            ("SELECT count(*) FROM ones", SECRETS),
            ("SELECT * FROM outer", SECRETS),
            (
                "WITH leaks AS (SELECT * FROM secrets) SELECT * FROM leaks",
                SECRETS,
            ),
            ("WITH a AS (SELECT * FROM outer) SELECT 1 FROM a", SECRETS),
        ],
    );
}

#[test]
fn temporary_objects_of_the_client_do_not_stand_in_for_granted_tables() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE TEMP TABLE users AS SELECT * FROM secrets",
    );
    check(
        &mut session,
        "q",
        &[
            ("SELECT * FROM users", "denied DATABASE_READ temp.users"),
            (
                "SELECT count(*) FROM users",
                "denied DATABASE_READ temp.users",
            ),
            ("SELECT count(*) AS n FROM main.users", r#"[{"n":2}]"#),
        ],
    );
    assert_eq!(
        execute(&mut session, "DELETE FROM users"),
        "denied DATABASE_WRITE temp.users"
    );
    run(
        &mut session,
        "DROP TABLE temp.users; CREATE TEMP VIEW users AS SELECT id, value AS name FROM secrets",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT * FROM users",
                "denied DATABASE_READ main.secrets, DATABASE_READ temp.users",
            ),
            (
                "SELECT count(*) FROM users",
                "denied DATABASE_READ main.secrets, DATABASE_READ temp.users",
            ),
        ],
    );
    run(
        &mut session,
        "DROP VIEW temp.users;
         CREATE TEMP TRIGGER spy AFTER UPDATE ON main.users
         BEGIN UPDATE secrets SET value = new.name; END",
    );
    assert_eq!(
        execute(&mut session, "UPDATE users SET name = 'x'"),
        "denied DATABASE_WRITE main.secrets"
    );
}

#[test]
fn d21_patterns_hold_on_attached_databases() {
    let mut session = probed();
    run(
        &mut session,
        "ATTACH ':memory:' AS other; CREATE TABLE other.users(id INTEGER);
         CREATE TABLE other.notes(id INTEGER); INSERT INTO other.notes VALUES (1);",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT * FROM other.users",
                "denied DATABASE_READ other.users",
            ),
            (
                "SELECT count(*) FROM other.users",
                "denied DATABASE_READ other.users",
            ),
            (
                "SELECT count(*) FROM \"OTHER\".users",
                "denied DATABASE_READ other.users",
            ),
            (
                "SELECT count(*) FROM notes",
                "denied DATABASE_READ other.notes",
            ),
            ("SELECT count(*) AS n FROM users", r#"[{"n":2}]"#),
        ],
    );
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('other.n*')",
    );
    check(
        &mut session,
        "q",
        &[
            ("SELECT id FROM notes", r#"[{"id":1}]"#),
            ("SELECT count(*) AS n FROM notes", r#"[{"n":1}]"#),
            (
                "SELECT id FROM other.users",
                "denied DATABASE_READ other.users",
            ),
        ],
    );
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('*')",
    );
    check(
        &mut session,
        "q",
        &[
            ("SELECT id FROM other.users", "[]"),
            ("SELECT count(*) AS n FROM secrets", r#"[{"n":1}]"#),
        ],
    );
}

#[test]
fn d21_names_beyond_ascii_compare_as_sqlite_compares_them() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE TABLE \"Größe\"(n INTEGER); CREATE TABLE \"GRÖSSE\"(n INTEGER);
         CREATE TABLE \"a b.c\"(n INTEGER); CREATE TABLE \"x\"\"y\"(n INTEGER);
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('größe')",
    );
    check(
        &mut session,
        "q",
        &[
            ("SELECT count(*) AS n FROM GRößE", r#"[{"n":0}]"#),
            ("SELECT n FROM GRÖSSE", "denied DATABASE_READ main.GRÖSSE"),
            ("SELECT n FROM \"a b.c\"", "denied DATABASE_READ main.a b.c"),
            ("SELECT n FROM \"x\"\"y\"", "denied DATABASE_READ main.x\"y"),
        ],
    );
}

/// The same answer, whether or not there is such a table.
#[test]
fn a_guest_cannot_tell_whether_a_table_exists_that_is_not_granted() {
    let mut session = probed();
    for table in ["secrets", "absent"] {
        let read = format!("denied DATABASE_READ main.{table}");
        let write = format!("denied DATABASE_WRITE main.{table}");
        for sql in [
            format!("SELECT * FROM {table}"),
            format!("SELECT count(*) FROM main.{table}"),
            format!("SELECT no_column FROM {table}"),
            format!("SELECT {table}.no_column FROM users, {table}"),
            format!("SELECT name FROM users WHERE id IN (SELECT no_column FROM {table})"),
            format!("SELECT name FROM users JOIN {table} USING (no_column)"),
            format!("WITH c AS (SELECT no_column FROM {table}) SELECT * FROM c"),
        ] {
            assert_eq!(query(&mut session, &sql), read, "{sql}");
        }
        for sql in [
            format!("DELETE FROM {table}"),
            format!("DELETE FROM {table} WHERE no_column = 1"),
            format!("INSERT INTO {table}(no_column) VALUES (1)"),
            format!("INSERT INTO {table} VALUES (1, 2, 3, 4, 5)"),
            format!("UPDATE {table} SET no_column = 1"),
        ] {
            assert_eq!(execute(&mut session, &sql), write, "{sql}");
        }
        let both = query(&mut session, &format!("SELECT 1 FROM {table}, other_table"));
        assert_eq!(both, format!("{read}, DATABASE_READ main.other_table"));
        assert_eq!(
            query(&mut session, &format!("SELECT {table} FROM users")),
            format!("failed 42703 no such column: {table}")
        );
    }
    // What is granted, or lies open, is told as SQLite tells it.
    run(
        &mut session,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('my_*'); CREATE VIEW my_view AS SELECT 1 AS a;
         ATTACH ':memory:' AS other; CREATE TABLE other.users(a INTEGER)",
    );
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT * FROM my_table",
                "failed 42P01 no such table: my_table",
            ),
            (
                "SELECT nmae FROM users",
                "failed 42703 no such column: nmae",
            ),
            (
                "SELECT u.nmae FROM users u",
                "failed 42703 no such column: u.nmae",
            ),
            ("SELECT b FROM my_view", "failed 42703 no such column: b"),
            ("SELECT absent()", "failed 42883 no such function: absent"),
            ("SELECT FROM users", "invalid near \"FROM\": syntax error"),
            (
                "SELECT b FROM other.users",
                "denied DATABASE_READ other.users",
            ),
            (
                "SELECT b FROM other.absent",
                "denied DATABASE_READ other.absent",
            ),
            (
                "SELECT b FROM no_schema.users",
                "denied DATABASE_READ no_schema.users",
            ),
        ],
    );
    check(
        &mut session,
        "x",
        &[
            (
                "INSERT INTO users VALUES (1)",
                "invalid table users has 3 columns but 1 values were supplied",
            ),
            (
                "UPDATE users SET nmae = 1",
                "failed 42703 no such column: nmae",
            ),
        ],
    );
}

/// SQLite's authorizer is told of no column that a join by name compares, nor of what a
/// FULL JOIN by name returns.
#[test]
fn h7_a_join_by_name_needs_the_grants_of_both_sides() {
    let mut session = probed();
    run(
        &mut session,
        "CREATE TABLE notes(id INTEGER, value TEXT); INSERT INTO notes VALUES (1, 'n');
         CREATE VIEW leak AS
           SELECT value FROM secrets FULL JOIN (SELECT 'x' AS value) USING (value);
         ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('leak'), DATABASE_READ('notes')",
    );
    for sql in [
        "SELECT value FROM secrets FULL JOIN (SELECT 'x' AS value) USING (value)",
        "SELECT value FROM secrets NATURAL FULL JOIN (SELECT 'x' AS value)",
        "SELECT value FROM \"Secrets\" NATURAL FULL OUTER JOIN (SELECT 'x' AS value)",
        "SELECT value FROM main.'secrets' s FULL JOIN (SELECT 'x' AS value) USING (value)",
        "SELECT count(*) FROM (SELECT 'CANARY-5f3a' AS value) JOIN secrets USING (value)",
        "SELECT count(*) FROM (SELECT 'CANARY-5f3a' AS value) NATURAL JOIN [secrets]",
        "SELECT count(*) FROM notes NATURAL JOIN secrets",
        "WITH c(value) AS (SELECT 'x') SELECT value FROM secrets FULL JOIN c USING (value)",
        "SELECT id FROM users WHERE id IN
           (SELECT count(*) FROM (SELECT 'a' AS value) JOIN secrets USING (value))",
        "SELECT value FROM leak",
        "SELECT value FROM leak FULL JOIN (SELECT 1 AS value) USING (value)",
    ] {
        let answer = query(&mut session, sql);
        assert_eq!(answer.to_lowercase(), SECRETS.to_lowercase(), "{sql}");
    }
    check(
        &mut session,
        "q",
        &[
            (
                "SELECT sql FROM sqlite_master FULL JOIN (SELECT 'x' AS sql) USING (sql)",
                "denied DATABASE_READ main.sqlite_master",
            ),
            (
                "SELECT detail FROM heliosdb.audit_log FULL JOIN (SELECT 'x' AS detail) USING (detail)",
                "denied DATABASE_READ heliosdb.audit_log",
            ),
            (
                "SELECT name FROM dbstat NATURAL FULL JOIN (SELECT 'x' AS name)",
                "denied DATABASE_READ main.dbstat",
            ),
            (
                "SELECT name FROM users FULL JOIN (SELECT 'Ada' AS name) USING (name) ORDER BY 1",
                r#"[{"name":"Ada"},{"name":"Bob"}]"#,
            ),
            (
                "SELECT u.name, n.value FROM users u JOIN notes n USING (id)",
                r#"[{"name":"Ada","value":"n"}]"#,
            ),
            (
                "SELECT count(*) AS n FROM users NATURAL JOIN json_each('[1]')",
                r#"[{"n":1}]"#,
            ),
            // What SQLite would read, and the lexer here would not.
            (
                "SELECT $$ FROM secrets NATURAL JOIN users -- $$",
                "invalid …",
            ),
            ("SELECT 1 AS n /* NATURAL $$", r#"[{"n":1}]"#),
        ],
    );
    run(
        &mut session,
        "ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('notes');
         CREATE TRIGGER spy AFTER INSERT ON notes BEGIN
           UPDATE notes SET value = (SELECT count(*) FROM secrets NATURAL JOIN notes); END",
    );
    assert_eq!(
        execute(&mut session, "INSERT INTO notes VALUES (2, 'm')"),
        "denied DATABASE_READ main.notes, DATABASE_READ main.secrets"
    );
}
