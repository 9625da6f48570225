//! The views of schema `heliosdb` but for the log: the catalog and the limits as tables
//! that SQL can read, and what the log says of grants. Read-only; what they show is the moment at which the scan began.
//! `rows.rs` has what they show.
#![expect(
    unsafe_code,
    reason = "rusqlite's traits for virtual tables are unsafe to implement"
)]

mod rows;
mod unused;

use crate::audit::Log;
use crate::catalog::Catalog;
use rows::{VIEWS, View};
use rusqlite::ffi::{sqlite3_vtab, sqlite3_vtab_cursor};
use rusqlite::types::Value;
use rusqlite::vtab::{
    Context, CreateVTab, Filters, IndexInfo, Module, VTab, VTabConfig, VTabConnection, VTabCursor,
    VTabKind,
};
use rusqlite::{Connection, Result};
use std::borrow::Cow;
use std::ffi::{CStr, c_int};
use std::sync::Arc;

/// Attaches the schema `heliosdb` and makes its views.
pub(crate) fn attach(
    connection: &Connection,
    catalog: &Arc<Catalog>,
    log: &Arc<Log>,
) -> Result<()> {
    const MODULE: Module<'_, Table> = Module::read_only_module();
    connection.execute_batch("ATTACH ':memory:' AS heliosdb")?;
    for view in &VIEWS {
        let (module, name) = (format!("perihelion_{}", view.name), view.name);
        let aux = (view, Arc::clone(catalog), Arc::clone(log));
        connection.create_module(module.as_str(), &MODULE, Some(aux))?;
        connection.execute_batch(&format!(
            "CREATE VIRTUAL TABLE heliosdb.{name} USING {module}"
        ))?;
    }
    // Makes the tables of statistics, which a client's bare ANALYZE finds then: it would
    // have to change the schema to make them.
    connection.execute_batch("ANALYZE heliosdb")
}

#[repr(C)]
struct Table {
    base: sqlite3_vtab,
    view: &'static View,
    catalog: Arc<Catalog>,
    log: Arc<Log>,
}

#[repr(C)]
struct Cursor {
    base: sqlite3_vtab_cursor,
    view: &'static View,
    catalog: Arc<Catalog>,
    log: Arc<Log>,
    rows: Vec<Vec<Value>>,
    row: usize,
}

// SAFETY: the struct is `repr(C)` and its first field is the base that SQLite expects.
unsafe impl VTab<'_> for Table {
    type Aux = (&'static View, Arc<Catalog>, Arc<Log>);
    type Cursor = Cursor;

    fn connect(
        connection: &mut VTabConnection,
        aux: Option<&Self::Aux>,
        _module: &[u8],
        schema: &[u8],
        _table: &[u8],
        _arguments: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Table)> {
        // Under another schema it would escape the rules for the reserved one.
        let (view, catalog, log) = aux.filter(|_| schema == b"heliosdb").ok_or_else(|| {
            rusqlite::Error::ModuleError("the catalog's views are in schema heliosdb".to_string())
        })?;
        connection.config(VTabConfig::DirectOnly)?;
        let table = Table {
            base: sqlite3_vtab::default(),
            view,
            catalog: Arc::clone(catalog),
            log: Arc::clone(log),
        };
        Ok((Cow::Borrowed(view.declaration), table))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        info.set_estimated_cost(1e4);
        Ok(true)
    }

    fn open(&mut self) -> Result<Cursor> {
        Ok(Cursor {
            base: sqlite3_vtab_cursor::default(),
            view: self.view,
            catalog: Arc::clone(&self.catalog),
            log: Arc::clone(&self.log),
            rows: Vec::new(),
            row: 0,
        })
    }
}

impl CreateVTab<'_> for Table {
    const KIND: VTabKind = VTabKind::Default;
}

// SAFETY: the struct is `repr(C)` and its first field is the base that SQLite expects.
unsafe impl VTabCursor for Cursor {
    fn filter(&mut self, _: c_int, _: Option<&str>, _: &Filters<'_>) -> Result<()> {
        self.rows = (self.view.rows)(&self.catalog, &self.log)
            .map_err(|error| rusqlite::Error::ModuleError(error.message().to_string()))?;
        self.row = 0;
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        self.row += 1;
        Ok(())
    }

    fn eof(&self) -> bool {
        self.row >= self.rows.len()
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let row = self.rows.get(self.row).map_or(&[][..], Vec::as_slice);
        match usize::try_from(column)
            .ok()
            .and_then(|column| row.get(column))
        {
            Some(value) => context.set_result(value),
            None => context.set_result(rusqlite::types::Null),
        }
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.row as i64)
    }
}
