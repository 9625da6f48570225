//! Tables: capabilities `DATABASE_READ`, `DATABASE_WRITE` and `DATABASE_EXECUTE`, on SQLite.

pub(crate) mod access;
pub(crate) mod backend;
pub(crate) mod builtin;
mod comparing;
mod cursor;
mod ddl;
pub(crate) mod failure;
pub(crate) mod grant;
mod host;
pub(crate) mod memory;
mod need;
pub(crate) mod open;
mod pattern;
mod prepared;
pub(crate) mod rows;
mod run;
pub(crate) mod sqlite;
pub(crate) mod temporary;
mod text;
mod transaction;
mod typed;
mod unreported;
mod unseen;
