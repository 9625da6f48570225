//! SQL text to tokens, cut exactly where SQLite cuts it, plus PostgreSQL's
//! dollar-quoted strings.
//!
//! Not for judging whether a token is a valid number or operator: it only has to
//! know where strings, names, comments and statements end. It must agree with SQLite
//! on that, or one statement here would be two statements there. It keeps nothing
//! but its position, so a text costs no memory however many tokens it has.

use super::place;
use crate::error::{Error, Result, SqlState};

/// What a token is, as far as a statement's structure depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// An unquoted name or keyword.
    Word,
    /// `"name"`, `` `name` `` or `[name]`.
    QuotedName,
    /// `'text'`.
    String,
    /// `$$text$$` or `$tag$text$tag$`.
    DollarString,
    /// A number, a parameter or a blob: one value without structure.
    Value,
    /// `;`
    Semicolon,
    /// One ASCII character of anything else.
    Symbol,
}

/// One token, as it stands in the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'t> {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) text: &'t str,
}

/// The tokens of a text, without white space and comments.
#[derive(Clone)]
pub(crate) struct Tokens<'t> {
    text: &'t str,
    position: usize,
}

impl<'t> Token<'t> {
    /// The offset of the first byte after it.
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it is this keyword, in any case and unquoted.
    pub(crate) fn is_word(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    /// Whether it is this character.
    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    /// What stands between its quotes, with doubled quotes undone.
    ///
    /// The line break right after an opening dollar quote is dropped, so that line 1
    /// of a function's body is its first line of code.
    pub(crate) fn unquoted(&self) -> String {
        match self.kind {
            Kind::DollarString => {
                let tag = self.text[1..].find('$').map_or(0, |tag| tag + 2);
                let body = self
                    .text
                    .get(tag..self.text.len() - tag)
                    .unwrap_or_default();
                let first = body
                    .strip_prefix("\r\n")
                    .or_else(|| body.strip_prefix('\n'));
                first.unwrap_or(body).to_owned()
            }
            Kind::String | Kind::QuotedName => {
                let (quote, rest) = self.text.split_at(1);
                let inner = &rest[..rest.len() - 1];
                match quote {
                    "[" => inner.to_owned(),
                    _ => inner.replace(&quote.repeat(2), quote),
                }
            }
            _ => self.text.to_owned(),
        }
    }
}

impl<'t> Tokens<'t> {
    /// The tokens of the text, from its beginning.
    pub(crate) fn new(text: &'t str) -> Tokens<'t> {
        Tokens { text, position: 0 }
    }

    /// Where the next token begins, or the text ends.
    fn skip_blank(&mut self) -> Result<usize> {
        loop {
            let rest = &self.text[self.position..];
            let blank = match rest.as_bytes() {
                [b' ' | b'\t' | b'\n' | b'\r' | b'\x0c', ..] => 1,
                [b'-', b'-', ..] => rest.find('\n').unwrap_or(rest.len()),
                [b'/', b'*', ..] => match rest[2..].find("*/") {
                    Some(end) => end + 4,
                    None => return Err(self.unterminated("comment")),
                },
                _ if rest.starts_with('\u{feff}') => '\u{feff}'.len_utf8(),
                _ => return Ok(self.position),
            };
            self.position += blank;
        }
    }

    /// The kind and length of the token that begins here.
    fn measure(&self, rest: &str) -> Result<(Kind, usize)> {
        let second = rest.as_bytes().get(1).copied().unwrap_or_default();
        Ok(match rest.as_bytes()[0] {
            b'\'' => (Kind::String, self.quoted(rest, 0, "string")?),
            b'"' | b'`' => (Kind::QuotedName, self.quoted(rest, 0, "quoted name")?),
            b'[' => match rest.find(']') {
                Some(end) => (Kind::QuotedName, end + 1),
                None => return Err(self.unterminated("quoted name")),
            },
            b'x' | b'X' if second == b'\'' => (Kind::Value, self.quoted(rest, 1, "blob")?),
            b'$' => match dollar_tag(rest) {
                Some(tag) => (Kind::DollarString, self.dollar_quoted(rest, tag)?),
                None => (Kind::Value, variable(rest)),
            },
            b':' | b'@' | b'#' if is_name_part(second) => (Kind::Value, variable(rest)),
            b'?' => (
                Kind::Value,
                1 + run(&rest[1..], |byte| byte.is_ascii_digit()),
            ),
            b'0'..=b'9' => (Kind::Value, number(rest)),
            b'.' if second.is_ascii_digit() => (Kind::Value, number(rest)),
            b';' => (Kind::Semicolon, 1),
            first if is_name_start(first) => (Kind::Word, word(rest)),
            _ => (Kind::Symbol, 1),
        })
    }

    /// The length of a quoted token whose opening quote is at `open`: a doubled quote
    /// stands for itself, and nothing else escapes.
    fn quoted(&self, rest: &str, open: usize, what: &str) -> Result<usize> {
        let quote = char::from(rest.as_bytes()[open]);
        let mut end = open + 1;
        while let Some(found) = rest[end..].find(quote) {
            end += found + 1;
            if !rest[end..].starts_with(quote) {
                return Ok(end);
            }
            end += 1;
        }
        Err(self.unterminated(what))
    }

    fn dollar_quoted(&self, rest: &str, tag: &str) -> Result<usize> {
        match rest[tag.len()..].find(tag) {
            Some(body) => Ok(body + 2 * tag.len()),
            None if tag.len() <= 66 => Err(self.unterminated(&format!("{tag} string"))),
            None => Err(self.unterminated("dollar-quoted string")),
        }
    }

    /// The token that begins at the position has no end.
    fn unterminated(&self, what: &str) -> Error {
        let (line, column) = place::line_and_column(self.text, self.position);
        let message = format!("unterminated {what} that begins at {line}:{column}");
        Error::new(SqlState::SYNTAX, message).with_context(place::excerpt(self.text, self.position))
    }

    fn advance(&mut self) -> Result<Option<Token<'t>>> {
        let start = self.skip_blank()?;
        let rest = &self.text[start..];
        if rest.is_empty() {
            return Ok(None);
        }
        let (kind, length) = self.measure(rest)?;
        self.position = start + length;
        let text = &rest[..length];
        Ok(Some(Token { kind, start, text }))
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Result<Token<'t>>;

    /// The next token. A token without an end is an error, and the last item.
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.position = self.text.len();
        }
        next.transpose()
    }
}

/// The length of a name. A dollar sign may be part of one, in SQLite as in PostgreSQL;
/// `AS$$` is taken for two tokens nevertheless, since nobody means a name by it and
/// the rest of the script would be read inside out.
fn word(rest: &str) -> usize {
    let is_as = |start: &str| start.eq_ignore_ascii_case("as");
    match rest.split_at_checked(2) {
        Some((start, after)) if is_as(start) && dollar_tag(after).is_some() => 2,
        _ => run(rest, is_name_part),
    }
}

/// The opening `$$` or `$tag$`, if the text begins with one.
fn dollar_tag(rest: &str) -> Option<&str> {
    let after = rest.strip_prefix('$')?;
    let name = run(after, |byte| byte != b'$' && is_name_part(byte));
    let opens = after[name..].starts_with('$');
    let is_numbered = after.starts_with(|first: char| first.is_ascii_digit());
    (opens && !is_numbered).then(|| &rest[..name + 2])
}

/// The length of a named parameter. Like SQLite this takes Tcl's forms, `:a::b` and
/// `:a(anything but space)`: the latter may hold a quote, which then quotes nothing.
fn variable(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut end = 1;
    let mut is_named = false;
    loop {
        match &bytes[end..] {
            [byte, ..] if is_name_part(*byte) => {
                end += 1;
                is_named = true;
            }
            [b':', b':', ..] => end += 2,
            [b'(', inner @ ..] if is_named => {
                let stops = |byte: &u8| is_space(*byte) || *byte == b')';
                let length = inner.iter().position(stops).unwrap_or(inner.len());
                let closed = inner.get(length) == Some(&b')');
                return end + 1 + length + usize::from(closed);
            }
            _ => return end,
        }
    }
}

/// The length of a number and of all that SQLite would take for its rest, valid or not.
fn number(rest: &str) -> usize {
    run(rest, |byte| is_name_part(byte) || byte == b'.')
}

fn run(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes()
        .position(|byte| !belongs(byte))
        .unwrap_or(text.len())
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn is_name_part(byte: u8) -> bool {
    is_name_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        Tokens::new(text)
            .map(|token| token.map(|token| (token.kind, token.text)).unwrap())
            .collect()
    }

    #[test]
    fn each_of_these_is_one_token() {
        use Kind::*;
        for (text, kind) in [
            ("a$b", Word),
            ("_x1", Word),
            ("straße", Word),
            ("as$", Word),
            ("as$1$", Word),
            ("bas$$", Word),
            ("\"a\"\";b\"", QuotedName),
            ("`a``;b`", QuotedName),
            ("[a;\"b]", QuotedName),
            ("'it''s; \\'", String),
            ("''", String),
            ("$$a;'b$$", DollarString),
            ("$tag$ $$ ; $other$ $tag$", DollarString),
            ("$ü$;$ü$", DollarString),
            ("$$\r\n$$", DollarString),
            ("x'ab'", Value),
            ("X''", Value),
            ("?", Value),
            ("?12", Value),
            (":a", Value),
            ("@a", Value),
            ("#1", Value),
            ("$1", Value),
            ("$a", Value),
            ("$", Value),
            ("$a::b", Value),
            (":a(';)", Value),
            ("0x1F", Value),
            ("0X1f", Value),
            ("1_000", Value),
            ("1.5e", Value),
            (".5", Value),
            ("1.", Value),
            (";", Semicolon),
            ("\u{1}", Symbol),
            ("\u{7f}", Symbol),
            ("\\", Symbol),
        ] {
            assert_eq!(kinds(text), [(kind, text)], "{text}");
        }
    }

    #[test]
    fn white_space_and_comments_are_no_tokens() {
        for text in [
            "",
            " \t\r\n\u{c}",
            "-- a",
            "--\r\n",
            "/**/",
            "/*/ */",
            "/* /* */",
            "\u{feff}",
        ] {
            assert_eq!(kinds(text), [], "{text:?}");
        }
        let words: Vec<&str> = kinds("\u{feff}a--'\nb/*;*/c - -d._e")
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(words, ["a", "b", "c", "-", "-", "d", ".", "_e"]);
    }

    #[test]
    fn a_dollar_quote_needs_a_tag_that_is_a_name() {
        let values = [(Kind::Value, "$1"), (Kind::Value, "$2")];
        assert_eq!(kinds("$1 $2"), values);
        assert_eq!(kinds("$1$"), [(Kind::Value, "$1$")]);
        let body = [(Kind::Word, "AS"), (Kind::DollarString, "$a$;$a$")];
        assert_eq!(kinds("AS$a$;$a$"), body);
    }

    #[test]
    fn quotes_are_undone() {
        for (text, unquoted) in [
            ("'it''s'", "it's"),
            ("''", ""),
            ("\"a\"\"b\"", "a\"b"),
            ("`a``b`", "a`b"),
            ("[a\"\"b]", "a\"\"b"),
            ("$$a$$", "a"),
            ("$$$$", ""),
            ("$$\na\n$$", "a\n"),
            ("$t$\r\n\na$t$", "\na"),
            ("$$ \na$$", " \na"),
            ("Word", "Word"),
        ] {
            let token = Tokens::new(text).next().unwrap().unwrap();
            assert_eq!(token.unquoted(), unquoted, "{text}");
        }
    }

    #[test]
    fn a_token_without_an_end_says_which_and_where() {
        for (text, message) in [
            ("a 'b;", "unterminated string that begins at 1:3"),
            ("a\n  \"b", "unterminated quoted name that begins at 2:3"),
            ("`", "unterminated quoted name that begins at 1:1"),
            ("é [a", "unterminated quoted name that begins at 1:3"),
            ("\n/* b *", "unterminated comment that begins at 2:1"),
            ("x'1", "unterminated blob that begins at 1:1"),
            ("a $$b$", "unterminated $$ string that begins at 1:3"),
            ("$tag$b$$", "unterminated $tag$ string that begins at 1:1"),
        ] {
            let mut tokens = Tokens::new(text);
            let error = tokens.find_map(Result::err).expect(text);
            assert_eq!(error.sqlstate(), SqlState::SYNTAX);
            assert_eq!(error.message(), message);
            assert!(tokens.next().is_none());
        }
    }
}
