//! The catalog's functions that return tables, as tables of SQLite's: virtual ones whose
//! hidden columns are the function's arguments, as `json_each` is one.
#![expect(
    unsafe_code,
    reason = "rusqlite's traits for virtual tables are unsafe to implement"
)]

use super::Session;
use super::core::SessionCore;
use super::functions::{argument, user_error};
use crate::catalog::NewFunction;
use crate::error::{Error, Result, SqlState};
use crate::function::Function;
use crate::instance::Rows;
use crate::limits::TABLE_COLUMNS_MAX;
use crate::signature::{Column, Signature};
use crate::statement::quoted;
use crate::types::{SqlType, Value};
use rusqlite::ffi::{sqlite3_vtab, sqlite3_vtab_cursor};
use rusqlite::types::{Null, Value as Sqlite, ValueRef};
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConfig, VTabConnection,
    VTabCursor,
};
use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::{CStr, CString, c_int};
use std::sync::{Arc, Weak};

/// What a function's tables share. It is the function as it was when the connection came
/// in step with the catalog.
struct Source {
    core: Weak<SessionCore>,
    function: String,
    parameters: usize,
    columns: Vec<Column>,
    declaration: CString,
}

#[repr(C)]
struct Table {
    base: sqlite3_vtab,
    source: Arc<Source>,
}

#[repr(C)]
struct Cursor {
    base: sqlite3_vtab_cursor,
    source: Arc<Source>,
    arguments: Vec<Sqlite>,
    rows: Option<Rows>,
    row: Option<Vec<Value>>,
    number: i64,
}

impl Session {
    /// Makes it a table of the connection's, or no table any more.
    pub(super) fn register_table(
        &self,
        name: &str,
        function: Option<&Function>,
    ) -> rusqlite::Result<()> {
        const MODULE: Module<'_, Table> = Module::eponymous_only_module();
        let signature = function.map(|function| &function.signature);
        let Some((signature, columns)) = signature.and_then(|s| Some((s, s.table.as_ref()?)))
        else {
            self.core.database.handle.drop_module(name);
            return Ok(());
        };
        let declaration = declaration(signature, columns);
        let source = Arc::new(Source {
            core: Arc::downgrade(&self.core),
            function: name.to_string(),
            parameters: signature.parameters.len(),
            columns: columns.clone(),
            declaration: CString::new(declaration)
                .map_err(|error| rusqlite::Error::ModuleError(error.to_string()))?,
        });
        self.connection.create_module(name, &MODULE, Some(source))
    }

    /// Refuses a table whose columns have one name, or whose own name the database knows
    /// otherwise: the host's own queries would read the function's rows.
    pub(super) fn refuse_table_name(&self, new: &NewFunction) -> Result<()> {
        let Some(columns) = &new.signature.table else {
            return Ok(());
        };
        let parameters = new.signature.parameters.iter().map(|p| &p.name);
        let names: Vec<&String> = columns.iter().map(|c| &c.name).chain(parameters).collect();
        if names.len() > TABLE_COLUMNS_MAX {
            let message = format!(
                "a table has at most {TABLE_COLUMNS_MAX} columns and parameters, not {}",
                names.len()
            );
            return Err(Error::new(SqlState::TOO_LARGE, message));
        }
        let mut seen = HashSet::new();
        for name in names {
            if !seen.insert(name.to_ascii_lowercase()) {
                let message = format!("\"{name}\" is given twice, as a column or a parameter");
                return Err(Error::new(SqlState::INVALID_VALUE, message)
                    .with_detail("in queries, the parameters are columns of the table too"));
            }
        }
        self.refuse_module_name(&new.name)
    }

    /// A module may be no table, and a table of the database's own no module yet: SQLite
    /// makes some of those when they are first named.
    fn refuse_module_name(&self, name: &str) -> Result<()> {
        let ours = self.core.vault.catalog.function(name);
        if ours.is_some_and(|function| function.signature.table.is_some()) {
            return Ok(());
        }
        let reserved = ["pragma_", "sqlite_"];
        let lower = name.to_ascii_lowercase();
        let database = &self.core.database;
        let is_taken = database.gate.as_host(|| {
            let sql = format!("SELECT 1 FROM {}", quoted(name));
            reserved.iter().any(|prefix| lower.starts_with(prefix))
                || database.is_module(name).unwrap_or(true)
                || database.handle.prepare(&sql).is_ok()
        });
        if is_taken {
            let message = format!("\"{name}\" is a table, or the database's own");
            return Err(
                Error::new(SqlState::DUPLICATE_FUNCTION, message).with_hint("take another name")
            );
        }
        Ok(())
    }
}

/// What SQLite reads of a table: its columns, and those that are arguments.
fn declaration(signature: &Signature, columns: &[Column]) -> String {
    let columns = columns
        .iter()
        .map(|column| format!("{} {}", quoted(&column.name), affinity(column.sql_type)));
    let arguments = signature
        .parameters
        .iter()
        .map(|parameter| format!("{} HIDDEN", quoted(&parameter.name)));
    let all: Vec<String> = columns.chain(arguments).collect();
    format!("CREATE TABLE x({})", all.join(", "))
}

/// The type that makes SQLite compare a column's values as it stores them.
const fn affinity(sql_type: SqlType) -> &'static str {
    match sql_type {
        SqlType::Boolean | SqlType::SmallInt | SqlType::Integer | SqlType::BigInt => "INTEGER",
        SqlType::Real | SqlType::Double => "REAL",
        SqlType::Bytea | SqlType::Void => "BLOB",
        // Its text may be a number's.
        SqlType::Numeric => "NUMERIC",
        SqlType::Text | SqlType::Uuid | SqlType::Json | SqlType::Date | SqlType::Timestamp => {
            "TEXT"
        }
    }
}

// SAFETY: the struct is `repr(C)` and its first field is the base that SQLite expects.
unsafe impl VTab<'_> for Table {
    type Aux = Arc<Source>;
    type Cursor = Cursor;

    fn connect(
        connection: &mut VTabConnection,
        source: Option<&Arc<Source>>,
        _module: &[u8],
        _schema: &[u8],
        _table: &[u8],
        _arguments: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Table)> {
        let source = source.ok_or_else(|| user_error("the table has no function"))?;
        // A sandbox stands around it, so views and triggers may use it.
        connection.config(VTabConfig::Innocuous)?;
        let table = Table {
            base: sqlite3_vtab::default(),
            source: Arc::clone(source),
        };
        Ok((Cow::Owned(source.declaration.clone()), table))
    }

    /// Every argument is wanted. Where one depends on a table that comes later in a join,
    /// SQLite has to try another order.
    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        let mut given = vec![None; self.source.parameters];
        let mut waits = vec![false; self.source.parameters];
        for (index, constraint) in info.constraints().enumerate() {
            let column = usize::try_from(constraint.column()).ok();
            let parameter = column.and_then(|c| c.checked_sub(self.source.columns.len()));
            let Some(parameter) = parameter.filter(|p| *p < self.source.parameters) else {
                continue;
            };
            if constraint.operator() != IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ {
                continue;
            }
            match constraint.is_usable() {
                true => _ = given[parameter].get_or_insert(index),
                false => waits[parameter] = true,
            }
        }
        if given
            .iter()
            .zip(&waits)
            .any(|(given, waits)| given.is_none() && *waits)
        {
            return Ok(false);
        }
        let count = given.iter().flatten().count();
        for (number, index) in (1..).zip(given.iter().flatten()) {
            let mut usage = info.constraint_usage(*index);
            usage.set_argv_index(number);
            usage.set_omit(true);
        }
        info.set_idx_num(c_int::try_from(count).unwrap_or(c_int::MAX));
        info.set_estimated_cost(1e4);
        info.set_estimated_rows(1_000);
        Ok(true)
    }

    fn open(&mut self) -> rusqlite::Result<Cursor> {
        Ok(Cursor {
            base: sqlite3_vtab_cursor::default(),
            source: Arc::clone(&self.source),
            arguments: Vec::new(),
            rows: None,
            row: None,
            number: 0,
        })
    }
}

// SAFETY: the struct is `repr(C)` and its first field is the base that SQLite expects.
unsafe impl VTabCursor for Cursor {
    fn filter(
        &mut self,
        given: c_int,
        _: Option<&str>,
        arguments: &Filters<'_>,
    ) -> rusqlite::Result<()> {
        let core = self.core()?;
        self.close(&core);
        let function = &self.source.function;
        let values = arguments
            .iter()
            .map(|value| argument(&core, function, value))
            .collect::<rusqlite::Result<Vec<Value>>>()?;
        self.arguments = arguments.iter().map(owned).collect();
        self.number = 0;
        // Fewer arguments than parameters: which ones they are does not matter then.
        debug_assert_eq!(usize::try_from(given), Ok(values.len()));
        self.rows = core
            .open_rows(function, &self.source.columns, values)
            .map_err(|error| user_error(error.message()))?;
        self.advance(&core)
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.number += 1;
        let core = self.core()?;
        self.advance(&core)
    }

    fn eof(&self) -> bool {
        self.row.is_none()
    }

    fn column(&self, context: &mut Context, column: c_int) -> rusqlite::Result<()> {
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        let columns = &self.source.columns;
        match (columns.get(column), &self.row) {
            (Some(declared), Some(row)) => {
                let value = row.get(column).cloned().unwrap_or(Value::Null);
                context.set_result(value.into_sqlite(declared.sql_type))
            }
            (None, _) => match self.arguments.get(column - columns.len()) {
                Some(argument) => context.set_result(argument),
                None => context.set_result(Null),
            },
            (Some(_), None) => context.set_result(Null),
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self.number)
    }
}

impl Cursor {
    fn core(&self) -> rusqlite::Result<Arc<SessionCore>> {
        let core = self.source.core.upgrade();
        core.ok_or_else(|| user_error("the session is closed"))
    }

    fn advance(&mut self, core: &Arc<SessionCore>) -> rusqlite::Result<()> {
        self.row = match &mut self.rows {
            None => None,
            Some(rows) => core
                .next_row(&self.source.function, rows)
                .map_err(|error| user_error(error.message()))?,
        };
        Ok(())
    }

    fn close(&mut self, core: &Arc<SessionCore>) {
        self.row = None;
        if let Some(rows) = self.rows.take() {
            core.close_rows(&self.source.function, rows);
        }
    }
}

/// SQLite wants no more rows: after a LIMIT, for one.
impl Drop for Cursor {
    fn drop(&mut self) {
        if let Some(core) = self.source.core.upgrade() {
            self.close(&core);
        }
    }
}

fn owned(value: ValueRef<'_>) -> Sqlite {
    match value {
        ValueRef::Null => Sqlite::Null,
        ValueRef::Integer(n) => Sqlite::Integer(n),
        ValueRef::Real(x) => Sqlite::Real(x),
        ValueRef::Text(text) => Sqlite::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Sqlite::Blob(bytes.to_vec()),
    }
}
