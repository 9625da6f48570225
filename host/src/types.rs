//! SQL types and values as the host carries them between a client and a guest.

use crate::error::{Error, Result, SqlState};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A SQL type of a parameter or a result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SqlType {
    /// No result.
    Void,
    /// true, false.
    Boolean,
    /// 16 bits.
    SmallInt,
    /// 32 bits.
    Integer,
    /// 64 bits.
    BigInt,
    /// 32-bit floating point.
    Real,
    /// 64-bit floating point.
    Double,
    /// Exact decimal.
    Numeric,
    /// UTF-8 text.
    Text,
    /// Text of the form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
    Uuid,
    /// Bytes.
    Bytea,
    /// A JSON document.
    Json,
    /// A day.
    Date,
    /// A moment in UTC, in microseconds.
    Timestamp,
}

/// One value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// SMALLINT, INTEGER, BIGINT.
    Integer(i64),
    /// REAL, DOUBLE PRECISION.
    Real(f64),
    /// TEXT, UUID.
    Text(String),
    /// BYTEA, BLOB.
    Blob(Vec<u8>),
    /// NUMERIC, as its digits.
    Decimal(String),
    /// DATE (midnight) and TIMESTAMP: microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// JSON, as its text.
    Json(String),
}

impl SqlType {
    /// The name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            SqlType::Void => "VOID",
            SqlType::Boolean => "BOOLEAN",
            SqlType::SmallInt => "SMALLINT",
            SqlType::Integer => "INTEGER",
            SqlType::BigInt => "BIGINT",
            SqlType::Real => "REAL",
            SqlType::Double => "DOUBLE PRECISION",
            SqlType::Numeric => "NUMERIC",
            SqlType::Text => "TEXT",
            SqlType::Uuid => "UUID",
            SqlType::Bytea => "BYTEA",
            SqlType::Json => "JSON",
            SqlType::Date => "DATE",
            SqlType::Timestamp => "TIMESTAMP",
        }
    }

    /// Reads a type's name: the words as they stand in the statement, joined by one
    /// space, in any case.
    pub fn parse(name: &str) -> Result<SqlType> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "void" => SqlType::Void,
            "boolean" | "bool" => SqlType::Boolean,
            "smallint" | "int2" => SqlType::SmallInt,
            "integer" | "int" | "int4" => SqlType::Integer,
            "bigint" | "int8" => SqlType::BigInt,
            "real" | "float4" => SqlType::Real,
            "double precision" | "double" | "float" | "float8" => SqlType::Double,
            "numeric" | "decimal" => SqlType::Numeric,
            "text" | "varchar" | "character varying" => SqlType::Text,
            "uuid" => SqlType::Uuid,
            "bytea" | "blob" => SqlType::Bytea,
            "json" | "jsonb" => SqlType::Json,
            "date" => SqlType::Date,
            "timestamp" | "timestamp without time zone" => SqlType::Timestamp,
            _ => {
                return Err(
                    Error::new(SqlState::WRONG_TYPE, format!("no type \"{name}\"")).with_detail(
                        "the types are BOOLEAN, SMALLINT, INTEGER, BIGINT, REAL, DOUBLE PRECISION, \
                         NUMERIC, TEXT, UUID, BYTEA, JSON, DATE, TIMESTAMP and, as a result, VOID",
                    ),
                );
            }
        })
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Value {
    /// The value as an assignment to `target` would store it.
    ///
    /// NULL stays NULL. Text is read as the type demands; a whole number becomes a
    /// float and a float without a fraction a whole number; 0 and 1 become BOOLEAN.
    pub(crate) fn coerce(self, target: SqlType) -> Result<Value> {
        Ok(match (target, self) {
            (_, Value::Null) => Value::Null,
            (SqlType::Void, _) => Value::Null,
            (SqlType::Boolean, value) => Value::Boolean(boolean(value)?),
            (SqlType::SmallInt, value) => Value::Integer(within(
                integer(value, target)?,
                i16::MIN.into(),
                i16::MAX.into(),
                target,
            )?),
            (SqlType::Integer, value) => Value::Integer(within(
                integer(value, target)?,
                i32::MIN.into(),
                i32::MAX.into(),
                target,
            )?),
            (SqlType::BigInt, value) => Value::Integer(integer(value, target)?),
            (SqlType::Real, value) => Value::Real(f64::from(float(value, target)? as f32)),
            (SqlType::Double, value) => Value::Real(float(value, target)?),
            (SqlType::Numeric, value) => Value::Decimal(decimal(value)?),
            (SqlType::Text, value) => Value::Text(text(value)?),
            (SqlType::Uuid, value) => Value::Text(uuid(&text(value)?)?),
            (SqlType::Bytea, Value::Blob(bytes)) => Value::Blob(bytes),
            (SqlType::Bytea, Value::Text(text)) => Value::Blob(text.into_bytes()),
            (SqlType::Json, value) => Value::Json(json(value)?),
            (SqlType::Date, value) => {
                let microseconds = moment(value, target)?;
                Value::Timestamp(microseconds - microseconds.rem_euclid(MICROSECONDS_A_DAY))
            }
            (SqlType::Timestamp, value) => Value::Timestamp(moment(value, target)?),
            (_, other) => return Err(wrong_type(&other, target)),
        })
    }

    /// Its text or bytes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Value::Text(text) | Value::Decimal(text) | Value::Json(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            _ => 0,
        }
    }

    /// What SQLite stores: a type of its own for each of five, text for the rest.
    pub(crate) fn into_sqlite(self, declared: SqlType) -> rusqlite::types::Value {
        use rusqlite::types::Value as Sqlite;
        match self {
            Value::Null => Sqlite::Null,
            Value::Boolean(b) => Sqlite::Integer(b.into()),
            Value::Integer(n) => Sqlite::Integer(n),
            Value::Real(x) => Sqlite::Real(x),
            Value::Text(text) | Value::Decimal(text) | Value::Json(text) => Sqlite::Text(text),
            Value::Blob(bytes) => Sqlite::Blob(bytes),
            Value::Timestamp(us) if declared == SqlType::Date => Sqlite::Text(format_date(us)),
            Value::Timestamp(us) => Sqlite::Text(format_timestamp(us)),
        }
    }
}

const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// `2026-11-22 09:30:00.000000`, in UTC.
pub(crate) fn format_timestamp(microseconds: i64) -> String {
    match jiff::Timestamp::from_microsecond(microseconds) {
        Ok(moment) => jiff::tz::Offset::UTC
            .to_datetime(moment)
            .strftime("%Y-%m-%d %H:%M:%S.%6f")
            .to_string(),
        Err(_) => format!("{microseconds} us"),
    }
}

fn format_date(microseconds: i64) -> String {
    match jiff::Timestamp::from_microsecond(microseconds) {
        Ok(moment) => jiff::tz::Offset::UTC.to_datetime(moment).date().to_string(),
        Err(_) => format!("{microseconds} us"),
    }
}

/// Reads a day or a moment; without an offset it is UTC.
pub(crate) fn parse_timestamp(text: &str) -> Result<i64> {
    let text = text.trim();
    let bad = || {
        Error::new(
            SqlState::BAD_FORM,
            format!("bad timestamp \"{}\"", shortened(text)),
        )
        .with_hint("write 2026-11-22 or 2026-11-22 09:30:00.000000, in UTC")
    };
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Ok(moment.as_microsecond());
    }
    let datetime: jiff::civil::DateTime = text.parse().map_err(|_| bad())?;
    let moment = jiff::tz::Offset::UTC
        .to_timestamp(datetime)
        .map_err(|_| bad())?;
    Ok(moment.as_microsecond())
}

fn boolean(value: Value) -> Result<bool> {
    match &value {
        Value::Boolean(b) => Ok(*b),
        Value::Integer(0) => Ok(false),
        Value::Integer(1) => Ok(true),
        Value::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "on" | "1" => Ok(true),
            "false" | "f" | "no" | "off" | "0" => Ok(false),
            _ => Err(bad_form(&value, SqlType::Boolean)),
        },
        _ => Err(wrong_type(&value, SqlType::Boolean)),
    }
}

fn integer(value: Value, target: SqlType) -> Result<i64> {
    match &value {
        Value::Integer(n) => Ok(*n),
        Value::Boolean(b) => Ok((*b).into()),
        Value::Real(x) => {
            let rounded = x.round_ties_even();
            // The bounds are exact: 2^63 is the first float beyond the range.
            const BEYOND: f64 = 9_223_372_036_854_775_808.0;
            if (-BEYOND..BEYOND).contains(&rounded) {
                Ok(rounded as i64)
            } else {
                Err(out_of_range(&value, target))
            }
        }
        Value::Text(text) | Value::Decimal(text) => {
            let text = text.trim();
            text.parse()
                .map_err(|_| match text.trim_start_matches(['-', '+']) {
                    digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                        out_of_range(&value, target)
                    }
                    _ => bad_form(&value, target),
                })
        }
        _ => Err(wrong_type(&value, target)),
    }
}

fn within(n: i64, least: i64, most: i64, target: SqlType) -> Result<i64> {
    if (least..=most).contains(&n) {
        Ok(n)
    } else {
        Err(out_of_range(&Value::Integer(n), target))
    }
}

fn float(value: Value, target: SqlType) -> Result<f64> {
    match &value {
        Value::Real(x) => Ok(*x),
        Value::Integer(n) => Ok(*n as f64),
        Value::Text(text) | Value::Decimal(text) => {
            text.trim().parse().map_err(|_| bad_form(&value, target))
        }
        _ => Err(wrong_type(&value, target)),
    }
}

fn decimal(value: Value) -> Result<String> {
    let digits = match &value {
        Value::Decimal(text) | Value::Text(text) => text.trim().to_string(),
        Value::Integer(n) => n.to_string(),
        // The shortest digits that read back as the same float, never an exponent.
        Value::Real(x) if x.is_finite() => format!("{x}"),
        _ => return Err(wrong_type(&value, SqlType::Numeric)),
    };
    let unsigned = digits.strip_prefix('-').unwrap_or(&digits);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if all_digits(whole) && all_digits(fraction) {
        Ok(digits)
    } else {
        Err(bad_form(&value, SqlType::Numeric))
    }
}

fn text(value: Value) -> Result<String> {
    Ok(match value {
        Value::Text(text) | Value::Decimal(text) | Value::Json(text) => text,
        Value::Integer(n) => n.to_string(),
        Value::Real(x) => x.to_string(),
        Value::Boolean(b) => b.to_string(),
        Value::Timestamp(us) => format_timestamp(us),
        other => return Err(wrong_type(&other, SqlType::Text)),
    })
}

fn uuid(text: &str) -> Result<String> {
    let lower = text.trim().to_ascii_lowercase();
    let groups: Vec<&str> = lower.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let hexadecimal = groups
        .iter()
        .all(|g| g.bytes().all(|b| b.is_ascii_hexdigit()));
    if lengths == [8, 4, 4, 4, 12] && hexadecimal {
        Ok(lower)
    } else {
        Err(bad_form(&Value::Text(text.to_string()), SqlType::Uuid))
    }
}

fn json(value: Value) -> Result<String> {
    Ok(match value {
        Value::Json(text) => text,
        Value::Text(text) => {
            serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(|error| {
                Error::new(
                    SqlState::BAD_FORM,
                    format!("bad JSON \"{}\"", shortened(&text)),
                )
                .with_detail(error.to_string())
            })?;
            text
        }
        Value::Integer(n) => n.to_string(),
        Value::Boolean(b) => b.to_string(),
        Value::Real(x) if x.is_finite() => serde_json::Value::from(x).to_string(),
        Value::Decimal(digits) => serde_json::Value::from(digits).to_string(),
        Value::Timestamp(us) => serde_json::Value::from(format_timestamp(us)).to_string(),
        other => return Err(wrong_type(&other, SqlType::Json)),
    })
}

fn moment(value: Value, target: SqlType) -> Result<i64> {
    match value {
        Value::Timestamp(us) => Ok(us),
        Value::Text(text) => parse_timestamp(&text),
        other => Err(wrong_type(&other, target)),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL",
        Value::Boolean(_) => "a boolean",
        Value::Integer(_) => "a whole number",
        Value::Real(_) => "a floating-point number",
        Value::Text(_) => "text",
        Value::Blob(_) => "bytes",
        Value::Decimal(_) => "a decimal number",
        Value::Timestamp(_) => "a timestamp",
        Value::Json(_) => "JSON",
    }
}

fn wrong_type(value: &Value, target: SqlType) -> Error {
    Error::new(
        SqlState::WRONG_TYPE,
        format!("{} cannot become {target}", kind(value)),
    )
}

fn bad_form(value: &Value, target: SqlType) -> Error {
    let shown = match value {
        Value::Text(text) | Value::Decimal(text) => shortened(text),
        _ => kind(value).to_string(),
    };
    Error::new(SqlState::BAD_FORM, format!("bad {target} \"{shown}\""))
}

fn out_of_range(value: &Value, target: SqlType) -> Error {
    let shown = match value {
        Value::Integer(n) => n.to_string(),
        Value::Real(x) => x.to_string(),
        Value::Text(text) | Value::Decimal(text) => shortened(text),
        _ => kind(value).to_string(),
    };
    Error::new(
        SqlState::OUT_OF_RANGE,
        format!("\"{shown}\" is out of range for {target}"),
    )
}

/// The beginning of a text that somebody else chose.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d19_arguments_are_coerced_as_an_assignment() {
        let rows = [
            (Value::Integer(7), SqlType::Double, Value::Real(7.0)),
            (Value::Real(7.0), SqlType::Integer, Value::Integer(7)),
            (Value::Real(2.5), SqlType::Integer, Value::Integer(2)),
            (
                Value::Text(" 7 ".into()),
                SqlType::BigInt,
                Value::Integer(7),
            ),
            (
                Value::Text("true".into()),
                SqlType::Boolean,
                Value::Boolean(true),
            ),
            (Value::Integer(1), SqlType::Boolean, Value::Boolean(true)),
            (
                Value::Real(0.1),
                SqlType::Numeric,
                Value::Decimal("0.1".into()),
            ),
            (
                Value::Text("-12.50".into()),
                SqlType::Numeric,
                Value::Decimal("-12.50".into()),
            ),
            (
                Value::Text("[1]".into()),
                SqlType::Json,
                Value::Json("[1]".into()),
            ),
            (
                Value::Text("1970-01-02".into()),
                SqlType::Date,
                Value::Timestamp(86_400_000_000),
            ),
            (
                Value::Text("1970-01-01 00:00:01.5".into()),
                SqlType::Timestamp,
                Value::Timestamp(1_500_000),
            ),
            (Value::Null, SqlType::Integer, Value::Null),
        ];
        for (value, target, expected) in rows {
            assert_eq!(
                value.clone().coerce(target).unwrap(),
                expected,
                "{value:?} as {target}"
            );
        }
    }

    #[test]
    fn d19_what_does_not_fit_is_refused() {
        let rows = [
            (
                Value::Integer(32_768),
                SqlType::SmallInt,
                SqlState::OUT_OF_RANGE,
            ),
            (
                Value::Integer(1 << 31),
                SqlType::Integer,
                SqlState::OUT_OF_RANGE,
            ),
            (Value::Real(1e19), SqlType::BigInt, SqlState::OUT_OF_RANGE),
            (
                Value::Real(f64::NAN),
                SqlType::BigInt,
                SqlState::OUT_OF_RANGE,
            ),
            (
                Value::Text("99999999999999999999".into()),
                SqlType::BigInt,
                SqlState::OUT_OF_RANGE,
            ),
            (
                Value::Text("seven".into()),
                SqlType::BigInt,
                SqlState::BAD_FORM,
            ),
            (Value::Text("{".into()), SqlType::Json, SqlState::BAD_FORM),
            (
                Value::Text("1e5".into()),
                SqlType::Numeric,
                SqlState::BAD_FORM,
            ),
            (
                Value::Text("yesterday".into()),
                SqlType::Timestamp,
                SqlState::BAD_FORM,
            ),
            (Value::Blob(vec![1]), SqlType::Integer, SqlState::WRONG_TYPE),
            (
                Value::Text("1-2-3-4-5".into()),
                SqlType::Uuid,
                SqlState::BAD_FORM,
            ),
        ];
        for (value, target, expected) in rows {
            let error = value.clone().coerce(target).unwrap_err();
            assert_eq!(error.sqlstate(), expected, "{value:?} as {target}");
        }
    }
}
