//! A script while it is read: what has not run yet, and in which line it stands.

use crate::shell::Ran;

/// A script that is being read.
pub(crate) struct Script<'n> {
    /// The file's name, for messages.
    pub(crate) name: Option<&'n str>,
    /// What was read and did not run yet.
    pub(crate) pending: String,
    /// The line in which `pending` begins, counted from 1.
    pub(crate) line: usize,
    pub(crate) failed: bool,
    pub(crate) ended: bool,
}

impl<'n> Script<'n> {
    pub(crate) fn new(name: Option<&'n str>) -> Script<'n> {
        Script {
            name,
            pending: String::new(),
            line: 1,
            failed: false,
            ended: false,
        }
    }

    pub(crate) fn place(&self, line: usize) -> Option<(&'n str, usize)> {
        self.name.map(|name| (name, line))
    }

    /// The line after all that was read.
    pub(crate) fn next_line(&self) -> usize {
        self.line + count_lines(&self.pending)
    }

    pub(crate) fn note(&mut self, ran: Ran, keep_going: bool) {
        self.failed |= ran == Ran::Failed;
        self.ended = ran == Ran::Quit || (ran == Ran::Failed && !keep_going);
    }
}

pub(crate) fn count_lines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// How much of a text stands before its first statement: blanks, comments and empty
/// statements.
pub(crate) fn leading_blanks(text: &str) -> usize {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        let comment_end = match trimmed.get(..2) {
            Some("--") => trimmed.find('\n'),
            Some("/*") => trimmed.find("*/").map(|index| index + 2),
            _ => None,
        };
        match comment_end {
            Some(end) => rest = &trimmed[end..],
            None => return text.len() - trimmed.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_begins_behind_blanks_and_comments() {
        for (text, expected) in [
            ("SELECT", 0),
            (" ;\n x", 4),
            ("-- a;\n/* b\n */ x", 15),
            ("/* a", 0),
            ("-- a", 0),
            ("é", 0),
        ] {
            assert_eq!(leading_blanks(text), expected, "{text}");
        }
    }
}
