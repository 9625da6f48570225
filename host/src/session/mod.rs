//! A session: one client's connection to a vault, which executes its statements one
//! after the other.

mod aggregates;
mod conditions;
pub(crate) mod core;
mod dependents;
mod explain;
mod functions;
mod manage;
mod policies;
mod postgres;
mod tables;
mod upload;

use self::core::SessionCore;
use crate::database::access::Access;
use crate::database::backend::Database;
use crate::database::builtin;
use crate::database::failure::client_error;
use crate::database::rows;
use crate::database::sqlite::{Bound, Column, Statement as Prepared};
use crate::error::{Error, Result, SqlState};
use crate::function::Kind;
use crate::guard::Guard;
use crate::postgres::State;
use crate::statement::{self, Statement};
use crate::types::Value;
use crate::vault::VaultCore;
use crate::{audit, views};
use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

/// One client's connection to a vault.
///
/// A session belongs to one thread at a time, and a call stays on it from start to
/// end: the thread's CPU clock is the call's.
pub struct Session {
    // Dropped before the connection, which its statements belong to.
    core: Arc<SessionCore>,
    connection: rusqlite::Connection,
    /// The catalog's version that the connection's functions are in step with.
    functions_version: u64,
    /// The database's own functions, once they were asked for.
    builtin_names: OnceCell<HashSet<String>>,
    /// Whether SQLite has rolled back the client's transaction block, which the client
    /// has not ended yet: what followed would commit by itself.
    block_has_failed: bool,
}

/// What a statement did.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// The kind of statement: `SELECT`, `CREATE FUNCTION`.
    pub command: String,
    /// The names of the result's columns; none for a statement without a result.
    pub columns: Vec<String>,
    /// The result's rows, one value a column.
    pub rows: Vec<Vec<Value>>,
    /// The rows that an INSERT, UPDATE or DELETE changed.
    pub affected: Option<u64>,
    /// Messages for the caller.
    pub notices: Vec<Notice>,
}

/// A message beside a result.
#[derive(Clone, PartialEq, Debug)]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// What it says.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How much a notice matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// For who debugs a function.
    Debug,
    /// A function's own information.
    Info,
    /// The host's remark about a statement.
    Notice,
    /// Something that may be wrong.
    Warning,
}

impl Notice {
    pub(crate) fn new(severity: Severity, message: impl Into<String>) -> Notice {
        Notice {
            severity,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Notice {
        self.hint = Some(hint.into());
        self
    }
}

impl Severity {
    /// The word that PostgreSQL's clients show.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Debug => "DEBUG",
            Severity::Info => "INFO",
            Severity::Notice => "NOTICE",
            Severity::Warning => "WARNING",
        }
    }
}

impl Session {
    pub(crate) fn open(vault: &Arc<VaultCore>, caller: &str) -> Result<Session> {
        let unusable = |cause: rusqlite::Error| {
            Error::new(SqlState::IO, "the database cannot be opened").with_cause(cause)
        };
        let mut connection = vault.connect().map_err(unusable)?;
        views::attach(&connection, &vault.catalog, &vault.log).map_err(unusable)?;
        audit::register(&connection, Arc::clone(&vault.log)).map_err(unusable)?;
        let database =
            Database::new(&mut connection, vault.runtime.engine.guards).map_err(unusable)?;
        let core = Arc::new(SessionCore::new(Arc::clone(vault), caller, database));
        rows::register(&connection, &core.caller).map_err(unusable)?;
        let mut session = Session {
            core,
            connection,
            functions_version: 0,
            builtin_names: OnceCell::new(),
            block_has_failed: false,
        };
        session.register_functions()?;
        Ok(session)
    }

    /// Executes one statement.
    pub fn execute(&mut self, sql: &str) -> Result<Outcome> {
        self.execute_with(sql, &[])
    }

    /// Executes one statement with values for its parameters, `?` or `$1`.
    pub fn execute_with(&mut self, sql: &str, params: &[Value]) -> Result<Outcome> {
        let mut statements = statement::split(sql);
        let (Some(first), None) = (
            statements.next().transpose()?,
            statements.next().transpose()?,
        ) else {
            return Err(Error::new(SqlState::SYNTAX, "one statement is expected")
                .with_hint("execute_script runs several"));
        };
        self.run(first, params)
    }

    /// Executes statements until one fails; `on_outcome` gets what each one did.
    pub fn execute_script(
        &mut self,
        text: &str,
        mut on_outcome: impl FnMut(Outcome),
    ) -> Result<()> {
        for sql in statement::split(text) {
            on_outcome(self.run(sql?, &[])?);
        }
        Ok(())
    }

    /// Calls a function, as a statement of its own.
    pub fn call(&mut self, function: &str, arguments: &[Value]) -> Result<Value> {
        self.refuse_in_failed_block()?;
        let function = self.core.vault.catalog.expect(function)?;
        if function.kind == Kind::Condition {
            return self.core.decide(&function, arguments);
        }
        core::refuse_table(&function)?;
        let arguments = core::coerce_arguments(&function, arguments.to_vec())
            .map_err(|error| self.core.record_refused(&function, error))?;
        if function.strict && arguments.contains(&Value::Null) {
            return Ok(Value::Null);
        }
        let in_transaction = self.in_transaction();
        // The call's own unit begins with its first statement.
        let mut running = self.core.start(&function)?;
        let result = running.invoke(&arguments);
        let committed = match &result {
            Ok(_) => running
                .before_commit()
                .and_then(|()| self.core.commit_unit()),
            Err(_) => Ok(()),
        };
        let error = result.as_ref().err().cloned().or(committed.err());
        if error.is_some() {
            self.core.roll_back_unit();
        }
        let error = running.finish(error);
        // An index may have called functions of its own for what was written.
        match self.core.end_statement(error) {
            Some(error) => Err(self.fail_block(error, in_transaction)),
            None => result,
        }
    }

    /// Messages that came since they were last taken: those of a statement that failed.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.core.take_notices()
    }

    /// Whether a transaction block is open; one that has failed is, until its end.
    pub fn in_transaction(&self) -> bool {
        self.block_has_failed
            || self.core.database.in_transaction()
            || self.core.client_state() != State::Idle
    }

    fn run(&mut self, sql: &str, params: &[Value]) -> Result<Outcome> {
        self.register_functions()?;
        let statement = statement::parse_for(sql, self.is_on_postgres())?;
        if !matches!(statement, Statement::Sql { .. }) {
            self.refuse_in_failed_block()?;
        }
        let changes_catalog = !matches!(
            statement,
            Statement::Sql { .. } | Statement::Call { .. } | Statement::ExplainAnalyze { .. }
        );
        let mut outcome = match statement {
            Statement::Sql { text, command } => self.run_sql(&text, command, params),
            Statement::Call {
                function,
                call,
                explain,
            } => {
                let what = self.core.call_prefix(&function.folded);
                let (sql, command) = (format!("{what}{call}"), "CALL".to_string());
                match explain {
                    false => self.run_sql(&sql, command, params),
                    true => self.explain_analyze(&sql, command, params),
                }
            }
            Statement::ExplainAnalyze { text, command } => {
                let there = format!("{}{text}", postgres::EXPLAIN_ANALYZE);
                match self.run_on_postgres(&there, "EXPLAIN", params) {
                    Some(outcome) => outcome,
                    None => self.explain_analyze(&text, command, params),
                }
            }
            Statement::CreateFunction(create) => self.create_function(create),
            Statement::CreateAggregate(create) => self.create_aggregate(create),
            Statement::AlterFunction {
                kind,
                name,
                alteration,
            } => self.alter_function(kind, &name, alteration),
            Statement::DropFunction {
                kind,
                name,
                if_exists,
            } => self.drop_function(kind, &name, if_exists),
            Statement::CreatePolicy {
                name,
                entries,
                or_replace,
            } => self.create_policy(&name, &entries, or_replace),
            Statement::AlterPolicy { name, entries } => self.alter_policy(&name, &entries),
            Statement::DropPolicy { name, if_exists } => self.drop_policy(&name, if_exists),
        }?;
        if changes_catalog {
            self.bring_roles_in_step();
        }
        outcome.notices = self.take_notices();
        Ok(outcome)
    }

    /// A statement of the database's own, in which our functions may be used.
    fn run_sql(&mut self, sql: &str, command: String, params: &[Value]) -> Result<Outcome> {
        if let Some(outcome) = self.run_on_postgres(sql, &command, params) {
            return outcome;
        }
        let database = &self.core.database;
        let (prepared, access) = database.gate.as_client(|| database.handle.prepare(sql));
        if self.block_has_failed {
            let ends = access.ends_transaction
                && matches!(&prepared, Ok((Some(statement), _)) if !statement.is_explain());
            drop(prepared);
            return self.end_failed_block(ends);
        }
        if let Some(why) = access.refused {
            return Err(Error::new(SqlState::DENIED, why));
        }
        let (statement, _) = prepared.map_err(|failure| self.explain(client_error(failure)))?;
        let Some(mut statement) = statement else {
            return Err(Error::new(SqlState::SYNTAX, "the statement is empty"));
        };
        // A COMMIT that fails may have ended the block all the same.
        let in_transaction = self.in_transaction() && !access.ends_transaction;
        if let Err(error) = self.begin_if_needed(&access) {
            self.core.database.roll_back_unit();
            return Err(error);
        }
        let (result, _) = self
            .core
            .database
            .gate
            .as_client(|| run_statement(&self.core.database, &mut statement, command, params));
        drop(statement);
        let committed = match &result {
            Ok(_) => self
                .core
                .before_commit()
                .and_then(|()| self.core.commit_unit()),
            Err(_) => Ok(()),
        };
        let error = result.as_ref().err().cloned().or(committed.err());
        if error.is_some() {
            self.core.roll_back_unit();
        }
        match self.core.end_statement(error) {
            Some(error) => Err(self.fail_block(error, in_transaction)),
            None => result,
        }
    }

    /// Over an interrupted write, for one, SQLite rolls back the client's transaction
    /// and not only the statement. The block then fails, as blocks do in PostgreSQL.
    fn fail_block(&mut self, error: Error, was_in_transaction: bool) -> Error {
        let fails = self.core.guards().holds(Guard::FailedBlocks);
        if !fails
            || self.is_on_postgres()
            || !was_in_transaction
            || self.core.database.in_transaction()
        {
            return error;
        }
        self.block_has_failed = true;
        error.with_hint("the transaction block was rolled back: end it with ROLLBACK")
    }

    fn refuse_in_failed_block(&self) -> Result<()> {
        if !self.block_has_failed {
            return Ok(());
        }
        Err(Error::new(
            SqlState::FAILED_TRANSACTION,
            "current transaction is aborted, commands ignored until end of transaction block",
        )
        .with_hint("ROLLBACK;"))
    }

    /// COMMIT ends it, too, and there is nothing left to commit.
    fn end_failed_block(&mut self, ends: bool) -> Result<Outcome> {
        if !ends {
            self.refuse_in_failed_block()?;
        }
        self.block_has_failed = false;
        Ok(Outcome {
            command: "ROLLBACK".to_string(),
            ..Outcome::default()
        })
    }

    /// A statement with functions that touch tables is one unit together with them.
    fn begin_if_needed(&self, access: &Access) -> Result<()> {
        let mut touches = false;
        let mut writes = false;
        let mut uses_ours = false;
        for name in access.functions.iter().chain(&access.row_functions) {
            if builtin::lookup(name).is_some() {
                continue;
            }
            uses_ours = true;
            let catalog = &self.core.vault.catalog;
            let Some(function) = catalog.function_in_any_case(name) else {
                continue;
            };
            let parts = function.parts().filter_map(|part| catalog.function(part));
            for function in parts.chain([Arc::clone(&function)]) {
                let capabilities = function.authority.capabilities();
                use crate::capability::Capability;
                writes |= capabilities.contains(Capability::DatabaseWrite);
                touches |= writes || capabilities.contains(Capability::DatabaseRead);
            }
        }
        let defines = access.defines && uses_ours;
        if touches || defines {
            self.core.database.begin_unit(writes || defines)?;
        }
        // Now that the lock is had, no function changes that an index may rely on.
        if defines && self.core.vault.catalog.version() != self.functions_version {
            return Err(Error::new(
                SqlState::SERIALIZATION,
                "functions changed meanwhile: run the statement again",
            ));
        }
        Ok(())
    }

    /// Adds what SQLite cannot know: a near name among our functions.
    fn explain(&self, error: Error) -> Error {
        match error.message().strip_prefix("no such function: ") {
            Some(name) => match self.core.vault.catalog.expect(&name.to_ascii_lowercase()) {
                Err(ours) => ours,
                Ok(_) => error,
            },
            None => error,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.core.end_statement(None);
        self.core.roll_back_unit();
        self.core.database.close();
    }
}

fn run_statement(
    database: &Database,
    statement: &mut Prepared,
    command: String,
    params: &[Value],
) -> Result<Outcome> {
    let expected = statement
        .values_needed()
        .map_err(|why| Error::new(SqlState::SYNTAX, why))?;
    if params.len() != expected {
        return Err(Error::new(
            SqlState::SYNTAX,
            format!(
                "the statement has {expected} parameters and {} values were given",
                params.len()
            ),
        ));
    }
    for (index, value) in params.iter().enumerate() {
        bind(statement, index, value).map_err(client_error)?;
    }
    let mut rows = Vec::new();
    while statement.step().map_err(client_error)? {
        let row = (0..statement.columns().len()).map(|index| value(statement.column(index)));
        rows.push(row.collect::<Result<_>>()?);
    }
    let changes = matches!(command.as_str(), "INSERT" | "UPDATE" | "DELETE" | "REPLACE");
    Ok(Outcome {
        affected: changes.then(|| database.handle.changes()),
        columns: statement.columns().to_vec(),
        command,
        rows,
        notices: Vec::new(),
    })
}

fn bind(
    statement: &mut Prepared,
    index: usize,
    value: &Value,
) -> Result<(), crate::database::sqlite::Failure> {
    match value {
        Value::Null => statement.bind(index, Bound::Null),
        Value::Boolean(b) => statement.bind(index, Bound::Integer((*b).into())),
        Value::Integer(n) => statement.bind(index, Bound::Integer(*n)),
        Value::Real(x) => statement.bind(index, Bound::Real(*x)),
        Value::Text(text) | Value::Decimal(text) | Value::Json(text) => {
            statement.bind(index, Bound::Text(text))
        }
        Value::Blob(bytes) => statement.bind(index, Bound::Blob(bytes)),
        Value::Timestamp(microseconds) => statement.bind(
            index,
            Bound::Text(&crate::types::format_timestamp(*microseconds)),
        ),
    }
}

fn value(column: Column<'_>) -> Result<Value> {
    Ok(match column {
        Column::Null => Value::Null,
        Column::Integer(n) => Value::Integer(n),
        Column::Real(x) => Value::Real(x),
        Column::Text(text) => {
            Value::Text(String::from_utf8(text.to_vec()).map_err(|_| {
                Error::new(SqlState::BAD_TEXT, "the result is text that is not UTF-8")
            })?)
        }
        Column::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}
