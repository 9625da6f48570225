//! Values to and from PostgreSQL's binary format.
//!
//! Which types there are is said once, in `sql_type`; any other is refused by its name.

use crate::bindings::heliosdb::host::types as wit;
use crate::error::{Error, Result, SqlState};
use crate::types::{SqlType, Value};
use postgres_protocol::types as binary;
use std::error::Error as StdError;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type};
use tokio_postgres::{Column, Row};

/// A value for a parameter, in the form that the server asked for.
pub(crate) struct Encoded(Option<Vec<u8>>);

/// Never shows the value.
impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Encoded {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        Ok(match &self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A value as the server sent it.
struct Raw<'r>(&'r [u8]);

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(_: &Type, bytes: &'r [u8]) -> Result<Raw<'r>, Box<dyn StdError + Sync + Send>> {
        Ok(Raw(bytes))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Microseconds from 1970 to 2000, where PostgreSQL's time begins.
const EPOCH_US: i64 = 946_684_800_000_000;
const DAY_US: i64 = 86_400_000_000;

/// The first byte of JSONB in the only version of its format.
const JSONB_VERSION: u8 = 1;

/// Our type for one of the server's, if there is one. A domain is what it is made of, and
/// an enum is text.
pub(crate) fn sql_type(ty: &Type) -> Option<SqlType> {
    Some(match *ty {
        Type::BOOL => SqlType::Boolean,
        Type::INT2 => SqlType::SmallInt,
        Type::INT4 => SqlType::Integer,
        Type::INT8 => SqlType::BigInt,
        Type::FLOAT4 => SqlType::Real,
        Type::FLOAT8 => SqlType::Double,
        Type::NUMERIC => SqlType::Numeric,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => SqlType::Text,
        Type::UUID => SqlType::Uuid,
        Type::BYTEA => SqlType::Bytea,
        Type::JSON | Type::JSONB => SqlType::Json,
        Type::DATE => SqlType::Date,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => SqlType::Timestamp,
        Type::VOID => SqlType::Void,
        _ => match ty.kind() {
            Kind::Enum(_) => SqlType::Text,
            Kind::Domain(base) => return sql_type(base),
            _ => return None,
        },
    })
}

/// Whether values of every column can be carried; if not, the error for the first.
pub(crate) fn check_columns(columns: &[Column]) -> Result<()> {
    match columns.iter().find(|c| sql_type(c.type_()).is_none()) {
        Some(column) => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "column \"{}\" has type {}, which cannot be carried",
                column.name(),
                column.type_().name()
            ),
        )
        .with_hint(format!("\"{}\"::text", column.name()))),
        None => Ok(()),
    }
}

/// The values as the statement's parameters need them: each as an assignment would
/// store it.
pub(crate) fn encode_all(values: &[Value], types: &[Type]) -> Result<Vec<Encoded>> {
    if values.len() != types.len() {
        return Err(Error::new(
            SqlState::SYNTAX,
            format!(
                "the statement has {} parameters and {} values were given",
                types.len(),
                values.len()
            ),
        ));
    }
    let both = values.iter().zip(types).enumerate();
    both.map(|(index, (value, ty))| {
        encode(value, ty).map_err(|error| error.with_detail(format!("parameter {}", index + 1)))
    })
    .collect()
}

fn encode(value: &Value, ty: &Type) -> Result<Encoded> {
    if *value == Value::Null {
        return Ok(Encoded(None));
    }
    let target = sql_type(ty).ok_or_else(|| no_type(ty))?;
    let mut out = BytesMut::new();
    match (value.clone().coerce(target)?, target) {
        (Value::Boolean(b), _) => binary::bool_to_sql(b, &mut out),
        (Value::Integer(n), SqlType::SmallInt) => binary::int2_to_sql(n as i16, &mut out),
        (Value::Integer(n), SqlType::Integer) => binary::int4_to_sql(n as i32, &mut out),
        (Value::Integer(n), _) => binary::int8_to_sql(n, &mut out),
        (Value::Real(x), SqlType::Real) => binary::float4_to_sql(x as f32, &mut out),
        (Value::Real(x), _) => binary::float8_to_sql(x, &mut out),
        (Value::Decimal(digits), _) => super::numeric::encode(&digits, &mut out)?,
        (Value::Text(text), SqlType::Uuid) => binary::uuid_to_sql(uuid_bytes(&text)?, &mut out),
        (Value::Text(text), _) => out.extend_from_slice(text_bytes(&text)?),
        (Value::Blob(bytes), _) => out.extend_from_slice(&bytes),
        (Value::Json(text), _) => {
            if base(ty) == &Type::JSONB {
                out.extend_from_slice(&[JSONB_VERSION]);
            }
            out.extend_from_slice(text_bytes(&text)?);
        }
        (Value::Timestamp(us), SqlType::Date) => {
            let days = i32::try_from(since_2000(us)?.div_euclid(DAY_US));
            binary::date_to_sql(days.map_err(|_| too_far())?, &mut out);
        }
        (Value::Timestamp(us), _) => binary::timestamp_to_sql(since_2000(us)?, &mut out),
        (Value::Null, _) => return Ok(Encoded(None)),
    }
    Ok(Encoded(Some(out.to_vec())))
}

/// One value of a row.
pub(crate) fn decode(row: &Row, index: usize) -> Result<Value> {
    let column = &row.columns()[index];
    let raw: Option<Raw<'_>> = row.try_get(index).map_err(Error::internal)?;
    match raw {
        Some(Raw(bytes)) => decode_bytes(bytes, column.type_())
            .map_err(|error| error.with_detail(format!("column \"{}\"", column.name()))),
        None => Ok(Value::Null),
    }
}

fn decode_bytes(bytes: &[u8], ty: &Type) -> Result<Value> {
    let bad = |cause: Box<dyn StdError + Sync + Send>| Error::internal(cause);
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_string()),
        Err(_) => Err(Error::new(SqlState::BAD_TEXT, "text that is not UTF-8")),
    };
    Ok(match sql_type(ty).ok_or_else(|| no_type(ty))? {
        SqlType::Void => Value::Null,
        SqlType::Boolean => Value::Boolean(binary::bool_from_sql(bytes).map_err(bad)?),
        SqlType::SmallInt => Value::Integer(binary::int2_from_sql(bytes).map_err(bad)?.into()),
        SqlType::Integer => Value::Integer(binary::int4_from_sql(bytes).map_err(bad)?.into()),
        SqlType::BigInt => Value::Integer(binary::int8_from_sql(bytes).map_err(bad)?),
        SqlType::Real => Value::Real(binary::float4_from_sql(bytes).map_err(bad)?.into()),
        SqlType::Double => Value::Real(binary::float8_from_sql(bytes).map_err(bad)?),
        SqlType::Numeric => Value::Decimal(super::numeric::decode(bytes)?),
        SqlType::Text => Value::Text(text(bytes)?),
        SqlType::Uuid => Value::Text(uuid_text(binary::uuid_from_sql(bytes).map_err(bad)?)),
        SqlType::Bytea => Value::Blob(bytes.to_vec()),
        SqlType::Json => {
            let version = [JSONB_VERSION];
            let json = match base(ty) == &Type::JSONB {
                true => bytes.strip_prefix(&version).unwrap_or(bytes),
                false => bytes,
            };
            Value::Json(text(json)?)
        }
        SqlType::Date => match binary::date_from_sql(bytes).map_err(bad)? {
            i32::MIN | i32::MAX => return Err(too_far()),
            days => since_1970(i64::from(days).saturating_mul(DAY_US))?,
        },
        SqlType::Timestamp => match binary::timestamp_from_sql(bytes).map_err(bad)? {
            i64::MIN | i64::MAX => return Err(too_far()),
            us => since_1970(us)?,
        },
    })
}

/// A value for a guest.
pub(crate) fn into_wit(value: Value) -> wit::Value {
    match value {
        Value::Null => wit::Value::Null,
        Value::Boolean(b) => wit::Value::Boolean(b),
        Value::Integer(n) => wit::Value::Integer(n),
        Value::Real(x) => wit::Value::Real(x),
        Value::Text(text) => wit::Value::Text(text),
        Value::Blob(bytes) => wit::Value::Blob(bytes),
        Value::Decimal(digits) => wit::Value::Decimal(wit::Decimal { digits }),
        Value::Timestamp(microseconds) => wit::Value::Timestamp(wit::Timestamp { microseconds }),
        Value::Json(text) => wit::Value::Json(wit::Json { text }),
    }
}

/// A value from a guest.
pub(crate) fn from_wit(value: &wit::Value) -> Value {
    match value {
        wit::Value::Null => Value::Null,
        wit::Value::Boolean(b) => Value::Boolean(*b),
        wit::Value::Integer(n) => Value::Integer(*n),
        wit::Value::Real(x) => Value::Real(*x),
        wit::Value::Text(text) => Value::Text(text.clone()),
        wit::Value::Blob(bytes) => Value::Blob(bytes.clone()),
        wit::Value::Decimal(decimal) => Value::Decimal(decimal.digits.clone()),
        wit::Value::Timestamp(timestamp) => Value::Timestamp(timestamp.microseconds),
        wit::Value::Json(json) => Value::Json(json.text.clone()),
    }
}

/// What a domain is made of.
fn base(ty: &Type) -> &Type {
    match ty.kind() {
        Kind::Domain(inner) => base(inner),
        _ => ty,
    }
}

fn since_2000(us: i64) -> Result<i64> {
    us.checked_sub(EPOCH_US).ok_or_else(too_far)
}

fn since_1970(us: i64) -> Result<Value> {
    let us = us.checked_add(EPOCH_US).ok_or_else(too_far)?;
    Ok(Value::Timestamp(us))
}

/// No text of the server's has a NUL.
fn text_bytes(text: &str) -> Result<&[u8]> {
    match text.contains('\0') {
        false => Ok(text.as_bytes()),
        true => Err(Error::new(
            SqlState::BAD_TEXT,
            "the text has a NUL character",
        )),
    }
}

fn uuid_bytes(text: &str) -> Result<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let number = u128::from_str_radix(&digits, 16).map_err(Error::internal)?;
    Ok(number.to_be_bytes())
}

fn uuid_text(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    parts.join("-")
}

fn no_type(ty: &Type) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("values of type {} cannot be carried", ty.name()),
    )
    .with_hint("cast it in the statement: $1::text::inet, column::text")
}

fn too_far() -> Error {
    Error::new(
        SqlState::OUT_OF_RANGE,
        "the time is infinite, or too far away to be carried",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(value: Value, ty: &Type) -> Value {
        let Encoded(Some(bytes)) = encode(&value, ty).unwrap() else {
            panic!("NULL");
        };
        decode_bytes(&bytes, ty).unwrap()
    }

    #[test]
    fn a_value_comes_back_as_it_went() {
        let uuid = "00112233-4455-6677-8899-aabbccddeeff";
        for (value, ty) in [
            (Value::Boolean(true), Type::BOOL),
            (Value::Integer(i16::MIN.into()), Type::INT2),
            (Value::Integer(i32::MAX.into()), Type::INT4),
            (Value::Integer(i64::MIN), Type::INT8),
            (Value::Real(0.5), Type::FLOAT4),
            (Value::Real(-1e300), Type::FLOAT8),
            (Value::Text("Größe".into()), Type::TEXT),
            (Value::Text(uuid.into()), Type::UUID),
            (Value::Blob(vec![0, 255]), Type::BYTEA),
            (Value::Json("{\"a\": 1}".into()), Type::JSON),
            (Value::Json("{\"a\": 1}".into()), Type::JSONB),
            (Value::Timestamp(0), Type::DATE),
            (Value::Timestamp(-DAY_US), Type::DATE),
            (Value::Timestamp(-1), Type::TIMESTAMP),
            (Value::Timestamp(1_700_000_000_123_456), Type::TIMESTAMPTZ),
        ] {
            assert_eq!(there_and_back(value.clone(), &ty), value, "{ty}");
        }
    }

    #[test]
    fn d19_what_does_not_fit_is_refused() {
        for (value, ty, state) in [
            (Value::Integer(40_000), Type::INT2, SqlState::OUT_OF_RANGE),
            (Value::Text("x".into()), Type::INT4, SqlState::BAD_FORM),
            (Value::Blob(vec![1]), Type::TEXT, SqlState::WRONG_TYPE),
            (Value::Text("a\0b".into()), Type::TEXT, SqlState::BAD_TEXT),
            (
                Value::Timestamp(i64::MIN),
                Type::TIMESTAMP,
                SqlState::OUT_OF_RANGE,
            ),
            (
                Value::Integer(1),
                Type::INET,
                SqlState::FEATURE_NOT_SUPPORTED,
            ),
        ] {
            assert_eq!(encode(&value, &ty).unwrap_err().sqlstate(), state, "{ty}");
        }
        for infinite in [i64::MIN, i64::MAX] {
            let error = decode_bytes(&infinite.to_be_bytes(), &Type::TIMESTAMP).unwrap_err();
            assert_eq!(error.sqlstate(), SqlState::OUT_OF_RANGE);
        }
        assert!(decode_bytes(&[1], &Type::INT8).is_err());
        assert_eq!(format!("{:?}", Encoded(Some(vec![1]))), "…");
    }
}
