//! What a statement did, as one line of JSON for a program. Prints nothing.

use crate::table;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use perihelion::{Error, Notice, Outcome, Value};
use serde_json::{Map, Value as Json, json};

/// A statement that succeeded.
pub(crate) fn outcome(outcome: &Outcome) -> String {
    let mut object = Map::new();
    object.insert("command".into(), outcome.command.clone().into());
    object.insert("columns".into(), outcome.columns.clone().into());
    let rows = outcome
        .rows
        .iter()
        .map(|row| row.iter().map(value).collect::<Json>());
    object.insert("rows".into(), rows.collect());
    if let Some(affected) = outcome.affected {
        object.insert("affected".into(), affected.into());
    }
    object.insert("notices".into(), notices(&outcome.notices));
    Json::Object(object).to_string()
}

/// A statement that failed, and the messages that came until then. `place` is the
/// script and the line in it where the statement begins.
pub(crate) fn failure(
    failure: &Error,
    messages: &[Notice],
    place: Option<(&str, usize)>,
) -> String {
    let mut object = Map::new();
    object.insert("error".into(), error(failure, place));
    if !messages.is_empty() {
        object.insert("notices".into(), notices(messages));
    }
    Json::Object(object).to_string()
}

/// An error; what it does not have is left out.
pub(crate) fn error(error: &Error, place: Option<(&str, usize)>) -> Json {
    let mut object = Map::new();
    object.insert("sqlstate".into(), error.sqlstate().as_str().into());
    object.insert("message".into(), error.message().into());
    let parts = [
        ("detail", error.detail()),
        ("hint", error.hint()),
        ("context", error.context()),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            object.insert(name.into(), part.into());
        }
    }
    if let Some((file, line)) = place {
        object.insert("file".into(), file.into());
        object.insert("line".into(), line.into());
    }
    Json::Object(object)
}

fn notices(notices: &[Notice]) -> Json {
    let object = |notice: &Notice| {
        let mut object = json!({"severity": notice.severity.name(), "message": notice.message});
        if let Some(hint) = &notice.hint {
            object["hint"] = hint.as_str().into();
        }
        object
    };
    notices.iter().map(object).collect()
}

fn value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(b) => (*b).into(),
        Value::Integer(n) => (*n).into(),
        Value::Real(x) if x.is_finite() => (*x).into(),
        Value::Real(x) => table::float(*x).into(),
        Value::Text(text) | Value::Decimal(text) => text.as_str().into(),
        Value::Blob(bytes) => BASE64.encode(bytes).into(),
        Value::Timestamp(microseconds) => table::timestamp(*microseconds).into(),
        Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perihelion::{Severity, SqlState};

    #[test]
    fn d19_every_kind_of_value_has_its_form() {
        let values = vec![
            Value::Null,
            Value::Boolean(true),
            Value::Integer(i64::MIN),
            Value::Real(0.1),
            Value::Real(f64::NAN),
            Value::Real(f64::NEG_INFINITY),
            Value::Text("\u{1b}\"".into()),
            Value::Decimal("1.50".into()),
            Value::Blob(vec![1, 2, 255]),
            Value::Timestamp(1_500_000),
            Value::Json("{\"b\":1,\"a\":[]}".into()),
        ];
        let columns = values.iter().map(|_| "c".to_string()).collect();
        let command = "SELECT".to_string();
        let done = Outcome {
            command,
            columns,
            rows: vec![values],
            ..Outcome::default()
        };
        let line = outcome(&done);
        let rows = concat!(
            "\"rows\":[[null,true,-9223372036854775808,0.1,\"NaN\",\"-Infinity\",",
            "\"\\u001b\\\"\",\"1.50\",\"AQL/\",\"1970-01-01 00:00:01.500000\",",
            "{\"b\":1,\"a\":[]}]]"
        );
        assert!(line.contains(rows), "{line}");
    }

    #[test]
    fn an_outcome_is_one_line() {
        let done = Outcome {
            command: "INSERT".into(),
            affected: Some(2),
            ..Outcome::default()
        };
        assert_eq!(
            outcome(&done),
            r#"{"command":"INSERT","columns":[],"rows":[],"affected":2,"notices":[]}"#
        );
    }

    #[test]
    fn an_error_leaves_out_what_it_does_not_have() {
        let failed = Error::new(SqlState::DENIED, "no");
        assert_eq!(
            failure(&failed, &[], None),
            r#"{"error":{"sqlstate":"42501","message":"no"}}"#
        );
        let notice = Notice {
            severity: Severity::Info,
            message: "a\nb".into(),
            hint: None,
        };
        assert_eq!(
            failure(&failed, &[notice], Some(("a.sql", 3))),
            concat!(
                r#"{"error":{"sqlstate":"42501","message":"no","file":"a.sql","line":3},"#,
                r#""notices":[{"severity":"INFO","message":"a\nb"}]}"#
            )
        );
    }
}
