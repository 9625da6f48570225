//! What a statement did, as text for a person: tables, command tags, notices and
//! errors, laid out as psql does. Prints nothing, and knows no JSON.

use crate::table;
use perihelion::{Error, Notice, Outcome};
use std::fmt::Write as _;

/// A result as a table, and what the statement changed as a command tag.
pub(crate) fn outcome(outcome: &Outcome) -> String {
    let mut text = String::new();
    if !outcome.columns.is_empty() {
        text.push_str(&table::draw(&outcome.columns, &outcome.rows));
        text.push_str(match outcome.rows.len() {
            1 => "(1 row)\n\n",
            _ => "",
        });
        if outcome.rows.len() != 1 {
            let _ = writeln!(text, "({} rows)\n", outcome.rows.len());
        }
    }
    if outcome.columns.is_empty() || outcome.affected.is_some() {
        text.push_str(&command_tag(outcome));
        text.push('\n');
    }
    text
}

/// A message beside a result.
pub(crate) fn notice(notice: &Notice) -> String {
    let mut text = line(notice.severity.name(), &notice.message);
    if let Some(hint) = &notice.hint {
        text.push_str(&line("HINT", hint));
    }
    text
}

/// An error with all its parts. `place` is where in a script the statement begins.
pub(crate) fn error(error: &Error, place: Option<&str>, verbose: bool) -> String {
    let mut text = place.map(|place| format!("{place}: ")).unwrap_or_default();
    let message = match verbose {
        true => format!("{}: {}", error.sqlstate(), error.message()),
        false => error.message().to_string(),
    };
    text.push_str(&line("ERROR", &message));
    // A part of the statement with a mark under it has its own label, and needs its
    // columns as they are.
    let (excerpt, context) = match error.context() {
        Some(context) if context.starts_with("LINE ") => (Some(context), None),
        context => (None, context),
    };
    if let Some(excerpt) = excerpt {
        text.push_str(&printable(excerpt));
        text.push('\n');
    }
    let cause = error.cause().filter(|_| is_for_the_operator(error));
    let parts = [
        ("DETAIL", error.detail()),
        ("HINT", error.hint()),
        ("CONTEXT", context),
        ("CAUSE", cause),
    ];
    for (label, part) in parts {
        if let Some(part) = part {
            text.push_str(&line(label, part));
        }
    }
    text
}

/// Text that cannot drive a terminal: of what controls it, only the end of a line and
/// the tab are left, and nothing changes the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    if !text.chars().any(is_unprintable) {
        return text.to_string();
    }
    text.chars()
        .fold(String::with_capacity(text.len() + 8), |mut shown, c| {
            let _ = match c {
                '\r' => write!(shown, "\\r"),
                c if !is_unprintable(c) => write!(shown, "{c}"),
                c if c.is_ascii() => write!(shown, "\\x{:02X}", u32::from(c)),
                c => write!(shown, "\\u{:04X}", u32::from(c)),
            };
            shown
        })
}

fn is_unprintable(c: char) -> bool {
    let turns_writing = matches!(
        c,
        '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    (c.is_control() && c != '\n' && c != '\t') || turns_writing
}

/// `ERROR:  what is wrong`; further lines are indented, so that no message can pass
/// for two.
fn line(label: &str, text: &str) -> String {
    format!(
        "{label}:  {}\n",
        printable(text.trim_end()).replace('\n', "\n      ")
    )
}

/// Elsewhere the message says all that its reader can use.
fn is_for_the_operator(error: &Error) -> bool {
    let code = error.sqlstate().as_str();
    code.starts_with("58") || code.starts_with("XX")
}

fn command_tag(outcome: &Outcome) -> String {
    match (outcome.command.as_str(), outcome.affected) {
        ("INSERT", Some(rows)) => format!("INSERT 0 {rows}"),
        (command, Some(rows)) => format!("{command} {rows}"),
        (command, None) => command.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perihelion::{Severity, SqlState, Value};

    #[test]
    fn data_cannot_drive_the_terminal() {
        let row = vec![
            Value::Text("\u{1b}[2J\r\t\u{7}\u{9b}\u{202e}".into()),
            Value::Blob(vec![0, 255]),
        ];
        let shown = table::draw(&["\u{1b}c".into(), "b".into()], &[row]);
        assert!(
            shown.contains(r" \x1B[2J\r\t\x07\u009B\u202E | \x00ff"),
            "{shown}"
        );
        assert!(shown.contains(r"\x1Bc"), "{shown}");
        let failed = Error::new(SqlState::GUEST_EXCEPTION, "a\u{1b}[31m\nERROR:  b");
        assert_eq!(
            error(&failed, None, false),
            "ERROR:  a\\x1B[31m\n      ERROR:  b\n"
        );
    }

    #[test]
    fn command_tags_are_psqls() {
        let tag = |command: &str, affected| {
            let command = command.to_string();
            outcome(&Outcome {
                command,
                affected,
                ..Outcome::default()
            })
        };
        assert_eq!(tag("INSERT", Some(2)), "INSERT 0 2\n");
        assert_eq!(tag("UPDATE", Some(3)), "UPDATE 3\n");
        assert_eq!(tag("CREATE FUNCTION", None), "CREATE FUNCTION\n");
    }

    #[test]
    fn an_error_says_where_and_what() {
        let failed = Error::new(SqlState::SYNTAX, "bad");
        assert_eq!(
            error(&failed, Some("a.sql:12"), false),
            "a.sql:12: ERROR:  bad\n"
        );
        assert_eq!(error(&failed, None, true), "ERROR:  42601: bad\n");
        let failed = perihelion::split("SELECT 'a")
            .find_map(Result::err)
            .unwrap();
        assert_eq!(
            error(&failed, None, false),
            "ERROR:  unterminated string that begins at 1:8\nLINE 1: SELECT 'a\n               ^\n"
        );
    }

    #[test]
    fn a_notice_has_its_hint() {
        let message = "function \"f\" imports TIME_ACCESS".to_string();
        let hint = Some("ALTER FUNCTION f GRANT CAPABILITY TIME_ACCESS;".to_string());
        assert_eq!(
            notice(&Notice {
                severity: Severity::Notice,
                message,
                hint
            }),
            "NOTICE:  function \"f\" imports TIME_ACCESS\n\
             HINT:  ALTER FUNCTION f GRANT CAPABILITY TIME_ACCESS;\n"
        );
    }
}
