//! The WIT functions of tables, on PostgreSQL. What is granted, and what stays open, is
//! the same as on SQLite, in `database/`: its functions come here.

use super::request::{Answered, Unmet, sort};
use super::unit::Answer;
use super::value;
use crate::bindings::heliosdb::host::database_read::Cursor;
use crate::bindings::heliosdb::host::types as wit;
use crate::capability::Capability;
use crate::error::SqlState;
use crate::execution::Execution;
use wasmtime::component::Resource;

impl Execution {
    pub(crate) fn postgres_query(
        &mut self,
        sql: &str,
        params: &[wit::Value],
    ) -> Answered<wit::Rows> {
        let answer = self.postgres_run(Capability::DatabaseRead, sql, &[params]);
        sort(answer.map(rows))
    }

    pub(crate) fn postgres_query_one(
        &mut self,
        sql: &str,
        params: &[wit::Value],
    ) -> Answered<Option<wit::Row>> {
        let answer = self.postgres_run(Capability::DatabaseRead, sql, &[params]);
        sort(answer.and_then(|answer| {
            let wit::Rows { columns, mut rows } = rows(answer);
            let last = rows.pop();
            match rows.is_empty() {
                true => Ok(last.map(|values| wit::Row { columns, values })),
                false => Err(Unmet::Guest(failed(
                    SqlState::CARDINALITY,
                    "the query returned more than one row",
                ))),
            }
        }))
    }

    pub(crate) fn postgres_execute(
        &mut self,
        sql: &str,
        params: &[wit::Value],
    ) -> Answered<wit::Effect> {
        let answer = self.postgres_run(Capability::DatabaseWrite, sql, &[params]);
        sort(answer.map(|answer| wit::Effect {
            affected_rows: answer.count,
            last_insert_id: None,
            returned: rows(answer),
        }))
    }

    pub(crate) fn postgres_execute_batch(
        &mut self,
        sql: &str,
        lists: &[Vec<wit::Value>],
    ) -> Answered<u64> {
        if lists.is_empty() {
            return Ok(Ok(0));
        }
        let lists: Vec<&[wit::Value]> = lists.iter().map(Vec::as_slice).collect();
        let answer = self.postgres_run(Capability::DatabaseWrite, sql, &lists);
        sort(answer.map(|answer| answer.count))
    }

    pub(crate) fn postgres_columns(&mut self, sql: &str) -> Answered<Vec<wit::Column>> {
        sort(self.postgres_describe(sql))
    }

    /// A cursor would have to outlive the savepoint of the statements beside it.
    pub(crate) fn postgres_cursor(&mut self, sql: &str) -> Answered<Resource<Cursor>> {
        self.enter_host()?;
        let looked = self.postgres_look(Capability::DatabaseRead, sql)?;
        Ok(Err(looked.err().unwrap_or_else(|| {
            failed(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cursors are not built for PostgreSQL: query with LIMIT, in portions",
            )
        })))
    }

    pub(crate) fn postgres_change(&mut self) -> Answered<()> {
        self.enter_host()?;
        Ok(Err(failed(
            SqlState::FEATURE_NOT_SUPPORTED,
            "changing the schema from a procedure is not built for PostgreSQL",
        )))
    }
}

fn rows(answer: Answer) -> wit::Rows {
    let rows = answer.rows.into_iter();
    wit::Rows {
        columns: answer.columns,
        rows: rows
            .map(|row| row.into_iter().map(value::into_wit).collect())
            .collect(),
    }
}

fn failed(state: SqlState, message: &str) -> wit::Error {
    wit::Error::Failed(wit::Failure {
        sqlstate: state.as_str().to_string(),
        message: message.to_string(),
    })
}
