//! A script to its statements: where one ends and the next begins.
//!
//! Not for what a statement means. It knows one construct only, the body of
//! `CREATE TRIGGER … BEGIN …; …; END`, whose semicolons end no statement.

use super::place;
use super::tokens::{Kind, Token, Tokens};
use crate::error::{Error, Result, SqlState};
use std::ops::Range;

/// The longest statement.
pub(super) const STATEMENT_BYTES_MAX: usize = 16 * MEBIBYTE;

/// The longest script.
pub(super) const SCRIPT_BYTES_MAX: usize = 256 * MEBIBYTE;

const MEBIBYTE: usize = 1024 * 1024;

/// The statements of a script, in order. Each is a part of the script's text, without
/// its semicolon and the comments around it. An error is the last item.
pub struct Statements<'t> {
    text: &'t str,
    tokens: Tokens<'t>,
    refusal: Option<Error>,
}

/// One statement, without its semicolon and the comments around it.
struct Piece<'t> {
    start: usize,
    text: &'t str,
    is_terminated: bool,
}

/// How far the tokens have come towards a trigger's `; END ;`.
#[derive(Clone, Copy)]
enum Phase {
    Start,
    Create,
    TriggerHeader,
    TriggerBody,
    AfterSemicolon,
    AfterEnd,
    Plain,
}

/// The statements of a script, without their final `;`. Empty ones are skipped.
///
/// A script that ends inside a string, a comment or a dollar-quoted body is an error
/// (42601), and [`is_complete`] says of such a text that there is more to come.
pub fn split(text: &str) -> Statements<'_> {
    Statements {
        text,
        tokens: Tokens::new(text),
        refusal: refuse(text, "script", SCRIPT_BYTES_MAX).err(),
    }
}

/// Whether the text ends where a statement ends, so that a prompt need not ask for
/// more. A text that will be refused anyway is complete, so that it is refused.
pub fn is_complete(text: &str) -> bool {
    let mut statements = split(text);
    if statements.refusal.is_some() {
        return true;
    }
    let mut is_terminated = true;
    loop {
        match statements.piece() {
            Ok(Some(piece)) => is_terminated = piece.is_terminated,
            Ok(None) => return is_terminated,
            Err(error) => return error.sqlstate() != SqlState::SYNTAX,
        }
    }
}

/// Where the one statement is in a text that may hold only one.
pub(super) fn one(text: &str) -> Result<Range<usize>> {
    refuse(text, "statement", STATEMENT_BYTES_MAX)?;
    let mut statements = split(text);
    let Some(first) = statements.piece()? else {
        return Err(Error::new(SqlState::SYNTAX, "there is no statement"));
    };
    match statements.piece()? {
        None => Ok(first.start..first.start + first.text.len()),
        Some(second) => Err(
            Error::new(SqlState::SYNTAX, "there is more than one statement")
                .with_detail(
                    "a text that is prepared, or that comes from a function, is one statement",
                )
                .with_context(place::excerpt(text, second.start)),
        ),
    }
}

impl<'t> Statements<'t> {
    fn piece(&mut self) -> Result<Option<Piece<'t>>> {
        let Some(first) = self.first_token()? else {
            return Ok(None);
        };
        let start = first.start;
        let mut end = first.end();
        let mut phase = Phase::Start.after(&first);
        for token in &mut self.tokens {
            let token = token?;
            if token.kind == Kind::Semicolon && !phase.is_inside_trigger() {
                return self.cut(start, end, true).map(Some);
            }
            phase = phase.after(&token);
            end = token.end();
            if end - start > STATEMENT_BYTES_MAX {
                return Err(too_large("statement", STATEMENT_BYTES_MAX));
            }
        }
        self.cut(start, end, false).map(Some)
    }

    fn first_token(&mut self) -> Result<Option<Token<'t>>> {
        self.tokens
            .find(|token| !matches!(token, Ok(token) if token.kind == Kind::Semicolon))
            .transpose()
    }

    fn cut(&self, start: usize, end: usize, is_terminated: bool) -> Result<Piece<'t>> {
        if end - start > STATEMENT_BYTES_MAX {
            return Err(too_large("statement", STATEMENT_BYTES_MAX));
        }
        Ok(Piece {
            start,
            text: &self.text[start..end],
            is_terminated,
        })
    }
}

impl<'t> Iterator for Statements<'t> {
    type Item = Result<&'t str>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = match self.refusal.take() {
            Some(error) => Err(error),
            None => self.piece(),
        };
        if piece.is_err() {
            self.tokens = Tokens::new("");
        }
        piece.map(|piece| piece.map(|piece| piece.text)).transpose()
    }
}

impl Phase {
    fn after(self, token: &Token<'_>) -> Phase {
        let is = |keyword| token.is_word(keyword);
        let is_semicolon = token.kind == Kind::Semicolon;
        match self {
            Phase::Start if is("EXPLAIN") || is("QUERY") || is("PLAN") => Phase::Start,
            Phase::Start if is("CREATE") => Phase::Create,
            Phase::Create if is("TEMP") || is("TEMPORARY") => Phase::Create,
            Phase::Create if is("TRIGGER") => Phase::TriggerHeader,
            Phase::Start | Phase::Create | Phase::Plain => Phase::Plain,
            Phase::TriggerHeader if is("BEGIN") => Phase::TriggerBody,
            Phase::TriggerHeader => Phase::TriggerHeader,
            _ if is_semicolon => Phase::AfterSemicolon,
            Phase::AfterSemicolon if is("END") => Phase::AfterEnd,
            Phase::TriggerBody | Phase::AfterSemicolon | Phase::AfterEnd => Phase::TriggerBody,
        }
    }

    /// Whether a semicolon belongs to the statement.
    fn is_inside_trigger(self) -> bool {
        matches!(self, Phase::TriggerBody | Phase::AfterSemicolon)
    }
}

/// Refuses a text before it is looked at.
fn refuse(text: &str, what: &str, bytes_max: usize) -> Result<()> {
    if text.len() > bytes_max {
        return Err(too_large(what, bytes_max));
    }
    match text.find('\0') {
        None => Ok(()),
        Some(offset) => {
            let (line, column) = place::line_and_column(text, offset);
            let message = format!("the text has a NUL character at {line}:{column}");
            Err(Error::new(SqlState::BAD_TEXT, message))
        }
    }
}

fn too_large(what: &str, bytes_max: usize) -> Error {
    let mebibytes = bytes_max / MEBIBYTE;
    let message = format!("the {what} is larger than {mebibytes} MiB");
    Error::new(SqlState::TOO_LARGE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        split(text).collect::<Result<_>>().unwrap()
    }

    #[test]
    fn a_semicolon_ends_a_statement_only_where_it_is_one() {
        for (text, expected) in [
            ("", &[][..]),
            ("; ;/* a; */;-- b;\n;", &[]),
            ("a;b", &["a", "b"]),
            (" a ; b ; ", &["a", "b"]),
            ("-- x\na /* y; */ b -- z;\n; c", &["a /* y; */ b", "c"]),
            (
                "a ';' \";\" `;` [;] $$;$$ $t$;$t$;b",
                &["a ';' \";\" `;` [;] $$;$$ $t$;$t$", "b"],
            ),
            ("\u{feff}a;\r\nb", &["a", "b"]),
            ("BEGIN; END; COMMIT", &["BEGIN", "END", "COMMIT"]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn a_trigger_ends_at_its_end() {
        let trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN \
             SELECT CASE WHEN 1 THEN 2 END; UPDATE b SET c = 1 ; /* */ END";
        let variants = [
            trigger.to_owned(),
            trigger.to_lowercase(),
            trigger.replacen("TRIGGER", "temp /* x */ TRIGGER IF NOT EXISTS", 1),
            trigger.replacen("CREATE", "EXPLAIN QUERY PLAN CREATE TEMPORARY", 1),
        ];
        for trigger in &variants {
            let script = format!("a;{trigger};\nb; END;");
            assert_eq!(pieces(&script), ["a", trigger, "b", "END"]);
            assert_eq!(pieces(trigger), [trigger]);
        }
        assert_eq!(pieces("CREATE TRIGGER t; a"), ["CREATE TRIGGER t", "a"]);
        assert_eq!(
            pieces("CREATE TABLE trigger(begin); a"),
            ["CREATE TABLE trigger(begin)", "a"]
        );
    }

    #[test]
    fn a_prompt_asks_for_more_until_a_statement_ends() {
        let trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1;";
        for more in [
            "a",
            "a; b",
            "'a;",
            "\"a;",
            "[a;",
            "$$a;",
            "$t$a;$$;",
            "/* a;",
            "a /* ; */",
            trigger,
            &format!("{trigger} END"),
        ] {
            assert!(!is_complete(more), "{more}");
        }
        let too_large = "a".repeat(STATEMENT_BYTES_MAX + 1);
        for complete in [
            "",
            " ",
            "-- a",
            ";",
            "a;",
            "a; -- b",
            "a;\n/* b */",
            "a ';';",
            "\0",
            "'\0",
            &format!("{trigger} END;"),
            &too_large,
        ] {
            let start: String = complete.chars().take(80).collect();
            assert!(is_complete(complete), "{start}");
        }
    }

    #[test]
    fn an_error_is_the_last_item() {
        let mut statements = split("a; b 'c");
        assert_eq!(statements.next().unwrap().unwrap(), "a");
        let error = statements.next().unwrap().unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::SYNTAX);
        assert_eq!(error.message(), "unterminated string that begins at 1:6");
        assert_eq!(error.context(), Some("LINE 1: a; b 'c\n             ^"));
        assert!(statements.next().is_none());
    }

    #[test]
    fn nul_is_refused_wherever_it_is() {
        for text in ["\0", "a; b\n'\0'", "-- \0"] {
            let mut statements = split(text);
            let error = statements.next().unwrap().unwrap_err();
            assert_eq!(error.sqlstate(), SqlState::BAD_TEXT);
            assert!(statements.next().is_none());
            assert_eq!(one(text).unwrap_err().sqlstate(), SqlState::BAD_TEXT);
        }
    }

    #[test]
    fn a_statement_and_a_script_have_a_size() {
        let state = |text: &str| split(text).find_map(Result::err).map(|e| e.sqlstate());
        let largest = format!("'{}'", "a".repeat(STATEMENT_BYTES_MAX - 2));
        assert_eq!(state(&largest), None);
        assert_eq!(state(&format!("{largest};{largest}")), None);
        assert_eq!(state(&format!("{largest}a")), Some(SqlState::TOO_LARGE));
        let larger = format!("'{largest}'");
        assert_eq!(state(&larger), Some(SqlState::TOO_LARGE));
        assert_eq!(one(&larger).unwrap_err().sqlstate(), SqlState::TOO_LARGE);
        let script = ";".repeat(SCRIPT_BYTES_MAX + 1);
        let error = split(&script).next().unwrap().unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::TOO_LARGE);
        assert_eq!(error.message(), "the script is larger than 256 MiB");
    }

    #[test]
    fn repeated_openings_take_linear_time_and_no_stack() {
        for unit in [
            "(",
            "[",
            "'",
            "\"",
            "/*",
            "*/",
            "$",
            "$$",
            "$a",
            "$a$b",
            "-",
            "--",
            ":",
            ":a(",
            "::",
            ".",
            "._",
            ";",
            "x'",
            "?",
            "#",
            "é",
            "\u{feff}",
            "CREATE TRIGGER BEGIN;",
            "END;",
            "CALL f((",
            "CREATE FUNCTION f(",
            "EXPLAIN ",
        ] {
            let text = unit.repeat(1024 * 1024 / unit.len());
            let begun = std::time::Instant::now();
            split(&text).for_each(drop);
            drop(super::super::parse(&text));
            assert!(begun.elapsed().as_secs() < 5, "{unit}");
        }
    }
}
