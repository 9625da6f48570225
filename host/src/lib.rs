//! Perihelion runs stored procedures as WebAssembly components next to the data.
//!
//! SQL creates them, grants decide what they may touch, limits bound what they may
//! use, and a hash-chained log records every decision. This crate is the host, to be
//! embedded: it prints nothing, reads no environment, and has no global state.
//!
//! ```
//! use perihelion::{Runtime, Storage, Value};
//!
//! # fn main() -> perihelion::Result<()> {
//! # let cache = std::env::temp_dir().join("perihelion-doc-cache");
//! let runtime = Runtime::builder().cache_directory(cache).build()?;
//! let vault = runtime.vault(Storage::Memory)?;
//! let mut session = vault.session()?;
//!
//! session.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")?;
//! session.execute("INSERT INTO users VALUES (1, 'Ada')")?;
//! session.execute(
//!     "CREATE FUNCTION greet(id BIGINT) RETURNS TEXT LANGUAGE javascript AS $$
//!        function greet(id) {
//!          const [user] = heliosdb.query('SELECT name FROM users WHERE id = ?', [id]).rows;
//!          return `Hello, ${user.name}`;
//!        }
//!      $$",
//! )?;
//!
//! let refused = session.call("greet", &[Value::Integer(1)]).unwrap_err();
//! assert_eq!(refused.sqlstate().as_str(), "42501");
//! session.execute(refused.hint().unwrap())?; // ALTER FUNCTION greet GRANT CAPABILITY …
//! assert_eq!(session.call("greet", &[Value::Integer(1)])?, Value::Text("Hello, Ada".into()));
//! # Ok(())
//! # }
//! ```

mod admission;
mod audit;
mod bindings;
mod capability;
mod catalog;
mod component;
mod condition;
mod constants;
mod database;
mod drive;
mod engine;
mod error;
mod execution;
mod function;
mod guard;
mod instance;
mod javascript;
mod limits;
mod linker;
mod log;
mod policy;
mod postgres;
mod runtime;
mod session;
mod signature;
mod statement;
mod syscall;
mod time;
mod types;
mod vault;
mod views;
mod violations;
mod wasi;

pub use audit::Verified;
pub use capability::{Capability, Grant};
pub use component::{Inspection, inspect};
pub use condition::{Decision, Failure, FailureKind, Verdict};
pub use database::grant::TablePattern;
pub use engine::{CompileLimits, compile_worker};
pub use error::{Error, Result, SqlState};
#[cfg(feature = "remove-guards")]
pub use guard::Guard;
pub use postgres::{PostgresUrl, postgres_setup_sql, set_up_postgres};
pub use runtime::{Builder, Runtime};
pub use session::{Notice, Outcome, Session, Severity};
pub use statement::{Statements, is_complete, split};
pub use types::{SqlType, Value};
pub use vault::{Storage, Vault, verify_audit_log};
