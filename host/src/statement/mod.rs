//! From SQL text to statements: the host's own, and everything else as the database's.
//!
//! Not a parser of the database's SQL and no check of permissions: a text that is not
//! the host's goes to the database byte for byte, and the database says what it does.

mod aggregate;
mod condition;
mod create;
mod cursor;
mod grammar;
mod literals;
mod names;
mod parts;
mod place;
mod policy;
mod split;
pub(crate) mod tokens;

use crate::capability::Grant;
use crate::error::{Error, Result, SqlState};
use crate::function::{Aggregate, Kind as FunctionKind};
use crate::policy::Entry;
use crate::signature::Volatility;
use crate::types::SqlType;
use cursor::Cursor;
use tokens::{Kind, Token, Tokens};

pub(crate) use literals::first_literal;
pub(crate) use names::{name_in_sql, quoted};
pub(crate) use parts::{altered_table, begins_with, called_names};
pub use split::{Statements, is_complete, split};

/// The name of a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name {
    /// The name in the catalog: in lower case, unless it was quoted.
    pub(crate) folded: String,
    /// The name as it was written, without its quotes.
    pub(crate) written: String,
}

/// What a function's body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Language {
    /// Source text.
    JavaScript,
    /// A component, or where it is.
    Wasm,
}

impl Language {
    /// The name in SQL.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Language::JavaScript => "javascript",
            Language::Wasm => "wasm",
        }
    }
}

/// A parameter of a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) sql_type: SqlType,
}

/// CREATE FUNCTION, or CREATE CONDITION.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CreateFunction {
    pub(crate) kind: FunctionKind,
    pub(crate) or_replace: bool,
    pub(crate) name: Name,
    /// `None` if there are no parentheses, as for a component, which knows its own.
    pub(crate) parameters: Option<Vec<Parameter>>,
    pub(crate) returns: Option<SqlType>,
    /// The columns of RETURNS TABLE; a component knows its own, and then there are none.
    pub(crate) table: Option<Vec<Parameter>>,
    /// Whether a NULL argument gives NULL without a call.
    pub(crate) strict: bool,
    /// `None` if nothing is said of it.
    pub(crate) volatility: Option<Volatility>,
    pub(crate) language: Language,
    pub(crate) body: String,
}

/// CREATE AGGREGATE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CreateAggregate {
    pub(crate) or_replace: bool,
    pub(crate) name: Name,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) aggregate: Aggregate,
}

/// What ALTER FUNCTION or ALTER CONDITION changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Alteration {
    Grant(Vec<Grant>),
    Revoke(Vec<Grant>),
    Deny(Vec<Grant>),
    SetEnabled(bool),
    SetPolicy(Name),
    SetVersion(u64),
    SetLimits(Vec<Entry>),
}

/// One statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Statement {
    CreateFunction(CreateFunction),
    CreateAggregate(CreateAggregate),
    AlterFunction {
        kind: FunctionKind,
        name: Name,
        alteration: Alteration,
    },
    DropFunction {
        kind: FunctionKind,
        name: Name,
        if_exists: bool,
    },
    CreatePolicy {
        name: Name,
        entries: Vec<Entry>,
        or_replace: bool,
    },
    AlterPolicy {
        name: Name,
        entries: Vec<Entry>,
    },
    DropPolicy {
        name: Name,
        if_exists: bool,
    },
    Call {
        function: Name,
        /// `f(args)`, with the arguments as they were written.
        call: String,
        /// Whether its cost is asked for, and not its result.
        explain: bool,
    },
    /// EXPLAIN (ANALYZE) of a statement of the database's own.
    ExplainAnalyze {
        text: String,
        command: String,
    },
    /// The database's own.
    Sql {
        text: String,
        /// The first keywords in upper case, as `CREATE TABLE`, for a command tag.
        /// Nothing may be decided by them.
        command: String,
    },
}

/// Words between CREATE and the kind of what is created.
const MODIFIERS: &[&str] = &["TEMP", "TEMPORARY", "UNIQUE", "VIRTUAL", "OR", "REPLACE"];

/// Reads a text that holds one statement.
#[cfg(test)]
pub(crate) fn parse(text: &str) -> Result<Statement> {
    parse_for(text, false)
}

/// Reads a text that holds one statement, for a database that knows dollar-quoted
/// strings, or for one that does not.
pub(crate) fn parse_for(text: &str, has_dollar_quotes: bool) -> Result<Statement> {
    let range = split::one(text)?;
    let text = &text[..range.end];
    let statement = &text[range.start..];
    let parsed = grammar::parse(Cursor::new(text)?)?;
    match parsed {
        Some(Statement::Call { .. } | Statement::ExplainAnalyze { .. }) | None
            if !has_dollar_quotes =>
        {
            refuse_dollar_quotes(text)?;
        }
        _ => {}
    }
    Ok(parsed.unwrap_or_else(|| Statement::Sql {
        text: statement.to_owned(),
        command: command(statement),
    }))
}

/// SQLite has no dollar-quoted strings: it would take `$$;` for a parameter and the
/// end of a statement, so that what is one statement here would be two there.
fn refuse_dollar_quotes(text: &str) -> Result<()> {
    if !text.contains('$') {
        return Ok(());
    }
    for token in Tokens::new(text) {
        let token = token?;
        if token.kind == Kind::DollarString {
            let message = "a dollar-quoted string can only be the body of a function";
            return Err(Error::new(SqlState::SYNTAX, message)
                .with_hint("write the string in single quotes")
                .with_context(place::excerpt(text, token.start)));
        }
    }
    Ok(())
}

fn command(statement: &str) -> String {
    let mut tokens = Tokens::new(statement).map_while(Result::ok);
    let first = tokens
        .next()
        .map(|token| keyword(&token))
        .unwrap_or_default();
    match first.as_str() {
        "CREATE" | "ALTER" | "DROP" => {
            let kind = tokens
                .map(|token| keyword(&token))
                .find(|word| !MODIFIERS.contains(&word.as_str()))
                .unwrap_or_default();
            format!("{first} {kind}").trim_end().to_owned()
        }
        "WITH" => main_verb(tokens).unwrap_or(first),
        _ => first,
    }
}

/// The verb behind the common table expressions: the first word, outside parentheses,
/// that follows a closing one and is not AS.
fn main_verb<'t>(tokens: impl Iterator<Item = Token<'t>>) -> Option<String> {
    let mut depth = 0;
    let mut follows_parenthesis = false;
    for token in tokens {
        let is_verb = follows_parenthesis && token.kind == Kind::Word && !token.is_word("AS");
        if depth == 0 && is_verb {
            return Some(keyword(&token));
        }
        depth = grammar::depth_after(depth, &token);
        follows_parenthesis = token.is_symbol(")");
    }
    None
}

fn keyword(token: &Token<'_>) -> String {
    match token.kind {
        Kind::Word => place::shown(token.text).to_ascii_uppercase(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts, each with the SQLSTATE of its refusal and a part of its message.
    pub(super) fn assert_refused(refused: &[(&str, SqlState, &str)]) {
        for (text, sqlstate, part) in refused {
            let error = parse(text).expect_err(text);
            assert_eq!(error.sqlstate(), *sqlstate, "{text}\n{error:?}");
            assert!(error.message().contains(part), "{text}\n{error:?}");
        }
    }

    fn assert_is_the_databases(text: &str, command: &str) {
        let sql = Statement::Sql {
            text: text.to_owned(),
            command: command.to_owned(),
        };
        assert_eq!(parse(text).expect(text), sql);
    }

    #[test]
    fn what_is_not_the_hosts_goes_to_the_database_untouched() {
        for (text, command) in [
            ("select\n\t1 -- one\n , ':'", "SELECT"),
            (
                "insert INTO t VALUES (x'00', [a b], `c`, ?1, :a, @b, $c)",
                "INSERT",
            ),
            ("REPLACE INTO t VALUES (1)", "REPLACE"),
            ("VALUES (1)", "VALUES"),
            ("CREATE TABLE function (call)", "CREATE TABLE"),
            ("create /* x */ temp table t (a)", "CREATE TABLE"),
            ("CREATE UNIQUE INDEX i ON t (a)", "CREATE INDEX"),
            ("CREATE VIRTUAL TABLE t USING fts5(a)", "CREATE TABLE"),
            ("CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE VIEW"),
            (
                "CREATE TRIGGER t AFTER INSERT ON audit_log BEGIN SELECT 1; END",
                "CREATE TRIGGER",
            ),
            (
                "CREATE TABLE t AS SELECT t.audit_log FROM heliosdb.audit_log t",
                "CREATE TABLE",
            ),
            ("ALTER TABLE t ADD COLUMN function", "ALTER TABLE"),
            ("DROP TABLE IF EXISTS t", "DROP TABLE"),
            ("EXPLAIN SELECT 1", "EXPLAIN"),
            ("EXPLAIN QUERY PLAN SELECT 1", "EXPLAIN"),
            ("BEGIN IMMEDIATE", "BEGIN"),
            ("PRAGMA user_version", "PRAGMA"),
            ("WITH a AS (SELECT 1) SELECT * FROM a", "SELECT"),
            (
                "WITH RECURSIVE replace(x) AS NOT MATERIALIZED (SELECT (1)), b AS (SELECT 2) \
                 INSERT INTO t SELECT * FROM a",
                "INSERT",
            ),
            ("WITH", "WITH"),
            ("CREATE", "CREATE"),
            ("GRANT SELECT ON t TO u", "GRANT"),
            ("(SELECT 1)", ""),
            ("'a'", ""),
            ("\"select\" 1", ""),
        ] {
            assert_is_the_databases(text, command);
        }
    }

    #[test]
    fn comments_and_the_semicolon_around_a_statement_are_no_part_of_it() {
        let around = parse("\n-- a\n SELECT /* b */ 1 /* c */ ; -- d").unwrap();
        assert_eq!(around, parse("SELECT /* b */ 1").unwrap());
        assert_eq!(parse(" ;SELECT 1;; ").unwrap(), parse("SELECT 1").unwrap());
    }

    #[test]
    fn one_text_is_one_statement() {
        use SqlState as S;
        assert_refused(&[
            ("", S::SYNTAX, "there is no statement"),
            (" ; -- a", S::SYNTAX, "there is no statement"),
            (
                "SELECT 1; SELECT 2",
                S::SYNTAX,
                "there is more than one statement",
            ),
            (
                "CALL f(); DROP FUNCTION f",
                S::SYNTAX,
                "there is more than one statement",
            ),
            (
                "SELECT 'a",
                S::SYNTAX,
                "unterminated string that begins at 1:8",
            ),
            ("SELECT 1\0", S::BAD_TEXT, "NUL character at 1:9"),
        ]);
        let error = parse("SELECT 1;\n DROP TABLE t").unwrap_err();
        assert_eq!(error.context(), Some("LINE 2:  DROP TABLE t\n         ^"));
    }

    /// In SQLite `$$` is a parameter, and `:a(')` is one too.
    #[test]
    fn what_the_database_would_read_as_two_statements_is_never_one() {
        for text in [
            "SELECT $$a; DROP TABLE t; $$",
            "CALL f($a$;$a$)",
            "SELECT $a$b$a$",
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.sqlstate(), SqlState::SYNTAX);
            assert!(error.message().contains("body of a function"), "{error:?}");
        }
        let text = "SELECT :a('), 1; DROP TABLE t; SELECT '";
        assert!(parse(text).is_err());
    }
}
