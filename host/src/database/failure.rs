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
    } else if message.starts_with("function \"") {
        // One of ours, that an index called.
        SqlState::GUEST_EXCEPTION
    } else if message.starts_with("permission denied: ") {
        SqlState::DENIED
    } else {
        SqlState::SYNTAX
    }
}

/// The words for a guest. A CHECK constraint without a name is named by its expression,
/// which says what the table's owner knows.
pub(crate) fn told_to_guest(failure: &Failure) -> String {
    const CHECK: &str = "CHECK constraint failed";
    let is_name = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let message = &failure.message;
    let constraint = message
        .strip_prefix(CHECK)
        .map(|rest| rest.trim_start_matches(": "));
    match constraint {
        Some(constraint) if !is_name(constraint) => CHECK.to_string(),
        _ => message.clone(),
    }
}

/// What the client reads about its own statement.
pub(crate) fn client_error(failure: Failure) -> Error {
    Error::new(sqlstate(&failure), failure.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_reads_the_name_of_a_constraint_and_not_its_expression() {
        for (message, told) in [
            (
                "CHECK constraint failed: small_n",
                "CHECK constraint failed: small_n",
            ),
            ("CHECK constraint failed: n < 5", "CHECK constraint failed"),
            (
                "CHECK constraint failed: role <> 'x'",
                "CHECK constraint failed",
            ),
            (
                "UNIQUE constraint failed: t.n",
                "UNIQUE constraint failed: t.n",
            ),
        ] {
            let failure = Failure {
                code: ffi::SQLITE_CONSTRAINT,
                message: message.to_string(),
            };
            assert_eq!(told_to_guest(&failure), told);
        }
    }
}
