//! The catalog's file: its schema, and what is read from it and written to it. Decides
//! nothing.

use super::{NewFunction, Policies, Side};
use crate::capability::Grant;
use crate::engine::ContentHash;
use crate::error::{Error, Result, SqlState};
use crate::function::{Authority, Code, ExportPath, Function, Kind};
use crate::policy::{OwnLimits, Policy};
use crate::violations::Switch;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::HashMap;
use std::sync::Arc;

/// The newest format of the file that this version reads; it is in `user_version`.
const FORMAT: i64 = 2;

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

/// What format 2 adds: policies, refused system calls, and when a version was made. A
/// policy's versions stay when it is dropped.
const SCHEMA_2: &str = "
    ALTER TABLE function ADD COLUMN policy TEXT NOT NULL DEFAULT 'MINIMAL';
    ALTER TABLE function ADD COLUMN own_limits TEXT NOT NULL DEFAULT '{}'; -- JSON
    ALTER TABLE function ADD COLUMN violations INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE function ADD COLUMN kind TEXT NOT NULL DEFAULT 'procedure';
    ALTER TABLE function_version ADD COLUMN created_at INTEGER; -- microseconds since 1970
    ALTER TABLE function_version ADD COLUMN created_by TEXT;
    CREATE TABLE policy(
        name TEXT PRIMARY KEY,
        version INTEGER NOT NULL -- the one that holds
    ) STRICT;
    CREATE TABLE policy_version(
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        definition TEXT NOT NULL, -- JSON
        created_at INTEGER NOT NULL, -- microseconds since 1970
        created_by TEXT NOT NULL,
        PRIMARY KEY(name, version)
    ) STRICT;
    PRAGMA user_version = 2;
";

/// The time, for `created_at`.
const NOW_US: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";

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
    let steps: &[&str] = match format {
        0 => &[SCHEMA, SCHEMA_2],
        1 => &[SCHEMA_2],
        FORMAT => &[],
        newer => {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "the catalog has format {newer}; this version reads formats up to {FORMAT}"
                ),
            ));
        }
    };
    let transaction = connection.transaction().map_err(unwritable)?;
    for step in steps {
        transaction.execute_batch(step).map_err(unwritable)?;
    }
    transaction.commit().map_err(unwritable)
}

/// The functions that there are, each changed at its own version: 1, 2, 3 …
pub(super) fn load(
    connection: &Connection,
    policies: &Policies,
    engine: &ContentHash,
    recompile: Recompile<'_>,
) -> Result<Vec<Function>> {
    let mut granted = load_granted(connection)?;
    let stored = stored_functions(connection).map_err(unreadable)?;
    (1..)
        .zip(stored)
        .map(|(changed_at, stored)| {
            let granted = granted.remove(&stored.name).unwrap_or_default();
            let policy = policies
                .get(&stored.policy)
                .ok_or_else(|| damaged(&stored.name))?;
            let authority = Authority::new(policy, granted.grants, granted.denials);
            stored.into_function(connection, changed_at, authority, engine, recompile)
        })
        .collect()
}

/// One function's code in another version, with what it has now besides.
pub(super) fn load_version(
    connection: &Connection,
    now: &Function,
    version: u64,
    engine: &ContentHash,
    recompile: Recompile<'_>,
) -> Result<Option<Function>> {
    let only = "AND v.name = ?1 AND v.version = ?2";
    let sql = FUNCTIONS.replace("v.version = f.version", "true") + only;
    let stored: Option<Stored> = connection
        .query_row(&sql, params![now.name, version as i64], Stored::read)
        .optional()
        .map_err(unreadable)?;
    let authority = Authority::clone(&now.authority);
    stored
        .map(|stored| {
            stored.into_function(connection, now.changed_at, authority, engine, recompile)
        })
        .transpose()
}

/// The policies that people made, in the versions that hold.
pub(super) fn load_policies(connection: &Connection) -> Result<Vec<Policy>> {
    let mut statement = connection
        .prepare(
            "SELECT p.name, p.version, v.definition FROM policy p
             JOIN policy_version v ON v.name = p.name AND v.version = p.version",
        )
        .map_err(unreadable)?;
    let rows = statement
        .query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)? as u64,
                row.get::<_, String>(2)?,
            ))
        })
        .map_err(unreadable)?;
    rows.map(|row| {
        let (name, version, definition) = row.map_err(unreadable)?;
        Policy::from_json(&name, version, &definition).ok_or_else(|| {
            Error::new(
                SqlState::CORRUPTED,
                format!("policy \"{name}\" is damaged in the catalog"),
            )
        })
    })
    .collect()
}

/// Stores a policy's next version, and makes it the one that holds.
pub(super) fn insert_policy(
    transaction: &Transaction<'_>,
    policy: &Policy,
    caller: &str,
) -> rusqlite::Result<u64> {
    let version: i64 = transaction.query_row(
        "SELECT coalesce(max(version), 0) + 1 FROM policy_version WHERE name = ?",
        [&policy.name],
        |row| row.get(0),
    )?;
    transaction.execute(
        &format!("INSERT INTO policy_version VALUES (?, ?, ?, {NOW_US}, ?)"),
        params![policy.name, version, policy.to_json(), caller],
    )?;
    transaction.execute(
        "INSERT INTO policy VALUES (?, ?)
         ON CONFLICT(name) DO UPDATE SET version = excluded.version",
        params![policy.name, version],
    )?;
    Ok(version as u64)
}

/// What `heliosdb.policy_versions` and `heliosdb.function_versions` show, one row each.
pub(super) fn history(
    connection: &Connection,
    of: History,
) -> rusqlite::Result<Vec<Vec<rusqlite::types::Value>>> {
    const AT: &str = "strftime('%Y-%m-%d %H:%M:%S', created_at / 1000000, 'unixepoch')
         || format('.%06d', created_at % 1000000)";
    let sql = match of {
        History::Policies => format!(
            "SELECT name, version, definition, {AT}, created_by
             FROM policy_version ORDER BY name, version"
        ),
        History::Functions => format!(
            "SELECT name, v.version, v.version = f.version, language, lower(hex(hash)),
                    {AT}, created_by
             FROM function_version v JOIN function f USING (name) ORDER BY name, v.version"
        ),
    };
    let mut statement = connection.prepare(&sql)?;
    let columns = statement.column_count();
    statement
        .query_map([], |row| (0..columns).map(|index| row.get(index)).collect())?
        .collect()
}

/// Which versions are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum History {
    Policies,
    Functions,
}

/// A function's own grants and denials.
#[derive(Default)]
struct Granted {
    grants: Vec<Grant>,
    denials: Vec<Grant>,
}

fn load_granted(connection: &Connection) -> Result<HashMap<String, Granted>> {
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
    let mut granted: HashMap<String, Granted> = HashMap::new();
    for row in rows {
        let (function, side, capability, pattern) = row.map_err(unreadable)?;
        let pattern = Some(pattern.as_str()).filter(|pattern| !pattern.is_empty());
        let grant = Grant::new(&capability, pattern)
            .map_err(|error| damaged(&function).with_cause(error))?;
        let granted = granted.entry(function).or_default();
        match side == Side::Deny.as_str() {
            true => granted.denials.push(grant),
            false => granted.grants.push(grant),
        }
    }
    Ok(granted)
}

fn damaged(function: &str) -> Error {
    Error::new(
        SqlState::CORRUPTED,
        format!("function \"{function}\" is damaged in the catalog"),
    )
}

/// A row of a version of a function, as it is stored.
struct Stored {
    name: String,
    kind: String,
    version: u64,
    enabled: bool,
    violations: u64,
    policy: String,
    own_limits: String,
    strict: bool,
    language: String,
    signature: String,
    hash: Vec<u8>,
    entry: String,
    bytecode: Option<Vec<u8>>,
    bytecode_engine: Option<Vec<u8>>,
}

const FUNCTIONS: &str = "
    SELECT f.name, v.version, f.enabled, f.violations, f.policy, f.own_limits, v.strict,
           v.language, v.signature, v.hash, v.entry, v.bytecode, v.bytecode_engine, f.kind
    FROM function f JOIN function_version v ON v.name = f.name AND v.version = f.version ";

fn stored_functions(connection: &Connection) -> rusqlite::Result<Vec<Stored>> {
    connection
        .prepare(&format!("{FUNCTIONS} ORDER BY f.name"))?
        .query_map([], Stored::read)?
        .collect()
}

impl Stored {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Stored> {
        Ok(Stored {
            name: row.get(0)?,
            version: row.get::<_, i64>(1)? as u64,
            enabled: row.get(2)?,
            violations: row.get::<_, i64>(3)? as u64,
            policy: row.get(4)?,
            own_limits: row.get(5)?,
            strict: row.get(6)?,
            language: row.get(7)?,
            signature: row.get(8)?,
            hash: row.get(9)?,
            entry: row.get(10)?,
            bytecode: row.get(11)?,
            bytecode_engine: row.get(12)?,
            kind: row.get(13)?,
        })
    }

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
            "sql" => Code::Aggregate {
                hash,
                aggregate: serde_json::from_str(&self.entry)
                    .map_err(|error| damaged(&self.name).with_cause(error))?,
            },
            _ => Code::Component {
                hash,
                export: self.export_path()?,
            },
        };
        let kind = Kind::parse(&self.kind).ok_or_else(|| damaged(&self.name))?;
        let own_limits =
            OwnLimits::from_json(&self.own_limits).ok_or_else(|| damaged(&self.name))?;
        Ok(Function {
            signature: serde_json::from_str(&self.signature)
                .map_err(|error| damaged(&self.name).with_cause(error))?,
            name: self.name,
            kind,
            version: self.version,
            changed_at,
            enabled: Switch::with_violations(self.enabled, self.violations),
            strict: self.strict,
            code,
            limits: kind.limits(own_limits.over(authority.policy.limits)),
            own_limits,
            authority: Arc::new(authority),
            linked: Default::default(),
            constants: Default::default(),
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
    caller: &str,
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
        Code::Aggregate { hash, aggregate } => ("sql", hash, to_json(aggregate)?, None),
    };
    transaction.execute(
        "INSERT OR IGNORE INTO content VALUES (?, ?)",
        params![&hash[..], &new.content[..]],
    )?;
    transaction.execute(
        "INSERT INTO function(name, version, enabled, kind) VALUES (?, ?, 1, ?)
         ON CONFLICT(name) DO UPDATE SET version = excluded.version",
        params![new.name, version, new.kind.as_str()],
    )?;
    transaction.execute(
        &format!("INSERT INTO function_version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, {NOW_US}, ?)"),
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
            caller,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_first_format_gets_what_came_since() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        connection
            .execute_batch(
                r#"INSERT INTO content VALUES (zeroblob(32), x'00');
                   INSERT INTO function VALUES ('f', 1, 1);
                   INSERT INTO function_version VALUES ('f', 1, 'wasm', 0,
                     '{"parameters":[],"returns":"bigint","result":null}', zeroblob(32),
                     '{"interface":null,"function":"f"}', NULL, NULL);"#,
            )
            .unwrap();
        prepare_file(&mut connection).unwrap();
        let recompile = |_: &str, _: &[String], _: &str| unreachable!();
        let functions = load(&connection, &Policies::default(), &[0; 32], &recompile).unwrap();
        assert_eq!(functions[0].policy().name, "MINIMAL");
        assert_eq!(functions[0].kind, Kind::Procedure);
        assert!(functions[0].enabled.is_on());
        prepare_file(&mut connection).unwrap();
    }

    #[test]
    fn d20_a_newer_format_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .pragma_update(None, "user_version", FORMAT + 1)
            .unwrap();
        let error = prepare_file(&mut connection).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::FEATURE_NOT_SUPPORTED);
    }
}
