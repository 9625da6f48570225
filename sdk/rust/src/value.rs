//! Rust values as SQL parameters, and SQL values as Rust values.
//!
//! Conversions lose nothing: a number that does not fit is an error, and an exact
//! decimal never turns into a float by itself.

use crate::error::Result;
use crate::types::{Decimal, Error, Json, Timestamp, Value};

/// A Rust type that a SQL value can be read as.
///
/// `Option<T>` reads NULL as `None`; every other type refuses NULL. SQLite has
/// fewer types than SQL: `bool` is also read from 0 and 1, `f64` from an integer,
/// and [`Json`], [`Timestamp`] and [`Decimal`] from text. A `String` is also read from
/// JSON and an exact decimal.
pub trait FromValue: Sized {
    /// What an error calls this type: `an integer`.
    const NAME: &'static str;

    /// The value as this type, or `None` if it is another type's value.
    fn from_value(value: Value) -> Option<Self>;
}

/// Makes the parameters of a statement: any mixture of types that are
/// `Into<Value>`, `Option`s of them included.
///
/// ```
/// use heliosdb::{Value, params};
///
/// let params: &[Value] = params![7, "seven", None::<i64>];
/// assert_eq!(params[0], Value::Integer(7));
/// assert_eq!(params[2], Value::Null);
/// ```
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::Value::from($value)),*] };
}

/// Reads a value, and says which column had what if it can't be.
pub(crate) fn read<T: FromValue>(column: &str, value: Value) -> Result<T> {
    let found = name(&value);
    T::from_value(value).ok_or_else(|| mismatch(column, found, T::NAME))
}

fn mismatch(column: &str, found: &str, wanted: &str) -> Error {
    const DATATYPE_MISMATCH: &str = "42804";
    const NULL_VALUE_NOT_ALLOWED: &str = "22004";
    if found == "NULL" {
        let message = format!("column \"{column}\" is NULL, not {wanted}; read it as an Option");
        return Error::failed(NULL_VALUE_NOT_ALLOWED, message);
    }
    let message = format!("column \"{column}\" is {found}, not {wanted}");
    Error::failed(DATATYPE_MISMATCH, message)
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL",
        Value::Boolean(_) => bool::NAME,
        Value::Integer(_) => i64::NAME,
        Value::Real(_) => f64::NAME,
        Value::Text(_) => String::NAME,
        Value::Blob(_) => <Vec<u8>>::NAME,
        Value::Decimal(_) => Decimal::NAME,
        Value::Timestamp(_) => Timestamp::NAME,
        Value::Json(_) => Json::NAME,
    }
}

/// Implements both directions for a type: how it becomes a `Value`, and the
/// patterns that it can be read from.
macro_rules! convert {
    ($type:ty, $name:literal, $owned:ident => $into:expr, { $($pattern:pat => $from:expr),+ $(,)? }) => {
        impl From<$type> for Value {
            fn from($owned: $type) -> Self {
                $into
            }
        }

        impl FromValue for $type {
            const NAME: &'static str = $name;

            fn from_value(value: Value) -> Option<Self> {
                match value {
                    $($pattern => $from,)+
                    _ => None,
                }
            }
        }
    };
}

convert!(bool, "a boolean", value => Value::Boolean(value), {
    Value::Boolean(value) => Some(value),
    Value::Integer(0) => Some(false),
    Value::Integer(1) => Some(true),
});
convert!(i16, "a 16-bit integer", value => Value::Integer(value.into()), {
    Value::Integer(value) => value.try_into().ok(),
});
convert!(i32, "a 32-bit integer", value => Value::Integer(value.into()), {
    Value::Integer(value) => value.try_into().ok(),
});
convert!(i64, "an integer", value => Value::Integer(value), {
    Value::Integer(value) => Some(value),
});
convert!(f32, "a 32-bit float", value => Value::Real(value.into()), {
    Value::Real(value) => f32_exactly(value),
    Value::Integer(value) => f64_exactly(value).and_then(f32_exactly),
});
convert!(f64, "a float", value => Value::Real(value), {
    Value::Real(value) => Some(value),
    Value::Integer(value) => f64_exactly(value),
});
convert!(String, "text", value => Value::Text(value), {
    Value::Text(value) => Some(value),
    Value::Json(value) => Some(value.text),
    Value::Decimal(value) => Some(value.digits),
});
convert!(Vec<u8>, "a blob", value => Value::Blob(value), {
    Value::Blob(value) => Some(value),
});
convert!(Decimal, "a decimal", value => Value::Decimal(value), {
    Value::Decimal(value) => Some(value),
    Value::Text(digits) => Decimal::new(digits).ok(),
    Value::Integer(value) => Decimal::new(value.to_string()).ok(),
});
convert!(Timestamp, "a timestamp", value => Value::Timestamp(value), {
    Value::Timestamp(value) => Some(value),
    Value::Text(text) => text.parse().ok(),
});
convert!(Json, "JSON", value => Value::Json(value), {
    Value::Json(value) => Some(value),
    Value::Text(text) => Some(Json { text }),
});

impl FromValue for Value {
    const NAME: &'static str = "a value";

    fn from_value(value: Value) -> Option<Self> {
        Some(value)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const NAME: &'static str = T::NAME;

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, T::into)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_owned())
    }
}

impl Decimal {
    /// A decimal of its digits: `-12.50`. No exponent, no thousands separators.
    pub fn new(digits: impl Into<String>) -> Result<Self> {
        let digits = digits.into();
        if !is_decimal(&digits) {
            const INVALID_TEXT_REPRESENTATION: &str = "22P02";
            let message = format!("\"{digits}\" is not a decimal number such as -12.50");
            return Err(Error::failed(INVALID_TEXT_REPRESENTATION, message));
        }
        Ok(Self { digits })
    }
}

impl Json {
    /// A document of its text. The host checks that it is JSON, not this.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match unsigned.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(unsigned),
    }
}

/// Beyond 2^53 neighbouring integers share a float, so there it is refused.
fn f64_exactly(value: i64) -> Option<f64> {
    (value.unsigned_abs() <= 1 << 53).then_some(value as f64)
}

/// A NaN is not equal to itself and is passed on as one.
fn f32_exactly(value: f64) -> Option<f32> {
    let narrow = value as f32;
    (f64::from(narrow) == value || value.is_nan()).then_some(narrow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromValue + PartialEq + std::fmt::Debug>(value: impl Into<Value>, expected: T) {
        assert_eq!(read::<T>("c", value.into()), Ok(expected));
    }

    #[track_caller]
    fn check_error<T: FromValue + std::fmt::Debug>(value: impl Into<Value>, expected: &str) {
        let error = read::<T>("c", value.into()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn values_are_read_without_loss() {
        check(7_i64, 7_i16);
        check(1_i64, true);
        check(3_i64, 3.0_f64);
        check(0.5_f64, 0.5_f32);
        check("a", String::from("a"));
        check(None::<i64>, None::<i64>);
        check(Some(4_i64), Some(4_i64));
        check("12.50", Decimal::new("12.50").unwrap());
        check(12_i64, Decimal::new("12").unwrap());
        check("[1]", Json::new("[1]"));
        check("1970-01-01", Timestamp { microseconds: 0 });
    }

    #[test]
    fn what_would_lose_something_is_refused() {
        check_error::<i16>(
            40_000_i64,
            "column \"c\" is an integer, not a 16-bit integer",
        );
        check_error::<f64>((1_i64 << 53) + 1, "column \"c\" is an integer, not a float");
        check_error::<f32>(0.1_f64, "column \"c\" is a float, not a 32-bit float");
        check_error::<bool>(2_i64, "column \"c\" is an integer, not a boolean");
        check_error::<f64>(
            Decimal::new("1").unwrap(),
            "column \"c\" is a decimal, not a float",
        );
        check_error::<Decimal>("1e3", "column \"c\" is text, not a decimal");
        check_error::<i64>(
            None::<i64>,
            "column \"c\" is NULL, not an integer; read it as an Option",
        );
    }

    #[test]
    fn only_plain_digits_are_a_decimal() {
        for good in ["0", "-12.50", "00012345678901234567890"] {
            assert!(Decimal::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-", "1.", ".5", "+1", "1e3", "1,000", "NaN"] {
            assert!(Decimal::new(bad).is_err(), "{bad}");
        }
    }
}
