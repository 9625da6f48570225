//! The catalog's file: its schema, and what is read from it and written to it. Decides
//! nothing.

use super::{NewFunction, Side};
use crate::capability::Grant;
use crate::engine::ContentHash;
use crate::error::{Error, Result, SqlState};
use crate::function::{Authority, Code, ExportPath, Function};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::HashMap;
use std::sync::Arc;

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

/// Sets the file up, or checks that this version can read it.
pub(super) fn prepare_file(connection: &mut Connection) -> Result<()> {
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

/// The functions that there are, each changed at its own version: 1, 2, 3 …
pub(super) fn load(
    connection: &Connection,
    engine: &ContentHash,
    recompile: Recompile<'_>,
) -> Result<Vec<Function>> {
    let mut authorities = load_authorities(connection)?;
    let stored = stored_functions(connection).map_err(unreadable)?;
    (1..)
        .zip(stored)
        .map(|(changed_at, stored)| {
            let authority = authorities.remove(&stored.name).unwrap_or_default();
            stored.into_function(connection, changed_at, authority, engine, recompile)
        })
        .collect()
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
pub(super) fn insert(
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
pub(super) fn delete(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<()> {
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

pub(super) fn unreadable(cause: rusqlite::Error) -> Error {
    Error::new(SqlState::IO, "the catalog cannot be read").with_cause(cause)
}

pub(super) fn unwritable(cause: rusqlite::Error) -> Error {
    Error::new(SqlState::IO, "the catalog cannot be written").with_cause(cause)
}
