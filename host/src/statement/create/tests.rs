//! What CREATE FUNCTION accepts and what it refuses.

use super::super::tests::assert_refused;
use super::super::{Name, Statement, parse};
use super::*;

fn created(text: &str) -> CreateFunction {
    match parse(text) {
        Ok(Statement::CreateFunction(function)) => function,
        other => panic!("{text}\n{other:?}"),
    }
}

/// A function `f` without anything that may be left out.
fn smallest(language: Language, body: &str) -> CreateFunction {
    CreateFunction {
        kind: FunctionKind::Procedure,
        or_replace: false,
        name: Name {
            folded: "f".to_owned(),
            written: "f".to_owned(),
        },
        parameters: None,
        returns: None,
        table: None,
        strict: false,
        volatility: None,
        language,
        body: body.to_owned(),
    }
}

#[test]
fn h8_the_read_only_function() {
    let function = created(
        "-- Minimal permissions (default)\n\
         CREATE FUNCTION read_only_function(id INTEGER)\nRETURNS JSON\nLANGUAGE javascript\nAS $$\n\
         \x20 function read_only_function(id) {\n\
         \x20   // Can only perform computations\n\
         \x20   // No database, file, or network access\n\
         \x20   return { id: id, processed: true };\n  }\n$$;",
    );
    assert_eq!(function.name.folded, "read_only_function");
    let id = Parameter {
        name: "id".to_owned(),
        sql_type: SqlType::Integer,
    };
    assert_eq!(function.parameters, Some(vec![id]));
    assert_eq!(function.returns, Some(SqlType::Json));
    assert_eq!(function.language, Language::JavaScript);
    assert!(!function.or_replace && !function.strict);
    assert!(
        function
            .body
            .starts_with("  function read_only_function(id) {\n    // Can")
    );
    assert!(function.body.ends_with("true };\n  }\n"));
}

#[test]
fn attributes_come_in_any_order() {
    let full = CreateFunction {
        returns: Some(SqlType::Integer),
        strict: true,
        ..smallest(Language::JavaScript, "b;")
    };
    for text in [
        "CREATE FUNCTION f RETURNS INTEGER LANGUAGE javascript STRICT AS 'b;'",
        "create function f as 'b;' strict language JS returns int;",
        "CREATE FUNCTION f LANGUAGE 'javascript' RETURNS NULL ON NULL INPUT AS $$b;$$ RETURNS int4",
        "CREATE/**/FUNCTION/**/f/**/As$a$b;$a$/**/STRICT--\nLANGUAGE \"js\" RETURNS INT",
    ] {
        assert_eq!(created(text), full, "{text}");
    }
    for (text, volatility) in [
        ("IMMUTABLE", Volatility::Immutable),
        ("stable", Volatility::Stable),
        ("Volatile", Volatility::Volatile),
    ] {
        let said = created(&format!("CREATE FUNCTION f {text} LANGUAGE js AS 'b'"));
        let volatility = Some(volatility);
        let smallest = smallest(Language::JavaScript, "b");
        assert_eq!(
            said,
            CreateFunction {
                volatility,
                ..smallest
            }
        );
    }
    let called = created("CREATE FUNCTION f CALLED ON NULL INPUT LANGUAGE js AS 'b'");
    assert_eq!(called, smallest(Language::JavaScript, "b"));
}

#[test]
fn d1_a_component_needs_no_signature() {
    let function = created("CREATE OR REPLACE FUNCTION f LANGUAGE wasm AS 'it''s.wasm'");
    let expected = CreateFunction {
        or_replace: true,
        ..smallest(Language::Wasm, "it's.wasm")
    };
    assert_eq!(function, expected);
    let empty = created("CREATE FUNCTION f() LANGUAGE wasm AS ''");
    assert_eq!(empty.parameters, Some(Vec::new()));
}

#[test]
fn d1_another_language_is_told_the_way() {
    for language in ["python", "plpgsql", "SQL", "'rust'"] {
        let text = format!("CREATE FUNCTION \"the area\" LANGUAGE {language} AS ''");
        let error = parse(&text).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::FEATURE_NOT_SUPPORTED);
        let name = language.trim_matches('\'');
        let message = format!("LANGUAGE {name} is not built in this version");
        assert_eq!(error.message(), message);
        let way = "CREATE FUNCTION \"the area\" LANGUAGE wasm AS '<path>';";
        assert!(error.hint().unwrap().ends_with(way), "{error:?}");
    }
}

#[test]
fn d19_unquoted_names_fold() {
    for (written, folded, unquoted) in [
        ("Top_Track", "top_track", "Top_Track"),
        ("\"Top Track\"", "Top Track", "Top Track"),
        ("`a``b`", "a`b", "a`b"),
        ("[Select]", "Select", "Select"),
        ("ÄÖ", "ÄÖ", "ÄÖ"),
    ] {
        let function = created(&format!("CREATE FUNCTION {written} LANGUAGE js AS ''"));
        assert_eq!(function.name.folded, folded);
        assert_eq!(function.name.written, unquoted);
    }
    let function = created("CREATE FUNCTION f(A int, \"A\" int) LANGUAGE js AS ''");
    let names: Vec<String> = function
        .parameters
        .unwrap()
        .into_iter()
        .map(|p| p.name)
        .collect();
    assert_eq!(names, ["a", "A"]);
}

#[test]
fn types_may_have_several_words() {
    let function = created(
        "CREATE FUNCTION f(a double precision, b CHARACTER VARYING, c timestamp without time \
         zone, d timestamp, e double) RETURNS DOUBLE PRECISION LANGUAGE js AS ''",
    );
    let types: Vec<SqlType> = function
        .parameters
        .unwrap()
        .into_iter()
        .map(|p| p.sql_type)
        .collect();
    let (double, moment) = (SqlType::Double, SqlType::Timestamp);
    assert_eq!(types, [double, SqlType::Text, moment, moment, double]);
    assert_eq!(function.returns, Some(double));
}

#[test]
fn a_table_has_columns_like_parameters() {
    let column = |name: &str, sql_type| Parameter {
        name: name.to_owned(),
        sql_type,
    };
    let columns = created(
        "CREATE FUNCTION f(a int) RETURNS TABLE (A int, b double precision) LANGUAGE js AS ''",
    );
    let expected = [column("a", SqlType::Integer), column("b", SqlType::Double)];
    assert_eq!(columns.table.unwrap(), expected);
    assert_eq!(columns.returns, None);
    let of_component = created("CREATE FUNCTION f RETURNS TABLE LANGUAGE wasm AS ''");
    assert_eq!(of_component.table, Some(Vec::new()));
    use SqlState as S;
    assert_refused(&[
        (
            "CREATE FUNCTION f() RETURNS TABLE ()",
            S::SYNTAX,
            "at \")\"",
        ),
        (
            "CREATE FUNCTION f() RETURNS TABLE (a)",
            S::SYNTAX,
            "at \")\"",
        ),
        (
            "CREATE FUNCTION f() RETURNS TABLE (a int, a int)",
            S::SYNTAX,
            "\"a\" is given twice",
        ),
        (
            "CREATE FUNCTION f() RETURNS TABLE (a void)",
            S::WRONG_TYPE,
            "VOID",
        ),
        (
            "CREATE FUNCTION f() RETURNS TABLE (a int) RETURNS int",
            S::SYNTAX,
            "RETURNS is given twice",
        ),
    ]);
}

#[test]
fn d19_signatures_that_are_not_built_are_refused() {
    let refused = |signature: &str, message: &str| {
        let text = format!("CREATE FUNCTION f{signature} LANGUAGE js AS ''");
        let message = format!("{message} not built in this version");
        assert_refused(&[(&text, SqlState::FEATURE_NOT_SUPPORTED, &message)]);
    };
    for (signature, message) in [
        ("(a varchar(20))", "type modifiers are"),
        ("(a numeric(10, 2))", "type modifiers are"),
        ("(a integer[])", "arrays are"),
        ("(a integer[3])", "arrays are"),
        ("(a integer ARRAY)", "arrays are"),
        ("(a integer DEFAULT 1)", "DEFAULT of a parameter is"),
        ("(a integer = 1)", "DEFAULT of a parameter is"),
        ("(VARIADIC a integer)", "VARIADIC before a parameter is"),
        ("(in a integer)", "IN before a parameter is"),
        ("(a integer, OUT b integer)", "OUT before a parameter is"),
        ("(INOUT a integer)", "INOUT before a parameter is"),
        (" RETURNS SETOF integer", "RETURNS SETOF is"),
        (" RETURNS integer[]", "arrays are"),
        (" LEAKPROOF", "CREATE FUNCTION ... LEAKPROOF is"),
        (" SECURITY DEFINER", "CREATE FUNCTION ... SECURITY is"),
        (" PURPOSE 'a'", "CREATE FUNCTION ... PURPOSE is"),
        (" COST 5", "CREATE FUNCTION ... COST is"),
    ] {
        refused(signature, message);
    }
    let text = "CREATE FUNCTION main.f LANGUAGE js AS ''";
    assert_refused(&[(
        text,
        SqlState::FEATURE_NOT_SUPPORTED,
        "a function with a schema is not",
    )]);
    let text = "CREATE FUNCTION IF NOT EXISTS f LANGUAGE js AS ''";
    assert_refused(&[(
        text,
        SqlState::FEATURE_NOT_SUPPORTED,
        "IF NOT EXISTS is not built",
    )]);
}

#[test]
fn what_is_wrong_with_a_function_is_said() {
    use SqlState as S;
    let long = format!("CREATE FUNCTION {} LANGUAGE js AS ''", "é".repeat(32));
    assert_refused(&[
        ("CREATE FUNCTION", S::SYNTAX, "at the end of the statement"),
        ("CREATE FUNCTION (a integer)", S::SYNTAX, "at \"(\""),
        (
            "CREATE FUNCTION 'f' LANGUAGE js AS ''",
            S::SYNTAX,
            "at \"'f'\"",
        ),
        (
            "CREATE FUNCTION \"\" LANGUAGE js AS ''",
            S::SYNTAX,
            "the name of a function is empty",
        ),
        (
            "CREATE FUNCTION \"a\nb\" LANGUAGE js AS ''",
            S::SYNTAX,
            "control character",
        ),
        (&long, S::SYNTAX, "longer than 63 bytes"),
        (
            "CREATE FUNCTION f",
            S::SYNTAX,
            "at the end of the statement",
        ),
        (
            "CREATE FUNCTION f AS ''",
            S::SYNTAX,
            "at the end of the statement",
        ),
        (
            "CREATE FUNCTION f LANGUAGE js",
            S::SYNTAX,
            "at the end of the statement",
        ),
        (
            "CREATE FUNCTION f LANGUAGE AS ''",
            S::FEATURE_NOT_SUPPORTED,
            "LANGUAGE AS",
        ),
        (
            "CREATE FUNCTION f LANGUAGE js AS",
            S::SYNTAX,
            "at the end of the statement",
        ),
        (
            "CREATE FUNCTION f LANGUAGE js AS body",
            S::SYNTAX,
            "at \"body\"",
        ),
        (
            "CREATE FUNCTION f LANGUAGE js AS 'a', 'b'",
            S::SYNTAX,
            "at \",\"",
        ),
        (
            "CREATE FUNCTION f LANGUAGE js AS '' AS ''",
            S::SYNTAX,
            "AS is given twice",
        ),
        (
            "CREATE FUNCTION f LANGUAGE js LANGUAGE js AS ''",
            S::SYNTAX,
            "LANGUAGE is given twice",
        ),
        (
            "CREATE FUNCTION f STRICT CALLED ON NULL INPUT",
            S::SYNTAX,
            "NULL is given twice",
        ),
        (
            "CREATE FUNCTION f RETURNS NULL ON INPUT",
            S::SYNTAX,
            "at \"INPUT\"",
        ),
        (
            "CREATE FUNCTION f RETURNS LANGUAGE js AS ''",
            S::WRONG_TYPE,
            "no type \"LANGUAGE\"",
        ),
        (
            "CREATE FUNCTION f RETURNS money LANGUAGE js AS ''",
            S::WRONG_TYPE,
            "no type \"money\"",
        ),
        (
            "CREATE FUNCTION f(a) LANGUAGE js AS ''",
            S::SYNTAX,
            "at \")\"",
        ),
        (
            "CREATE FUNCTION f(a int b int) LANGUAGE js AS ''",
            S::SYNTAX,
            "at \"b\"",
        ),
        (
            "CREATE FUNCTION f(a int,) LANGUAGE js AS ''",
            S::SYNTAX,
            "at \")\"",
        ),
        (
            "CREATE FUNCTION f(a int, A text) LANGUAGE js AS ''",
            S::SYNTAX,
            "\"a\" is given twice",
        ),
        (
            "CREATE FUNCTION f(a void) LANGUAGE js AS ''",
            S::WRONG_TYPE,
            "VOID",
        ),
        (
            "CREATE FUNCTION f(a timestamp with time zone)",
            S::WRONG_TYPE,
            "WITH TIME ZONE",
        ),
        (
            "CREATE FUNCTION f LANGUAGE js AS $$ a;",
            S::SYNTAX,
            "unterminated $$ string",
        ),
    ]);
}

#[test]
fn a_body_may_hold_anything_but_its_own_tag() {
    let body = "return \"a;b\" + `${1}` + 'it''s' /* */ // $$\n";
    let function = created(&format!("CREATE FUNCTION f LANGUAGE js AS $js${body}$js$;"));
    assert_eq!(function.body, body);
}
