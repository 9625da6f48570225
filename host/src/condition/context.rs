//! The context of a condition: one JSON document that means the same to every reader.

use super::{Failure, FailureKind};
use crate::error::{Error, Result, SqlState};
use crate::guard::{Guard, Guards};
use crate::limits::CONTEXT_BYTES_MAX;
use crate::types::Value;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Number, Value as Json};
use std::fmt;

/// A context as it was given.
pub(super) struct Context<'c> {
    bytes: Option<&'c [u8]>,
    text: Option<&'c str>,
    guards: Guards,
}

/// A context that was read.
pub(super) struct Document<'c> {
    pub(super) text: &'c str,
    pub(super) json: Json,
}

impl<'c> Context<'c> {
    pub(super) fn of(value: &'c Value, guards: Guards) -> Context<'c> {
        let (bytes, text) = match value {
            Value::Text(text) | Value::Json(text) => (Some(text.as_bytes()), Some(text.as_str())),
            Value::Blob(bytes) => (Some(&bytes[..]), None),
            _ => (None, None),
        };
        Context {
            bytes,
            text,
            guards,
        }
    }

    /// BLAKE3 of the context, for the log. Of one that is too large only of as much as
    /// is looked at.
    pub(super) fn digest(&self) -> Option<blake3::Hash> {
        let bytes = self.bytes?;
        Some(blake3::hash(&bytes[..bytes.len().min(CONTEXT_BYTES_MAX)]))
    }

    /// The document. JSON that has a member twice means one thing to one reader and
    /// another thing to the next, so it is none.
    pub(super) fn read(&self) -> Result<Document<'c>, Failure> {
        let Some(text) = self.text else {
            return Err(bad("the context is not text"));
        };
        if text.len() > CONTEXT_BYTES_MAX && self.guards.holds(Guard::ContextBytes) {
            let bytes = text.len();
            return Err(bad(&format!(
                "the context has {bytes} bytes; at most {CONTEXT_BYTES_MAX} are accepted"
            )));
        }
        let mut deserializer = Deserializer::from_str(text);
        let json = Unambiguous(self.guards)
            .deserialize(&mut deserializer)
            .and_then(|json| deserializer.end().map(|()| json))
            .map_err(|error| bad(&format!("the context is bad JSON: {error}")))?;
        Ok(Document { text, json })
    }
}

/// A failure of the context.
pub(super) fn bad(why: &str) -> Failure {
    does_not_fit(Error::new(SqlState::BAD_FORM, why))
}

/// A context that does not fit the condition's record.
pub(super) fn does_not_fit(error: Error) -> Failure {
    Failure::new(FailureKind::Context, error)
}

/// Reads JSON, and refuses an object that has a member twice.
#[derive(Clone, Copy)]
struct Unambiguous(Guards);

impl<'de> DeserializeSeed<'de> for Unambiguous {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) && self.0.holds(Guard::ContextMembers) {
                return Err(A::Error::custom(format!(
                    "member \"{name}\" is there twice"
                )));
            }
            let value = members.next_value_seed(self)?;
            object.insert(name, value);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Json, String> {
        let value = Value::Text(text.to_string());
        let document = Context::of(&value, Guards::default()).read();
        document
            .map(|document| document.json)
            .map_err(|failure| failure.error.message().to_string())
    }

    #[test]
    fn what_is_read_is_what_serde_reads() {
        for text in [
            r#"{"a":[1,-2,2.5,"é\u0000",true,null,{"b":{}}],"__proto__":1}"#,
            "18446744073709551615",
            " null ",
            "[[[[]]]]",
        ] {
            let json: Json = serde_json::from_str(text).unwrap();
            assert_eq!(read(text), Ok(json), "{text}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for (text, part) in [
            (
                r#"{"role":"user","role":"admin"}"#,
                "member \"role\" is there twice",
            ),
            (
                r#"{"a":[{"b":1,"\u0062":2}]}"#,
                "member \"b\" is there twice",
            ),
            ("{} {}", "trailing characters"),
            ("{'a':1}", "bad JSON"),
            ("[1,]", "bad JSON"),
            ("NaN", "bad JSON"),
            ("1e999", "bad JSON"),
            (r#""\ud800""#, "bad JSON"),
            ("", "bad JSON"),
        ] {
            let message = read(text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
        let deep = "[".repeat(100_000);
        assert!(read(&deep).is_err());
        let long = format!("\"{}\"", "x".repeat(CONTEXT_BYTES_MAX));
        assert!(read(&long).unwrap_err().contains("at most 262144"));
    }
}
