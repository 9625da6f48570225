//! Attacks on the memory of a call: one sum over all that it has, and a bound on what
//! the host holds for it.

use super::attack::{Attack, CPU_TIME, Limit, MEMORY, component, core, js, rust};

pub(super) const ATTACKS: &[Attack] = &[
    // The seed's own: an array that says it is long needs nothing yet.
    js(
        "h72_memory_bomb as the seed has it",
        "function f() { const huge_array = new Array(100000000); /* Memory limit (16MB default) will kill this */ }",
    )
    .default_limits()
    .gives("NULL"),
    js(
        "h72_memory_bomb filled",
        "function f() { const huge_array = new Array(100000000); huge_array.fill(7); }",
    )
    .default_limits()
    .ends_by(MEMORY),
    js(
        "typed arrays",
        "function f() { const a = []; for (let i = 0; ; i++) a.push(new Uint8Array(1 << 16).fill(i)); }",
    )
    .default_limits()
    .ends_by(MEMORY),
    js("one typed array", "function f() { return new Float64Array(1 << 27).length; }")
        .default_limits()
        .ends_by(MEMORY),
    js(
        "a limit that the guest tries to catch",
        "function f() { try { new Uint8Array(1 << 26) } catch { return 'caught' } finally { return 'at last' } }",
    )
    .default_limits()
    .ends_by(MEMORY),
    js("a text that doubles", "function f() { let s = 'x'; for (;;) s += s + s.length; }")
        .fails("38000", "string too long"),
    js("texts", "function f() { const a = []; for (let i = 0; ; i++) a.push('x'.repeat(1000) + i); }")
        .default_limits()
        .ends_by(MEMORY),
    js("a repeated text", "function f() { return 'abc'.repeat(1 << 26).length; }")
        .default_limits()
        .ends_by(MEMORY),
    js("a padded text", "function f() { return 'abc'.padEnd(1 << 28, 'xy').length; }")
        .default_limits()
        .ends_by(MEMORY),
    js("a map", "function f() { const m = new Map(); for (let i = 0; ; i++) m.set(i, {}); }")
        .default_limits()
        .ends_by(MEMORY),
    js("a set of texts", "function f() { const s = new Set(); for (let i = 0; ; i++) s.add('k' + i); }")
        .default_limits()
        .ends_by(MEMORY),
    js("an object's members", "function f() { const o = {}; for (let i = 0; ; i++) o['k' + i] = i; }")
        .default_limits()
        .ends_by(MEMORY),
    js("symbols", "function f() { const a = []; for (let i = 0; ; i++) a.push(Symbol('s' + i)); }")
        .default_limits()
        .ends_by(MEMORY),
    js(
        "closures",
        "function f() { let g = () => 0; for (;;) { const h = g, a = new Array(8).fill(h); g = () => a; } }",
    )
    .default_limits()
    .ends_by(MEMORY),
    js(
        "regular expressions",
        "function f() { const a = []; for (let i = 0; ; i++) a.push(new RegExp('a{' + i % 100 + '}'.repeat(1) + '(b|c)*d' + i)); }",
    )
    .default_limits()
    .ends_by(MEMORY),
    js("a BigInt", "function f() { let x = 1n; for (;;) x <<= 1048576n; }")
        .default_limits()
        .fails("38000", "RangeError"),
    js(
        "many large BigInts",
        "function f() { const a = []; for (let i = 0n; ; i++) a.push((1n << 500000n) + i); }",
    )
    .default_limits()
    .ends_by(MEMORY),
    js(
        "a buffer that grows",
        "function f() { const b = new ArrayBuffer(8, { maxByteLength: 1 << 28 }); b.resize(1 << 28); return b.byteLength; }",
    )
    .default_limits()
    .ends_by(MEMORY),
    js(
        "promises that wait",
        "function f() { const a = []; for (;;) a.push(new Promise(() => {}).then(() => a)); }",
    )
    .default_limits()
    .ends_by(MEMORY),
    js(
        "generators that wait",
        "function f() { const a = []; for (;;) { const g = (function* () { yield new Array(100).fill(a); })(); g.next(); a.push(g); } }",
    )
    .default_limits()
    .ends_by(MEMORY),
    js("an array from a length", "function f() { return Array.from({ length: 1e8 }, () => ({})).length; }")
        .default_limits()
        .ends_by(MEMORY),
    js("a split text", "function f() { return 'x,'.repeat(2000000).split(',').length; }")
        .default_limits()
        .ends_by(MEMORY),
    js(
        "indentation",
        "function f() { let o = 1; for (let i = 0; i < 200; i++) o = [o, o]; return JSON.stringify(o, null, 10).length; }",
    )
    .default_limits()
    .ends_by(MEMORY),
    js(
        "an exception's message",
        "function f() { let s = 'x'; for (;;) { s += s; if (s.length > 1 << 21) throw new Error(s); } }",
    )
    .default_limits()
    .fails("38000", "xxx"),
    js("a result without an end", "function f() { return (function* () { for (;;) yield 'x'.repeat(1000); })(); }")
        .default_limits()
        .ends_by(MEMORY),
    rust("vectors in Rust", "grow").call("SELECT grow()").default_limits().ends_by(MEMORY),
    core(
        "memory.grow in a loop",
        "export f: func();",
        r#"(module (memory (export "memory") 1) (func (export "f") (loop (drop (memory.grow (i32.const 1))) (br 0))))"#,
    )
    .default_limits()
    .ends_by(MEMORY),
    core(
        "memory.grow by four gigabytes",
        "export f: func() -> s32;",
        r#"(module (memory (export "memory") 1) (func (export "f") (result i32) (memory.grow (i32.const 65535))))"#,
    )
    .default_limits()
    .ends_by(MEMORY),
    core(
        "a memory that begins too large",
        "export f: func();",
        r#"(module (memory (export "memory") 300) (func (export "f")))"#,
    )
    .default_limits()
    .ends_by(MEMORY),
    core(
        "a memory beyond every policy",
        "export f: func();",
        r#"(module (memory (export "memory") 2049) (func (export "f")))"#,
    )
    .not_created("22023", "does not fit"),
    core(
        "a table that grows",
        "export f: func();",
        r#"(module (table $t 1 funcref) (func (export "f")
             (loop (drop (table.grow $t (ref.null func) (i32.const 1000))) (br 0))))"#,
    )
    .default_limits()
    .ends_by(MEMORY),
    core(
        "a table of ten million",
        "export f: func();",
        r#"(module (table $t 10000000 funcref) (func (export "f")))"#,
    )
    .not_created("22023", "does not fit"),
    component(
        "four memories that are too much together",
        r#"(component
             (core module $m (memory 70))
             (core instance (instantiate $m)) (core instance (instantiate $m))
             (core instance (instantiate $m)) (core instance (instantiate $m))
             (core module $n (func (export "f")))
             (core instance $i (instantiate $n))
             (func (export "f") (canon lift (core func $i "f"))))"#,
    )
    .default_limits()
    .ends_by(MEMORY),
    core(
        "a loop over sixteen megabytes that stay within the limit",
        "export f: func();",
        r#"(module (memory (export "memory") 256) (func (export "f") (local i32)
             (loop (i32.store8 (local.get 0) (i32.const 1))
               (local.set 0 (i32.and (i32.add (local.get 0) (i32.const 4096)) (i32.const 16777215)))
               (br 0))))"#,
    )
    .ends_by(CPU_TIME),
    js("the memory of a policy of its own", "function f() { return new Uint8Array(1 << 26).fill(1).length; }")
        .limits("max_memory_bytes = 4194304")
        .ends_by(Limit {
            message: "memory limit of 4 MiB reached",
            ..MEMORY
        }),
];
