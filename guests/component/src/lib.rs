//! A procedure as `cargo component build` makes it: that writes `bindings.rs`, and
//! adapts the WASI that the standard library imports.
//!
//! ```sql
//! ALTER FUNCTION artists GRANT CAPABILITY DATABASE_READ('Artist');
//! ```

#[rustfmt::skip]
#[allow(warnings, reason = "generated")]
mod bindings;

use bindings::Guest;
use bindings::heliosdb::host::database_read;
use bindings::heliosdb::host::types::{Error, Failure, Value};
use std::collections::HashMap;

struct Procedures;

impl Guest for Procedures {
    fn words(text: String) -> Vec<String> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for word in text.split_whitespace() {
            *counts.entry(word).or_default() += 1;
        }
        let counts = counts.iter().map(|(word, count)| format!("{word} {count}"));
        let mut words: Vec<String> = counts.collect();
        words.sort();
        words
    }

    fn artists() -> Result<i64, Error> {
        let rows = database_read::query("SELECT COUNT(ArtistId) FROM Artist", &[])?.rows;
        match rows.first().and_then(|row| row.first()) {
            Some(Value::Integer(count)) => Ok(*count),
            _ => Err(Error::Failed(Failure {
                sqlstate: "42804".into(),
                message: "a count is an integer".into(),
            })),
        }
    }
}

bindings::export!(Procedures with_types_in bindings);
