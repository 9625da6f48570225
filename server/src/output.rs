//! Standard output and standard error. A reader that went away ends the output, and
//! is nothing to complain of.

use crate::render;
use perihelion::Error;
use std::io::{self, Write};
use std::process::ExitCode;

/// Writes to standard output, at once.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes to standard error. If that fails there is nobody left to tell.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A remark of the command line's own.
pub(crate) fn warn(message: &str) {
    complain(&format!("WARNING:  {}\n", render::printable(message)));
}

/// Shows an error that ends the command.
pub(crate) fn fail(error: &Error) -> ExitCode {
    complain(&render::error(error, None, false));
    ExitCode::FAILURE
}

/// The status of a command that may have lost its standard output.
pub(crate) fn status(done: io::Result<bool>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            if error.kind() != io::ErrorKind::BrokenPipe {
                complain(&format!("ERROR:  the output cannot be written: {error}\n"));
            }
            ExitCode::FAILURE
        }
    }
}
