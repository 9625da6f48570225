//! The policies of a catalog, and the statements that change them: each makes a new
//! version, which holds for its functions from their next call on, and from the next
//! host call of one that runs.

use super::file::{history, insert_policy, unreadable, unwritable};
use super::{Catalog, Functions, History, no_such_policy};
use crate::error::{Error, Result, SqlState};
use crate::function::{Authority, Function};
use crate::policy::{Entry, Policy};
use crate::statement::name_in_sql;
use rusqlite::params;
use rusqlite::types::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The policies that people made, beside the built-in ones.
#[derive(Default)]
pub(crate) struct Policies(BTreeMap<String, Arc<Policy>>);

impl Policies {
    pub(super) fn new(policies: Vec<Policy>) -> Policies {
        let named = policies.into_iter().map(|p| (p.name.clone(), Arc::new(p)));
        Policies(named.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Policy>> {
        Policy::built_in_named(name).or_else(|| self.0.get(name).cloned())
    }

    fn names(&self) -> Vec<String> {
        let built_in = Policy::all_built_in().map(|policy| policy.name.clone());
        built_in.chain(self.0.keys().cloned()).collect()
    }
}

impl Catalog {
    /// Every policy, the built-in ones first.
    pub(crate) fn policies(&self) -> Vec<Arc<Policy>> {
        let Ok(functions) = self.functions.read() else {
            return Vec::new();
        };
        let own = functions.policies.0.values().cloned();
        Policy::all_built_in().chain(own).collect()
    }

    /// The stored versions, for the views of them.
    pub(crate) fn history(&self, of: History) -> Result<Vec<Vec<Value>>> {
        history(&*self.lock()?, of).map_err(unreadable)
    }

    /// The policy, or an error that suggests a near name.
    pub(crate) fn expect_policy(&self, name: &str) -> Result<Arc<Policy>> {
        let functions = self.functions.read().map_err(Error::internal)?;
        let policies = &functions.policies;
        policies
            .get(name)
            .ok_or_else(|| no_such_policy(name, &policies.names()))
    }

    /// Makes a policy, or its next version. `record` is called once the change is
    /// certain to be possible, and before it takes effect.
    pub(crate) fn create_policy(
        &self,
        name: &str,
        entries: &[Entry],
        or_replace: bool,
        caller: &str,
        record: impl FnOnce(&Policy) -> Result<()>,
    ) -> Result<()> {
        refuse_built_in(name)?;
        let policy = Policy::new(name, entries)?;
        let exists = self.policies().iter().any(|policy| policy.name == name);
        if exists && !or_replace {
            return Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!("policy \"{name}\" already exists"),
            )
            .with_hint("CREATE OR REPLACE SECURITY POLICY makes a new version of it"));
        }
        self.store_policy(|_| Ok(policy), caller, record)
    }

    /// Makes a policy's next version, with some entries in place of its own.
    pub(crate) fn alter_policy(
        &self,
        name: &str,
        entries: &[Entry],
        caller: &str,
        record: impl FnOnce(&Policy) -> Result<()>,
    ) -> Result<()> {
        refuse_built_in(name)?;
        let change = |catalog: &Catalog| catalog.expect_policy(name)?.with(entries);
        self.store_policy(change, caller, record)
    }

    /// Removes a policy that no function has. Its versions stay in the history.
    pub(crate) fn drop_policy(
        &self,
        name: &str,
        record: impl FnOnce(&Policy) -> Result<()>,
    ) -> Result<()> {
        refuse_built_in(name)?;
        let mut connection = self.lock()?;
        let policy = self.expect_policy(name)?;
        let users = self.users(name);
        let users: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
        if let Some(first) = users.first() {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS,
                format!("policy \"{name}\" is in use"),
            )
            .with_detail(format!("by {}", users.join(", ")))
            .with_hint(format!(
                "ALTER FUNCTION {} SET SECURITY POLICY MINIMAL;",
                name_in_sql(first)
            )));
        }
        let transaction = connection.transaction().map_err(unwritable)?;
        transaction
            .execute("DELETE FROM policy WHERE name = ?", [name])
            .map_err(unwritable)?;
        record(&policy)?;
        transaction.commit().map_err(unwritable)?;
        let mut functions = self.functions.write().map_err(Error::internal)?;
        functions.policies.0.remove(name);
        Ok(())
    }

    /// Gives a function another policy, and takes its own grants, denials and limits.
    /// Returns the function as it was.
    pub(crate) fn set_policy(
        &self,
        name: &str,
        policy: &str,
        record: impl FnOnce(u64, &Policy) -> Result<()>,
    ) -> Result<Arc<Function>> {
        let mut connection = self.lock()?;
        let old = self.expect(name)?;
        let policy = self.expect_policy(policy)?;
        let authority = Authority::new(Arc::clone(&policy), Vec::new(), Vec::new());
        let function = old.with_authority(authority);
        function.refuse_reach(self.guards)?;
        let transaction = connection.transaction().map_err(unwritable)?;
        transaction
            .execute("DELETE FROM authority WHERE function = ?", [name])
            .and_then(|_| {
                transaction.execute(
                    "UPDATE function SET policy = ?, own_limits = '{}' WHERE name = ?",
                    params![policy.name, name],
                )
            })
            .map_err(unwritable)?;
        record(old.version, &policy)?;
        transaction.commit().map_err(unwritable)?;
        self.publish_changed(&function, |function| {
            function.limits = policy.limits;
            function.own_limits = Default::default();
        })?;
        old.enabled.forget_denials();
        Ok(old)
    }

    fn store_policy(
        &self,
        make: impl FnOnce(&Catalog) -> Result<Policy>,
        caller: &str,
        record: impl FnOnce(&Policy) -> Result<()>,
    ) -> Result<()> {
        let mut connection = self.lock()?;
        let mut policy = make(self)?;
        for user in self.users(&policy.name) {
            user.under(Arc::new(policy.clone()))
                .refuse_reach(self.guards)?;
        }
        let transaction = connection.transaction().map_err(unwritable)?;
        policy.version = insert_policy(&transaction, &policy, caller).map_err(unwritable)?;
        record(&policy)?;
        transaction.commit().map_err(unwritable)?;
        let mut functions = self.functions.write().map_err(Error::internal)?;
        self.publish_policy(&mut functions, Arc::new(policy));
        Ok(())
    }

    /// The functions of the policy change along with it, all at once.
    fn publish_policy(&self, functions: &mut Functions, policy: Arc<Policy>) {
        let name = policy.name.clone();
        functions.policies.0.insert(name, Arc::clone(&policy));
        let mut users: Vec<Arc<Function>> = functions.by_name.values().cloned().collect();
        users.retain(|function| function.policy().name == policy.name);
        for old in users {
            self.publish_in(functions, &old.name, |changed_at| {
                Some(Function {
                    changed_at,
                    ..old.under(Arc::clone(&policy))
                })
            });
        }
    }

    /// The functions that have a policy.
    fn users(&self, policy: &str) -> Vec<Arc<Function>> {
        let mut users = self.functions();
        users.retain(|function| function.policy().name == policy);
        users
    }
}

impl Function {
    /// The same function with another policy, or another version of it.
    fn under(&self, policy: Arc<Policy>) -> Function {
        let Authority {
            grants, denials, ..
        } = Authority::clone(&self.authority);
        Function {
            limits: self.own_limits.over(policy.limits),
            ..self.with_authority(Authority::new(policy, grants, denials))
        }
    }
}

fn refuse_built_in(name: &str) -> Result<()> {
    match Policy::built_in_named(name) {
        None => Ok(()),
        Some(policy) => Err(Error::new(
            SqlState::RESERVED_NAME,
            format!("policy \"{}\" is built in and stays as it is", policy.name),
        )
        .with_hint("give the policy another name")),
    }
}
