//! Attacks by what is uploaded: refused before anything of it is kept or run.

use super::attack::{Attack, Guest, component, core, js};
use super::wat;
use crate::support::guest;

const fn bytes(name: &'static str, make: fn() -> Vec<u8>) -> Attack {
    Attack::new(name, Guest::Bytes(make))
}

pub(super) const ATTACKS: &[Attack] = &[
    bytes("i5_nothing", Vec::new).not_created("22023", "refused"),
    bytes("i5_a core module", || wat::component("(module (func (export \"f\")))")).not_created("22023", "core module"),
    bytes("i5_an ELF file", || b"\x7fELF\x02\x01\x01 and so on".to_vec()).not_created("22023", "compiled code"),
    bytes("h62_code that was compiled elsewhere", compiled_elsewhere).not_created("22023", "compiled code"),
    bytes("i5_half a component", || {
        let whole = std::fs::read(guest("hostile_guest")).unwrap();
        whole[..whole.len() / 2].to_vec()
    })
    .not_created("22023", "not valid"),
    bytes("i5_a component with a changed byte", || {
        let mut whole = std::fs::read(guest("hostile_guest")).unwrap();
        whole[12] ^= 0x55;
        whole
    })
    .not_created("22023", "not valid"),
    bytes("i5_more bytes than any component", || vec![0; 33 << 20]).not_created("54000", "bytes"),
    bytes("i5_a component that says it is long", || {
        b"\0asm\x0d\0\x01\0\x01\xff\xff\xff\xff\x0f".to_vec()
    })
    .not_created("22023", "not valid"),
    component(
        "h4_an import that nothing stands behind",
        r#"(component (import "evil:host/launch@1.0.0" (instance (export "go" (func))))
             (core module $m (func (export "f"))) (core instance $i (instantiate $m))
             (func (export "f") (canon lift (core func $i "f"))))"#,
    )
    .not_created("22023", "evil:host/launch@1.0.0"),
    component(
        "h4_the host's package in another version",
        r#"(component (import "heliosdb:host/log@9.0.0" (instance (export "write" (func))))
             (core module $m (func (export "f"))) (core instance $i (instantiate $m))
             (func (export "f") (canon lift (core func $i "f"))))"#,
    )
    .not_created("22023", "heliosdb:host/log@9.0.0"),
    component(
        "h4_the host's interface with another type",
        r#"(component (import "heliosdb:host/log@0.1.0" (instance (export "write" (func (param "level" u32)))))
             (core module $m (func (export "f"))) (core instance $i (instantiate $m))
             (func (export "f") (canon lift (core func $i "f"))))"#,
    )
    .not_created("22023", "does not fit"),
    component(
        "h4_the interface of the JavaScript engine",
        r#"(component (import "heliosdb:host/javascript@0.1.0" (instance (export "call" (func))))
             (core module $m (func (export "f"))) (core instance $i (instantiate $m))
             (func (export "f") (canon lift (core func $i "f"))))"#,
    )
    .not_created("22023", "heliosdb:host/javascript@0.1.0"),
    core("i5_shared memory", "export f: func();", r#"(module (memory (export "memory") 1 1 shared) (func (export "f")))"#)
        .not_created("22023", "threads"),
    core("i5_a memory of 64 bits", "export f: func();", r#"(module (memory i64 1) (func (export "f")))"#)
        .not_created("22023", "memory64"),
    bytes("h72_a hundred memories", hundred_memories).not_created("22023", "does not fit"),
    bytes("i5_a hundred instances", hundred_instances).not_created("22023", "does not fit"),
    component(
        "i5_texts that a component passes to itself",
        r#"(component
             (component $A
               (core module $m (memory (export "memory") 120)
                 (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
                 (func (export "take") (param i32 i32)))
               (core instance $i (instantiate $m))
               (alias core export $i "memory" (core memory $memory))
               (alias core export $i "realloc" (core func $realloc))
               (alias core export $i "take" (core func $take))
               (func (export "take") (param "s" string)
                 (canon lift (core func $take) (memory $memory) (realloc $realloc) string-encoding=utf16)))
             (component $B
               (import "take" (func $take (param "s" string)))
               (core module $memory (memory (export "memory") 50))
               (core instance $mi (instantiate $memory))
               (alias core export $mi "memory" (core memory $mem))
               (core func $take' (canon lower (func $take) (memory $mem)))
               (core module $m (import "" "take" (func $take (param i32 i32)))
                 (func (export "f") (loop (call $take (i32.const 0) (i32.const 3000000)) (br 0))))
               (core instance $i (instantiate $m (with "" (instance (export "take" (func $take'))))))
               (alias core export $i "f" (core func $f))
               (func (export "f") (canon lift (core func $f))))
             (instance $a (instantiate $A))
             (alias export $a "take" (func $take))
             (instance $b (instantiate $B (with "take" (func $take))))
             (alias export $b "f" (func $f))
             (export "f" (func $f)))"#,
    )
    .not_created("22023", "cannot be compiled"),
    bytes("i5_components within components", nested_components).not_created("54000", "levels"),
    bytes("i5_types that double", doubling_types).not_created("22023", "not valid"),
    Attack::new("i5_a source of parentheses", Guest::Source(|| format!("function f() {{ return {}1{}; }}", "(".repeat(200_000), ")".repeat(200_000))))
        .not_created("22023", "within the limits"),
    Attack::new("i5_a source of functions within functions", Guest::Source(|| format!("function f() {{ {} }}", "(function(){".repeat(50_000))))
        .not_created("22023", "within the limits"),
    Attack::new("i5_a source of one long expression", Guest::Source(|| format!("function f() {{ return {}1; }}", "a+".repeat(300_000))))
        .fails("38000", "a is not defined"),
    Attack::new("i5_a source of labels", Guest::Source(|| format!("function f() {{ {} return 1; }}", (0..20_000).map(|i| format!("l{i}:")).collect::<String>())))
        .not_created("42601", "does not compile"),
    Attack::new("i5_a source that is too long", Guest::Source(|| format!("function f() {{}} //{}", "x".repeat(5 << 20))))
        .not_created("54000", "bytes"),
    js("i5_a source without a function", "const g = 1;").not_created("42601", "f"),
    js("i5_a source that ends in the middle", "function f() { return `${").not_created("42601", "does not compile"),
];

/// As this host would keep it: machine code is no upload.
fn compiled_elsewhere() -> Vec<u8> {
    let engine = wasmtime::Engine::default();
    let text =
        "(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m))
                  (func (export \"f\") (canon lift (core func $i \"f\"))))";
    engine.precompile_component(&wat::component(text)).unwrap()
}

fn hundred_memories() -> Vec<u8> {
    wat::component(&format!(
        "(component (core module $m (memory 1)) {}
           (core module $n (func (export \"f\"))) (core instance $i (instantiate $n))
           (func (export \"f\") (canon lift (core func $i \"f\"))))",
        "(core instance (instantiate $m))".repeat(100)
    ))
}

fn hundred_instances() -> Vec<u8> {
    wat::component(&format!(
        "(component (core module $m (func (export \"f\"))) {} (core instance $i (instantiate $m))
           (func (export \"f\") (canon lift (core func $i \"f\"))))",
        "(core instance (instantiate $m))".repeat(100)
    ))
}

fn nested_components() -> Vec<u8> {
    const HEAD: &[u8] = b"\0asm\x0d\0\x01\0";
    (0..2_000).fold(HEAD.to_vec(), |inner, _| {
        // A section of one component, with its length in five bytes.
        let length = (0..5).map(|i| (inner.len() >> (7 * i)) as u8 & 0x7f | u8::from(i < 4) << 7);
        let head = HEAD.iter().copied().chain([4]).chain(length);
        head.chain(inner.iter().copied()).collect()
    })
}

/// A few bytes of types that would be 2^60 fields, were they written out.
fn doubling_types() -> Vec<u8> {
    let types: String = (1..60)
        .map(|n| format!("(type $t{n} (tuple $t{0} $t{0}))", n - 1))
        .collect();
    wat::component(&format!(
        "(component (type $t0 (tuple u8 u8)) {types}
           (core module $m (func (export \"f\") (result i32) i32.const 0) (memory (export \"memory\") 1))
           (core instance $i (instantiate $m))
           (func (export \"f\") (result $t59) (canon lift (core func $i \"f\") (memory (core memory $i \"memory\")))))"
    ))
}
