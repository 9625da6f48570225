//! CREATE, ALTER and DROP SECURITY POLICY, and the settings of a policy or a function.
//!
//! Not for what a setting means: a key is a name here, and its value a token.

use super::cursor::Cursor;
use super::tokens::Kind;
use super::{Statement, grammar};
use crate::error::Result;
use crate::policy::{Entry, EntryValue};

const CREATE_FORM: &str = "the form is CREATE [OR REPLACE] SECURITY POLICY name AS \
     (key: value [, ...]);";
const ALTER_FORM: &str = "the form is ALTER SECURITY POLICY name SET (key = value [, ...]);";
const DROP_FORM: &str = "the form is DROP SECURITY POLICY [IF EXISTS] name;";

/// Reads what follows `CREATE [OR REPLACE] SECURITY POLICY`.
pub(super) fn create(mut cursor: Cursor<'_>, or_replace: bool) -> Result<Statement> {
    cursor.form = CREATE_FORM;
    let name = cursor.expect_name("policy")?;
    cursor.expect_word("AS")?;
    let entries = settings(&mut cursor)?;
    cursor.expect_end("the end of the statement")?;
    Ok(Statement::CreatePolicy {
        name,
        entries,
        or_replace,
    })
}

/// Reads what follows `ALTER SECURITY POLICY`.
pub(super) fn alter(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.form = ALTER_FORM;
    let name = cursor.expect_name("policy")?;
    cursor.expect_word("SET")?;
    let entries = settings(&mut cursor)?;
    cursor.expect_end("the end of the statement")?;
    Ok(Statement::AlterPolicy { name, entries })
}

/// Reads what follows `DROP SECURITY POLICY`.
pub(super) fn drop(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.form = DROP_FORM;
    let if_exists = cursor.take_words(&["IF", "EXISTS"])?;
    let name = cursor.expect_name("policy")?;
    cursor.expect_end("the end of the statement")?;
    Ok(Statement::DropPolicy { name, if_exists })
}

/// Reads `(key: value, key = value)`. A key is in lower case, as its name is.
pub(super) fn settings(cursor: &mut Cursor<'_>) -> Result<Vec<Entry>> {
    cursor.expect_symbol("(", "( and the settings")?;
    let mut entries = Vec::new();
    loop {
        let key = cursor.expect_name("setting")?.folded;
        let value = value(cursor)?;
        entries.push(Entry { key, value });
        if cursor.take_symbol(")")? {
            return Ok(entries);
        }
        cursor.expect_symbol(",", ", or )")?;
    }
}

fn value(cursor: &mut Cursor<'_>) -> Result<EntryValue> {
    if let Some(value) = attached(cursor)? {
        return Ok(value);
    }
    if !cursor.take_symbol(":")? {
        cursor.expect_symbol("=", ": or =, and the value")?;
    }
    if let Some(text) = cursor.take_string(&[Kind::String])? {
        return Ok(EntryValue::Text(text));
    }
    let sign = if cursor.take_symbol("-")? { "-" } else { "" };
    let Some(token) = cursor.peek() else {
        return Err(cursor.expected("a value"));
    };
    let value = match token.kind {
        Kind::Value => EntryValue::Number(format!("{sign}{}", token.text)),
        Kind::Word if sign.is_empty() => match word(token.text) {
            Some(value) => value,
            None => return Err(cursor.expected("a value")),
        },
        // To SQLite, and so to the lexer, a bracket opens a quoted name.
        Kind::QuotedName if sign.is_empty() && token.text.starts_with('[') => {
            list(&token.unquoted(), cursor)?
        }
        _ => return Err(cursor.expected("a value")),
    };
    cursor.take()?;
    Ok(value)
}

/// `key:5` and `key:true`, which the lexer takes for a parameter of the database's.
fn attached(cursor: &mut Cursor<'_>) -> Result<Option<EntryValue>> {
    let token = cursor.peek().filter(|token| token.kind == Kind::Value);
    let Some(text) = token.and_then(|token| token.text.strip_prefix(':')) else {
        return Ok(None);
    };
    let value = word(text).unwrap_or_else(|| EntryValue::Number(text.to_owned()));
    cursor.take()?;
    Ok(Some(value))
}

fn word(text: &str) -> Option<EntryValue> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(EntryValue::Boolean(true)),
        "false" => Some(EntryValue::Boolean(false)),
        "default" => Some(EntryValue::Default),
        _ => None,
    }
}

/// What stands between brackets: capabilities, or texts.
fn list(inner: &str, outer: &Cursor<'_>) -> Result<EntryValue> {
    let mut cursor = Cursor::new(inner)?;
    cursor.form = outer.form;
    if cursor.peek().is_none() {
        return Ok(EntryValue::EmptyList);
    }
    let is_text = |cursor: &Cursor<'_>| cursor.peek().is_some_and(|t| t.kind == Kind::String);
    if is_text(&cursor) {
        let texts = items(&mut cursor, |cursor| {
            let text = cursor.take_string(&[Kind::String])?;
            text.ok_or_else(|| cursor.expected("a text in single quotes"))
        })?;
        return Ok(EntryValue::Texts(texts));
    }
    Ok(EntryValue::Capabilities(items(
        &mut cursor,
        grammar::grant,
    )?))
}

fn items<'t, T>(
    cursor: &mut Cursor<'t>,
    item: impl Fn(&mut Cursor<'t>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut items = vec![item(cursor)?];
    while cursor.take_symbol(",")? {
        items.push(item(cursor)?);
    }
    cursor.expect_end(", or ]")?;
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_refused;
    use super::super::{Statement, parse};
    use super::*;
    use crate::capability::Grant;
    use crate::error::SqlState;

    fn entries(settings: &str) -> Vec<Entry> {
        let text = format!("CREATE SECURITY POLICY p AS ({settings})");
        match parse(&text) {
            Ok(Statement::CreatePolicy { entries, .. }) => entries,
            other => panic!("{text}\n{other:?}"),
        }
    }

    fn one(setting: &str) -> EntryValue {
        let mut entries = entries(setting);
        assert_eq!(entries.len(), 1);
        entries.remove(0).value
    }

    #[test]
    fn h52_the_sample_of_the_security_model() {
        let text = "CREATE SECURITY POLICY strict_read_only AS (\n    \
             capabilities: [DATABASE_READ('public_*'), TIME_ACCESS],\n    \
             max_memory_bytes: 4194304, -- 4MB\n    max_cpu_time_ms: 1000,\n    \
             max_wall_time_ms: 2000,\n    audit_logging: true,\n    \
             allowed_syscalls: ['clock_time_get']\n);";
        let Ok(Statement::CreatePolicy {
            name,
            entries,
            or_replace,
        }) = parse(text)
        else {
            panic!("it does not parse");
        };
        assert_eq!(name.folded, "strict_read_only");
        assert!(!or_replace);
        let number = |text: &str| EntryValue::Number(text.to_owned());
        let read = Grant::new("DATABASE_READ", Some("public_*")).unwrap();
        let expected = [
            (
                "capabilities",
                EntryValue::Capabilities(vec![read, Grant::TimeAccess]),
            ),
            ("max_memory_bytes", number("4194304")),
            ("max_cpu_time_ms", number("1000")),
            ("max_wall_time_ms", number("2000")),
            ("audit_logging", EntryValue::Boolean(true)),
            (
                "allowed_syscalls",
                EntryValue::Texts(vec!["clock_time_get".to_owned()]),
            ),
        ];
        let found: Vec<(&str, EntryValue)> = entries
            .iter()
            .map(|entry| (entry.key.as_str(), entry.value.clone()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn values_are_kept_as_they_are_written() {
        let number = |text: &str| EntryValue::Number(text.to_owned());
        assert_eq!(one("a = -1"), number("-1"));
        assert_eq!(one("A: 1.5"), number("1.5"));
        assert_eq!(one("a:5"), number("5"));
        assert_eq!(one("a:true"), EntryValue::Boolean(true));
        assert_eq!(one("a = Default"), EntryValue::Default);
        assert_eq!(one("a: []"), EntryValue::EmptyList);
        assert_eq!(one("a: 'it''s'"), EntryValue::Text("it's".to_owned()));
        assert_eq!(entries("a: 1, a: 2").len(), 2);
    }

    #[test]
    fn what_is_wrong_with_a_policy_is_said() {
        use SqlState as S;
        assert_refused(&[
            ("CREATE SECURITY POLICY p", S::SYNTAX, "at the end"),
            ("CREATE SECURITY POLICY p AS ()", S::SYNTAX, "at \")\""),
            ("CREATE SECURITY POLICY p AS (a)", S::SYNTAX, "at \")\""),
            ("CREATE SECURITY POLICY p AS (a: 1", S::SYNTAX, "at the end"),
            ("CREATE SECURITY POLICY p AS (a: -true)", S::SYNTAX, "true"),
            ("CREATE SECURITY POLICY p AS (a: b)", S::SYNTAX, "at \"b\""),
            (
                "CREATE SECURITY POLICY p AS (a: [TIME_ACCES])",
                S::INVALID_VALUE,
                "no capability",
            ),
            (
                "CREATE SECURITY POLICY p AS (a: ['x' 'y'])",
                S::SYNTAX,
                "at \"'y'\"",
            ),
            (
                "CREATE SECURITY POLICY p AS (a: [FILE_READ('x')])",
                S::FEATURE_NOT_SUPPORTED,
                "not built",
            ),
            ("ALTER SECURITY POLICY p AS (a: 1)", S::SYNTAX, "at \"AS\""),
            ("DROP SECURITY POLICY p, q", S::SYNTAX, "at \",\""),
            ("CREATE SECURITY POLICE p AS (a: 1)", S::SYNTAX, "POLICE"),
        ]);
    }
}
