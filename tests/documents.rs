//! Every SQL block of the documentation runs, in order, one session a document. A
//! block that is followed by a `text` block must fail with just that text.

use crate::support::{root, session};
use perihelion::{Error, Session, Value};

/// A fenced block: its language, where it begins, and what is in it.
struct Block {
    language: String,
    line: usize,
    text: String,
}

#[test]
fn the_readme_is_true() {
    check("README.md");
}

#[test]
fn the_reference_is_true() {
    check("docs/reference.md");
}

fn check(document: &str) {
    check_in(document, &mut session());
}

/// The same in a session of one's own.
pub(crate) fn check_in(document: &str, session: &mut Session) {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let blocks = blocks(&text);
    let mut ran = 0;
    for (index, block) in blocks
        .iter()
        .enumerate()
        .filter(|(_, block)| block.language == "sql")
    {
        let expected = blocks.get(index + 1).filter(|next| next.language == "text");
        let result = session.execute_script(&block.text, |_| {});
        let place = format!("{document}:{}", block.line);
        match (result, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(expected)) => {
                assert_eq!(shown(&error).trim(), expected.text.trim(), "{place}");
            }
            (Ok(()), Some(_)) => panic!("{place}: it succeeds"),
            (Err(error), None) => panic!("{place}: {error:?}"),
        }
        ran += 1;
    }
    assert!(ran >= 3, "{document} has {ran} blocks of SQL");
}

fn shown(error: &Error) -> String {
    let mut text = format!("ERROR:  {}", error.message());
    let parts = [
        ("DETAIL", error.detail()),
        ("HINT", error.hint()),
        ("CONTEXT", error.context()),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            text.push_str(&format!("\n{name}:  {part}"));
        }
    }
    text
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                let language = language.to_string();
                open = Some(Block {
                    language,
                    line: index + 1,
                    text: String::new(),
                });
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The table of limits says what the code has.
#[test]
fn the_limits_of_the_reference_are_the_ones_that_hold() {
    let reference = std::fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let limits = session().execute("SHOW LIMITS").unwrap().rows;
    let settings = limits.iter().filter(|row| row[1] != Value::Null);
    assert_eq!(settings.clone().count(), 8);
    for row in settings {
        let [
            _,
            Value::Text(setting),
            Value::Text(unit),
            default,
            most,
            ..,
        ] = &row[..]
        else {
            panic!("{row:?}");
        };
        let line = reference.lines().find(|line| {
            line.starts_with("| ")
                && !line.starts_with("| `")
                && line.contains(&format!("| `{setting}`"))
        });
        let line = line.unwrap_or_else(|| panic!("{setting} is not in the table"));
        for value in [default, most] {
            let shown = format!("| {} |", quantity(value, unit));
            assert!(line.contains(&shown), "{setting}: {shown} is not in {line}");
        }
    }
}

fn quantity(value: &Value, unit: &str) -> String {
    let Value::Integer(n) = *value else {
        panic!("{value:?}");
    };
    match unit {
        "bytes" => format!("{} MiB", n >> 20),
        "ms" => format!("{} s", n / 1_000),
        _ => {
            let digits = n.to_string();
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(|group| std::str::from_utf8(group).unwrap())
                .collect();
            groups.join(",")
        }
    }
}
