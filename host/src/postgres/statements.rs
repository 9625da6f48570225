//! Guests' statements that were checked, for their next run under the same authority.

use super::request::Checked;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Statements by the key of the authority that they were checked under: a changed grant
/// finds none of them.
#[derive(Default)]
pub(crate) struct Statements(Mutex<HashMap<(u64, String), Arc<Checked>>>);

/// Statements that a session keeps.
const STATEMENTS_MAX: usize = 256;

/// The longest text that is kept.
const TEXT_BYTES_MAX: usize = 64 << 10;

impl Statements {
    pub(super) fn get(&self, authority_key: u64, sql: &str) -> Option<Arc<Checked>> {
        let statements = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        statements.get(&(authority_key, sql.to_string())).cloned()
    }

    pub(super) fn put(&self, authority_key: u64, sql: &str, checked: &Arc<Checked>) {
        if sql.len() > TEXT_BYTES_MAX {
            return;
        }
        let mut statements = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if statements.len() >= STATEMENTS_MAX {
            // Rare enough that forgetting all of them is as good as choosing one.
            statements.clear();
        }
        statements.insert((authority_key, sql.to_string()), Arc::clone(checked));
    }
}
