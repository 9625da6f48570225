//! What one looks for in a statement of the database's own without parsing it: by its
//! tokens, which are SQLite's.
//!
//! Nothing is permitted over what is found here; it may be refused.

use super::tokens::{Kind, Token, Tokens};

/// The names that stand before a parenthesis, in lower case: functions, among others.
pub(crate) fn called_names(sql: &str) -> Vec<String> {
    let tokens: Vec<Token<'_>> = Tokens::new(sql).map_while(Result::ok).collect();
    let pairs = tokens.windows(2);
    pairs
        .filter(|pair| is_name(&pair[0]) && pair[1].is_symbol("("))
        .map(|pair| pair[0].unquoted().to_ascii_lowercase())
        .collect()
}

/// Whether it is a statement of this kind.
pub(crate) fn begins_with(sql: &str, keyword: &str) -> bool {
    matches!(Tokens::new(sql).next(), Some(Ok(token)) if token.is_word(keyword))
}

/// The schema and the table of an ALTER TABLE.
pub(crate) fn altered_table(sql: &str) -> Option<(Option<String>, String)> {
    let mut tokens = Tokens::new(sql).map_while(Result::ok);
    let begins = tokens.next()?.is_word("alter") && tokens.next()?.is_word("table");
    let first = tokens.next().filter(|_| begins)?.unquoted();
    match tokens.next() {
        Some(dot) if dot.is_symbol(".") => Some((Some(first), tokens.next()?.unquoted())),
        _ => Some((None, first)),
    }
}

fn is_name(token: &Token<'_>) -> bool {
    matches!(token.kind, Kind::Word | Kind::QuotedName)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_before_parentheses_are_found_however_they_are_written() {
        let sql =
            "CREATE TABLE t (a VARCHAR(9) CHECK (\"F\" /* x */ (a) > [g] (1)), b DEFAULT 'h(')";
        assert_eq!(called_names(sql), ["t", "varchar", "check", "f", "g"]);
    }

    #[test]
    fn an_altered_table_is_found_in_its_schema() {
        let found = |sql| altered_table(sql);
        assert_eq!(found("alter -- x\ntable T add y"), Some((None, "T".into())));
        let qualified = Some((Some("main".into()), "a b".into()));
        assert_eq!(found("ALTER TABLE main.\"a b\" RENAME TO c"), qualified);
        assert_eq!(found("DROP TABLE t"), None);
    }
}
