//! A vault: the tenant and the isolation boundary. It has its own database, catalog
//! and audit log; nothing in this crate reaches data without one.

mod server;

use crate::admission::Share;
use crate::audit::{self, Log, Verified};
use crate::catalog::Catalog;
use crate::database::temporary::FILE_SYSTEM;
use crate::engine::Origin;
use crate::error::{Error, Result, SqlState};
use crate::function::{Code, Function};
use crate::guard::{Guard, Guards};
use crate::limits::STACK_CLASSES_BYTES;
use crate::linker::Ready;
use crate::postgres::{Postgres, PostgresUrl};
use crate::runtime::{Runtime, RuntimeCore};
use crate::session::Session;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Where a vault is.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In memory: it ends with the last handle to the vault.
    Memory,
    /// In a directory, which is made if need be.
    Directory(PathBuf),
    /// On a PostgreSQL server, with functions, grants and the audit log in a directory,
    /// which is made if need be.
    ///
    /// The server must have been set up ([`set_up_postgres`](crate::set_up_postgres)); if
    /// it is not as it must be, it is refused (55000). Tables are made, and read by
    /// clients, as the role of the URL. A call waits for the server on its own thread: one
    /// that belongs to an asynchronous runtime must be one that may block.
    Postgres {
        /// Where the vault's own files are.
        directory: PathBuf,
        /// Where the tables are.
        database: PostgresUrl,
    },
}

/// A handle to an open vault. Clones share it.
#[derive(Clone)]
pub struct Vault(Arc<VaultCore>);

pub(crate) struct VaultCore {
    pub(crate) runtime: Arc<RuntimeCore>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) log: Arc<Log>,
    /// Where the tables are, unless they are in a file here.
    pub(crate) postgres: Option<Arc<Postgres>>,
    /// Its part of the places for calls.
    pub(crate) share: Arc<Share>,
    place: Place,
}

/// Where the data is, and what keeps it there.
enum Place {
    /// A database in memory lives as long as some connection to it.
    Memory {
        uri: String,
        _anchor: Mutex<Connection>,
    },
    Directory {
        database: PathBuf,
        _lock: DirectoryLock,
    },
    /// What runs here is in memory, and holds no data.
    Server {
        uri: String,
        _anchor: Mutex<Connection>,
        _lock: DirectoryLock,
    },
}

/// What keeps other processes out of a directory: its lock lies on this file.
struct DirectoryLock(std::fs::File);

/// Who calls, where nothing says who else it is.
const OWNER: &str = "owner";

/// The layout of the directory that this version writes.
const FORMAT: &str = "perihelion 1\n";

impl Vault {
    pub(crate) fn open(runtime: &Arc<RuntimeCore>, storage: Storage) -> Result<Vault> {
        let guards = runtime.engine.guards;
        let place = match &storage {
            Storage::Memory => open_memory()?,
            Storage::Directory(directory) => open_directory(directory, guards)?,
            Storage::Postgres { directory, .. } => open_server(directory, guards)?,
        };
        let (catalog, log) = match &storage {
            Storage::Memory => (None, None),
            Storage::Directory(directory) | Storage::Postgres { directory, .. } => (
                Some(directory.join("catalog.db")),
                Some(directory.join("audit")),
            ),
        };
        let engine = runtime.javascript.hash();
        let recompile = runtime.recompile();
        let catalog = Catalog::open(catalog.as_deref(), &engine, &recompile, guards)?;
        let catalog = Arc::new(catalog);
        let postgres = match &storage {
            Storage::Postgres {
                directory,
                database,
            } => {
                let id = server::vault_id(directory)?;
                let postgres = Postgres::open(database, &id, &catalog)?;
                server::note(directory, &id)?;
                Some(Arc::new(postgres))
            }
            _ => None,
        };
        Ok(Vault(Arc::new(VaultCore {
            catalog,
            postgres,
            log: Log::open_guarded(log.as_deref(), guards)?,
            share: Share::new(),
            runtime: Arc::clone(runtime),
            place,
        })))
    }

    /// Opens a session of the vault's owner.
    pub fn session(&self) -> Result<Session> {
        self.session_as(OWNER)
    }

    /// Opens a session for a caller, whose name the audit log shows. Every session may
    /// do what the owner may.
    pub fn session_as(&self, caller: &str) -> Result<Session> {
        Session::open(&self.0, caller)
    }

    /// Checks every entry of the audit log, and that each follows from the one before.
    pub fn verify_audit_log(&self) -> Result<Verified> {
        self.0.log.verify()
    }
}

/// Checks an audit log that no process has open: `audit` in a vault's directory.
pub fn verify_audit_log(directory: &Path) -> Result<Verified> {
    audit::verify(directory)
}

impl VaultCore {
    /// A new connection to the data, as every session has it.
    pub(crate) fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = match &self.place {
            Place::Memory { uri, .. } | Place::Server { uri, .. } => open_database(uri)?,
            Place::Directory { database, .. } => open_database(database)?,
        };
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        for (option, value) in [
            // "x" is a name and never a string.
            (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
            (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
            (
                DbConfig::SQLITE_DBCONFIG_DEFENSIVE,
                self.runtime.engine.guards.holds(Guard::DefensiveSchema),
            ),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            // No statement is planned anew for the values that are bound to it: what runs
            // is what was checked.
            (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
        ] {
            connection.set_db_config(option, value)?;
        }
        Ok(connection)
    }

    /// The function's component with what is granted to it linked.
    pub(crate) fn linked(&self, function: &Function) -> Result<Arc<Ready>> {
        if let Some(ready) = function.linked.get() {
            return Ok(ready);
        }
        let ready = self.link(function)?;
        function.linked.set(&ready);
        Ok(ready)
    }

    /// Lets go of the code of a function that was replaced or dropped, unless another one
    /// of this vault has the same. One of another vault links it anew.
    pub(crate) fn forget_replaced(&self, before: &Function) -> Result<()> {
        let Code::Component { hash, .. } = &before.code else {
            return Ok(());
        };
        let functions = self.catalog.functions();
        match functions.iter().any(|now| now.content_hash() == *hash) {
            true => Ok(()),
            false => self.runtime.forget_code(hash),
        }
    }

    fn link(&self, function: &Function) -> Result<Arc<Ready>> {
        let RuntimeCore {
            engine,
            javascript,
            linked,
            ..
        } = &*self.runtime;
        let hash = match &function.code {
            Code::JavaScript { .. } => javascript.hash(),
            Code::Component { hash, .. } | Code::Aggregate { hash, .. } => *hash,
        };
        let capabilities = function.authority.capabilities();
        let [.., largest] = STACK_CLASSES_BYTES;
        let stack_bytes = function.limits.stack_bytes;
        let stack_bytes = engine.guards.bound(Guard::Stack, stack_bytes, largest);
        let key = (hash, capabilities, stack_bytes);
        linked.get(engine, key, || match &function.code {
            Code::JavaScript { .. } => javascript.component(engine),
            Code::Aggregate { .. } => Err(Error::internal("an aggregate has no code")),
            Code::Component { hash, .. } => {
                let bytes = || self.catalog.content(hash);
                engine.component(hash, &function.name, Origin::Upload, bytes)
            }
        })
    }
}

impl Runtime {
    /// A vault in memory, for tests and trials.
    pub fn vault_in_memory(&self) -> Result<Vault> {
        self.vault(Storage::Memory)
    }
}

#[expect(clippy::disallowed_methods, reason = "the vault's own database")]
fn open_database(path: impl AsRef<Path>) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags_and_vfs(path, flags, FILE_SYSTEM)
}

fn open_memory() -> Result<Place> {
    let (uri, anchor) = open_anchor()?;
    Ok(Place::Memory {
        uri,
        _anchor: Mutex::new(anchor),
    })
}

/// The directory of a vault whose tables are elsewhere.
fn open_server(directory: &Path, guards: Guards) -> Result<Place> {
    let lock = open_own_files(directory, &["catalog.db"], guards)?;
    server::refuse_sqlite(directory)?;
    let (uri, anchor) = open_anchor()?;
    Ok(Place::Server {
        uri,
        _anchor: Mutex::new(anchor),
        _lock: lock,
    })
}

/// The database's name must be one that no other vault of this process has.
#[expect(clippy::disallowed_methods, reason = "a name that cannot be guessed")]
fn open_anchor() -> Result<(String, Connection)> {
    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::new(SqlState::IO, "no randomness").with_cause(error))?;
    let name = blake3::hash(&random).to_hex();
    let uri = format!("file:/perihelion-{name}?vfs=memdb");
    let anchor = open_database(&uri).map_err(Error::internal)?;
    Ok((uri, anchor))
}

fn open_directory(directory: &Path, guards: Guards) -> Result<Place> {
    let lock = open_own_files(directory, &["data.db", "catalog.db"], guards)?;
    server::refuse_postgres(directory)?;
    Ok(Place::Directory {
        database: directory.join("data.db"),
        _lock: lock,
    })
}

/// Makes what is missing, and locks the directory.
fn open_own_files(directory: &Path, files: &[&str], guards: Guards) -> Result<DirectoryLock> {
    let unusable = |error: std::io::Error| {
        Error::new(
            SqlState::IO,
            format!(
                "the data directory \"{}\" cannot be used: {}",
                directory.display(),
                error.kind()
            ),
        )
        .with_cause(error)
    };
    make_directory(directory).map_err(unusable)?;
    let lock = lock(directory, guards)?;
    check_format(directory, &lock.0)?;
    for file in files {
        make_private_file(&directory.join(file)).map_err(unusable)?;
    }
    Ok(lock)
}

fn make_directory(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    #[expect(clippy::disallowed_methods, reason = "the vault's own directory")]
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// SQLite gives the files beside a database the mode of the database's own.
#[expect(clippy::disallowed_methods, reason = "the vault's own files")]
fn make_private_file(path: &Path) -> std::io::Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(())
}

/// The lock is the operating system's: it ends with the process, however that ends.
#[expect(clippy::disallowed_methods, reason = "the vault's own lock")]
fn lock(directory: &Path, guards: Guards) -> Result<DirectoryLock> {
    let path = directory.join("format");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| {
        Error::new(SqlState::IO, "the data directory cannot be locked").with_cause(error)
    })?;
    let alone = match guards.holds(Guard::DirectoryLock) {
        true => rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive),
        false => Ok(()),
    };
    alone.map_err(|_| {
        Error::new(
            SqlState::IN_USE,
            format!("the data directory \"{}\" is in use", directory.display()),
        )
        .with_detail("one process at a time has it open")
    })?;
    Ok(DirectoryLock(file.into()))
}

/// A child process that is just being started shares the file, as it does the log's.
impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // If this fails, the lock ends with the last copy of the file.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

fn check_format(directory: &Path, mut file: &std::fs::File) -> Result<()> {
    let broken = |error: std::io::Error| {
        Error::new(SqlState::IO, "the data directory's format cannot be read").with_cause(error)
    };
    let mut text = String::new();
    file.take(100).read_to_string(&mut text).map_err(broken)?;
    match text.as_str() {
        FORMAT => Ok(()),
        "" => file
            .write_all(FORMAT.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(broken),
        other => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "\"{}\" has the format \"{}\"; this version reads \"{}\"",
                directory.display(),
                other.trim_end(),
                FORMAT.trim_end()
            ),
        )),
    }
}
