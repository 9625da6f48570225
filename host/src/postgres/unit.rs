//! A call's transaction, as the function's role: begun with its first statement, and
//! ended with the call.
//!
//! A statement that fails is undone alone, as on SQLite: there is a savepoint before it.
//! One savepoint serves any number of reads; only what changes something moves it. So it
//! costs no trip to the server of its own, for it travels with the next statement.

use super::connection::{Connection, Patience, Ran, Request};
use super::failure::Failure;
use super::stream::State;
use super::{Postgres, value};
use crate::error::{Error, Result, SqlState};
use crate::execution::meter::Meter;
use crate::function::Function;
use crate::limits::{Exceeded, Limit, RESULT_BYTES_MAX};
use crate::types::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_postgres::Statement as Prepared;

/// The transactions of one session's call or statement, by function.
#[derive(Default)]
pub(crate) struct Units(Mutex<BTreeMap<String, Unit>>);

struct Unit {
    connection: Connection,
    savepoint: Savepoint,
    has_written: bool,
}

/// What the savepoint needs before the next statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Savepoint {
    /// The transaction has not begun.
    Begin,
    /// It is where it must be.
    Set,
    /// What ran since it was set stays.
    Move,
    /// What ran since it was set failed.
    Return,
}

/// What a statement gave.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
    /// What the host holds of them, in bytes.
    held_bytes: usize,
    /// The rows that it changed, or gave.
    pub(crate) count: u64,
}

/// The host ends a statement by itself; the server does so only if the host is gone.
const SERVER_MORE: Duration = Duration::from_secs(5);

impl Units {
    fn take(&self, function: &str) -> Option<Unit> {
        self.lock().remove(function)
    }

    fn put(&self, function: &str, unit: Unit) {
        self.lock().insert(function.to_string(), unit);
    }

    /// A function that has written and is another one.
    pub(crate) fn other_writer(&self, function: &str) -> Option<String> {
        let units = self.lock();
        let mut writers = units.iter().filter(|(_, unit)| unit.has_written);
        writers
            .find(|(name, _)| *name != function)
            .map(|(name, _)| name.clone())
    }

    /// Commits. No more than one of them has written, and it is the last.
    pub(crate) fn commit(&self, postgres: &Postgres) -> Result<()> {
        let units = std::mem::take(&mut *self.lock());
        let mut units: Vec<(String, Unit)> = units.into_iter().collect();
        units.sort_by_key(|(_, unit)| unit.has_written);
        let mut done = Ok(());
        for (function, unit) in units {
            let end = match (&done, unit.savepoint) {
                (Ok(()), Savepoint::Return) => "ROLLBACK TO SAVEPOINT heliosdb_statement; COMMIT",
                (Ok(()), _) => "COMMIT",
                (Err(_), _) => "ROLLBACK",
            };
            let ended = unit.end(postgres, &function, end);
            done = done.and(ended);
        }
        done
    }

    /// Undoes all of it.
    pub(crate) fn roll_back(&self, postgres: &Postgres) {
        for (function, unit) in std::mem::take(&mut *self.lock()) {
            if let Err(error) = unit.end(postgres, &function, "ROLLBACK") {
                // The server undoes what a lost connection leaves.
                tracing::warn!(?error, function, "rolling back failed");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Unit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unit {
    fn end(self, postgres: &Postgres, function: &str, end: &str) -> Result<()> {
        match (self.savepoint, self.connection.state()) {
            (Savepoint::Begin, State::Idle) if self.connection.is_usable() => {
                postgres.end(function, self.connection, "")
            }
            _ => postgres.end(function, self.connection, end),
        }
    }

    /// What must run before the next statement.
    fn before(&self, function: &Function, meter: &Meter, writes: bool) -> Option<String> {
        match self.savepoint {
            Savepoint::Begin => Some(begin(function, meter, writes)),
            Savepoint::Set => None,
            Savepoint::Move => Some(
                "RELEASE SAVEPOINT heliosdb_statement; SAVEPOINT heliosdb_statement".to_string(),
            ),
            Savepoint::Return => Some("ROLLBACK TO SAVEPOINT heliosdb_statement".to_string()),
        }
    }
}

/// The server gives up when the call must, even if the host is gone by then. Without a
/// grant to write it is told that nothing is to be written.
fn begin(function: &Function, meter: &Meter, may_write: bool) -> String {
    let left = function.limits.wall_time().saturating_sub(meter.used().0);
    let milliseconds = (left + SERVER_MORE).as_millis();
    let mode = if may_write { "READ WRITE" } else { "READ ONLY" };
    format!(
        "BEGIN TRANSACTION {mode}; SET LOCAL statement_timeout = {milliseconds}; \
         SET LOCAL lock_timeout = {milliseconds}; \
         SET LOCAL idle_in_transaction_session_timeout = {milliseconds}; \
         SAVEPOINT heliosdb_statement"
    )
}

/// A part of a call's transaction that can be undone by itself, by its name.
#[derive(Clone, Copy)]
pub(crate) enum Part<'p> {
    Begin(&'p str),
    Commit(&'p str),
    RollBack(&'p str),
}

impl Part<'_> {
    /// The savepoint of single statements is always inside of it.
    fn sql(self) -> String {
        match self {
            Part::Begin(name) => format!(
                "RELEASE SAVEPOINT heliosdb_statement; SAVEPOINT {name}; \
                 SAVEPOINT heliosdb_statement"
            ),
            Part::Commit(name) => {
                format!("RELEASE SAVEPOINT {name}; SAVEPOINT heliosdb_statement")
            }
            Part::RollBack(name) => format!(
                "ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}; \
                 SAVEPOINT heliosdb_statement"
            ),
        }
    }
}

/// One statement of a guest's.
pub(crate) struct Statement<'s> {
    pub(crate) sql: &'s str,
    pub(crate) values: &'s [Value],
    pub(crate) writes: bool,
    /// Whether the function may write at all.
    pub(crate) may_write: bool,
}

impl Postgres {
    /// Runs a guest's statement in its transaction, and gathers the rows while they fit.
    pub(crate) fn run(
        &self,
        units: &Units,
        function: &Arc<Function>,
        meter: &Meter,
        statement: &Statement<'_>,
        take: impl FnMut(usize) -> Result<(), Exceeded>,
    ) -> Result<Answer, Failure> {
        self.within(units, function, meter, |unit| {
            unit.run(function, meter, statement, take)
        })
    }

    /// What a statement's rows are made of.
    pub(crate) fn describe(
        &self,
        units: &Units,
        function: &Arc<Function>,
        meter: &Meter,
        may_write: bool,
        sql: &str,
    ) -> Result<Prepared, Failure> {
        self.within(units, function, meter, |unit| {
            unit.prepare(function, meter, may_write, sql)
        })
    }

    /// Begins or ends a part of the call's transaction.
    pub(crate) fn part(
        &self,
        units: &Units,
        function: &Arc<Function>,
        meter: &Meter,
        part: Part<'_>,
    ) -> Result<(), Failure> {
        self.within(units, function, meter, |unit| {
            let before = unit.before(function, meter, true).unwrap_or_default();
            let sql = format!("{before}; {}", part.sql());
            unit.connection.batch(&sql, Patience::Call(meter))?;
            unit.savepoint = Savepoint::Set;
            Ok(())
        })
    }

    /// Works in the function's transaction, which is taken out meanwhile: the session must
    /// not be locked while the server works.
    fn within<R>(
        &self,
        units: &Units,
        function: &Arc<Function>,
        meter: &Meter,
        work: impl FnOnce(&mut Unit) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let patience = Patience::Call(meter);
        let mut unit = match units.take(&function.name) {
            Some(unit) => unit,
            None => Unit {
                connection: self
                    .connect(&function.name, patience)
                    .map_err(|error| match error.sqlstate() {
                        SqlState::CANCELED => Failure::Interrupted,
                        _ => Failure::NoConnection(error),
                    })?,
                savepoint: Savepoint::Begin,
                has_written: false,
            },
        };
        let answer = work(&mut unit);
        // One that is lost takes its transaction with it.
        if !matches!(
            answer,
            Err(Failure::Interrupted | Failure::Lost(_) | Failure::TooLarge | Failure::Exceeded(_))
        ) {
            units.put(&function.name, unit);
        }
        answer
    }
}

impl Unit {
    fn run(
        &mut self,
        function: &Function,
        meter: &Meter,
        statement: &Statement<'_>,
        mut take: impl FnMut(usize) -> Result<(), Exceeded>,
    ) -> Result<Answer, Failure> {
        let before = self.before(function, meter, statement.may_write);
        let mut answer = Answer::default();
        let request = Request {
            before: before.as_deref(),
            sql: statement.sql,
            values: statement.values,
        };
        let ran = self.connection.run(&request, Patience::Call(meter), |row| {
            if answer.rows.is_empty() {
                value::check_columns(row.columns()).map_err(Failure::Value)?;
            }
            answer.take(row, &mut take)
        });
        self.savepoint = match &ran {
            Ok(_) if statement.writes => Savepoint::Move,
            Ok(_) => Savepoint::Set,
            // It may have failed before the transaction began.
            Err(_) if self.connection.state() == State::Idle => Savepoint::Begin,
            Err(_) => Savepoint::Return,
        };
        let Ran { prepared, rows } = ran?;
        if self.connection.state() != State::Open {
            // Nothing that a guest may run ends a transaction.
            return Err(Failure::Lost("the transaction ended by itself".to_string()));
        }
        self.has_written |= statement.writes;
        let names = prepared.columns().iter().map(|c| c.name().to_string());
        answer.columns = names.collect();
        answer.count = rows;
        Ok(answer)
    }
}

impl Unit {
    fn prepare(
        &mut self,
        function: &Function,
        meter: &Meter,
        may_write: bool,
        sql: &str,
    ) -> Result<Prepared, Failure> {
        let patience = Patience::Call(meter);
        if let Some(before) = self.before(function, meter, may_write) {
            self.connection.batch(&before, patience)?;
            self.savepoint = Savepoint::Set;
        }
        let prepared = self.connection.prepare(sql, patience);
        if prepared.is_err() {
            self.savepoint = Savepoint::Return;
        }
        prepared
    }
}

impl Answer {
    fn take(
        &mut self,
        row: &tokio_postgres::Row,
        count: &mut impl FnMut(usize) -> Result<(), Exceeded>,
    ) -> Result<(), Failure> {
        // What a value costs besides its own bytes.
        const VALUE_BYTES: usize = size_of::<Value>();
        let columns = row.columns().len();
        let bytes = row.raw_size_bytes() + columns * VALUE_BYTES;
        self.held_bytes += bytes;
        count(bytes).map_err(Failure::Exceeded)?;
        if self.held_bytes > RESULT_BYTES_MAX {
            return Err(Failure::Exceeded(Exceeded {
                limit: Limit::ResultBytes,
                allowed: RESULT_BYTES_MAX as u64,
                observed: None,
            }));
        }
        let values = (0..columns).map(|index| value::decode(row, index));
        let values: Result<Vec<Value>> = values.collect();
        self.rows.push(values.map_err(Failure::Value)?);
        Ok(())
    }
}

/// The error of a second function that writes in one statement.
pub(crate) fn two_writers(function: &str, other: &str) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!(
            "function \"{function}\" would write in the statement in which \"{other}\" has \
             written"
        ),
    )
    .with_detail("on PostgreSQL each function has a transaction of its own")
    .with_hint("call them in two statements")
}
