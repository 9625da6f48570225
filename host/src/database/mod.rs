//! Tables: capabilities `DATABASE_READ` and `DATABASE_WRITE`, on SQLite.

pub(crate) mod access;
pub(crate) mod backend;
pub(crate) mod builtin;
mod comparing;
pub(crate) mod failure;
pub(crate) mod grant;
mod host;
pub(crate) mod memory;
mod need;
pub(crate) mod sqlite;
pub(crate) mod temporary;
mod unseen;
