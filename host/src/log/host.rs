//! The WIT interface `log`.

use crate::bindings::heliosdb::host::log::{Host, Level};
use crate::execution::Execution;
use crate::guard::{Guard, Guards};
use crate::limits::LOG_MESSAGE_BYTES_MAX;
use crate::session::{Notice, Severity};

impl Host for Execution {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.enter_host()?;
        self.carry(message.len())?;
        if !self.messages.take() && self.meter.guards.holds(Guard::LogMessages) {
            return Ok(());
        }
        let message = cut(&message, self.meter.guards);
        let severity = match level {
            Level::Debug => Severity::Debug,
            Level::Info => Severity::Info,
            Level::Warn => Severity::Warning,
            // An ERROR ends a statement, which a message does not.
            Level::Error => Severity::Warning,
        };
        tracing::info!(function = self.function.name, ?severity, message);
        self.session.notice(Notice::new(severity, message));
        Ok(())
    }

    fn panicked(&mut self, message: String) -> wasmtime::Result<()> {
        // Else a guest could have texts copied for ever, and no clock be looked at.
        self.enter_host()?;
        self.carry(message.len())?;
        self.panic_message = Some(cut(&message, self.meter.guards));
        Ok(())
    }
}

/// The beginning of a message, without control characters that move a terminal's
/// cursor. A text of its own: what a guest sent may be a thousand times as long, and
/// must not be kept for as long as its beginning is.
fn cut(message: &str, guards: Guards) -> String {
    if !guards.holds(Guard::LogMessageText) {
        return message.to_string();
    }
    let end = message.floor_char_boundary(LOG_MESSAGE_BYTES_MAX);
    let keeps = |c: &char| *c == '\n' || *c == '\t' || !c.is_control();
    message[..end].chars().filter(keeps).collect()
}
