//! CREATE FUNCTION, and what CREATE CONDITION has in common with it.
//!
//! Not for what the body says or whether it fits the signature: a body is a text here.

use super::cursor::Cursor;
use super::tokens::{Kind, Token};
use super::{CreateFunction, Language, Parameter, place};
use crate::error::{Error, Result, SqlState};
use crate::function::Kind as FunctionKind;
use crate::types::SqlType;

/// The full form, for hints.
pub(super) const FORM: &str = "the form is CREATE [OR REPLACE] FUNCTION name \
     [(parameter type [, ...])] [RETURNS type] LANGUAGE {javascript | wasm} [STRICT] \
     AS $$ body $$;";

const ATTRIBUTES: &str = "LANGUAGE, RETURNS, STRICT, CALLED or AS";

/// Attributes of PostgreSQL's functions that this version has not.
const ATTRIBUTES_NOT_BUILT: &[&str] = &[
    "IMMUTABLE",
    "STABLE",
    "VOLATILE",
    "LEAKPROOF",
    "NOT",
    "SECURITY",
    "EXTERNAL",
    "PARALLEL",
    "COST",
    "ROWS",
    "SUPPORT",
    "TRANSFORM",
    "WINDOW",
    "SET",
    "PURPOSE",
    "RETURN",
    "BEGIN",
];

/// Modes of a parameter that this version has not.
const MODES_NOT_BUILT: &[&str] = &["IN", "OUT", "INOUT", "VARIADIC"];

/// Types of more than one word: the first, and what may follow it.
const LONG_TYPES: &[(&str, &[&str])] = &[
    ("DOUBLE", &["PRECISION"]),
    ("CHARACTER", &["VARYING"]),
    ("TIMESTAMP", &["WITHOUT", "TIME", "ZONE"]),
    ("TIMESTAMP", &["WITH", "TIME", "ZONE"]),
];

/// What has been said after the parameters so far, in any order.
#[derive(Default)]
struct Attributes {
    returns: Option<SqlType>,
    strict: Option<bool>,
    language: Option<Language>,
    body: Option<String>,
}

/// Reads what follows `CREATE [OR REPLACE] FUNCTION` or `CONDITION`.
pub(super) fn function(
    mut cursor: Cursor<'_>,
    or_replace: bool,
    kind: FunctionKind,
) -> Result<CreateFunction> {
    let keyword = kind.noun().to_ascii_uppercase();
    if cursor.clone().take_words(&["IF", "NOT", "EXISTS"])? {
        let error = cursor.not_built(&format!("CREATE {keyword} IF NOT EXISTS"));
        let hint = format!("CREATE OR REPLACE {keyword} replaces one that exists");
        return Err(error.with_hint(hint));
    }
    let start = format!("{keyword} {}", cursor.peek().map_or("", |token| token.text));
    let name = cursor.expect_name(kind.noun())?;
    let parameters = parameters(&mut cursor)?;
    let mut attributes = Attributes::default();
    while cursor.peek().is_some() {
        attributes.take(&mut cursor, &start)?;
    }
    let Some(language) = attributes.language else {
        return Err(cursor.expected("LANGUAGE javascript or LANGUAGE wasm"));
    };
    let Some(body) = attributes.body else {
        return Err(cursor.expected("AS and the body"));
    };
    Ok(CreateFunction {
        kind,
        or_replace,
        name,
        parameters,
        returns: attributes.returns,
        strict: attributes.strict.unwrap_or(false),
        language,
        body,
    })
}

impl Attributes {
    fn take(&mut self, cursor: &mut Cursor<'_>, statement: &str) -> Result<()> {
        let start = cursor.clone();
        if cursor.take_words(&["RETURNS", "NULL"])? {
            on_null_input(cursor)?;
            return once(&mut self.strict, true, "the handling of NULL", &start);
        }
        if cursor.take_word("RETURNS")? {
            return once(&mut self.returns, result_type(cursor)?, "RETURNS", &start);
        }
        if cursor.take_word("STRICT")? {
            return once(&mut self.strict, true, "the handling of NULL", &start);
        }
        if cursor.take_word("CALLED")? {
            on_null_input(cursor)?;
            return once(&mut self.strict, false, "the handling of NULL", &start);
        }
        if cursor.take_word("LANGUAGE")? {
            return once(
                &mut self.language,
                language(cursor, statement)?,
                "LANGUAGE",
                &start,
            );
        }
        if cursor.take_word("AS")? {
            return once(&mut self.body, body(cursor)?, "AS", &start);
        }
        Err(not_an_attribute(cursor, statement))
    }
}

/// Keeps an attribute that may be given once.
fn once<T>(slot: &mut Option<T>, value: T, what: &str, start: &Cursor<'_>) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(start.error(SqlState::SYNTAX, format!("{what} is given twice"))),
    }
}

fn not_an_attribute(cursor: &Cursor<'_>, statement: &str) -> Error {
    let Some(token) = cursor.peek() else {
        return cursor.expected(ATTRIBUTES);
    };
    for attribute in ATTRIBUTES_NOT_BUILT {
        if token.is_word(attribute) {
            let keyword = statement.split(' ').next().unwrap_or(statement);
            return cursor.not_built(&format!("CREATE {keyword} ... {attribute}"));
        }
    }
    cursor.expected(ATTRIBUTES)
}

fn on_null_input(cursor: &mut Cursor<'_>) -> Result<()> {
    ["ON", "NULL", "INPUT"]
        .into_iter()
        .try_for_each(|keyword| cursor.expect_word(keyword))
}

/// Takes a language. The statement's beginning, `FUNCTION f`, is for the hint.
fn language(cursor: &mut Cursor<'_>, statement: &str) -> Result<Language> {
    let start = cursor.clone();
    let name = match cursor.peek().map(|token| (token.kind, token.unquoted())) {
        Some((Kind::Word | Kind::QuotedName | Kind::String, name)) => name,
        _ => return Err(cursor.expected("javascript or wasm")),
    };
    cursor.take()?;
    match name.to_ascii_lowercase().as_str() {
        "javascript" | "js" => Ok(Language::JavaScript),
        "wasm" => Ok(Language::Wasm),
        _ => {
            let error = start.not_built(&format!("LANGUAGE {}", place::shown(&name)));
            Err(error
                .with_detail("the languages are javascript and wasm")
                .with_hint(format!(
                    "build a WebAssembly component from any other language and load it: \
                     CREATE {statement} LANGUAGE wasm AS '<path>';"
                )))
        }
    }
}

fn body(cursor: &mut Cursor<'_>) -> Result<String> {
    let body = cursor.take_string(&[Kind::DollarString, Kind::String])?;
    body.ok_or_else(|| cursor.expected("the body, as $$ body $$ or 'body'"))
}

fn parameters(cursor: &mut Cursor<'_>) -> Result<Option<Vec<Parameter>>> {
    if !cursor.take_symbol("(")? {
        return Ok(None);
    }
    let mut parameters: Vec<Parameter> = Vec::new();
    if cursor.take_symbol(")")? {
        return Ok(Some(parameters));
    }
    loop {
        parameters.push(parameter(cursor, &parameters)?);
        if cursor.take_symbol(")")? {
            return Ok(Some(parameters));
        }
        cursor.expect_symbol(",", ", or )")?;
    }
}

fn parameter(cursor: &mut Cursor<'_>, before: &[Parameter]) -> Result<Parameter> {
    for mode in MODES_NOT_BUILT {
        if cursor.peek().is_some_and(|token| token.is_word(mode)) {
            return Err(cursor.not_built(&format!("{mode} before a parameter")));
        }
    }
    let start = cursor.clone();
    let name = cursor.expect_name("parameter")?.folded;
    if before.iter().any(|parameter| parameter.name == name) {
        let message = format!("parameter \"{name}\" is given twice");
        return Err(start.error(SqlState::SYNTAX, message));
    }
    let sql_type = sql_type(cursor, "the parameter's type")?;
    let has_default = |token: Token<'_>| token.is_word("DEFAULT") || token.is_symbol("=");
    if cursor.peek().is_some_and(has_default) {
        return Err(cursor.not_built("DEFAULT of a parameter"));
    }
    if sql_type == SqlType::Void {
        return Err(start.error(SqlState::WRONG_TYPE, "VOID is the type of a result only"));
    }
    Ok(Parameter { name, sql_type })
}

fn result_type(cursor: &mut Cursor<'_>) -> Result<SqlType> {
    for form in ["SETOF", "TABLE"] {
        if cursor.peek().is_some_and(|token| token.is_word(form)) {
            return Err(cursor.not_built(&format!("RETURNS {form}")));
        }
    }
    sql_type(cursor, "the result's type")
}

fn sql_type(cursor: &mut Cursor<'_>, wanted: &str) -> Result<SqlType> {
    let start = cursor.clone();
    let Some(first) = cursor.peek().filter(|token| token.kind == Kind::Word) else {
        return Err(cursor.expected(wanted));
    };
    cursor.take()?;
    let mut name = first.text.to_owned();
    for (word, rest) in LONG_TYPES {
        if first.is_word(word) && cursor.take_words(rest)? {
            name = format!("{word} {}", rest.join(" "));
            break;
        }
    }
    refuse_suffix(cursor)?;
    SqlType::parse(&name).map_err(|error| start.locate(error))
}

/// Refuses `varchar(20)` and `integer[]`. A bracket opens a quoted name in SQLite.
fn refuse_suffix(cursor: &Cursor<'_>) -> Result<()> {
    match cursor.peek() {
        Some(token) if token.is_symbol("(") => Err(cursor.error(
            SqlState::FEATURE_NOT_SUPPORTED,
            "type modifiers are not built in this version",
        )),
        Some(token) if token.text.starts_with('[') || token.is_word("ARRAY") => Err(cursor.error(
            SqlState::FEATURE_NOT_SUPPORTED,
            "arrays are not built in this version",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
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
            strict: false,
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
            (" RETURNS TABLE (a integer)", "RETURNS TABLE is"),
            (" RETURNS integer[]", "arrays are"),
            (" IMMUTABLE", "CREATE FUNCTION ... IMMUTABLE is"),
            (" stable", "CREATE FUNCTION ... STABLE is"),
            (" VOLATILE", "CREATE FUNCTION ... VOLATILE is"),
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
}
