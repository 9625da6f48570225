//! What SQLite's result codes mean: SQLSTATEs, and the errors of clients.

use super::sqlite::Failure;
use crate::error::{Error, SqlState};
use rusqlite::ffi;

/// Whether SQLite refused it over the authorizer, in the middle of a step.
pub(crate) fn is_unauthorized(failure: &Failure) -> bool {
    failure.code & 0xff == ffi::SQLITE_AUTH
}

/// The SQLSTATE that stands for a result code of SQLite.
pub(crate) fn sqlstate(failure: &Failure) -> SqlState {
    match failure.code {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => return SqlState::UNIQUE,
        ffi::SQLITE_CONSTRAINT_NOTNULL => return SqlState::NOT_NULL,
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return SqlState::FOREIGN_KEY,
        ffi::SQLITE_CONSTRAINT_CHECK => return SqlState::CHECK,
        _ => {}
    }
    match failure.code & 0xff {
        ffi::SQLITE_CONSTRAINT => SqlState::CONSTRAINT,
        ffi::SQLITE_AUTH | ffi::SQLITE_READONLY => SqlState::DENIED,
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => SqlState::SERIALIZATION,
        ffi::SQLITE_ABORT => SqlState::INVALID_CURSOR,
        ffi::SQLITE_INTERRUPT => SqlState::CANCELED,
        ffi::SQLITE_NOMEM | ffi::SQLITE_TOOBIG => SqlState::OUT_OF_MEMORY,
        ffi::SQLITE_MISMATCH | ffi::SQLITE_RANGE => SqlState::WRONG_TYPE,
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => SqlState::CORRUPTED,
        ffi::SQLITE_IOERR | ffi::SQLITE_FULL | ffi::SQLITE_CANTOPEN => SqlState::IO,
        ffi::SQLITE_ERROR => by_message(&failure.message),
        _ => SqlState::INTERNAL,
    }
}

/// SQLite has one code for everything that is wrong with a statement.
fn by_message(message: &str) -> SqlState {
    if message.starts_with("no such table") {
        SqlState::UNDEFINED_TABLE
    } else if message.starts_with("no such column") {
        SqlState::UNDEFINED_COLUMN
    } else if message.starts_with("no such function") {
        SqlState::UNDEFINED_FUNCTION
    } else {
        SqlState::SYNTAX
    }
}

/// What the client reads about its own statement.
pub(crate) fn client_error(failure: Failure) -> Error {
    Error::new(sqlstate(&failure), failure.message)
}
