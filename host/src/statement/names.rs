//! Names as the text of a statement has them.

use std::borrow::Cow;

/// In quotes, whatever it is.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// In quotes, unless it is a plain word, which would be folded to lower case.
pub(crate) fn name_in_sql(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    match begins_well && name.chars().all(is_plain) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(quoted(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_where_it_would_be_another_without() {
        for (name, in_sql) in [
            ("f", "f"),
            ("_f_2", "_f_2"),
            ("My Func", "\"My Func\""),
            ("F", "\"F\""),
            ("2f", "\"2f\""),
            ("a\"b", "\"a\"\"b\""),
            ("", "\"\""),
        ] {
            assert_eq!(name_in_sql(name), in_sql);
        }
    }
}
