//! Attacks on what is not the guest's: memory of calls before it, the engine's state,
//! the host's own objects.

use super::attack::{Attack, core, js};

/// Exports that fill all memory there is with a mark, that look for anything that is
/// not zero in all memory there is, and both together.
const SCANNER: &str = r#"(module (memory (export "memory") 1)
  (func $all (drop (memory.grow (i32.sub (i32.const 255) (memory.size)))))
  (func $fill (call $all) (memory.fill (i32.const 0) (i32.const 0xA5) (i32.const 16711680)))
  (func (export "mark") (call $fill))
  (func (export "mark-and-trap") (call $fill) unreachable)
  (func (export "mark-and-spin") (call $fill) (loop (br 0)))
  (func $scan (result i64) (local $at i32) (local $found i64)
    (call $all)
    (loop
      (local.set $found (i64.or (local.get $found) (i64.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if 0 (i32.lt_u (local.get $at) (i32.const 16711680))))
    local.get $found)
  (func (export "mark-and-scan") (result i64) (call $fill) (call $scan))
  (func (export "f") (result i64) (call $scan)))"#;

const WORLD: &str =
    "export mark: func(); export mark-and-trap: func(); export mark-and-spin: func();
  export mark-and-scan: func() -> s64; export f: func() -> s64;";

const MARKERS: &str = "CREATE FUNCTION mark LANGUAGE wasm AS '{guest}';
  CREATE FUNCTION mark_and_trap LANGUAGE wasm AS '{guest}';
  CREATE FUNCTION mark_and_spin LANGUAGE wasm AS '{guest}';
  ALTER FUNCTION mark_and_spin SET (max_cpu_time_ms = 50);
  CREATE FUNCTION mark_and_scan LANGUAGE wasm AS '{guest}';";

pub(super) const ATTACKS: &[Attack] = &[
    core("h3_the marks of a call before", WORLD, SCANNER)
        .before(MARKERS)
        .first("SELECT mark()")
        .gives("0"),
    core("h3_the marks of a call that trapped", WORLD, SCANNER)
        .before(MARKERS)
        .first("SELECT mark_and_trap()")
        .gives("0"),
    core("h3_the marks of a call that was ended", WORLD, SCANNER)
        .before(MARKERS)
        .first("SELECT mark_and_spin()")
        .gives("0"),
    // What shows that the marks would be found.
    core("h3_the marks of the same call", WORLD, SCANNER)
        .before(MARKERS)
        .call("SELECT mark_and_scan() <> 0")
        .gives("1"),
    js(
        "h3_state that is kept from call to call",
        "let calls = 0; function f() { globalThis.kept = (globalThis.kept ?? 0) + 1; return [++calls, kept]; }",
    )
    .first("SELECT f()")
    .gives("[1,1]"),
    js(
        "h3_state that is kept from a call that failed",
        "function f() { globalThis.kept = (globalThis.kept ?? 0) + 1; if (Object.prototype.evil) return 'kept'; Object.prototype.evil = 1; if (kept > 1) return 'kept'; throw kept; }",
    )
    .first("SELECT f()")
    .fails("38000", "failed: 1"),
    js(
        "a polluted prototype",
        "function f() { Object.prototype.toJSON = () => 'evil'; Array.prototype.map = () => 'evil'; Object.prototype.then = 1; Promise.prototype.then = null; return {}; }",
    )
    .before("CREATE FUNCTION g() RETURNS JSON LANGUAGE javascript AS $$ function g() { return [1].map(x => x + 1); } $$")
    .first("SELECT f()")
    .call("SELECT g()")
    .gives("[2]"),
    js(
        "a heliosdb.query of one's own",
        "function f() { try { heliosdb.query = () => ({ rows: ['mine'] }); } catch {} try { globalThis.heliosdb = { query: () => ({ rows: ['mine'] }) }; } catch {} return 1; }",
    )
    .before("CREATE FUNCTION g() RETURNS JSON LANGUAGE javascript AS $$ function g() { return heliosdb.query('SELECT 1 AS one').rows; } $$;
             ALTER FUNCTION g GRANT CAPABILITY DATABASE_READ('users');")
    .first("SELECT f()")
    .call("SELECT g()")
    .entries(&[("DatabaseOperation", 1)])
    .gives("[{\"one\":1}]"),
    js(
        "names that would reach out",
        "function f() { return ['require', 'process', 'std', 'os', 'scriptArgs', 'print', 'Deno', 'fetch', 'WebAssembly', 'Worker', 'setTimeout', 'importScripts', 'gc', '__rquickjs_host_now_us'].filter(name => name in globalThis); }",
    )
    .gives("[]"),
    js("a module that is imported", "async function f() { return await import('std'); }").fails("38000", "import"),
    js("randomness that is not granted", "function f() { return Math.random(); }")
        .fails("38000", "RANDOM_ACCESS"),
    js("a clock that is not granted", "function f() { return new Date().getTime(); }")
        .entries(&[("Denied", 1)])
        .fails("42501", "may not read the clock"),
    js(
        "a clock that is made of work",
        "function f() { return typeof performance + typeof SharedArrayBuffer; }",
    )
    .gives("\"undefinedfunction\""),
];
