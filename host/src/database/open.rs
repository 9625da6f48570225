//! What a guest has open: prepared statements, cursors and transactions. Each is a
//! resource of the component model, whose representation is its place here.
//!
//! It runs nothing; `prepared.rs`, `cursor.rs` and `transaction.rs` do.

use super::backend::{Checked, Database};
use crate::bindings::heliosdb::host::types as wit;
use crate::capability::Capability;
use crate::guard::{Guard, Guards};
use crate::limits::{OPEN_CURSORS_MAX, OPEN_STATEMENTS_MAX, OPEN_TRANSACTIONS_MAX};
use std::sync::Arc;

/// All of one execution's.
#[derive(Default)]
pub(crate) struct Open {
    pub(super) statements: Slots<OpenStatement>,
    pub(super) cursors: Slots<OpenCursor>,
    /// The one that was begun last comes last.
    pub(super) transactions: Vec<OpenTransaction>,
    /// How many were begun: the name of the next one.
    begun: u32,
}

/// A statement that a guest has prepared.
pub(super) struct OpenStatement {
    pub(super) sql: Arc<str>,
    pub(super) interface: Capability,
    /// The authority that it was checked under.
    pub(super) authority_key: u64,
    /// None while it runs: then it is a cursor's.
    pub(super) checked: Option<Checked>,
}

/// A statement that stands on a row which was not read yet.
pub(super) struct OpenCursor {
    pub(super) sql: Arc<str>,
    /// The authority that it was last checked under.
    pub(super) authority_key: u64,
    /// Whether only some rows of a table were granted then.
    pub(super) has_filters: bool,
    pub(super) columns: Arc<[wit::Column]>,
    /// None at its end.
    pub(super) checked: Option<Checked>,
}

/// A savepoint of a guest's.
pub(super) struct OpenTransaction {
    pub(super) id: u32,
    /// How many statements had written when it was begun.
    pub(super) writes_before: u64,
}

/// Things by their places, which are used again.
pub(super) struct Slots<T> {
    items: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots {
            items: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    fn insert(&mut self, item: T) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.items[place as usize] = Some(item);
                place
            }
            None => {
                self.items.push(Some(item));
                self.items.len() as u32 - 1
            }
        }
    }

    pub(super) fn get(&mut self, place: u32) -> Option<&mut T> {
        self.items.get_mut(place as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, place: u32) -> Option<T> {
        let item = self.items.get_mut(place as usize)?.take()?;
        self.free.push(place);
        Some(item)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut().flatten()
    }
}

impl Open {
    /// Refuses one statement more than there may be. Asked before it is prepared.
    pub(super) fn check_statements(&self, guards: Guards) -> Result<(), wit::Error> {
        let open = self.statements.len();
        at_most(open, "open_statements", OPEN_STATEMENTS_MAX, guards)
    }

    pub(super) fn check_cursors(&self, guards: Guards) -> Result<(), wit::Error> {
        let open = self.cursors.len();
        at_most(open, "open_cursors", OPEN_CURSORS_MAX, guards)
    }

    pub(super) fn check_transactions(&self, guards: Guards) -> Result<(), wit::Error> {
        let open = self.transactions.len();
        at_most(open, "open_transactions", OPEN_TRANSACTIONS_MAX, guards)
    }

    pub(super) fn add_statement(&mut self, statement: OpenStatement) -> u32 {
        self.statements.insert(statement)
    }

    pub(super) fn add_cursor(&mut self, cursor: OpenCursor) -> u32 {
        self.cursors.insert(cursor)
    }

    /// The name of a transaction that is about to begin.
    pub(super) fn name_transaction(&mut self) -> u32 {
        self.begun += 1;
        self.begun
    }

    /// Whether neither a cursor nor a transaction is open.
    pub(super) fn is_settled(&self) -> bool {
        self.transactions.is_empty() && self.cursors.len() == 0
    }

    /// Gives up every statement, so that later calls find them prepared.
    pub(crate) fn give_back(&mut self, database: &Database) {
        self.end_cursors(database);
        for statement in self.statements.iter_mut() {
            if let Some(checked) = statement.checked.take() {
                database.keep_prepared(statement.authority_key, &statement.sql, checked);
            }
        }
    }

    pub(super) fn end_cursors(&mut self, database: &Database) {
        for cursor in self.cursors.iter_mut() {
            cursor.end(database);
        }
    }
}

impl OpenCursor {
    /// Ends the statement. The guest may ask for more rows, of which there are none.
    pub(super) fn end(&mut self, database: &Database) {
        if let Some(mut checked) = self.checked.take() {
            checked.statement.reset();
            database.keep_prepared(self.authority_key, &self.sql, checked);
        }
    }
}

fn at_most(open: usize, name: &str, max: usize, guards: Guards) -> Result<(), wit::Error> {
    if open < max || !guards.holds(Guard::OpenHandles) {
        return Ok(());
    }
    Err(wit::Error::Limit(wit::Excess {
        name: name.to_string(),
        allowed: max as u64,
        requested: open as u64 + 1,
    }))
}
