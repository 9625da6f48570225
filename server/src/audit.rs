//! `perihelion audit verify`: recomputes an audit log that no process has open.

use crate::output;
use perihelion::{Verified, verify_audit_log};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// Verifies the log of a data directory and prints how long it is and how it ends.
pub(crate) fn verify(data: &Path) -> ExitCode {
    match verify_audit_log(&data.join("audit")) {
        Ok(verified) => output::status(output::print(&summary(&verified)).map(|()| true)),
        Err(error) => output::fail(&error),
    }
}

/// Two lines to compare with ones that were kept elsewhere.
pub(crate) fn summary(verified: &Verified) -> String {
    let head = verified.head.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    format!("entries  {}\nhead     {head}\n", verified.entries)
}
