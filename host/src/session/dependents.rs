//! What indexes and generated columns rely on: an IMMUTABLE function that one of them
//! uses stays as it is, since what is stored are its results.
//!
//! SQLite says what uses a function, no parser of ours: on an empty database, where that
//! function is one that may change its mind, it refuses to make the table or index.

use super::Session;
use crate::database::backend::Database;
use crate::database::failure::client_error;
use crate::database::sqlite::{Column, Failure};
use crate::error::{Error, Result, SqlState};
use crate::guard::Guard;
use crate::statement::quoted;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Null;

/// A table or an index, as the database's schema has it.
#[derive(Clone)]
struct Stored {
    is_index: bool,
    name: String,
    table: String,
    sql: String,
}

impl Session {
    /// Changes a function, if nothing stored relies on what it is. While that is found
    /// out and changed, no other session makes an index.
    pub(super) fn change_unless_used<R>(
        &self,
        name: &str,
        verb: &str,
        change: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let function = self.core.vault.catalog.function(name);
        let is_immutable = function.is_some_and(|function| function.signature.is_immutable());
        if !is_immutable || !self.core.guards().holds(Guard::UsedFunctions) {
            return change();
        }
        let database = &self.core.database;
        database.begin_unit(true)?;
        let changed = match self.user_of(name) {
            Ok(None) => change(),
            Ok(Some(user)) => Err(in_use(name, verb, &user)),
            Err(error) => Err(error),
        };
        database.roll_back_unit();
        changed
    }

    fn user_of(&self, function: &str) -> Result<Option<Stored>> {
        let needle = function.to_ascii_lowercase();
        for schema in schemas(&self.core.database).map_err(client_error)? {
            let stored = stored(&self.core.database, &schema).map_err(client_error)?;
            let names_it = |stored: &&Stored| stored.sql.to_ascii_lowercase().contains(&needle);
            for candidate in stored.iter().filter(names_it) {
                let is_own = |table: &&Stored| !table.is_index && table.name == candidate.table;
                let table = stored.iter().find(is_own);
                if self.uses(function, table, candidate)? {
                    return Ok(Some(candidate.clone()));
                }
            }
        }
        Ok(None)
    }

    /// Whether SQLite refuses to make it with a function that is not deterministic. What
    /// it refuses for another reason is taken for a use: better one too many.
    fn uses(&self, function: &str, table: Option<&Stored>, candidate: &Stored) -> Result<bool> {
        let scratch = Connection::open_in_memory().map_err(Error::internal)?;
        self.define_functions(&scratch, function)
            .map_err(Error::internal)?;
        if candidate.is_index
            && let Some(table) = table
            && scratch.execute_batch(&table.sql).is_err()
        {
            return Ok(true);
        }
        Ok(scratch.execute_batch(&candidate.sql).is_err())
    }

    fn define_functions(&self, scratch: &Connection, volatile: &str) -> rusqlite::Result<()> {
        for function in self.core.vault.catalog.functions() {
            let mut flags = FunctionFlags::SQLITE_UTF8;
            if function.name != volatile {
                flags |= FunctionFlags::SQLITE_DETERMINISTIC;
            }
            scratch.create_scalar_function(function.name.as_str(), -1, flags, |_| Ok(Null))?;
        }
        Ok(())
    }
}

fn in_use(name: &str, verb: &str, user: &Stored) -> Error {
    let (what, cure) = match user.is_index {
        true => (
            format!("index \"{}\"", user.name),
            format!("DROP INDEX \"{}\";", user.name),
        ),
        false => (
            format!("a generated column of table \"{}\"", user.name),
            format!("ALTER TABLE \"{}\" DROP COLUMN <column>;", user.name),
        ),
    };
    Error::new(
        SqlState::DEPENDENT_OBJECTS,
        format!("cannot {verb} function \"{name}\": {what} uses it"),
    )
    .with_detail("what is stored there are the function's results")
    .with_hint(cure)
}

fn schemas(database: &Database) -> Result<Vec<String>, Failure> {
    let rows = texts(database, "SELECT name FROM pragma_database_list", 1)?;
    let names = rows.into_iter().flatten();
    Ok(names.filter(|name| name != "heliosdb").collect())
}

fn stored(database: &Database, schema: &str) -> Result<Vec<Stored>, Failure> {
    let sql = format!(
        "SELECT type, name, tbl_name, sql FROM {}.sqlite_schema
         WHERE type IN ('table', 'index') AND sql NOT LIKE 'create virtual%'",
        quoted(schema)
    );
    let rows = texts(database, &sql, 4)?.into_iter();
    Ok(rows
        .filter_map(|row| match <[String; 4]>::try_from(row) {
            Ok([kind, name, table, sql]) => Some(Stored {
                is_index: kind == "index",
                name,
                table,
                sql,
            }),
            Err(_) => None,
        })
        .collect())
}

/// The rows of a query of the host's own, whose columns are text.
fn texts(database: &Database, sql: &str, columns: usize) -> Result<Vec<Vec<String>>, Failure> {
    database.gate.as_host(|| {
        let mut rows = Vec::new();
        if let (Some(mut statement), _) = database.handle.prepare(sql)? {
            while statement.step()? {
                let text = |index| match statement.column(index) {
                    Column::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    _ => String::new(),
                };
                rows.push((0..columns).map(text).collect());
            }
        }
        Ok(rows)
    })
}
