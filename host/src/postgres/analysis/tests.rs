//! Statements, and what is in them.

use super::*;
use crate::postgres::text;

fn found(sql: &str) -> Analysis {
    analyze(&text::read(sql).unwrap()).unwrap()
}

fn list(names: &BTreeSet<Name>) -> String {
    let texts: Vec<String> = names
        .iter()
        .map(|name| match &name.schema {
            Some(schema) => format!("{schema}.{}", name.table),
            None => name.table.clone(),
        })
        .collect();
    texts.join(" ")
}

#[test]
fn h7_every_table_that_is_read_is_found() {
    for (sql, reads) in [
        ("SELECT 1", ""),
        ("SELECT * FROM secrets", "secrets"),
        ("SELECT * FROM Public.SECRETS", "public.secrets"),
        ("SELECT * FROM \"Secrets\"", "Secrets"),
        ("SELECT * FROM ONLY secrets", "secrets"),
        ("SELECT * FROM users, secrets", "secrets users"),
        (
            "SELECT 1 FROM users u LEFT JOIN LATERAL (SELECT 1 FROM secrets) s ON true",
            "secrets users",
        ),
        ("SELECT 1 FROM (users CROSS JOIN secrets)", "secrets users"),
        (
            "SELECT id FROM users UNION ALL SELECT id FROM secrets",
            "secrets users",
        ),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM secrets)", "secrets"),
        ("SELECT 1 IN (SELECT 1 FROM secrets)", "secrets"),
        ("SELECT ARRAY(SELECT 1 FROM secrets)", "secrets"),
        (
            "SELECT count(*) FILTER (WHERE (SELECT true FROM secrets))",
            "secrets",
        ),
        (
            "SELECT sum(1) OVER (ORDER BY (SELECT 1 FROM secrets))",
            "secrets",
        ),
        (
            "SELECT string_agg('a', 'b' ORDER BY (SELECT 1 FROM secrets))",
            "secrets",
        ),
        (
            "SELECT mode() WITHIN GROUP (ORDER BY (SELECT 1 FROM secrets))",
            "secrets",
        ),
        ("SELECT 1 ORDER BY (SELECT 1 FROM secrets)", "secrets"),
        ("SELECT 1 LIMIT (SELECT 1 FROM secrets)", "secrets"),
        ("SELECT 1 OFFSET (SELECT 1 FROM secrets)", "secrets"),
        (
            "SELECT 1 GROUP BY (SELECT 1 FROM secrets) HAVING (SELECT true FROM other)",
            "other secrets",
        ),
        (
            "SELECT 1 FROM generate_series(1, (SELECT 1 FROM secrets))",
            "secrets",
        ),
        ("SELECT DISTINCT ON ((SELECT 1 FROM secrets)) 1", "secrets"),
        ("VALUES ((SELECT 1 FROM secrets))", "secrets"),
        (
            "SELECT CASE WHEN (SELECT true FROM secrets) THEN 1 END",
            "secrets",
        ),
        (
            "SELECT extract(year FROM (SELECT a FROM secrets))",
            "secrets",
        ),
        ("SELECT (SELECT ROW(secrets.*) FROM secrets)", "secrets"),
        (
            "SELECT 1 FROM users WINDOW w AS (PARTITION BY (SELECT 1 FROM secrets))",
            "secrets users",
        ),
        ("SELECT * FROM users TABLESAMPLE BERNOULLI (10)", "users"),
        (
            "WITH users AS (SELECT * FROM secrets) SELECT * FROM users",
            "secrets",
        ),
        ("WITH secrets AS (SELECT 1) SELECT * FROM secrets", ""),
        (
            "WITH secrets AS (SELECT * FROM secrets) SELECT * FROM secrets",
            "secrets",
        ),
        (
            "WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b",
            "",
        ),
        (
            "WITH b AS (SELECT * FROM a), a AS (SELECT 1) SELECT * FROM b",
            "a",
        ),
        (
            "WITH RECURSIVE b AS (SELECT * FROM a), a AS (SELECT 1) SELECT * FROM b",
            "",
        ),
        (
            "WITH secrets AS (SELECT 1) SELECT * FROM public.secrets",
            "public.secrets",
        ),
        (
            "SELECT * FROM secrets, (WITH secrets AS (SELECT 1) SELECT * FROM secrets) x",
            "secrets",
        ),
        (
            "SELECT * FROM (WITH secrets AS (SELECT 1) SELECT 1) x, secrets",
            "secrets",
        ),
        (
            "SELECT (WITH secrets AS (SELECT 1) SELECT 1), (SELECT 1 FROM secrets)",
            "secrets",
        ),
    ] {
        let found = found(sql);
        assert_eq!(list(&found.reads), reads, "{sql}");
        assert_eq!(
            (list(&found.writes).as_str(), found.forbidden),
            ("", None),
            "{sql}"
        );
        assert_eq!(found.operation, "SELECT");
    }
}

#[test]
fn d16_what_a_writing_statement_reads_is_found() {
    for (sql, operation, writes, reads) in [
        ("INSERT INTO t VALUES (1)", "INSERT", "t", ""),
        ("INSERT INTO t(a) SELECT a FROM s", "INSERT", "t", "s"),
        ("INSERT INTO t VALUES (1) RETURNING a", "INSERT", "t", "t"),
        (
            "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
            "INSERT",
            "t",
            "",
        ),
        (
            "INSERT INTO t VALUES (1) ON CONFLICT (a) DO NOTHING",
            "INSERT",
            "t",
            "t",
        ),
        (
            "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = (SELECT 1 FROM s)",
            "INSERT",
            "t",
            "s t",
        ),
        ("UPDATE t SET a = 1", "UPDATE", "t", ""),
        ("UPDATE t SET a = b", "UPDATE", "t", "t"),
        ("UPDATE t SET a = 1 WHERE b = 2", "UPDATE", "t", "t"),
        ("UPDATE t SET a = 1 FROM s", "UPDATE", "t", "s t"),
        (
            "UPDATE t SET (a, b) = (SELECT 1, 2 FROM s)",
            "UPDATE",
            "t",
            "s",
        ),
        ("DELETE FROM t", "DELETE", "t", ""),
        ("DELETE FROM t WHERE a = 1", "DELETE", "t", "t"),
        ("DELETE FROM t USING s", "DELETE", "t", "s t"),
        (
            "WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x",
            "DELETE",
            "t",
            "t",
        ),
        (
            "WITH x AS (SELECT 1 FROM s) INSERT INTO t SELECT * FROM x",
            "INSERT",
            "t",
            "s",
        ),
        ("WITH t AS (SELECT 1) DELETE FROM t", "DELETE", "t", ""),
    ] {
        let found = found(sql);
        assert_eq!(found.operation, operation, "{sql}");
        assert_eq!(
            (list(&found.writes), list(&found.reads)),
            (writes.into(), reads.into()),
            "{sql}"
        );
        assert_eq!(found.forbidden, None, "{sql}");
    }
}

#[test]
fn what_is_more_than_a_query_is_forbidden() {
    for sql in [
        "COMMIT",
        "ROLLBACK",
        "SET ROLE x",
        "RESET ROLE",
        "DO $$ BEGIN END $$",
        "COPY t TO STDOUT",
        "NOTIFY x",
        "LISTEN x",
        "LOCK TABLE t",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "FETCH c",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "CALL p()",
        "TRUNCATE t",
        "EXPLAIN SELECT 1",
        "GRANT SELECT ON t TO PUBLIC",
        "CREATE TEMP TABLE t(a int)",
        "DISCARD ALL",
        "TABLE t",
        "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
        "SHOW role",
        "VACUUM",
        "ALTER TABLE t ADD a int",
        "SELECT 1 INTO t",
        "SELECT * FROM (TABLE t) x",
        "WITH x AS (TABLE t) SELECT * FROM x",
        "SELECT 1 UNION TABLE t",
        "SELECT 't'::regclass",
        "SELECT regclass 't'",
        "SELECT CAST('t' AS pg_catalog.regclass)",
        "SELECT * FROM d.s.t",
    ] {
        let text = text::read(sql).unwrap();
        let is_refused = match analyze(&text) {
            Ok(found) => found.forbidden.is_some(),
            Err(error) => error.sqlstate() == SqlState::SYNTAX,
        };
        assert!(is_refused, "{sql}");
    }
    for sql in ["SELECT 1; SELECT 2", "", "SELECT FROM WHERE"] {
        let text = text::read(sql).unwrap();
        let is_refused = analyze(&text).is_err() || found(sql).forbidden.is_some();
        assert!(is_refused, "{sql}");
    }
    let deep = format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    assert!(analyze(&text::read(&deep).unwrap()).is_err());
}

#[test]
fn functions_that_are_more_than_computations_are_found() {
    for (sql, functions) in [
        (
            "SELECT lower(name), count(*), pg_catalog.upper('a') FROM users",
            "",
        ),
        (
            "SELECT now(), current_date, LOCALTIMESTAMP",
            "current_date localtimestamp now",
        ),
        ("SELECT random()", "random"),
        ("SELECT set_config('role', 'x', false)", "set_config"),
        ("SELECT public.lower('a')", "public.lower"),
        ("SELECT \"SET_CONFIG\"('a', 'b', false)", "SET_CONFIG"),
        (
            "SELECT * FROM query_to_xml('SELECT 1', true, true, '')",
            "query_to_xml",
        ),
        ("SELECT * FROM LATERAL pg_sleep(1)", "pg_sleep"),
        ("SELECT * FROM ROWS FROM (pg_sleep(1))", "?"),
        ("SELECT 1 ORDER BY pg_sleep(1)", "pg_sleep"),
        ("SELECT sum(1) OVER (PARTITION BY pg_sleep(1))", "pg_sleep"),
        (
            "INSERT INTO t VALUES (pg_sleep(1)) RETURNING lo_creat(1)",
            "lo_creat pg_sleep",
        ),
        ("SELECT (pg_sleep(1)).x", "pg_sleep"),
        ("SELECT a[pg_sleep(1)] FROM t", "pg_sleep"),
    ] {
        let text = text::read(sql).unwrap();
        match analyze(&text) {
            Ok(found) if found.forbidden.is_none() => {
                let found: Vec<String> = found.functions.into_iter().collect();
                assert_eq!(found.join(" "), functions, "{sql}");
            }
            _ => assert_eq!(functions, "?", "{sql}"),
        }
    }
}
