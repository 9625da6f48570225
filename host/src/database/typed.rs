//! What a column's declared type makes of a value as SQLite stores it.
//!
//! SQLite knows five types; a table says more of its columns in the words of its CREATE
//! TABLE. Those are believed as far as a value has the form: SQLite binds nobody to them,
//! so that any other value comes as it is stored.

use super::sqlite::Statement;
use crate::bindings::heliosdb::host::types as wit;
use crate::types::parse_timestamp;

/// What the values of a column are, by its declared type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    AsStored,
    Boolean,
    /// A day is its midnight.
    Moment,
    Json,
}

impl Kind {
    /// Of each column of a statement's rows.
    pub(super) fn of_columns(statement: &Statement) -> Box<[Kind]> {
        let declared = statement.declared_types().iter();
        declared.map(|ty| Kind::of(ty.as_deref())).collect()
    }

    fn of(declared: Option<&str>) -> Kind {
        const KINDS: [(&str, Kind); 8] = [
            ("bool", Kind::Boolean),
            ("boolean", Kind::Boolean),
            ("date", Kind::Moment),
            ("datetime", Kind::Moment),
            ("timestamp", Kind::Moment),
            ("timestamp without time zone", Kind::Moment),
            ("json", Kind::Json),
            ("jsonb", Kind::Json),
        ];
        let name = declared.unwrap_or_default();
        // `TIMESTAMP(6)` is a TIMESTAMP.
        let name = name.split_once('(').map_or(name, |(name, _)| name).trim();
        let known = KINDS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map_or(Kind::AsStored, |(_, kind)| *kind)
    }

    pub(super) fn integer(self, n: i64) -> wit::Value {
        match (self, n) {
            (Kind::Boolean, 0 | 1) => wit::Value::Boolean(n == 1),
            _ => wit::Value::Integer(n),
        }
    }

    pub(super) fn text(self, text: &str) -> wit::Value {
        let typed = match self {
            Kind::AsStored | Kind::Boolean => None,
            Kind::Moment => moment(text),
            Kind::Json => json(text),
        };
        typed.unwrap_or_else(|| wit::Value::Text(text.to_string()))
    }
}

fn moment(text: &str) -> Option<wit::Value> {
    // No form of a moment is longer, and what is must not be looked through.
    const BYTES_MAX: usize = 64;
    if text.len() > BYTES_MAX {
        return None;
    }
    let microseconds = parse_timestamp(text).ok()?;
    Some(wit::Value::Timestamp(wit::Timestamp { microseconds }))
}

fn json(text: &str) -> Option<wit::Value> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let text = text.to_string();
    Some(wit::Value::Json(wit::Json { text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_type_is_known_in_any_case_and_with_a_length() {
        for (declared, kind) in [
            ("BOOLEAN", Kind::Boolean),
            ("bool", Kind::Boolean),
            ("Timestamp (6)", Kind::Moment),
            ("DATETIME", Kind::Moment),
            ("json", Kind::Json),
            ("VARCHAR(20)", Kind::AsStored),
            ("NUMERIC(10,2)", Kind::AsStored),
            ("", Kind::AsStored),
        ] {
            assert_eq!(Kind::of(Some(declared)), kind, "{declared}");
        }
        assert_eq!(Kind::of(None), Kind::AsStored);
    }

    #[test]
    fn a_value_without_the_form_stays_as_it_is_stored() {
        let is_text = |value| matches!(value, wit::Value::Text(_));
        assert!(matches!(
            Kind::Boolean.integer(1),
            wit::Value::Boolean(true)
        ));
        assert!(matches!(Kind::Boolean.integer(2), wit::Value::Integer(2)));
        assert!(matches!(
            Kind::Moment.text("1970-01-01 00:00:01"),
            wit::Value::Timestamp(wit::Timestamp {
                microseconds: 1_000_000
            })
        ));
        assert!(is_text(Kind::Moment.text("yesterday")));
        assert!(matches!(Kind::Json.text("[1]"), wit::Value::Json(_)));
        assert!(is_text(Kind::Json.text("[1")));
        assert!(is_text(Kind::AsStored.text("[1]")));
    }
}
