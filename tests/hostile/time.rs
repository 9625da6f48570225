//! Attacks on the time of a call: whatever a guest may loop in, the clocks are looked at.

use super::attack::{
    Attack, CPU_TIME, Guest, HOST_BYTES, INSTRUCTIONS, Limit, MEMORY, core, js, rust,
};

pub(super) const ATTACKS: &[Attack] = &[
    // The seed's own, with the limits that every function has.
    js(
        "h70_infinite_loop",
        "function f() { while (true) { /* CPU time limit (5s default) will kill this */ } }",
    )
    .default_limits()
    .ends_by(INSTRUCTIONS),
    js("h13_a loop", "function f() { for (;;) {} }").ends_by(CPU_TIME),
    js("h14_a loop beyond the wall time", "function f() { for (;;) {} }")
        .limits("max_wall_time_ms = 200")
        .ends_by(Limit {
            sqlstate: "57014",
            message: "wall time limit of 0.2 s reached",
            resource: "wall time",
        }),
    js("h15_a loop beyond its instructions", "function f() { for (;;) {} }")
        .limits("max_instructions = 1000000")
        .ends_by(Limit {
            sqlstate: "57014",
            message: "instruction limit of 1,000,000 instructions reached",
            resource: "instruction",
        }),
    js(
        "a loop in a finally block",
        "function f() { try { throw 1 } finally { while (true) {} } }",
    )
    .ends_by(CPU_TIME),
    js(
        "a return that a finally block takes back",
        "function f() { for (;;) { try { return 1 } finally { continue } } }",
    )
    .ends_by(CPU_TIME),
    js(
        "a catastrophic regular expression",
        "function f() { return /^(a+)+$/.test('a'.repeat(60) + 'b'); }",
    )
    .ends_by(CPU_TIME),
    js(
        "a regular expression that looks back and forth",
        "function f() { return /(?=(.*)*$)(?<=(a|a)*)b\\1/s.test('a'.repeat(50000)); }",
    )
    .ends_by(CPU_TIME),
    js("a loop when the module is loaded", "for (;;) {} function f() {}").ends_by(CPU_TIME),
    js(
        "a loop in code that is made",
        "function f() { return [].map.constructor('for (;;) {}')(); }",
    )
    .ends_by(CPU_TIME),
    // While the result is converted.
    js("a loop in toJSON", "function f() { return { toJSON() { for (;;) {} } }; }").ends_by(CPU_TIME),
    js("a loop in a getter of the result", "function f() { return { get a() { for (;;) {} } }; }")
        .ends_by(CPU_TIME),
    js(
        "a loop in a proxy's keys",
        "function f() { return new Proxy({}, { ownKeys() { for (;;) {} } }); }",
    )
    .ends_by(CPU_TIME),
    js(
        "a loop in a proxy that is asked whether it is a promise",
        "function f() { return new Proxy({}, { get() { for (;;) {} } }); }",
    )
    .ends_by(CPU_TIME),
    js(
        "a loop in the iterator of the result",
        "function f() { return { [Symbol.iterator]() { return { next() { for (;;) {} } } } }; }",
    )
    .ends_by(CPU_TIME),
    js(
        "a generator that yields nothing for ever",
        "function f() { return (function* () { for (;;) {} yield 1; })(); }",
    )
    .ends_by(CPU_TIME),
    js(
        "an array that says it is endless",
        "function f() { return new Proxy([], { get: (t, k) => k === 'length' ? 2 ** 53 - 1 : k === 'toJSON' ? undefined : null }); }",
    )
    .ends_by(CPU_TIME),
    js("a loop in toJSON of a date", "function f() { const d = new Date(0); d.toJSON = () => { for (;;) {} }; return d; }")
        .ends_by(CPU_TIME),
    // While an argument of a request is converted.
    js(
        "a loop in Symbol.toPrimitive of the SQL",
        "function f() { heliosdb.query({ [Symbol.toPrimitive]() { for (;;) {} } }); }",
    )
    .fails("38000", "TypeError"),
    js(
        "a loop in toJSON of a parameter",
        "function f() { heliosdb.query('SELECT ?', [{ toJSON() { for (;;) {} } }]); }",
    )
    .ends_by(CPU_TIME),
    js(
        "a loop in a getter of a parameter",
        "function f() { heliosdb.query('SELECT ?', [{ get a() { for (;;) {} } }]); }",
    )
    .ends_by(CPU_TIME),
    js(
        "a loop in the iterator of the parameters",
        "function f() { heliosdb.query('SELECT ?', { length: 1, get 0() { for (;;) {} }, [Symbol.iterator]: function* () { for (;;) {} } }); }",
    )
    .fails("38000", "TypeError"),
    js(
        "a loop in a proxy of parameters",
        "function f() { heliosdb.query('SELECT ?', new Proxy([1], { get() { for (;;) {} } })); }",
    )
    .fails("38000", "parameters must be an array"),
    js(
        "a loop in toString of a message",
        "function f() { console.log({ toString() { for (;;) {} }, toJSON() { for (;;) {} }, get a() { for (;;) {} } }); }",
    )
    .gives("NULL"),
    // While an exception is looked at.
    js(
        "an error whose message loops",
        "function f() { const e = new Error(); Object.defineProperty(e, 'message', { get() { for (;;) {} } }); throw e; }",
    )
    .ends_by(CPU_TIME),
    js(
        "an error whose stack loops",
        "function f() { const e = new Error('x'); Object.defineProperty(e, 'stack', { get() { for (;;) {} } }); throw e; }",
    )
    .ends_by(CPU_TIME),
    js(
        "a thrown object whose toString loops",
        "function f() { throw { toString() { for (;;) {} }, valueOf() { for (;;) {} }, toJSON() { for (;;) {} } }; }",
    )
    .fails("38000", "[function]"),
    js(
        "a prepareStackTrace that loops",
        "function f() { Error.prepareStackTrace = () => { for (;;) {} }; throw new Error('x'); }",
    )
    .ends_by(CPU_TIME),
    // Promises and jobs.
    js("an async loop", "async function f() { for (;;) await null; }").ends_by(CPU_TIME),
    js(
        "jobs that make jobs after the result",
        "function f() { (function again() { Promise.resolve().then(again) })(); return 1; }",
    )
    .ends_by(CPU_TIME),
    js("a promise that never settles", "function f() { return new Promise(() => {}); }")
        .fails("38000", "never settles"),
    js("a module that never settles", "await new Promise(() => {}); export default function f() {}")
        .fails("38000", "never settles"),
    js(
        "a thenable that is its own result",
        "async function f() { return { then(done) { done({ then: this.then }) } }; }",
    )
    .ends_by(CPU_TIME),
    js(
        "a loop over an async generator",
        "async function f() { for await (const x of (async function* () { for (;;) yield 1; })()) {} }",
    )
    .ends_by(CPU_TIME),
    js(
        "waiting for another thread",
        "function f() { return Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); }",
    )
    .fails("38000", "ReferenceError"),
    // Native code of the engine's.
    js(
        "a comparator that never agrees",
        "function f() { const a = Array.from({ length: 1000 }, (_, i) => i); for (;;) a.sort(() => 1); }",
    )
    .ends_by(CPU_TIME),
    js(
        "a reviver that keeps adding",
        "function f() { JSON.parse('[[0]]', function (k, v) { if (Array.isArray(this)) this[+k + 1] = [0]; for (;;) {} }); }",
    )
    .ends_by(CPU_TIME),
    js(
        "a search in an array that says it is endless",
        "function f() { return Array.prototype.includes.call({ length: 2 ** 53 - 1 }, 1); }",
    )
    .ends_by(CPU_TIME),
    js("powers of a BigInt", "function f() { let x = 3n; for (;;) x = x ** 3n % (1n << 65536n); }")
        .ends_by(CPU_TIME),
    js(
        "texts that are compared and joined",
        "function f() { let s = 'x'.repeat(1 << 20); for (;;) s = (s + 'y').slice(1).split('').reverse().join('').normalize('NFKD'); }",
    )
    .ends_by(MEMORY),
    // SQL within the call.
    Attack::new(
        "a query without an end",
        Guest::Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"),
    )
    .before("ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')")
    .ends_by(CPU_TIME),
    Attack::new(
        "a join of everything with everything",
        Guest::Query(
            "SELECT count(*) FROM users a, users b, users c, users d, users e, users g, users h, users i, users j, users k, users l, users m, users n, users o, users p, users q, users r, users s, users t, users u, users v, users w, users x, users y, users z WHERE a.name || z.name LIKE '%x%'",
        ),
    )
    .before("ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')")
    .entries(&[("Allowed", 1)])
    .ends_by(CPU_TIME),
    // Components.
    rust("a loop in Rust", "spin").call("SELECT spin()").ends_by(CPU_TIME),
    core("a loop in WebAssembly", "export f: func();", r#"(module (func (export "f") (loop (br 0))))"#)
        .ends_by(CPU_TIME),
    core(
        "a loop in the start function",
        "export f: func();",
        r#"(module (func $s (loop (br 0))) (start $s) (func (export "f")))"#,
    )
    .ends_by(CPU_TIME),
    core(
        "a loop in _initialize",
        "export f: func();",
        r#"(module (func (export "_initialize") (loop (br 0))) (func (export "f")))"#,
    )
    .ends_by(CPU_TIME),
    core(
        "a loop in cabi_realloc",
        "export f: func(a: string);",
        r#"(module (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (loop (br 0)) unreachable)
             (func (export "f") (param i32 i32)))"#,
    )
    .call("SELECT f('x')")
    .ends_by(CPU_TIME),
    core(
        "a loop after the return",
        "export f: func() -> string;",
        r#"(module (memory (export "memory") 1)
             (func (export "f") (result i32) i32.const 0)
             (func (export "cabi_post_f") (param i32) (loop (br 0))))"#,
    )
    .ends_by(CPU_TIME),
    core(
        "filling memory over and over",
        "export f: func();",
        r#"(module (memory (export "memory") 200)
             (func (export "f") (loop (memory.fill (i32.const 0) (i32.const 7) (i32.const 13000000)) (br 0))))"#,
    )
    .ends_by(CPU_TIME),
    core(
        "copying memory over and over",
        "export f: func();",
        r#"(module (memory (export "memory") 200)
             (func (export "f") (loop (memory.copy (i32.const 0) (i32.const 1) (i32.const 13000000)) (br 0))))"#,
    )
    .ends_by(CPU_TIME),
    core(
        "growing memory by nothing over and over",
        "export f: func();",
        r#"(module (memory (export "memory") 1)
             (func (export "f") (loop (drop (memory.grow (i32.const 0))) (br 0))))"#,
    )
    .ends_by(CPU_TIME),
    core(
        "announcing a panic over and over",
        "import heliosdb:host/log@0.1.0; export f: func();",
        r#"(module (import "heliosdb:host/log@0.1.0" "panicked" (func $panicked (param i32 i32)))
             (memory (export "memory") 200)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
             (func (export "f") (loop (call $panicked (i32.const 0) (i32.const 13000000)) (br 0))))"#,
    )
    .limits("max_host_bytes = 67108864")
    .ends_by(HOST_BYTES),
];
