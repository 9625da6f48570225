//! A client's statements where the data is on PostgreSQL: which of them go to the server,
//! on the owner's connection, and which run here.
//!
//! The server knows neither the functions nor the views of schema `heliosdb`. A query of
//! those alone runs on an empty SQLite database here; one that mixes them with the
//! server's tables is refused.

use super::manage::check_filters;
use super::{Notice, Outcome, Session, SessionCore, Severity};
use crate::capability::Grant;
use crate::error::{Error, Result, SqlState};
use crate::postgres::{self, Connection, Failure, Names, Postgres, State};
use crate::types::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The client's side of a session.
#[derive(Default)]
pub(crate) struct Client(Mutex<ClientState>);

#[derive(Default)]
struct ClientState {
    /// Opened by the first statement that needs it.
    connection: Option<Connection>,
    /// Whether tables may have come or gone since the roles were brought in step.
    has_changed_tables: bool,
}

/// Where a statement runs.
#[derive(PartialEq, Eq, Debug)]
enum Place {
    Here,
    Server,
}

/// How the session writes EXPLAIN (ANALYZE), whatever the client wrote.
pub(super) const EXPLAIN_ANALYZE: &str = "EXPLAIN (ANALYZE) ";

/// Statements that make and drop no tables. All others are taken to.
const CHANGE_NO_TABLES: [&str; 14] = [
    "BEGIN",
    "START",
    "DELETE",
    "EXPLAIN",
    "INSERT",
    "MERGE",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
    "SELECT",
    "SHOW",
    "UPDATE",
    "VALUES",
    "SET",
];

impl Client {
    fn lock(&self) -> MutexGuard<'_, ClientState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client's transaction block is open.
    pub(crate) fn state(&self) -> State {
        let client = self.lock();
        let connection = client.connection.as_ref();
        connection.map_or(State::Idle, Connection::state)
    }
}

impl SessionCore {
    /// Whether the client has a transaction open at the server.
    pub(crate) fn client_state(&self) -> State {
        self.client.state()
    }

    /// Makes permanent what guests wrote.
    pub(crate) fn commit_unit(&self) -> Result<()> {
        if let Some(postgres) = &self.vault.postgres {
            self.units.commit(postgres)?;
        }
        self.database.commit_unit()
    }

    /// Undoes what guests wrote.
    pub(crate) fn roll_back_unit(&self) {
        if let Some(postgres) = &self.vault.postgres {
            self.units.roll_back(postgres);
        }
        self.database.roll_back_unit();
    }
}

impl Session {
    /// Whether tables are on a PostgreSQL server, and not in a file of SQLite's.
    pub fn is_on_postgres(&self) -> bool {
        self.core.vault.postgres.is_some()
    }

    /// Runs a statement on the server, if that is where it belongs.
    pub(super) fn run_on_postgres(
        &mut self,
        sql: &str,
        command: &str,
        params: &[Value],
    ) -> Option<Result<Outcome>> {
        let postgres = Arc::clone(self.core.vault.postgres.as_ref()?);
        match self.place(sql) {
            Ok(Place::Here) => None,
            Ok(Place::Server) => Some(self.run_there(&postgres, sql, command, params)),
            Err(error) => Some(Err(error)),
        }
    }

    /// Brings the functions' roles in step with the catalog. What cannot be done now is
    /// tried again when the function next needs it.
    pub(super) fn bring_roles_in_step(&self) {
        let Some(postgres) = &self.core.vault.postgres else {
            return;
        };
        if let Err(error) = postgres.bring_in_step() {
            tracing::error!(?error, "the roles of functions are not in step");
            let text = format!(
                "the roles of functions could not be brought in step: {}",
                error.message()
            );
            let notice = Notice::new(Severity::Warning, text);
            self.core.notice(match error.hint() {
                Some(hint) => notice.with_hint(hint),
                None => notice,
            });
        }
    }

    /// What is granted must be what the database can hold a function to.
    pub(super) fn check_filters(&self, grants: &[Grant]) -> Result<()> {
        let has_filter = |grant: &&Grant| grant.pattern().is_some_and(|p| p.filter.is_some());
        match grants.iter().find(has_filter) {
            Some(grant) if self.is_on_postgres() => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("{grant}: grants of some rows are not built for PostgreSQL"),
            )
            .with_hint("grant a view that the database's administrator made of these rows")),
            _ => check_filters(grants),
        }
    }

    fn place(&self, sql: &str) -> Result<Place> {
        let Some(names) = postgres::names(sql) else {
            // Of the host's own views SQLite may understand what the parser does not.
            let is_ours = sql.to_ascii_lowercase().contains("heliosdb.");
            return Ok(if is_ours { Place::Here } else { Place::Server });
        };
        let catalog = &self.core.vault.catalog;
        let function = names
            .functions
            .iter()
            .find(|name| catalog.function(name).is_some());
        let is_view = |schema: &Option<String>| schema.as_deref() == Some("heliosdb");
        let has_views = names.tables.iter().any(|name| is_view(&name.schema));
        let table = names.tables.iter().find(|name| !is_view(&name.schema));
        match (function, table) {
            (None, _) if !has_views => Ok(Place::Server),
            (_, None) if names.is_query || sql.starts_with(EXPLAIN_ANALYZE) => Ok(Place::Here),
            (Some(function), _) => Err(mixed(&format!("function \"{function}\""), &names)),
            (None, _) => Err(mixed("the views of schema \"heliosdb\"", &names)),
        }
    }

    fn run_there(
        &mut self,
        postgres: &Postgres,
        sql: &str,
        command: &str,
        params: &[Value],
    ) -> Result<Outcome> {
        let mut client = self.core.client.lock();
        let result = client.run(postgres, sql, command, params);
        let notices = client.connection.as_ref().map(Connection::take_notices);
        for text in notices.unwrap_or_default() {
            self.core.notice(Notice::new(Severity::Notice, text));
        }
        let is_done = client
            .connection
            .as_ref()
            .is_none_or(|connection| connection.state() == State::Idle);
        let must_step = is_done && std::mem::take(&mut client.has_changed_tables);
        drop(client);
        if must_step {
            self.bring_roles_in_step();
        }
        result.map_err(|error| self.explain_undefined(error))
    }

    /// A function of ours is none of the server's, wherever it stands.
    fn explain_undefined(&self, error: Error) -> Error {
        match error.sqlstate() {
            SqlState::UNDEFINED_FUNCTION => error.with_detail(
                "the server knows no functions of this catalog: call them in a statement of \
                 their own, without tables",
            ),
            _ => error,
        }
    }
}

impl ClientState {
    fn run(
        &mut self,
        postgres: &Postgres,
        sql: &str,
        command: &str,
        params: &[Value],
    ) -> Result<Outcome> {
        let first_word = command.split(' ').next().unwrap_or_default();
        self.has_changed_tables |= !CHANGE_NO_TABLES.contains(&first_word);
        if self.connection.as_ref().is_none_or(Connection::is_closed) {
            self.connection = Some(postgres.connect_owner()?);
        }
        let Some(connection) = &mut self.connection else {
            return Err(Error::internal("no connection"));
        };
        let changes = matches!(first_word, "INSERT" | "UPDATE" | "DELETE" | "MERGE");
        let mut outcome =
            postgres::run_for_client(connection, sql, params).map_err(Failure::into_error)?;
        outcome.command = command.to_string();
        if !changes {
            outcome.affected = None;
        }
        Ok(outcome)
    }
}

fn mixed(what: &str, names: &Names) -> Error {
    let error = Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{what} cannot be used in one statement with tables on PostgreSQL"),
    );
    match names.functions.is_empty() {
        true => error.with_hint("ask for both in two statements"),
        false => error.with_hint(
            "SELECT f(1); or CALL f(1); calls it: let the function itself read the tables",
        ),
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The server rolls back what is open.
        self.lock().connection = None;
    }
}
