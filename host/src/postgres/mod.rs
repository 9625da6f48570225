//! Data on PostgreSQL. The catalog and the audit log stay in the vault's directory.
//!
//! A function logs in as a role of its own, which has exactly the privileges that its
//! grants give: the server is the boundary. What is refused here is refused for better
//! words, for the log, and as a second lock.

mod address;
mod analysis;
mod builtin;
mod client;
pub(crate) mod connection;
mod failure;
mod host;
mod numeric;
mod pool;
mod request;
mod roles;
mod setup;
mod statements;
mod stream;
mod text;
mod unit;
mod value;

pub use address::PostgresUrl;
pub use setup::{postgres_setup_sql, set_up_postgres};

pub(crate) use address::Address;
pub(crate) use analysis::{Names, names};
pub(crate) use builtin::is_builtin;
pub(crate) use client::run_for_client;
pub(crate) use connection::{Connection, Patience};
pub(crate) use failure::Failure;
pub(crate) use roles::random_hex;
pub(crate) use statements::Statements;
pub(crate) use stream::State;
pub(crate) use unit::{Part, Units};

use crate::catalog::Catalog;
use crate::error::Result;
use std::sync::Arc;

/// The server behind a vault.
pub(crate) struct Postgres {
    address: Address,
    catalog: Arc<Catalog>,
    roles: roles::Roles,
    pool: pool::Pool,
}

/// The longest message of a client's own connection: whatever the server can send.
const CLIENT_MESSAGE_BYTES_MAX: usize = i32::MAX as usize;

impl Postgres {
    /// Connects as the owner, and brings the roles in step with the catalog.
    pub(crate) fn open(
        url: &PostgresUrl,
        vault_id: &str,
        catalog: &Arc<Catalog>,
    ) -> Result<Postgres> {
        let address = url.address().clone();
        let postgres = Postgres {
            roles: roles::Roles::open(&address, vault_id)?,
            address,
            catalog: Arc::clone(catalog),
            pool: pool::Pool::default(),
        };
        postgres.bring_in_step()?;
        Ok(postgres)
    }

    /// Makes the roles what the catalog and the tables make necessary now.
    pub(crate) fn bring_in_step(&self) -> Result<()> {
        self.roles.bring_in_step(&self.catalog.functions())?;
        let is_there = |name: &str| self.catalog.function(name).is_some();
        self.pool.retain(is_there);
        Ok(())
    }

    /// A connection for a client, as the owner.
    pub(crate) fn connect_owner(&self) -> Result<Connection> {
        Connection::open(
            &self.address,
            setup::HOST_SETTINGS,
            CLIENT_MESSAGE_BYTES_MAX,
            Patience::Unlimited,
        )
        .map_err(|failure| connection::unreachable(failure, &self.address))
    }
}
