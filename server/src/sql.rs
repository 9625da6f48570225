//! `perihelion sql`: statements from arguments, files, standard input or the prompt.

use crate::postgres::DatabaseArguments;
use crate::shell::{Format, Ran, Settings, Shell};
use crate::{directories, output, prompt};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the arguments say.
pub(crate) struct Options {
    pub(crate) data: Option<PathBuf>,
    pub(crate) database: DatabaseArguments,
    pub(crate) inputs: Vec<Input>,
    pub(crate) json: bool,
    pub(crate) keep_going: bool,
    pub(crate) verbose: bool,
}

/// Where statements come from.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Command(String),
    File(PathBuf),
}

/// Runs all of it.
pub(crate) fn run(options: Options) -> ExitCode {
    let database = options.database.url();
    let opened =
        database.and_then(|database| directories::open_vault_on(options.data.as_deref(), database));
    let session = match opened.and_then(|vault| vault.session()) {
        Ok(session) => session,
        Err(error) => return output::fail(&error),
    };
    let format = if options.json {
        Format::Json
    } else {
        Format::Table
    };
    let is_prompt = options.inputs.is_empty() && io::stdin().is_terminal();
    let keep_going = options.keep_going || is_prompt;
    let mut shell = Shell::new(
        session,
        Settings {
            format,
            keep_going,
            verbose: options.verbose,
        },
    );
    let done = match is_prompt {
        true => prompt::run(&mut shell, options.data.as_deref()),
        false => run_inputs(&mut shell, &options.inputs, options.keep_going),
    };
    if shell.session.in_transaction() {
        output::warn("the transaction was not committed and is rolled back");
    }
    output::status(done)
}

/// Whether every statement succeeded.
fn run_inputs(shell: &mut Shell, inputs: &[Input], keep_going: bool) -> io::Result<bool> {
    let standard_input = [Input::File(PathBuf::from("-"))];
    let inputs = if inputs.is_empty() {
        &standard_input
    } else {
        inputs
    };
    let mut all_succeeded = true;
    for input in inputs {
        let ran = match input {
            Input::Command(text) => shell.run_text(text)?,
            Input::File(path) if path == Path::new("-") => {
                shell.run_script(io::stdin(), Some("<stdin>"))?
            }
            Input::File(path) => shell.run_file(path)?,
        };
        all_succeeded &= ran != Ran::Failed;
        if !all_succeeded && !keep_going {
            break;
        }
    }
    Ok(all_succeeded)
}
