//! What a session shares with the guests that run in it: its connection, the
//! executions of the current statement, and the messages for the caller.

use super::explain::Reports;
use super::postgres::Client;
use crate::admission::Place;
use crate::condition::{self, Decision};
use crate::database::backend::Database;
use crate::error::{Error, Result, SqlState};
use crate::execution::meter::Cost;
use crate::execution::record::Recorder;
use crate::execution::refuse_call;
use crate::function::{Function, Kind};
use crate::guard::{Guard, Guards};
use crate::instance::{Rows, Running};
use crate::limits::STATE_BYTES_MAX;
use crate::postgres::{Statements, Units};
use crate::session::Notice;
use crate::signature::Column;
use crate::types::Value;
use crate::vault::VaultCore;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The inside of a session.
pub(crate) struct SessionCore {
    pub(crate) vault: Arc<VaultCore>,
    pub(crate) caller: Arc<str>,
    pub(crate) database: Database,
    /// What guests have open on PostgreSQL.
    pub(crate) units: Units,
    /// Their statements there.
    pub(crate) checked: Statements,
    pub(super) client: Client,
    statement: Mutex<StatementScope>,
    notices: Mutex<Vec<Notice>>,
    pub(super) reports: Reports,
    /// How many places its executions hold.
    places: Arc<AtomicU32>,
}

/// The executions of one SQL statement: a function's instance lives from its first
/// row to the statement's end.
#[derive(Default)]
struct StatementScope {
    running: HashMap<String, Running>,
    /// What the states of aggregates have, in bytes.
    state_bytes: usize,
    /// The error of a function, which SQLite can only carry as text.
    error: Option<Error>,
}

/// A function and, if the statement has used it before, its execution under its name.
struct Used {
    function: Arc<Function>,
    running: Option<(String, Running)>,
}

/// Messages of one statement that are kept, whoever they are from.
const NOTICES_MAX: usize = 1_000;

impl SessionCore {
    pub(crate) fn new(vault: Arc<VaultCore>, caller: &str, database: Database) -> SessionCore {
        SessionCore {
            vault,
            caller: Arc::from(caller),
            database,
            units: Units::default(),
            checked: Statements::default(),
            client: Client::default(),
            statement: Mutex::default(),
            notices: Mutex::default(),
            reports: Reports::default(),
            places: Arc::default(),
        }
    }

    pub(crate) fn guards(&self) -> Guards {
        self.vault.runtime.engine.guards
    }

    /// Calls a function for the current row. After an error the execution is over,
    /// and its error is what the statement fails with.
    pub(crate) fn invoke(self: &Arc<Self>, name: &str, arguments: Vec<Value>) -> Result<Value> {
        self.noting_errors(|| {
            if self.database.gate.is_guests() {
                self.refuse_to_guest(name)?;
            }
            self.invoke_in_scope(name, arguments)
        })
    }

    /// The state of an aggregate's group became larger or smaller.
    pub(super) fn hold_state(&self, before: usize, bytes: usize) -> Result<()> {
        let mut scope = self.scope();
        scope.state_bytes = scope.state_bytes.saturating_sub(before) + bytes;
        let most = self
            .guards()
            .bound(Guard::AggregateStates, STATE_BYTES_MAX, usize::MAX);
        match scope.state_bytes <= most {
            true => Ok(()),
            false => Err(Error::new(
                SqlState::OUT_OF_MEMORY,
                format!("the states of aggregates have more than {STATE_BYTES_MAX} bytes"),
            )),
        }
    }

    /// Whether a function of the statement has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.scope().error.is_some()
    }

    /// The same as `noting_errors`, for SQLite.
    pub(super) fn noting<R>(&self, work: impl FnOnce() -> Result<R>) -> rusqlite::Result<R> {
        let user_error =
            |error: Error| rusqlite::Error::UserFunctionError(error.message().to_string().into());
        self.noting_errors(work).map_err(user_error)
    }

    /// What makes a statement of a call.
    pub(super) fn call_prefix(&self, name: &str) -> &'static str {
        let function = self.vault.catalog.function(name);
        let is_table = function.is_some_and(|function| function.signature.table.is_some());
        match is_table {
            true => "SELECT * FROM ",
            false => "SELECT ",
        }
    }

    /// Calls a function that returns a table. Of a STRICT one there may be none.
    pub(super) fn open_rows(
        self: &Arc<Self>,
        name: &str,
        columns: &[Column],
        arguments: Vec<Value>,
    ) -> Result<Option<Rows>> {
        self.noting_errors(|| {
            if self.database.gate.is_guests() {
                return Err(not_for_guests(name));
            }
            let used = self.take_out(name)?;
            self.in_scope(used, arguments, |running, arguments| {
                let function = running.function();
                if function.signature.table.as_deref() != Some(columns) {
                    return Err(changed(function));
                }
                running.open_rows(arguments)
            })
        })
    }

    /// The next row of a table, unless there are no more.
    pub(super) fn next_row(
        self: &Arc<Self>,
        name: &str,
        rows: &mut Rows,
    ) -> Result<Option<Vec<Value>>> {
        self.noting_errors(|| self.with_running(name, |running| running.next_row(rows)))
    }

    /// Takes no more rows of a table. That it fails ends the statement with an error.
    pub(super) fn close_rows(self: &Arc<Self>, name: &str, rows: Rows) {
        // After an error there is nothing to close.
        if self.scope().running.contains_key(name) {
            let close = || self.with_running(name, |running| running.close_rows(rows));
            let _ = self.noting_errors(close);
        }
    }

    /// A guest's own statement may not call functions, and is not even prepared if the
    /// authorizer tells of one. It does not tell of those that a table brings along: in
    /// indexes and generated columns, where they reach nothing, or in a CHECK.
    fn refuse_to_guest(&self, name: &str) -> Result<()> {
        let function = self.vault.catalog.expect(name)?;
        let reaches_nothing = function.signature.is_immutable() || function.kind == Kind::Condition;
        if reaches_nothing || !self.guards().holds(Guard::BroughtCalls) {
            return Ok(());
        }
        Err(not_for_guests(name))
    }

    /// What a statement fails with over a function, unless it is a guest's statement:
    /// the guest is told, and may go on.
    fn noting_errors<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        let result = work();
        if let (Err(error), false) = (&result, self.database.gate.is_guests()) {
            self.scope().error.get_or_insert_with(|| error.clone());
        }
        result
    }

    fn invoke_in_scope(self: &Arc<Self>, name: &str, arguments: Vec<Value>) -> Result<Value> {
        let used = self.take_out(name)?;
        if used.running.is_none() {
            if used.function.kind == Kind::Condition {
                return self.decide(&used.function, &arguments);
            }
            refuse_table(&used.function)?;
        }
        let value = self.in_scope(used, arguments, Running::invoke)?;
        Ok(value.unwrap_or(Value::Null))
    }

    /// Taken out, not borrowed: the guest may run for long, and nothing must wait.
    fn take_out(&self, name: &str) -> Result<Used> {
        let running = self.scope().running.remove_entry(name);
        let function = match &running {
            Some((_, running)) => Arc::clone(running.function()),
            None => self.vault.catalog.expect(name)?,
        };
        Ok(Used { function, running })
    }

    /// Works with the function's execution in the statement, which begins with the first
    /// call. A STRICT function is not called with NULL.
    fn in_scope<R>(
        self: &Arc<Self>,
        Used { function, running }: Used,
        arguments: Vec<Value>,
        work: impl FnOnce(&mut Running, &[Value]) -> Result<R>,
    ) -> Result<Option<R>> {
        let arguments = match coerce_arguments(&function, arguments) {
            Ok(arguments) => arguments,
            Err(error) => {
                return Err(match running {
                    // What it did for the rows before must be recorded.
                    Some((_, running)) => running.finish(Some(error.clone())).unwrap_or(error),
                    None => self.record_refused(&function, error),
                });
            }
        };
        if function.strict && arguments.contains(&Value::Null) {
            self.scope().running.extend(running);
            return Ok(None);
        }
        let running = match running {
            Some(running) => running,
            None => (function.name.clone(), self.start(&function)?),
        };
        self.work(running, |running| work(running, &arguments))
            .map(Some)
    }

    /// Works with an execution that has begun.
    fn with_running<R>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Running) -> Result<R>,
    ) -> Result<R> {
        let running = self.scope().running.remove_entry(name);
        match running {
            Some(running) => self.work(running, work),
            None => Err(Error::internal("a table's execution is over")),
        }
    }

    fn work<R>(
        &self,
        (name, mut running): (String, Running),
        work: impl FnOnce(&mut Running) -> Result<R>,
    ) -> Result<R> {
        match work(&mut running) {
            Ok(result) => {
                self.scope().running.insert(name, running);
                Ok(result)
            }
            Err(error) => Err(running.finish(Some(error.clone())).unwrap_or(error)),
        }
    }

    /// A place for an execution of the function. A session waits for its first one; what
    /// runs beside that has nested ones.
    pub(crate) fn enter(&self, function: &Function) -> Result<Place> {
        let admission = &self.vault.runtime.admission;
        admission.check(function)?;
        let bytes = function.call_bytes();
        if self.places.load(Ordering::Relaxed) > 0 {
            let place = admission.enter_nested(bytes, &self.places);
            return place.ok_or_else(|| no_nested_place(function));
        }
        let patience = function.limits.wall_time();
        let place = admission.enter(&self.vault.share, bytes, &self.places, patience);
        place.ok_or_else(|| admission.no_place(function))
    }

    /// Asks a condition. It has an instance and an entry of its own for each row: what
    /// it says of one must not depend on another.
    pub(super) fn decide(&self, function: &Function, arguments: &[Value]) -> Result<Value> {
        check_count(function, arguments)?;
        let context = arguments.first().unwrap_or(&Value::Null);
        let decision = self.answer(function, context)?;
        Ok(Value::Boolean(decision.is_allowed()))
    }

    /// A condition's answer. Without a free place it is a denial like any other.
    pub(super) fn answer(&self, function: &Function, context: &Value) -> Result<Decision> {
        let place = self.enter(function);
        condition::decide(&self.vault, &self.caller, function, context, place)
    }

    pub(super) fn is_condition(&self, name: &str) -> bool {
        let function = self.vault.catalog.function(name);
        function.is_some_and(|function| function.kind == Kind::Condition)
    }

    /// Starts an execution, if the function may run and there is a place for it.
    pub(crate) fn start(self: &Arc<Self>, function: &Arc<Function>) -> Result<Running> {
        let may_run = || refuse_call(function, &self.caller, self.guards());
        // It may have been disabled while the call waited.
        let place = may_run()
            .and_then(|()| self.enter(function))
            .and_then(|place| may_run().map(|()| place));
        let place = place.map_err(|error| self.record_refused(function, error))?;
        Running::start(self, function, place)
    }

    /// Records a call that was refused before it began, and gives its error back.
    pub(crate) fn record_refused(&self, function: &Arc<Function>, error: Error) -> Error {
        let mut recorder = Recorder::start(
            Arc::clone(&self.vault.log),
            Arc::clone(function),
            Arc::clone(&self.caller),
        );
        let recorded = recorder.finish(&Cost::default(), None, Some(&error));
        recorded.err().unwrap_or(error)
    }

    /// Appends what the statement's executions recorded: its commit follows.
    pub(crate) fn before_commit(&self) -> Result<()> {
        self.scope()
            .running
            .values_mut()
            .try_for_each(Running::before_commit)
    }

    /// Ends the statement's executions. `error` is what it failed with, if it did;
    /// what is returned is the error to report.
    pub(crate) fn end_statement(&self, error: Option<Error>) -> Option<Error> {
        let StatementScope {
            running,
            error: own,
            ..
        } = std::mem::take(&mut *self.scope());
        let mut error = own.or(error);
        for running in running.into_values() {
            error = running.finish(error.clone()).or(error);
        }
        error
    }

    /// Adds a message for the caller.
    pub(crate) fn notice(&self, notice: Notice) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() < self.guards().bound(Guard::Notices, NOTICES_MAX, usize::MAX) {
            notices.push(notice);
        }
    }

    pub(crate) fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn scope(&self) -> MutexGuard<'_, StatementScope> {
        self.statement
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A table is no value, and an aggregate has one of many rows.
pub(super) fn refuse_table(function: &Function) -> Result<()> {
    if function.kind == Kind::Aggregate {
        let name = &function.name;
        let message = format!("\"{name}\" is an aggregate: it is called by a query");
        let hint = format!("SELECT {name}(…) FROM …");
        return Err(Error::new(SqlState::WRONG_OBJECT, message).with_hint(hint));
    }
    if function.signature.table.is_none() {
        return Ok(());
    }
    let name = &function.name;
    let types = function.signature.parameter_types();
    Err(Error::new(
        SqlState::WRONG_OBJECT,
        format!("function \"{name}\" returns a table, not a value"),
    )
    .with_hint(format!("SELECT * FROM {name}({types});")))
}

fn not_for_guests(name: &str) -> Error {
    let message =
        format!("permission denied: the statement of a function may not call function \"{name}\"");
    Error::new(SqlState::DENIED, message)
}

/// Its columns are no longer those that the statement was made for.
fn changed(function: &Function) -> Error {
    let message = format!("function \"{}\" changed meanwhile", function.name);
    Error::new(SqlState::SERIALIZATION, message).with_hint("run the statement again")
}

fn no_nested_place(function: &Function) -> Error {
    let message = format!(
        "no place or too little memory is free for {} \"{}\" beside the others of its statement",
        function.kind.noun(),
        function.name
    );
    Error::new(SqlState::QUOTA, message)
        .with_hint("call fewer functions in one statement, or run it again later")
}

/// Values of the parameters' types, checked before the guest runs.
pub(crate) fn coerce_arguments(function: &Function, arguments: Vec<Value>) -> Result<Vec<Value>> {
    check_count(function, &arguments)?;
    arguments
        .into_iter()
        .zip(&function.signature.parameters)
        .map(|(value, parameter)| {
            value.coerce(parameter.sql_type).map_err(|error| {
                error.with_detail(format!(
                    "parameter \"{}\" of function \"{}\"",
                    parameter.name, function.name
                ))
            })
        })
        .collect()
}

fn check_count(function: &Function, arguments: &[Value]) -> Result<()> {
    let parameters = &function.signature.parameters;
    if arguments.len() != parameters.len() {
        return Err(Error::new(
            crate::error::SqlState::UNDEFINED_FUNCTION,
            format!(
                "{} \"{}\" takes {} arguments, and {} were given",
                function.kind.noun(),
                function.name,
                parameters.len(),
                arguments.len()
            ),
        )
        .with_hint(format!("{}{}", function.name, function.signature)));
    }
    Ok(())
}
