//! A guest's text, before anybody parses it: cut into tokens as PostgreSQL cuts it, and
//! written anew so that whoever reads it next sees the same tokens.
//!
//! Two parsers that disagree are what an attacker looks for: over comments, over what
//! white space is, over where a string ends. So comments become a space, and what is
//! read differently by anybody is refused. It decides nothing about tables.

use crate::error::{Error, Result, SqlState};

/// A text that was written anew.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Text {
    /// Its parameters are `$1`, `$2`, ….
    pub(crate) sql: String,
    /// The first word, in upper case: it says what kind of statement it is.
    pub(crate) verb: String,
    /// The line and column of the first string, number, TRUE, FALSE or NULL, if there is
    /// one: input could be part of it.
    pub(crate) first_literal: Option<(usize, usize)>,
}

/// Tokens of one statement: a parser makes some hundred bytes of each.
const TOKENS_MAX: usize = 50_000;

/// The server cuts longer names off, and they would be the names of others.
const NAME_BYTES_MAX: usize = 63;

struct Lexer<'t> {
    rest: &'t str,
    out: String,
    verb: String,
    tokens: usize,
    /// How many `?` there were.
    marks: usize,
    has_numbers: bool,
    /// How many bytes were left at the first literal.
    literal_left: Option<usize>,
    /// The word before, in lower case.
    last_word: String,
}

/// Reads a guest's statement.
pub(crate) fn read(text: &str) -> Result<Text> {
    // With `$1` a `?` is an operator; without, it is a parameter.
    let marked = Lexer::read(text, true)?;
    let read = match marked.has_numbers {
        true => Lexer::read(text, false)?,
        false => marked,
    };
    let before = read.literal_left.map(|left| &text[..text.len() - left]);
    let place = |before: &str| {
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    };
    Ok(Text {
        first_literal: before.map(place),
        sql: read.out,
        verb: read.verb.to_ascii_uppercase(),
    })
}

impl<'t> Lexer<'t> {
    fn read(text: &'t str, marks_are_parameters: bool) -> Result<Lexer<'t>> {
        let mut lexer = Lexer {
            rest: text,
            out: String::with_capacity(text.len() + 16),
            verb: String::new(),
            tokens: 0,
            marks: 0,
            has_numbers: false,
            literal_left: None,
            last_word: String::new(),
        };
        while let Some(first) = lexer.rest.chars().next() {
            lexer.token(first, marks_are_parameters)?;
        }
        Ok(lexer)
    }

    fn token(&mut self, first: char, marks_are_parameters: bool) -> Result<()> {
        self.tokens += 1;
        if self.tokens > TOKENS_MAX {
            return Err(refuse(&format!(
                "the statement has more than {TOKENS_MAX} words and signs"
            )));
        }
        let rest = self.rest;
        if rest.starts_with("--") {
            let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
            self.blank(end);
        } else if rest.starts_with("/*") {
            let end = comment_end(rest).ok_or_else(|| refuse("a comment has no end"))?;
            self.blank(end);
        } else if matches!(first, ' ' | '\t' | '\n' | '\r' | '\x0c') {
            self.blank(1);
        } else if first == '\'' {
            self.note_literal();
            self.keep(quoted_end(rest, 0, '\'', false)?);
        } else if first == '"' {
            self.name(quoted_end(rest, 0, '"', false)?)?;
        } else if first == '$' {
            self.dollar()?;
        } else if is_name_start(first) {
            self.word()?;
        } else if first.is_ascii_digit() {
            self.note_literal();
            // `1a` is two tokens for some, and one for others.
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            if rest[end..].starts_with(|c: char| is_name_start(c) && !"eE".contains(c)) {
                return Err(refuse("a number runs into a word"));
            }
            self.keep(end);
        } else if first == '?' && marks_are_parameters {
            self.marks += 1;
            self.out.push_str(&format!("${}", self.marks));
            self.rest = &rest[1..];
        } else if first.is_ascii_graphic() && first != '`' && first != '\\' {
            self.keep(1);
        } else {
            return Err(refuse(&format!(
                "the character {first:?} is in no place for it"
            )));
        }
        Ok(())
    }

    fn word(&mut self) -> Result<()> {
        let rest = self.rest;
        let end = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
        let word = &rest[..end];
        match (&rest[end..], word) {
            (after, "e" | "E") if after.starts_with('\'') => {
                self.note_literal();
                self.keep(quoted_end(rest, end, '\'', true)?);
                return Ok(());
            }
            (after, "u" | "U") if after.starts_with('&') => {
                return Err(refuse(
                    "U& is not understood: write the characters themselves",
                ));
            }
            _ => {}
        }
        let folded = word.to_ascii_lowercase();
        let is_test = matches!(self.last_word.as_str(), "is" | "not");
        if matches!(folded.as_str(), "true" | "false") || (folded == "null" && !is_test) {
            self.note_literal();
        }
        self.last_word = folded;
        if self.verb.is_empty() {
            self.verb = word.to_string();
        }
        self.name(end)
    }

    /// `$1`, or a string between two tags.
    fn dollar(&mut self) -> Result<()> {
        let rest = self.rest;
        let after = &rest[1..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            self.has_numbers = true;
            self.keep(1 + digits);
            return Ok(());
        }
        let tag = after.find('$').filter(|end| {
            let tag = &after[..*end];
            tag.is_empty() || (tag.starts_with(is_name_start) && tag.chars().all(is_name_part))
        });
        let Some(tag) = tag.map(|end| &rest[..end + 2]) else {
            return Err(refuse("a $ is in no place for it"));
        };
        let body = &rest[tag.len()..];
        let end = body.find(tag).ok_or_else(unterminated)?;
        self.note_literal();
        // As a string like any other, which all read alike.
        self.out.push('\'');
        self.out.push_str(&body[..end].replace('\'', "''"));
        self.out.push('\'');
        self.rest = &body[end + tag.len()..];
        Ok(())
    }

    fn note_literal(&mut self) {
        self.literal_left.get_or_insert(self.rest.len());
    }

    fn name(&mut self, bytes: usize) -> Result<()> {
        if bytes > NAME_BYTES_MAX + if self.rest.starts_with('"') { 2 } else { 0 } {
            return Err(refuse(&format!(
                "a name is longer than {NAME_BYTES_MAX} bytes"
            )));
        }
        self.keep(bytes);
        Ok(())
    }

    fn keep(&mut self, bytes: usize) {
        let (kept, rest) = self.rest.split_at(bytes);
        self.out.push_str(kept);
        self.rest = rest;
    }

    fn blank(&mut self, bytes: usize) {
        self.out.push(' ');
        self.rest = &self.rest[bytes..];
    }
}

/// Comments nest.
fn comment_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut index) = (0, 0);
    while index + 1 < bytes.len() {
        match &bytes[index..index + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                index += 1;
                continue;
            }
        }
        index += 2;
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

/// Where a string or name in quotes ends; a doubled quote is a part of it.
fn quoted_end(text: &str, begin: usize, quote: char, has_escapes: bool) -> Result<usize> {
    let bytes = text.as_bytes();
    let quote = quote as u8;
    let mut index = begin + 1;
    while let Some(byte) = bytes.get(index) {
        if has_escapes && *byte == b'\\' {
            index += 2;
        } else if *byte != quote {
            index += 1;
        } else if bytes.get(index + 1) == Some(&quote) {
            index += 2;
        } else {
            return Ok(index + 1);
        }
    }
    Err(unterminated())
}

fn is_name_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn is_name_part(c: char) -> bool {
    is_name_start(c) || c.is_ascii_digit()
}

fn unterminated() -> Error {
    refuse("a string or name in quotes has no end")
}

fn refuse(why: &str) -> Error {
    Error::new(SqlState::SYNTAX, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(text: &str) -> String {
        read(text).unwrap().sql
    }

    #[test]
    fn question_marks_become_numbers_unless_there_are_numbers() {
        for (text, expected) in [
            ("SELECT ?, ?", "SELECT $1, $2"),
            ("SELECT '?', \"?\", $$?$$, ?", "SELECT '?', \"?\", '?', $1"),
            ("SELECT E'\\'?', ?", "SELECT E'\\'?', $1"),
            ("SELECT $1 ? 'a'", "SELECT $1 ? 'a'"),
            ("SELECT a$b$c ?", ""),
        ] {
            match expected {
                "" => assert!(read(text).is_err(), "{text}"),
                _ => assert_eq!(sql(text), expected),
            }
        }
    }

    #[test]
    fn h66_every_literal_is_found_wherever_it_hides() {
        for (text, place) in [
            ("SELECT a FROM t WHERE b = ?", None),
            ("SELECT a FROM t WHERE b IS NOT NULL AND c IS NULL", None),
            ("SELECT \"true\" FROM t -- 'a'\n /* 1 */", None),
            ("SELECT $1, a[$2]", None),
            ("SELECT 'a'", Some((1, 8))),
            ("SELECT\n  1", Some((2, 3))),
            ("SELECT ARRAY['a']", Some((1, 14))),
            ("SELECT b[1]", Some((1, 10))),
            ("SELECT -- \r 'a'", Some((1, 13))),
            ("SELECT E'a'", Some((1, 8))),
            ("SELECT $$a$$", Some((1, 8))),
            ("SELECT B'1'", Some((1, 9))),
            ("SELECT TRUE", Some((1, 8))),
            ("SELECT a = null", Some((1, 12))),
            ("SELECT .5", Some((1, 9))),
        ] {
            assert_eq!(read(text).unwrap().first_literal, place, "{text}");
        }
    }

    #[test]
    fn comments_are_blank_and_nest() {
        for (text, expected) in [
            ("SELECT 1 -- ' ?\n, 2", "SELECT 1   , 2"),
            ("SELECT 1 --\r FROM t", "SELECT 1    FROM t"),
            ("SELECT /* /* ' */ ? */ 1", "SELECT   1"),
            ("/*/**/*/SELECT 1", " SELECT 1"),
            ("SELECT $a$ -- $a$", "SELECT ' -- '"),
            ("SELECT $a$it's$a$", "SELECT 'it''s'"),
        ] {
            assert_eq!(sql(text), expected);
        }
        assert_eq!(read("/* SELECT */ (( with x").unwrap().verb, "WITH");
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        for text in [
            "SELECT 'a",
            "SELECT \"a",
            "SELECT $$a",
            "SELECT /* /* */",
            "SELECT U&\"\\0061\"",
            "SELECT u&'x'",
            "SELECT\u{a0}1",
            "SELECT 1\u{b}",
            "SELECT `a`",
            "SELECT \\a",
            "SELECT 1a",
            &format!("SELECT {}", "a".repeat(64)),
            &format!("SELECT \"{}\"", "a".repeat(64)),
            &"(".repeat(TOKENS_MAX + 1),
        ] {
            assert_eq!(
                read(text).unwrap_err().sqlstate(),
                SqlState::SYNTAX,
                "{text}"
            );
        }
        assert!(read(&format!("SELECT {}", "a".repeat(63))).is_ok());
        assert!(read("SELECT 1e5, größe").is_ok());
    }
}
