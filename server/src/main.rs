//! The `perihelion` command line: its arguments. What a command does is in the file
//! of its name.

mod audit;
mod backslash;
mod check;
mod compile_worker;
mod demo;
mod directories;
mod inspect;
mod json;
mod output;
mod postgres;
mod prompt;
mod render;
mod script;
mod shell;
mod sql;
mod stage;
mod table;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use postgres::{DatabaseArguments, PostgresCommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Stored procedures as WebAssembly components, next to the database.
#[derive(Parser)]
#[command(name = "perihelion", version, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Sql(SqlArguments),
    Inspect(InspectArguments),
    /// Work with the audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    Check(CheckArguments),
    Demo(DemoArguments),
    /// Prepare a database on PostgreSQL
    #[command(subcommand)]
    Postgres(PostgresCommand),
    /// Compile one component for a host that started this; people have no use for it
    #[command(hide = true)]
    CompileWorker,
}

/// Run SQL statements on an embedded database
///
/// Without -c and -f, statements come from standard input; on a terminal there is a
/// prompt. The exit status is 0 only if every statement succeeded.
#[derive(Args)]
struct SqlArguments {
    /// The directory of the database, which is made if need be; without it the database
    /// is in memory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    database: DatabaseArguments,
    /// Run these statements; can be repeated and mixed with -f
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    commands: Vec<String>,
    /// Run the statements of a file; - is standard input
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON object a statement
    #[arg(long)]
    json: bool,
    /// Go on after an error
    #[arg(long = "continue")]
    keep_going: bool,
    /// Show the SQLSTATE of errors
    #[arg(long)]
    verbose: bool,
}

/// Show what a component exports and what it has to be granted
///
/// The exit status is 1 if CREATE FUNCTION would refuse it.
#[derive(Args)]
struct InspectArguments {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Recompute every entry, and that each follows from the one before
    Verify {
        /// The directory of a database that no process has open
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
}

/// Go through the security checklist for each function
///
/// Says of each item whether it is ok, needs attention, or is left to people. The exit
/// status is 0 only if nothing needs attention.
#[derive(Args)]
struct CheckArguments {
    /// The directory of a database that no process has open
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    database: DatabaseArguments,
    /// Only this function
    #[arg(value_name = "FUNCTION")]
    function: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Show procedures, grants and the audit log on the Chinook music shop
///
/// Checks its own results: the exit status is 1 if anything goes otherwise than it should.
#[derive(Args)]
struct DemoArguments {
    /// The Chinook script
    #[arg(
        long,
        value_name = "FILE",
        default_value = "../shared/data/chinook_sqlite.sql"
    )]
    chinook: PathBuf,
    /// The example component
    #[arg(
        long,
        value_name = "FILE.wasm",
        default_value = "target/guests/wasm32-unknown-unknown/release/shop_guest.wasm"
    )]
    shop: PathBuf,
    /// A new directory for the database; without it the database is in memory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

fn main() -> ExitCode {
    let mut matches = CommandLine::command().get_matches();
    let inputs = matches
        .subcommand_matches("sql")
        .map(sql_inputs)
        .unwrap_or_default();
    let arguments = match CommandLine::from_arg_matches_mut(&mut matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match arguments.command {
        Command::Sql(arguments) => sql::run(sql::Options {
            data: arguments.data,
            database: arguments.database,
            inputs,
            json: arguments.json,
            keep_going: arguments.keep_going,
            verbose: arguments.verbose,
        }),
        Command::Inspect(arguments) => inspect::run(&arguments.file, arguments.json),
        Command::Audit(AuditCommand::Verify { data }) => audit::verify(&data),
        Command::Check(arguments) => check::run(
            &arguments.data,
            &arguments.database,
            arguments.function.as_deref(),
            arguments.json,
        ),
        Command::Demo(arguments) => demo::run(
            &arguments.chinook,
            &arguments.shop,
            arguments.data.as_deref(),
        ),
        Command::Postgres(command) => postgres::run(command),
        Command::CompileWorker => compile_worker::run(),
    }
}

/// The statements and files in the order in which they were given.
fn sql_inputs(matches: &clap::ArgMatches) -> Vec<sql::Input> {
    let commands = matches.get_many::<String>("commands").unwrap_or_default();
    let files = matches.get_many::<PathBuf>("files").unwrap_or_default();
    let at = |name| matches.indices_of(name).unwrap_or_default();
    let mut inputs: Vec<(usize, sql::Input)> = at("commands")
        .zip(commands.map(|text| sql::Input::Command(text.clone())))
        .chain(at("files").zip(files.map(|path| sql::Input::File(path.clone()))))
        .collect();
    inputs.sort_by_key(|(index, _)| *index);
    inputs.into_iter().map(|(_, input)| input).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn statements_and_files_keep_their_order() {
        let line = [
            "perihelion",
            "sql",
            "-f",
            "a",
            "-c",
            "b",
            "--json",
            "-f",
            "-",
            "-c",
            "d",
        ];
        let matches = CommandLine::command().get_matches_from(line);
        let inputs = sql_inputs(matches.subcommand_matches("sql").unwrap());
        let shown: Vec<String> = inputs.iter().map(|input| format!("{input:?}")).collect();
        let expected = [
            "File(\"a\")",
            "Command(\"b\")",
            "File(\"-\")",
            "Command(\"d\")",
        ];
        assert_eq!(shown, expected);
    }
}
