//! Conditions: they say yes or no from their argument alone, and no when in doubt.

mod components;
mod hostile;
mod repeatable;

use crate::support::{column, refuse, run, session, text, value};
use perihelion::{Decision, FailureKind, Session, Value, Verdict};

/// Creates a condition in JavaScript: the body of a function of `context`.
pub(crate) fn create(session: &mut Session, name: &str, body: &str) {
    run(
        session,
        &format!(
            "CREATE OR REPLACE CONDITION {name}(context JSON) LANGUAGE javascript AS $$
               function {name}(context) {{ {body} }}
             $$"
        ),
    );
}

/// Asks a condition, which must fail in this way.
#[track_caller]
pub(crate) fn denies(
    session: &mut Session,
    name: &str,
    context: &str,
    kind: FailureKind,
    sqlstate: &str,
) -> Decision {
    let decision = session.check(name, context).unwrap();
    assert_eq!(decision.verdict, Verdict::Deny, "{context}");
    let failure = decision.failure.as_ref();
    let failure = failure.unwrap_or_else(|| panic!("{name}({context}) answers by itself"));
    assert_eq!(failure.kind, kind, "{context}: {:?}", failure.error);
    let state = failure.error.sqlstate();
    assert_eq!(state.as_str(), sqlstate, "{:?}", failure.error);
    decision
}

fn entries(session: &mut Session) -> i64 {
    let count = "SELECT count(*) FROM heliosdb.audit_log WHERE event_type = 'Decision'";
    match value(session, count) {
        Value::Integer(count) => count,
        other => panic!("{other:?}"),
    }
}

#[test]
fn d11_a_condition_says_yes_or_no() {
    let mut session = session();
    create(&mut session, "adult", "return context.age >= 18;");
    assert_eq!(
        value(&mut session, r#"SELECT adult('{"age": 18}')"#),
        Value::Integer(1)
    );
    assert_eq!(
        value(&mut session, r#"SELECT adult('{"age": 17}')"#),
        Value::Integer(0)
    );
    run(
        &mut session,
        r#"CREATE TABLE person (name TEXT, facts JSON);
           INSERT INTO person VALUES ('Ada', '{"age": 36}'), ('Bob', '{"age": 7}'),
                                     ('Eve', 'nonsense'), ('Joe', NULL);"#,
    );
    assert_eq!(
        column(&mut session, "SELECT name FROM person WHERE adult(facts)"),
        ["Ada"]
    );
    assert_eq!(
        run(&mut session, r#"CALL adult('{"age": 20}')"#).rows,
        [[Value::Integer(1)]]
    );
    let called = session.call("adult", &[Value::Json(r#"{"age": 20}"#.into())]);
    assert_eq!(called.unwrap(), Value::Boolean(true));
}

#[test]
fn d11_a_condition_is_a_function_of_another_kind() {
    let mut session = session();
    create(&mut session, "c", "return true;");
    run(
        &mut session,
        "CREATE FUNCTION f() LANGUAGE javascript AS $$ function f() {} $$",
    );
    assert_eq!(
        column(
            &mut session,
            "SELECT name || ' ' || kind || ' ' || ifnull(policy, '-') FROM heliosdb.functions"
        ),
        ["c condition -", "f procedure MINIMAL"]
    );
    let condition = |name: &str| {
        format!(
            "CONDITION {name}(context JSON) LANGUAGE javascript AS $$ function {name}() {{}} $$"
        )
    };
    refuse(&mut session, &format!("CREATE {}", condition("c")), "42723");
    // One function a name, whatever its kind; and a kind for good.
    let over = format!("CREATE OR REPLACE {}", condition("f"));
    refuse(&mut session, &over, "42809");
    let over = "CREATE OR REPLACE FUNCTION c() LANGUAGE javascript AS $$ function c() {} $$";
    refuse(&mut session, over, "42809");
    for sql in [
        "DROP FUNCTION c",
        "DROP FUNCTION IF EXISTS c",
        "ALTER FUNCTION c SET ENABLED = false",
        "DROP CONDITION f",
        "ALTER CONDITION f SET VERSION 1",
    ] {
        refuse(&mut session, sql, "42809");
    }
    let hint = refuse(&mut session, "DROP FUNCTION c", "42809");
    assert!(
        hint.hint().unwrap().contains("DROP CONDITION c"),
        "{hint:?}"
    );
    run(&mut session, "DROP CONDITION c; DROP CONDITION IF EXISTS c");
    refuse(&mut session, "SELECT c('1')", "42883");
    refuse(&mut session, "DROP CONDITION c", "42883");
}

#[test]
fn d11_a_condition_can_be_granted_nothing() {
    let mut session = session();
    create(&mut session, "c", "return true;");
    for kind in ["FUNCTION", "CONDITION"] {
        for change in [
            "GRANT CAPABILITY TIME_ACCESS",
            "GRANT CAPABILITY DATABASE_READ('*')",
            "REVOKE CAPABILITY TIME_ACCESS",
            "DENY CAPABILITY TIME_ACCESS",
            "SET SECURITY POLICY PERMISSIVE",
            "SET (max_instructions = 1000)",
        ] {
            let error = refuse(&mut session, &format!("ALTER {kind} c {change}"), "42809");
            assert!(
                error.message().starts_with("condition \"c\" has no "),
                "{error:?}"
            );
        }
    }
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM heliosdb.grants"),
        Value::Integer(0)
    );
    assert_eq!(value(&mut session, "SELECT c('1')"), Value::Integer(1));
}

#[test]
fn d11_a_disabled_condition_denies() {
    let mut session = session();
    create(&mut session, "c", "return true;");
    run(&mut session, "ALTER CONDITION c SET ENABLED = false");
    assert_eq!(value(&mut session, "SELECT c('1')"), Value::Integer(0));
    denies(&mut session, "c", "1", FailureKind::Disabled, "55000");
    run(&mut session, "ALTER CONDITION c SET ENABLED = true");
    assert_eq!(value(&mut session, "SELECT c('1')"), Value::Integer(1));
}

#[test]
fn d11_an_earlier_version_runs_again() {
    let mut session = session();
    create(&mut session, "c", "return true;");
    create(&mut session, "c", "return false;");
    assert_eq!(value(&mut session, "SELECT c('1')"), Value::Integer(0));
    run(&mut session, "ALTER CONDITION c SET VERSION 1");
    assert_eq!(value(&mut session, "SELECT c('1')"), Value::Integer(1));
    refuse(&mut session, "ALTER CONDITION c SET VERSION 3", "22023");
}

#[test]
fn d11_a_condition_stays_one_when_the_vault_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let storage = perihelion::Storage::Directory(directory.path().join("vault"));
        crate::support::runtime().vault(storage).unwrap()
    };
    let vault = open();
    create(&mut vault.session().unwrap(), "c", "for (;;) {}");
    drop(vault);
    let mut session = open().session().unwrap();
    // Its limits are a condition's as well.
    denies(&mut session, "c", "1", FailureKind::Limit, "57014");
    refuse(
        &mut session,
        "ALTER FUNCTION c GRANT CAPABILITY TIME_ACCESS",
        "42809",
    );
}

#[test]
fn i19_allow_deny_and_a_kind_of_failure() {
    let mut session = session();
    create(
        &mut session,
        "c",
        "if (context === null) throw new RangeError('no context'); return context.yes;",
    );
    let allowed = session.check("c", r#"{"yes": true}"#).unwrap();
    assert_eq!(allowed.verdict, Verdict::Allow);
    assert!(allowed.is_allowed() && allowed.failure.is_none());
    let denied = session.check("c", r#"{"yes": false}"#).unwrap();
    assert_eq!(denied.verdict, Verdict::Deny);
    assert!(!denied.is_allowed() && denied.failure.is_none());
    let failed = denies(&mut session, "c", "null", FailureKind::Guest, "38000");
    let error = failed.failure.unwrap().error;
    assert_eq!(
        error.message(),
        "condition \"c\" failed: RangeError: no context"
    );
    assert!(error.context().unwrap().contains("c.js:1:"), "{error:?}");
    // These two are no decisions.
    let unknown = session.check("nobody", "{}").unwrap_err();
    assert_eq!(unknown.sqlstate().as_str(), "42883");
    run(
        &mut session,
        "CREATE FUNCTION f() LANGUAGE javascript AS $$ function f() {} $$",
    );
    let procedure = session.check("f", "{}").unwrap_err();
    assert_eq!(procedure.sqlstate().as_str(), "42809");
    refuse(&mut session, "SELECT nobody('{}')", "42883");
    refuse(&mut session, "SELECT c('{}', '{}')", "42883");
    refuse(&mut session, "SELECT c()", "42883");
}

#[test]
fn i19_what_is_no_context_is_denied() {
    let mut session = session();
    create(&mut session, "c", "return true;");
    for context in [
        "{}",
        "[]",
        "null",
        r#"{"a": {"b": [1, 2.5e3, "é", false]}, "__proto__": 1}"#,
        "123456789012345678901234567890",
    ] {
        assert!(
            session.check("c", context).unwrap().is_allowed(),
            "{context}"
        );
    }
    for context in [
        "",
        "{",
        "{'a': 1}",
        "NaN",
        "{} {}",
        r#"{"role": "user", "role": "admin"}"#,
        r#""\ud800""#,
        "1e999",
    ] {
        denies(&mut session, "c", context, FailureKind::Context, "22P02");
    }
    let most = format!("\"{}\"", "x".repeat((256 << 10) - 2));
    assert!(session.check("c", &most).unwrap().is_allowed());
    denies(
        &mut session,
        "c",
        &format!("{most} "),
        FailureKind::Context,
        "22P02",
    );
    let deep = "[".repeat(200_000);
    denies(&mut session, "c", &deep, FailureKind::Context, "22P02");
    for sql in [
        "NULL",
        "5",
        "2.5",
        "x'7b7d'",
        "CAST(x'ff' AS TEXT)",
        "''",
        "zeroblob(9000000)",
    ] {
        let sql = format!("SELECT c({sql})");
        assert_eq!(value(&mut session, &sql), Value::Integer(0), "{sql}");
    }
}

#[test]
fn i19_only_true_is_true() {
    let mut session = session();
    for (answer, kind, sqlstate) in [
        ("'true'", FailureKind::Result, "42804"),
        ("1", FailureKind::Result, "42804"),
        ("0.5", FailureKind::Result, "42804"),
        ("1n", FailureKind::Result, "42804"),
        ("null", FailureKind::Result, "42804"),
        ("undefined", FailureKind::Result, "42804"),
        ("new Date(1)", FailureKind::Result, "42804"),
        ("new Uint8Array(1)", FailureKind::Result, "42804"),
        ("new Boolean(true)", FailureKind::Guest, "38000"),
        ("[true]", FailureKind::Guest, "38000"),
        ("{ toJSON() { return true; } }", FailureKind::Guest, "38000"),
        (
            "{ valueOf() { return true; } }",
            FailureKind::Guest,
            "38000",
        ),
        (
            "new Proxy({}, { get() { return () => true; } })",
            FailureKind::Guest,
            "38000",
        ),
        ("() => true", FailureKind::Guest, "38000"),
        ("Symbol('true')", FailureKind::Guest, "38000"),
        ("Promise.resolve(1)", FailureKind::Result, "42804"),
        ("Promise.reject(true)", FailureKind::Guest, "38000"),
        ("new Promise(() => {})", FailureKind::Guest, "38000"),
        // A thenable is no promise.
        (
            "{ then(done) { done(true); } }",
            FailureKind::Guest,
            "38000",
        ),
        (
            "(function* () { yield true; })()",
            FailureKind::Guest,
            "38000",
        ),
    ] {
        create(&mut session, "c", &format!("return ({answer});"));
        let decision = session.check("c", "{}").unwrap();
        assert_eq!(decision.verdict, Verdict::Deny, "{answer}");
        let failure = decision.failure.unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(failure.kind, kind, "{answer}: {:?}", failure.error);
        assert_eq!(failure.error.sqlstate().as_str(), sqlstate, "{answer}");
    }
    // A promise counts as what it settles to.
    for answer in [
        "Promise.resolve(true)",
        "(async () => { await 1; return true; })()",
    ] {
        create(&mut session, "c", &format!("return ({answer});"));
        assert!(session.check("c", "{}").unwrap().is_allowed(), "{answer}");
    }
}

#[test]
fn i17_every_decision_is_one_entry() {
    let mut session = session();
    create(&mut session, "secret", "return context.name === 'Ada';");
    run(
        &mut session,
        r#"CREATE TABLE person (name TEXT);
           INSERT INTO person VALUES ('Ada'), ('CANARY-2b'), ('CANARY-2b');"#,
    );
    let sql = "SELECT secret(json_object('name', name)) FROM person";
    assert_eq!(column(&mut session, sql), ["1", "0", "0"]);
    session.check("secret", r#"{"name": "Ada"}"#).unwrap();
    session.check("secret", "CANARY-2b").unwrap();
    assert_eq!(entries(&mut session), 5);
    let rows = column(
        &mut session,
        "SELECT function_name || ' ' || function_version || ' ' || caller || ' ' || allowed
         FROM heliosdb.audit_log WHERE event_type = 'Decision'",
    );
    let allowed = "secret 1 owner 1".to_string();
    assert_eq!(
        rows.iter().filter(|row| **row == allowed).count(),
        2,
        "{rows:?}"
    );
    // As many entries of an execution: none.
    assert_eq!(
        value(
            &mut session,
            "SELECT count(*) FROM heliosdb.audit_log WHERE event_type LIKE 'Execution%'"
        ),
        Value::Integer(0)
    );
    let details = column(
        &mut session,
        "SELECT detail FROM heliosdb.audit_log WHERE event_type = 'Decision' ORDER BY seq",
    );
    let digest = blake3::hash(br#"{"name":"Ada"}"#).to_hex();
    assert!(details[0].starts_with(&format!("{{\"context\":\"{digest}\",\"instructions\":")));
    assert_eq!(details[1], details[2]);
    assert!(details[4].ends_with(r#""instructions":0,"failure":"context","sqlstate":"22P02"}"#));
    assert!(!details.concat().contains("CANARY"));
}

#[test]
fn i17_no_answer_without_its_entry() {
    let directory = tempfile::tempdir().unwrap();
    let vault = directory.path().join("vault");
    let storage = perihelion::Storage::Directory(vault.clone());
    let mut session = crate::support::runtime()
        .vault(storage)
        .unwrap()
        .session()
        .unwrap();
    create(&mut session, "c", "return true;");
    assert!(session.check("c", "{}").unwrap().is_allowed());
    let _full = crate::conditions::full_disk(&vault.join("audit"));
    let mut error = None;
    // The open segment still takes what fits; then a new one cannot be made.
    for _ in 0..200_000 {
        if let Err(refused) = session.check("c", "nonsense") {
            error = Some(refused);
            break;
        }
    }
    let error = error.expect("the log is full at last");
    assert_eq!(error.sqlstate().as_str(), "58030");
    refuse(&mut session, "SELECT c('{}')", "58030");
}

/// Puts the directory away, so that no further segment can be made in it.
fn full_disk(directory: &std::path::Path) -> std::path::PathBuf {
    let moved = directory.with_extension("moved");
    std::fs::rename(directory, &moved).unwrap();
    moved
}

#[test]
fn i27_the_limits_are_lower_and_listed() {
    let mut session = session();
    create(&mut session, "c", "return true;");
    for (name, key, most) in [
        ("memory", "max_memory_bytes", 16 << 20),
        ("cpu time", "max_cpu_time_ms", 250),
        ("wall time", "max_wall_time_ms", 1_000),
        ("instruction", "max_instructions", 100_000_000),
        ("stack", "max_stack_bytes", 2 << 20),
    ] {
        let sql = format!("SELECT max_value FROM heliosdb.limits WHERE name = 'condition {name}'");
        assert_eq!(value(&mut session, &sql), Value::Integer(most));
        let sql = format!(
            "SELECT value FROM heliosdb.function_limits
             WHERE function_name = 'c' AND setting = '{key}' AND set_by = 'every condition'"
        );
        assert_eq!(value(&mut session, &sql), Value::Integer(most));
        let sql = format!("SELECT default_value FROM heliosdb.limits WHERE setting = '{key}'");
        let default = text(&mut session, &sql).parse::<i64>().unwrap();
        assert!(most <= default, "{name}");
    }
}
