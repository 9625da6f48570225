//! The catalog: which functions exist, their versions, and their grants.
//!
//! A SQLite file of its own beside the data, so that a REVOKE never waits for a
//! running writer. What is in it is held in memory too, as immutable [`Function`]s;
//! a reader never waits for the disk. One process owns the file.

use crate::capability::Grant;
use crate::engine::ContentHash;
use crate::error::{Error, Result, SqlState, nearest};
use crate::function::{Authority, Code, ExportPath, Function};
use crate::signature::Signature;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

/// The functions of one vault.
pub(crate) struct Catalog {
    /// Also the lock under which a change is made, from its check to its effect.
    connection: Mutex<Connection>,
    functions: RwLock<Functions>,
    /// Grows with every change: a cheap question whether anything changed.
    version: AtomicU64,
}

#[derive(Default)]
struct Functions {
    by_name: HashMap<String, Arc<Function>>,
    /// The last change of each name, by the version that it made.
    changes: BTreeMap<u64, String>,
}

/// A function to be created.
pub(crate) struct NewFunction {
    pub(crate) name: String,
    pub(crate) strict: bool,
    pub(crate) signature: Signature,
    pub(crate) code: Code,
    /// The names of a JavaScript entry point, best first.
    pub(crate) entry_names: Vec<String>,
    /// What was uploaded: the JavaScript source, or the component.
    pub(crate) content: Arc<[u8]>,
}

/// Which list an entry of `heliosdb.grants` is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Grant,
    Deny,
}

/// The newest format of the file that this version reads; it is in `user_version`.
const FORMAT: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE content(
        hash BLOB PRIMARY KEY, -- BLAKE3 of bytes
        bytes BLOB NOT NULL
    ) STRICT;
    CREATE TABLE function(
        name TEXT PRIMARY KEY,
        version INTEGER NOT NULL, -- the one that runs
        enabled INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE function_version(
        name TEXT NOT NULL REFERENCES function(name) ON DELETE CASCADE,
        version INTEGER NOT NULL,
        language TEXT NOT NULL,
        strict INTEGER NOT NULL,
        signature TEXT NOT NULL, -- JSON
        hash BLOB NOT NULL REFERENCES content(hash),
        entry TEXT NOT NULL, -- JSON: a component's export, or the names in JavaScript
        bytecode BLOB, -- of JavaScript
        bytecode_engine BLOB, -- the engine that made it
        PRIMARY KEY(name, version)
    ) STRICT;
    CREATE INDEX function_version_hash ON function_version(hash);
    CREATE TABLE authority(
        function TEXT NOT NULL REFERENCES function(name) ON DELETE CASCADE,
        side TEXT NOT NULL CHECK (side IN ('GRANT', 'DENY')),
        capability TEXT NOT NULL,
        pattern TEXT NOT NULL, -- '' if the capability takes none
        PRIMARY KEY(function, side, capability, pattern)
    ) STRICT;
    PRAGMA user_version = 1;
";

/// Makes a JavaScript source's bytecode again, when the engine has changed.
pub(crate) type Recompile<'r> = &'r dyn Fn(&str, &[String], &str) -> Result<Arc<[u8]>>;

impl Catalog {
    /// Opens the file, or an empty catalog in memory.
    pub(crate) fn open(
        path: Option<&Path>,
        engine: &ContentHash,
        recompile: Recompile<'_>,
    ) -> Result<Catalog> {
        #[expect(clippy::disallowed_methods, reason = "the catalog's own file")]
        let mut connection = match path {
            Some(path) => Connection::open(path),
            None => Connection::open_in_memory(),
        }
        .map_err(unreadable)?;
        prepare_file(&mut connection)?;
        let functions = load(&mut connection, engine, recompile)?;
        Ok(Catalog {
            version: AtomicU64::new(functions.by_name.len() as u64),
            connection: Mutex::new(connection),
            functions: RwLock::new(functions),
        })
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn function(&self, name: &str) -> Option<Arc<Function>> {
        self.functions.read().ok()?.by_name.get(name).cloned()
    }

    /// The function, or an error that suggests a near name.
    pub(crate) fn expect(&self, name: &str) -> Result<Arc<Function>> {
        let functions = self.functions.read().map_err(Error::internal)?;
        if let Some(function) = functions.by_name.get(name) {
            return Ok(Arc::clone(function));
        }
        let error = Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("no function \"{name}\""),
        );
        let near = nearest(name, functions.by_name.keys().map(String::as_str))
            .and_then(|near| functions.by_name.get(near));
        Err(match near {
            Some(f) => error.with_hint(format!(
                "did you mean \"{}({})\"?",
                f.name,
                f.signature.parameter_types()
            )),
            None => error,
        })
    }

    /// Every function, by name.
    pub(crate) fn functions(&self) -> Vec<Arc<Function>> {
        let Ok(functions) = self.functions.read() else {
            return Vec::new();
        };
        let mut list: Vec<_> = functions.by_name.values().cloned().collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// The names that changed after a version, each with what it is now.
    pub(crate) fn changes_since(&self, version: u64) -> Vec<(String, Option<Arc<Function>>)> {
        let Ok(functions) = self.functions.read() else {
            return Vec::new();
        };
        functions
            .changes
            .range(version + 1..)
            .map(|(_, name)| (name.clone(), functions.by_name.get(name).cloned()))
            .collect()
    }

    /// What was uploaded, by its hash.
    pub(crate) fn content(&self, hash: &ContentHash) -> Result<Arc<[u8]>> {
        let connection = self.lock()?;
        let bytes: Vec<u8> = connection
            .query_row(
                "SELECT bytes FROM content WHERE hash = ?",
                [&hash[..]],
                |row| row.get(0),
            )
            .map_err(unreadable)?;
        if blake3::hash(&bytes) != blake3::Hash::from_bytes(*hash) {
            return Err(Error::new(
                SqlState::CORRUPTED,
                "a stored function is damaged",
            ));
        }
        Ok(bytes.into())
    }

    /// Creates a function, or replaces it and keeps its grants. `record` is called
    /// once the change is certain to be possible, and before it takes effect.
    pub(crate) fn create(
        &self,
        new: NewFunction,
        or_replace: bool,
        engine: &ContentHash,
        record: impl FnOnce(u64) -> Result<()>,
    ) -> Result<Arc<Function>> {
        let mut connection = self.lock()?;
        let old = self.function(&new.name);
        if old.is_some() && !or_replace {
            return Err(Error::new(
                SqlState::DUPLICATE_FUNCTION,
                format!("function \"{}\" already exists", new.name),
            )
            .with_hint("CREATE OR REPLACE FUNCTION replaces it and keeps its grants"));
        }
        let transaction = connection.transaction().map_err(unwritable)?;
        let version = insert(&transaction, &new, engine).map_err(unwritable)?;
        record(version)?;
        transaction.commit().map_err(unwritable)?;
        let old = old.as_deref();
        self.publish(&new.name, |changed_at| {
            Some(Function {
                version,
                changed_at,
                enabled: old.is_none_or(|old| old.enabled),
                strict: new.strict,
                signature: new.signature.clone(),
                code: new.code.clone(),
                authority: old.map_or_else(Arc::default, |old| Arc::clone(&old.authority)),
                name: new.name.clone(),
            })
        })?;
        self.expect(&new.name)
    }

    /// Removes a function with its versions and grants.
    pub(crate) fn remove(&self, name: &str, record: impl FnOnce(u64) -> Result<()>) -> Result<()> {
        let mut connection = self.lock()?;
        let old = self.expect(name)?;
        let transaction = connection.transaction().map_err(unwritable)?;
        delete(&transaction, name).map_err(unwritable)?;
        record(old.version)?;
        transaction.commit().map_err(unwritable)?;
        self.publish(name, |_| None)
    }

    /// Adds entries to one side of a function's authority.
    pub(crate) fn add(
        &self,
        name: &str,
        side: Side,
        grants: &[Grant],
        record: impl FnOnce(u64) -> Result<()>,
    ) -> Result<()> {
        self.change_authority(name, record, |transaction, authority| {
            let list = authority.side(side);
            for grant in grants {
                transaction
                    .execute(
                        "INSERT OR IGNORE INTO authority VALUES (?, ?, ?, ?)",
                        params![
                            name,
                            side.as_str(),
                            grant.capability().name(),
                            pattern(grant)
                        ],
                    )
                    .map_err(unwritable)?;
                if !list.contains(grant) {
                    list.push(grant.clone());
                }
            }
            Ok(())
        })
    }

    /// Removes exactly these grants and, where there is no such grant, denials.
    pub(crate) fn revoke(
        &self,
        name: &str,
        grants: &[Grant],
        record: impl FnOnce(u64) -> Result<()>,
    ) -> Result<()> {
        self.change_authority(name, record, |transaction, authority| {
            for grant in grants {
                let side = [Side::Grant, Side::Deny]
                    .into_iter()
                    .find(|side| authority.side(*side).contains(grant))
                    .ok_or_else(|| no_such_grant(name, grant, authority))?;
                authority.side(side).retain(|g| g != grant);
                transaction
                    .execute(
                        "DELETE FROM authority WHERE function = ? AND side = ?
                         AND capability = ? AND pattern = ?",
                        params![
                            name,
                            side.as_str(),
                            grant.capability().name(),
                            pattern(grant)
                        ],
                    )
                    .map_err(unwritable)?;
            }
            Ok(())
        })
    }

    pub(crate) fn set_enabled(
        &self,
        name: &str,
        enabled: bool,
        record: impl FnOnce(u64) -> Result<()>,
    ) -> Result<()> {
        let mut connection = self.lock()?;
        let old = self.expect(name)?;
        let transaction = connection.transaction().map_err(unwritable)?;
        transaction
            .execute(
                "UPDATE function SET enabled = ? WHERE name = ?",
                params![enabled, name],
            )
            .map_err(unwritable)?;
        record(old.version)?;
        transaction.commit().map_err(unwritable)?;
        self.publish(name, |changed_at| {
            Some(Function {
                enabled,
                changed_at,
                ..copy(&old)
            })
        })
    }

    fn change_authority(
        &self,
        name: &str,
        record: impl FnOnce(u64) -> Result<()>,
        change: impl FnOnce(&Transaction<'_>, &mut Authority) -> Result<()>,
    ) -> Result<()> {
        let mut connection = self.lock()?;
        let old = self.expect(name)?;
        let mut authority = Authority {
            grants: old.authority.grants.clone(),
            denials: old.authority.denials.clone(),
        };
        let transaction = connection.transaction().map_err(unwritable)?;
        change(&transaction, &mut authority)?;
        record(old.version)?;
        transaction.commit().map_err(unwritable)?;
        let authority = Arc::new(authority);
        self.publish(name, |changed_at| {
            Some(Function {
                authority,
                changed_at,
                ..copy(&old)
            })
        })
    }

    /// Makes a change visible to every call; the caller holds the change lock.
    fn publish(&self, name: &str, make: impl FnOnce(u64) -> Option<Function>) -> Result<()> {
        let mut functions = self.functions.write().map_err(Error::internal)?;
        let version = self.version.load(Ordering::Acquire) + 1;
        if let Some(old) = functions.by_name.get(name).map(|old| old.changed_at) {
            functions.changes.remove(&old);
        }
        functions.changes.insert(version, name.to_string());
        match make(version) {
            Some(function) => functions
                .by_name
                .insert(name.to_string(), Arc::new(function)),
            None => functions.by_name.remove(name),
        };
        self.version.store(version, Ordering::Release);
        Ok(())
    }

    fn lock(&self) -> Result<MutexGuard<'_, Connection>> {
        self.connection.lock().map_err(Error::internal)
    }
}

impl Side {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Side::Grant => "GRANT",
            Side::Deny => "DENY",
        }
    }
}

impl Authority {
    fn side(&mut self, side: Side) -> &mut Vec<Grant> {
        match side {
            Side::Grant => &mut self.grants,
            Side::Deny => &mut self.denials,
        }
    }
}

fn copy(function: &Function) -> Function {
    Function {
        name: function.name.clone(),
        version: function.version,
        changed_at: function.changed_at,
        enabled: function.enabled,
        strict: function.strict,
        signature: function.signature.clone(),
        code: function.code.clone(),
        authority: Arc::clone(&function.authority),
    }
}

fn pattern(grant: &Grant) -> String {
    grant.pattern().map(ToString::to_string).unwrap_or_default()
}

fn no_such_grant(name: &str, grant: &Grant, authority: &Authority) -> Error {
    Error::new(
        SqlState::INVALID_VALUE,
        format!("function \"{name}\" has no grant {grant}"),
    )
    .with_detail(authority.describe())
    .with_hint(format!(
        "REVOKE removes exactly that grant; to subtract it from a wider one: \
             ALTER FUNCTION {name} DENY CAPABILITY {grant};"
    ))
}

fn unreadable(cause: rusqlite::Error) -> Error {
    Error::new(SqlState::IO, "the catalog cannot be read").with_cause(cause)
}

fn unwritable(cause: rusqlite::Error) -> Error {
    Error::new(SqlState::IO, "the catalog cannot be written").with_cause(cause)
}

/// Sets the file up, or checks that this version can read it.
fn prepare_file(connection: &mut Connection) -> Result<()> {
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
        )
        .map_err(unreadable)?;
    let format: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(unreadable)?;
    match format {
        0 => {
            let transaction = connection.transaction().map_err(unwritable)?;
            transaction.execute_batch(SCHEMA).map_err(unwritable)?;
            transaction.commit().map_err(unwritable)
        }
        FORMAT => Ok(()),
        newer => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("the catalog has format {newer}; this version reads formats up to {FORMAT}"),
        )),
    }
}

fn load(
    connection: &mut Connection,
    engine: &ContentHash,
    recompile: Recompile<'_>,
) -> Result<Functions> {
    let mut functions = Functions::default();
    let mut authorities = load_authorities(connection)?;
    for stored in stored_functions(connection).map_err(unreadable)? {
        let changed_at = functions.by_name.len() as u64 + 1;
        let authority = authorities.remove(&stored.name).unwrap_or_default();
        let function =
            stored.into_function(connection, changed_at, authority, engine, recompile)?;
        functions.changes.insert(changed_at, function.name.clone());
        functions
            .by_name
            .insert(function.name.clone(), Arc::new(function));
    }
    Ok(functions)
}

fn load_authorities(connection: &Connection) -> Result<HashMap<String, Authority>> {
    let mut statement = connection
        .prepare("SELECT function, side, capability, pattern FROM authority ORDER BY rowid")
        .map_err(unreadable)?;
    let rows = statement
        .query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
            ))
        })
        .map_err(unreadable)?;
    let mut authorities: HashMap<String, Authority> = HashMap::new();
    for row in rows {
        let (function, side, capability, pattern) = row.map_err(unreadable)?;
        let pattern = Some(pattern.as_str()).filter(|pattern| !pattern.is_empty());
        let grant = Grant::new(&capability, pattern)
            .map_err(|error| damaged(&function).with_cause(error))?;
        let side = if side == Side::Deny.as_str() {
            Side::Deny
        } else {
            Side::Grant
        };
        authorities
            .entry(function)
            .or_default()
            .side(side)
            .push(grant);
    }
    Ok(authorities)
}

fn damaged(function: &str) -> Error {
    Error::new(
        SqlState::CORRUPTED,
        format!("function \"{function}\" is damaged in the catalog"),
    )
}

/// A row of the current version of a function, as it is stored.
struct Stored {
    name: String,
    version: u64,
    enabled: bool,
    strict: bool,
    language: String,
    signature: String,
    hash: Vec<u8>,
    entry: String,
    bytecode: Option<Vec<u8>>,
    bytecode_engine: Option<Vec<u8>>,
}

fn stored_functions(connection: &Connection) -> rusqlite::Result<Vec<Stored>> {
    connection
        .prepare(
            "SELECT f.name, f.version, f.enabled, v.strict, v.language, v.signature, v.hash,
                    v.entry, v.bytecode, v.bytecode_engine
             FROM function f JOIN function_version v ON v.name = f.name AND v.version = f.version
             ORDER BY f.name",
        )?
        .query_map([], |row| {
            Ok(Stored {
                name: row.get(0)?,
                version: row.get::<_, i64>(1)? as u64,
                enabled: row.get(2)?,
                strict: row.get(3)?,
                language: row.get(4)?,
                signature: row.get(5)?,
                hash: row.get(6)?,
                entry: row.get(7)?,
                bytecode: row.get(8)?,
                bytecode_engine: row.get(9)?,
            })
        })?
        .collect()
}

impl Stored {
    fn into_function(
        self,
        connection: &Connection,
        changed_at: u64,
        authority: Authority,
        engine: &ContentHash,
        recompile: Recompile<'_>,
    ) -> Result<Function> {
        let hash: ContentHash = self
            .hash
            .as_slice()
            .try_into()
            .map_err(|_| damaged(&self.name))?;
        let code = match self.language.as_str() {
            "javascript" => Code::JavaScript {
                bytecode: self.bytecode(connection, engine, recompile)?,
                source_hash: hash,
            },
            _ => Code::Component {
                hash,
                export: self.export_path()?,
            },
        };
        Ok(Function {
            signature: serde_json::from_str(&self.signature)
                .map_err(|error| damaged(&self.name).with_cause(error))?,
            name: self.name,
            version: self.version,
            changed_at,
            enabled: self.enabled,
            strict: self.strict,
            code,
            authority: Arc::new(authority),
        })
    }

    fn export_path(&self) -> Result<ExportPath> {
        serde_json::from_str(&self.entry).map_err(|error| damaged(&self.name).with_cause(error))
    }

    /// Bytecode fits only the engine that made it.
    fn bytecode(
        &self,
        connection: &Connection,
        engine: &ContentHash,
        recompile: Recompile<'_>,
    ) -> Result<Arc<[u8]>> {
        if let (Some(bytecode), Some(made_by)) = (&self.bytecode, &self.bytecode_engine)
            && made_by.as_slice() == engine
        {
            return Ok(bytecode.as_slice().into());
        }
        let source: Option<Vec<u8>> = connection
            .query_row(
                "SELECT bytes FROM content WHERE hash = ?",
                [&self.hash],
                |row| row.get(0),
            )
            .optional()
            .map_err(unreadable)?;
        let source = source
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| damaged(&self.name))?;
        let names: Vec<String> = serde_json::from_str(&self.entry)
            .map_err(|error| damaged(&self.name).with_cause(error))?;
        let bytecode = match recompile(&self.name, &names, &source) {
            Ok(bytecode) => bytecode,
            Err(error) => {
                // The other functions must stay usable; this one says so when called.
                tracing::error!(function = self.name, ?error, "a function does not compile");
                return Ok(Arc::from([]));
            }
        };
        connection
            .execute(
                "UPDATE function_version SET bytecode = ?, bytecode_engine = ?
                 WHERE name = ? AND version = ?",
                params![&bytecode[..], &engine[..], self.name, self.version as i64],
            )
            .map_err(unwritable)?;
        Ok(bytecode)
    }
}

/// Stores a function's next version and makes it the one that runs.
fn insert(
    transaction: &Transaction<'_>,
    new: &NewFunction,
    engine: &ContentHash,
) -> rusqlite::Result<u64> {
    let version: i64 = transaction.query_row(
        "SELECT coalesce(max(version), 0) + 1 FROM function_version WHERE name = ?",
        [&new.name],
        |row| row.get(0),
    )?;
    let (language, hash, entry, bytecode) = match &new.code {
        Code::JavaScript {
            bytecode,
            source_hash,
        } => (
            "javascript",
            source_hash,
            to_json(&new.entry_names)?,
            Some(&bytecode[..]),
        ),
        Code::Component { hash, export } => ("wasm", hash, to_json(export)?, None),
    };
    transaction.execute(
        "INSERT OR IGNORE INTO content VALUES (?, ?)",
        params![&hash[..], &new.content[..]],
    )?;
    transaction.execute(
        "INSERT INTO function VALUES (?, ?, 1)
         ON CONFLICT(name) DO UPDATE SET version = excluded.version",
        params![new.name, version],
    )?;
    transaction.execute(
        "INSERT INTO function_version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            new.name,
            version,
            language,
            new.strict,
            to_json(&new.signature)?,
            &hash[..],
            entry,
            bytecode,
            bytecode.map(|_| &engine[..]),
        ],
    )?;
    Ok(version as u64)
}

/// Deletes a function, and what only its versions held.
fn delete(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<()> {
    let hashes: Vec<Vec<u8>> = transaction
        .prepare("SELECT DISTINCT hash FROM function_version WHERE name = ?")?
        .query_map([name], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    transaction.execute("DELETE FROM function WHERE name = ?", [name])?;
    for hash in hashes {
        transaction.execute(
            "DELETE FROM content WHERE hash = ?1
             AND NOT EXISTS (SELECT 1 FROM function_version WHERE hash = ?1)",
            [hash],
        )?;
    }
    Ok(())
}

fn to_json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
