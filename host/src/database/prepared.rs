//! Statements that a guest prepares once and runs often: `statement` of both WIT
//! interfaces. A handle gives no right: what it stands for is checked anew as soon as the
//! function's authority has changed.

use super::backend::Checked;
use super::host::{Outcome, Ran, sort};
use super::open::OpenStatement;
use crate::bindings::heliosdb::host::database_read::Statement as ReadStatement;
use crate::bindings::heliosdb::host::database_read::{Cursor, HostStatement as ReadHandle};
use crate::bindings::heliosdb::host::database_write::HostStatement as WriteHandle;
use crate::bindings::heliosdb::host::database_write::Statement as WriteStatement;
use crate::bindings::heliosdb::host::types as wit;
use crate::capability::Capability;
use crate::execution::Execution;
use crate::linker::NotGranted;
use std::sync::Arc;
use wasmtime::component::Resource;

/// What a WIT function of a resource returns.
type Reply<T> = wasmtime::Result<Result<T, wit::Error>>;

impl ReadHandle for Execution {
    fn columns(&mut self, this: Resource<ReadStatement>) -> Reply<Vec<wit::Column>> {
        if let Some(sql) = self.text_on_postgres(this.rep()) {
            return self.postgres_columns(&sql);
        }
        sort(self.charged(|execution| {
            execution.run_open(this.rep(), |_, checked| Ok(checked.columns()))
        }))
    }

    fn query(
        &mut self,
        this: Resource<ReadStatement>,
        params: Vec<wit::Value>,
    ) -> Reply<Vec<Vec<wit::Value>>> {
        if let Some(sql) = self.text_on_postgres(this.rep()) {
            let answer = self.postgres_query(&sql, &params)?;
            return Ok(answer.map(|rows| rows.rows));
        }
        sort(self.charged(|execution| {
            execution.run_open(this.rep(), |execution, checked| {
                execution.read_all(checked, &params)
            })
        }))
    }

    fn query_one(
        &mut self,
        this: Resource<ReadStatement>,
        params: Vec<wit::Value>,
    ) -> Reply<Option<Vec<wit::Value>>> {
        if let Some(sql) = self.text_on_postgres(this.rep()) {
            let answer = self.postgres_query_one(&sql, &params)?;
            return Ok(answer.map(|row| row.map(|row| row.values)));
        }
        sort(self.charged(|execution| {
            execution.run_open(this.rep(), |execution, checked| {
                execution.read_one(checked, &params)
            })
        }))
    }

    fn stream(
        &mut self,
        this: Resource<ReadStatement>,
        params: Vec<wit::Value>,
    ) -> Reply<Resource<Cursor>> {
        if let Some(sql) = self.text_on_postgres(this.rep()) {
            return self.postgres_cursor(&sql);
        }
        sort(self.charged(|execution| execution.stream_open(this.rep(), &params)))
    }

    fn drop(&mut self, this: Resource<ReadStatement>) -> wasmtime::Result<()> {
        self.let_go(|execution| {
            execution.drop_statement(this.rep());
            Ok(())
        })
    }
}

impl WriteHandle for Execution {
    fn execute(
        &mut self,
        this: Resource<WriteStatement>,
        params: Vec<wit::Value>,
    ) -> Reply<wit::Effect> {
        if let Some(sql) = self.text_on_postgres(this.rep()) {
            return self.postgres_execute(&sql, &params);
        }
        sort(self.charged(|execution| {
            execution.run_open(this.rep(), |execution, checked| {
                execution.write(checked, &params)
            })
        }))
    }

    fn execute_batch(
        &mut self,
        this: Resource<WriteStatement>,
        params: Vec<Vec<wit::Value>>,
    ) -> Reply<u64> {
        if let Some(sql) = self.text_on_postgres(this.rep()) {
            return self.postgres_execute_batch(&sql, &params);
        }
        sort(self.charged(|execution| {
            execution.run_open(this.rep(), |execution, checked| {
                execution.write_batch(checked, &params)
            })
        }))
    }

    fn drop(&mut self, this: Resource<WriteStatement>) -> wasmtime::Result<()> {
        self.let_go(|execution| {
            execution.drop_statement(this.rep());
            Ok(())
        })
    }
}

/// Nobody has a handle of an interface that was not granted: nothing there makes one.
impl ReadHandle for NotGranted<'_> {
    fn columns(&mut self, _: Resource<ReadStatement>) -> Reply<Vec<wit::Column>> {
        self.refuse_use(Capability::DatabaseRead)
    }

    fn query(
        &mut self,
        _: Resource<ReadStatement>,
        _: Vec<wit::Value>,
    ) -> Reply<Vec<Vec<wit::Value>>> {
        self.refuse_use(Capability::DatabaseRead)
    }

    fn query_one(
        &mut self,
        _: Resource<ReadStatement>,
        _: Vec<wit::Value>,
    ) -> Reply<Option<Vec<wit::Value>>> {
        self.refuse_use(Capability::DatabaseRead)
    }

    fn stream(
        &mut self,
        _: Resource<ReadStatement>,
        _: Vec<wit::Value>,
    ) -> Reply<Resource<Cursor>> {
        self.refuse_use(Capability::DatabaseRead)
    }

    fn drop(&mut self, _: Resource<ReadStatement>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl WriteHandle for NotGranted<'_> {
    fn execute(&mut self, _: Resource<WriteStatement>, _: Vec<wit::Value>) -> Reply<wit::Effect> {
        self.refuse_use(Capability::DatabaseWrite)
    }

    fn execute_batch(
        &mut self,
        _: Resource<WriteStatement>,
        _: Vec<Vec<wit::Value>>,
    ) -> Reply<u64> {
        self.refuse_use(Capability::DatabaseWrite)
    }

    fn drop(&mut self, _: Resource<WriteStatement>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl Execution {
    /// Prepares a statement that stays open.
    pub(super) fn prepare_open(
        &mut self,
        interface: Capability,
        sql: String,
    ) -> Result<u32, Outcome> {
        self.enter_host()?;
        self.carry(sql.len())?;
        self.open.check_statements(self.meter.guards)?;
        let checked = match self.is_on_postgres() {
            true => {
                self.postgres_look(interface, &sql)??;
                None
            }
            false => Some(self.check_statement(interface, &sql)?),
        };
        Ok(self.open.add_statement(OpenStatement {
            sql: Arc::from(sql),
            interface,
            authority_key: self.authority_key(),
            checked,
        }))
    }

    /// What an open statement is of, where it is the server that runs it.
    fn text_on_postgres(&mut self, place: u32) -> Option<Arc<str>> {
        if !self.is_on_postgres() {
            return None;
        }
        let statement = self.open.statements.get(place);
        Some(statement.map_or_else(|| Arc::from(""), |statement| Arc::clone(&statement.sql)))
    }

    /// Runs a statement that is open.
    fn run_open<R>(
        &mut self,
        place: u32,
        run: impl FnMut(&mut Execution, &mut Checked) -> Result<R, Ran>,
    ) -> Result<R, Outcome> {
        self.enter_host()?;
        let (interface, sql, ready) = self.ready_statement(place)?;
        let (result, checked) = self.attempt(interface, &sql, ready, run);
        let authority_key = self.authority_key();
        match self.open.statements.get(place) {
            Some(statement) => {
                statement.authority_key = authority_key;
                statement.checked = checked;
            }
            None => return Err(super::host::invalid("the statement is closed")),
        }
        result
    }

    /// Runs it as a cursor, which takes it along until it is done.
    fn stream_open(
        &mut self,
        place: u32,
        params: &[wit::Value],
    ) -> Result<Resource<Cursor>, Outcome> {
        self.enter_host()?;
        let (_, sql, ready) = self.ready_statement(place)?;
        self.open_cursor(sql, ready, params)
    }

    /// What an open statement is of, ready to be run if that may still be done.
    fn ready_statement(
        &mut self,
        place: u32,
    ) -> Result<(Capability, Arc<str>, Option<Checked>), Outcome> {
        let authority_key = self.authority_key();
        let Some(statement) = self.open.statements.get(place) else {
            return Err(super::host::invalid("the statement is closed"));
        };
        let checked = statement.checked.take();
        let is_current = statement.authority_key == authority_key;
        Ok((
            statement.interface,
            Arc::clone(&statement.sql),
            checked.filter(|_| is_current),
        ))
    }

    fn drop_statement(&mut self, place: u32) {
        if let Some(statement) = self.open.statements.remove(place)
            && let Some(checked) = statement.checked
        {
            let database = &self.session.database;
            database.keep_prepared(statement.authority_key, &statement.sql, checked);
        }
    }
}
