//! A function that returns a table: its rows are taken from the guest a batch at a time,
//! so that the host holds few of them and a table may have no end.

use super::{Ending, Guest, Running, from_wit, to_wit, unexplained};
use crate::bindings::JavascriptEngine;
use crate::bindings::exports::heliosdb::host::javascript as wit;
use crate::component::{self, convert};
use crate::drive::drive;
use crate::error::{Error, Result, SqlState};
use crate::guard::Guard;
use crate::limits::{Exceeded, Limit, RESULT_BYTES_MAX};
use crate::signature::{Column, WitType};
use crate::types::{SqlType, Value};
use std::vec::IntoIter;
use wasmtime::component::{Func, ResourceAny, Val};

/// A table whose rows are being taken.
pub(crate) struct Rows {
    source: Source,
    /// Those that the host holds.
    ready: IntoIter<Vec<Value>>,
    ready_bytes: usize,
    /// How many to ask for next.
    batch_rows: u32,
}

/// Where the next rows come from.
enum Source {
    /// There are no more.
    End,
    /// The number by which the JavaScript engine knows the table.
    JavaScript(u32),
    /// A resource of the component's.
    Resource(ResourceAny),
}

/// The first batch. A query with a LIMIT may need no other.
const FIRST_BATCH_ROWS: u32 = 16;
const BATCH_ROWS_MAX: u32 = 256;

/// What the host needs for each value besides its text or bytes.
const VALUE_BYTES: usize = 40;

impl Running {
    /// Calls the function, which returns a table.
    pub(crate) fn open_rows(&mut self, arguments: &[Value]) -> Result<Rows> {
        self.begin_invocation();
        self.with_guest(|running, guest| match guest {
            Guest::None => Err(Ending::Error(unexplained())),
            Guest::JavaScript(engine) => running.open_javascript(engine, arguments),
            Guest::Component(exports) => running.open_component(&exports.function, arguments),
        })
        .and_then(|rows| {
            self.open_tables += 1;
            self.end_batch(&rows.source)?;
            Ok(rows)
        })
    }

    /// Transactions last until rows are handed over: others work before it goes on. What
    /// else the guest left open is for the next rows, as long as one of its tables is open.
    fn end_batch(&mut self, source: &Source) -> Result<()> {
        if matches!(source, Source::End) {
            self.open_tables = self.open_tables.saturating_sub(1);
        }
        let execution = self.store.data_mut();
        let ended = match self.open_tables {
            0 => execution.end_invocation(),
            _ => execution.end_transactions(),
        };
        self.with_guest(|running, _| ended.map_err(|trap| running.trapped(&trap)))
    }

    /// The next row, unless there are no more. After an error the instance is gone.
    pub(crate) fn next_row(&mut self, rows: &mut Rows) -> Result<Option<Vec<Value>>> {
        loop {
            if let Some(row) = rows.ready.next() {
                return Ok(Some(row));
            }
            if matches!(rows.source, Source::End) {
                return Ok(None);
            }
            self.fetch(rows)?;
        }
    }

    /// Tells the guest that no more rows are wanted.
    pub(crate) fn close_rows(&mut self, mut rows: Rows) -> Result<()> {
        self.hold(&mut rows, Vec::new(), 0);
        if matches!(rows.source, Source::End) {
            return Ok(());
        }
        self.meter.begin_waiting();
        self.with_guest(|running, guest| match (rows.source, guest) {
            (Source::JavaScript(table), Guest::JavaScript(engine)) => {
                let store = &mut running.store;
                let interface = engine.heliosdb_host_javascript();
                let closed = drive(interface.call_close_rows(store, table), &running.meter);
                let closed = running.settle(closed)?;
                closed.map_err(|exception| Ending::Error(running.thrown(&exception)))
            }
            (Source::Resource(resource), _) => running.drop_resource(resource),
            _ => Ok(()),
        })?;
        self.end_batch(&Source::End)
    }

    fn fetch(&mut self, rows: &mut Rows) -> Result<()> {
        self.hold(rows, Vec::new(), 0);
        self.meter.begin_waiting();
        let most = rows.batch_rows;
        rows.batch_rows = (most * 4).min(BATCH_ROWS_MAX);
        let source = std::mem::replace(&mut rows.source, Source::End);
        let (batch, source) = self.with_guest(|running, guest| match (source, guest) {
            (Source::JavaScript(table), Guest::JavaScript(engine)) => {
                running.fetch_javascript(engine, table, most)
            }
            (Source::Resource(resource), Guest::Component(exports)) => {
                let next = exports.next.ok_or(Ending::Error(unexplained()))?;
                running.fetch_resource(&next, resource, most)
            }
            _ => Err(Ending::Error(unexplained())),
        })?;
        rows.source = source;
        self.end_batch(&rows.source)?;
        self.keep(rows, batch)
    }

    fn open_javascript(
        &mut self,
        engine: &JavascriptEngine,
        arguments: &[Value],
    ) -> Result<Rows, Ending> {
        let arguments: Vec<_> = arguments.iter().map(to_wit).collect();
        let column = |column: &Column| wit::Column {
            name: column.name.clone(),
            as_json: column.sql_type == SqlType::Json,
        };
        let columns: Vec<wit::Column> = self.columns().iter().map(column).collect();
        let interface = engine.heliosdb_host_javascript();
        let opening = interface.call_open_rows(&mut self.store, &arguments, &columns);
        let opened = drive(opening, &self.meter);
        match self.settle(opened)? {
            Ok(table) => Ok(Rows::of(Source::JavaScript(table))),
            Err(exception) => Err(Ending::Error(self.thrown(&exception))),
        }
    }

    fn fetch_javascript(
        &mut self,
        engine: &JavascriptEngine,
        table: u32,
        most: u32,
    ) -> Result<(Vec<Vec<Value>>, Source), Ending> {
        let interface = engine.heliosdb_host_javascript();
        let fetching = interface.call_fetch_rows(&mut self.store, table, most);
        let fetched = drive(fetching, &self.meter);
        let batch = match self.settle(fetched)? {
            Ok(batch) => batch,
            Err(exception) => return Err(Ending::Error(self.thrown(&exception))),
        };
        let row = |row: Vec<_>| row.into_iter().map(from_wit).collect();
        let source = match batch.done {
            true => Source::End,
            false => Source::JavaScript(table),
        };
        Ok((batch.rows.into_iter().map(row).collect(), source))
    }

    fn open_component(&mut self, function: &Func, arguments: &[Value]) -> Result<Rows, Ending> {
        let (val, ty) = self.call_for_val(function, arguments)?;
        let (val, ty) = self.succeeded(val, &ty)?;
        if let (Val::Resource(resource), WitType::Rows { .. }) = (&val, &ty) {
            return Ok(Rows::of(Source::Resource(*resource)));
        }
        let batch = self.component_rows(val, &ty)?;
        let mut rows = Rows::of(Source::End);
        self.keep(&mut rows, batch).map_err(Ending::Error)?;
        Ok(rows)
    }

    fn fetch_resource(
        &mut self,
        next: &Func,
        resource: ResourceAny,
        most: u32,
    ) -> Result<(Vec<Vec<Value>>, Source), Ending> {
        let Some(WitType::Rows { batch: ty, .. }) = self.rows_type() else {
            return Err(Ending::Error(unexplained()));
        };
        let arguments = [Val::Resource(resource), Val::U32(most)];
        let mut results = [Val::Bool(false)];
        let calling = next.call_async(&mut self.store, &arguments, &mut results);
        let called = drive(calling, &self.meter);
        self.settle(called)?;
        let [val] = results;
        let (val, ty) = self.succeeded(val, &ty)?;
        let batch = self.component_rows(val, &ty)?;
        if !batch.is_empty() {
            return Ok((batch, Source::Resource(resource)));
        }
        self.drop_resource(resource)?;
        Ok((batch, Source::End))
    }

    fn drop_resource(&mut self, resource: ResourceAny) -> Result<(), Ending> {
        let dropped = drive(resource.resource_drop_async(&mut self.store), &self.meter);
        self.settle(dropped)
    }

    /// The value inside a `result`; an error of the guest is an error of the call.
    fn succeeded(&self, val: Val, ty: &WitType) -> Result<(Val, WitType), Ending> {
        match (ty, val) {
            (WitType::Result { ok: Some(ok), .. }, Val::Result(Ok(Some(val)))) => {
                Ok((*val, WitType::clone(ok)))
            }
            (WitType::Result { .. }, Val::Result(Err(val))) => {
                let error_type = component::error_type(Some(ty));
                let error = self.returned_error(val.as_deref(), error_type);
                Err(Ending::Error(error))
            }
            (ty, val) => Ok((val, ty.clone())),
        }
    }

    /// A list of records, or one.
    fn component_rows(&self, val: Val, ty: &WitType) -> Result<Vec<Vec<Value>>, Ending> {
        let Some(fields) = ty.row() else {
            return Err(Ending::Error(unexplained()));
        };
        let records = match val {
            Val::List(records) => records,
            record => vec![record],
        };
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            let Val::Record(values) = record else {
                return Err(Ending::Error(unexplained()));
            };
            let values = values.into_iter().zip(fields);
            let row = values.map(|((_, val), (_, ty))| convert::lift(val, ty, &self.meter));
            let row = row.collect::<Result<Vec<Value>>>();
            rows.push(row.map_err(|error| match self.meter.ended() {
                Some(stop) => self.stopped(stop),
                None => Ending::Error(error),
            })?);
        }
        Ok(rows)
    }

    /// Takes a batch into the host, with values of the columns' types.
    fn keep(&mut self, rows: &mut Rows, batch: Vec<Vec<Value>>) -> Result<()> {
        let mut bytes = 0;
        let mut kept = Vec::with_capacity(batch.len());
        for row in batch {
            let row = self.coerced(row)?;
            bytes += row
                .iter()
                .map(|value| VALUE_BYTES + value.bytes())
                .sum::<usize>();
            kept.push(row);
        }
        self.hold(rows, kept, bytes);
        let guards = self.store.data().session.guards();
        if self.rows_bytes <= RESULT_BYTES_MAX || !guards.holds(Guard::ResultBytes) {
            return Ok(());
        }
        self.guest = Guest::None;
        Err(self.explain(Ending::Limit(Exceeded {
            limit: Limit::ResultBytes,
            allowed: RESULT_BYTES_MAX as u64,
            observed: Some(self.rows_bytes as u64),
        })))
    }

    fn hold(&mut self, rows: &mut Rows, ready: Vec<Vec<Value>>, bytes: usize) {
        self.rows_bytes = self.rows_bytes - rows.ready_bytes + bytes;
        rows.ready_bytes = bytes;
        rows.ready = ready.into_iter();
    }

    fn coerced(&self, row: Vec<Value>) -> Result<Vec<Value>> {
        let (columns, function) = (self.columns(), &self.function.name);
        if row.len() != columns.len() {
            let message = format!("function \"{function}\" gave another number of columns");
            return Err(Error::new(SqlState::WRONG_TYPE, message));
        }
        let values = row.into_iter().zip(columns);
        values
            .map(|(value, column)| {
                value.coerce(column.sql_type).map_err(|error| {
                    error.with_detail(format!(
                        "column \"{}\" of function \"{function}\"",
                        column.name
                    ))
                })
            })
            .collect()
    }

    fn columns(&self) -> &[Column] {
        self.function.signature.table.as_deref().unwrap_or_default()
    }

    fn rows_type(&self) -> Option<WitType> {
        match self.function.signature.result.as_ref()? {
            WitType::Result { ok: Some(ok), .. } => Some(WitType::clone(ok)),
            other => Some(other.clone()),
        }
    }
}

impl Rows {
    fn of(source: Source) -> Rows {
        Rows {
            source,
            ready: Vec::new().into_iter(),
            ready_bytes: 0,
            batch_rows: FIRST_BATCH_ROWS,
        }
    }
}
