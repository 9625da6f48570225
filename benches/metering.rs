//! What counting costs a call that only computes.

use crate::cases::{Bound, Case, Shared, Timed, call, timed};
use crate::floor::{self, Guests, JavascriptFloor, RustFloor};
use perihelion::{Session, Value};

pub(crate) fn metering(session: &Shared<Session>) -> Vec<Case> {
    let floor = JavascriptFloor::new(Guests::Unmetered);
    let fib = floor.compile(
        "js_fib",
        "function js_fib(n) { return n < 2 ? n : js_fib(n - 1) + js_fib(n - 2); }",
    );
    vec![
        Case {
            name: "metering/js",
            perihelion: compute(session, "js_fib", 24, FIB_24),
            floor: timed(move || {
                let result = floor.fresh(&fib, &[floor::Value::Integer(24)]);
                assert!(matches!(result, floor::Value::Integer(FIB_24)));
            }),
            bound: METERING,
            batch: 2,
        },
        Case {
            name: "metering/rust/loops",
            perihelion: compute(session, "primes", 1_000_000, PRIMES_BELOW_MILLION),
            floor: compute_bare("primes", 1_000_000, PRIMES_BELOW_MILLION),
            bound: Bound::None,
            batch: 2,
        },
        Case {
            name: "metering/rust/calls",
            perihelion: compute(session, "fib", 30, FIB_30),
            floor: compute_bare("fib", 30, FIB_30),
            bound: Bound::None,
            batch: 2,
        },
        Case {
            name: "metering/rust/digest",
            perihelion: compute(session, "digest", 1_000_000, 5_911_238_565_128_851_700),
            floor: compute_bare("digest", 1_000_000, 5_911_238_565_128_851_700),
            bound: METERING,
            batch: 2,
        },
        Case {
            name: "metering/rust/floats",
            perihelion: compute(session, "product", 120, 35_720_022),
            floor: compute_bare("product", 120, 35_720_022),
            bound: Bound::None,
            batch: 2,
        },
        Case {
            name: "metering/rust/texts",
            perihelion: compute(session, "words", 100_000, 137),
            floor: compute_bare("words", 100_000, 137),
            bound: Bound::None,
            batch: 2,
        },
    ]
}

fn compute(session: &Shared<Session>, function: &'static str, n: i64, result: i64) -> Timed {
    call(
        session,
        function,
        vec![Value::Integer(n)],
        Value::Integer(result),
    )
}

fn compute_bare(function: &str, n: i64, result: i64) -> Timed {
    let floor = RustFloor::new(Guests::Unmetered, "bench-guest", "bench");
    let export = floor.export(function);
    timed(move || assert_eq!(floor.fresh::<(i64,), (i64,)>(&export, (n,)), (result,)))
}

/// Instructions, CPU and wall time, and memory together.
const METERING: Bound = Bound::Ratio(1.28);

const FIB_24: i64 = 46_368;
const FIB_30: i64 = 832_040;
const PRIMES_BELOW_MILLION: i64 = 78_498;
