//! Runs a guest's statement that was checked, and records it: whole, or a portion of its
//! rows at a time.

use super::backend::{Checked, Database, GuestFailure, RowFailure, bind_all, read_row};
use super::host::{Outcome, Ran, rolled_back};
use super::transaction::Undone;
use crate::bindings::heliosdb::host::types as wit;
use crate::capability::Capability;
use crate::error::SqlState;
use crate::execution::Execution;
use crate::execution::meter::Meter;
use crate::limits::Exceeded;
use std::sync::Arc;

/// How much is read at once: whichever is reached first ends it, after a whole row.
#[derive(Clone, Copy)]
pub(super) struct Portion {
    pub(super) rows_max: usize,
    pub(super) bytes_max: usize,
}

/// What was read.
pub(super) struct Fetched {
    pub(super) rows: Vec<Vec<wit::Value>>,
    /// Whether the statement stands on another row.
    pub(super) has_more: bool,
}

/// What a writing statement did.
pub(super) struct Written {
    pub(super) fetched: Fetched,
    pub(super) affected_rows: u64,
    pub(super) last_insert_id: Option<i64>,
}

/// No row has it, but by mischief.
const NO_ROWID: i64 = i64::MIN;

impl Portion {
    /// As much as a result may have.
    pub(super) const ALL: Portion = Portion {
        rows_max: usize::MAX,
        bytes_max: usize::MAX,
    };

    pub(super) const fn rows(rows_max: usize) -> Portion {
        Portion {
            rows_max,
            ..Portion::ALL
        }
    }
}

impl Database {
    /// Runs a statement under the guest's limits: from its beginning with these values,
    /// or without any from the row on which it stands. `take` is told each row's bytes.
    /// Whoever lets it end resets it.
    pub(super) fn run_guest<E: From<GuestFailure> + From<RowFailure>>(
        &self,
        checked: &mut Checked,
        begin: Option<&[wit::Value]>,
        meter: &Arc<Meter>,
        portion: Portion,
        mut take: impl FnMut(usize) -> Result<(), Exceeded>,
    ) -> Result<Fetched, E> {
        let sqlite = |failure| E::from(GuestFailure::Sqlite(failure));
        let Checked {
            statement,
            kinds,
            value_bytes_max,
            ..
        } = checked;
        let mut work = || {
            let mut has_more = match begin {
                Some(params) => {
                    bind_all(statement, params).map_err(sqlite)?;
                    statement.step().map_err(sqlite)?
                }
                None => true,
            };
            let (mut rows, mut bytes) = (Vec::new(), 0);
            while has_more && rows.len() < portion.rows_max && bytes < portion.bytes_max {
                let before = bytes;
                rows.push(read_row(statement, kinds, &mut bytes, self.guards)?);
                take(bytes - before).map_err(RowFailure::TooLarge)?;
                has_more = statement.step().map_err(sqlite)?;
            }
            Ok(Fetched { rows, has_more })
        };
        self.limited(*value_bytes_max, || {
            self.within(meter, || self.gate.step(&mut work))
        })
    }

    /// Runs a writing statement to its end. The connection's last rowid is the client's
    /// and not the guest's.
    pub(super) fn write_guest<E: From<GuestFailure> + From<RowFailure>>(
        &self,
        checked: &mut Checked,
        params: &[wit::Value],
        meter: &Arc<Meter>,
        take: impl FnMut(usize) -> Result<(), Exceeded>,
    ) -> Result<Written, E> {
        let before = self.handle.last_insert_rowid();
        self.handle.set_last_insert_rowid(NO_ROWID);
        let fetched = self.run_guest::<E>(checked, Some(params), meter, Portion::ALL, take);
        let affected_rows = self.handle.changes();
        let last_insert_id = self.handle.last_insert_rowid();
        self.handle.set_last_insert_rowid(before);
        checked.statement.reset();
        Ok(Written {
            fetched: fetched?,
            affected_rows,
            last_insert_id: Some(last_insert_id).filter(|id| *id != NO_ROWID),
        })
    }
}

impl Execution {
    /// Whatever runs begins here: its values are counted, its permits recorded, and the
    /// unit of the call's work begun.
    fn begin(&mut self, checked: &Checked, params: &[wit::Value]) -> Result<(), Ran> {
        self.check_count(checked, params)?;
        for (capability, target, _) in &checked.permits {
            self.recorder.allowed(capability, target);
        }
        let capabilities = self.authority.capabilities();
        let may_write = capabilities.contains(Capability::DatabaseWrite);
        let database = &self.session.database;
        let begun = database.begin_unit_within(&self.meter, may_write);
        begun.map_err(|error| Ran::End(self.fault(error)))
    }

    fn check_count(&mut self, checked: &Checked, params: &[wit::Value]) -> Result<(), Ran> {
        let counted = checked.check_count(params);
        counted.map_err(|message| Ran::Invalid(self.malformed(message)))
    }

    /// All rows.
    pub(super) fn read_all(
        &mut self,
        checked: &mut Checked,
        params: &[wit::Value],
    ) -> Result<Vec<Vec<wit::Value>>, Ran> {
        let fetched = self.read(checked, params, Portion::ALL);
        checked.statement.reset();
        Ok(fetched?.rows)
    }

    /// The only row, if there is one.
    pub(super) fn read_one(
        &mut self,
        checked: &mut Checked,
        params: &[wit::Value],
    ) -> Result<Option<Vec<wit::Value>>, Ran> {
        let fetched = self.read(checked, params, Portion::rows(1));
        checked.statement.reset();
        let mut fetched = fetched?;
        match fetched.has_more {
            true => Err(Ran::Invalid(more_than_one_row())),
            false => Ok(fetched.rows.pop()),
        }
    }

    /// Moves to the first row; whether there is one.
    pub(super) fn start_rows(
        &mut self,
        checked: &mut Checked,
        params: &[wit::Value],
    ) -> Result<bool, Ran> {
        let fetched = self.read(checked, params, Portion::rows(0))?;
        Ok(fetched.has_more)
    }

    fn read(
        &mut self,
        checked: &mut Checked,
        params: &[wit::Value],
        portion: Portion,
    ) -> Result<Fetched, Ran> {
        self.begin(checked, params)?;
        let (database, meter) = (&self.session.database, &self.meter);
        let take = self.carried.taker(&self.function.limits);
        let fetched = database.run_guest::<Ran>(checked, Some(params), meter, portion, take)?;
        self.record_read(checked, 1, &fetched)?;
        Ok(fetched)
    }

    /// The next rows of a statement that was started.
    pub(super) fn fetch(
        &mut self,
        checked: &mut Checked,
        portion: Portion,
    ) -> Result<Fetched, Ran> {
        let (database, meter) = (&self.session.database, &self.meter);
        let take = self.carried.taker(&self.function.limits);
        let fetched = database.run_guest::<Ran>(checked, None, meter, portion, take)?;
        self.record_read(checked, 0, &fetched)?;
        Ok(fetched)
    }

    fn record_read(&mut self, checked: &Checked, runs: u64, fetched: &Fetched) -> Result<(), Ran> {
        let rows = fetched.rows.len() as u64;
        let recorded = self.recorder.read(&checked.summary, runs, rows);
        recorded.map_err(|error| Ran::End(self.fault(error)))?;
        self.check_recorded().map_err(Ran::End)
    }

    pub(super) fn write(
        &mut self,
        checked: &mut Checked,
        params: &[wit::Value],
    ) -> Result<wit::Effect, Ran> {
        self.begin(checked, params)?;
        let database = &self.session.database;
        let take = self.carried.taker(&self.function.limits);
        let written = database.write_guest::<Ran>(checked, params, &self.meter, take)?;
        let affected_rows = written.affected_rows;
        self.record_write(checked, 1, affected_rows)?;
        Ok(wit::Effect {
            affected_rows,
            last_insert_id: written.last_insert_id,
            returned: wit::Rows {
                columns: checked.statement.columns().to_vec(),
                rows: written.fetched.rows,
            },
        })
    }

    /// Once for each list of values, all of them or none.
    pub(super) fn write_batch(
        &mut self,
        checked: &mut Checked,
        lists: &[Vec<wit::Value>],
    ) -> Result<u64, Ran> {
        let Some(first) = lists.first() else {
            return Ok(0);
        };
        for params in lists {
            self.check_count(checked, params)?;
        }
        self.begin(checked, first)?;
        let session = Arc::clone(&self.session);
        let written = session.database.as_one(|| {
            let mut affected_rows = 0;
            for params in lists {
                let take = self.carried.taker(&self.function.limits);
                let database = &session.database;
                let written = database.write_guest::<Ran>(checked, params, &self.meter, take)?;
                affected_rows += written.affected_rows;
            }
            Ok(affected_rows)
        });
        let affected_rows = match written {
            Ok(affected_rows) => affected_rows,
            Err(Undone::All(failure)) => return Err(failure),
            Err(Undone::Nothing(failure)) => return Err(self.end_over(failure)),
            Err(Undone::Fault(error)) => return Err(Ran::End(self.fault(error))),
        };
        self.record_write(checked, lists.len() as u64, affected_rows)?;
        Ok(affected_rows)
    }

    /// Inside a statement that writes no part of it can be undone: it fails as a whole.
    fn end_over(&mut self, failure: Ran) -> Ran {
        match self.run_failure(failure) {
            Outcome::Guest(error) => Ran::End(self.fault(rolled_back(&error))),
            Outcome::End(error) => Ran::End(error),
        }
    }

    fn record_write(&mut self, checked: &Checked, runs: u64, rows: u64) -> Result<(), Ran> {
        let recorded = self.recorder.wrote(&checked.summary, runs, rows);
        recorded.map_err(|error| Ran::End(self.fault(error)))?;
        self.check_recorded().map_err(Ran::End)
    }
}

fn more_than_one_row() -> wit::Error {
    wit::Error::Failed(wit::Failure {
        sqlstate: SqlState::CARDINALITY.as_str().to_string(),
        message: "the query returned more than one row".to_string(),
    })
}
