//! Every bound of an upload: what has just as much is looked into, what has one more is
//! refused, by name and number.

use super::{component, leb128, refuse, section};

/// A bound, its value, how many of it every component of these tests has, and what has
/// `n` more of it.
struct Bound {
    what: &'static str,
    max: usize,
    base: usize,
    with: fn(usize) -> Vec<u8>,
}

/// `one` for each number, in a core module of its own.
fn module(head: &str, n: usize, one: impl Fn(usize) -> String) -> Vec<u8> {
    let many: String = (0..n).map(one).collect();
    component(&format!("(core module {head} {many})"))
}

fn repeat(n: usize, one: impl Fn(usize) -> String) -> Vec<u8> {
    component(&(0..n).map(one).collect::<String>())
}

/// An instance with a function, for what needs one.
const INSTANCE: &str = "(core module $e (func (export \"f\"))) (core instance $e (instantiate $e))";

const BOUNDS: [Bound; 19] = [
    Bound {
        what: "core modules",
        max: 32,
        base: 1,
        with: |n| repeat(n, |_| "(core module)".into()),
    },
    Bound {
        what: "nested components",
        max: 64,
        base: 0,
        with: |n| repeat(n, |_| "(component)".into()),
    },
    Bound {
        what: "levels of components",
        max: 16,
        base: 1,
        with: |n| component(&format!("{}{}", "(component ".repeat(n), ")".repeat(n))),
    },
    Bound {
        what: "instances",
        max: 256,
        base: 1,
        with: |n| repeat(n, |_| "(core instance)".into()),
    },
    Bound {
        what: "arguments of instances",
        max: 20_000,
        base: 0,
        with: |n| {
            let exports: String = (0..n)
                .map(|i| format!("(export \"{i}\" (func $f))"))
                .collect();
            component(&format!(
                "{INSTANCE} (alias core export $e \"f\" (core func $f)) (core instance {exports})"
            ))
        },
    },
    Bound {
        what: "functions",
        max: 100_000,
        base: 1,
        with: |n| module("", n, |_| "(func)".into()),
    },
    Bound {
        what: "bytes of code in one function",
        max: 1 << 20,
        // Its locals and its end.
        base: 2,
        with: |n| component(&format!("(core module (func {}))", "nop ".repeat(n))),
    },
    Bound {
        what: "locals in one function",
        max: 20_000,
        base: 0,
        with: |n| component(&format!("(core module (func {}))", "(local i32)".repeat(n))),
    },
    Bound {
        what: "types",
        max: 20_000,
        base: 2,
        with: |n| module("", n, |_| "(type (func))".into()),
    },
    Bound {
        what: "imports",
        max: 10_000,
        base: 0,
        with: |n| module("", n, |i| format!("(import \"m\" \"{i}\" (func))")),
    },
    Bound {
        what: "exports",
        max: 20_000,
        base: 2,
        with: |n| module("(func $f)", n, |i| format!("(export \"{i}\" (func $f))")),
    },
    Bound {
        what: "aliases",
        max: 20_000,
        base: 1,
        with: |n| {
            let aliases = "(alias core export $e \"f\" (core func))".repeat(n);
            component(&format!("{INSTANCE} {aliases}"))
        },
    },
    Bound {
        what: "canonical functions",
        max: 10_000,
        base: 1,
        with: |n| {
            let drops = "(core func (canon resource.drop $r))".repeat(n);
            component(&format!("(type $r (resource (rep i32))) {drops}"))
        },
    },
    Bound {
        what: "memories",
        max: 8,
        base: 0,
        with: |n| repeat(n, |_| "(core module (memory 0))".into()),
    },
    Bound {
        what: "tables",
        max: 16,
        base: 0,
        with: |n| module("", n, |_| "(table 0 funcref)".into()),
    },
    Bound {
        what: "globals",
        max: 20_000,
        base: 0,
        with: |n| module("", n, |_| "(global i32 (i32.const 0))".into()),
    },
    Bound {
        what: "data segments",
        max: 50_000,
        base: 0,
        with: |n| module("(memory 0)", n, |_| "(data \"\")".into()),
    },
    Bound {
        what: "element segments",
        max: 5_000,
        base: 0,
        with: |n| module("", n, |_| "(elem func)".into()),
    },
    Bound {
        what: "elements",
        max: 100_000,
        base: 0,
        with: |n| {
            component(&format!(
                "(core module (func $f) (elem func {}))",
                "$f ".repeat(n)
            ))
        },
    },
];

#[test]
fn i5_an_upload_has_bounds() {
    for Bound {
        what,
        max,
        base,
        with,
    } in BOUNDS
    {
        let most = perihelion::inspect(&with(max - base));
        assert!(most.is_ok(), "{max} {what}: {:?}", most.err());
        let error = perihelion::inspect(&with(max - base + 1)).err().unwrap();
        assert_eq!(error.sqlstate().as_str(), "54000", "{error:?}");
        let expected = format!(
            "the component is refused: it has {} {what}; at most {max} are accepted",
            max + 1
        );
        assert_eq!(error.message(), expected);
    }
}

#[test]
fn what_is_beyond_a_bound_cannot_be_created() {
    let hundred = "(core module (memory 0))".repeat(100);
    let error = refuse(&component(&hundred), "54000");
    assert!(error.message().contains("9 memories"), "{error:?}");
    let tables = component(&format!(
        "(core module {})",
        "(table 0 funcref)".repeat(100)
    ));
    let error = refuse(&tables, "54000");
    assert!(error.message().contains("100 tables"), "{error:?}");
}

/// What a component says of itself in custom sections, and how long its names are.
#[test]
fn descriptions_have_bounds() {
    let with_section = |name: &str, bytes: usize| {
        let content = [&leb128(name.len())[..], name.as_bytes(), &vec![b' '; bytes]].concat();
        [component(""), section(0, &content)].concat()
    };
    let sections = |n: usize| {
        let mut bytes = component("");
        for _ in 0..n {
            bytes.extend(section(0, b"\x01x"));
        }
        bytes
    };
    let name = |length: usize| {
        component(&format!(
            "(type $t (func)) (import \"{}\" (func (type $t)))",
            "a".repeat(length)
        ))
    };
    check(&sections(1_000), None);
    check(&sections(1_001), Some("1001 custom sections"));
    check(&name(1_024), None);
    check(&name(1_025), Some("1025 bytes in one name"));
    check(&with_section("package-doc", (1 << 20) + 1), None);
    check(
        &with_section("package-docs", (1 << 20) + 1),
        Some("1048577 bytes of documentation"),
    );
}

#[track_caller]
fn check(bytes: &[u8], refused: Option<&str>) {
    match (perihelion::inspect(bytes), refused) {
        (Ok(_), None) => {}
        (Err(error), Some(why)) => {
            assert_eq!(error.sqlstate().as_str(), "54000", "{error:?}");
            assert!(error.message().contains(why), "{error:?}");
        }
        (result, refused) => panic!("{refused:?}: {:?}", result.err()),
    }
}

/// The pool's bounds are those of what is made, and no instance is needed to see them.
#[test]
fn what_the_pool_has_no_room_for_is_refused() {
    let instances = |n: usize| {
        format!(
            "(core module $m {}) {}",
            "(memory 0)",
            "(core instance (instantiate $m))".repeat(n)
        )
    };
    for (more, what) in [
        (
            "(core module $m (memory 2049)) (core instance (instantiate $m))".to_string(),
            "memory",
        ),
        (
            "(core module $m (table 20001 funcref)) (core instance (instantiate $m))".to_string(),
            "table",
        ),
        (instances(5), "memories"),
    ] {
        let error = refuse(&component(&more), "22023");
        let detail = error.detail().unwrap_or_default();
        assert!(detail.contains(what), "{error:?}");
    }
}
