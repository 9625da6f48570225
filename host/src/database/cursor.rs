//! Cursors: a statement's rows in portions, so that neither the host nor the guest holds
//! more than one. `cursor` of the WIT interface `database-read`.

use super::backend::Checked;
use super::host::{Outcome, invalid, sort};
use super::open::OpenCursor;
use super::run::Portion;
use crate::bindings::heliosdb::host::database_read::{Cursor, HostCursor};
use crate::bindings::heliosdb::host::types as wit;
use crate::capability::Capability;
use crate::error::SqlState;
use crate::execution::Execution;
use crate::linker::NotGranted;
use std::sync::Arc;
use wasmtime::component::Resource;

/// What the host holds of a cursor's rows, but for the last one.
const PORTION_BYTES_MAX: usize = 1 << 20;

impl HostCursor for Execution {
    fn columns(
        &mut self,
        this: Resource<Cursor>,
    ) -> wasmtime::Result<Result<Vec<wit::Column>, wit::Error>> {
        sort(self.charged(|execution| {
            execution.enter_host()?;
            execution.check_cursor(this.rep())?;
            let cursor = execution.open.cursors.get(this.rep());
            Ok(cursor.ok_or_else(closed)?.columns.to_vec())
        }))
    }

    fn next(
        &mut self,
        this: Resource<Cursor>,
        count: u32,
    ) -> wasmtime::Result<Result<Vec<Vec<wit::Value>>, wit::Error>> {
        sort(self.charged(|execution| execution.next_rows(this.rep(), count)))
    }

    fn drop(&mut self, this: Resource<Cursor>) -> wasmtime::Result<()> {
        self.let_go(|execution| {
            if let Some(mut cursor) = execution.open.cursors.remove(this.rep()) {
                cursor.end(&execution.session.database);
            }
            Ok(())
        })
    }
}

/// Nobody has a handle of an interface that was not granted: nothing there makes one.
impl HostCursor for NotGranted<'_> {
    fn columns(
        &mut self,
        _: Resource<Cursor>,
    ) -> wasmtime::Result<Result<Vec<wit::Column>, wit::Error>> {
        self.refuse_use(Capability::DatabaseRead)
    }

    fn next(
        &mut self,
        _: Resource<Cursor>,
        _: u32,
    ) -> wasmtime::Result<Result<Vec<Vec<wit::Value>>, wit::Error>> {
        self.refuse_use(Capability::DatabaseRead)
    }

    fn drop(&mut self, _: Resource<Cursor>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl Execution {
    /// Opens a cursor: the statement runs up to its first row.
    pub(super) fn open_cursor(
        &mut self,
        sql: Arc<str>,
        ready: Option<Checked>,
        params: &[wit::Value],
    ) -> Result<Resource<Cursor>, Outcome> {
        self.open.check_cursors(self.meter.guards)?;
        let (started, checked) = self.attempt(
            Capability::DatabaseRead,
            &sql,
            ready,
            |execution, checked| execution.start_rows(checked, params),
        );
        let authority_key = self.authority_key();
        let mut cursor = OpenCursor {
            columns: checked
                .as_ref()
                .map_or(Arc::default(), |c| c.columns().into()),
            sql,
            authority_key,
            has_filters: self.authority.has_filters(),
            checked,
        };
        match started {
            Ok(true) => {}
            Ok(false) => cursor.end(&self.session.database),
            Err(failure) => {
                cursor.end(&self.session.database);
                return Err(failure);
            }
        }
        Ok(Resource::new_own(self.open.add_cursor(cursor)))
    }

    fn next_rows(&mut self, place: u32, count: u32) -> Result<Vec<Vec<wit::Value>>, Outcome> {
        self.enter_host()?;
        if count == 0 {
            return Err(invalid("a portion of a cursor has at least 1 row"));
        }
        self.check_cursor(place)?;
        let cursor = self.open.cursors.get(place).ok_or_else(closed)?;
        let Some(mut checked) = cursor.checked.take() else {
            return Ok(Vec::new());
        };
        let portion = Portion {
            rows_max: usize::try_from(count).unwrap_or(usize::MAX),
            bytes_max: PORTION_BYTES_MAX,
        };
        let fetched = self.fetch(&mut checked, portion);
        let cursor = self.open.cursors.get(place).ok_or_else(closed)?;
        cursor.checked = Some(checked);
        match fetched {
            Ok(fetched) if fetched.has_more => Ok(fetched.rows),
            Ok(fetched) => {
                cursor.end(&self.session.database);
                Ok(fetched.rows)
            }
            Err(failure) => {
                cursor.end(&self.session.database);
                Err(self.run_failure(failure))
            }
        }
    }

    /// Checks a cursor anew if the function's authority has changed. One that is refused
    /// is at its end, and so is one whose rows may be others now: it would go on with the
    /// rows that were granted when it was opened.
    fn check_cursor(&mut self, place: u32) -> Result<(), Outcome> {
        let authority_key = self.authority_key();
        let cursor = self.open.cursors.get(place).ok_or_else(closed)?;
        if cursor.authority_key == authority_key {
            return Ok(());
        }
        if cursor.has_filters || self.authority.has_filters() {
            cursor.end(&self.session.database);
            return Err(Outcome::Guest(changed_rows()));
        }
        let sql = Arc::clone(&cursor.sql);
        let checked = self.check_statement(Capability::DatabaseRead, &sql);
        let cursor = self.open.cursors.get(place).ok_or_else(closed)?;
        match checked {
            Ok(checked) => {
                cursor.authority_key = authority_key;
                let database = &self.session.database;
                database.keep_prepared(authority_key, &sql, checked);
                Ok(())
            }
            Err(failure) => {
                cursor.checked = None;
                Err(failure)
            }
        }
    }
}

fn changed_rows() -> wit::Error {
    wit::Error::Failed(wit::Failure {
        sqlstate: SqlState::SERIALIZATION.as_str().to_string(),
        message: "the rows that are granted may have changed: open the cursor again".to_string(),
    })
}

fn closed() -> Outcome {
    invalid("the cursor is closed")
}
