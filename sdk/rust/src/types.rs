//! The values that travel between SQL and a procedure: `heliosdb:host/types`.
//!
//! Field for field what `wit/types.wit` has, since the generated code takes these
//! types apart. What one can do with them is in `error.rs`, `value.rs` and
//! `timestamp.rs`.

/// An exact decimal number (SQL NUMERIC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// An optional `-`, digits, and optionally `.` and more digits: `-12.50`.
    pub digits: String,
}

/// A moment in UTC (SQL TIMESTAMP), or midnight of a day (SQL DATE).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Microseconds since 1970-01-01T00:00:00Z; negative before it.
    pub microseconds: i64,
}

/// A JSON document (SQL JSON).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json {
    /// The document's text, as RFC 8259 has it.
    pub text: String,
}

/// One SQL value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
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
    /// NUMERIC. SQLite stores it as text.
    Decimal(Decimal),
    /// DATE, TIMESTAMP. SQLite stores it as text.
    Timestamp(Timestamp),
    /// JSON. SQLite stores it as text.
    Json(Json),
}

/// A column of a query's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type in the words of the table that it is of: `VARCHAR(20)`. None if it is
    /// computed.
    pub declared_type: Option<String>,
}

/// One row as it travels.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The columns' names, in order.
    pub columns: Vec<String>,
    /// One value a column.
    pub values: Vec<Value>,
}

/// Rows as they travel.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// The columns' names, in order.
    pub columns: Vec<String>,
    /// The rows; each has one value a column.
    pub rows: Vec<Vec<Value>>,
}

/// What a writing statement did, as it travels.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The rows that it inserted, changed or deleted itself.
    pub affected_rows: u64,
    /// The rowid of the last row that it inserted itself.
    pub last_insert_id: Option<i64>,
    /// The rows of its RETURNING clause.
    pub returned: Rows,
}

/// A permission that a request needed and the function does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The capability's SQL name: `DATABASE_READ`.
    pub capability: String,
    /// What the request wanted to touch: `main.users`. Empty for a capability
    /// without an argument.
    pub target: String,
}

/// A bound on a single request that the request was beyond. The call goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// The bound's name: `sql_bytes`.
    pub name: String,
    /// What is allowed.
    pub allowed: u64,
    /// What the request had.
    pub requested: u64,
}

/// The database, or the procedure itself, reported a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Five characters, as PostgreSQL's Appendix A has them: `23505`.
    pub sqlstate: String,
    /// For people; its wording is not a contract.
    pub message: String,
}

/// Why a request, or a procedure, was not carried out.
///
/// A text becomes a failure with `?` or [`bail!`](crate::bail), so a procedure's
/// own errors need no type of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Every permission that was missing, each once.
    Denied(Vec<Denial>),
    /// The request was larger than one request may be.
    Limit(Excess),
    /// The request makes no sense: a syntax error, a wrong number of parameters,
    /// two statements in one text.
    Invalid(String),
    /// The request made sense and failed: a constraint, a missing table.
    Failed(Failure),
}
