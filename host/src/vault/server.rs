//! What a vault's directory says of a server that holds its tables: that there is one, and
//! the name by which it knows this vault.

use crate::error::{Error, Result, SqlState};
use crate::postgres::random_hex;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// The file, with the vault's name in hexadecimal digits.
const FILE: &str = "postgres";

const ID_BYTES: usize = 8;

/// The name of this vault among all that use the server: its own, or a new one, which
/// must be noted before anything is made by it.
pub(super) fn vault_id(directory: &Path) -> Result<String> {
    match read(directory)? {
        Some(id) => Ok(id),
        None => random_hex::<ID_BYTES>(),
    }
}

/// Notes the name, if it is new.
pub(super) fn note(directory: &Path, id: &str) -> Result<()> {
    if read(directory)?.is_some() {
        return Ok(());
    }
    write(&directory.join(FILE), id).map_err(|error| {
        Error::new(SqlState::IO, "the data directory cannot be written").with_cause(error)
    })
}

/// A directory whose tables are on a server is not opened without it: functions would run
/// on other tables than they were granted.
pub(super) fn refuse_postgres(directory: &Path) -> Result<()> {
    match read(directory)? {
        None => Ok(()),
        Some(_) => Err(Error::new(
            SqlState::WRONG_OBJECT,
            "the tables of this directory's database are on PostgreSQL",
        )
        .with_hint("open it with --database postgres://…")),
    }
}

/// And the other way round.
pub(super) fn refuse_sqlite(directory: &Path) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the vault's own directory")]
    let has_tables = directory.join("data.db").exists();
    match has_tables {
        false => Ok(()),
        true => Err(Error::new(
            SqlState::WRONG_OBJECT,
            "the tables of this directory's database are in the directory",
        )
        .with_hint("take a new directory for a database on PostgreSQL")),
    }
}

fn read(directory: &Path) -> Result<Option<String>> {
    let broken = |cause: String| {
        Error::new(
            SqlState::CORRUPTED,
            "the data directory's file \"postgres\" is damaged",
        )
        .with_cause(cause)
    };
    #[expect(clippy::disallowed_methods, reason = "the vault's own file")]
    let file = match std::fs::File::open(directory.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(broken(error.to_string())),
    };
    let mut text = String::new();
    file.take(100)
        .read_to_string(&mut text)
        .map_err(|error| broken(error.to_string()))?;
    let id = text.trim_end();
    // It becomes a part of statements.
    let is_id = id.len() == 2 * ID_BYTES && id.bytes().all(|b| b"0123456789abcdef".contains(&b));
    match is_id {
        true => Ok(Some(id.to_string())),
        false => Err(broken("it holds no name".to_string())),
    }
}

fn write(path: &Path, id: &str) -> std::io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    #[expect(clippy::disallowed_methods, reason = "the vault's own file")]
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = std::fs::File::from(file);
    writeln!(file, "{id}")?;
    file.sync_all()
}
