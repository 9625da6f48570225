//! Tables of which only some rows are granted.
//!
//! While a statement of the guest is prepared and run, the name of such a table stands for
//! a temporary view of the rows that are granted; the table itself stays refused, by its
//! qualified name too. What tells the view's own reads from the guest's is the name of a
//! common table expression in it, of 128 random bits, drawn after the guest has given its
//! text: a text that has the name cannot be given.
//!
//! The expression is MATERIALIZED, by which SQLite evaluates the condition before anything
//! of the guest's: otherwise an error of the guest's making, or a slow function, would
//! tell of rows that it may not see.

use super::access::Shown;
use super::backend::TableKind;
use super::builtin;
use super::failure::client_error;
use super::grant::{self, DEFAULT_SCHEMA, RowFilter};
use super::host::Outcome;
use super::sqlite::Failure;
use crate::capability::Capability;
use crate::error::{Error, Result, SqlState};
use crate::execution::Execution;
use crate::statement::quoted;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, ffi};
use std::sync::Arc;

/// The SQL function for whoever called.
pub(crate) const CURRENT_CALLER: &str = "current_caller";

/// Words that may stand before a parenthesis and are no functions.
const KEYWORDS: [&str; 18] = [
    "and", "as", "between", "case", "cast", "else", "escape", "glob", "in", "is", "like", "not",
    "null", "or", "regexp", "then", "when", "from",
];

/// Gives a session the SQL function `current_caller()`.
pub(crate) fn register(connection: &Connection, caller: &Arc<str>) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    let caller = Arc::clone(caller);
    connection.create_scalar_function(CURRENT_CALLER, 0, flags, move |_| Ok(caller.to_string()))
}

/// Refuses a condition that calls what is no built-in function: another function of the
/// catalog would run, with what is granted to it, wherever this one reads.
pub(crate) fn check_functions(filter: &RowFilter) -> Result<()> {
    for name in filter.calls() {
        let is_known = KEYWORDS.contains(&name.as_str()) || is_allowed(&name);
        if !is_known {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("the condition of a grant cannot call \"{name}\""),
            )
            .with_hint("it may call SQLite's functions that compute, and current_caller()"));
        }
    }
    Ok(())
}

/// Whether the condition of a grant may call a function.
pub(super) fn is_allowed(function: &str) -> bool {
    use builtin::Builtin::{Pure, Time};
    function == CURRENT_CALLER || matches!(builtin::lookup(function), Some(Pure | Time))
}

impl Execution {
    /// Works while each table that the text names has no rows but those that are granted.
    pub(super) fn with_rows<R>(
        &mut self,
        sql: &str,
        work: impl FnOnce(&mut Execution) -> R,
    ) -> Result<R, Outcome> {
        if !self.authority.has_filters() {
            return Ok(work(self));
        }
        // In the unit, so that the views go with it whatever becomes of the call.
        let session = Arc::clone(&self.session);
        let meter = Arc::clone(&self.meter);
        let begun = session.database.begin_unit_within(&meter, self.may_write());
        begun.map_err(|error| Outcome::End(self.fault(error)))?;
        let shown = self.show_rows(sql);
        let shown = shown.map_err(|failure| self.sqlite_failure(&failure))?;
        let result = work(self);
        let hidden = self.hide_rows(&shown);
        hidden.map_err(|failure| Outcome::End(self.fault(client_error(failure))))?;
        Ok(result)
    }

    fn may_write(&self) -> bool {
        let capabilities = self.authority.capabilities();
        capabilities.contains(Capability::DatabaseWrite)
    }

    /// Puts views in the place of the tables that the text may name and of which only some
    /// rows are granted. Without any, nothing is changed.
    fn show_rows(&mut self, sql: &str) -> Result<Vec<Shown>, Failure> {
        let authority = Arc::clone(&self.authority);
        let database = Arc::clone(&self.session);
        let database = &database.database;
        let mut shown = Vec::new();
        for table in database.tables_of(DEFAULT_SCHEMA)? {
            let filters = grant::filters(DEFAULT_SCHEMA, &table, &authority, self.meter.guards);
            if filters.is_empty() || !may_name(sql, &table) || !self.is_ordinary(&table)? {
                continue;
            }
            let key = Shown::new(&table).ok_or_else(no_name)?;
            shown.push((self.view(&table, &filters, &key)?, key));
        }
        let (views, shown): (Vec<String>, Vec<Shown>) = shown.into_iter().unzip();
        let mut views = views.iter();
        let made = database
            .gate
            .as_host(|| views.try_for_each(|view| database.handle.run(view)));
        if let Err(failure) = made {
            // All that were made before go.
            let made = shown.len() - views.len() - 1;
            self.hide_rows(&shown[..made])?;
            return Err(failure);
        }
        database.gate.show(shown.clone());
        Ok(shown)
    }

    /// A virtual table's module reads what no view of ours filters.
    fn is_ordinary(&self, table: &str) -> Result<bool, Failure> {
        let tables = self.session.database.tables_named(table)?;
        Ok(tables.contains(&(DEFAULT_SCHEMA.to_string(), TableKind::Ordinary)))
    }

    /// Takes the views away. If that fails the call must end: the views go with its unit.
    fn hide_rows(&self, shown: &[Shown]) -> Result<(), Failure> {
        let database = &self.session.database;
        database.gate.show(Vec::new());
        database.gate.as_host(|| {
            shown.iter().try_for_each(|shown| {
                let table = quoted(&shown.table);
                database
                    .handle
                    .run(&format!("DROP VIEW IF EXISTS temp.{table}"))
            })
        })
    }

    /// The statement that makes the view of a table. The condition is tried by itself
    /// first: within the guest's statement, a column that the table does not have would be
    /// looked for in what the guest put around it. That also holds the tables as they are
    /// until the unit ends.
    fn view(&self, table: &str, filters: &[&RowFilter], shown: &Shown) -> Result<String, Failure> {
        let database = &self.session.database;
        let columns = database.columns(DEFAULT_SCHEMA, table)?;
        let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let filters: Vec<String> = filters
            .iter()
            .map(|f| format!("({})", f.as_str()))
            .collect();
        let (columns, filter) = (columns.join(", "), filters.join(" OR "));
        let table = quoted(table);
        let rows = format!("SELECT {columns} FROM main.{table} WHERE {filter}");
        let tried = database
            .gate
            .as_host(|| database.handle.run(&format!("{rows} LIMIT 0")));
        tried.map_err(|failure| Failure {
            message: format!("{}, in the condition of a grant", failure.message),
            ..failure
        })?;
        let key = &shown.key;
        Ok(format!(
            "CREATE TEMP VIEW {table} AS WITH {key} AS MATERIALIZED ({rows}) \
             SELECT {columns} FROM {key}"
        ))
    }
}

/// Whether the text may name the table: no other text can, but for a name with quotes,
/// which are doubled in it.
fn may_name(sql: &str, table: &str) -> bool {
    let has = |text: &[u8], name: &[u8]| {
        text.windows(name.len().max(1))
            .any(|part| part.eq_ignore_ascii_case(name))
    };
    table.contains(['"', '`', '\'']) || table.is_empty() || has(sql.as_bytes(), table.as_bytes())
}

fn no_name() -> Failure {
    Failure {
        code: ffi::SQLITE_IOERR,
        message: "no randomness".to_string(),
    }
}
