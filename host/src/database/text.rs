//! The text of a guest's statement, before SQLite reads it: its size, its characters, and
//! whether input could be part of it.

use super::host::{Outcome, sort};
use crate::bindings::heliosdb::host::types as wit;
use crate::execution::Execution;
use crate::guard::Guard;
use crate::limits::SQL_BYTES_MAX;
use crate::statement::first_literal;

/// What the guest is told, or the end of the call.
type Answer = wasmtime::Result<Result<(), wit::Error>>;

impl Execution {
    /// Whether a text can be a statement at all.
    pub(super) fn check_text(&mut self, sql: &str) -> Result<(), Outcome> {
        self.check_form(sql)?;
        match first_literal(sql) {
            Some(place) => self.check_literal(sql, place),
            None => Ok(()),
        }
    }

    /// The size and the characters of a text that PostgreSQL reads.
    pub(crate) fn check_form_there(&mut self, sql: &str) -> Answer {
        sort(self.check_form(sql))
    }

    /// The same check of a text in which PostgreSQL finds a literal.
    pub(crate) fn check_literal_there(&mut self, sql: &str, place: (usize, usize)) -> Answer {
        sort(self.check_literal(sql, place))
    }

    fn check_form(&mut self, sql: &str) -> Result<(), Outcome> {
        let guards = self.meter.guards;
        if sql.len() > SQL_BYTES_MAX && guards.holds(Guard::StatementBytes) {
            return Err(Outcome::Guest(wit::Error::Limit(wit::Excess {
                name: "sql_bytes".to_string(),
                allowed: SQL_BYTES_MAX as u64,
                requested: sql.len() as u64,
            })));
        }
        if sql.contains('\0') && guards.holds(Guard::NulCharacters) {
            let message = "the statement contains a NUL character".to_string();
            return Err(Outcome::Guest(self.malformed(message)));
        }
        Ok(())
    }

    /// A text with literals in it must be a constant: input could be part of any other.
    fn check_literal(&mut self, sql: &str, place: (usize, usize)) -> Result<(), Outcome> {
        let (line, column) = place;
        if !self.meter.guards.holds(Guard::Literals) || self.is_constant(sql)? {
            return Ok(());
        }
        Err(Outcome::Guest(self.malformed(format!(
            "the statement was put together while the function ran, and has a literal at \
             {line}:{column}: write a parameter in its place, as in \"WHERE id = ?\", and pass \
             the value beside the text"
        ))))
    }

    fn is_constant(&self, text: &str) -> Result<bool, Outcome> {
        let function = &self.function;
        let catalog = &self.session.vault.catalog;
        let content = || catalog.content(&function.content_hash());
        match function.constants.get(&function.code, content) {
            Ok(constants) => Ok(constants.contain(text)),
            Err(error) => Err(Outcome::End(self.fault(error))),
        }
    }
}
