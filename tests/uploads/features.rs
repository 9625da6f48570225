//! Proposals that the engine has switched off are refused at the upload, by name. What
//! begins when a component is instantiated is the call's, and ends with its limits.

use super::{component, refuse, upload};
use crate::support::session;

#[test]
fn i5_what_the_engine_does_not_run_is_refused_by_name() {
    for (more, feature) in [
        ("(core module (memory i64 1))", "memory64"),
        ("(core module (memory 1 2 shared))", "threads"),
        ("(core module (type (struct (field i32))))", "gc"),
        (
            "(core module (type (func (param (ref func)))))",
            "function-references",
        ),
        ("(core module (tag))", "exceptions"),
        (
            "(core module (type $f (func)) (type (cont $f)))",
            "stack-switching",
        ),
        ("(core module (memory 1 (pagesize 1)))", "custom-page-sizes"),
        ("(type (func async))", "cm-async"),
        ("(type (stream u8))", "cm-async"),
        ("(type (list u8 4))", "cm-fixed-length-lists"),
        // In the code of a function, which its compiler validates.
        ("(core module (func atomic.fence))", "threads"),
        (
            "(core module (func (param i32) (drop (ref.i31 (local.get 0)))))",
            "gc",
        ),
        (
            "(core module (func (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)) drop drop))",
            "wide-arithmetic",
        ),
    ] {
        let error = refuse(&component(more), "22023");
        let expected = format!(
            "the component is refused: it needs \"{feature}\", which this host does not run"
        );
        assert_eq!(error.message(), expected, "{more}: {error:?}");
    }
}

#[test]
fn several_memories_of_one_module_are_refused() {
    let error = refuse(&component("(core module (memory 1) (memory 1))"), "22023");
    assert!(
        error.detail().unwrap().contains("multiple memories"),
        "{error:?}"
    );
}

#[test]
fn what_the_engine_runs_is_accepted() {
    for more in [
        "(core module (func (result i32 i32) i32.const 1 i32.const 2))",
        "(core module (func return_call 0))",
        "(core module (func (result v128) v128.const i64x2 1 2))",
        "(core module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 8))))",
        "(core module (table 1 externref) (func (drop (ref.null extern))))",
        "(core module (global i32 (i32.add (i32.const 1) (i32.const 2))))",
        "(core module (func (param v128) (result v128)
           (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))",
    ] {
        let mut session = session();
        upload(&mut session, "nop", &component(more)).unwrap_or_else(|e| panic!("{more}: {e:?}"));
        session
            .call("nop", &[])
            .unwrap_or_else(|e| panic!("{more}: {e:?}"));
    }
}

#[test]
fn code_that_is_not_valid_is_refused_when_it_is_compiled() {
    // A body that ends without the value that it owes; wat writes what it is told to.
    let bytes = component("(core module (func (result i32)))");
    assert!(perihelion::inspect(&bytes).is_ok());
    let error = refuse(&bytes, "22023");
    assert_eq!(error.message(), "the component is refused: it is not valid");
}

/// What begins with an instance, before any call, is under the call's limits.
#[test]
fn i5_a_start_function_is_under_the_limits_of_the_call() {
    let start = |module: &str| {
        component(&format!(
            "(core module $s {module}) (core instance (instantiate $s))"
        ))
    };
    for (module, sqlstate, what) in [
        (
            "(func $s (loop (br 0))) (start $s)",
            "57014",
            "instruction limit",
        ),
        ("(func $s (call $s)) (start $s)", "54001", "stack limit"),
        ("(func $s unreachable) (start $s)", "38000", "unreachable"),
        ("(memory 300)", "53200", "memory limit of 16 MiB"),
        (
            "(memory 1) (func $s (loop (drop (memory.grow (i32.const 1))) (br 0))) (start $s)",
            "53200",
            "memory limit of 16 MiB",
        ),
    ] {
        let mut session = session();
        upload(&mut session, "nop", &start(module)).unwrap();
        let error = session.call("nop", &[]).unwrap_err();
        assert_eq!(error.sqlstate().as_str(), sqlstate, "{module}: {error:?}");
        assert!(error.message().contains(what), "{module}: {error:?}");
    }
}
