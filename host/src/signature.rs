//! A function's signature: its SQL types and, for a component, the WIT types behind
//! them.

use crate::types::SqlType;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Parameters and result, and what its author says of how they belong together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Signature {
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) returns: SqlType,
    /// A component's result type; none for JavaScript and for no result.
    pub(crate) result: Option<WitType>,
    /// The columns, if it returns a table; `returns` is nothing then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) table: Option<Vec<Column>>,
    #[serde(default)]
    pub(crate) volatility: Volatility,
}

/// A column of a table that a function returns.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) sql_type: SqlType,
}

/// What the same arguments give.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Volatility {
    /// The same result for ever: indexes and generated columns may rely on it.
    Immutable,
    /// The same result within one statement. SQLite makes nothing of it.
    Stable,
    #[default]
    Volatile,
}

/// One parameter.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) sql_type: SqlType,
    /// A component's parameter type; none for JavaScript.
    pub(crate) wit_type: Option<WitType>,
}

/// A WIT type that can travel to and from SQL.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WitType {
    Bool,
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    F32,
    F64,
    Char,
    String,
    /// `list<u8>`.
    Bytes,
    /// `heliosdb:host/types.{decimal, timestamp, json, error}`.
    Decimal,
    Timestamp,
    Json,
    Error,
    Option(Box<WitType>),
    List(Box<WitType>),
    Tuple(Vec<WitType>),
    Record(Vec<(String, WitType)>),
    Variant(Vec<(String, Option<WitType>)>),
    Enum(Vec<String>),
    Flags(Vec<String>),
    Result {
        ok: Option<Box<WitType>>,
        err: Option<Box<WitType>>,
    },
    /// A resource that yields a table: its method `next`, in the function's own interface,
    /// and what that returns.
    Rows {
        next: String,
        batch: Box<WitType>,
    },
}

impl WitType {
    /// Whether it may have any number of parts, not only one scalar, text or piece of
    /// bytes: an error may list any number of denials.
    pub(crate) fn is_composite(&self) -> bool {
        match self {
            WitType::Option(inner) => inner.is_composite(),
            WitType::Result { ok, err } => ok.iter().chain(err).any(|side| side.is_composite()),
            WitType::List(_)
            | WitType::Tuple(_)
            | WitType::Record(_)
            | WitType::Variant(_)
            | WitType::Flags(_)
            | WitType::Error => true,
            _ => false,
        }
    }

    /// The SQL type that stands for it: composite types are JSON.
    pub(crate) fn sql_type(&self) -> SqlType {
        match self {
            WitType::Bool => SqlType::Boolean,
            WitType::S8 | WitType::U8 | WitType::S16 => SqlType::SmallInt,
            WitType::U16 | WitType::S32 => SqlType::Integer,
            WitType::U32 | WitType::S64 => SqlType::BigInt,
            WitType::U64 | WitType::Decimal => SqlType::Numeric,
            WitType::F32 => SqlType::Real,
            WitType::F64 => SqlType::Double,
            WitType::Char | WitType::String | WitType::Enum(_) => SqlType::Text,
            WitType::Bytes => SqlType::Bytea,
            WitType::Timestamp => SqlType::Timestamp,
            WitType::Option(inner) => inner.sql_type(),
            WitType::Result { ok, .. } => ok.as_ref().map_or(SqlType::Void, |ok| ok.sql_type()),
            WitType::Rows { .. } => SqlType::Void,
            WitType::Json
            | WitType::Error
            | WitType::List(_)
            | WitType::Tuple(_)
            | WitType::Record(_)
            | WitType::Variant(_)
            | WitType::Flags(_) => SqlType::Json,
        }
    }

    /// The fields of a row, if it is a table, or one row of one.
    pub(crate) fn row(&self) -> Option<&[(String, WitType)]> {
        match self {
            WitType::Record(fields) if !fields.is_empty() => Some(fields),
            WitType::List(item) => match &**item {
                WitType::Record(fields) if !fields.is_empty() => Some(fields),
                _ => None,
            },
            WitType::Result { ok: Some(ok), .. } => ok.row(),
            WitType::Rows { batch, .. } => batch.row(),
            _ => None,
        }
    }

    /// The method behind a table that is a resource.
    pub(crate) fn next_method(&self) -> Option<&str> {
        match self {
            WitType::Rows { next, .. } => Some(next),
            WitType::Result { ok: Some(ok), .. } => ok.next_method(),
            _ => None,
        }
    }

    /// Whether a declared SQL type may stand for it instead.
    pub(crate) fn accepts(&self, declared: SqlType) -> bool {
        match (self, declared) {
            (WitType::Option(inner), _) => inner.accepts(declared),
            (WitType::Result { ok: Some(ok), .. }, _) => ok.accepts(declared),
            (WitType::String, SqlType::Text | SqlType::Uuid) => true,
            (WitType::Timestamp, SqlType::Timestamp | SqlType::Date) => true,
            _ => self.sql_type() == declared,
        }
    }
}

impl Volatility {
    pub(crate) const ALL: [Volatility; 3] = [
        Volatility::Immutable,
        Volatility::Stable,
        Volatility::Volatile,
    ];

    /// The word in SQL.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Volatility::Immutable => "IMMUTABLE",
            Volatility::Stable => "STABLE",
            Volatility::Volatile => "VOLATILE",
        }
    }
}

impl Signature {
    pub(crate) fn is_immutable(&self) -> bool {
        self.volatility == Volatility::Immutable
    }

    /// What stands after RETURNS: `TABLE (id BIGINT, name TEXT)`.
    pub(crate) fn returns_text(&self) -> String {
        let Some(columns) = &self.table else {
            return self.returns.to_string();
        };
        let columns: Vec<String> = columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.sql_type))
            .collect();
        format!("TABLE ({})", columns.join(", "))
    }

    /// The types of the parameters, for a SQL signature: `bigint, text`.
    pub(crate) fn parameter_types(&self) -> String {
        let types: Vec<_> = self
            .parameters
            .iter()
            .map(|p| p.sql_type.name().to_ascii_lowercase())
            .collect();
        types.join(", ")
    }
}

/// `(customer BIGINT, name TEXT) RETURNS JSON`.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, parameter) in self.parameters.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{} {}", parameter.name, parameter.sql_type)?;
        }
        write!(f, ") RETURNS {}", self.returns_text())
    }
}
