//! System calls: which pass, what becomes of the others, and what they count.

mod disabling;
mod filter;
mod violations;

use crate::support::{refuse, run};
use perihelion::{Session, Value};

/// A WASI import that a component calls once, with the body of its call: the export `go`
/// returns what it leaves.
pub(crate) struct Import {
    interface: &'static str,
    function: &'static str,
    /// The interface's types, and the function's.
    types: &'static str,
    ty: &'static str,
    /// The function's type once it is lowered.
    core: &'static str,
    call: &'static str,
}

pub(crate) const CLOCK: Import = Import {
    interface: "wasi:clocks/monotonic-clock@0.2.0",
    function: "now",
    types: "",
    ty: "(func (result u64))",
    core: "(result i64)",
    call: "(call $f)",
};

const RANDOM: Import = Import {
    interface: "wasi:random/random@0.2.0",
    function: "get-random-u64",
    ..CLOCK
};

const RESOLUTION: Import = Import {
    function: "resolution",
    ..CLOCK
};

const EXIT: Import = Import {
    interface: "wasi:cli/exit@0.2.0",
    function: "exit",
    types: "",
    ty: "(func (param \"status\" (result)))",
    core: "(param i32)",
    call: "(call $f (i32.const 1)) (i64.const 0)",
};

/// Returns the length of the list.
const ENVIRONMENT: Import = Import {
    interface: "wasi:cli/environment@0.2.0",
    function: "get-environment",
    types: "",
    ty: "(func (result (list (tuple string string))))",
    core: "(param i32)",
    call: "(call $f (i32.const 16)) (i64.load32_u (i32.const 20))",
};

pub(crate) const ARGUMENTS: Import = Import {
    function: "get-arguments",
    ty: "(func (result (list string)))",
    ..ENVIRONMENT
};

/// How a guest of WASI 0.2 begins to open a file.
pub(crate) const OPEN: Import = Import {
    interface: "wasi:filesystem/preopens@0.2.0",
    function: "get-directories",
    types: "(export \"descriptor\" (type $d (sub resource)))",
    ty: "(func (result (list (tuple (own $d) string))))",
    ..ENVIRONMENT
};

/// Returns 100 and the error's number: it can be told.
const CONNECT: Import = Import {
    interface: "wasi:sockets/tcp-create-socket@0.2.0",
    function: "create-tcp-socket",
    types: "(type $e (enum \"unknown\" \"access-denied\" \"not-supported\"))
            (export \"error-code\" (type $code (eq $e)))",
    ty: "(func (result (result u32 (error $code))))",
    core: "(param i32)",
    call: "(call $f (i32.const 16))
           (i64.add (i64.mul (i64.const 100) (i64.load8_u (i32.const 16)))
                    (i64.load8_u (i32.const 20)))",
};

/// A component that calls the import once, or as often as `times` says.
pub(crate) fn calling(name: &str, import: &Import, times: u32) -> String {
    let Import {
        interface,
        function,
        types,
        ty,
        core,
        call,
    } = import;
    let call = format!(
        "(local $result i64)
         (local $n i32)
         (loop $again
           (local.set $result {call})
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $n) (i32.const {times}))))
         (local.get $result)"
    );
    format!(
        "(component
           (import \"{interface}\" (instance $i {types} (export \"{function}\" {ty})))
           (core module $memory
             (memory (export \"memory\") 1)
             (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
           (core instance $memory (instantiate $memory))
           (core func $f (canon lower (func $i \"{function}\")
             (memory (core memory $memory \"memory\")) (realloc (core func $memory \"realloc\"))))
           (core module $m
             (import \"i\" \"f\" (func $f {core}))
             (import \"i\" \"memory\" (memory 1))
             (func (export \"go\") (result i64) {call}))
           (core instance $m (instantiate $m (with \"i\" (instance
             (export \"f\" (func $f)) (export \"memory\" (memory $memory \"memory\"))))))
           (func (export \"{}\") (result s64) (canon lift (core func $m \"go\"))))",
        name.replace('_', "-")
    )
}

/// `wait(ns)` blocks on a timer and returns 1; `first_of(a, b)` polls two and returns
/// the sum of 10 to the power of the place of each that is ready.
pub(crate) const WAITING: &str = r#"
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))
    (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "pollable" (type $p (eq $pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $memory (instantiate $memory))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $poll-them (canon lower (func $poll "poll")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $drop (canon resource.drop $pollable))
  (core module $m
    (import "i" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "i" "block" (func $block (param i32)))
    (import "i" "poll" (func $poll (param i32 i32 i32)))
    (import "i" "drop" (func $drop (param i32)))
    (import "i" "memory" (memory 1))
    (func (export "wait") (param $ns i64) (result i64)
      (local $timer i32)
      (local.set $timer (call $subscribe (local.get $ns)))
      (call $block (local.get $timer))
      (call $drop (local.get $timer))
      (i64.const 1))
    (func (export "first-of") (param $a i64) (param $b i64) (result i64)
      (local $sum i64) (local $at i32) (local $left i32)
      (i32.store (i32.const 0) (call $subscribe (local.get $a)))
      (i32.store (i32.const 4) (call $subscribe (local.get $b)))
      (call $poll (i32.const 0) (i32.const 2) (i32.const 16))
      (local.set $at (i32.load (i32.const 16)))
      (local.set $left (i32.load (i32.const 20)))
      (loop $next
        (if (local.get $left) (then
          (local.set $sum (i64.add (local.get $sum)
            (select (i64.const 10) (i64.const 1) (i32.load (local.get $at)))))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br $next))))
      (local.get $sum)))
  (core instance $m (instantiate $m (with "i" (instance
    (export "subscribe" (func $subscribe)) (export "block" (func $block))
    (export "poll" (func $poll-them)) (export "drop" (func $drop))
    (export "memory" (memory $memory "memory"))))))
  (func (export "wait") (param "ns" s64) (result s64) (canon lift (core func $m "wait")))
  (func (export "first-of") (param "a" s64) (param "b" s64) (result s64)
    (canon lift (core func $m "first-of"))))
"#;

/// Makes a function of a component in text.
#[track_caller]
fn create(session: &mut Session, name: &str, component: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), wat::parse_str(component).unwrap()).unwrap();
    let path = file.path().display();
    run(
        session,
        &format!("CREATE FUNCTION {name} LANGUAGE wasm AS '{path}'"),
    );
}

/// Makes a function of an import that it calls once.
#[track_caller]
fn create_calling(session: &mut Session, name: &str, import: &Import) {
    create(session, name, &calling(name, import, 1));
}

/// What the function returns, or the SQLSTATE of its error.
fn outcome(session: &mut Session, name: &str) -> String {
    match session.call(name, &[]) {
        Ok(Value::Integer(n)) => n.to_string(),
        Ok(other) => panic!("{other:?}"),
        Err(error) => error.sqlstate().as_str().to_string(),
    }
}

/// A function that waits, allowed to.
fn create_waiting(session: &mut Session) {
    create(session, "wait", WAITING);
    create(session, "first_of", WAITING);
    run(
        session,
        "CREATE SECURITY POLICY patient AS (
           capabilities: [TIME_ACCESS], allowed_syscalls: ['poll_oneoff']);
         ALTER FUNCTION wait SET SECURITY POLICY patient;
         ALTER FUNCTION first_of SET SECURITY POLICY patient;",
    );
}
