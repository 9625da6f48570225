//! Enabling and disabling a function: by hand, or by its refused system calls. A count
//! is durable before the guest learns of the refusal, and no rollback takes it back.

use super::Catalog;
use super::file::unwritable;
use crate::error::Result;
use crate::function::Function;
use crate::violations::{Counted, Switch};
use rusqlite::params;
use std::sync::Arc;

impl Catalog {
    /// Enables a function, which forgets what counted against it, or disables it.
    pub(crate) fn set_enabled(
        &self,
        name: &str,
        enabled: bool,
        record: impl FnOnce(u64) -> Result<()>,
    ) -> Result<()> {
        let mut connection = self.lock()?;
        let old = self.expect(name)?;
        let transaction = connection.transaction().map_err(unwritable)?;
        transaction
            .execute(
                "UPDATE function SET enabled = ?1, violations = iif(?1, 0, violations)
                 WHERE name = ?2",
                params![enabled, name],
            )
            .map_err(unwritable)?;
        record(old.version)?;
        transaction.commit().map_err(unwritable)?;
        match enabled {
            false => old.enabled.turn_off(),
            true => old.enabled.reset(&mut *connection),
        }
        self.publish_changed(&old, |function| {
            if enabled && !old.enabled.is_on() {
                function.enabled = Switch::new(true);
            }
        })
    }

    /// Counts a refused system call of a function that runs. The count that disables the
    /// function does so in the same transaction. `record` is called before it takes
    /// effect; without a count, the function was dropped, or disabled and enabled anew,
    /// while the call was refused.
    pub(crate) fn count_violation(
        &self,
        function: &Function,
        record: impl FnOnce(Option<Counted>) -> Result<()>,
    ) -> Result<Option<Counted>> {
        let mut connection = self.lock()?;
        let now = self.function(&function.name);
        let Some(now) = now.filter(|now| Arc::ptr_eq(&now.enabled, &function.enabled)) else {
            record(None)?;
            return Ok(None);
        };
        let counted = now.enabled.count(&mut *connection, |connection, counted| {
            let transaction = connection.transaction().map_err(unwritable)?;
            transaction
                .execute(
                    "UPDATE function SET violations = ?1, enabled = enabled AND NOT ?2
                     WHERE name = ?3",
                    params![counted.violations as i64, counted.disables, now.name],
                )
                .map_err(unwritable)?;
            record(Some(counted))?;
            transaction.commit().map_err(unwritable)
        })?;
        if counted.disables {
            self.publish_changed(&now, |_| ())?;
        }
        Ok(Some(counted))
    }
}
