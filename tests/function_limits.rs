//! The limits that a function has: from its policy, or of its own.

use crate::policies::prepared;
use crate::support::{refuse, run, session, value};
use perihelion::{Session, Value};

#[test]
fn h90_a_function_may_have_limits_of_its_own() {
    let mut session = prepared();
    run(
        &mut session,
        "ALTER FUNCTION spin SET (max_instructions = 1000000, max_wall_time_ms = 60000)",
    );
    let error = refuse(&mut session, "SELECT spin()", "57014");
    assert_eq!(
        error.message(),
        "function \"spin\" was ended: instruction limit of 1,000,000 instructions reached \
         (function \"spin\", max_instructions)"
    );
    assert_eq!(
        error.hint(),
        Some("ALTER FUNCTION spin SET (max_instructions = 2000000);")
    );
    let limits = run(&mut session, "SHOW LIMITS FOR spin");
    let set_by_itself: Vec<_> = limits
        .rows
        .iter()
        .filter(|row| row[4] == Value::Text("function \"spin\"".into()))
        .map(|row| row[1].clone())
        .collect();
    assert_eq!(set_by_itself.len(), 2, "{limits:?}");
    run(
        &mut session,
        "ALTER FUNCTION spin SET (max_instructions = DEFAULT)",
    );
    refuse(
        &mut session,
        "ALTER FUNCTION spin SET (max_instructions = 0)",
        "22023",
    );
    refuse(
        &mut session,
        "ALTER FUNCTION spin SET (capabilities = [])",
        "22023",
    );
    refuse(
        &mut session,
        "ALTER FUNCTION spin SET (max_cpu_time_ms = 1, max_cpu_time_ms = 1)",
        "42601",
    );
}

#[test]
fn a_hint_quotes_the_name_that_needs_it_and_can_be_pasted() {
    let mut session = session();
    run(
        &mut session,
        "CREATE FUNCTION \"My Func\"() LANGUAGE javascript AS $$
           export default function () { for (;;); }
         $$;
         ALTER FUNCTION \"My Func\" SET (max_instructions = 1000000)",
    );
    let error = refuse(&mut session, "CALL \"My Func\"()", "57014");
    let hint = error.hint().unwrap().to_string();
    assert_eq!(
        hint,
        "ALTER FUNCTION \"My Func\" SET (max_instructions = 2000000);"
    );
    run(&mut session, &hint);
    run(
        &mut session,
        "ALTER FUNCTION \"My Func\" SET ENABLED = false",
    );
    let error = refuse(&mut session, "CALL \"My Func\"()", "55000");
    let hint = error.hint().unwrap().to_string();
    run(&mut session, &hint);
    refuse(&mut session, "CALL \"My Func\"()", "57014");
}

/// Calls itself as often as it is told.
const DEEP: &str = r#"(component
    (core module $m
        (func $deep (export "deep") (param $n i64) (result i64)
            (if (result i64) (i64.eqz (local.get $n))
                (then (i64.const 0))
                (else (i64.add (i64.const 1)
                    (call $deep (i64.sub (local.get $n) (i64.const 1))))))))
    (core instance $i (instantiate $m))
    (func (export "deep") (param "n" s64) (result s64)
        (canon lift (core func $i "deep"))))"#;

#[test]
fn h16_a_larger_stack_is_had_by_a_setting() {
    let mut session = session();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep.wasm");
    std::fs::write(&path, wat::parse_str(DEEP).unwrap()).unwrap();
    let create = format!("CREATE FUNCTION deep LANGUAGE wasm AS '{}'", path.display());
    run(&mut session, &create);
    // The frames of so many calls take some 5 MiB.
    let deep = "SELECT deep(150000)";
    let error = refuse(&mut session, deep, "54001");
    assert!(
        error
            .message()
            .contains("stack limit of 2 MiB reached (policy \"MINIMAL\", max_stack_bytes)"),
        "{error:?}"
    );
    assert_eq!(
        error.hint(),
        Some("ALTER FUNCTION deep SET (max_stack_bytes = 4194304);")
    );
    run(
        &mut session,
        "ALTER FUNCTION deep SET (max_stack_bytes = 4194304)",
    );
    refuse(&mut session, deep, "54001");
    run(
        &mut session,
        "ALTER FUNCTION deep SET SECURITY POLICY PERMISSIVE",
    );
    assert_eq!(value(&mut session, deep), Value::Integer(150_000));
    let error = refuse(&mut session, "SELECT deep(1000000)", "54001");
    assert!(
        error.message().contains("stack limit of 8 MiB"),
        "{error:?}"
    );
    // JavaScript runs in the larger stack too, and its own check comes first.
    run(
        &mut session,
        "CREATE FUNCTION sink() LANGUAGE javascript AS $$ function sink() { sink(); } $$;
         ALTER FUNCTION sink SET SECURITY POLICY PERMISSIVE",
    );
    refuse(&mut session, "SELECT sink()", "54001");
}

#[test]
fn h11_every_function_has_every_limit_whatever_its_policy_says() {
    let mut session = prepared();
    run(
        &mut session,
        "CREATE SECURITY POLICY empty AS (capabilities: []);
         ALTER FUNCTION now SET SECURITY POLICY empty;
         ALTER FUNCTION spin SET SECURITY POLICY PERMISSIVE;
         ALTER FUNCTION fill SET (max_cpu_time_ms = 7);",
    );
    let without = "SELECT count(*) FROM heliosdb.functions f, heliosdb.limits l
                   WHERE l.setting IS NOT NULL AND NOT EXISTS (
                     SELECT 1 FROM heliosdb.function_limits h WHERE h.function_name = f.name
                       AND h.setting = l.setting AND h.value BETWEEN 1 AND l.max_value)";
    assert_eq!(value(&mut session, without), Value::Integer(0));
    let all = "SELECT count(*) FROM heliosdb.function_limits";
    assert_eq!(value(&mut session, all), Value::Integer(5 * 8));
}

/// What the log says of a call that a limit ended.
fn observed(session: &mut Session, function: &str) -> (String, i64) {
    let outcome = run(
        session,
        &format!(
            "SELECT json_extract(detail, '$.resource'), json_extract(detail, '$.observed')
             FROM heliosdb.audit_log WHERE event_type = 'ResourceLimitExceeded'
               AND function_name = '{function}' ORDER BY seq DESC LIMIT 1"
        ),
    );
    match &outcome.rows[0][..] {
        [Value::Text(resource), Value::Integer(observed)] => (resource.clone(), *observed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn h13_a_busy_loop_ends_within_50_ms_of_its_cpu_time() {
    let mut session = prepared();
    run(
        &mut session,
        "ALTER FUNCTION spin SET (max_cpu_time_ms = 300, max_wall_time_ms = 60000,
                                  max_instructions = 100000000000)",
    );
    for _ in 0..3 {
        refuse(&mut session, "SELECT spin()", "57014");
        // The thread's own clock: what others do on the machine is not charged.
        let (resource, nanoseconds) = observed(&mut session, "spin");
        assert_eq!(resource, "cpu time");
        assert!(
            (300_000_000..350_000_000).contains(&nanoseconds),
            "{nanoseconds}"
        );
    }
}

#[test]
fn h14_a_busy_loop_ends_within_50_ms_of_its_wall_time() {
    let mut session = prepared();
    run(
        &mut session,
        "ALTER FUNCTION spin SET (max_wall_time_ms = 200, max_instructions = 100000000000)",
    );
    // On a machine that is busy otherwise a look at the clock may come late.
    let late = (0..5)
        .map(|_| {
            refuse(&mut session, "SELECT spin()", "57014");
            let (resource, nanoseconds) = observed(&mut session, "spin");
            assert_eq!(resource, "wall time");
            nanoseconds
        })
        .min();
    assert!(late < Some(250_000_000), "{late:?}");
}
