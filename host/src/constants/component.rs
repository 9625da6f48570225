//! The texts in the data segments of a component and the modules nested in it.

use wasmparser::{Parser, Payload};

/// A statement begins with one of these, in any case.
const VERBS: [&str; 10] = [
    "select", "insert", "update", "delete", "replace", "with", "values", "create", "alter", "drop",
];

const FIRST_LETTERS: &[u8] = b"siudrwvca";

/// Each run of text in a segment that has a word in it with which a statement begins: what
/// lies in two segments is not written together anywhere.
pub(super) fn texts(component: &[u8]) -> Vec<Box<str>> {
    let mut texts = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        // What was uploaded was read before; if this cannot be, there are no constants.
        let Ok(payload) = payload else { break };
        if let Payload::DataSection(section) = payload {
            for data in section.into_iter().map_while(Result::ok) {
                add_texts(data.data, &mut texts);
            }
        }
    }
    texts
}

fn add_texts(data: &[u8], texts: &mut Vec<Box<str>>) {
    for run in data.split(|byte| !may_be_in_statement(*byte)) {
        for chunk in run.utf8_chunks() {
            if has_verb(chunk.valid()) {
                texts.push(chunk.valid().into());
            }
        }
    }
}

fn may_be_in_statement(byte: u8) -> bool {
    byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0c')
}

fn has_verb(text: &str) -> bool {
    let bytes = text.as_bytes();
    let begins = |at: usize| {
        VERBS.iter().any(|verb| {
            let word = bytes.get(at..at + verb.len());
            word.is_some_and(|word| word.eq_ignore_ascii_case(verb.as_bytes()))
        })
    };
    // Data may have megabytes, few of which begin a word of these.
    (0..bytes.len()).any(|at| FIRST_LETTERS.contains(&bytes[at].to_ascii_lowercase()) && begins(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_data(segments: &[&str]) -> Vec<Box<str>> {
        let data: String = segments
            .iter()
            .enumerate()
            .map(|(n, text)| format!("(data (i32.const {}) \"{text}\")", n * 1000))
            .collect();
        let component = format!("(component (core module (memory 1) {data}))");
        texts(&wat::parse_str(component).unwrap())
    }

    #[test]
    fn a_text_is_a_run_in_one_segment() {
        let texts = of_data(&[
            "SELECT 1\\00SELECT 2",
            "no statement",
            "\\ff\\feselect \\c3\\a9 = 'x'\\01",
            "SELECT a FROM t WHERE b = ",
            "'c'",
        ]);
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        assert_eq!(
            texts,
            [
                "SELECT 1",
                "SELECT 2",
                "select é = 'x'",
                "SELECT a FROM t WHERE b = "
            ]
        );
    }
}
