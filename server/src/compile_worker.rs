//! `perihelion compile-worker`: this binary, as the process that compiles an upload for
//! another that runs. The host's library says what goes in and out.

use crate::output;
use std::io;
use std::process::ExitCode;

/// Compiles one component, from standard input to standard output.
pub(crate) fn run() -> ExitCode {
    let compiled = perihelion::compile_worker(io::stdin().lock(), io::stdout().lock());
    output::status(compiled.map(|()| true))
}
