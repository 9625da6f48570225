//! Attacks on the data: a guest writes what it may, and then does not end well. Nothing
//! that it wrote may remain.

use super::attack::{Attack, CPU_TIME, Guest, MEMORY, RESULT, STACK, js};

const GRANTS: &str = "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('*'), DATABASE_WRITE('notes'), DATABASE_WRITE('users');
  ALTER FUNCTION f DENY CAPABILITY DATABASE_READ('secrets')";

const WROTE: &[(&str, usize)] = &[("Allowed", 1), ("DatabaseOperation", 1)];

const fn writes(name: &'static str, source: &'static str) -> Attack {
    js(name, source).before(GRANTS).entries(WROTE)
}

/// A component of Rust's that writes a note, and then does not end well.
const fn rust(
    name: &'static str,
    export: &'static str,
    call: &'static str,
    grant: &'static str,
) -> Attack {
    Attack::new(name, Guest::Rust("hostile_writer_guest", export))
        .call(call)
        .before(grant)
        .entries(WROTE)
}

pub(super) const ATTACKS: &[Attack] = &[
    writes("h107_a write, then an exception", "function f() { w(); throw new Error('x'); } function w() { heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); }")
        .fails("38000", "Error: x"),
    writes("h107_a write, then a loop", "function f() { w(); for (;;) {} } function w() { heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); }")
        .ends_by(CPU_TIME),
    writes("h107_a write, then too much memory", "function f() { w(); new Uint8Array(1 << 28); } function w() { heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); }")
        .ends_by(MEMORY),
    writes("h107_a write, then recursion", "function f() { w(); return g(); } function g() { return g() + 1; } function w() { heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); }")
        .ends_by(STACK),
    writes("h107_a write, then a query without an end", "function f() { w(); heliosdb.query('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n'); } function w() { heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); }")
        .ends_by(CPU_TIME),
    writes("h107_a write, then a result beyond its bound", "function f() { w(); heliosdb.query('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n'); } function w() { heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); }")
        .default_limits()
        .ends_by(RESULT),
    writes("h107_a write, then a refusal", "function f() { w(); heliosdb.query('SELECT * FROM secrets'); } function w() { heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); }")
        .entries(&[("Allowed", 1), ("DatabaseOperation", 1), ("Denied", 1)])
        .fails("42501", "read table \"secrets\""),
    writes("h107_a write, then a result that loops", "function f() { w(); return { toJSON() { for (;;) {} } }; } function w() { heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); }")
        .ends_by(CPU_TIME),
    writes("h107_a write, then a promise that is never kept", "async function f() { w(); await new Promise(() => {}); } function w() { heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); }")
        .fails("38000", "never settles"),
    writes("h107_a write, then a rejection that nobody waits for", "function f() { w(); Promise.reject(new Error('late')); return 1; } function w() { heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); }")
        .fails("38000", "late"),
    writes("h107_a write in the module, then a loop", "heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); for (;;) {} function f() {}")
        .ends_by(CPU_TIME),
    writes("h107_a write that would end the transaction", "function f() { w(); heliosdb.execute(\"INSERT OR ROLLBACK INTO notes VALUES (1, 'x', 1)\"); } function w() { heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); }")
        .fails("23000", "rolled back"),
    writes("h107_everything deleted, then an exception", "function f() { heliosdb.execute('DELETE FROM notes'); throw 1; }")
        .fails("38000", "failed: 1"),
    writes("h107_every row replaced for a row that does not fit", "function f() { heliosdb.execute(\"UPDATE notes SET note = 'x', weight = 100\"); }")
        .entries(&[("Allowed", 1)])
        .fails("38000", "CHECK"),
    writes("h107_rows before one that fails", "function f(n) { heliosdb.execute(\"INSERT INTO notes VALUES (?, 'x', 1)\", [n + 10]); if (n == 2) throw new Error('the second'); return n; }")
        .signature("(n BIGINT) RETURNS JSON")
        .call("SELECT f(id) FROM users")
        .entries(&[("Allowed", 1), ("DatabaseOperation", 2)])
        .fails("38000", "the second"),
    writes("h107_a statement of the client's around a call that fails", "function f() { heliosdb.execute(\"INSERT INTO notes VALUES (2, 'x', 1)\"); throw new Error('x'); }")
        .call("UPDATE users SET name = f()")
        .fails("38000", "Error: x"),
    writes("h107_a trigger that calls what fails", "function f() { throw new Error('x'); }")
        .before("CREATE TRIGGER t AFTER INSERT ON notes BEGIN UPDATE users SET name = f(); END")
        .entries(&[])
        .call("INSERT INTO notes VALUES (3, 'x', 1)")
        .fails("38000", "Error: x"),
    rust("h107_a write, then a panic", "write_and_panic", "SELECT write_and_panic()",
        "ALTER FUNCTION write_and_panic GRANT CAPABILITY DATABASE_WRITE('notes')")
        .fails("38000", "panic"),
    rust("h107_a write, then a loop in Rust", "write_and_spin", "SELECT write_and_spin()",
        "ALTER FUNCTION write_and_spin GRANT CAPABILITY DATABASE_WRITE('notes')")
        .ends_by(CPU_TIME),
    rust("h107_a write, then too much memory in Rust", "write_and_grow", "SELECT write_and_grow()",
        "ALTER FUNCTION write_and_grow GRANT CAPABILITY DATABASE_WRITE('notes')")
        .ends_by(MEMORY),
    rust("h107_a write, then recursion in Rust", "write_and_recurse", "SELECT write_and_recurse()",
        "ALTER FUNCTION write_and_recurse GRANT CAPABILITY DATABASE_WRITE('notes')")
        .ends_by(STACK),
    rust("h107_a write, then an error in Rust", "write_and_fail", "SELECT write_and_fail()",
        "ALTER FUNCTION write_and_fail GRANT CAPABILITY DATABASE_WRITE('notes')")
        .fails("38000", "changed my mind"),
];
