//! The calls as this host makes them: a vault in a directory, with a function of each
//! language for each case.

use perihelion::{Runtime, Session, Storage, Value};
use std::path::Path;

/// The functions and what they may do.
const FUNCTIONS: &str = "
    CREATE FUNCTION js_nop() RETURNS BIGINT LANGUAGE javascript AS $$
        function js_nop() {}
    $$;
    CREATE FUNCTION js_add(a BIGINT, b BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
        function js_add(a, b) { return a + b; }
    $$;
    CREATE FUNCTION js_fib(n BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
        function js_fib(n) { return n < 2 ? n : js_fib(n - 1) + js_fib(n - 2); }
    $$;
    CREATE FUNCTION js_points(n BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
        function js_points(n) {
            let sum = 0;
            for (let id = 1; id <= n; id++) {
                const sql = 'SELECT amount FROM item WHERE id = ?';
                sum += heliosdb.query(sql, [id]).rows[0].amount;
            }
            return sum;
        }
    $$;
    CREATE FUNCTION js_prepared_points(n BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
        function js_prepared_points(n) {
            const statement = heliosdb.prepare('SELECT amount FROM item WHERE id = ?');
            let sum = 0;
            for (let id = 1; id <= n; id++) sum += statement.queryOne([id]).amount;
            return sum;
        }
    $$;
    CREATE CONDITION js_may_read(request JSON) LANGUAGE javascript AS $$
        function js_may_read(request) {
            const needed = request.labels.includes('secret') ? 3 : 1;
            return request.user !== '' && request.clearance >= needed;
        }
    $$;
    ALTER FUNCTION js_prepared_points GRANT CAPABILITY DATABASE_READ('item');
    ALTER FUNCTION prepared_points GRANT CAPABILITY DATABASE_READ('item');
    ALTER FUNCTION js_points GRANT CAPABILITY DATABASE_READ('item');
    ALTER FUNCTION points GRANT CAPABILITY DATABASE_READ('item');";

/// A session on a vault in the directory, with the table `item` and the functions.
pub(crate) fn session(directory: &Path) -> Session {
    let runtime = Runtime::builder()
        .cache_directory(super::cache_directory())
        .build()
        .expect("a runtime");
    let vault = runtime.vault(Storage::Directory(directory.join("vault")));
    let mut session = vault.expect("a vault").session().expect("a session");
    run(&mut session, super::SCHEMA);
    run(&mut session, super::FILL);
    let guest = super::guest("bench-guest");
    for name in [
        "nop",
        "add",
        "fib",
        "primes",
        "digest",
        "product",
        "words",
        "points",
        "prepared_points",
    ] {
        let create = format!(
            "CREATE FUNCTION {name} LANGUAGE wasm AS '{}'",
            guest.display()
        );
        run(&mut session, &create);
    }
    run(&mut session, FUNCTIONS);
    let condition = super::guest("condition-guest");
    let create = format!(
        "CREATE CONDITION may_read LANGUAGE wasm AS '{}'",
        condition.display()
    );
    run(&mut session, &create);
    session
}

pub(crate) fn run(session: &mut Session, script: &str) {
    if let Err(error) = session.execute_script(script, drop) {
        panic!("{error:?}\nin: {script}");
    }
}

/// Calls a function as a statement of its own.
pub(crate) fn call(session: &mut Session, function: &str, arguments: &[Value]) -> Value {
    session
        .call(function, arguments)
        .expect("the call succeeds")
}

/// Asks a condition, which must allow.
pub(crate) fn check(session: &mut Session, condition: &str, context: &str) {
    let decision = session.check(condition, context).expect("it is recorded");
    assert!(decision.is_allowed());
}

/// The single whole number of a query.
pub(crate) fn integer(session: &mut Session, sql: &str, params: &[Value]) -> i64 {
    let outcome = session.execute_with(sql, params).expect("the query runs");
    match outcome.rows[0][0] {
        Value::Integer(n) => n,
        ref other => panic!("{other:?}"),
    }
}
