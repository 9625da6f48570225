//! Literals in a statement of the database's own: whether a text that was put together
//! holds values.
//!
//! The tokens are SQLite's, so that no literal hides behind a quote or a comment that
//! SQLite sees otherwise. What cannot be cut into tokens counts as one.

use super::place;
use super::tokens::{Kind, Token, Tokens};

/// Line and column of the first literal: a string, a number, a blob, TRUE, FALSE, or NULL
/// but in `IS NULL` and `NOT NULL`.
pub(crate) fn first_literal(sql: &str) -> Option<(usize, usize)> {
    let mut before: Option<Token<'_>> = None;
    for token in Tokens::new(sql) {
        let Ok(token) = token else {
            return Some(place::line_and_column(sql, sql.len()));
        };
        if is_literal(&token, before.as_ref()) {
            return Some(place::line_and_column(sql, token.start));
        }
        before = Some(token);
    }
    None
}

fn is_literal(token: &Token<'_>, before: Option<&Token<'_>>) -> bool {
    match token.kind {
        // SQLite has no dollar-quoted strings: what looks like one could hide another.
        Kind::String | Kind::DollarString => true,
        Kind::Value => token
            .text
            .starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | 'x' | 'X')),
        Kind::Word if token.is_word("true") || token.is_word("false") => true,
        Kind::Word if token.is_word("null") => {
            !before.is_some_and(|before| before.is_word("is") || before.is_word("not"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_literals_however_they_are_written() {
        for sql in [
            "SELECT 1",
            "SELECT a FROM t LIMIT 10",
            "SELECT a FROM t WHERE b = 'x'",
            "SELECT a FROM t WHERE b = ''",
            "SELECT a FROM t WHERE b=.5",
            "SELECT a FROM t WHERE b = 0x1F",
            "SELECT a FROM t WHERE b = -1e5",
            "SELECT a FROM t WHERE b = x'00'",
            "SELECT a FROM t WHERE b = X''",
            "SELECT a FROM t WHERE b = TRUE",
            "SELECT a FROM t WHERE b = (null)",
            "INSERT INTO t VALUES (?, NULL)",
            "SELECT a/**/FROM t/*'*/WHERE b=/*'*/'x'",
            "SELECT \"a'\" FROM t WHERE b = 'c'",
            "SELECT a FROM t WHERE b = $$x$$",
            "SELECT $$ 'x' $$",
            // What has no end hides anything.
            "SELECT a FROM t /* b",
            "SELECT a FROM t WHERE b = 'c",
            "SELECT a FROM t WHERE \"b",
        ] {
            assert!(first_literal(sql).is_some(), "{sql}");
        }
        assert_eq!(first_literal("SELECT a\nFROM t WHERE b = 7"), Some((2, 18)));
    }

    #[test]
    fn names_parameters_and_words_are_none() {
        for sql in [
            "SELECT a, \"b 1\", [c'2], `d` FROM t1 WHERE e2 = ? AND f = ?12 AND g = $3 AND h = :i",
            "SELECT a FROM t WHERE b IS NULL OR c IS NOT NULL OR d ISNULL",
            "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)",
            "SELECT a -- 'x' 1\nFROM t /* 2 */ ORDER BY b COLLATE nocase DESC LIMIT ?",
            "SELECT count(*) FROM t WHERE a IN (SELECT b FROM u)",
            "",
        ] {
            assert_eq!(first_literal(sql), None, "{sql}");
        }
    }
}
