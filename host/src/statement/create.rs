//! CREATE FUNCTION, and what CREATE CONDITION has in common with it.
//!
//! Not for what the body says or whether it fits the signature: a body is a text here.

use super::cursor::Cursor;
use super::tokens::{Kind, Token};
use super::{CreateFunction, Language, Parameter, place};
use crate::error::{Error, Result, SqlState};
use crate::function::Kind as FunctionKind;
use crate::signature::Volatility;
use crate::types::SqlType;

/// The full form, for hints.
pub(super) const FORM: &str = "the form is CREATE [OR REPLACE] FUNCTION name \
     [(parameter type [, ...])] [RETURNS {type | TABLE [(column type [, ...])]}] LANGUAGE {javascript | wasm} [STRICT] \
     [IMMUTABLE | STABLE | VOLATILE] AS $$ body $$;";

const ATTRIBUTES: &str = "LANGUAGE, RETURNS, STRICT, CALLED, IMMUTABLE, STABLE, VOLATILE or AS";

/// Attributes of PostgreSQL's functions that this version has not.
const ATTRIBUTES_NOT_BUILT: &[&str] = &[
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
    returns: Option<Returns>,
    strict: Option<bool>,
    volatility: Option<Volatility>,
    language: Option<Language>,
    body: Option<String>,
}

/// What stands after RETURNS.
enum Returns {
    Type(SqlType),
    Table(Vec<Parameter>),
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
    let (returns, table) = match attributes.returns {
        None => (None, None),
        Some(Returns::Type(sql_type)) => (Some(sql_type), None),
        Some(Returns::Table(columns)) => (None, Some(columns)),
    };
    Ok(CreateFunction {
        kind,
        or_replace,
        name,
        parameters,
        returns,
        table,
        strict: attributes.strict.unwrap_or(false),
        volatility: attributes.volatility,
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
        for volatility in Volatility::ALL {
            if cursor.take_word(volatility.name())? {
                let what = "IMMUTABLE, STABLE or VOLATILE";
                return once(&mut self.volatility, volatility, what, &start);
            }
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
pub(super) fn once<T>(
    slot: &mut Option<T>,
    value: T,
    what: &str,
    start: &Cursor<'_>,
) -> Result<()> {
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
    if cursor.take_symbol(")")? {
        return Ok(Some(Vec::new()));
    }
    rest_of_list(cursor, parameter).map(Some)
}

/// Parameters, one at least, and what closes them.
pub(super) fn rest_of_list(
    cursor: &mut Cursor<'_>,
    parameter: fn(&mut Cursor<'_>, &[Parameter]) -> Result<Parameter>,
) -> Result<Vec<Parameter>> {
    let mut list: Vec<Parameter> = Vec::new();
    loop {
        list.push(parameter(cursor, &list)?);
        if cursor.take_symbol(")")? {
            return Ok(list);
        }
        cursor.expect_symbol(",", ", or )")?;
    }
}

pub(super) fn parameter(cursor: &mut Cursor<'_>, before: &[Parameter]) -> Result<Parameter> {
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

fn result_type(cursor: &mut Cursor<'_>) -> Result<Returns> {
    if cursor.peek().is_some_and(|token| token.is_word("SETOF")) {
        let error = cursor.not_built("RETURNS SETOF");
        return Err(error.with_hint("RETURNS TABLE (name type)"));
    }
    if cursor.take_word("TABLE")? {
        let columns = match cursor.take_symbol("(")? {
            true => rest_of_list(cursor, parameter)?,
            false => Vec::new(),
        };
        return Ok(Returns::Table(columns));
    }
    sql_type(cursor, "the result's type").map(Returns::Type)
}

pub(super) fn sql_type(cursor: &mut Cursor<'_>, wanted: &str) -> Result<SqlType> {
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
mod tests;
