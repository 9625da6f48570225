//! Transactions of a guest's: savepoints inside the unit that its call is. `transaction`
//! of the WIT interface `database-write`.

use super::backend::Database;
use super::host::{Outcome, invalid, sort};
use super::open::OpenTransaction;
use crate::bindings::heliosdb::host::database_write::{HostTransaction, Transaction};
use crate::bindings::heliosdb::host::types as wit;
use crate::capability::Capability;
use crate::error::{Result as HostResult, SqlState};
use crate::execution::{Execution, Refusal};
use crate::linker::NotGranted;
use crate::postgres::Part;
use rusqlite::ffi;
use std::sync::Arc;
use wasmtime::component::Resource;

/// Why there is no savepoint.
pub(super) enum NoSavepoint {
    /// A statement that writes is running: it is the unit.
    StatementWrites,
    Fault(crate::error::Error),
}

/// What was undone of work that failed.
pub(super) enum Undone<E> {
    All(E),
    /// It was part of a statement that writes.
    Nothing(E),
    Fault(crate::error::Error),
}

impl Database {
    /// Works in a savepoint: if it fails, nothing of it remains, as far as there can be
    /// one.
    pub(super) fn as_one<R, E>(&self, work: impl FnOnce() -> Result<R, E>) -> Result<R, Undone<E>> {
        const NAME: &str = "heliosdb_part";
        match self.begin_savepoint(NAME) {
            Ok(()) => {}
            Err(NoSavepoint::StatementWrites) => return work().map_err(Undone::Nothing),
            Err(NoSavepoint::Fault(error)) => return Err(Undone::Fault(error)),
        }
        match work() {
            Ok(result) => {
                let committed = self.commit_savepoint(NAME);
                committed.map(|()| result).map_err(Undone::Fault)
            }
            Err(failure) => {
                let undone = self.roll_back_savepoint(NAME);
                undone.map_err(Undone::Fault)?;
                Err(Undone::All(failure))
            }
        }
    }

    pub(super) fn begin_savepoint(&self, name: &str) -> Result<(), NoSavepoint> {
        let begun = self
            .gate
            .as_host(|| self.handle.run(&format!("SAVEPOINT {name}")));
        begun.map_err(|failure| match failure.code & 0xff {
            // No lock is needed for it: that is all that it can wait for.
            ffi::SQLITE_BUSY => NoSavepoint::StatementWrites,
            _ => NoSavepoint::Fault(super::failure::client_error(failure)),
        })
    }

    pub(super) fn commit_savepoint(&self, name: &str) -> HostResult<()> {
        self.run_host(&format!("RELEASE {name}"))
    }

    /// If SQLite has rolled back everything by itself, there is nothing left to undo.
    pub(super) fn roll_back_savepoint(&self, name: &str) -> HostResult<()> {
        if self.unit_is_lost() {
            return Ok(());
        }
        self.run_host(&format!("ROLLBACK TO {name}"))?;
        self.run_host(&format!("RELEASE {name}"))
    }
}

impl HostTransaction for Execution {
    fn commit(&mut self, this: Resource<Transaction>) -> wasmtime::Result<Result<(), wit::Error>> {
        sort(self.charged(|execution| execution.commit_transaction(this.rep())))
    }

    fn roll_back(
        &mut self,
        this: Resource<Transaction>,
    ) -> wasmtime::Result<Result<(), wit::Error>> {
        sort(self.charged(|execution| {
            execution.enter_host()?;
            match execution.place_of(this.rep()) {
                Some(place) => execution.roll_back_from(place),
                None => Err(ended()),
            }
        }))
    }

    fn drop(&mut self, this: Resource<Transaction>) -> wasmtime::Result<()> {
        self.let_go(|execution| match execution.place_of(this.rep()) {
            Some(place) => execution.roll_back_from(place),
            None => Ok(()),
        })
    }
}

/// Nobody has a handle of an interface that was not granted: nothing there makes one.
impl HostTransaction for NotGranted<'_> {
    fn commit(&mut self, _: Resource<Transaction>) -> wasmtime::Result<Result<(), wit::Error>> {
        self.refuse_use(Capability::DatabaseWrite)
    }

    fn roll_back(&mut self, _: Resource<Transaction>) -> wasmtime::Result<Result<(), wit::Error>> {
        self.refuse_use(Capability::DatabaseWrite)
    }

    fn drop(&mut self, _: Resource<Transaction>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl Execution {
    pub(super) fn begin_transaction(&mut self) -> Result<Resource<Transaction>, Outcome> {
        self.enter_host()?;
        let may_write = self.authority.capabilities();
        if !may_write.contains(Capability::DatabaseWrite) {
            let missing = Refusal::of_all(Capability::DatabaseWrite);
            return Err(Outcome::Guest(self.refuse(vec![missing])));
        }
        self.open.check_transactions(self.meter.guards)?;
        if self.is_on_postgres() {
            return self.begin_on_postgres();
        }
        let session = Arc::clone(&self.session);
        session
            .database
            .begin_unit_within(&self.meter, true)
            .map_err(|error| Outcome::End(self.fault(error)))?;
        let id = self.open.name_transaction();
        match session.database.begin_savepoint(&name(id)) {
            Ok(()) => {}
            Err(NoSavepoint::StatementWrites) => return Err(refused_in_statement()),
            Err(NoSavepoint::Fault(error)) => return Err(Outcome::End(self.fault(error))),
        }
        let writes_before = self.recorder.writes();
        self.open
            .transactions
            .push(OpenTransaction { id, writes_before });
        Ok(Resource::new_own(id))
    }

    fn begin_on_postgres(&mut self) -> Result<Resource<Transaction>, Outcome> {
        let id = self.open.name_transaction();
        let begun = self.postgres_part(Part::Begin(&name(id)));
        begun.map_err(|error| Outcome::End(self.fault(error)))?;
        let writes_before = self.recorder.writes();
        self.open
            .transactions
            .push(OpenTransaction { id, writes_before });
        Ok(Resource::new_own(id))
    }

    fn commit_transaction(&mut self, id: u32) -> Result<(), Outcome> {
        self.enter_host()?;
        let place = self.place_of(id).ok_or_else(ended)?;
        if place + 1 < self.open.transactions.len() {
            return Err(invalid(
                "a transaction that was begun inside this one has not ended",
            ));
        }
        let committed = match self.is_on_postgres() {
            true => self.postgres_part(Part::Commit(&name(id))),
            false => self.session.database.commit_savepoint(&name(id)),
        };
        committed.map_err(|error| Outcome::End(self.fault(error)))?;
        self.open.transactions.truncate(place);
        Ok(())
    }

    /// Rolls back a transaction and those inside it. What they wrote is in the log, and
    /// so is that it was undone.
    fn roll_back_from(&mut self, place: usize) -> Result<(), Outcome> {
        let Some(OpenTransaction { id, writes_before }) = self.open.transactions.get(place) else {
            return Ok(());
        };
        let (id, has_written) = (*id, self.recorder.writes() > *writes_before);
        self.open.transactions.truncate(place);
        let undone = match self.is_on_postgres() {
            true => self.postgres_part(Part::RollBack(&name(id))),
            false => self.session.database.roll_back_savepoint(&name(id)),
        };
        let recorded = undone.and_then(|()| match has_written {
            true => self.recorder.rolled_back(),
            false => Ok(()),
        });
        recorded.map_err(|error| Outcome::End(self.fault(error)))
    }

    fn place_of(&self, id: u32) -> Option<usize> {
        let open = &self.open.transactions;
        open.iter().position(|transaction| transaction.id == id)
    }

    /// What a guest leaves open when its function returns ends: cursors, and
    /// transactions, which are rolled back.
    pub(crate) fn end_invocation(&mut self) -> wasmtime::Result<()> {
        if self.open.is_settled() {
            return Ok(());
        }
        self.let_go(|execution| {
            execution.open.end_cursors(&execution.session.database);
            execution.roll_back_from(0)
        })
    }

    /// Transactions end where a guest hands over some rows of a table and stays: they are
    /// rolled back. Its cursors stay.
    pub(crate) fn end_transactions(&mut self) -> wasmtime::Result<()> {
        if self.open.is_settled() {
            return Ok(());
        }
        self.let_go(|execution| execution.roll_back_from(0))
    }

    /// Closes what a guest no longer holds: it gets back what was charged for that.
    pub(super) fn let_go(
        &mut self,
        close: impl FnOnce(&mut Execution) -> Result<(), Outcome>,
    ) -> wasmtime::Result<()> {
        match self.charged(close) {
            Err(Outcome::End(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

fn name(id: u32) -> String {
    format!("heliosdb_{id}")
}

fn ended() -> Outcome {
    invalid("the transaction has ended")
}

pub(super) fn refused_in_statement() -> Outcome {
    Outcome::Guest(wit::Error::Failed(wit::Failure {
        sqlstate: SqlState::FEATURE_NOT_SUPPORTED.as_str().to_string(),
        message: "a transaction cannot begin inside a statement that writes: that statement is \
                  the unit"
            .to_string(),
    }))
}
