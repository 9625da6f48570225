//! The SQL view of the log: the read-only virtual table `heliosdb.audit_log` of a
//! SQLite connection. Who may read it is decided elsewhere; nobody can write it.

use super::entry::Entry;
use super::{Entries, Log};
use rusqlite::ffi::{sqlite3_vtab, sqlite3_vtab_cursor};
use rusqlite::types::ValueRef;
use rusqlite::vtab::{
    Context, CreateVTab, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConfig,
    VTabConnection, VTabCursor, VTabKind,
};
use rusqlite::{Connection, Error, Result};
use std::borrow::Cow;
use std::ffi::{CStr, c_int};
use std::sync::Arc;

const MODULE: &CStr = c"perihelion_audit_log";
const SCHEMA_NAME: &[u8] = b"heliosdb";
const TABLE_NAME: &[u8] = b"audit_log";
const COLUMNS: &CStr = c"CREATE TABLE audit_log (
    seq INTEGER, timestamp TEXT, execution_id TEXT, function_name TEXT,
    function_version INTEGER, caller TEXT, event_type TEXT, capability TEXT, target TEXT,
    allowed INTEGER, detail TEXT, prev_hash TEXT, hash TEXT, text TEXT HIDDEN)";
const SEQ: c_int = 0;
const ROWID: c_int = -1;

/// How a query is run: `best_index` chooses, `filter` is told.
const PLAN_FROM: c_int = 1;
const PLAN_ONE: c_int = 2;

/// Makes `heliosdb.audit_log` in a connection that has attached a schema `heliosdb`.
pub(crate) fn register(connection: &Connection, log: Arc<Log>) -> Result<()> {
    const TABLE: Module<'_, Table> = Module::read_only_module();
    connection.create_module(MODULE, &TABLE, Some(log))?;
    connection.execute_batch("CREATE VIRTUAL TABLE heliosdb.audit_log USING perihelion_audit_log")
}

#[repr(C)]
struct Table {
    base: sqlite3_vtab,
    log: Arc<Log>,
}

#[repr(C)]
struct Cursor {
    base: sqlite3_vtab_cursor,
    log: Arc<Log>,
    entries: Option<Entries>,
    entry: Option<Entry>,
    last_seq: u64,
}

#[expect(
    unsafe_code,
    reason = "the trait is unsafe because SQLite casts to its first field"
)]
// SAFETY: the struct is `repr(C)` and its first field is the base that SQLite expects.
unsafe impl VTab<'_> for Table {
    type Aux = Arc<Log>;
    type Cursor = Cursor;

    fn connect(
        connection: &mut VTabConnection,
        log: Option<&Arc<Log>>,
        _module: &[u8],
        schema: &[u8],
        table: &[u8],
        _arguments: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Table)> {
        // Under another name it would escape the rules for the reserved one.
        let log = log.filter(|_| schema == SCHEMA_NAME && table == TABLE_NAME);
        let log = log.ok_or_else(|| failure("the audit log has one table, heliosdb.audit_log"))?;
        // No stored view or trigger reads it: a database file may come from anywhere.
        connection.config(VTabConfig::DirectOnly)?;
        let base = sqlite3_vtab::default();
        Ok((
            Cow::Borrowed(COLUMNS),
            Table {
                base,
                log: Arc::clone(log),
            },
        ))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let bound = seq_bound(info);
        if let Some((index, plan)) = bound {
            // SQLite checks the condition again, which makes any type of value right.
            info.constraint_usage(index).set_argv_index(1);
            info.set_idx_num(plan);
        }
        info.set_estimated_cost(match bound {
            Some((_, PLAN_ONE)) => 1e4,
            Some(_) => 1e5,
            None => 1e6,
        });
        Ok(true)
    }

    fn open(&mut self) -> Result<Cursor> {
        Ok(Cursor {
            base: sqlite3_vtab_cursor::default(),
            log: Arc::clone(&self.log),
            entries: None,
            entry: None,
            last_seq: u64::MAX,
        })
    }
}

impl CreateVTab<'_> for Table {
    const KIND: VTabKind = VTabKind::Default;
}

#[expect(
    unsafe_code,
    reason = "the trait is unsafe because SQLite casts to its first field"
)]
// SAFETY: the struct is `repr(C)` and its first field is the base that SQLite expects.
unsafe impl VTabCursor for Cursor {
    fn filter(&mut self, plan: c_int, _: Option<&str>, bounds: &Filters<'_>) -> Result<()> {
        let bound = match bounds.iter().next() {
            Some(ValueRef::Integer(bound)) => u64::try_from(bound).ok(),
            _ => None,
        };
        let from_seq = bound.unwrap_or(0);
        self.last_seq = bound.filter(|_| plan == PLAN_ONE).unwrap_or(u64::MAX);
        self.entries = Some(self.log.entries(from_seq).map_err(failure)?);
        self.next()
    }

    fn next(&mut self) -> Result<()> {
        let entry = self.entries.as_mut().and_then(Iterator::next).transpose();
        self.entry = entry
            .map_err(failure)?
            .filter(|entry| entry.seq <= self.last_seq);
        Ok(())
    }

    fn eof(&self) -> bool {
        self.entry.is_none()
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let Some(entry) = &self.entry else {
            return Err(failure("the audit log has no row here"));
        };
        match column {
            SEQ => context.set_result(entry.seq as i64),
            1 => context.set_result(timestamp_text(entry.timestamp)),
            2 => context.set_result(entry.execution_id.as_str()),
            3 => context.set_result(entry.function_name.as_str()),
            4 => context.set_result(entry.function_version.map(|version| version as i64)),
            5 => context.set_result(entry.caller.as_str()),
            6 => context.set_result(entry.event_type.name()),
            7 => context.set_result(entry.capability.as_deref()),
            8 => context.set_result(entry.target.as_deref()),
            9 => context.set_result(entry.allowed),
            10 => context.set_result(entry.detail.as_deref()),
            11 => context.set_result(hex(entry.prev_hash)),
            12 => context.set_result(hex(entry.hash)),
            _ => context.set_result(entry.text()),
        }
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.entry.as_ref().map_or(0, |entry| entry.seq as i64))
    }
}

/// The condition that says where to begin, and the plan for it.
fn seq_bound(info: &IndexInfo) -> Option<(usize, c_int)> {
    let plans = info
        .constraints()
        .enumerate()
        .filter_map(|(index, constraint)| {
            let on_seq = matches!(constraint.column(), SEQ | ROWID) && constraint.is_usable();
            match constraint.operator() {
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ if on_seq => Some((index, PLAN_ONE)),
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GT
                | IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GE
                    if on_seq =>
                {
                    Some((index, PLAN_FROM))
                }
                _ => None,
            }
        });
    plans.max_by_key(|(_, plan)| *plan)
}

/// A time as every view of the log shows it.
pub(crate) fn timestamp_text(timestamp: i64) -> String {
    match jiff::Timestamp::from_microsecond(timestamp) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string(),
        // Only a log that was made by hand holds a time beyond the year 9999.
        Err(_) => timestamp.to_string(),
    }
}

fn hex(hash: [u8; 32]) -> String {
    blake3::Hash::from_bytes(hash).to_string()
}

fn failure(cause: impl std::fmt::Display) -> Error {
    Error::ModuleError(cause.to_string())
}
