//! The WIT interfaces `database-read` and `database-write`: granted, and not granted.

use super::access::Forbidden;
use super::backend::{self, Checked, GuestFailure, RowFailure};
use super::failure;
use super::memory;
use super::need::{self, Need};
use super::sqlite::Failure;
use super::unseen::Told;
use crate::bindings::heliosdb::host::database_read::{Host as ReadHost, Rows};
use crate::bindings::heliosdb::host::database_write::Host as WriteHost;
use crate::bindings::heliosdb::host::types as wit;
use crate::capability::Capability;
use crate::error::{Error, SqlState};
use crate::execution::{Execution, Refusal};
use crate::guard::Guard;
use crate::limits::SQL_BYTES_MAX;
use crate::linker::NotGranted;
use std::sync::Arc;

/// How often a statement is checked anew because tables changed between its check and
/// its run.
const SCHEMA_CHANGES_MAX: usize = 8;

/// Why a request came to nothing: the guest is told, or the call ends.
enum Outcome {
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
fn sort<T>(result: Result<T, Outcome>) -> wasmtime::Result<Result<T, wit::Error>> {
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
    ) -> wasmtime::Result<Result<Rows, wit::Error>> {
        sort(
            self.charged(|execution| execution.request(Capability::DatabaseRead, &sql, &params))
                .map(|(rows, _)| rows),
        )
    }
}

impl WriteHost for Execution {
    fn execute(
        &mut self,
        sql: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<u64, wit::Error>> {
        sort(
            self.charged(|execution| execution.request(Capability::DatabaseWrite, &sql, &params))
                .map(|(_, changes)| changes),
        )
    }
}

/// Without a grant the statement is still looked at: the refusal names the tables.
impl ReadHost for NotGranted<'_> {
    fn query(
        &mut self,
        sql: String,
        _params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<Rows, wit::Error>> {
        Ok(Err(self.refuse_statement(Capability::DatabaseRead, &sql)?))
    }
}

impl WriteHost for NotGranted<'_> {
    fn execute(
        &mut self,
        sql: String,
        _params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<u64, wit::Error>> {
        Ok(Err(self.refuse_statement(Capability::DatabaseWrite, &sql)?))
    }
}

impl NotGranted<'_> {
    /// Refuses, whatever the statement is. It may have been granted since the call
    /// began; what is linked was decided then.
    fn refuse_statement(
        &mut self,
        capability: Capability,
        sql: &str,
    ) -> wasmtime::Result<wit::Error> {
        let execution = &mut *self.0;
        execution.enter_host()?;
        let checked =
            execution.charged(|execution| execution.check_statement(capability, sql).map(drop));
        let missing = match checked {
            Err(Outcome::Guest(error)) => return Ok(error),
            Err(Outcome::End(error)) => return Err(error),
            Ok(_) => Refusal {
                capability: capability.name().to_string(),
                target: String::new(),
                action: match capability {
                    Capability::DatabaseWrite => "write tables".to_string(),
                    _ => "read tables".to_string(),
                },
                grant: None,
            },
        };
        Ok(execution.refuse(vec![missing]))
    }
}

impl Execution {
    /// Works with SQLite at the guest's expense. Over a limit the call ends, whatever
    /// SQLite has made of it: it bears some refusals of memory in silence.
    fn charged<R>(
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

    /// From a request to its effect: checked, then permitted, then run, then recorded.
    fn request(
        &mut self,
        interface: Capability,
        sql: &str,
        params: &[wit::Value],
    ) -> Result<(Rows, u64), Outcome> {
        self.enter_host()?;
        self.host_bytes += sql.len() as u64;
        for _ in 0..SCHEMA_CHANGES_MAX {
            let mut checked = self.check_statement(interface, sql)?;
            let result = self.run(&mut checked, params);
            match result {
                // What was checked is forgotten, and the statement checked anew.
                Err(Ran::Statement(GuestFailure::Sqlite(failure)))
                    if failure::is_unauthorized(&failure) => {}
                result => {
                    let key = self.authority_key();
                    self.session.database.keep_prepared(key, sql, checked);
                    return result.map_err(|failure| self.run_failure(failure));
                }
            }
        }
        Err(invalid(
            "the tables changed while the statement ran: run it again",
        ))
    }

    /// The statement, prepared and permitted: from an earlier run, or now.
    fn check_statement(&mut self, interface: Capability, sql: &str) -> Result<Checked, Outcome> {
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
        if sql.len() > SQL_BYTES_MAX && self.meter.guards.holds(Guard::StatementBytes) {
            return Err(Outcome::Guest(wit::Error::Limit(wit::Excess {
                name: "sql_bytes".to_string(),
                allowed: SQL_BYTES_MAX as u64,
                requested: sql.len() as u64,
            })));
        }
        if sql.contains('\0') && self.meter.guards.holds(Guard::NulCharacters) {
            return Err(invalid("the statement contains a NUL character"));
        }
        let session = Arc::clone(&self.session);
        let (statement, access) = session
            .database
            .prepare_guest(sql, &self.meter)
            .map_err(|failure| self.prepare_failure(interface, sql, failure))?;
        let needs = self
            .needs(&access, sql)
            .map_err(|failure| Outcome::Guest(failed(&failure)))?;
        let mut permits = Vec::with_capacity(needs.len());
        let mut refusals = Vec::new();
        for need in &needs {
            match need.permit(self) {
                Some(permit) => {
                    permits.push((need.capability.name(), Arc::from(need.target()), permit));
                }
                None => refusals.push(need.refusal()),
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
            program_bytes,
            statement,
            summary,
            permits,
        })
    }

    fn run(&mut self, checked: &mut Checked, params: &[wit::Value]) -> Result<(Rows, u64), Ran> {
        let expected = checked.statement.values_needed().map_err(Ran::invalid)?;
        if params.len() != expected {
            return Err(Ran::invalid(&format!(
                "the statement has {expected} parameters and {} values were given",
                params.len()
            )));
        }
        for (capability, target, _) in &checked.permits {
            self.recorder.allowed(capability, target);
        }
        let writes = !checked.statement.is_read_only();
        let may_write = self
            .authority
            .capabilities()
            .contains(Capability::DatabaseWrite);
        let session = Arc::clone(&self.session);
        let meter = Arc::clone(&self.meter);
        let guards = meter.guards;
        let mut rows = Vec::new();
        let mut held = 0;
        let begun = session.database.begin_unit_within(&meter, may_write);
        begun.map_err(|error| Ran::End(self.fault(error)))?;
        let changes = session.database.run_guest(
            checked,
            params,
            &meter,
            |statement| -> Result<(), Ran> {
                rows.push(backend::read_row(statement, &mut held, guards)?);
                Ok(())
            },
        )?;
        self.host_bytes += held as u64;
        let summary = &checked.summary;
        if writes {
            self.recorder
                .wrote(summary, changes)
                .map_err(|error| Ran::End(self.fault(error)))?;
        } else {
            self.recorder
                .read(summary, rows.len() as u64)
                .map_err(|error| Ran::End(self.fault(error)))?;
        }
        Ok((
            Rows {
                columns: checked.statement.columns().to_vec(),
                rows,
            },
            changes,
        ))
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
                let need = |(schema, table)| Need::of_ordinary(interface, schema, table).refusal();
                let refusals = tables.into_iter().map(need).collect();
                Outcome::Guest(self.refuse(refusals))
            }
        }
    }

    fn guest_failure(&mut self, failure: GuestFailure) -> Outcome {
        match failure {
            GuestFailure::Forbidden(forbidden) => match forbidden {
                Forbidden::Ddl(what) => Outcome::Guest(self.refuse(vec![Refusal {
                    capability: "DATABASE_EXECUTE".to_string(),
                    action: what.clone(),
                    target: what,
                    grant: None,
                }])),
                Forbidden::Statement(what) => {
                    self.deny("", &what);
                    invalid(&format!("a procedure may not run {what}"))
                }
            },
            GuestFailure::TwoStatements => invalid("the text holds more than one statement"),
            GuestFailure::NoStatement => invalid("the text holds no statement"),
            GuestFailure::Sqlite(failure) => self.sqlite_failure(&failure),
        }
    }

    fn run_failure(&mut self, failure: Ran) -> Outcome {
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

    fn sqlite_failure(&self, failure: &Failure) -> Outcome {
        match failure::sqlstate(failure) {
            SqlState::SYNTAX => invalid(&failure.message),
            _ => Outcome::Guest(failed(failure)),
        }
    }
}

/// Why a run stopped.
enum Ran {
    /// It was not even begun.
    Invalid(wit::Error),
    Statement(GuestFailure),
    Row(RowFailure),
    End(wasmtime::Error),
}

impl Ran {
    fn invalid(message: &str) -> Ran {
        Ran::Invalid(wit::Error::Invalid(message.to_string()))
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
fn rolled_back(error: &wit::Error) -> Error {
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

fn invalid(message: &str) -> Outcome {
    Outcome::Guest(wit::Error::Invalid(message.to_string()))
}

fn failed(failure: &Failure) -> wit::Error {
    wit::Error::Failed(wit::Failure {
        sqlstate: failure::sqlstate(failure).as_str().to_string(),
        message: failure.message.clone(),
    })
}
