//! Reads one statement token by token, and words what is wrong with it.
//!
//! Not for the grammar itself: it knows names, keywords and strings, but no statement.

use super::Name;
use super::place;
use super::tokens::{Kind, Token, Tokens};
use crate::error::{Error, Result, SqlState, nearest};

/// The longest name of a function or a parameter.
const NAME_BYTES_MAX: usize = 63;

/// The longest word that is compared with the keywords.
const KEYWORD_BYTES_MAX: usize = 32;

/// A place in a statement, with the token that is next.
#[derive(Clone)]
pub(super) struct Cursor<'t> {
    text: &'t str,
    tokens: Tokens<'t>,
    next: Option<Token<'t>>,
    /// The full form of the statement, for the hint of a syntax error.
    pub(super) form: &'static str,
}

impl<'t> Cursor<'t> {
    /// The beginning of a text that ends where its only statement ends.
    pub(super) fn new(text: &'t str) -> Result<Cursor<'t>> {
        let mut cursor = Cursor {
            text,
            tokens: Tokens::new(text),
            next: None,
            form: "",
        };
        cursor.advance()?;
        Ok(cursor)
    }

    /// The next token, unless the statement ends here.
    pub(super) fn peek(&self) -> Option<Token<'t>> {
        self.next
    }

    /// Takes the next token.
    pub(super) fn take(&mut self) -> Result<Option<Token<'t>>> {
        let token = self.next;
        self.advance()?;
        Ok(token)
    }

    /// Takes the next token if it is this keyword.
    pub(super) fn take_word(&mut self, keyword: &str) -> Result<bool> {
        self.take_if(|token| token.is_word(keyword))
    }

    /// Takes the next tokens if they are these keywords, and none of them otherwise.
    pub(super) fn take_words(&mut self, keywords: &[&str]) -> Result<bool> {
        let mut ahead = self.clone();
        for keyword in keywords {
            if !ahead.take_word(keyword)? {
                return Ok(false);
            }
        }
        *self = ahead;
        Ok(true)
    }

    /// Takes the next token if it is this character.
    pub(super) fn take_symbol(&mut self, symbol: &str) -> Result<bool> {
        self.take_if(|token| token.is_symbol(symbol))
    }

    /// Takes the next token, which must be this character.
    pub(super) fn expect_symbol(&mut self, symbol: &str, wanted: &str) -> Result<()> {
        if self.take_symbol(symbol)? {
            return Ok(());
        }
        Err(self.expected(wanted))
    }

    /// Takes the next token, which must be this keyword.
    pub(super) fn expect_word(&mut self, keyword: &str) -> Result<()> {
        if self.take_word(keyword)? {
            return Ok(());
        }
        Err(self.expected(keyword))
    }

    /// Takes a string of one of these kinds.
    pub(super) fn take_string(&mut self, kinds: &[Kind]) -> Result<Option<String>> {
        let Some(token) = self.next.filter(|token| kinds.contains(&token.kind)) else {
            return Ok(None);
        };
        self.advance()?;
        Ok(Some(token.unquoted()))
    }

    /// Takes a name without a schema.
    pub(super) fn expect_name(&mut self, what: &str) -> Result<Name> {
        let is_name = |token: &Token<'_>| matches!(token.kind, Kind::Word | Kind::QuotedName);
        let Some(token) = self.next.filter(is_name) else {
            return Err(self.expected(&format!("the name of a {what}")));
        };
        let written = token.unquoted();
        if let Some(flaw) = name_flaw(&written) {
            let message = format!("the name of a {what} {flaw}");
            return Err(self.error(SqlState::SYNTAX, message));
        }
        self.advance()?;
        if self.next.is_some_and(|token| token.is_symbol(".")) {
            let message = format!("a {what} with a schema is not built in this version");
            return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let folded = match token.kind {
            Kind::Word => written.to_ascii_lowercase(),
            _ => written.clone(),
        };
        Ok(Name { folded, written })
    }

    /// Refuses anything but the end of the statement.
    pub(super) fn expect_end(&self, wanted: &str) -> Result<()> {
        match self.next {
            None => Ok(()),
            Some(_) => Err(self.expected(wanted)),
        }
    }

    /// The rest of the statement, as it stands.
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.offset()..]
    }

    /// A part of the statement, as it stands.
    pub(super) fn between(&self, start: usize, end: usize) -> &'t str {
        &self.text[start..end]
    }

    /// The offset of the next token, or of the statement's end.
    pub(super) fn offset(&self) -> usize {
        match self.next {
            Some(token) => token.start,
            None => self.text.len(),
        }
    }

    /// The syntax error that the next token is. Keywords stand in upper case in
    /// `wanted`; one that resembles the token is suggested.
    pub(super) fn expected(&self, wanted: &str) -> Error {
        let message = match self.next {
            Some(token) => format!("syntax error at \"{}\"", place::shown(token.text)),
            None => "syntax error at the end of the statement".to_owned(),
        };
        let error = self
            .error(SqlState::SYNTAX, message)
            .with_detail(format!("expected {wanted}"));
        match self.resembled(wanted) {
            Some(keyword) => error.with_hint(format!("did you mean {keyword}? {}", self.form)),
            None => error.with_hint(self.form),
        }
    }

    /// The refusal of something that the language has and this version does not.
    pub(super) fn not_built(&self, what: &str) -> Error {
        let message = format!("{what} is not built in this version");
        self.error(SqlState::FEATURE_NOT_SUPPORTED, message)
    }

    /// An error at the next token.
    pub(super) fn error(&self, sqlstate: SqlState, message: impl Into<String>) -> Error {
        self.locate(Error::new(sqlstate, message))
    }

    /// The same error, with the line of the next token.
    pub(super) fn locate(&self, error: Error) -> Error {
        error.with_context(place::excerpt(self.text, self.offset()))
    }

    /// The keyword for which the next token may be a slip of the keyboard.
    pub(super) fn resembled<'k>(&self, wanted: &'k str) -> Option<&'k str> {
        let token = self.next.filter(|token| token.kind == Kind::Word)?;
        if token.text.len() > KEYWORD_BYTES_MAX {
            return None;
        }
        let keywords = wanted
            .split(|character: char| !character.is_ascii_uppercase())
            .filter(|keyword| keyword.len() > 1);
        let near = nearest(&token.text.to_ascii_uppercase(), keywords)?;
        (!token.is_word(near)).then_some(near)
    }

    fn take_if(&mut self, accepts: impl Fn(&Token<'_>) -> bool) -> Result<bool> {
        let takes = self.next.is_some_and(|token| accepts(&token));
        if takes {
            self.advance()?;
        }
        Ok(takes)
    }

    fn advance(&mut self) -> Result<()> {
        self.next = self.tokens.next().transpose()?;
        Ok(())
    }
}

fn name_flaw(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("is empty".to_owned());
    }
    if name.len() > NAME_BYTES_MAX {
        return Some(format!("is longer than {NAME_BYTES_MAX} bytes"));
    }
    let has_control = name.contains(char::is_control);
    has_control.then(|| "has a control character".to_owned())
}
