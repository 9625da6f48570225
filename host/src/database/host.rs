//! The WIT interfaces `database-read` and `database-write`: granted, and not granted; and
//! how a statement becomes an effect. What stays open is in `prepared.rs`, `cursor.rs`
//! and `transaction.rs`.

use super::access::Forbidden;
use super::backend::{self, Checked, GuestFailure, RowFailure};
use super::failure;
use super::memory;
use super::need::{self, Need};
use super::sqlite::Failure;
use super::typed::Kind;
use super::unseen::Told;
use crate::bindings::heliosdb::host::database_read::{
    Cursor, Host as ReadHost, Statement as ReadStatement,
};
use crate::bindings::heliosdb::host::database_write::{
    Host as WriteHost, Statement as WriteStatement, Transaction,
};
use crate::bindings::heliosdb::host::types as wit;
use crate::capability::Capability;
use crate::error::{Error, SqlState};
use crate::execution::{Execution, Refusal};
use crate::guard::Guard;
use crate::linker::NotGranted;
use std::sync::Arc;
use wasmtime::component::Resource;

/// How often a statement is checked anew because tables changed between its check and
/// its run.
pub(super) const SCHEMA_CHANGES_MAX: usize = 8;

/// Why a request came to nothing: the guest is told, or the call ends.
pub(super) enum Outcome {
    Guest(wit::Error),
    End(wasmtime::Error),
}

impl From<wasmtime::Error> for Outcome {
    fn from(error: wasmtime::Error) -> Outcome {
        Outcome::End(error)
    }
}

impl From<wit::Error> for Outcome {
    fn from(error: wit::Error) -> Outcome {
        Outcome::Guest(error)
    }
}

/// Both fates of a failure, for the WIT function's result.
pub(super) fn sort<T>(result: Result<T, Outcome>) -> wasmtime::Result<Result<T, wit::Error>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Outcome::Guest(error)) => Ok(Err(error)),
        Err(Outcome::End(error)) => Err(error),
    }
}

impl ReadHost for Execution {
    fn query(
        &mut self,
        sql: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<wit::Rows, wit::Error>> {
        if self.is_on_postgres() {
            return self.postgres_query(&sql, &params);
        }
        sort(self.charged(|execution| {
            execution.request(Capability::DatabaseRead, &sql, |execution, checked| {
                let rows = execution.read_all(checked, &params)?;
                let columns = checked.statement.columns().to_vec();
                Ok(wit::Rows { columns, rows })
            })
        }))
    }

    fn query_one(
        &mut self,
        sql: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<Option<wit::Row>, wit::Error>> {
        if self.is_on_postgres() {
            return self.postgres_query_one(&sql, &params);
        }
        sort(self.charged(|execution| {
            execution.request(Capability::DatabaseRead, &sql, |execution, checked| {
                let values = execution.read_one(checked, &params)?;
                let columns = || checked.statement.columns().to_vec();
                Ok(values.map(|values| wit::Row {
                    columns: columns(),
                    values,
                }))
            })
        }))
    }

    fn stream(
        &mut self,
        sql: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<Resource<Cursor>, wit::Error>> {
        if self.is_on_postgres() {
            return self.postgres_cursor(&sql);
        }
        sort(self.charged(|execution| {
            execution.enter_host()?;
            execution.carry(sql.len())?;
            execution.open_cursor(Arc::from(sql), None, &params)
        }))
    }

    fn prepare(
        &mut self,
        sql: String,
    ) -> wasmtime::Result<Result<Resource<ReadStatement>, wit::Error>> {
        let prepared =
            self.charged(|execution| execution.prepare_open(Capability::DatabaseRead, sql));
        sort(prepared.map(Resource::new_own))
    }
}

impl WriteHost for Execution {
    fn execute(
        &mut self,
        sql: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<wit::Effect, wit::Error>> {
        if self.is_on_postgres() {
            return self.postgres_execute(&sql, &params);
        }
        sort(self.charged(|execution| {
            execution.request(Capability::DatabaseWrite, &sql, |execution, checked| {
                execution.write(checked, &params)
            })
        }))
    }

    fn execute_batch(
        &mut self,
        sql: String,
        params: Vec<Vec<wit::Value>>,
    ) -> wasmtime::Result<Result<u64, wit::Error>> {
        if self.is_on_postgres() {
            return self.postgres_execute_batch(&sql, &params);
        }
        sort(self.charged(|execution| {
            execution.request(Capability::DatabaseWrite, &sql, |execution, checked| {
                execution.write_batch(checked, &params)
            })
        }))
    }

    fn prepare(
        &mut self,
        sql: String,
    ) -> wasmtime::Result<Result<Resource<WriteStatement>, wit::Error>> {
        let prepared =
            self.charged(|execution| execution.prepare_open(Capability::DatabaseWrite, sql));
        sort(prepared.map(Resource::new_own))
    }

    fn begin(&mut self) -> wasmtime::Result<Result<Resource<Transaction>, wit::Error>> {
        sort(self.charged(Execution::begin_transaction))
    }
}

/// Without a grant the statement is still looked at: the refusal names the tables.
impl ReadHost for NotGranted<'_> {
    fn query(
        &mut self,
        sql: String,
        _: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<wit::Rows, wit::Error>> {
        self.refuse_statement(Capability::DatabaseRead, &sql)
    }

    fn query_one(
        &mut self,
        sql: String,
        _: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<Option<wit::Row>, wit::Error>> {
        self.refuse_statement(Capability::DatabaseRead, &sql)
    }

    fn stream(
        &mut self,
        sql: String,
        _: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<Resource<Cursor>, wit::Error>> {
        self.refuse_statement(Capability::DatabaseRead, &sql)
    }

    fn prepare(
        &mut self,
        sql: String,
    ) -> wasmtime::Result<Result<Resource<ReadStatement>, wit::Error>> {
        self.refuse_statement(Capability::DatabaseRead, &sql)
    }
}

impl WriteHost for NotGranted<'_> {
    fn execute(
        &mut self,
        sql: String,
        _: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<wit::Effect, wit::Error>> {
        self.refuse_statement(Capability::DatabaseWrite, &sql)
    }

    fn execute_batch(
        &mut self,
        sql: String,
        _: Vec<Vec<wit::Value>>,
    ) -> wasmtime::Result<Result<u64, wit::Error>> {
        self.refuse_statement(Capability::DatabaseWrite, &sql)
    }

    fn prepare(
        &mut self,
        sql: String,
    ) -> wasmtime::Result<Result<Resource<WriteStatement>, wit::Error>> {
        self.refuse_statement(Capability::DatabaseWrite, &sql)
    }

    fn begin(&mut self) -> wasmtime::Result<Result<Resource<Transaction>, wit::Error>> {
        self.refuse_use(Capability::DatabaseWrite)
    }
}

impl NotGranted<'_> {
    /// Refuses, whatever the statement is. It may have been granted since the call
    /// began; what is linked was decided then.
    fn refuse_statement<T>(
        &mut self,
        capability: Capability,
        sql: &str,
    ) -> wasmtime::Result<Result<T, wit::Error>> {
        let execution = &mut *self.0;
        execution.enter_host()?;
        if execution.is_on_postgres() {
            let looked = execution.postgres_look(capability, sql)?;
            let refused = looked.err();
            return Ok(Err(refused.unwrap_or_else(|| {
                execution.refuse(vec![Refusal::of_all(capability)])
            })));
        }
        let checked =
            execution.charged(|execution| execution.check_statement(capability, sql).map(drop));
        match checked {
            Err(Outcome::Guest(error)) => Ok(Err(error)),
            Err(Outcome::End(error)) => Err(error),
            Ok(()) => Ok(Err(execution.refuse(vec![Refusal::of_all(capability)]))),
        }
    }

    /// Refuses what names no table.
    pub(super) fn refuse_use<T>(
        &mut self,
        capability: Capability,
    ) -> wasmtime::Result<Result<T, wit::Error>> {
        self.0.enter_host()?;
        Ok(Err(self.0.refuse(vec![Refusal::of_all(capability)])))
    }
}

impl Refusal {
    /// Of a capability without a table to name.
    pub(super) fn of_all(capability: Capability) -> Refusal {
        Refusal {
            capability: capability.name().to_string(),
            target: String::new(),
            action: match capability {
                Capability::DatabaseWrite => "write tables".to_string(),
                Capability::DatabaseExecute => "change the schema".to_string(),
                _ => "read tables".to_string(),
            },
            grant: match capability {
                Capability::DatabaseExecute => Some(capability.name().to_string()),
                _ => None,
            },
        }
    }
}

impl Execution {
    /// Works with SQLite at the guest's expense. Over a limit the call ends, whatever
    /// SQLite has made of it: it bears some refusals of memory in silence.
    pub(super) fn charged<R>(
        &mut self,
        work: impl FnOnce(&mut Execution) -> Result<R, Outcome>,
    ) -> Result<R, Outcome> {
        let meter = Arc::clone(&self.meter);
        let result = memory::charge(&meter, || work(self));
        match meter.ended() {
            Some(stop) => Err(Outcome::End(self.stop(stop))),
            None => result,
        }
    }

    /// A statement by its text, which is kept for its next run.
    fn request<R>(
        &mut self,
        interface: Capability,
        sql: &str,
        run: impl FnMut(&mut Execution, &mut Checked) -> Result<R, Ran>,
    ) -> Result<R, Outcome> {
        self.enter_host()?;
        self.carry(sql.len())?;
        let (result, checked) = self.attempt(interface, sql, None, run);
        // A view that came or went has ended it.
        if let Some(checked) = checked.filter(|_| !self.authority.has_filters()) {
            let key = self.authority_key();
            self.session.database.keep_prepared(key, sql, checked);
        }
        result
    }

    /// From a request to its effect: checked, then permitted, then run, then recorded.
    /// `ready` is the statement, if it is checked already.
    pub(super) fn attempt<R>(
        &mut self,
        interface: Capability,
        sql: &str,
        mut ready: Option<Checked>,
        mut run: impl FnMut(&mut Execution, &mut Checked) -> Result<R, Ran>,
    ) -> (Result<R, Outcome>, Option<Checked>) {
        for _ in 0..SCHEMA_CHANGES_MAX {
            let once = self.with_rows(sql, |execution| {
                execution.attempt_once(interface, sql, ready.take(), &mut run)
            });
            match once {
                Ok(Some(ended)) => return ended,
                // What was checked is forgotten, and the statement checked anew.
                Ok(None) => {}
                Err(failure) => return (Err(failure), None),
            }
        }
        let why = "the tables changed while the statement ran: run it again";
        (Err(invalid(why)), None)
    }

    /// Nothing, if the tables changed meanwhile.
    fn attempt_once<R>(
        &mut self,
        interface: Capability,
        sql: &str,
        ready: Option<Checked>,
        run: &mut impl FnMut(&mut Execution, &mut Checked) -> Result<R, Ran>,
    ) -> Option<(Result<R, Outcome>, Option<Checked>)> {
        let checked = match ready {
            Some(checked) => Ok(checked),
            None => self.check_shown(interface, sql),
        };
        let mut checked = match checked {
            Ok(checked) => checked,
            Err(failure) => return Some((Err(failure), None)),
        };
        match run(self, &mut checked) {
            Err(Ran::Statement(GuestFailure::Sqlite(failure)))
                if failure::is_unauthorized(&failure) =>
            {
                None
            }
            result => {
                let result = result.map_err(|failure| self.run_failure(failure));
                Some((result, Some(checked)))
            }
        }
    }

    /// The statement, prepared and permitted, and not run yet.
    pub(super) fn check_statement(
        &mut self,
        interface: Capability,
        sql: &str,
    ) -> Result<Checked, Outcome> {
        self.with_rows(sql, |execution| execution.check_shown(interface, sql))?
    }

    /// The statement, prepared and permitted: from an earlier run, or now.
    fn check_shown(&mut self, interface: Capability, sql: &str) -> Result<Checked, Outcome> {
        let key = self.authority_key();
        let session = Arc::clone(&self.session);
        let checked = match session.database.take_prepared(key, sql) {
            Some(checked) => checked,
            None => self.prepare(interface, sql)?,
        };
        let writes = !checked.statement.is_read_only();
        match (interface, writes) {
            (Capability::DatabaseWrite, false) => Err(invalid(
                "execute runs statements that write; this one only reads: use query",
            )),
            (Capability::DatabaseRead, true) => Err(invalid(
                "query runs statements that only read; this one writes: use execute",
            )),
            _ => Ok(checked),
        }
    }

    fn prepare(&mut self, interface: Capability, sql: &str) -> Result<Checked, Outcome> {
        self.check_text(sql)?;
        let session = Arc::clone(&self.session);
        let (statement, access) = session
            .database
            .prepare_guest(sql, &self.meter)
            .map_err(|failure| self.prepare_failure(interface, sql, failure))?;
        let needs = self
            .needs(&access, sql)
            .map_err(|failure| self.sqlite_failure(&failure))?;
        let mut permits = Vec::with_capacity(needs.len());
        let mut refusals = Vec::new();
        for need in &needs {
            match need.permit(self) {
                Ok((target, permit)) => {
                    permits.push((need.capability.name(), Arc::from(target), permit));
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        refusals.extend(self.function_refusals(&access));
        if !refusals.is_empty() {
            return Err(Outcome::Guest(self.refuse(refusals)));
        }
        let summary = Arc::new(need::summary(sql, &access, &needs));
        let program_bytes = statement.program_bytes();
        Ok(Checked {
            value_bytes_max: backend::value_bytes_max(program_bytes, &access),
            kinds: Kind::of_columns(&statement),
            program_bytes,
            statement,
            summary,
            permits,
        })
    }

    /// Of tables that no grant covers the guest learns neither that they exist nor what
    /// columns they have.
    fn prepare_failure(
        &mut self,
        interface: Capability,
        sql: &str,
        failure: GuestFailure,
    ) -> Outcome {
        let GuestFailure::Sqlite(failure) = failure else {
            return self.guest_failure(failure);
        };
        match self.told(sql, failure) {
            Told::Failure(failure) => self.sqlite_failure(&failure),
            Told::NotCovered(tables) => {
                let refusal = |(schema, table)| {
                    let need = Need::of_ordinary(interface, schema, table);
                    need.refusal(&[], self)
                };
                let refusals = tables.into_iter().map(refusal).collect();
                Outcome::Guest(self.refuse(refusals))
            }
        }
    }

    pub(super) fn guest_failure(&mut self, failure: GuestFailure) -> Outcome {
        match failure {
            GuestFailure::Forbidden(forbidden) => match forbidden {
                Forbidden::Ddl(change) => self.refuse_change(&change),
                Forbidden::Statement(what) => {
                    self.deny("", &what);
                    invalid(&format!("a procedure may not run {what}"))
                }
            },
            GuestFailure::TwoStatements => {
                let message = "the text holds more than one statement";
                Outcome::Guest(self.malformed(message.to_string()))
            }
            GuestFailure::NoStatement => invalid("the text holds no statement"),
            GuestFailure::Sqlite(failure) => self.sqlite_failure(&failure),
        }
    }

    pub(super) fn run_failure(&mut self, failure: Ran) -> Outcome {
        let failure = self.run_failure_of_statement(failure);
        // Without its unit nothing that the guest does now could be undone.
        match failure {
            Outcome::Guest(error) if self.unit_is_lost() => {
                Outcome::End(self.fault(rolled_back(&error)))
            }
            failure => failure,
        }
    }

    fn unit_is_lost(&self) -> bool {
        self.meter.guards.holds(Guard::LostUnits) && self.session.database.unit_is_lost()
    }

    fn run_failure_of_statement(&mut self, failure: Ran) -> Outcome {
        match failure {
            Ran::End(error) => Outcome::End(error),
            Ran::Invalid(error) => Outcome::Guest(error),
            Ran::Row(RowFailure::TooLarge(exceeded)) => {
                self.meter.note(exceeded);
                Outcome::End(self.exceed(exceeded))
            }
            Ran::Row(RowFailure::BadText(index)) => {
                Outcome::Guest(wit::Error::Failed(wit::Failure {
                    sqlstate: SqlState::BAD_TEXT.as_str().to_string(),
                    message: format!(
                        "column {} of the result is text that is not UTF-8",
                        index + 1
                    ),
                }))
            }
            Ran::Statement(failure) => self.guest_failure(failure),
        }
    }

    pub(super) fn sqlite_failure(&self, failure: &Failure) -> Outcome {
        match failure::sqlstate(failure) {
            SqlState::SYNTAX => invalid(&failure.message),
            _ => Outcome::Guest(failed(failure)),
        }
    }
}

/// Why a run stopped.
pub(super) enum Ran {
    /// It was not even begun.
    Invalid(wit::Error),
    Statement(GuestFailure),
    Row(RowFailure),
    End(wasmtime::Error),
}

impl Checked {
    /// Each parameter has a value. If not, it says so.
    pub(super) fn check_count(&self, params: &[wit::Value]) -> Result<(), String> {
        let expected = self.statement.values_needed().map_err(str::to_string)?;
        if params.len() == expected {
            return Ok(());
        }
        Err(format!(
            "the statement has {expected} parameters and {} values were given",
            params.len()
        ))
    }

    /// What its rows are made of.
    pub(super) fn columns(&self) -> Vec<wit::Column> {
        let names = self.statement.columns().iter();
        names
            .zip(self.statement.declared_types())
            .map(|(name, declared_type)| wit::Column {
                name: name.clone(),
                declared_type: declared_type.clone(),
            })
            .collect()
    }
}

impl From<GuestFailure> for Ran {
    fn from(failure: GuestFailure) -> Ran {
        Ran::Statement(failure)
    }
}

impl From<RowFailure> for Ran {
    fn from(failure: RowFailure) -> Ran {
        Ran::Row(failure)
    }
}

/// The error of a call whose unit SQLite rolled back.
pub(super) fn rolled_back(error: &wit::Error) -> Error {
    let why = match error {
        wit::Error::Failed(failure) => failure.message.as_str(),
        _ => "a statement failed",
    };
    let state = match error {
        wit::Error::Failed(failure) if failure.sqlstate == SqlState::OUT_OF_MEMORY.as_str() => {
            SqlState::OUT_OF_MEMORY
        }
        _ => SqlState::CONSTRAINT,
    };
    Error::new(state, format!("{why}, and everything was rolled back"))
}

pub(super) fn invalid(message: &str) -> Outcome {
    Outcome::Guest(wit::Error::Invalid(message.to_string()))
}

fn failed(failure: &Failure) -> wit::Error {
    wit::Error::Failed(wit::Failure {
        sqlstate: failure::sqlstate(failure).as_str().to_string(),
        message: failure::told_to_guest(failure),
    })
}
