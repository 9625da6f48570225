//! Values to and from a component, guided by the WIT types of its signature.
//! Composite types travel as JSON.

use super::json;
use crate::error::{Error, Result, SqlState};
use crate::execution::meter::Meter;
use crate::signature::WitType;
use crate::types::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value as Json;
use wasmtime::component::Val;

/// An argument, already of the parameter's SQL type.
pub(crate) fn lower(value: &Value, ty: &WitType) -> Result<Val> {
    if let WitType::Option(inner) = ty {
        return match value {
            Value::Null => Ok(Val::Option(None)),
            _ => Ok(Val::Option(Some(Box::new(lower(value, inner)?)))),
        };
    }
    Ok(match (ty, value) {
        (_, Value::Null) => return Err(mismatch("NULL where the component takes no option")),
        (WitType::Bool, Value::Boolean(b)) => Val::Bool(*b),
        (_, Value::Integer(n)) => integer(*n, ty)?,
        (WitType::F32, Value::Real(x)) => Val::Float32(*x as f32),
        (WitType::F64, Value::Real(x)) => Val::Float64(*x),
        (WitType::String, Value::Text(text)) => Val::String(text.clone()),
        (WitType::Char, Value::Text(text)) => Val::Char(one_char(text)?),
        (WitType::Enum(cases), Value::Text(text)) if cases.contains(text) => {
            Val::Enum(text.clone())
        }
        (WitType::Bytes, Value::Blob(bytes)) => {
            Val::List(bytes.iter().map(|byte| Val::U8(*byte)).collect())
        }
        (WitType::Decimal, Value::Decimal(digits)) => field("digits", Val::String(digits.clone())),
        (WitType::U64, Value::Decimal(digits)) => {
            Val::U64(digits.parse().map_err(|_| out_of_range(digits, "u64"))?)
        }
        (WitType::Timestamp, Value::Timestamp(us)) => field("microseconds", Val::S64(*us)),
        (WitType::Json, Value::Json(text)) => field("text", Val::String(text.clone())),
        (_, Value::Json(text)) => {
            let json = serde_json::from_str(text).map_err(|error| {
                Error::new(SqlState::BAD_FORM, "bad JSON").with_detail(error.to_string())
            })?;
            from_json(&json, ty)?
        }
        _ => return Err(mismatch("a value of another type")),
    })
}

/// A result as a SQL value. `result<_, E>` is the caller's to take apart. Over a limit of
/// the meter's it is given up.
pub(crate) fn lift(val: Val, ty: &WitType, meter: &Meter) -> Result<Value> {
    match (ty, val) {
        (WitType::Option(inner), Val::Option(Some(val))) => lift(*val, inner, meter),
        (ty, val) if is_composite(ty) => json::text(&val, ty, meter).map(Value::Json),
        (ty, val) => lift_scalar(val, ty),
    }
}

fn is_composite(ty: &WitType) -> bool {
    use WitType as W;
    matches!(
        ty,
        W::List(_)
            | W::Tuple(_)
            | W::Record(_)
            | W::Variant(_)
            | W::Flags(_)
            | W::Result { .. }
            | W::Error
    )
}

/// What is no composite.
fn lift_scalar(val: Val, ty: &WitType) -> Result<Value> {
    Ok(match (ty, val) {
        (WitType::Option(_), Val::Option(None)) => Value::Null,
        (WitType::Bytes, Val::List(items)) => Value::Blob(bytes(items)?),
        (WitType::Decimal, val) => Value::Decimal(text_field(val)?),
        (WitType::Json, val) => {
            let text = text_field(val)?;
            serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(|error| {
                Error::new(SqlState::BAD_FORM, "the function returned bad JSON")
                    .with_detail(error.to_string())
            })?;
            Value::Json(text)
        }
        (WitType::Timestamp, Val::Record(fields)) => match fields.into_iter().next() {
            Some((_, Val::S64(microseconds))) => Value::Timestamp(microseconds),
            _ => return Err(mismatch("another record than a timestamp")),
        },
        (_, Val::Bool(b)) => Value::Boolean(b),
        (_, Val::S8(n)) => Value::Integer(n.into()),
        (_, Val::U8(n)) => Value::Integer(n.into()),
        (_, Val::S16(n)) => Value::Integer(n.into()),
        (_, Val::U16(n)) => Value::Integer(n.into()),
        (_, Val::S32(n)) => Value::Integer(n.into()),
        (_, Val::U32(n)) => Value::Integer(n.into()),
        (_, Val::S64(n)) => Value::Integer(n),
        (_, Val::U64(n)) => Value::Decimal(n.to_string()),
        (_, Val::Float32(x)) => Value::Real(x.into()),
        (_, Val::Float64(x)) => Value::Real(x),
        (_, Val::Char(c)) => Value::Text(c.to_string()),
        (_, Val::String(text) | Val::Enum(text)) => Value::Text(text),
        _ => return Err(mismatch("a value of another type")),
    })
}

/// A whole number for the WIT type that stands behind its SQL type.
fn integer(n: i64, ty: &WitType) -> Result<Val> {
    let range = |name: &'static str| move |_| out_of_range(n, name);
    Ok(match ty {
        WitType::S8 => Val::S8(n.try_into().map_err(range("s8"))?),
        WitType::U8 => Val::U8(n.try_into().map_err(range("u8"))?),
        WitType::S16 => Val::S16(n.try_into().map_err(range("s16"))?),
        WitType::U16 => Val::U16(n.try_into().map_err(range("u16"))?),
        WitType::S32 => Val::S32(n.try_into().map_err(range("s32"))?),
        WitType::U32 => Val::U32(n.try_into().map_err(range("u32"))?),
        WitType::S64 => Val::S64(n),
        WitType::U64 => Val::U64(n.try_into().map_err(range("u64"))?),
        WitType::F32 => Val::Float32(n as f32),
        WitType::F64 => Val::Float64(n as f64),
        _ => return Err(mismatch("a number")),
    })
}

/// JSON to a WIT value: objects are records, null is none, a variant is an object
/// with one member or, if it carries nothing, its name.
pub(crate) fn from_json(json: &Json, ty: &WitType) -> Result<Val> {
    Ok(match (ty, json) {
        (WitType::Option(_), Json::Null) => Val::Option(None),
        (WitType::Option(inner), json) => Val::Option(Some(Box::new(from_json(json, inner)?))),
        (WitType::Bool, Json::Bool(b)) => Val::Bool(*b),
        (WitType::F32 | WitType::F64, Json::Number(n)) => {
            let x = n.as_f64().ok_or_else(|| out_of_range(n, "f64"))?;
            if *ty == WitType::F32 {
                Val::Float32(x as f32)
            } else {
                Val::Float64(x)
            }
        }
        (WitType::U64, Json::Number(n)) => {
            Val::U64(n.as_u64().ok_or_else(|| out_of_range(n, "u64"))?)
        }
        (_, Json::Number(n)) => integer(n.as_i64().ok_or_else(|| out_of_range(n, "s64"))?, ty)?,
        (WitType::String, Json::String(text)) => Val::String(text.clone()),
        (WitType::Char, Json::String(text)) => Val::Char(one_char(text)?),
        (WitType::Decimal, Json::String(text)) => field("digits", Val::String(text.clone())),
        (WitType::Timestamp, Json::String(text)) => field(
            "microseconds",
            Val::S64(crate::types::parse_timestamp(text)?),
        ),
        (WitType::Bytes, Json::String(text)) => {
            let bytes = BASE64
                .decode(text)
                .map_err(|_| mismatch("bytes that are not base64"))?;
            Val::List(bytes.into_iter().map(Val::U8).collect())
        }
        (WitType::Json, json) => field("text", Val::String(json.to_string())),
        (WitType::Enum(cases), Json::String(text)) if cases.contains(text) => {
            Val::Enum(text.clone())
        }
        (WitType::List(inner), Json::Array(items)) => Val::List(
            items
                .iter()
                .map(|item| from_json(item, inner))
                .collect::<Result<_>>()?,
        ),
        (WitType::Tuple(types), Json::Array(items)) if types.len() == items.len() => Val::Tuple(
            items
                .iter()
                .zip(types)
                .map(|(item, ty)| from_json(item, ty))
                .collect::<Result<_>>()?,
        ),
        (WitType::Flags(names), Json::Array(items)) => Val::Flags(flags(items, names)?),
        (WitType::Record(fields), Json::Object(members)) => {
            if let Some(unknown) = members
                .keys()
                .find(|key| !fields.iter().any(|(name, _)| json_name(name) == **key))
            {
                return Err(mismatch(&format!("an unknown member \"{unknown}\"")));
            }
            Val::Record(
                fields
                    .iter()
                    .map(|(name, ty)| {
                        let member = json_name(name);
                        let val = match members.get(&member) {
                            Some(json) => from_json(json, ty).map_err(|e| within(&member, e))?,
                            None if matches!(ty, WitType::Option(_)) => Val::Option(None),
                            None => return Err(mismatch(&format!("no member \"{member}\""))),
                        };
                        Ok((name.clone(), val))
                    })
                    .collect::<Result<_>>()?,
            )
        }
        (WitType::Variant(cases), json) => variant(json, cases)?,
        _ => return Err(mismatch("JSON of another shape")),
    })
}

/// The error of a member, with the path to it: `in member "user.age"`.
fn within(member: &str, error: Error) -> Error {
    let inner = error.detail().and_then(|detail| {
        let path = detail.strip_prefix("in member \"")?;
        path.strip_suffix('"')
    });
    let detail = match inner {
        Some(inner) => format!("in member \"{member}.{inner}\""),
        None => format!("in member \"{member}\""),
    };
    error.with_detail(detail)
}

fn variant(json: &Json, cases: &[(String, Option<WitType>)]) -> Result<Val> {
    let (name, payload) = match json {
        Json::String(name) => (name, None),
        Json::Object(members) if members.len() == 1 => match members.iter().next() {
            Some((name, payload)) => (name, Some(payload)),
            None => return Err(mismatch("an empty object")),
        },
        _ => return Err(mismatch("JSON that is no variant")),
    };
    match (cases.iter().find(|(case, _)| case == name), payload) {
        (Some((case, None)), None) => Ok(Val::Variant(case.clone(), None)),
        (Some((case, Some(ty))), Some(payload)) => Ok(Val::Variant(
            case.clone(),
            Some(Box::new(from_json(payload, ty)?)),
        )),
        _ => Err(mismatch(&format!("an unknown case \"{name}\""))),
    }
}

fn flags(items: &[Json], names: &[String]) -> Result<Vec<String>> {
    items
        .iter()
        .map(|item| match item {
            Json::String(name) if names.contains(name) => Ok(name.clone()),
            _ => Err(mismatch("an unknown flag")),
        })
        .collect()
}

/// A WIT value to JSON, the reverse of `from_json`.
pub(crate) fn to_json(val: &Val, ty: &WitType) -> Result<Json> {
    Ok(match (ty, val) {
        (WitType::Option(_), Val::Option(None)) => Json::Null,
        (WitType::Option(inner), Val::Option(Some(val))) => to_json(val, inner)?,
        (WitType::List(inner), Val::List(items)) => Json::Array(
            items
                .iter()
                .map(|item| to_json(item, inner))
                .collect::<Result<_>>()?,
        ),
        (WitType::Tuple(types), Val::Tuple(items)) => Json::Array(
            items
                .iter()
                .zip(types)
                .map(|(item, ty)| to_json(item, ty))
                .collect::<Result<_>>()?,
        ),
        (WitType::Record(types), Val::Record(fields)) => Json::Object(
            fields
                .iter()
                .zip(types)
                .map(|((name, val), (_, ty))| Ok((json_name(name), to_json(val, ty)?)))
                .collect::<Result<_>>()?,
        ),
        (WitType::Flags(_), Val::Flags(names)) => Json::from(names.clone()),
        (WitType::Variant(cases), Val::Variant(name, payload)) => case(
            cases.iter().find(|(case, _)| case == name),
            payload.as_deref(),
        )?,
        (WitType::Result { ok, err }, Val::Result(result)) => match result {
            Ok(payload) => case_of("ok", ok.as_deref(), payload.as_deref())?,
            Err(payload) => case_of("err", err.as_deref(), payload.as_deref())?,
        },
        (WitType::Error, Val::Variant(name, payload)) => error_json(name, payload.as_deref()),
        (_, val) => scalar_json(lift_scalar(val.clone(), ty)?)?,
    })
}

fn case(case: Option<&(String, Option<WitType>)>, payload: Option<&Val>) -> Result<Json> {
    match case {
        Some((name, ty)) => case_of(name, ty.as_ref(), payload),
        None => Err(mismatch("an unknown case")),
    }
}

fn case_of(name: &str, ty: Option<&WitType>, payload: Option<&Val>) -> Result<Json> {
    match (ty, payload) {
        (Some(ty), Some(val)) => Ok(Json::Object(
            [(name.to_string(), to_json(val, ty)?)]
                .into_iter()
                .collect(),
        )),
        _ => Ok(Json::from(name)),
    }
}

/// `types.error` has one text that people read; its structure is the host's affair.
fn error_json(name: &str, payload: Option<&Val>) -> Json {
    let text = match payload {
        Some(Val::String(text)) => text.clone(),
        Some(Val::Record(fields)) => match fields.last() {
            Some((_, Val::String(text))) => text.clone(),
            _ => String::new(),
        },
        _ => String::new(),
    };
    Json::Object([(name.to_string(), Json::from(text))].into_iter().collect())
}

fn scalar_json(value: Value) -> Result<Json> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Boolean(b) => Json::from(b),
        Value::Integer(n) => Json::from(n),
        Value::Real(x) => Json::from(x),
        Value::Text(text) | Value::Decimal(text) => Json::from(text),
        Value::Blob(bytes) => Json::from(BASE64.encode(bytes)),
        Value::Timestamp(us) => Json::from(crate::types::format_timestamp(us)),
        Value::Json(text) => {
            serde_json::from_str(&text).map_err(|_| mismatch("JSON that is none"))?
        }
    })
}

/// `invoice-line` is `invoice_line` in JSON, as it is in SQL.
pub(super) fn json_name(wit: &str) -> String {
    super::sql_name(wit)
}

fn field(name: &str, val: Val) -> Val {
    Val::Record(vec![(name.to_string(), val)])
}

fn text_field(val: Val) -> Result<String> {
    match val {
        Val::Record(fields) => match fields.into_iter().next() {
            Some((_, Val::String(text))) => Ok(text),
            _ => Err(mismatch("another record")),
        },
        _ => Err(mismatch("no record")),
    }
}

fn bytes(items: Vec<Val>) -> Result<Vec<u8>> {
    items
        .into_iter()
        .map(|item| match item {
            Val::U8(byte) => Ok(byte),
            _ => Err(mismatch("a list of something else than bytes")),
        })
        .collect()
}

fn one_char(text: &str) -> Result<char> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => Err(mismatch("a text that is not exactly one character")),
    }
}

fn out_of_range(n: impl std::fmt::Display, name: &str) -> Error {
    Error::new(
        SqlState::OUT_OF_RANGE,
        format!("\"{n}\" is out of range for the WIT type {name}"),
    )
}

fn mismatch(what: &str) -> Error {
    Error::new(
        SqlState::INVALID_VALUE,
        format!("the value does not fit the component: {what}"),
    )
}
