//! The session's SQLite connection: guests' statements, prepared once and checked
//! before every run, and the unit that a call's writes are.
//!
//! A statement is run only with the [`Permit`]s of all that it touches.

use super::access::{Access, Forbidden, Gate};
use super::comparing;
use super::failure::client_error;
use super::grant::Permit;
use super::sqlite::{Bound, Column, Failure, Handle, Statement};
use super::typed::Kind;
use crate::bindings::heliosdb::host::types as wit;
use crate::error::Result;
use crate::execution::meter::Meter;
use crate::execution::record::StatementSummary;
use crate::guard::{Guard, Guards};
use crate::limits::{Exceeded, Limit, RESULT_BYTES_MAX};
use rusqlite::ffi;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A connection as guests and the session share it.
pub(crate) struct Database {
    pub(super) guards: Guards,
    pub(crate) handle: Handle,
    pub(crate) gate: Arc<Gate>,
    /// Whose limits a running statement obeys.
    pub(crate) deadline: Arc<Deadline>,
    prepared: Mutex<Prepared>,
    unit: Mutex<Unit>,
}

/// The meter of the guest that waits for SQLite, if one does.
#[derive(Default)]
pub(crate) struct Deadline(Mutex<Option<Arc<Meter>>>);

/// A guest's statement with what it touches.
pub(crate) struct Checked {
    pub(crate) statement: Statement,
    /// What its program takes, in bytes.
    pub(crate) program_bytes: usize,
    /// The longest text or blob that it may make.
    pub(crate) value_bytes_max: i32,
    /// What the values of each column are.
    pub(crate) kinds: Box<[Kind]>,
    pub(crate) summary: Arc<StatementSummary>,
    /// Each capability and target that it needs, with the proof that it is granted.
    pub(crate) permits: Vec<(&'static str, Arc<str>, Permit)>,
}

/// Statements that are ready to run again, by the key of the authority that they were
/// checked under: a changed grant finds none of them. One that runs leaves its place.
#[derive(Default)]
struct Prepared {
    by_authority: HashMap<u64, HashMap<String, Option<Checked>>>,
    count: usize,
}

/// Statements kept for a connection.
const PREPARED_MAX: usize = 256;

/// The largest statement that is kept, with its text, in bytes.
const PREPARED_BYTES_MAX: usize = 64 << 10;

/// The unit of a call's writes: a transaction of its own, or a savepoint in the
/// client's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Unit {
    #[default]
    None,
    Transaction,
    Savepoint,
}

/// How long a client's own statement waits for a lock.
const CLIENT_LOCK_WAIT: Duration = Duration::from_secs(10);

/// Between two looks at the clocks: virtual-machine instructions of SQLite. One of
/// them may call a function on the longest text there is.
const PROGRESS_INSTRUCTIONS: i32 = 1_000;

/// The longest text or blob that a guest's statement may make.
pub(super) const GUEST_VALUE_BYTES_MAX: i32 = 16 << 20;

/// The shortest such bound, for the longest program.
const GUEST_VALUE_BYTES_MIN: usize = 64 << 10;

/// What all values of a guest's program may have together. It bounds time, not memory:
/// a function like `length` reads its argument, allocates nothing, and SQLite looks at
/// the clocks between rows only.
const GUEST_ROW_BYTES_MAX: usize = 1 << 30;

/// The longest pattern of a guest's LIKE, in bytes.
const GUEST_PATTERN_BYTES_MAX: i32 = 100;

/// The longest program of a guest's statement, in steps.
const GUEST_PROGRAM_STEPS_MAX: i32 = 25_000;

/// What a name in a statement stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TableKind {
    Ordinary,
    View,
    /// A virtual table, or one of the tables in which a virtual table keeps its data:
    /// SQLite does not protect those from a statement within a statement.
    Virtual,
    /// A function that gives rows, and reads its arguments only: `json_each`.
    RowFunction,
}

impl Deadline {
    fn set(&self, meter: Option<Arc<Meter>>) -> Option<Arc<Meter>> {
        std::mem::replace(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            meter,
        )
    }

    /// The meter of the guest that waits.
    pub(crate) fn meter(&self) -> Option<Arc<Meter>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether the running statement must end.
    pub(super) fn is_over(&self) -> bool {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(meter) => meter.check().is_err(),
            None => false,
        }
    }

    /// Whether a guest waits for the running statement.
    pub(super) fn is_set(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

impl Database {
    /// Takes charge of a connection: its authorizer, its interrupts, its lock waits.
    pub(crate) fn new(
        connection: &mut rusqlite::Connection,
        guards: Guards,
    ) -> rusqlite::Result<Database> {
        let gate = Arc::new(Gate::new(guards));
        gate.install(connection)?;
        let deadline = Arc::new(Deadline::default());
        let progress = Arc::clone(&deadline);
        let looks = guards.holds(Guard::StatementClock);
        connection.progress_handler(
            PROGRESS_INSTRUCTIONS,
            Some(move || looks && progress.is_over()),
        )?;
        comparing::bound(connection, &deadline, guards)?;
        let waiting = Arc::clone(&deadline);
        connection.busy_handler(Some(move |attempt| {
            wait_for_lock(&waiting, attempt, guards)
        }))?;
        Ok(Database {
            guards,
            handle: Handle::new(connection),
            gate,
            deadline,
            prepared: Mutex::default(),
            unit: Mutex::default(),
        })
    }

    /// Ends every use of the connection, which is about to be closed.
    pub(crate) fn close(&self) {
        *self.lock_prepared() = Prepared::default();
        self.handle.close();
    }

    /// A statement that was checked under this authority.
    pub(crate) fn take_prepared(&self, authority_key: u64, sql: &str) -> Option<Checked> {
        let mut prepared = self.lock_prepared();
        let statements = prepared.by_authority.get_mut(&authority_key)?;
        statements.get_mut(sql)?.take()
    }

    /// Keeps a statement for its next run, unless it is a large one: what is kept outlives
    /// the execution that pays for it.
    pub(crate) fn keep_prepared(&self, authority_key: u64, sql: &str, checked: Checked) {
        if checked.program_bytes > PREPARED_BYTES_MAX {
            return;
        }
        let mut prepared = self.lock_prepared();
        let known = prepared.by_authority.get_mut(&authority_key);
        if let Some(place) = known.and_then(|statements| statements.get_mut(sql)) {
            *place = Some(checked);
            return;
        }
        if prepared.count >= PREPARED_MAX {
            // Rare enough that forgetting all of them is as good as choosing one.
            *prepared = Prepared::default();
        }
        let statements = prepared.by_authority.entry(authority_key).or_default();
        statements.insert(sql.to_string(), Some(checked));
        prepared.count += 1;
    }

    /// Works under a guest's limits: SQLite gives up when they are reached.
    pub(crate) fn within<R>(&self, meter: &Arc<Meter>, work: impl FnOnce() -> R) -> R {
        let before = self.deadline.set(Some(Arc::clone(meter)));
        let result = work();
        self.deadline.set(before);
        result
    }

    /// Whether the client has a transaction open, or a call's unit is.
    pub(crate) fn in_transaction(&self) -> bool {
        !self.handle.is_autocommit()
    }

    /// Begins the unit of a guest's work, if it has not begun, under the guest's limits.
    pub(crate) fn begin_unit_within(&self, meter: &Arc<Meter>, writes: bool) -> Result<()> {
        if *self.unit.lock().unwrap_or_else(PoisonError::into_inner) != Unit::None {
            return Ok(());
        }
        self.within(meter, || self.begin_unit(writes))
    }

    /// Begins the unit of a call's work, if it has not begun.
    pub(crate) fn begin_unit(&self, writes: bool) -> Result<()> {
        let mut unit = self.unit.lock().unwrap_or_else(PoisonError::into_inner);
        if *unit != Unit::None {
            return Ok(());
        }
        let (next, sql) = match (self.handle.is_autocommit(), writes) {
            (false, _) => (Unit::Savepoint, "SAVEPOINT heliosdb_call"),
            (true, true) => (Unit::Transaction, "BEGIN IMMEDIATE"),
            (true, false) => (Unit::Transaction, "BEGIN"),
        };
        self.run_host(sql)?;
        *unit = next;
        Ok(())
    }

    /// Makes the unit's writes permanent, as far as the client's transaction is.
    pub(crate) fn commit_unit(&self) -> Result<()> {
        match self.take_unit() {
            Unit::None => Ok(()),
            Unit::Transaction => self.run_host("COMMIT").inspect_err(|_| {
                // A constraint that is checked at the commit leaves it open.
                self.roll_back(&["ROLLBACK"]);
            }),
            Unit::Savepoint => self.run_host("RELEASE heliosdb_call").inspect_err(|_| {
                self.roll_back(&["ROLLBACK TO heliosdb_call", "RELEASE heliosdb_call"]);
            }),
        }
    }

    /// Undoes the unit's writes.
    pub(crate) fn roll_back_unit(&self) {
        if !self.guards.holds(Guard::RollBack) {
            let _ = self.commit_unit();
        }
        match self.take_unit() {
            Unit::None => {}
            Unit::Transaction => self.roll_back(&["ROLLBACK"]),
            Unit::Savepoint => {
                self.roll_back(&["ROLLBACK TO heliosdb_call", "RELEASE heliosdb_call"]);
            }
        }
    }

    fn take_unit(&self) -> Unit {
        std::mem::take(&mut *self.unit.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// SQLite may have rolled back by itself already, and then there is nothing to do.
    fn roll_back(&self, statements: &[&str]) {
        if self.handle.is_autocommit() {
            return;
        }
        for sql in statements {
            if let Err(error) = self.run_host(sql) {
                tracing::error!(?error, sql, "rolling back failed");
            }
        }
    }

    pub(super) fn run_host(&self, sql: &str) -> Result<()> {
        self.gate
            .as_host(|| self.handle.run(sql))
            .map_err(client_error)
    }

    /// Prepares a guest's statement. Nothing has an effect before it is run.
    pub(crate) fn prepare_guest(
        &self,
        sql: &str,
        meter: &Arc<Meter>,
    ) -> Result<(Statement, Access), GuestFailure> {
        let (prepared, mut access) =
            self.prepare_collected(meter, || self.gate.collect(|| self.handle.prepare(sql)));
        if let Some(forbidden) = access.forbidden.take() {
            // SQLite refused it over the forbidden action; the caller says so.
            return Err(GuestFailure::Forbidden(forbidden));
        }
        let statement = only_statement(prepared, self.guards)?;
        match untold(&statement, &access) {
            Some(what) if self.guards.holds(Guard::UnreportedStatements) => {
                let forbidden = Forbidden::Statement(what.to_string());
                Err(GuestFailure::Forbidden(forbidden))
            }
            _ => Ok((statement, access)),
        }
    }

    /// Prepares under a guest's limits.
    pub(super) fn prepare_collected<R>(
        &self,
        meter: &Arc<Meter>,
        prepare: impl FnOnce() -> R,
    ) -> R {
        self.limited(GUEST_VALUE_BYTES_MAX, || self.within(meter, prepare))
    }

    /// Whether a unit has begun and SQLite has rolled it back by itself: over `OR
    /// ROLLBACK`, an interrupted write, or a lack of memory.
    pub(crate) fn unit_is_lost(&self) -> bool {
        let unit = *self.unit.lock().unwrap_or_else(PoisonError::into_inner);
        unit != Unit::None && self.handle.is_autocommit()
    }

    /// Works under a guest's limits of SQLite's.
    pub(super) fn limited<R>(&self, value_bytes_max: i32, work: impl FnOnce() -> R) -> R {
        let bound = |guard, most| self.guards.bound(guard, most, i32::MAX);
        let limits = [
            (
                ffi::SQLITE_LIMIT_LENGTH,
                bound(Guard::StatementValues, value_bytes_max),
            ),
            (
                ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH,
                bound(Guard::StatementPatterns, GUEST_PATTERN_BYTES_MAX),
            ),
            (
                ffi::SQLITE_LIMIT_VDBE_OP,
                bound(Guard::StatementProgram, GUEST_PROGRAM_STEPS_MAX),
            ),
            // What another thread did would not count. A client may have asked for some.
            (ffi::SQLITE_LIMIT_WORKER_THREADS, 0),
        ];
        let before = limits.map(|(limit, value)| (limit, self.handle.set_limit(limit, value)));
        let result = work();
        for (limit, value) in before {
            self.handle.set_limit(limit, value);
        }
        result
    }

    /// What this name may stand for: the schemas that have a table of that name, in the
    /// order in which SQLite looks for it. Only without one is it a module's.
    pub(crate) fn tables_named(&self, name: &str) -> Result<Vec<(String, TableKind)>, Failure> {
        self.gate.as_host(|| {
            let (statement, _) = self.handle.prepare(
                "SELECT schema, type FROM pragma_table_list WHERE name = ?1 COLLATE NOCASE",
            )?;
            let mut tables = Vec::new();
            if let Some(mut statement) = statement {
                statement.bind(0, Bound::Text(name))?;
                while statement.step()? {
                    if let (Column::Text(schema), Column::Text(kind)) =
                        (statement.column(0), statement.column(1))
                    {
                        let schema = String::from_utf8_lossy(schema).to_ascii_lowercase();
                        let kind = match kind {
                            b"table" => TableKind::Ordinary,
                            b"view" => TableKind::View,
                            _ => TableKind::Virtual,
                        };
                        tables.push((schema, kind));
                    }
                }
            }
            let order = |(schema, _): &(String, TableKind)| match schema.as_str() {
                "temp" => 0,
                "main" => 1,
                _ => 2,
            };
            tables.sort_by_key(order);
            if tables.is_empty() && self.is_module(name)? {
                tables.push(("main".to_string(), module_kind(name)));
            }
            Ok(tables)
        })
    }

    pub(crate) fn is_module(&self, name: &str) -> Result<bool, Failure> {
        let (statement, _) = self
            .handle
            .prepare("SELECT 1 FROM pragma_module_list WHERE name = ?1 COLLATE NOCASE")?;
        match statement {
            Some(mut statement) => {
                statement.bind(0, Bound::Text(name))?;
                statement.step()
            }
            None => Ok(false),
        }
    }

    fn lock_prepared(&self) -> std::sync::MutexGuard<'_, Prepared> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest text or blob that a statement may make: the more its program can hold at
/// once, the shorter; and shorter still if each may be compared with a pattern, from
/// each of its characters on.
pub(crate) fn value_bytes_max(program_bytes: usize, access: &Access) -> i32 {
    // A register, and at least two steps of the program to fill it.
    const HELD_VALUE_BYTES: usize = 96;
    let values = (program_bytes / HELD_VALUE_BYTES).max(1);
    let has_pattern = access.functions.iter().any(|f| f == "like" || f == "glob");
    let each = if has_pattern {
        GUEST_PATTERN_BYTES_MAX as usize
    } else {
        1
    };
    let bytes = (GUEST_ROW_BYTES_MAX / values).max(GUEST_VALUE_BYTES_MIN) / each;
    i32::try_from(bytes).map_or(GUEST_VALUE_BYTES_MAX, |bytes| {
        bytes.min(GUEST_VALUE_BYTES_MAX)
    })
}

/// A module that acts as a table without having been made one.
fn module_kind(name: &str) -> TableKind {
    const ROW_FUNCTIONS: [&str; 2] = ["json_each", "json_tree"];
    match ROW_FUNCTIONS.iter().any(|f| f.eq_ignore_ascii_case(name)) {
        true => TableKind::RowFunction,
        false => TableKind::Virtual,
    }
}

/// The statement of a text that holds one.
pub(super) fn only_statement(
    prepared: Result<(Option<Statement>, &str), Failure>,
    guards: Guards,
) -> Result<Statement, GuestFailure> {
    match prepared.map_err(GuestFailure::Sqlite)? {
        (_, rest) if !is_blank(rest) && guards.holds(Guard::OneStatement) => {
            Err(GuestFailure::TwoStatements)
        }
        (Some(statement), _) => Ok(statement),
        (None, _) => Err(GuestFailure::NoStatement),
    }
}

/// What the authorizer is not told of: an EXPLAIN, and a VACUUM, which writes and names
/// no table.
fn untold(statement: &Statement, access: &Access) -> Option<&'static str> {
    if statement.is_explain() {
        Some("EXPLAIN")
    } else if !statement.is_read_only() && access.writes.is_empty() {
        Some("this statement")
    } else {
        None
    }
}

/// Why a guest's statement was not run to its end.
pub(crate) enum GuestFailure {
    Forbidden(Forbidden),
    TwoStatements,
    NoStatement,
    Sqlite(Failure),
}

pub(super) fn bind_all(statement: &mut Statement, params: &[wit::Value]) -> Result<(), Failure> {
    for (index, value) in params.iter().enumerate() {
        match value {
            wit::Value::Null => statement.bind(index, Bound::Null),
            wit::Value::Boolean(b) => statement.bind(index, Bound::Integer((*b).into())),
            wit::Value::Integer(n) => statement.bind(index, Bound::Integer(*n)),
            wit::Value::Real(x) => statement.bind(index, Bound::Real(*x)),
            wit::Value::Text(text) => statement.bind(index, Bound::Text(text)),
            wit::Value::Blob(bytes) => statement.bind(index, Bound::Blob(bytes)),
            wit::Value::Decimal(decimal) => statement.bind(index, Bound::Text(&decimal.digits)),
            wit::Value::Timestamp(timestamp) => {
                let text = crate::types::format_timestamp(timestamp.microseconds);
                statement.bind(index, Bound::Text(&text))
            }
            wit::Value::Json(json) => statement.bind(index, Bound::Text(&json.text)),
        }?;
    }
    Ok(())
}

/// A row as the guest gets it. `held` is what the host holds for the whole result.
pub(super) fn read_row(
    statement: &Statement,
    kinds: &[Kind],
    held: &mut usize,
    guards: Guards,
) -> Result<Vec<wit::Value>, RowFailure> {
    // What a value costs besides its own bytes.
    const VALUE_BYTES: usize = size_of::<wit::Value>();
    // And what a row costs besides its values.
    const ROW_BYTES: usize = 2 * size_of::<Vec<wit::Value>>();
    *held = held.saturating_add(ROW_BYTES);
    let mut row = Vec::with_capacity(kinds.len());
    for (index, kind) in kinds.iter().enumerate() {
        let (value, bytes) = match statement.column(index) {
            Column::Null => (wit::Value::Null, 0),
            Column::Integer(n) => (kind.integer(n), 0),
            Column::Real(x) => (wit::Value::Real(x), 0),
            Column::Text(text) => {
                let text = std::str::from_utf8(text).map_err(|_| RowFailure::BadText(index))?;
                (kind.text(text), text.len())
            }
            Column::Blob(blob) => (wit::Value::Blob(blob.to_vec()), blob.len()),
        };
        *held = held.saturating_add(bytes + VALUE_BYTES);
        row.push(value);
        if *held > RESULT_BYTES_MAX && guards.holds(Guard::ResultBytes) {
            return Err(RowFailure::TooLarge(Exceeded {
                limit: Limit::ResultBytes,
                allowed: RESULT_BYTES_MAX as u64,
                observed: None,
            }));
        }
    }
    Ok(row)
}

/// Why a row could not be read.
pub(crate) enum RowFailure {
    /// The column's text is not UTF-8.
    BadText(usize),
    TooLarge(Exceeded),
}

/// A guest waits for a lock as long as it may run; a client's own statement for a
/// while.
fn wait_for_lock(deadline: &Deadline, attempt: i32, guards: Guards) -> bool {
    const PAUSE: Duration = Duration::from_millis(1);
    if guards.holds(Guard::LockWait) && deadline.is_over() {
        return false;
    }
    if !deadline.is_set() && PAUSE * attempt.unsigned_abs() >= CLIENT_LOCK_WAIT {
        return false;
    }
    std::thread::sleep(PAUSE);
    true
}

/// Whether a text has nothing but white space, comments and semicolons.
fn is_blank(mut text: &str) -> bool {
    loop {
        text = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ';');
        if let Some(rest) = text.strip_prefix("--") {
            text = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(rest) = text.strip_prefix("/*") {
            text = rest.split_once("*/").map_or("", |(_, rest)| rest);
        } else {
            return text.is_empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_semicolons_are_blank() {
        for blank in [
            "",
            " ;\n",
            "-- x",
            "-- x\n;",
            "/* x */ ",
            "/* x",
            "; -- y\n/* z */",
        ] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for text in ["SELECT 1", "; SELECT 1", "-- x\nDROP TABLE t", "/* x */ y"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
