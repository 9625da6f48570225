//! Stored procedures in Rust, for a database that runs them as WebAssembly.
//!
//! A procedure is a `pub fn` of a module marked [`procedures`]. What it takes and
//! returns becomes the types of its SQL function; there is no interface file to
//! write.
//!
//! ```no_run
//! # #![allow(unused)]
//! #[heliosdb::procedures]
//! mod shop {
//!     use heliosdb::{FromRow, Result, database, params};
//!
//!     #[derive(FromRow)]
//!     pub struct Track {
//!         pub id: i64,
//!         pub name: String,
//!     }
//!
//!     pub fn find(id: i64) -> Result<Option<Track>> {
//!         let sql = "SELECT TrackId AS id, Name AS name FROM Track WHERE TrackId = ?";
//!         let row = database::query_one(sql, params![id])?;
//!         row.map(|row| row.read()).transpose()
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! The crate is a `cdylib` for `wasm32-unknown-unknown` whose linker is
//! `wasm-component-ld` (it comes with rustc), so in `.cargo/config.toml`:
//!
//! ```toml
//! [target.wasm32-unknown-unknown]
//! linker = "wasm-component-ld"
//! ```
//!
//! `cargo build --release --target wasm32-unknown-unknown` then writes a component
//! that imports what its procedures use and nothing else: its import list is what
//! it asks to be granted.
//!
//! Not for the host: on any other target the functions of [`database`], [`log`]
//! and [`time`] panic, so that a procedure's pure parts can be tested by
//! `cargo test`.

mod bindings;
mod error;
mod panic;
mod rows;
mod timestamp;
mod types;
mod value;

pub mod database;
pub mod log;
pub mod time;

pub use error::Result;
pub use rows::FromRow;
pub use types::{Decimal, Denial, Error, Excess, Failure, Json, Timestamp, Value};
pub use value::FromValue;

/// Exports every `pub fn` of a module as a procedure.
///
/// The module becomes an exported interface of the component, under its own name in
/// kebab-case; `top_track` of `mod shop` is `top-track` of `shop`. Each `pub struct`
/// becomes a record of that interface. What is not `pub` stays inside.
///
/// | Rust | SQL |
/// |---|---|
/// | `bool` | BOOLEAN |
/// | `i16`, `i32`, `i64` | SMALLINT, INTEGER, BIGINT |
/// | `f32`, `f64` | REAL, DOUBLE PRECISION |
/// | `String`, and `&str` as a parameter | TEXT |
/// | `Vec<u8>`, and `&[u8]` as a parameter | BYTEA |
/// | [`Json`], [`Timestamp`], [`Decimal`] | JSON, TIMESTAMP, NUMERIC |
/// | `Option<T>` | `T` or NULL |
/// | a `pub struct` of the module, a `Vec` of it | a row, a table |
///
/// A procedure returns one of these or nothing, plain or in a [`Result`]. Anything
/// else is a compile error where it stands:
///
/// ```compile_fail
/// #[heliosdb::procedures]
/// mod shop {
///     pub fn count() -> u64 { 0 }
/// }
/// ```
pub use heliosdb_macros::procedures;

/// Reads a struct's fields from the columns of their names: see the trait
/// [`FromRow`](trait@FromRow).
///
/// ```compile_fail
/// #[derive(heliosdb::FromRow)]
/// struct Pair(i64, i64);
/// ```
pub use heliosdb_macros::FromRow;

#[doc(hidden)]
pub mod __private {
    //! What the code that [`procedures`](crate::procedures) writes needs. Not an
    //! interface: it may change with any version.

    pub use crate::panic::install_hook;
    pub use wit_bindgen;

    pub mod types {
        //! The types of `heliosdb:host/types`, under the names that wit-bindgen uses.

        pub use crate::types::*;
    }
}
