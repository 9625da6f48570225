//! The list of what is measured. A case and its floor do the same work, and assert its
//! result every time.
//!
//! - `fresh`: a whole call with an instance of its own, against the same by bare
//!   wasmtime: store, instance, call (of JavaScript: the function's bytecode loaded in
//!   between). The host adds its audit entries, on a vault in a directory.
//! - `fresh/…/point`: a call with one query, against a bare call and the query by bare
//!   rusqlite in a transaction of its own.
//! - `warm`: one more row of a SQL statement that calls the function for each row:
//!   what more rows cost, less what they cost with the same function as a native one
//!   on bare SQLite, so that neither the statement nor SQLite's part of it counts.
//!   Against one more call of an instance of bare wasmtime.
//! - `row`: one more row of such a statement, SQLite's part of it included, against the
//!   same statement with a native function on bare SQLite.
//! - `query`: one more query of the same call: what a call with many costs, less what
//!   it costs with none. `text` is against what a guest writes, done by bare rusqlite:
//!   `query_row` with the text and its values; `point` and `js` against the same with
//!   rusqlite's statement cache, and `prepared`, which is prepared in the call, against
//!   one that is prepared once. All in one transaction.
//! - `metering`: a call that only computes, with everything that the host counts and
//!   looks at, against the same guest on bare wasmtime that counts nothing. The bound
//!   is held for JavaScript and for straight-line code; loops of a few instructions,
//!   and calls that do next to nothing, show the most that counting can cost.
//! - `condition`: a decision, its context read and its entry written, against a fresh
//!   call by bare wasmtime with the context as it needs it.
//! - `audit`: the entries of a call without effects, and the one of a decision,
//!   appended, against a write(2) of as many bytes as a call's.

use crate::audit_log::AuditLog;
use crate::floor::{self, Guests, JavascriptFloor, Request, RustFloor};
use crate::metering::metering;
use crate::{ITEMS, amounts, subject};
use perihelion::{Session, Value};
use rusqlite::Connection;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// One thing that is measured, in two ways.
pub struct Case {
    /// Reads like a path.
    pub name: &'static str,
    /// Does it this often by the host, and says how long that took.
    pub perihelion: Timed,
    /// The same without the host.
    pub floor: Timed,
    /// What is promised.
    pub bound: Bound,
    /// How often it is done in one round of a comparison: some milliseconds.
    pub batch: u64,
}

/// Does something a number of times and says how long that took.
pub(crate) type Timed = Box<dyn FnMut(u64) -> Duration>;

/// What is promised about a case.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Bound {
    /// At most this many times the floor.
    Ratio(f64),
    /// At most this long above the floor.
    Above(Duration),
    /// At most this many times the floor, and this long above that.
    RatioAndAbove(f64, Duration),
    /// At most this long.
    AtMost(Duration),
    /// Nothing.
    None,
}

/// The text of the point query.
const POINT: &str = "SELECT amount FROM item WHERE id = ?";

/// A row's call of `add`, which is a word of SQL's as well.
const ADD: &str = "\"add\"(id, 1)";

/// The context of the decisions.
const REQUEST: &str =
    r#"{"user": "ada", "clearance": 3, "labels": ["secret"], "asked_at": "2025-11-25"}"#;

/// The queries of one call where queries are measured.
const QUERIES: u64 = 1_000;

/// Prepares every case. Files lie in the directory.
pub fn cases(directory: &Path) -> Vec<Case> {
    let session = Rc::new(RefCell::new(subject::session(directory)));
    let native = Rc::new(RefCell::new(floor::database(&directory.join("native.db"))));
    let mut cases = fresh_rust(&session, &native);
    cases.extend(fresh_javascript(&session, &native));
    cases.extend(warm_rust(&session, &native));
    cases.extend(warm_javascript(&session, &native));
    cases.extend(row(&session, &native));
    cases.extend(query(&session, &native));
    cases.extend(condition(&session));
    cases.extend(metering(&session));
    cases.push(audit(directory));
    cases.push(audit_decision(directory));
    cases
}

fn fresh_rust(session: &Shared<Session>, native: &Shared<Connection>) -> Vec<Case> {
    let floor = Rc::new(RustFloor::new(Guests::Procedures, "bench-guest", "bench"));
    let [nop, add] = ["nop", "add"].map(|name| floor.export(name));
    let [first, second, third] = [&floor, &floor, &floor].map(Rc::clone);
    let (point, connection) = (nop, Rc::clone(native));
    vec![
        Case {
            name: "fresh/rust/nop",
            perihelion: call(session, "nop", vec![], Value::Null),
            floor: timed(move || first.fresh::<(), ()>(&nop, ())),
            bound: Bound::Ratio(1.5),
            batch: 50,
        },
        Case {
            name: "fresh/rust/arguments",
            perihelion: call(session, "add", two_and_three(), Value::Integer(5)),
            floor: timed(move || {
                assert_eq!(second.fresh::<(i64, i64), (i64,)>(&add, (2, 3)), (5,));
            }),
            bound: Bound::Ratio(1.5),
            batch: 50,
        },
        Case {
            name: "fresh/rust/point",
            perihelion: call(
                session,
                "points",
                vec![Value::Integer(1)],
                Value::Integer(3),
            ),
            floor: timed(move || {
                third.fresh::<(), ()>(&point, ());
                assert_eq!(sum_of_points(&connection.borrow(), 1), 3);
            }),
            bound: Bound::None,
            batch: 50,
        },
    ]
}

fn fresh_javascript(session: &Shared<Session>, native: &Shared<Connection>) -> Vec<Case> {
    let floor = Rc::new(JavascriptFloor::new(Guests::Procedures));
    let nop = floor.compile("nop", "function nop() {}");
    let add = floor.compile("add", "function add(a, b) { return a + b; }");
    let [first, second, third] = [&floor, &floor, &floor].map(Rc::clone);
    let (point, connection) = (nop.clone(), Rc::clone(native));
    vec![
        Case {
            name: "fresh/js/nop",
            perihelion: call(session, "js_nop", vec![], Value::Null),
            floor: timed(move || {
                assert!(matches!(first.fresh(&nop, &[]), floor::Value::Null));
            }),
            bound: Bound::Ratio(1.5),
            batch: 20,
        },
        Case {
            name: "fresh/js/arguments",
            perihelion: call(session, "js_add", two_and_three(), Value::Integer(5)),
            floor: timed(move || {
                let arguments = [2, 3].map(floor::Value::Integer);
                let result = second.fresh(&add, &arguments);
                assert!(matches!(result, floor::Value::Integer(5)));
            }),
            bound: Bound::Ratio(1.5),
            batch: 20,
        },
        Case {
            name: "fresh/js/point",
            perihelion: call(
                session,
                "js_points",
                vec![Value::Integer(1)],
                Value::Integer(3),
            ),
            floor: timed(move || {
                assert!(matches!(third.fresh(&point, &[]), floor::Value::Null));
                assert_eq!(sum_of_points(&connection.borrow(), 1), 3);
            }),
            bound: Bound::None,
            batch: 20,
        },
    ]
}

fn warm_rust(session: &Shared<Session>, native: &Shared<Connection>) -> Vec<Case> {
    let floor = RustFloor::new(Guests::Procedures, "bench-guest", "bench");
    let mut nop = floor.warm::<(), ()>(&floor.export("nop"));
    let mut add = floor.warm::<(i64, i64), (i64,)>(&floor.export("add"));
    vec![
        Case {
            name: "warm/rust/nop",
            perihelion: rows(session, "nop() IS NULL", native, "nop() IS NULL", |n| n),
            floor: Box::new(move |times| {
                nop.refuel();
                repeat(times, || nop.call(()))
            }),
            bound: Bound::Above(Duration::from_micros(1)),
            batch: 4_000,
        },
        Case {
            name: "warm/rust/arguments",
            perihelion: rows(session, ADD, native, ADD, add_one),
            floor: Box::new(move |times| {
                add.refuel();
                repeat(times, || assert_eq!(add.call((2, 3)), (5,)))
            }),
            bound: Bound::Above(Duration::from_micros(1)),
            batch: 4_000,
        },
    ]
}

fn warm_javascript(session: &Shared<Session>, native: &Shared<Connection>) -> Vec<Case> {
    let floor = JavascriptFloor::new(Guests::Procedures);
    let mut nop = floor.warm(&floor.compile("nop", "function nop() {}"));
    let mut add = floor.warm(&floor.compile("add", "function add(a, b) { return a + b; }"));
    vec![
        Case {
            name: "warm/js/nop",
            perihelion: rows(session, "js_nop() IS NULL", native, "nop() IS NULL", |n| n),
            floor: Box::new(move |times| {
                nop.refuel();
                repeat(times, || {
                    assert!(matches!(nop.call(&[]), floor::Value::Null));
                })
            }),
            bound: Bound::Above(Duration::from_micros(1)),
            batch: 2_000,
        },
        Case {
            name: "warm/js/arguments",
            perihelion: rows(session, "js_add(id, 1)", native, ADD, add_one),
            floor: Box::new(move |times| {
                add.refuel();
                repeat(times, || {
                    let result = add.call(&[2, 3].map(floor::Value::Integer));
                    assert!(matches!(result, floor::Value::Integer(5)));
                })
            }),
            bound: Bound::Above(Duration::from_micros(1)),
            batch: 2_000,
        },
    ]
}

fn row(session: &Shared<Session>, native: &Shared<Connection>) -> Vec<Case> {
    let case = |name, call: &str, most_ns| Case {
        name,
        perihelion: rows_of_statement(session, call, add_one),
        floor: rows_of_native(native, ADD, add_one),
        bound: Bound::AtMost(Duration::from_nanos(most_ns)),
        batch: 4_000,
    };
    vec![
        case("row/rust", ADD, 1_300),
        case("row/js", "js_add(id, 1)", 3_500),
    ]
}

fn query(session: &Shared<Session>, native: &Shared<Connection>) -> Vec<Case> {
    let case = |name, function, sum_of: fn(&Connection, i64) -> i64, bound| {
        let (session, native) = (Rc::clone(session), Rc::clone(native));
        Case {
            name,
            perihelion: Box::new(move |times| {
                let mut session = session.borrow_mut();
                let mut points = points(&mut session, function);
                in_portions(times, QUERIES, |n| points(n).saturating_sub(points(0)))
            }),
            floor: Box::new(move |times| {
                let native = native.borrow();
                in_portions(times, QUERIES, |n| {
                    let start = Instant::now();
                    assert_eq!(sum_of(&native, n as i64), amounts(n as i64));
                    start.elapsed()
                })
            }),
            bound,
            batch: QUERIES,
        }
    };
    vec![
        case("query/rust/text", "points", sum_of_texts, Bound::Ratio(2.0)),
        case(
            "query/rust/point",
            "points",
            sum_of_points,
            Bound::RatioAndAbove(1.5, Duration::from_micros(1)),
        ),
        case(
            "query/rust/prepared",
            "prepared_points",
            sum_of_prepared,
            Bound::RatioAndAbove(1.5, Duration::from_micros(1)),
        ),
        case(
            "query/js/point",
            "js_points",
            sum_of_points,
            Bound::AtMost(Duration::from_micros(10)),
        ),
        case(
            "query/js/prepared",
            "js_prepared_points",
            sum_of_prepared,
            Bound::AtMost(Duration::from_micros(10)),
        ),
    ]
}

fn condition(session: &Shared<Session>) -> Vec<Case> {
    let decide = |name: &'static str| {
        let session = Rc::clone(session);
        timed(move || subject::check(&mut session.borrow_mut(), name, REQUEST))
    };
    let rust = RustFloor::new(Guests::Conditions, "condition-guest", "check");
    let may_read = rust.export("may-read");
    let javascript = JavascriptFloor::new(Guests::Conditions);
    let source = "function f(r) { return r.user !== '' && r.clearance >= (r.labels.includes('secret') ? 3 : 1); }";
    let bytecode = javascript.compile("f", source);
    vec![
        Case {
            name: "condition/rust",
            perihelion: decide("may_read"),
            floor: timed(move || {
                let request = (Request::example(),);
                assert_eq!(rust.fresh::<_, (bool,)>(&may_read, request), (true,));
            }),
            bound: Bound::Above(Duration::from_micros(10)),
            batch: 50,
        },
        Case {
            name: "condition/js",
            perihelion: decide("js_may_read"),
            floor: timed(move || {
                let text = REQUEST.to_string();
                let argument = floor::Value::Json(floor::Json { text });
                let answer = javascript.fresh(&bytecode, &[argument]);
                assert!(matches!(answer, floor::Value::Boolean(true)));
            }),
            bound: Bound::Ratio(1.5),
            batch: 20,
        },
    ]
}

fn audit(directory: &Path) -> Case {
    let mut log = AuditLog::open(directory);
    let bare = log.bare();
    Case {
        name: "audit/two_entries",
        perihelion: timed(move || log.append_two_entries()),
        floor: timed(move || bare.write()),
        bound: Bound::AtMost(Duration::from_micros(2)),
        batch: 100,
    }
}

fn audit_decision(directory: &Path) -> Case {
    let directory = directory.join("decisions");
    std::fs::create_dir(&directory).expect("a directory");
    let mut log = AuditLog::open(&directory);
    let bare = log.bare();
    Case {
        name: "audit/decision",
        perihelion: timed(move || log.append_decision()),
        floor: timed(move || bare.write()),
        bound: Bound::AtMost(Duration::from_micros(2)),
        batch: 100,
    }
}

pub(crate) type Shared<T> = Rc<RefCell<T>>;

fn two_and_three() -> Vec<Value> {
    vec![Value::Integer(2), Value::Integer(3)]
}

/// The sum of `add(id, 1)` over the ids 1 to `n`.
fn add_one(n: i64) -> i64 {
    n * (n + 1) / 2 + n
}

/// A call through the host, with its result.
pub(crate) fn call(
    session: &Shared<Session>,
    function: &'static str,
    arguments: Vec<Value>,
    expected: Value,
) -> Timed {
    let session = Rc::clone(session);
    timed(move || {
        let result = subject::call(&mut session.borrow_mut(), function, &arguments);
        assert_eq!(result, expected);
    })
}

/// What each more row costs that a statement calls `function` for, less what each more
/// row of the same statement with `native_function` costs.
fn rows(
    session: &Shared<Session>,
    function: &str,
    native: &Shared<Connection>,
    native_function: &str,
    expected: fn(i64) -> i64,
) -> Timed {
    let mut by_host = rows_of_statement(session, function, expected);
    let mut natively = rows_of_native(native, native_function, expected);
    Box::new(move |times| in_portions(times, ROWS_MAX, |n| by_host(n).saturating_sub(natively(n))))
}

/// What so many more rows cost that a statement calls `function` for.
fn rows_of_statement(session: &Shared<Session>, function: &str, expected: fn(i64) -> i64) -> Timed {
    let (session, sql) = (Rc::clone(session), sum_over_items(function));
    Box::new(move |times| {
        let mut session = session.borrow_mut();
        more_rows(times, |n| {
            let sum = subject::integer(&mut session, &sql, &[Value::Integer(n)]);
            assert_eq!(sum, expected(n));
        })
    })
}

/// The same with a native function on bare SQLite.
fn rows_of_native(native: &Shared<Connection>, function: &str, expected: fn(i64) -> i64) -> Timed {
    let (native, sql) = (Rc::clone(native), sum_over_items(function));
    Box::new(move |times| {
        let native = native.borrow();
        more_rows(times, |n| {
            let sum = native.query_row(&sql, [n], |row| row.get::<_, i64>(0));
            assert_eq!(sum.expect("the query runs"), expected(n));
        })
    })
}

fn sum_over_items(expression: &str) -> String {
    format!("SELECT sum({expression}) FROM item WHERE id <= ?")
}

/// What a statement of `1 + times` rows costs, less what one of a single row does.
fn more_rows(times: u64, mut statement: impl FnMut(i64)) -> Duration {
    in_portions(times, ROWS_MAX, |n| {
        let mut time = |n: u64| clock(|| statement(n as i64));
        time(1 + n).saturating_sub(time(1))
    })
}

/// The most rows that a statement has beside its first.
const ROWS_MAX: u64 = ITEMS as u64 - 1;

/// A call that makes this many queries.
fn points(session: &mut Session, function: &'static str) -> impl FnMut(u64) -> Duration {
    move |n| {
        let n = n as i64;
        clock(|| {
            let sum = subject::call(session, function, &[Value::Integer(n)]);
            assert_eq!(sum, Value::Integer(amounts(n)));
        })
    }
}

/// As many queries by bare rusqlite, in one transaction.
fn sum_of_points(connection: &Connection, n: i64) -> i64 {
    let sum = || -> rusqlite::Result<i64> {
        let transaction = connection.unchecked_transaction()?;
        let mut sum = 0;
        for id in 1..=n {
            let mut statement = transaction.prepare_cached(POINT)?;
            sum += statement.query_row([id], |row| row.get::<_, i64>(0))?;
        }
        transaction.commit()?;
        Ok(sum)
    };
    sum().expect("the queries run")
}

/// The same, by one statement.
fn sum_of_prepared(connection: &Connection, n: i64) -> i64 {
    let sum = || -> rusqlite::Result<i64> {
        let transaction = connection.unchecked_transaction()?;
        let mut sum = 0;
        {
            let mut statement = transaction.prepare(POINT)?;
            for id in 1..=n {
                sum += statement.query_row([id], |row| row.get::<_, i64>(0))?;
            }
        }
        transaction.commit()?;
        Ok(sum)
    };
    sum().expect("the queries run")
}

/// The same, each query from its text.
fn sum_of_texts(connection: &Connection, n: i64) -> i64 {
    let sum = || -> rusqlite::Result<i64> {
        let transaction = connection.unchecked_transaction()?;
        let amount = |id| transaction.query_row(POINT, [id], |row| row.get::<_, i64>(0));
        let sum = (1..=n).map(amount).sum::<rusqlite::Result<i64>>()?;
        transaction.commit()?;
        Ok(sum)
    };
    sum().expect("the queries run")
}

/// Measures in portions of at most `most`.
fn in_portions(times: u64, most: u64, measure: impl FnMut(u64) -> Duration) -> Duration {
    let whole = (0..times / most).map(|_| most);
    let rest = Some(times % most).filter(|rest| *rest > 0);
    whole.chain(rest).map(measure).sum()
}

pub(crate) fn timed(mut work: impl FnMut() + 'static) -> Timed {
    Box::new(move |times| repeat(times, &mut work))
}

fn repeat(times: u64, mut work: impl FnMut()) -> Duration {
    clock(|| (0..times).for_each(|_| work()))
}

fn clock(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
