//! Where in a statement something is wrong, as an error shows it: line and column,
//! and the line itself with a caret below it.

/// How much of a line is shown on either side of the place, in characters.
const SIDE_CHARACTERS_MAX: usize = 36;

/// How much of a token is quoted in a message, in characters.
const SHOWN_CHARACTERS_MAX: usize = 40;

/// The line and the column of an offset, both counted from 1, the column in characters.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before[line_start(before)..].chars().count() + 1;
    (line, column)
}

/// `LINE 2: …` and a caret below the place. A long line is shortened around it.
pub(super) fn excerpt(text: &str, offset: usize) -> String {
    let (line, _) = line_and_column(text, offset);
    let (before, after) = text.split_at(offset);
    let before = &before[line_start(before)..];
    let after = after.lines().next().unwrap_or_default();
    let cut = before.char_indices().rev().nth(SIDE_CHARACTERS_MAX - 1);
    let from = cut.map_or(0, |(index, _)| index);
    let dots = if from > 0 { "..." } else { "" };
    let left: String = before[from..].chars().map(printable).collect();
    let head = format!("LINE {line}: {dots}{left}");
    let indent = " ".repeat(head.chars().count());
    let tail = shortened(after, SIDE_CHARACTERS_MAX);
    format!("{head}{tail}\n{indent}^")
}

/// A token for a message: on one line, and shortened.
pub(super) fn shown(token: &str) -> String {
    shortened(token, SHOWN_CHARACTERS_MAX)
}

fn shortened(text: &str, characters_max: usize) -> String {
    let mut short: String = text.chars().take(characters_max).map(printable).collect();
    if text.chars().nth(characters_max).is_some() {
        short.push_str("...");
    }
    short
}

fn line_start(before: &str) -> usize {
    before.rfind('\n').map_or(0, |newline| newline + 1)
}

/// A line stays one line, and the caret stays below its place.
fn printable(character: char) -> char {
    if character.is_control() {
        ' '
    } else {
        character
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_is_below_the_place() {
        assert_eq!(excerpt("SELECT 1", 7), "LINE 1: SELECT 1\n               ^");
        assert_eq!(excerpt("a\r\n\té b\r\nc", 7), "LINE 2:  é b\n           ^");
        assert_eq!(excerpt("a", 1), "LINE 1: a\n         ^");
        assert_eq!(excerpt("", 0), "LINE 1: \n        ^");
    }

    #[test]
    fn a_long_line_is_shortened_around_the_place() {
        let text = format!("{}X{}", "é".repeat(100), "y".repeat(100));
        let excerpt = excerpt(&text, 200);
        let (line, caret) = excerpt.split_once('\n').unwrap();
        let (left, right) = ("é".repeat(36), "y".repeat(35));
        assert_eq!(line, format!("LINE 1: ...{left}X{right}..."));
        assert_eq!(
            caret.chars().count(),
            line.chars().position(|c| c == 'X').unwrap() + 1
        );
    }
}
