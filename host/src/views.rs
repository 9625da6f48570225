//! The views `heliosdb.functions` and `heliosdb.grants`: the catalog as tables that
//! SQL can read. Read-only; what they show is the moment at which the scan began.
#![expect(
    unsafe_code,
    reason = "rusqlite's traits for virtual tables are unsafe to implement"
)]

use crate::catalog::{Catalog, Side};
use crate::function::Function;
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

/// Attaches the schema `heliosdb` and makes its views of the catalog.
pub(crate) fn attach(connection: &Connection, catalog: &Arc<Catalog>) -> Result<()> {
    const MODULE: Module<'_, Table> = Module::read_only_module();
    connection.execute_batch("ATTACH ':memory:' AS heliosdb")?;
    for (module, view) in [
        (c"perihelion_functions", &FUNCTIONS),
        (c"perihelion_grants", &GRANTS),
    ] {
        connection.create_module(module, &MODULE, Some((view, Arc::clone(catalog))))?;
    }
    connection.execute_batch(
        "CREATE VIRTUAL TABLE heliosdb.functions USING perihelion_functions;
         CREATE VIRTUAL TABLE heliosdb.grants USING perihelion_grants;",
    )
}

/// One view: its declaration, and its rows of one function.
struct View {
    declaration: &'static CStr,
    rows: fn(&Function) -> Vec<Vec<Value>>,
}

static FUNCTIONS: View = View {
    declaration: c"CREATE TABLE functions (
        name TEXT, language TEXT, parameters TEXT, returns TEXT, strict INTEGER,
        version INTEGER, enabled INTEGER, content_hash TEXT)",
    rows: function_rows,
};

static GRANTS: View = View {
    declaration: c"CREATE TABLE grants (
        function_name TEXT, kind TEXT, capability TEXT, pattern TEXT)",
    rows: grant_rows,
};

fn function_rows(function: &Function) -> Vec<Vec<Value>> {
    let signature = function.signature.to_string();
    let parameters = signature
        .split(") RETURNS")
        .next()
        .unwrap_or("")
        .trim_start_matches('(');
    vec![vec![
        Value::Text(function.name.clone()),
        Value::Text(function.language().to_string()),
        Value::Text(parameters.to_string()),
        Value::Text(function.signature.returns.name().to_string()),
        Value::Integer(function.strict.into()),
        Value::Integer(function.version as i64),
        Value::Integer(function.enabled.into()),
        Value::Text(
            blake3::Hash::from_bytes(function.content_hash())
                .to_hex()
                .to_string(),
        ),
    ]]
}

fn grant_rows(function: &Function) -> Vec<Vec<Value>> {
    let authority = &function.authority;
    let sides = [
        (Side::Grant, &authority.grants),
        (Side::Deny, &authority.denials),
    ];
    sides
        .into_iter()
        .flat_map(|(side, grants)| grants.iter().map(move |grant| (side, grant)))
        .map(|(side, grant)| {
            vec![
                Value::Text(function.name.clone()),
                Value::Text(side.as_str().to_string()),
                Value::Text(grant.capability().name().to_string()),
                grant
                    .pattern()
                    .map_or(Value::Null, |pattern| Value::Text(pattern.to_string())),
            ]
        })
        .collect()
}

#[repr(C)]
struct Table {
    base: sqlite3_vtab,
    view: &'static View,
    catalog: Arc<Catalog>,
}

#[repr(C)]
struct Cursor {
    base: sqlite3_vtab_cursor,
    view: &'static View,
    catalog: Arc<Catalog>,
    rows: Vec<Vec<Value>>,
    row: usize,
}

// SAFETY: the struct is `repr(C)` and its first field is the base that SQLite expects.
unsafe impl VTab<'_> for Table {
    type Aux = (&'static View, Arc<Catalog>);
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
        let (view, catalog) = aux.filter(|_| schema == b"heliosdb").ok_or_else(|| {
            rusqlite::Error::ModuleError("the catalog's views are in schema heliosdb".to_string())
        })?;
        connection.config(VTabConfig::DirectOnly)?;
        let table = Table {
            base: sqlite3_vtab::default(),
            view,
            catalog: Arc::clone(catalog),
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
        let rows = self.view.rows;
        self.rows = self
            .catalog
            .functions()
            .iter()
            .flat_map(|f| rows(f))
            .collect();
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
