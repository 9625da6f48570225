//! The strings of a JavaScript source: literals, templates without substitutions, and
//! those that stand together with nothing but `+` between them.
//!
//! Not a parser: it cuts a source into strings and what is between them. Where that is
//! ambiguous (a `/` divides or begins a regular expression) it may guess, since whatever
//! it finds stands in the source.

use std::iter::Peekable;
use std::str::Chars;

/// What the next token may be joined to.
#[derive(PartialEq)]
enum Before {
    /// Nothing: another token.
    Nothing,
    /// A string that ended.
    String(String),
    /// The same, and a `+`.
    Plus(String),
}

struct Source<'s> {
    rest: Peekable<Chars<'s>>,
    before: Before,
    /// Whether a `/` would divide: the last token ended a value.
    ends_value: bool,
    /// The depth of braces in each template that is open.
    templates: Vec<usize>,
    strings: Vec<String>,
}

/// The words after which a `/` begins a regular expression.
const OPERATORS: [&str; 13] = [
    "return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "do", "else",
    "yield", "await",
];

/// Every string, and every concatenation of strings, once at least.
pub(super) fn strings(source: &str) -> Vec<String> {
    let mut source = Source {
        rest: source.chars().peekable(),
        before: Before::Nothing,
        ends_value: false,
        templates: Vec::new(),
        strings: Vec::new(),
    };
    while source.token().is_some() {}
    source.join(None);
    source.strings
}

impl Source<'_> {
    /// Reads one token; none at the end.
    fn token(&mut self) -> Option<()> {
        let first = self.rest.next()?;
        match first {
            c if c.is_whitespace() => {}
            '/' => match self.rest.peek() {
                Some('/') => self.skip_while(|c| !matches!(c, '\n' | '\r')),
                Some('*') => self.skip_comment(),
                _ if self.ends_value => self.other(false),
                _ => self.regular_expression(),
            },
            '\'' | '"' => self.string(first),
            '`' => self.template(),
            '+' if matches!(self.before, Before::String(_)) => self.plus(),
            '{' => {
                if let Some(depth) = self.templates.last_mut() {
                    *depth += 1;
                }
                self.other(false);
            }
            '}' => match self.templates.last_mut() {
                Some(0) => {
                    self.templates.pop();
                    self.template_rest(String::new(), false);
                }
                Some(depth) => {
                    *depth -= 1;
                    self.other(true);
                }
                None => self.other(true),
            },
            c if c.is_alphanumeric() || c == '_' || c == '$' => self.word(c),
            c => self.other(matches!(c, ')' | ']')),
        }
        Some(())
    }

    fn word(&mut self, first: char) {
        let mut word = String::from(first);
        while let Some(c) = self
            .rest
            .next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
        {
            word.push(c);
        }
        self.other(!OPERATORS.contains(&word.as_str()));
    }

    /// A token that is no string.
    fn other(&mut self, ends_value: bool) {
        self.join(None);
        self.ends_value = ends_value;
    }

    fn plus(&mut self) {
        if let Before::String(text) = std::mem::replace(&mut self.before, Before::Nothing) {
            self.before = Before::Plus(text);
        }
        self.ends_value = false;
    }

    /// A string ended; or, without one, what was before it did.
    fn join(&mut self, string: Option<String>) {
        let before = std::mem::replace(&mut self.before, Before::Nothing);
        match (before, string) {
            (Before::Plus(mut text), Some(string)) => {
                self.strings.push(string.clone());
                text.push_str(&string);
                self.before = Before::String(text);
            }
            (before, string) => {
                if let Before::String(text) | Before::Plus(text) = before {
                    self.strings.push(text);
                }
                if let Some(string) = string {
                    self.before = Before::String(string);
                }
            }
        }
        self.ends_value = true;
    }

    fn string(&mut self, quote: char) {
        let mut text = String::new();
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => self.escape(&mut text),
                // One without an end; the compiler has refused it.
                '\n' | '\r' => break,
                c if c == quote => return self.join(Some(text)),
                c => text.push(c),
            }
        }
        self.other(true);
    }

    fn template(&mut self) {
        self.template_rest(String::new(), true);
    }

    /// A template from here on: a string if it began here and has no substitution.
    fn template_rest(&mut self, mut text: String, mut is_whole: bool) {
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => self.escape(&mut text),
                '`' => {
                    return match is_whole {
                        true => self.join(Some(text)),
                        false => self.other(true),
                    };
                }
                '$' if self.rest.next_if_eq(&'{').is_some() => {
                    is_whole = false;
                    self.templates.push(0);
                    return self.other(is_whole);
                }
                '\r' => {
                    self.rest.next_if_eq(&'\n');
                    text.push('\n');
                }
                c => text.push(c),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, text: &mut String) {
        let Some(c) = self.rest.next() else { return };
        match c {
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'v' => text.push('\u{b}'),
            '0' => text.push('\0'),
            'x' => {
                let unit = self.hexadecimal(2);
                text.push(char::from_u32(unit).unwrap_or('\u{fffd}'));
            }
            'u' => text.push(self.unicode()),
            // A line that goes on.
            '\r' => {
                self.rest.next_if_eq(&'\n');
            }
            '\n' | '\u{2028}' | '\u{2029}' => {}
            c => text.push(c),
        }
    }

    fn unicode(&mut self) -> char {
        if self.rest.next_if_eq(&'{').is_some() {
            let mut code = 0_u32;
            while let Some(c) = self.rest.next_if(char::is_ascii_hexdigit) {
                code = code
                    .saturating_mul(16)
                    .saturating_add(c.to_digit(16).unwrap_or(0));
            }
            self.rest.next_if_eq(&'}');
            return char::from_u32(code).unwrap_or('\u{fffd}');
        }
        let unit = self.hexadecimal(4);
        // Two halves of a character; one alone is none.
        let mut ahead = self.rest.clone();
        let pair = matches!(unit, 0xd800..0xdc00)
            && ahead.next() == Some('\\')
            && ahead.next() == Some('u');
        if pair {
            let whole = std::mem::replace(&mut self.rest, ahead);
            let low = self.hexadecimal(4);
            if matches!(low, 0xdc00..0xe000) {
                let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return char::from_u32(code).unwrap_or('\u{fffd}');
            }
            self.rest = whole;
        }
        char::from_u32(unit).unwrap_or('\u{fffd}')
    }

    fn hexadecimal(&mut self, digits: usize) -> u32 {
        let mut code = 0;
        for _ in 0..digits {
            match self.rest.next_if(char::is_ascii_hexdigit) {
                Some(c) => code = code * 16 + c.to_digit(16).unwrap_or(0),
                None => break,
            }
        }
        code
    }

    fn regular_expression(&mut self) {
        let mut in_class = false;
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => {
                    self.rest.next();
                }
                '[' => in_class = true,
                ']' => in_class = false,
                '/' if !in_class => break,
                // It was none.
                '\n' | '\r' => break,
                _ => {}
            }
        }
        self.other(true);
    }

    fn skip_while(&mut self, belongs: impl Fn(&char) -> bool) {
        while self.rest.next_if(&belongs).is_some() {}
    }

    fn skip_comment(&mut self) {
        self.rest.next();
        let mut last = ' ';
        for c in self.rest.by_ref() {
            if last == '*' && c == '/' {
                return;
            }
            last = c;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &[&str]) {
        let mut found = strings(source);
        found.dedup();
        for text in expected {
            assert!(
                found.iter().any(|f| f == text),
                "{text:?} is not in {found:?}"
            );
        }
    }

    #[track_caller]
    fn check_all(source: &str, expected: &[&str]) {
        assert_eq!(strings(source), expected, "{source}");
    }

    #[test]
    fn strings_and_whole_templates_are_found() {
        check_all("f('a', \"b'c\", `d\ne`)", &["a", "b'c", "d\ne"]);
        check_all("f(`a ${b} c`, 'd')", &["d"]);
        check_all(
            "f(`a ${ {b: `x`}.b + `y ${'z'} w` } c`, 'd')",
            &["x", "z", "d"],
        );
        check_all("// 'a'\n/* 'b' */ 'c'", &["c"]);
        check_all("", &[]);
    }

    #[test]
    fn strings_with_a_plus_between_are_one() {
        check(
            "'SELECT a ' + /* x */ \"FROM t \" +\n `WHERE b = 1`",
            &["SELECT a FROM t WHERE b = 1"],
        );
        check("x + 'a' + 'b' + y", &["ab"]);
        check("'a' + (x) + 'b'", &["a", "b"]);
        assert!(!strings("'a' + x + 'b'").contains(&"ab".to_owned()));
        assert!(!strings("['a', 'b']").contains(&"ab".to_owned()));
        assert!(!strings("'a' - 'b'").contains(&"ab".to_owned()));
        assert!(!strings("'a' + +'b'").contains(&"ab".to_owned()));
    }

    #[test]
    fn escapes_are_undone() {
        check_all(
            "'a\\'b\\n\\x41\\u0042\\u{1f600}\\ud83d\\ude00\\ud800x\\\nc\\q'",
            &["a'b\nAB\u{1f600}\u{1f600}\u{fffd}xcq"],
        );
        check_all("`a\r\nb\\`c`", &["a\nb`c"]);
    }

    #[test]
    fn a_quote_in_a_regular_expression_begins_no_string() {
        check_all("x.match(/['\"`/]/) + 'a'", &["a"]);
        check_all("return /'/.test(x) ? 'a' : 'b'", &["a", "b"]);
        check_all("const half = n / 2, 'a' / b / 'c'", &["a", "c"]);
        check_all("(a + b) / 2 + 'c'", &["c"]);
    }

    #[test]
    fn what_does_not_compile_does_no_harm() {
        for source in [
            "'a", "`a ${", "`${`${", "/*", "/a", "'\\", "'\\u{", "'\\u", "}}}", "\\",
        ] {
            strings(source);
        }
    }
}
