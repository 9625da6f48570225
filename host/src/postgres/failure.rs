//! What the server's errors mean: SQLSTATEs, and words that hold no values.
//!
//! A server's message may quote a row: in its DETAIL, which is never passed on, and for
//! constraints in the message itself, which is worded anew here.

use crate::error::{Error, SqlState};
use crate::limits::Exceeded;
use tokio_postgres::error::DbError;

/// Why work with a server came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server refused it, or failed.
    Server(ServerError),
    /// It took longer than it may, and was ended.
    Interrupted,
    /// One message of the server is longer than one may be.
    TooLarge,
    /// The connection ended. For the operator only.
    Lost(String),
    /// There is no connection, and this is why.
    NoConnection(Error),
    /// A value cannot be carried.
    Value(Error),
    /// The result is larger than one may be.
    Exceeded(Exceeded),
}

/// An error of the server's, as far as others may know of it.
#[derive(Clone, Debug)]
pub(crate) struct ServerError {
    pub(crate) state: SqlState,
    pub(crate) message: String,
}

/// Codes of PostgreSQL's Appendix A.
const STATES: &str = "00000 01000 01003 01004 01006 01007 01008 0100C 01P01 02000 02001 03000 08000 \
     08001 08003 08004 08006 08007 08P01 09000 0A000 0B000 0F000 0F001 0L000 0LP01 \
     0P000 0Z000 0Z002 20000 21000 22000 22001 22002 22003 22004 22005 22007 22008 \
     22009 2200B 2200C 2200D 2200F 2200G 2200H 2200L 2200M 2200N 2200S 2200T 22010 \
     22011 22012 22013 22014 22015 22016 22018 22019 2201B 2201E 2201F 2201G 2201W \
     2201X 22021 22022 22023 22024 22025 22026 22027 2202E 2202G 2202H 22030 22031 \
     22032 22033 22034 22035 22036 22037 22038 22039 2203A 2203B 2203C 2203D 2203E \
     2203F 2203G 22P01 22P02 22P03 22P04 22P05 22P06 23000 23001 23502 23503 23505 \
     23514 23P01 24000 25000 25001 25002 25003 25004 25005 25006 25007 25008 25P01 \
     25P02 25P03 26000 27000 28000 28P01 2B000 2BP01 2D000 2F000 2F002 2F003 2F004 \
     2F005 34000 38000 38001 38002 38003 38004 39000 39001 39004 39P01 39P02 39P03 \
     3B000 3B001 3D000 3F000 40000 40001 40002 40003 40P01 42000 42501 42601 42602 \
     42611 42622 42701 42702 42703 42704 42710 42712 42723 42725 42803 42804 42809 \
     42830 42846 42883 428C9 42939 42P01 42P02 42P03 42P04 42P05 42P06 42P07 42P08 \
     42P09 42P10 42P11 42P12 42P13 42P14 42P15 42P16 42P17 42P18 42P19 42P20 42P21 \
     42P22 44000 53000 53100 53200 53300 53400 54000 54001 54011 54023 55000 55006 \
     55P02 55P03 55P04 57000 57014 57P01 57P02 57P03 57P04 57P05 58000 58030 58P01 \
     58P02 72000 F0000 F0001 P0000 P0001 P0002 P0003 P0004 XX000 XX001 XX002";

/// What a code outside the table counts as: a function of the database's raised it.
const RAISED: &str = "P0001";

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        match error.as_db_error() {
            Some(error) => Failure::Server(ServerError::new(error)),
            None => Failure::Lost(error_chain(&error)),
        }
    }
}

impl Failure {
    /// Whether the server gave this code.
    pub(crate) fn is(&self, state: SqlState) -> bool {
        matches!(self, Failure::Server(error) if error.state == state)
    }

    /// The error for who made the request himself: a client, or the host.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Failure::Server(error) => Error::new(error.state, error.message),
            Failure::Interrupted => Error::new(SqlState::CANCELED, "the statement took too long"),
            Failure::TooLarge => Error::new(
                SqlState::OUT_OF_MEMORY,
                "a row of the result is larger than one may be",
            ),
            Failure::Lost(cause) => {
                Error::new(SqlState::IO, "the connection to the database was lost")
                    .with_cause(cause)
            }
            Failure::Value(error) | Failure::NoConnection(error) => error,
            Failure::Exceeded(exceeded) => {
                Error::new(exceeded.limit.sqlstate(), exceeded.to_string())
            }
        }
    }
}

impl ServerError {
    fn new(error: &DbError) -> ServerError {
        let state = state(error.code().code());
        ServerError {
            message: message(state, error),
            state,
        }
    }

    /// The object of `permission denied for table users`, and its kind.
    pub(crate) fn denied_object(&self) -> Option<(&str, &str)> {
        let rest = self.message.strip_prefix("permission denied for ")?;
        rest.split_once(' ')
    }
}

fn state(code: &str) -> SqlState {
    let known = STATES.split(' ').find(|known| *known == code);
    SqlState::of(known.unwrap_or(RAISED))
}

/// The words for it. A constraint's message is the host's own: the server's tell of rows,
/// and of tables that refer to this one.
fn message(state: SqlState, error: &DbError) -> String {
    let named = |what: Option<&str>| match what {
        Some(name) => format!(" \"{name}\""),
        None => String::new(),
    };
    match state {
        SqlState::UNIQUE => format!(
            "duplicate key value violates unique constraint{}",
            named(error.constraint())
        ),
        SqlState::NOT_NULL => format!(
            "null value in column{} violates not-null constraint",
            named(error.column())
        ),
        SqlState::FOREIGN_KEY => "a foreign key constraint does not hold".to_string(),
        SqlState::CHECK => format!(
            "the row violates check constraint{}",
            named(error.constraint())
        ),
        _ => error.message().to_string(),
    }
}

fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_appendix_and_any_other_is_a_raised_one() {
        for code in ["00000", "42501", "57014", "XX002", "22P02"] {
            assert_eq!(state(code).as_str(), code);
        }
        for code in ["ABCDE", "", "0000", "42501 "] {
            assert_eq!(state(code).as_str(), RAISED);
        }
        assert_eq!(state("42501"), SqlState::DENIED);
        assert!(STATES.split(' ').all(|code| code.len() == 5));
    }
}
