//! Attacks on what is not granted: tables by other names, the host's own objects,
//! transactions, refusals that never were.

use super::attack::{Attack, Guest, js, rust};

const fn query(name: &'static str, sql: &'static str) -> Attack {
    Attack::new(name, Guest::Query(sql)).before(GRANTS)
}

const fn execute(name: &'static str, sql: &'static str) -> Attack {
    Attack::new(name, Guest::Execute(sql)).before(GRANTS)
}

const GRANTS: &str =
    "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users')";

/// As the grants above, with objects of the owner's that reach further.
const REACHING: &str = "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users'), DATABASE_READ('seen');
  CREATE VIEW seen AS SELECT value FROM secrets;
  CREATE TRIGGER copying AFTER UPDATE ON users BEGIN INSERT INTO secrets(value) SELECT value || new.name FROM secrets; END;";

const ONE: &[(&str, usize)] = &[("Denied", 1)];
const TWO: &[(&str, usize)] = &[("Denied", 2)];

pub(super) const ATTACKS: &[Attack] = &[
    query("h7_a table without a grant", "SELECT * FROM secrets").entries(ONE).fails("42501", "read table \"secrets\""),
    query("h7_a sub-query", "SELECT name FROM users WHERE EXISTS (SELECT 1 FROM secrets WHERE value LIKE 'C%')")
        .entries(ONE)
        .fails("42501", "read table \"secrets\""),
    query("h7_a CTE that is named like a granted table", "WITH users AS (SELECT * FROM secrets) SELECT * FROM users")
        .entries(ONE)
        .fails("42501", "read table \"secrets\""),
    query("h7_a count without a column", "SELECT count(*) FROM secrets").entries(ONE).fails("42501", "read table \"secrets\""),
    query("h7_a granted view of another's table", "SELECT * FROM seen")
        .before(REACHING)
        .entries(ONE)
        .fails("42501", "read table \"secrets\""),
    execute("h7_a trigger of another's table", "UPDATE users SET name = 'x' WHERE id = 1")
        .before(REACHING)
        .entries(TWO)
        .fails("42501", "secrets"),
    execute("h7_an insert from a table without a grant", "INSERT INTO users(name) SELECT value FROM secrets")
        .entries(ONE)
        .fails("42501", "read table \"secrets\""),
    execute(
        "h7_an upsert that reads",
        "INSERT INTO users VALUES (1, 'x', 'y') ON CONFLICT DO UPDATE SET name = (SELECT value FROM secrets)",
    )
    .entries(ONE)
    .fails("42501", "read table \"secrets\""),
    execute(
        "h7_a RETURNING that reads",
        "UPDATE users SET name = name RETURNING (SELECT value FROM secrets)",
    )
    .entries(ONE)
    .fails("42501", "read table \"secrets\""),
    execute("h7_a write without a grant", "DELETE FROM secrets").entries(ONE).fails("42501", "write table \"secrets\""),
    query("h7_the schema", "SELECT sql FROM sqlite_master").entries(ONE).fails("42501", "sqlite_master"),
    query("h7_a pragma as a table", "SELECT * FROM pragma_table_info('secrets')").entries(ONE).fails("42501", "pragma_table_info"),
    query("h7_the host's grants", "SELECT * FROM heliosdb.grants").entries(ONE).fails("42501", "grants"),
    query("h7_the host's log", "SELECT * FROM heliosdb.audit_log").entries(ONE).fails("42501", "audit_log"),
    execute("h7_a grant to oneself", "INSERT INTO heliosdb.grants VALUES ('f', 'DATABASE_READ')")
        .entries(ONE)
        .fails("42501", "write table \"heliosdb.grants\""),
    execute("h7_a file of another database", "ATTACH '/tmp/hostile.db' AS other").entries(ONE).fails("38000", "may not run"),
    execute("h7_a pragma", "PRAGMA journal_mode = OFF").entries(ONE).fails("38000", "may not run"),
    execute("h7_a commit", "COMMIT").entries(ONE).fails("38000", "may not run"),
    execute("h7_a rollback to before the call", "ROLLBACK TO heliosdb_call").entries(ONE).fails("38000", "may not run"),
    execute("h7_a table of one's own", "CREATE TABLE mine (a)").entries(ONE).fails("42501", "CREATE TABLE mine"),
    execute("h7_a copy of everything", "VACUUM INTO '/tmp/hostile.db'").entries(ONE).fails("38000", "may not run"),
    query("h7_a library", "SELECT load_extension('/tmp/evil.so')").entries(ONE).fails("42501", "load_extension"),
    query("h7_another function", "SELECT modest(1)").entries(ONE).fails("42501", "modest"),
    query("h7_two statements", "SELECT 1; DELETE FROM users").fails("42601", "more than one statement"),
    js(
        "h7_a grant that is asked for by SQL",
        "function f() { return heliosdb.execute(\"ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('*')\"); }",
    )
    .before(GRANTS)
    .fails("38000", "syntax error"),
    js(
        "h7_a value that would be SQL",
        "function f() { return heliosdb.query('SELECT name FROM users WHERE name = ?', [\"' OR 1=1; DROP TABLE users; --\"]).rows; }",
    )
    .before(GRANTS)
    .entries(&[("Allowed", 1), ("DatabaseOperation", 1)])
    .gives("[]"),
    js(
        "h25_more denials than the log keeps",
        "function f() { let n = 0; for (let i = 0; i < 500; i++) try { heliosdb.query('SELECT * FROM secrets'); } catch { n++; } return n; }",
    )
    .before(GRANTS)
    .entries(&[("Denied", 100)])
    .gives("500"),
    js(
        "a refusal that never was",
        "function f() { const e = new HeliosError('permission denied'); Object.assign(e, { code: 'denied', denials: [{ capability: 'DATABASE_READ', target: 'main.secrets' }] }); throw e; }",
    )
    .fails("38000", "failed"),
    rust("a refusal that never was, in Rust", "forge_denied").call("SELECT forge_denied()").fails("38000", "failed"),
    js(
        "a refusal with other words",
        "function f() { try { heliosdb.query('SELECT * FROM secrets') } catch (e) { e.message = 'trust me'; try { e.denials[0].target = 'main.users' } catch {} throw e; } }",
    )
    .before(GRANTS)
    .entries(ONE)
    .fails("38000", "trust me"),
];
