//! Connections that wait for their function's next call: clean, or closed.

use super::connection::Connection;
use super::setup::GUEST_SETTINGS;
use super::{Patience, Postgres};
use crate::error::{Error, Result, SqlState};
use crate::limits::RESULT_BYTES_MAX;
use crate::postgres::connection::unreachable;
use crate::postgres::failure::Failure;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Connections by function.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<String, Vec<Connection>>>);

/// Connections that wait, of one vault: each is a process of the server's.
const IDLE_MAX: usize = 32;

/// What a row may take on the wire besides the largest result.
const MESSAGE_BYTES_MORE: usize = 1 << 20;

/// Undoes all that a session of the server's can keep from one transaction to the next.
/// Statements stay prepared: they are the host's, and no guest can make or name one.
const CLEAN: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
     SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP";

/// How long the end of a transaction may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Pool {
    /// Forgets those of functions that are gone.
    pub(super) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.lock().retain(|function, _| is_there(function));
    }

    fn take(&self, function: &str) -> Option<Connection> {
        let mut idle = self.lock();
        let connections = idle.get_mut(function)?;
        let mut taken = std::iter::from_fn(|| connections.pop());
        taken.find(Connection::is_usable)
    }

    fn put(&self, function: &str, connection: Connection) {
        let mut idle = self.lock();
        if idle.values().map(Vec::len).sum::<usize>() >= IDLE_MAX {
            // Rare enough that closing all of them is as good as choosing one.
            idle.clear();
        }
        let connections = idle.entry(function.to_string()).or_default();
        connections.push(connection);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Postgres {
    /// A connection as the function's role: one that waits, or a new one.
    pub(crate) fn connect(&self, function: &str, patience: Patience<'_>) -> Result<Connection> {
        if let Some(connection) = self.pool.take(function) {
            return Ok(connection);
        }
        self.connect_anew(function, patience).or_else(|error| {
            // The role may have been changed by somebody else, or may be missing because
            // the server could not be reached when it should have been made.
            match error.sqlstate() {
                SqlState::CANCELED => Err(error),
                _ => {
                    self.roles.forget_password(function);
                    self.bring_in_step()?;
                    self.connect_anew(function, patience)
                }
            }
        })
    }

    fn connect_anew(&self, function: &str, patience: Patience<'_>) -> Result<Connection> {
        let address = self.roles.address(function)?;
        let bytes_max = RESULT_BYTES_MAX + MESSAGE_BYTES_MORE;
        Connection::open(&address, GUEST_SETTINGS, bytes_max, patience).map_err(|failure| {
            match failure {
                Failure::Interrupted => {
                    Error::new(SqlState::CANCELED, "the server did not answer in time")
                }
                failure => unreachable(failure, &address),
            }
        })
    }

    /// Ends the transaction, and keeps the connection if nothing is left of it there.
    /// With `end` a COMMIT the error says that it failed.
    pub(super) fn end(&self, function: &str, mut connection: Connection, end: &str) -> Result<()> {
        let until = Patience::Until(Instant::now() + PATIENCE);
        let ended = connection.batches(end, CLEAN, until);
        match ended {
            Ok([ended, clean]) => {
                if clean.is_ok() && connection.is_usable() {
                    self.pool.put(function, connection);
                }
                ended.map_err(Failure::into_error)
            }
            Err(failure) => Err(Error::new(
                SqlState::UNKNOWN_OUTCOME,
                "the connection was lost at the end of the transaction: nobody can tell \
                 whether it was committed",
            )
            .with_cause(failure.into_error().cause().unwrap_or_default())),
        }
    }
}
