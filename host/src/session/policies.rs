//! The statements about security policies: each commits by itself, and is recorded
//! before it takes effect.

use super::manage::done;
use super::{Notice, Outcome, Session, Severity};
use crate::audit::{EventType, Record};
use crate::capability::Grant;
use crate::error::Result;
use crate::function::Function;
use crate::policy::{Entry, Policy};
use crate::statement::Name;

impl Session {
    pub(super) fn create_policy(
        &mut self,
        name: &Name,
        entries: &[Entry],
        or_replace: bool,
    ) -> Result<Outcome> {
        self.refuse_in_transaction("CREATE SECURITY POLICY")?;
        let catalog = &self.core.vault.catalog;
        let record = |policy: &Policy| {
            self.check_filters(&policy.capabilities)?;
            self.warn_of_wide_grants(&policy.capabilities);
            self.record_policy("CREATE", policy)
        };
        catalog.create_policy(&name.folded, entries, or_replace, &self.core.caller, record)?;
        Ok(done("CREATE SECURITY POLICY"))
    }

    pub(super) fn alter_policy(&mut self, name: &Name, entries: &[Entry]) -> Result<Outcome> {
        self.refuse_in_transaction("ALTER SECURITY POLICY")?;
        let catalog = &self.core.vault.catalog;
        let record = |policy: &Policy| {
            self.check_filters(&policy.capabilities)?;
            self.warn_of_wide_grants(&policy.capabilities);
            self.record_policy("ALTER", policy)
        };
        catalog.alter_policy(&name.folded, entries, &self.core.caller, record)?;
        Ok(done("ALTER SECURITY POLICY"))
    }

    pub(super) fn drop_policy(&mut self, name: &Name, if_exists: bool) -> Result<Outcome> {
        self.refuse_in_transaction("DROP SECURITY POLICY")?;
        let catalog = &self.core.vault.catalog;
        let exists = || catalog.policies().iter().any(|p| p.name == name.folded);
        if if_exists && Policy::built_in_named(&name.folded).is_none() && !exists() {
            let text = format!("policy \"{}\" does not exist, skipping", name.folded);
            self.core.notice(Notice::new(Severity::Notice, text));
        } else {
            catalog.drop_policy(&name.folded, |policy| self.record_policy("DROP", policy))?;
        }
        Ok(done("DROP SECURITY POLICY"))
    }

    /// `ALTER FUNCTION f SET SECURITY POLICY p` replaces everything that the function
    /// had, and says what that was.
    pub(super) fn set_policy(&self, name: &str, policy: &Name) -> Result<()> {
        let catalog = &self.core.vault.catalog;
        let before = catalog.set_policy(name, &policy.folded, |version, policy| {
            let detail = format!(
                "{{\"action\":\"SET SECURITY POLICY\",\"policy\":{},\"policy_version\":{}}}",
                serde_json::Value::from(policy.name.as_str()),
                policy.version
            );
            self.record(name, version, None, &detail)
        })?;
        self.tell_replaced(&before);
        Ok(())
    }

    fn tell_replaced(&self, before: &Function) {
        let list = |verb: &str, grants: &[Grant]| {
            let names: Vec<String> = grants.iter().map(Grant::to_string).collect();
            (!names.is_empty()).then(|| format!("{verb} {}", names.join(", ")))
        };
        let authority = &before.authority;
        let taken: Vec<String> = list("granted", &authority.grants)
            .into_iter()
            .chain(list("denied", &authority.denials))
            .collect();
        if !taken.is_empty() {
            let text = format!(
                "function \"{}\" no longer has its own: {}",
                before.name,
                taken.join("; ")
            );
            self.core.notice(Notice::new(Severity::Notice, text));
        }
    }

    fn record_policy(&self, action: &str, policy: &Policy) -> Result<()> {
        let detail = format!(
            "{{\"action\":\"{action}\",\"policy_version\":{},\"definition\":{}}}",
            policy.version,
            policy.to_json()
        );
        self.record_change(&Record {
            event: EventType::PolicyChanged,
            target: Some(&policy.name),
            ..self.change_of("", &detail)
        })
    }
}
