//! PostgreSQL on the command line: how its URL and password are given, and
//! `perihelion postgres setup`.

use crate::{directories, output};
use clap::{Args, Subcommand};
use perihelion::{Error, PostgresUrl, Result, SqlState, postgres_setup_sql, set_up_postgres};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the tables are, if not in the directory.
#[derive(Args, Default)]
pub(crate) struct DatabaseArguments {
    /// Keep the tables on a PostgreSQL server; functions, grants and the audit log stay in
    /// the directory of --data
    #[arg(long, value_name = "postgres://USER@HOST/DATABASE")]
    database: Option<String>,
    /// The file with the password for --database; without it, and without a password in
    /// the URL, which others on this machine may see, it is the variable PGPASSWORD
    #[arg(long, value_name = "FILE", requires = "database")]
    password_file: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum PostgresCommand {
    Setup(SetupArguments),
}

/// Prepare a database on PostgreSQL for functions
///
/// Makes a role for the host, which makes a role for each function and is no superuser,
/// and takes from PUBLIC what would outlive a call: temporary tables, new tables and large
/// objects. Prints the URL for `perihelion sql --database`, with a new password.
#[derive(Args)]
pub(crate) struct SetupArguments {
    /// The database, as a superuser
    #[arg(long, value_name = "postgres://USER@HOST/DATABASE")]
    database: String,
    /// The file with the superuser's password; otherwise it is in the URL or in PGPASSWORD
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The host's role
    #[arg(long, value_name = "NAME", default_value = "perihelion")]
    role: String,
    /// Print the statements and do nothing
    #[arg(long)]
    print: bool,
}

impl DatabaseArguments {
    /// The URL with its password, if there is one.
    pub(crate) fn url(&self) -> Result<Option<PostgresUrl>> {
        let url = self.database.as_deref();
        url.map(|url| with_password(url, self.password_file.as_deref()))
            .transpose()
    }
}

/// Runs a command.
pub(crate) fn run(command: PostgresCommand) -> ExitCode {
    let PostgresCommand::Setup(arguments) = command;
    match setup(&arguments) {
        Ok(text) => output::status(output::print(&text).map(|()| true)),
        Err(error) => output::fail(&error),
    }
}

fn setup(arguments: &SetupArguments) -> Result<String> {
    let url = with_password(&arguments.database, arguments.password_file.as_deref())?;
    match arguments.print {
        true => postgres_setup_sql(&url, &arguments.role),
        false => Ok(set_up_postgres(&url, &arguments.role)? + "\n"),
    }
}

fn with_password(url: &str, file: Option<&Path>) -> Result<PostgresUrl> {
    let url = PostgresUrl::parse(url)?;
    let password = match file {
        Some(path) => Some(read_password(path)?),
        None if url.has_password() => None,
        None => directories::postgres_password(),
    };
    Ok(match password {
        Some(password) => url.with_password(&password),
        None => url,
    })
}

fn read_password(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(
            SqlState::IO,
            format!(
                "the password cannot be read from \"{}\": {error}",
                path.display()
            ),
        )
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_string())
}
