//! The catalog's functions as SQLite functions of a session's connection.

use super::Session;
use super::core::SessionCore;
use crate::error::{Error, Result};
use crate::function::{Function, Kind};
use crate::types::{SqlType, Value};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use std::sync::{Arc, Weak};

impl Session {
    /// Brings the connection in step with the catalog: functions that came and went.
    pub(super) fn register_functions(&mut self) -> Result<()> {
        let catalog = &self.core.vault.catalog;
        let version = catalog.version();
        if version == self.functions_version {
            return Ok(());
        }
        for (name, function) in catalog.changes_since(self.functions_version) {
            match &function {
                Some(function) => self.register(function),
                None => self.connection.remove_function(name.as_str(), ANY_NUMBER),
            }
            .and_then(|()| self.register_table(&name, function.as_deref()))
            .map_err(Error::internal)?;
        }
        self.functions_version = version;
        Ok(())
    }

    fn register(&self, function: &Function) -> rusqlite::Result<()> {
        if function.kind == Kind::Aggregate {
            return self.register_aggregate(function);
        }
        let core: Weak<SessionCore> = Arc::downgrade(&self.core);
        let name = function.name.as_str();
        // Innocuous: a sandbox stands around it, so views and triggers may use it.
        let mut flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
        if function.signature.is_immutable() {
            flags |= FunctionFlags::SQLITE_DETERMINISTIC;
        }
        let function: Box<str> = name.into();
        self.connection
            .create_scalar_function(name, ANY_NUMBER, flags, move |context| {
                let core = core
                    .upgrade()
                    .ok_or_else(|| user_error("the session is closed"))?;
                invoke(&core, &function, context)
            })
    }
}

/// The number of arguments is checked with our own words.
const ANY_NUMBER: i32 = -1;

fn invoke(
    core: &Arc<SessionCore>,
    function: &str,
    context: &Context<'_>,
) -> rusqlite::Result<rusqlite::types::Value> {
    let arguments = (0..context.len())
        .map(|index| argument(core, function, context.get_raw(index)))
        .collect::<rusqlite::Result<_>>()?;
    let value = core
        .invoke(function, arguments)
        .map_err(|error| user_error(error.message()))?;
    let declared = match &value {
        // A day has no time of day.
        Value::Timestamp(_) => returned_type(core, function),
        _ => SqlType::Text,
    };
    Ok(value.into_sqlite(declared))
}

fn returned_type(core: &SessionCore, function: &str) -> SqlType {
    let function = core.vault.catalog.function(function);
    function.map_or(SqlType::Timestamp, |function| function.signature.returns)
}

pub(super) fn argument(
    core: &SessionCore,
    function: &str,
    value: ValueRef<'_>,
) -> rusqlite::Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Integer(n),
        ValueRef::Real(x) => Value::Real(x),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_string()),
            // A condition answers whatever it is given: this is no context.
            Err(_) if core.is_condition(function) => Value::Blob(text.to_vec()),
            Err(_) => return Err(user_error("an argument is text that is not UTF-8")),
        },
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

/// SQLite carries only the text; the session has the error itself.
pub(super) fn user_error(message: &str) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(message.into())
}
