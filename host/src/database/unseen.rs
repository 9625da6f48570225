//! What a guest is told of a statement that does not fit its tables.
//!
//! SQLite's message tells which tables there are, and which columns they have. A guest
//! learns that of tables only of which a grant of its covers a column, so the statement is prepared
//! once more, where there are no others: on an empty database, to which each table that
//! SQLite misses is added, if it is covered. It runs nothing and decides nothing.

use super::backend::Database;
use super::grant::{self, DEFAULT_SCHEMA};
use super::sqlite::{Bound, Column, Failure, Handle};
use crate::capability::Capability;
use crate::execution::Execution;
use crate::guard::Guard;
use crate::statement::quoted;
use rusqlite::{Connection, ffi};

/// What the guest may be told.
pub(super) enum Told {
    /// Tables, as `(schema, name)`, that no grant covers, whether or not there are any.
    NotCovered(Vec<(String, String)>),
    Failure(Failure),
}

/// A statement joins no more tables at one time, but it may have sub-queries.
const TABLES_MAX: usize = 256;

impl Execution {
    /// The failure of a statement that could not be prepared, as far as the guest may
    /// know of it.
    pub(super) fn told(&self, sql: &str, failure: Failure) -> Told {
        let hides = self.meter.guards.holds(Guard::UncoveredTables);
        if failure.code & 0xff != ffi::SQLITE_ERROR || !hides {
            return Told::Failure(failure);
        }
        match self.prepare_unseen(sql) {
            Ok(None) => Told::Failure(failure),
            Ok(Some(told)) => told,
            Err(error) => Told::Failure(error),
        }
    }

    /// `None` if every table is covered, and they are not what is wrong.
    fn prepare_unseen(&self, sql: &str) -> Result<Option<Told>, Failure> {
        let connection = Connection::open_in_memory().map_err(|error| Failure {
            code: error
                .sqlite_error()
                .map_or(ffi::SQLITE_ERROR, |e| e.extended_code),
            message: error.to_string(),
        })?;
        let covered = Covered(Handle::new(&connection));
        let mut missing = Vec::new();
        for _ in 0..TABLES_MAX {
            let failure = match covered.0.prepare(sql) {
                Ok(_) => break,
                Err(failure) => failure,
            };
            let Some((schema, table)) = missed_table(&failure) else {
                if missing.is_empty() {
                    return Ok(Some(Told::Failure(failure)));
                }
                break;
            };
            let columns = match self.covers(&schema, &table) {
                true => self.session.database.columns(&schema, &table)?,
                false => {
                    missing.push((schema.clone(), table.clone()));
                    vec!["rowid".to_string()]
                }
            };
            // One that is covered and does not exist, or cannot be made here.
            if columns.is_empty() || covered.add(&schema, &table, &columns).is_err() {
                if missing.is_empty() {
                    return Ok(Some(Told::Failure(failure)));
                }
                break;
            }
        }
        Ok((!missing.is_empty()).then_some(Told::NotCovered(missing)))
    }

    fn covers(&self, schema: &str, table: &str) -> bool {
        let (authority, guards) = (&self.authority, self.meter.guards);
        [Capability::DatabaseRead, Capability::DatabaseWrite]
            .into_iter()
            .any(|capability| grant::is_known(capability, schema, table, authority, guards))
    }
}

/// A database with covered tables only.
struct Covered(Handle);

impl Covered {
    fn add(&self, schema: &str, table: &str, columns: &[String]) -> Result<(), Failure> {
        let (schema, table) = (quoted(schema), quoted(table));
        if ![quoted("main"), quoted("temp")].contains(&schema) {
            // It may be there already.
            let _ = self.0.run(&format!("ATTACH ':memory:' AS {schema}"));
        }
        let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        self.0.run(&format!(
            "CREATE TABLE {schema}.{table}({})",
            columns.join(",")
        ))
    }
}

impl Database {
    /// The columns of a table or view, generated ones too.
    pub(super) fn columns(&self, schema: &str, table: &str) -> Result<Vec<String>, Failure> {
        self.gate.as_host(|| {
            let sql = "SELECT name FROM pragma_table_xinfo(?1, ?2)";
            let mut names = Vec::new();
            if let (Some(mut statement), _) = self.handle.prepare(sql)? {
                statement.bind(0, Bound::Text(table))?;
                statement.bind(1, Bound::Text(schema))?;
                while statement.step()? {
                    if let Column::Text(name) = statement.column(0) {
                        names.push(String::from_utf8_lossy(name).into_owned());
                    }
                }
            }
            Ok(names)
        })
    }
}

/// The table that SQLite's message says is missing.
pub(super) fn missed_table(failure: &Failure) -> Option<(String, String)> {
    let name = failure.message.strip_prefix("no such table: ")?;
    let (schema, table) = name.split_once('.').unwrap_or((DEFAULT_SCHEMA, name));
    Some((schema.to_ascii_lowercase(), table.to_string()))
}
