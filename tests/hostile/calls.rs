//! Floods of host calls, and host calls with more than anybody should send.

use super::attack::{
    AUDIT_ENTRIES, Attack, CPU_TIME, Guest, HOST_BYTES, Limit, MEMORY, RESULT, core, js, rust,
};
use super::world::SOME;

const LOG: &str = "import heliosdb:host/log@0.1.0; export f: func();";

pub(super) const ATTACKS: &[Attack] = &[
    rust("h63_ten million lines of log", "flood")
        .call("SELECT flood()")
        .limits("max_cpu_time_ms = 60000, max_wall_time_ms = 120000")
        .gives("NULL"),
    js("h63_lines of log without an end", "function f() { for (;;) console.log('a line'); }").ends_by(CPU_TIME),
    js(
        "h63_lines of log of four megabytes",
        "function f() { const s = 'x'.repeat(1 << 22); for (;;) try { console.log(s); } catch {} }",
    )
    .limits("max_host_bytes = 67108864")
    .ends_by(HOST_BYTES),
    js(
        "a message that moves the cursor",
        "function f() { console.log('\\x1b[2J\\x07\\0' + 'CAN' + '\\r'); return 1; }",
    )
    .gives("1"),
    core(
        "h63_lines of log of thirteen megabytes",
        LOG,
        r#"(module (import "heliosdb:host/log@0.1.0" "write" (func $write (param i32 i32 i32)))
             (memory (export "memory") 200)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
             (func (export "f") (loop (call $write (i32.const 1) (i32.const 0) (i32.const 13000000)) (br 0))))"#,
    )
    .limits("max_host_bytes = 67108864")
    .ends_by(HOST_BYTES),
    js("a SQL text of eight megabytes", "function f() { heliosdb.query('SELECT 1 --' + 'x'.repeat(1 << 22)); }")
        .before(READ)
        .fails("38000", "sql_bytes"),
    js(
        "h63_SQL texts without an end",
        "function f() { for (let i = 0; ; i++) heliosdb.query(`SELECT ? AS a${i}`, [i]); }",
    )
    .before(READ)
    .entries(&[("DatabaseOperation", SOME)])
    .ends_by(CPU_TIME),
    // The session keeps statements for their next run: a few hundred of them.
    js(
        "h63_long SQL texts that a session might keep",
        "function f() { const s = 'x'.repeat(500000); for (let i = 0; i < 270; i++) heliosdb.query(`SELECT ? AS a${i} --${s}`, [i]); return 1; }",
    )
    .before(READ)
    .limits("max_cpu_time_ms = 60000, max_instructions = 100000000000")
    .entries(&[("DatabaseOperation", 270)])
    .gives("1"),
    js(
        "a hundred thousand parameters",
        "function f() { heliosdb.query('SELECT ?', new Array(100000).fill(1)); }",
    )
    .before(READ)
    .fails("42601", "parameters"),
    js(
        "thirty thousand parameters that are wanted",
        "function f() { return heliosdb.query('SELECT ' + new Array(30000).fill('?').join('+'), new Array(30000).fill(1)).rowCount; }",
    )
    .before(READ)
    .fails("38000", "HeliosError"),
    js(
        "parameters of four megabytes each",
        "function f() { const s = 'x'.repeat(1 << 22); heliosdb.query('SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?', new Array(10).fill(s)); }",
    )
    .before(READ)
    .ends_by(MEMORY),
    js(
        "a result beyond its bound",
        "function f() { return heliosdb.query('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n').rows.length; }",
    )
    .before(READ)
    .default_limits()
    .ends_by(RESULT),
    js(
        "a row beyond the bound of a result",
        "function f() { return heliosdb.query('SELECT zeroblob(9000000) a, zeroblob(9000000) b').rows.length; }",
    )
    .before(READ)
    .default_limits()
    .ends_by(RESULT),
    js(
        "a result that does not fit into the guest",
        "function f() { return heliosdb.query('SELECT zeroblob(15000000) a').rows.length; }",
    )
    .before(READ)
    .default_limits()
    .entries(&[("DatabaseOperation", 1)])
    .ends_by(MEMORY),
    js(
        "h63_denials without an end",
        "function f() { for (;;) try { heliosdb.query('SELECT * FROM secrets'); } catch {} }",
    )
    .entries(&[("Denied", 100)])
    .ends_by(CPU_TIME),
    js(
        "h63_a hundred thousand reads of a clock that is not granted",
        "function f() { for (let i = 0; i < 100000; i++) try { Date.now(); } catch {} return 1; }",
    )
    .default_limits()
    .entries(&[("Denied", 100)])
    .gives("1"),
    js(
        "h63_writes without an end",
        "function f() { for (;;) heliosdb.execute('UPDATE users SET name = ? WHERE id = 1', ['x']); }",
    )
    .before("ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users')")
    .limits("max_cpu_time_ms = 60000, max_instructions = 20000000")
    .entries(&[("Allowed", 2), ("DatabaseOperation", SOME)])
    .ends_by(Limit {
        sqlstate: "57014",
        message: "instruction limit of 20,000,000 instructions reached",
        resource: "instruction",
    }),
    js(
        "h63_writes that fill the log",
        "function f() { for (;;) try { heliosdb.execute('UPDATE users SET name = ? WHERE id = 1', ['x']); } catch {} }",
    )
    .before("ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users')")
    .limits("max_audit_entries = 1000")
    .entries(&[("Allowed", 2), ("DatabaseOperation", 998)])
    .ends_by(AUDIT_ENTRIES),
    js(
        "h63_queries that fill the log",
        "function f() { for (let i = 0; ; i++) try { heliosdb.query(`SELECT id AS n${i} FROM users`); } catch {} }",
    )
    .before(READ)
    .limits("max_audit_entries = 1000")
    .entries(&[("Allowed", 1), ("DatabaseOperation", 999)])
    .ends_by(AUDIT_ENTRIES),
    js(
        "a result of seven megabytes",
        "function f() { return 'x'.repeat(7 << 20).length; }",
    )
    .default_limits()
    .gives("7340032"),
    Attack::new("a function that is called for each of a million rows", Guest::JavaScript("function f() { return 1; }"))
        .call("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(f()) FROM n")
        .ends_by(CPU_TIME),
    core(
        "an error of eight megabytes",
        "export f: func() -> result<_, string>;",
        r#"(module (memory (export "memory") 150)
             (func (export "f") (result i32)
               (memory.fill (i32.const 16) (i32.const 120) (i32.const 8000000))
               (i32.store8 (i32.const 0) (i32.const 1))
               (i32.store (i32.const 4) (i32.const 16))
               (i32.store (i32.const 8) (i32.const 8000000))
               i32.const 0))"#,
    )
    .fails("38000", "xxx"),
    js("an exception of a megabyte", "function f() { throw new Error('x'.repeat(1 << 20)); }")
        .fails("38000", "xxx"),
    js(
        "a name and a stack of a megabyte",
        "function f() { const e = new Error('x'); e.name = 'n'.repeat(1 << 20); e.stack = 'at ' + 's'.repeat(1 << 20); throw e; }",
    )
    .fails("38000", "nnn"),
];

const READ: &str = "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')";
