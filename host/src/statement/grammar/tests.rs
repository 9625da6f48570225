//! What the grammar accepts and refuses.

use super::super::tests::assert_refused;
use super::super::{Name, parse};
use super::*;
use crate::policy::{Entry, EntryValue};

fn name(name: &str) -> Name {
    Name {
        folded: name.to_lowercase(),
        written: name.to_owned(),
    }
}

fn assert_alters(text: &str, function: &str, alteration: Alteration) {
    let name = name(function);
    let kind = FunctionKind::Procedure;
    let expected = Statement::AlterFunction {
        kind,
        name,
        alteration,
    };
    assert_eq!(parse(text).expect(text), expected, "{text}");
}

fn grants(grants: &[(&str, Option<&str>)]) -> Vec<Grant> {
    grants
        .iter()
        .map(|(name, pattern)| Grant::new(name, *pattern).unwrap())
        .collect()
}

#[test]
fn h9_h10_a_capability_is_granted() {
    assert_alters(
        "-- With database read permission\nALTER FUNCTION user_lookup\nGRANT CAPABILITY DATABASE_READ('users');",
        "user_lookup",
        Alteration::Grant(grants(&[("DATABASE_READ", Some("users"))])),
    );
    assert_alters(
        "ALTER FUNCTION update_user\nGRANT CAPABILITY DATABASE_WRITE('users');",
        "update_user",
        Alteration::Grant(grants(&[("DATABASE_WRITE", Some("users"))])),
    );
}

#[test]
fn h31_h34_h43_capabilities_have_the_patterns_that_they_take() {
    for (capability, name, pattern) in [
        ("DATABASE_READ('*')", "DATABASE_READ", Some("*")),
        ("DATABASE_READ('user_*')", "DATABASE_READ", Some("user_*")),
        (
            "DATABASE_WRITE('audit_log')",
            "DATABASE_WRITE",
            Some("audit_log"),
        ),
        (
            "database_read /* a */ ( 'users' )",
            "DATABASE_READ",
            Some("users"),
        ),
        ("TIME_ACCESS", "TIME_ACCESS", None),
    ] {
        let text = format!("ALTER FUNCTION f GRANT CAPABILITY {capability}");
        assert_alters(&text, "f", Alteration::Grant(grants(&[(name, pattern)])));
    }
}

#[test]
fn d9_revoke_and_deny_take_lists_as_grant_does() {
    let both = || grants(&[("DATABASE_READ", Some("a")), ("TIME_ACCESS", None)]);
    let list = "CAPABILITY DATABASE_READ('a'), TIME_ACCESS";
    assert_alters(
        &format!("ALTER FUNCTION F grant {list}"),
        "F",
        Alteration::Grant(both()),
    );
    assert_alters(
        &format!("alter function f REVOKE {list}"),
        "f",
        Alteration::Revoke(both()),
    );
    assert_alters(
        &format!("ALTER FUNCTION f DENY {list}"),
        "f",
        Alteration::Deny(both()),
    );
}

#[test]
fn d9_bare_grant_names_the_full_form() {
    for (text, hint) in [
        (
            "GRANT CAPABILITY DATABASE_WRITE('*');",
            "ALTER FUNCTION <function> GRANT CAPABILITY DATABASE_WRITE('*');",
        ),
        (
            "revoke capability TIME_ACCESS -- now",
            "ALTER FUNCTION <function> REVOKE CAPABILITY TIME_ACCESS;",
        ),
        (
            "DENY CAPABILTY FILE_READ('/tmp/uploads/*')",
            "ALTER FUNCTION <function> DENY CAPABILITY FILE_READ('/tmp/uploads/*');",
        ),
        (
            "GRANT CAPABILITY",
            "ALTER FUNCTION <function> GRANT CAPABILITY <capability>;",
        ),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.sqlstate(), SqlState::SYNTAX);
        assert!(
            error.message().ends_with("CAPABILITY needs a function"),
            "{error:?}"
        );
        assert_eq!(error.hint(), Some(hint));
    }
}

#[test]
fn h104_a_function_is_disabled_and_enabled() {
    for (text, enabled) in [
        ("ALTER FUNCTION f\nSET ENABLED = false;", false),
        ("ALTER FUNCTION f SET ENABLED = true", true),
        ("ALTER FUNCTION f SET enabled TO TRUE", true),
        ("ALTER FUNCTION f SET ENABLED false", false),
    ] {
        assert_alters(text, "f", Alteration::SetEnabled(enabled));
    }
}

#[test]
fn a_function_is_dropped() {
    for (text, if_exists) in [
        ("DROP FUNCTION f;", false),
        ("drop function if exists f", true),
    ] {
        let expected = Statement::DropFunction {
            kind: FunctionKind::Procedure,
            name: name("f"),
            if_exists,
        };
        assert_eq!(parse(text).unwrap(), expected);
    }
}

#[test]
fn a_call_keeps_its_text() {
    for (text, function, call) in [
        ("CALL f()", "f", "f()"),
        (
            "call F(1, ')', (2), \"a)\") ; -- c",
            "F",
            "F(1, ')', (2), \"a)\")",
        ),
        ("CALL /* a */ f /* b */ (?1, :x)", "f", "f /* b */ (?1, :x)"),
    ] {
        let expected = Statement::Call {
            function: name(function),
            call: call.to_owned(),
            explain: false,
        };
        assert_eq!(parse(text).unwrap(), expected);
    }
}

#[test]
fn what_a_statement_costs_can_be_asked_for() {
    let explained = |text: &str| match parse(text) {
        Ok(Statement::Call { call, explain, .. }) => (call, explain),
        Ok(Statement::ExplainAnalyze { text, .. }) => (text, true),
        other => panic!("{text}\n{other:?}"),
    };
    let is = |text: &str, inner: &str| assert_eq!(explained(text), (inner.to_owned(), true));
    is("CALL f(1) WITH (explain)", "f(1)");
    is("EXPLAIN (ANALYZE) SELECT f(1);", "SELECT f(1)");
    is("explain analyze CALL f(1)", "f(1)");
    is(
        "EXPLAIN ANALYZE UPDATE t SET a = f(a)",
        "UPDATE t SET a = f(a)",
    );
    assert_refused(&[
        ("EXPLAIN ANALYZE", SqlState::SYNTAX, "at the end"),
        ("EXPLAIN (ANALYZE", SqlState::SYNTAX, "at the end"),
        ("EXPLAIN (COSTS) SELECT 1", SqlState::SYNTAX, "at \"COSTS\""),
        (
            "EXPLAIN ANALYZE EXPLAIN SELECT 1",
            SqlState::SYNTAX,
            "at \"EXPLAIN\"",
        ),
        (
            "EXPLAIN ANALYZE DROP FUNCTION f",
            SqlState::SYNTAX,
            "for statements that call",
        ),
        ("CALL f() WITH (cost)", SqlState::SYNTAX, "at \"cost\""),
        (
            "EXPLAIN ANALYZE SELECT $$;$$",
            SqlState::SYNTAX,
            "dollar-quoted",
        ),
    ]);
    let many = "EXPLAIN ANALYZE ".repeat(100_000);
    assert!(parse(&many).is_err());
}

#[test]
fn a_call_is_nothing_more_than_the_call() {
    use SqlState as S;
    assert_refused(&[
        (
            "CALL",
            S::SYNTAX,
            "syntax error at the end of the statement",
        ),
        (
            "CALL f",
            S::SYNTAX,
            "syntax error at the end of the statement",
        ),
        (
            "CALL f(1",
            S::SYNTAX,
            "syntax error at the end of the statement",
        ),
        ("CALL f(1))", S::SYNTAX, "syntax error at \")\""),
        (
            "CALL f(1) FROM secrets",
            S::SYNTAX,
            "syntax error at \"FROM\"",
        ),
        ("CALL f(1), g(2)", S::SYNTAX, "syntax error at \",\""),
        ("CALL 1", S::SYNTAX, "syntax error at \"1\""),
        (
            "CALL heliosdb.alert('a', 'b')",
            S::FEATURE_NOT_SUPPORTED,
            "with a schema",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_an_alteration_is_said() {
    use SqlState as S;
    assert_refused(&[
        ("ALTER FUNCTION", S::SYNTAX, "at the end of the statement"),
        (
            "ALTER FUNCTION 'f' SET ENABLED = true",
            S::SYNTAX,
            "syntax error at \"'f'\"",
        ),
        ("ALTER FUNCTION f", S::SYNTAX, "at the end of the statement"),
        (
            "ALTER FUNCTION f(INTEGER) SET ENABLED = true",
            S::SYNTAX,
            "syntax error at \"(\"",
        ),
        (
            "ALTER FUNCTION f GIVE CAPABILITY TIME_ACCESS",
            S::SYNTAX,
            "at \"GIVE\"",
        ),
        (
            "ALTER FUNCTION f GRANT TIME_ACCESS",
            S::SYNTAX,
            "at \"TIME_ACCESS\"",
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY",
            S::SYNTAX,
            "at the end of the statement",
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY 'TIME_ACCESS'",
            S::SYNTAX,
            "at \"'TIME_ACCESS'\"",
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY TIME_ACCESS,",
            S::SYNTAX,
            "at the end",
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY TIME_ACCESS TO g",
            S::SYNTAX,
            "at \"TO\"",
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ(users)",
            S::SYNTAX,
            "at \"users\"",
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('a', 'b')",
            S::SYNTAX,
            "at \",\"",
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ",
            S::SYNTAX,
            "needs a table pattern",
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('')",
            S::INVALID_VALUE,
            "is empty",
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY TIME_ACCESS('a')",
            S::SYNTAX,
            "no argument",
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY ALL",
            S::INVALID_VALUE,
            "no capability \"ALL\"",
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY FILE_READ('/tmp/uploads/*')",
            S::FEATURE_NOT_SUPPORTED,
            "capability FILE_READ is not built",
        ),
        (
            "ALTER FUNCTION f SET ENABLED",
            S::SYNTAX,
            "at the end of the statement",
        ),
        (
            "ALTER FUNCTION f SET ENABLED = maybe",
            S::SYNTAX,
            "at \"maybe\"",
        ),
        (
            "ALTER FUNCTION f SET ENABLED = true, x",
            S::SYNTAX,
            "at \",\"",
        ),
        ("DROP FUNCTION", S::SYNTAX, "at the end of the statement"),
        ("DROP FUNCTION f(INTEGER)", S::SYNTAX, "at \"(\""),
        ("DROP FUNCTION f, g", S::SYNTAX, "at \",\""),
        ("DROP FUNCTION IF EXIST f", S::SYNTAX, "at \"EXIST\""),
    ]);
}

fn assert_not_built(text: &str, what: &str) {
    let error = parse(text).expect_err(text);
    assert_eq!(
        error.sqlstate(),
        SqlState::FEATURE_NOT_SUPPORTED,
        "{error:?}"
    );
    assert_eq!(
        error.message(),
        format!("{what} is not built in this version")
    );
}

#[test]
fn what_alter_function_sets() {
    for (action, expected) in [
        (
            "SET SECURITY POLICY MINIMAL",
            Alteration::SetPolicy(Name {
                folded: "minimal".to_owned(),
                written: "MINIMAL".to_owned(),
            }),
        ),
        (
            "\nset security policy strict_read_only;",
            Alteration::SetPolicy(Name {
                folded: "strict_read_only".to_owned(),
                written: "strict_read_only".to_owned(),
            }),
        ),
        ("SET VERSION 3", Alteration::SetVersion(3)),
        ("SET VERSION = 3", Alteration::SetVersion(3)),
        (
            "SET (max_memory_bytes = 1, max_cpu_time_ms: DEFAULT)",
            Alteration::SetLimits(vec![
                Entry {
                    key: "max_memory_bytes".to_owned(),
                    value: EntryValue::Number("1".to_owned()),
                },
                Entry {
                    key: "max_cpu_time_ms".to_owned(),
                    value: EntryValue::Default,
                },
            ]),
        ),
    ] {
        let text = format!("ALTER FUNCTION f {action}");
        match parse(&text) {
            Ok(Statement::AlterFunction { alteration, .. }) => assert_eq!(alteration, expected),
            other => panic!("{text}\n{other:?}"),
        }
    }
    assert_refused(&[
        (
            "ALTER FUNCTION f SET VERSION -1",
            SqlState::SYNTAX,
            "at \"-\"",
        ),
        (
            "ALTER FUNCTION f SET VERSION x",
            SqlState::SYNTAX,
            "at \"x\"",
        ),
        (
            "ALTER FUNCTION f SET SECURITY",
            SqlState::SYNTAX,
            "at the end",
        ),
        ("ALTER FUNCTION f SET ()", SqlState::SYNTAX, "at \")\""),
    ]);
}

#[test]
fn what_alter_function_cannot_do_yet_is_refused() {
    for (action, what) in [
        ("SET RATE LIMIT 5", "SET RATE LIMIT"),
        ("RENAME TO g", "RENAME"),
        ("OWNER TO u", "OWNER"),
    ] {
        let what = format!("ALTER FUNCTION ... {what}");
        assert_not_built(&format!("ALTER FUNCTION f {action}"), &what);
    }
}

#[test]
fn show_limits_is_a_query_of_a_view() {
    let sql = |text: &str| match parse(text) {
        Ok(Statement::Sql { text, .. }) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(sql("SHOW LIMITS;"), "SELECT * FROM heliosdb.limits");
    let of_one = sql("show limits for \"it's\"");
    assert!(
        of_one.ends_with("WHERE function_name = 'it''s'"),
        "{of_one}"
    );
    assert_refused(&[
        ("SHOW TABLES", SqlState::SYNTAX, "at \"TABLES\""),
        ("SHOW LIMITS FOR f, g", SqlState::SYNTAX, "at \",\""),
    ]);
}

#[test]
fn h77_an_alert_is_refused_until_built() {
    let alert = "CREATE TRIGGER security_alert_capability_denial\n\
         AFTER INSERT ON heliosdb.audit_log\nFOR EACH ROW\n\
         WHEN (NEW.event_type = 'CapabilityCheck' AND NEW.allowed = false)\nBEGIN\n  \
         SELECT heliosdb.alert(\n    'security',\n    \
         'Capability denied for function: ' || NEW.function_name\n  );\nEND;";
    let what = "CREATE TRIGGER ... ON heliosdb.audit_log";
    assert_not_built(alert, what);
    assert_not_built(&alert.replace("CREATE", "CREATE TEMP"), what);
    let quoted = alert.replace("heliosdb.audit_log", "[HeliosDB] . \"audit_log\"");
    assert_not_built(&quoted, what);
}

#[test]
fn d11_other_kinds_are_refused_until_built() {
    for kind in ["SECRET", "KEY", "PROCEDURE"] {
        for verb in ["CREATE", "ALTER", "DROP"] {
            let text = format!("{verb} {kind} a").to_lowercase();
            assert_not_built(&text, &format!("{verb} {kind}"));
        }
    }
}

#[test]
fn d11_a_condition_has_statements_of_its_own() {
    let kind = FunctionKind::Condition;
    let name = || name("f");
    let alters = |alteration| Statement::AlterFunction {
        kind,
        name: name(),
        alteration,
    };
    let drops = |if_exists| Statement::DropFunction {
        kind,
        name: name(),
        if_exists,
    };
    for (text, expected) in [
        (
            "alter condition f set enabled = false",
            alters(Alteration::SetEnabled(false)),
        ),
        (
            "ALTER CONDITION f SET VERSION 2;",
            alters(Alteration::SetVersion(2)),
        ),
        ("DROP CONDITION f", drops(false)),
        ("DROP CONDITION IF EXISTS f;", drops(true)),
    ] {
        assert_eq!(parse(text).expect(text), expected);
    }
    let error = parse("DROP CONDITON f").unwrap_err();
    assert!(error.hint().unwrap().starts_with("did you mean CONDITION?"));
    let error = parse("DROP CONDITION f g").unwrap_err();
    assert_eq!(error.hint(), Some(DROP_CONDITION_FORM));
    let error = parse("ALTER CONDITION f").unwrap_err();
    assert_eq!(error.hint(), Some(ALTER_CONDITION_FORM));
}

#[test]
fn d9_the_grants_of_the_seed_name_their_function_each() {
    let script = "-- BAD: Overly permissive\nALTER FUNCTION process_data\n\
         GRANT CAPABILITY DATABASE_READ('*');\nGRANT CAPABILITY DATABASE_WRITE('*');";
    let statements: Vec<_> = super::super::split(script)
        .map(|statement| parse(statement.unwrap()))
        .collect();
    assert_eq!(statements.len(), 2);
    assert!(matches!(statements[0], Ok(Statement::AlterFunction { .. })));
    assert!(statements[1].is_err());
}

#[test]
fn a_misspelt_keyword_is_recognized() {
    for (text, place, near) in [
        (
            "ALTER FUNCTION f GRANT CAPABILTY TIME_ACCESS",
            "CAPABILTY",
            "CAPABILITY",
        ),
        (
            "ALTER FUNCTION f GRAND CAPABILITY TIME_ACCESS",
            "GRAND",
            "GRANT",
        ),
        ("ALTER FUNCTION f SET ENABLE = true", "ENABLE", "ENABLED"),
        ("ALTER FUNCTON f SET ENABLED = true", "FUNCTON", "FUNCTION"),
        (
            "CREATE FUNCTIN f LANGUAGE wasm AS ''",
            "FUNCTIN",
            "FUNCTION",
        ),
        (
            "CREATE FUNCTION f LANGAUGE wasm AS ''",
            "LANGAUGE",
            "LANGUAGE",
        ),
        ("DROP FUNCTIONS f", "FUNCTIONS", "FUNCTION"),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.message(), format!("syntax error at \"{place}\""));
        let start = format!("did you mean {near}? the form is ");
        assert!(error.hint().unwrap().starts_with(&start), "{error:?}");
    }
}

#[test]
fn a_syntax_error_shows_the_place_and_the_form() {
    let text = "-- rights\nALTER FUNCTION f\n  PERMIT x;";
    let error = parse(text).unwrap_err();
    assert_eq!(error.message(), "syntax error at \"PERMIT\"");
    assert_eq!(error.detail(), Some("expected GRANT, REVOKE, DENY or SET"));
    assert_eq!(error.hint(), Some(ALTER_FORM));
    assert_eq!(error.context(), Some("LINE 3:   PERMIT x\n          ^"));
}
