//! SQLite's functions that compare every part of one text with every part of another.
//!
//! They do so in one step, in which SQLite looks at no clock: a few megabytes keep `instr`
//! or `trim` busy for hours. While a guest runs they are bounded here, and each call of
//! one looks at the clocks. What they compute is SQLite's own affair: a connection of
//! theirs, without any table, is asked.

use super::backend::{Deadline, GUEST_VALUE_BYTES_MAX};
use super::sqlite::{Bound, Column, Failure, Handle, Statement};
use crate::guard::{Guard, Guards};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, ffi};
use std::sync::{Arc, Mutex, PoisonError};

/// Each with its number of arguments; the first two are what is compared.
const FUNCTIONS: [(&str, i32); 5] = [
    ("instr", 2),
    ("ltrim", 2),
    ("replace", 3),
    ("rtrim", 2),
    ("trim", 2),
];

/// The largest product of two lengths: about a tenth of a second.
const COMPARISONS_MAX: usize = 100_000_000;

/// A function as SQLite has it.
struct Original {
    // Dropped before the connection, which it belongs to.
    statement: Statement,
    handle: Handle,
    _connection: Connection,
}

/// Takes the place of the functions on a connection.
pub(super) fn bound(
    connection: &Connection,
    deadline: &Arc<Deadline>,
    guards: Guards,
) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    for (name, arguments) in FUNCTIONS {
        let deadline = Arc::clone(deadline);
        // Opened when it is first called, since few sessions call any.
        let original: Mutex<Option<Original>> = Mutex::default();
        connection.create_scalar_function(name, arguments, flags, move |context| {
            let is_guest = deadline.is_set();
            if is_guest && guards.holds(Guard::Comparisons) {
                check(context, &deadline)?;
            }
            let length_max = if is_guest {
                GUEST_VALUE_BYTES_MAX
            } else {
                i32::MAX
            };
            let mut original = original.lock().unwrap_or_else(PoisonError::into_inner);
            if original.is_none() {
                *original = Some(Original::open(name, arguments)?);
            }
            match &mut *original {
                Some(original) => original.call(context, length_max),
                None => Err(Error::InvalidQuery),
            }
        })?;
    }
    Ok(())
}

fn check(context: &Context<'_>, deadline: &Deadline) -> rusqlite::Result<()> {
    if deadline.is_over() {
        return Err(failed(ffi::SQLITE_INTERRUPT));
    }
    let length = |index| match context.get_raw(index) {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        // A number is a short text.
        _ => 32,
    };
    if length(0).saturating_mul(length(1)) > COMPARISONS_MAX {
        return Err(failed(ffi::SQLITE_TOOBIG));
    }
    Ok(())
}

impl Original {
    fn open(name: &str, arguments: i32) -> rusqlite::Result<Original> {
        let connection = Connection::open_in_memory()?;
        let handle = Handle::new(&connection);
        let parameters = vec!["?"; arguments as usize].join(",");
        let sql = format!("SELECT {name}({parameters})");
        let statement = handle.prepare(&sql).map_err(error)?.0;
        Ok(Original {
            statement: statement.ok_or(Error::InvalidQuery)?,
            handle,
            _connection: connection,
        })
    }

    fn call(&mut self, context: &Context<'_>, length_max: i32) -> rusqlite::Result<Value> {
        self.handle.set_limit(ffi::SQLITE_LIMIT_LENGTH, length_max);
        let result = self.run(context);
        self.statement.reset();
        result
    }

    fn run(&mut self, context: &Context<'_>) -> rusqlite::Result<Value> {
        for index in 0..context.len() {
            let bound = match context.get_raw(index) {
                ValueRef::Null => Bound::Null,
                ValueRef::Integer(n) => Bound::Integer(n),
                ValueRef::Real(x) => Bound::Real(x),
                ValueRef::Text(text) => Bound::Text(utf8(text)?),
                ValueRef::Blob(bytes) => Bound::Blob(bytes),
            };
            self.statement.bind(index, bound).map_err(error)?;
        }
        self.statement.step().map_err(error)?;
        Ok(match self.statement.column(0) {
            Column::Null => Value::Null,
            Column::Integer(n) => Value::Integer(n),
            Column::Real(x) => Value::Real(x),
            Column::Text(text) => Value::Text(utf8(text)?.to_string()),
            Column::Blob(bytes) => Value::Blob(bytes.to_vec()),
        })
    }
}

fn utf8(bytes: &[u8]) -> rusqlite::Result<&str> {
    std::str::from_utf8(bytes)
        .map_err(|_| Error::UserFunctionError("an argument is text that is not UTF-8".into()))
}

fn error(failure: Failure) -> Error {
    failed(failure.code)
}

fn failed(code: i32) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), None)
}
