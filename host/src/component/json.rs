//! A composite value as JSON text, written as it is walked through: a tree of it would be
//! several times as large as what the guest handed over.

use super::convert::{json_name, to_json};
use crate::error::{Error, Result, SqlState};
use crate::execution::meter::Meter;
use crate::guard::Guard;
use crate::signature::WitType;
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use std::io;
use wasmtime::component::Val;

/// Between two looks at the clocks, in bytes of text.
const LOOK_BYTES: usize = 64 << 10;

/// The text. It is given up when a limit is reached, which the meter has then.
pub(super) fn text(val: &Val, ty: &WitType, meter: &Meter) -> Result<String> {
    let mut text = Text {
        bytes: Vec::new(),
        looked_at: 0,
        meter,
    };
    let failed =
        |error: &dyn std::fmt::Display| Error::new(SqlState::INVALID_VALUE, error.to_string());
    serde_json::to_writer(&mut text, &Typed(val, ty)).map_err(|error| failed(&error))?;
    String::from_utf8(text.bytes).map_err(|error| failed(&error))
}

struct Text<'m> {
    bytes: Vec<u8>,
    looked_at: usize,
    meter: &'m Meter,
}

impl io::Write for Text<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let looks = self.meter.guards.holds(Guard::ConversionClock);
        if looks && self.bytes.len() - self.looked_at >= LOOK_BYTES {
            self.looked_at = self.bytes.len();
            let over = |_| io::Error::other("a limit was reached");
            self.meter.check().map_err(over)?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A value with its type. What holds no others is small, and made JSON as elsewhere.
struct Typed<'v>(&'v Val, &'v WitType);

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Typed(val, ty) = *self;
        match (ty, val) {
            (WitType::Option(inner), Val::Option(Some(val))) => {
                Typed(val, inner).serialize(serializer)
            }
            (WitType::List(inner), Val::List(items)) => {
                serializer.collect_seq(items.iter().map(|item| Typed(item, inner)))
            }
            (WitType::Tuple(types), Val::Tuple(items)) => {
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                for (item, ty) in items.iter().zip(types) {
                    sequence.serialize_element(&Typed(item, ty))?;
                }
                sequence.end()
            }
            (WitType::Record(types), Val::Record(fields)) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for ((name, val), (_, ty)) in fields.iter().zip(types) {
                    map.serialize_entry(&json_name(name), &Typed(val, ty))?;
                }
                map.end()
            }
            (WitType::Variant(cases), Val::Variant(name, Some(val))) => {
                let case = cases.iter().find(|(case, _)| case == name);
                let Some((_, Some(ty))) = case else {
                    return Err(S::Error::custom("an unknown case"));
                };
                serializer.collect_map([(name, Typed(val, ty))])
            }
            (WitType::Result { ok: Some(ty), .. }, Val::Result(Ok(Some(val)))) => {
                serializer.collect_map([("ok", Typed(val, ty))])
            }
            (WitType::Result { err: Some(ty), .. }, Val::Result(Err(Some(val)))) => {
                serializer.collect_map([("err", Typed(val, ty))])
            }
            (ty, val) => match to_json(val, ty) {
                Ok(json) => json.serialize(serializer),
                Err(error) => Err(S::Error::custom(error.message())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Guards;
    use crate::limits::Limits;
    use crate::violations::Switch;

    fn record(n: i64) -> Val {
        let fields = [
            ("line-number", Val::S64(n)),
            (
                "name",
                Val::Option(Some(Box::new(Val::String("x\"y".into())))),
            ),
            ("none", Val::Option(None)),
            (
                "kind",
                Val::Variant("of".into(), Some(Box::new(Val::U8(1)))),
            ),
        ];
        Val::Record(fields.map(|(name, val)| (name.to_string(), val)).into())
    }

    fn list() -> WitType {
        let option = |inner| WitType::Option(Box::new(inner));
        let kinds = vec![
            ("of".to_string(), Some(WitType::U8)),
            ("no".to_string(), None),
        ];
        let fields = [
            ("line-number", WitType::S64),
            ("name", option(WitType::String)),
            ("none", option(WitType::Bool)),
            ("kind", WitType::Variant(kinds)),
        ];
        let record = WitType::Record(fields.map(|(name, ty)| (name.to_string(), ty)).into());
        WitType::List(Box::new(record))
    }

    #[test]
    fn the_text_is_that_of_the_tree() {
        let meter = Meter::start(Limits::DEFAULT, Switch::new(true), Guards::default());
        let val = Val::List((0..3).map(record).collect());
        let text = text(&val, &list(), &meter).unwrap();
        assert_eq!(text, to_json(&val, &list()).unwrap().to_string());
        assert!(
            text.starts_with(r#"[{"line_number":0,"name":"x\"y","none":null,"kind":{"of":1}},"#)
        );
    }

    #[test]
    fn a_limit_ends_it() {
        let mut limits = Limits::DEFAULT;
        limits.wall_time_ms = 0;
        let meter = Meter::start(limits, Switch::new(true), Guards::default());
        let short = Val::List(vec![record(1)]);
        assert!(text(&short, &list(), &meter).is_ok());
        let long = Val::List((0..10_000).map(record).collect());
        assert!(text(&long, &list(), &meter).is_err());
        assert!(meter.exceeded().is_some());
    }
}
