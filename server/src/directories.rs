//! Where things lie besides the data: compiled code and the prompt's history; and how
//! much memory calls may hold. The only file that reads the environment.

use crate::output;
use perihelion::{Builder, Error, PostgresUrl, Result, Runtime, SqlState, Storage, Vault};
use std::env;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// In the process that is to become the worker, this is still its parent's program.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The memory that all calls may hold together.
const MEMORY_BUDGET: &str = "PERIHELION_MEMORY_BUDGET_BYTES";

/// Opens the database in a directory, or one in memory.
pub(crate) fn open_vault(data: Option<&Path>) -> Result<Vault> {
    open_vault_on(data, None)
}

/// Opens the database whose tables may be on a server.
pub(crate) fn open_vault_on(data: Option<&Path>, database: Option<PostgresUrl>) -> Result<Vault> {
    let storage = match (data.map(Path::to_path_buf), database) {
        (Some(directory), Some(database)) => Storage::Postgres {
            directory,
            database,
        },
        (Some(directory), None) => Storage::Directory(directory),
        (None, None) => Storage::Memory,
        (None, Some(_)) => {
            let message = "--database needs --data DIR";
            return Err(Error::new(SqlState::INVALID_VALUE, message)
                .with_detail("functions, grants and the audit log are kept in that directory"));
        }
    };
    runtime(data)?.vault(storage)
}

/// The password that PostgreSQL's own programs would take.
pub(crate) fn postgres_password() -> Option<String> {
    env::var("PGPASSWORD").ok().filter(|text| !text.is_empty())
}

/// The engine, with a directory for compiled code if there can be one. One that was
/// named must work; any other is a help that one can do without.
fn runtime(data: Option<&Path>) -> Result<Runtime> {
    if let Some(directory) = named("PERIHELION_CACHE") {
        return builder()?.cache_directory(directory).build();
    }
    let Some(directory) = default_cache(data) else {
        return builder()?.build();
    };
    match builder()?.cache_directory(&directory).build() {
        Ok(runtime) => Ok(runtime),
        Err(error) => {
            output::warn(&format!(
                "{} ({}); what is compiled now is compiled again next time",
                error.message(),
                error.cause().unwrap_or("no cause is known"),
            ));
            builder()?.build()
        }
    }
}

/// Compiling the JavaScript engine takes seconds: a person should know why. Uploads are
/// compiled by this very program, even if its file has been replaced in the meantime.
fn builder() -> Result<Builder> {
    let mut builder = Runtime::builder().compile_worker(THIS_PROGRAM);
    if let Some(bytes) = memory_budget_bytes()? {
        builder = builder.memory_budget_bytes(bytes);
    }
    if !std::io::stderr().is_terminal() {
        return Ok(builder);
    }
    Ok(builder.on_compile(|what| eprintln!("compiling {what} ...")))
}

fn memory_budget_bytes() -> Result<Option<u64>> {
    let Some(value) = env::var_os(MEMORY_BUDGET).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let bytes = value.to_str().and_then(|text| text.parse().ok());
    bytes.map(Some).ok_or_else(|| {
        let message = format!("{MEMORY_BUDGET} cannot be {value:?}: it is a number of bytes");
        Error::new(SqlState::INVALID_VALUE, message)
    })
}

/// The file of the statements that were typed, if there is a place for it.
pub(crate) fn history() -> Option<PathBuf> {
    let state = absolute("XDG_STATE_HOME").or_else(|| home(".local/state"))?;
    Some(state.join("perihelion/history"))
}

fn default_cache(data: Option<&Path>) -> Option<PathBuf> {
    match data {
        Some(directory) => Some(directory.join("cache")),
        None => {
            let caches = absolute("XDG_CACHE_HOME").or_else(|| home(".cache"))?;
            Some(caches.join("perihelion"))
        }
    }
}

fn home(below: &str) -> Option<PathBuf> {
    Some(absolute("HOME")?.join(below))
}

/// The XDG rules: a path that is not absolute counts as none.
fn absolute(variable: &str) -> Option<PathBuf> {
    named(variable).filter(|path| path.is_absolute())
}

fn named(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
