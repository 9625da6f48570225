//! Values between the contract and JavaScript.
//!
//! A script controls what is converted here: getters, proxies and `toJSON` run while
//! it is read, so nothing may be assumed to be the same twice.

use crate::{bindings::types, engine::Engine};
use rquickjs::{
    Coerced, Ctx, Error, Exception, FromJs, Result, String as Text, Type, TypedArray, Value,
};

/// The largest integer up to which every one has a double of its own.
const SAFE_INTEGER: i64 = (1 << 53) - 1;

/// What becomes of an object that is no SQL value by itself.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Objects {
    /// It is a TypeError.
    Refused,
    /// It is a TypeError that speaks of a column.
    RefusedInColumn,
    /// It becomes JSON.
    Json,
}

/// A value of the contract as JavaScript sees it.
pub(crate) fn to_javascript<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    value: &types::Value,
) -> Result<Value<'js>> {
    Ok(match value {
        types::Value::Null => Value::new_null(ctx.clone()),
        types::Value::Boolean(boolean) => Value::new_bool(ctx.clone(), *boolean),
        types::Value::Integer(integer) => integer_to_javascript(ctx, *integer)?,
        types::Value::Real(real) => Value::new_number(ctx.clone(), *real),
        types::Value::Text(text) => text_to_javascript(ctx, text)?,
        types::Value::Decimal(decimal) => text_to_javascript(ctx, &decimal.digits)?,
        types::Value::Blob(bytes) => TypedArray::new_copy(ctx.clone(), bytes)?.into_value(),
        types::Value::Timestamp(timestamp) => {
            // A Date counts whole milliseconds.
            let milliseconds = timestamp.microseconds.div_euclid(1000);
            engine.prelude.date_of.call(ctx, (milliseconds as f64,))?
        }
        types::Value::Json(json) => ctx.json_parse(json.text.as_str())?,
    })
}

/// A JavaScript value as the contract has it, by its own type.
pub(crate) fn from_javascript<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    value: Value<'js>,
    objects: Objects,
) -> Result<types::Value> {
    if let Some(integer) = value.as_int() {
        return Ok(types::Value::Integer(integer.into()));
    }
    match value.type_of() {
        Type::Null | Type::Undefined | Type::Uninitialized => Ok(types::Value::Null),
        Type::Bool => Ok(types::Value::Boolean(value.as_bool().unwrap_or_default())),
        Type::Float => Ok(number(value.as_float().unwrap_or_default())),
        Type::String => Ok(types::Value::Text(text(ctx, engine, value)?)),
        Type::BigInt => big_integer(ctx, value),
        Type::Function | Type::Constructor => Err(refusal(ctx, "a function", objects)),
        Type::Symbol => Err(refusal(ctx, "a symbol", objects)),
        _ => object(ctx, engine, value, objects),
    }
}

/// A JavaScript value as a JSON document, as `JSON.stringify` writes it.
pub(crate) fn to_json<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    value: Value<'js>,
) -> Result<types::Value> {
    if value.is_null() || value.is_undefined() {
        return Ok(types::Value::Null);
    }
    Ok(match ctx.json_stringify(value)? {
        Some(json) => types::Value::Json(types::Json {
            text: text(ctx, engine, json.into_value())?,
        }),
        None => types::Value::Null,
    })
}

/// The text of a JavaScript string; half a character becomes U+FFFD.
pub(crate) fn text<'js>(ctx: &Ctx<'js>, engine: &Engine, value: Value<'js>) -> Result<String> {
    let string = Text::from_value(value)?;
    match string.to_string() {
        Err(Error::Utf8(_)) => {
            let string: Text = engine.prelude.well_formed.call(ctx, (string,))?;
            string.to_string()
        }
        // The engine could not even copy the string, and has thrown why.
        Err(Error::Unknown) => Err(Error::Exception),
        converted => converted,
    }
}

fn integer_to_javascript<'js>(ctx: &Ctx<'js>, integer: i64) -> Result<Value<'js>> {
    if (-SAFE_INTEGER..=SAFE_INTEGER).contains(&integer) {
        return Ok(Value::new_number(ctx.clone(), integer as f64));
    }
    Value::new_big_int(ctx.clone(), integer)
}

fn text_to_javascript<'js>(ctx: &Ctx<'js>, text: &str) -> Result<Value<'js>> {
    Ok(Text::from_str(ctx.clone(), text)?.into_value())
}

fn number(number: f64) -> types::Value {
    // One more than what arguments come as: 2^53 itself is still exact.
    const EXACT: f64 = (SAFE_INTEGER + 1) as f64;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        types::Value::Integer(number as i64)
    } else {
        types::Value::Real(number)
    }
}

fn big_integer<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<types::Value> {
    let Coerced(digits) = Coerced::<String>::from_js(ctx, value)?;
    Ok(match digits.parse() {
        Ok(integer) => types::Value::Integer(integer),
        Err(_) => types::Value::Decimal(types::Decimal { digits }),
    })
}

fn object<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    value: Value<'js>,
    objects: Objects,
) -> Result<types::Value> {
    if let Some(bytes) = bytes(ctx, &value) {
        return Ok(types::Value::Blob(bytes));
    }
    let scalar: Value = engine.prelude.scalar_of.call(ctx, (value.clone(),))?;
    if let Some(milliseconds) = scalar.as_number() {
        return timestamp(ctx, milliseconds);
    }
    if scalar.is_object() {
        // The engine knows no address for the bytes of an empty buffer.
        return Ok(types::Value::Blob(bytes(ctx, &scalar).unwrap_or_default()));
    }
    match objects {
        Objects::Json if !value.is_promise() => to_json(ctx, engine, value),
        Objects::Json => Err(Exception::throw_type(
            ctx,
            "cannot pass a promise as a SQL parameter; await it first",
        )),
        Objects::Refused => Err(Exception::throw_type(
            ctx,
            "cannot return an object as a SQL value; declare RETURNS JSON",
        )),
        Objects::RefusedInColumn => Err(Exception::throw_type(
            ctx,
            "cannot return an object as a SQL value; declare the column JSON",
        )),
    }
}

fn timestamp(ctx: &Ctx<'_>, milliseconds: f64) -> Result<types::Value> {
    if milliseconds.is_nan() {
        return Err(Exception::throw_type(
            ctx,
            "an invalid Date is not a SQL value",
        ));
    }
    // A valid Date is within 8.64e15 milliseconds, so this fits.
    let microseconds = (milliseconds as i64).saturating_mul(1000);
    Ok(types::Value::Timestamp(types::Timestamp { microseconds }))
}

/// A copy of the bytes of a Uint8Array, unless its buffer is empty, detached or of
/// changing size.
fn bytes<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Option<Vec<u8>> {
    let array = TypedArray::<u8>::from_value(value.clone()).ok()?;
    // SAFETY: the bytes are copied before any script runs again.
    #[allow(unsafe_code)]
    let bytes = unsafe { array.as_bytes() }.map(<[u8]>::to_vec);
    if bytes.is_none() && ctx.has_exception() {
        drop(ctx.catch());
    }
    bytes
}

fn refusal(ctx: &Ctx<'_>, what: &str, objects: Objects) -> Error {
    let message = match objects {
        Objects::Refused | Objects::RefusedInColumn => {
            format!("cannot return {what} as a SQL value")
        }
        Objects::Json => format!("cannot pass {what} as a SQL parameter"),
    };
    Exception::throw_type(ctx, &message)
}
