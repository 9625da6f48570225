//! Types that are small to write and large to read.

use super::{component, leb128, refuse, section};

/// A component with a type section of raw bytes.
fn with_types(content: &[u8]) -> Vec<u8> {
    [&b"\0asm\x0d\0\x01\0"[..], &section(7, content)].concat()
}

/// `depth` types, each a pair of the one before: 2^depth leaves. `functions` functions
/// take the last one.
fn pairs(depth: usize, functions: usize) -> Vec<u8> {
    let types: String = (1..=depth)
        .map(|i| format!("(type $t{i} (tuple $t{0} $t{0}))", i - 1))
        .collect();
    let lifts: String = (0..functions)
        .map(|i| format!("(export \"f{i}\" (func $f))"))
        .collect();
    component(&format!(
        "(core module $m
           (memory (export \"memory\") 1)
           (func (export \"f\") (param i32))
           (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) unreachable))
         (core instance $m (instantiate $m))
         (type $t0 (tuple u8 u8)) {types}
         (func $f (param \"x\" $t{depth})
           (canon lift (core func $m \"f\") (memory (core memory $m \"memory\"))
             (realloc (core func $m \"realloc\"))))
         {lifts}"
    ))
}

/// The parser calls itself for each level: without a bound, this ends the process.
#[test]
fn i5_types_in_types_in_types_are_refused() {
    let nested = |kind: u8, levels: usize| {
        let mut content = vec![1];
        for _ in 0..levels {
            content.extend([kind, 1, 1]);
        }
        content.extend([kind, 0]);
        with_types(&content)
    };
    for kind in [0x41, 0x42] {
        let deepest = perihelion::inspect(&nested(kind, 15));
        assert!(deepest.is_ok(), "{:?}", deepest.err());
        for levels in [16, 19_000, 300_000] {
            let error = refuse(&nested(kind, levels), "54000");
            assert_eq!(
                error.message(),
                "the component is refused: it has 17 levels of types; at most 16 are accepted"
            );
        }
        let error = refuse(&nested(kind, 1_000_000), "54000");
        assert!(
            error.message().contains("3000003 bytes of types"),
            "{error:?}"
        );
    }
}

#[test]
fn a_type_is_counted_wherever_it_is_used() {
    let most = perihelion::inspect(&pairs(12, 1)).unwrap();
    assert_eq!(most.functions().len(), 2);
    for (depth, functions) in [(15, 1), (8, 200), (10, 100)] {
        let error = refuse(&pairs(depth, functions), "54000");
        assert!(
            error.message().ends_with(
                "types in its imports and exports, written out; at most 50000 are accepted"
            ),
            "{error:?}"
        );
    }
    // So large that not even the parser counts to the end.
    let error = refuse(&pairs(60, 1), "22023");
    assert!(
        error.detail().unwrap().contains("effective type size"),
        "{error:?}"
    );
}

#[test]
fn an_interface_is_counted_wherever_it_is_imported() {
    let functions: String = (0..500)
        .map(|i| format!("(export \"f{i}\" (func (param \"a\" u8) (param \"b\" u8)))"))
        .collect();
    let with = |imports: usize| {
        let imports: String = (0..imports)
            .map(|i| format!("(import \"a:b/i{i}\" (instance (type $i)))"))
            .collect();
        component(&format!("(type $i (instance {functions})) {imports}"))
    };
    assert!(perihelion::inspect(&with(30)).is_ok());
    let error = perihelion::inspect(&with(40)).err().unwrap();
    assert_eq!(error.sqlstate().as_str(), "54000");
    // Half a million functions, were they written out.
    assert!(perihelion::inspect(&with(900)).is_err());
}

/// A chain of types that contain each other, and of aliases of a type.
#[test]
fn long_chains_are_no_deep_recursion() {
    let options: String = (1..15_000)
        .map(|i| format!("(type $t{i} (option $t{}))", i - 1))
        .collect();
    let error = refuse(
        &component(&format!("(type $t0 (option u8)) {options}")),
        "22023",
    );
    assert!(
        error.detail().unwrap().contains("nesting is too deep"),
        "{error:?}"
    );
    let aliases: String = (1..9_000)
        .map(|i| format!("(export $t{i} \"t{i}\" (type $t{}))", i - 1))
        .collect();
    let bytes = component(&format!(
        "(import \"a:b/c\" (instance (type $r (record (field \"x\" u8))) (export \"t0\" (type (eq $r)))))
         (alias export 0 \"t0\" (type $t0))
         {aliases}"
    ));
    // A world exports functions and interfaces.
    assert!(perihelion::inspect(&bytes).is_err());
}

/// Wrong counts take no memory.
#[test]
fn numbers_that_promise_more_than_there_is_are_refused() {
    let many = leb128(u32::MAX as usize);
    for content in [
        many.clone(),
        [&[1, 0x41][..], &many].concat(),
        [&[1, 0x42][..], &many].concat(),
        [&[1, 0x72][..], &many].concat(),
        [&[1, 0x40][..], &many].concat(),
        // A declaration that is none, a type that is none, an end in the middle.
        vec![1, 0x41, 1, 9],
        vec![1, 0x01],
        vec![1, 0x41, 1, 1],
    ] {
        let error = perihelion::inspect(&with_types(&content)).err().unwrap();
        assert_eq!(error.sqlstate().as_str(), "22023", "{error:?}");
    }
}
