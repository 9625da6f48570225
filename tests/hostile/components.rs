//! Components that break the rules of the component model: pointers, lengths, texts
//! and cases that are none, handles without number.

use super::attack::{Attack, Limit, component, core, rust};

/// A world that sends a query, and one that returns a text.
const QUERY: &str = "import heliosdb:host/database-read@0.1.0; export f: func();";
const TEXT: &str = "export f: func() -> string;";

/// More than one host call may carry.
const HOST_CALL: Limit = Limit {
    sqlstate: "53200",
    message: "host call limit of 32 MiB reached",
    resource: "host call",
};

/// More than one call may hold.
const HANDLES: Limit = Limit {
    sqlstate: "53400",
    message: "component handle limit of 1,000 handles reached",
    resource: "component handle",
};

pub(super) const ATTACKS: &[Attack] = &[
    core(
        "h61_a read out of bounds",
        "export f: func() -> s32;",
        r#"(module (memory (export "memory") 1) (func (export "f") (result i32) (i32.load (i32.const 65536))))"#,
    )
    .fails("38000", "out of bounds memory access"),
    core(
        "h61_a write out of bounds",
        "export f: func();",
        r#"(module (memory (export "memory") 1) (func (export "f") (i64.store offset=4294967295 (i32.const -1) (i64.const 7))))"#,
    )
    .fails("38000", "out of bounds memory access"),
    core(
        "h61_a table read out of bounds",
        "export f: func();",
        r#"(module (table 1 funcref) (type $t (func)) (func (export "f") (call_indirect (type $t) (i32.const 7))))"#,
    )
    .fails("38000", "undefined element"),
    core(
        "h61_a function called by another type",
        "export f: func();",
        r#"(module (table 1 funcref) (elem (i32.const 0) $g) (type $t (func (param i64)))
             (func $g (param f32)) (func (export "f") (call_indirect (type $t) (i64.const 7) (i32.const 0))))"#,
    )
    .fails("38000", "indirect call type mismatch"),
    rust("h61_a pointer beyond the memory", "read_beyond")
        .call("SELECT read_beyond()")
        .fails("38000", "out of bounds memory access"),
    rust("h61_use after free harms itself only", "use_after_free")
        .call("SELECT use_after_free()")
        .gives("1"),
    rust("h61_freeing twice", "free_twice").call("SELECT free_twice()").fails("38000", "free_twice"),
    core(
        "a SQL text of four gigabytes",
        QUERY,
        r#"(module (import "heliosdb:host/database-read@0.1.0" "query" (func $query (param i32 i32 i32 i32 i32)))
             (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
             (func (export "f") (call $query (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 0) (i32.const 0))))"#,
    )
    .fails("38000", "out of bounds"),
    core(
        "parameters whose bytes do not fit into 32 bits",
        QUERY,
        r#"(module (import "heliosdb:host/database-read@0.1.0" "query" (func $query (param i32 i32 i32 i32 i32)))
             (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
             (func (export "f") (call $query (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0x10000001) (i32.const 0))))"#,
    )
    .fails("38000", "out of bounds"),
    core(
        "parameters that are not aligned",
        QUERY,
        r#"(module (import "heliosdb:host/database-read@0.1.0" "query" (func $query (param i32 i32 i32 i32 i32)))
             (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
             (func (export "f") (call $query (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 0))))"#,
    )
    .fails("38000", "not aligned"),
    core(
        "a result that is to be written out of bounds",
        QUERY,
        r#"(module (import "heliosdb:host/database-read@0.1.0" "query" (func $query (param i32 i32 i32 i32 i32)))
             (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
             (func (export "f") (call $query (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 65536))))"#,
    )
    .fails("38000", "out of bounds"),
    core(
        "memory from cabi_realloc that is out of bounds",
        QUERY,
        r#"(module (import "heliosdb:host/database-read@0.1.0" "query" (func $query (param i32 i32 i32 i32 i32)))
             (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const -8)
             (func (export "f") (call $query (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))"#,
    )
    .fails("38000", "beyond end of memory"),
    core(
        "a parameter of a case that does not exist",
        QUERY,
        r#"(module (import "heliosdb:host/database-read@0.1.0" "query" (func $query (param i32 i32 i32 i32 i32)))
             (memory (export "memory") 1)
             (data (i32.const 64) "\c8")
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
             (func (export "f") (call $query (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 0))))"#,
    )
    .fails("38000", "discriminant"),
    core(
        "a SQL text that is not UTF-8",
        QUERY,
        r#"(module (import "heliosdb:host/database-read@0.1.0" "query" (func $query (param i32 i32 i32 i32 i32)))
             (memory (export "memory") 1)
             (data (i32.const 64) "\c3\28\ff\fe")
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
             (func (export "f") (call $query (i32.const 64) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0))))"#,
    )
    .fails("38000", "utf-8"),
    core(
        "a level of log that does not exist",
        "import heliosdb:host/log@0.1.0; export f: func();",
        r#"(module (import "heliosdb:host/log@0.1.0" "write" (func $write (param i32 i32 i32)))
             (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
             (func (export "f") (call $write (i32.const 99) (i32.const 0) (i32.const 0))))"#,
    )
    .fails("38000", "discriminant"),
    core(
        "four million parameters",
        QUERY,
        r#"(module (import "heliosdb:host/database-read@0.1.0" "query" (func $query (param i32 i32 i32 i32 i32)))
             (memory (export "memory") 1100)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
             (func (export "f") (call $query (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 4000000) (i32.const 0))))"#,
    )
    .limits("max_memory_bytes = 134217728")
    .ends_by(HOST_CALL),
    core(
        "a result whose text is out of bounds",
        TEXT,
        r#"(module (memory (export "memory") 1)
             (func (export "f") (result i32)
               (i32.store (i32.const 0) (i32.const 65530)) (i32.store (i32.const 4) (i32.const 100)) i32.const 0))"#,
    )
    .fails("38000", "out of bounds"),
    core(
        "a result at no address",
        TEXT,
        r#"(module (memory (export "memory") 1) (func (export "f") (result i32) i32.const -4))"#,
    )
    .fails("38000", "out of bounds"),
    core(
        "a result that is not UTF-8",
        TEXT,
        r#"(module (memory (export "memory") 1) (data (i32.const 8) "\ff\ff")
             (func (export "f") (result i32)
               (i32.store (i32.const 0) (i32.const 8)) (i32.store (i32.const 4) (i32.const 2)) i32.const 0))"#,
    )
    .fails("38000", "utf-8"),
    core(
        "a result that is half a character",
        "export f: func() -> char;",
        r#"(module (func (export "f") (result i32) i32.const 0xD800))"#,
    )
    .fails("38000", "char"),
    core(
        "a result of a case that does not exist",
        "enum e { a, b } export f: func() -> e;",
        r#"(module (func (export "f") (result i32) i32.const 7))"#,
    )
    .fails("38000", "discriminant"),
    core(
        "a result that is a NaN",
        "export f: func() -> f64;",
        r#"(module (func (export "f") (result f64) f64.const nan:0xfffffffffffff))"#,
    )
    .gives("NULL"),
    core(
        "bytes that grow in the host",
        "export f: func() -> list<u8>;",
        r#"(module (memory (export "memory") 200)
             (func (export "f") (result i32)
               (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 13000000)) i32.const 0))"#,
    )
    .ends_by(HOST_CALL),
    core(
        "records that grow in the host",
        "record r { a-long-name-of-a-member: u8 } export f: func() -> list<r>;",
        r#"(module (memory (export "memory") 32)
             (func (export "f") (result i32)
               (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 1200000)) i32.const 0))"#,
    )
    .ends_by(HOST_CALL),
    core(
        "arguments that grow in the guest",
        "export f: func(a: list<string>);",
        r#"(module (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0x7ffffff0)
             (func (export "f") (param i32 i32)))"#,
    )
    .call("SELECT f('[\"a\", \"b\"]')")
    .fails("38000", "beyond end of memory"),
    component(
        "h63_a hundred thousand handles",
        r#"(component
             (type $r (resource (rep i32)))
             (core func $new (canon resource.new $r))
             (core module $m (import "" "new" (func $new (param i32) (result i32)))
               (func (export "f") (local i32)
                 (loop (drop (call $new (local.get 0)))
                   (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                   (br_if 0 (i32.lt_u (local.get 0) (i32.const 100000))))))
             (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
             (func (export "f") (canon lift (core func $i "f"))))"#,
    )
    .ends_by(HANDLES),
    component(
        "a handle that is dropped twice",
        r#"(component
             (type $r (resource (rep i32)))
             (core func $new (canon resource.new $r))
             (core func $drop (canon resource.drop $r))
             (core module $m (import "" "new" (func $new (param i32) (result i32))) (import "" "drop" (func $drop (param i32)))
               (func (export "f") (local i32)
                 (local.set 0 (call $new (i32.const 7)))
                 (call $drop (local.get 0)) (call $drop (local.get 0))))
             (core instance $i (instantiate $m (with "" (instance (export "new" (func $new)) (export "drop" (func $drop))))))
             (func (export "f") (canon lift (core func $i "f"))))"#,
    )
    .fails("38000", "handle"),
    core(
        "a trap",
        "export f: func();",
        r#"(module (func (export "f") unreachable))"#,
    )
    .fails("38000", "unreachable"),
    core(
        "a division by zero",
        "export f: func() -> s32;",
        r#"(module (func (export "f") (result i32) (i32.div_s (i32.const 1) (i32.const 0))))"#,
    )
    .fails("38000", "divide by zero"),
    rust("a panic", "panic_now").call("SELECT panic_now()").fails("38000", "panic: "),
    core(
        "a trap in the start function",
        "export f: func();",
        r#"(module (func $s unreachable) (start $s) (func (export "f")))"#,
    )
    .fails("38000", "unreachable"),
    core(
        "a call of the host from cabi_realloc",
        "import heliosdb:host/log@0.1.0; export f: func(a: string);",
        r#"(module (import "heliosdb:host/log@0.1.0" "write" (func $write (param i32 i32 i32)))
             (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
               (call $write (i32.const 1) (i32.const 0) (i32.const 5)) i32.const 0)
             (func (export "f") (param i32 i32)))"#,
    )
    .call("SELECT f('x')")
    .fails("38000", "cannot leave"),
];
