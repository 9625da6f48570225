//! Attacks on the stack: recursion of every kind that a guest has.

use super::attack::{Attack, CPU_TIME, MEMORY, STACK, component, core, js, rust};

pub(super) const ATTACKS: &[Attack] = &[
    js("h6_infinite_recursion", "function f() { return f() + 1; }").ends_by(STACK),
    js("h6_two functions that call each other", "function f() { return g() + 1; } function g() { return f() + 1; }")
        .ends_by(STACK),
    js("h6_recursion through toJSON", "function f() { const o = { toJSON() { return JSON.stringify(o); } }; return o; }")
        .ends_by(STACK),
    js("h6_recursion through a proxy", "function f() { const p = new Proxy({}, { get: (t, k) => p[k] + 1 }); return p.x; }")
        .ends_by(STACK),
    js(
        "h6_a chain of proxies",
        "function f() { let p = {}; for (let i = 0; i < 50000; i++) p = new Proxy(p, {}); return p.x; }",
    )
    .ends_by(STACK),
    js("h6_recursion through a getter", "function f() { const o = { get a() { return o.a + 1; } }; return o; }")
        .ends_by(STACK),
    js("h6_recursion through valueOf", "function f() { const o = { valueOf() { return o + 1; } }; return +o; }")
        .ends_by(STACK),
    js("h6_recursion through sort", "function f() { return [2, 1].sort(() => f()); }").ends_by(STACK),
    js("h6_recursion through replace", "function f() { return 'aa'.replace(/a/g, f); }").ends_by(STACK),
    js("h6_recursion through an iterator", "function f() { return [...{ [Symbol.iterator]: f }]; }").ends_by(STACK),
    // Where the stack ends in the parser, that calls the text wrong: then it goes on without.
    js(
        "h6_recursion through eval",
        "function f() {
             const g = (h) => {
                 try { return h.constructor('h', 'return h(h)')(h); }
                 catch (e) { if (e instanceof SyntaxError) return h(h); throw e; }
             };
             return g(g);
         }",
    )
        .ends_by(STACK),
    js("h6_recursion through classes", "function f() { class A { constructor() { new A().x; } } return new A(); }")
        .ends_by(STACK),
    js("h6_generators within generators", "function* f() { yield* f(); }").ends_by(STACK),
    js("h6_a result that is nested deeply", "function f() { let a = []; for (let i = 0; i < 100000; i++) a = [a]; return a; }")
        .ends_by(STACK),
    js("h6_a document that is nested deeply", "function f() { return JSON.parse('['.repeat(100000) + ']'.repeat(100000)); }")
        .ends_by(STACK),
    js("h6_arrays within themselves", "function f() { const a = []; a.push(a, [a]); return a.flat(Infinity).length; }")
        .ends_by(STACK),
    js("h6_a regular expression that is nested deeply", "function f() { return new RegExp('(?:'.repeat(30000) + ')'.repeat(30000)).test('x'); }")
        .fails("38000", "stack overflow"),
    js("h6_a bound function of bound functions", "function f() { let g = () => 1; for (let i = 0; i < 60000; i++) g = g.bind(null); return g(); }")
        .ends_by(MEMORY),
    js("h6_a parameter that is nested deeply", "function f() { let a = []; for (let i = 0; i < 100000; i++) a = [a]; heliosdb.query('SELECT ?', [a]); }")
        .ends_by(STACK),
    // The engine says so before its stack is full, by an exception like any other: whoever
    // catches it has not gone beyond.
    js("h6_a recursion that turns back before the end", "function f() { try { return f(); } catch { return 'turned back'; } }")
        .gives("\"turned back\""),
    js("h6_an exception from the end of the stack", "function f() { try { return f() + 1; } finally { null.x; } }")
        .fails("38000", "TypeError"),
    js("h6_an end of the stack that is met again and again", "function f() { try { f(); } catch {} f(); }")
        .ends_by(CPU_TIME),
    rust("h6_recursion in Rust", "recurse").call("SELECT recurse()").ends_by(STACK),
    // Its frames lie in its own memory, which ends first.
    rust("h6_recursion in a guest's memory", "recurse_in_memory")
        .call("SELECT recurse_in_memory()")
        .fails("38000", "out of bounds memory access"),
    core(
        "h6_recursion in WebAssembly",
        "export f: func() -> s64;",
        r#"(module (func $g (param i64) (result i64) (i64.add (call $g (i64.add (local.get 0) (i64.const 1))) (local.get 0)))
             (func (export "f") (result i64) (call $g (i64.const 0))))"#,
    )
    .ends_by(STACK),
    core(
        "h6_recursion through a table",
        "export f: func();",
        r#"(module (table 2 funcref) (elem (i32.const 0) $g $h) (type $t (func))
             (func $g (call_indirect (type $t) (i32.const 1)) (call_indirect (type $t) (i32.const 1)))
             (func $h (call_indirect (type $t) (i32.const 0)) (call_indirect (type $t) (i32.const 0)))
             (func (export "f") (call $g)))"#,
    )
    .ends_by(STACK),
    core(
        "h6_recursion in the start function",
        "export f: func();",
        r#"(module (func $s (call $s) (call $s)) (start $s) (func (export "f")))"#,
    )
    .ends_by(STACK),
    core(
        "h6_recursion in cabi_realloc",
        "export f: func(a: string);",
        r#"(module (memory (export "memory") 1)
             (func $r (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
               (i32.add (call $r (local.get 0) (local.get 1) (local.get 2) (local.get 3)) (i32.const 1)))
             (func (export "f") (param i32 i32)))"#,
    )
    .call("SELECT f('x')")
    .ends_by(STACK),
    component(
        "h6_frames of a thousand values",
        r#"(component
             (core module $m
               (func $g (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64)
                 (i64.add (local.get 0) (i64.add (local.get 15)
                   (call $g (local.get 15) (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
                     (local.get 5) (local.get 6) (local.get 7) (local.get 8) (local.get 9) (local.get 10)
                     (local.get 11) (local.get 12) (local.get 13) (local.get 14)))))
               (func (export "f") (drop (call $g (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
                 (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8) (i64.const 9) (i64.const 10)
                 (i64.const 11) (i64.const 12) (i64.const 13) (i64.const 14) (i64.const 15) (i64.const 16)))))
             (core instance $i (instantiate $m))
             (func (export "f") (canon lift (core func $i "f"))))"#,
    )
    .ends_by(STACK),
];
