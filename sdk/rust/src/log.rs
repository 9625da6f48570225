//! Messages to the operator's log and, as NOTICEs, to the caller. Needs no grant.
//!
//! At most 8 KiB of a message is kept, and at most 100 messages of one execution.
//! What one formats is one's own: `log::info(&format!("{count} tracks"))`.

use crate::bindings::heliosdb::host::log::{Level, write};

/// Writes a message for whoever debugs the procedure.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Writes a message that is good to know.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Writes a message about something that may be wrong.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Writes a message about something that is wrong; the procedure goes on.
pub fn error(message: &str) {
    write(Level::Error, message);
}
