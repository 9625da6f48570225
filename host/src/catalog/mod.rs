//! The catalog: which functions exist, their versions, their grants, and the policies.
//!
//! A SQLite file of its own beside the data, so that a REVOKE never waits for a
//! running writer. What is in it is held in memory too, as immutable [`Function`]s;
//! a reader never waits for the disk. One process owns the file.

mod file;
mod policies;
mod violations;

pub(crate) use file::{History, Recompile};
pub(crate) use policies::Policies;

use crate::capability::Grant;
use crate::engine::ContentHash;
use crate::error::{Error, Result, SqlState, nearest};
use crate::function::{Authority, Code, Function, Kind};
use crate::guard::{Guard, Guards};
use crate::limits::Limits;
use crate::policy::{Entry, OwnLimits, Policy};
use crate::signature::Signature;
use crate::statement::name_in_sql;
use crate::violations::Switch;
use file::{
    delete, insert, load, load_policies, load_version, prepare_file, unreadable, unwritable,
};
use rusqlite::{Connection, Transaction, params};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

/// The functions of one vault.
pub(crate) struct Catalog {
    /// Also the lock under which a change is made, from its check to its effect.
    connection: Mutex<Connection>,
    functions: RwLock<Functions>,
    /// Grows with every change: a cheap question whether anything changed.
    version: AtomicU64,
    guards: Guards,
}

#[derive(Default)]
struct Functions {
    policies: Policies,
    by_name: HashMap<String, Arc<Function>>,
    /// Names in lower case, as SQLite compares them, each with the name as it is.
    by_folded_name: HashMap<String, String>,
    /// The last change of each name, by the version that it made.
    changes: BTreeMap<u64, String>,
}

/// A function to be created.
pub(crate) struct NewFunction {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) strict: bool,
    pub(crate) signature: Signature,
    pub(crate) code: Code,
    /// The names of a JavaScript entry point, best first.
    pub(crate) entry_names: Vec<String>,
    /// What was uploaded: the JavaScript source, or the component.
    pub(crate) content: Arc<[u8]>,
}

/// Which list an entry of `heliosdb.grants` is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Grant,
    Deny,
}

impl Catalog {
    /// Opens the file, or an empty catalog in memory.
    pub(crate) fn open(
        path: Option<&Path>,
        engine: &ContentHash,
        recompile: Recompile<'_>,
        guards: Guards,
    ) -> Result<Catalog> {
        #[expect(clippy::disallowed_methods, reason = "the catalog's own file")]
        let mut connection = match path {
            Some(path) => Connection::open(path),
            None => Connection::open_in_memory(),
        }
        .map_err(unreadable)?;
        prepare_file(&mut connection)?;
        let mut functions = Functions {
            policies: Policies::new(load_policies(&connection)?),
            ..Functions::default()
        };
        for function in load(&connection, &functions.policies, engine, recompile)? {
            let name = function.name.clone();
            functions.changes.insert(function.changed_at, name.clone());
            functions.insert(function);
        }
        Ok(Catalog {
            guards,
            version: AtomicU64::new(functions.by_name.len() as u64),
            connection: Mutex::new(connection),
            functions: RwLock::new(functions),
        })
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn function(&self, name: &str) -> Option<Arc<Function>> {
        self.functions.read().ok()?.by_name.get(name).cloned()
    }

    /// The function of this name in any case, as SQLite compares the names of functions.
    /// There are never two.
    pub(crate) fn function_in_any_case(&self, name: &str) -> Option<Arc<Function>> {
        let functions = self.functions.read().ok()?;
        let name = functions.by_folded_name.get(&name.to_ascii_lowercase())?;
        functions.by_name.get(name).cloned()
    }

    /// The function, or an error that suggests a near name.
    pub(crate) fn expect(&self, name: &str) -> Result<Arc<Function>> {
        let functions = self.functions.read().map_err(Error::internal)?;
        if let Some(function) = functions.by_name.get(name) {
            return Ok(Arc::clone(function));
        }
        let error = Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("no function \"{name}\""),
        );
        let near = nearest(name, functions.by_name.keys().map(String::as_str))
            .and_then(|near| functions.by_name.get(near));
        Err(match near {
            Some(f) => error.with_hint(format!(
                "did you mean \"{}({})\"?",
                f.name,
                f.signature.parameter_types()
            )),
            None => error,
        })
    }

    /// The function, which must be of this kind: the other kind has statements of its
    /// own. The verb is that of the statement, for the hint.
    pub(crate) fn expect_kind(&self, name: &str, kind: Kind, verb: &str) -> Result<Arc<Function>> {
        let function = self.expect(name)?;
        match function.kind == kind {
            true => Ok(function),
            false => Err(of_another_kind(&function, kind, verb)),
        }
    }

    /// Every function, by name.
    pub(crate) fn functions(&self) -> Vec<Arc<Function>> {
        let Ok(functions) = self.functions.read() else {
            return Vec::new();
        };
        let mut list: Vec<_> = functions.by_name.values().cloned().collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// The names that changed after a version, each with what it is now.
    pub(crate) fn changes_since(&self, version: u64) -> Vec<(String, Option<Arc<Function>>)> {
        let Ok(functions) = self.functions.read() else {
            return Vec::new();
        };
        functions
            .changes
            .range(version + 1..)
            .map(|(_, name)| (name.clone(), functions.by_name.get(name).cloned()))
            .collect()
    }

    /// What was uploaded, by its hash.
    pub(crate) fn content(&self, hash: &ContentHash) -> Result<Arc<[u8]>> {
        let connection = self.lock()?;
        let bytes: Vec<u8> = connection
            .query_row(
                "SELECT bytes FROM content WHERE hash = ?",
                [&hash[..]],
                |row| row.get(0),
            )
            .map_err(unreadable)?;
        let is_same = blake3::hash(&bytes) == blake3::Hash::from_bytes(*hash);
        if !is_same && self.guards.holds(Guard::ContentHash) {
            return Err(Error::new(
                SqlState::CORRUPTED,
                "a stored function is damaged",
            ));
        }
        Ok(bytes.into())
    }

    /// Creates a function, or replaces it and keeps its grants. `record` is called
    /// once the change is certain to be possible, and before it takes effect.
    pub(crate) fn create(
        &self,
        new: NewFunction,
        or_replace: bool,
        engine: &ContentHash,
        caller: &str,
        record: impl FnOnce(u64) -> Result<()>,
    ) -> Result<()> {
        let mut connection = self.lock()?;
        let old = self.function(&new.name);
        match &old {
            Some(old) if old.kind != new.kind => {
                return Err(of_another_kind(old, new.kind, "CREATE"));
            }
            Some(old) if !or_replace => return Err(exists_already(old)),
            _ => {}
        }
        let function = made(&new, old.as_deref());
        function.refuse_reach(self.guards)?;
        let transaction = connection.transaction().map_err(unwritable)?;
        let version = insert(&transaction, &new, engine, caller).map_err(unwritable)?;
        record(version)?;
        transaction.commit().map_err(unwritable)?;
        self.publish(&new.name, |changed_at| {
            Some(Function {
                version,
                changed_at,
                ..function
            })
        })
    }

    /// Removes a function with its versions and grants.
    pub(crate) fn remove(&self, name: &str, record: impl FnOnce(u64) -> Result<()>) -> Result<()> {
        let mut connection = self.lock()?;
        let old = self.expect(name)?;
        let mut aggregates = self.functions();
        aggregates.retain(|function| function.parts().any(|part| part == name));
        if let Some(aggregate) = aggregates.first() {
            return Err(is_part_of(name, &aggregate.name));
        }
        let transaction = connection.transaction().map_err(unwritable)?;
        delete(&transaction, name).map_err(unwritable)?;
        record(old.version)?;
        transaction.commit().map_err(unwritable)?;
        old.enabled.turn_off();
        self.publish(name, |_| None)
    }

    /// Adds entries to one side of a function's authority.
    pub(crate) fn add(
        &self,
        name: &str,
        side: Side,
        grants: &[Grant],
        record: impl FnOnce(u64) -> Result<()>,
    ) -> Result<()> {
        self.change_authority(name, record, |transaction, authority| {
            let list = authority.side(side);
            for grant in grants {
                transaction
                    .execute(
                        "INSERT OR IGNORE INTO authority VALUES (?, ?, ?, ?)",
                        params![
                            name,
                            side.as_str(),
                            grant.capability().name(),
                            pattern(grant)
                        ],
                    )
                    .map_err(unwritable)?;
                if !list.contains(grant) {
                    list.push(grant.clone());
                }
            }
            Ok(())
        })?;
        if side == Side::Grant {
            self.expect(name)?.enabled.forget_denials();
        }
        Ok(())
    }

    /// Removes exactly these grants and, where there is no such grant, denials.
    pub(crate) fn revoke(
        &self,
        name: &str,
        grants: &[Grant],
        record: impl FnOnce(u64) -> Result<()>,
    ) -> Result<()> {
        self.change_authority(name, record, |transaction, authority| {
            for grant in grants {
                let side = [Side::Grant, Side::Deny]
                    .into_iter()
                    .find(|side| authority.side(*side).contains(grant))
                    .ok_or_else(|| no_such_grant(name, grant, authority))?;
                authority.side(side).retain(|g| g != grant);
                transaction
                    .execute(
                        "DELETE FROM authority WHERE function = ? AND side = ?
                         AND capability = ? AND pattern = ?",
                        params![
                            name,
                            side.as_str(),
                            grant.capability().name(),
                            pattern(grant)
                        ],
                    )
                    .map_err(unwritable)?;
            }
            Ok(())
        })
    }

    /// Makes an earlier version the one that runs, or a later one again.
    pub(crate) fn set_version(
        &self,
        name: &str,
        version: u64,
        engine: &ContentHash,
        recompile: Recompile<'_>,
        record: impl FnOnce(u64) -> Result<()>,
    ) -> Result<()> {
        let mut connection = self.lock()?;
        let old = self.expect(name)?;
        let Some(wanted) = load_version(&connection, &old, version, engine, recompile)? else {
            return Err(Error::new(
                SqlState::INVALID_VALUE,
                format!("function \"{name}\" has no version {version}"),
            )
            .with_hint(format!(
                "SELECT * FROM heliosdb.function_versions WHERE function_name = '{name}';"
            )));
        };
        let function = Function {
            version: wanted.version,
            strict: wanted.strict,
            signature: wanted.signature,
            code: wanted.code,
            ..Function::clone(&old)
        };
        function.refuse_reach(self.guards)?;
        let transaction = connection.transaction().map_err(unwritable)?;
        transaction
            .execute(
                "UPDATE function SET version = ? WHERE name = ?",
                params![version as i64, name],
            )
            .map_err(unwritable)?;
        record(version)?;
        transaction.commit().map_err(unwritable)?;
        self.publish(name, |changed_at| {
            Some(Function {
                changed_at,
                ..function
            })
        })
    }

    /// Gives a function limits of its own.
    pub(crate) fn set_own_limits(
        &self,
        name: &str,
        entries: &[Entry],
        record: impl FnOnce(u64, &OwnLimits) -> Result<()>,
    ) -> Result<()> {
        let mut connection = self.lock()?;
        let old = self.expect(name)?;
        let own_limits = old.own_limits.with(entries)?;
        let transaction = connection.transaction().map_err(unwritable)?;
        transaction
            .execute(
                "UPDATE function SET own_limits = ? WHERE name = ?",
                params![own_limits.to_json(), name],
            )
            .map_err(unwritable)?;
        record(old.version, &own_limits)?;
        transaction.commit().map_err(unwritable)?;
        self.publish_changed(&old, |function| {
            function.limits = own_limits.over(function.policy().limits);
            function.own_limits = own_limits;
        })
    }

    fn change_authority(
        &self,
        name: &str,
        record: impl FnOnce(u64) -> Result<()>,
        change: impl FnOnce(&Transaction<'_>, &mut Authority) -> Result<()>,
    ) -> Result<()> {
        let mut connection = self.lock()?;
        let old = self.expect(name)?;
        let mut authority = Authority::clone(&old.authority);
        let transaction = connection.transaction().map_err(unwritable)?;
        change(&transaction, &mut authority)?;
        // Made anew, for what follows from its lists.
        let authority = Authority::new(authority.policy, authority.grants, authority.denials);
        let function = old.with_authority(authority);
        function.refuse_reach(self.guards)?;
        record(old.version)?;
        transaction.commit().map_err(unwritable)?;
        self.publish(name, |changed_at| {
            Some(Function {
                changed_at,
                ..function
            })
        })
    }

    /// Makes a function visible that is as the old one but for a change.
    fn publish_changed(&self, old: &Function, change: impl FnOnce(&mut Function)) -> Result<()> {
        self.publish(&old.name, |changed_at| {
            let mut function = old.clone();
            function.changed_at = changed_at;
            change(&mut function);
            Some(function)
        })
    }

    /// Makes a change visible to every call; the caller holds the change lock.
    fn publish(&self, name: &str, make: impl FnOnce(u64) -> Option<Function>) -> Result<()> {
        let mut functions = self.functions.write().map_err(Error::internal)?;
        self.publish_in(&mut functions, name, make);
        Ok(())
    }

    fn publish_in(
        &self,
        functions: &mut Functions,
        name: &str,
        make: impl FnOnce(u64) -> Option<Function>,
    ) {
        let version = self.version.load(Ordering::Acquire) + 1;
        if let Some(old) = functions.by_name.get(name).map(|old| old.changed_at) {
            functions.changes.remove(&old);
        }
        functions.changes.insert(version, name.to_string());
        match make(version) {
            Some(function) => functions.insert(function),
            None => functions.remove(name),
        }
        self.version.store(version, Ordering::Release);
    }

    fn lock(&self) -> Result<MutexGuard<'_, Connection>> {
        self.connection.lock().map_err(Error::internal)
    }
}

impl Functions {
    fn insert(&mut self, function: Function) {
        let (name, folded) = (function.name.clone(), function.name.to_ascii_lowercase());
        self.by_folded_name.insert(folded, name.clone());
        self.by_name.insert(name, Arc::new(function));
    }

    fn remove(&mut self, name: &str) {
        self.by_folded_name.remove(&name.to_ascii_lowercase());
        self.by_name.remove(name);
    }
}

impl Side {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Side::Grant => "GRANT",
            Side::Deny => "DENY",
        }
    }
}

impl Authority {
    fn side(&mut self, side: Side) -> &mut Vec<Grant> {
        match side {
            Side::Grant => &mut self.grants,
            Side::Deny => &mut self.denials,
        }
    }
}

/// The function that CREATE makes, with what one that it replaces had been given.
fn made(new: &NewFunction, old: Option<&Function>) -> Function {
    let (kind, minimal) = (new.kind, Policy::minimal());
    Function {
        name: new.name.clone(),
        kind,
        version: 0,
        changed_at: 0,
        enabled: old.map_or_else(|| Switch::new(true), |old| Arc::clone(&old.enabled)),
        strict: new.strict,
        signature: new.signature.clone(),
        code: new.code.clone(),
        authority: old.map_or_else(
            || Arc::new(Authority::new(minimal, Vec::new(), Vec::new())),
            |old| Arc::clone(&old.authority),
        ),
        own_limits: old.map(|old| old.own_limits.clone()).unwrap_or_default(),
        limits: old.map_or_else(|| kind.limits(Limits::DEFAULT), |old| old.limits),
        linked: Default::default(),
        constants: Default::default(),
    }
}

fn pattern(grant: &Grant) -> String {
    grant.pattern().map(ToString::to_string).unwrap_or_default()
}

fn exists_already(old: &Function) -> Error {
    let message = format!("{} \"{}\" already exists", old.kind.noun(), old.name);
    Error::new(SqlState::DUPLICATE_FUNCTION, message).with_hint(match old.kind {
        Kind::Procedure => "CREATE OR REPLACE FUNCTION replaces it and keeps its grants",
        Kind::Condition => "CREATE OR REPLACE CONDITION replaces it",
        Kind::Aggregate => "CREATE OR REPLACE AGGREGATE replaces it",
    })
}

fn is_part_of(name: &str, aggregate: &str) -> Error {
    Error::new(
        SqlState::DEPENDENT_OBJECTS,
        format!("cannot drop function \"{name}\": aggregate \"{aggregate}\" uses it"),
    )
    .with_hint(format!("DROP AGGREGATE \"{aggregate}\";"))
}

fn of_another_kind(function: &Function, wanted: Kind, verb: &str) -> Error {
    let (name, noun) = (&function.name, function.kind.noun());
    let article = |kind| match kind {
        Kind::Aggregate => "an",
        _ => "a",
    };
    let (found, other) = (article(function.kind), article(wanted));
    Error::new(
        SqlState::WRONG_OBJECT,
        format!(
            "\"{name}\" is {found} {noun} and not {other} {}",
            wanted.noun()
        ),
    )
    .with_detail("a name means one function, and its kind never changes")
    .with_hint(match verb {
        "CREATE" => "take another name".to_string(),
        _ => format!(
            "the statement is {verb} {} {name} …",
            noun.to_ascii_uppercase()
        ),
    })
}

fn no_such_policy(name: &str, names: &[String]) -> Error {
    let error = Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("no security policy \"{name}\""),
    )
    .with_detail(format!("the policies are {}", names.join(", ")));
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => error.with_hint(format!("did you mean {near}?")),
        None => error,
    }
}

fn no_such_grant(name: &str, grant: &Grant, authority: &Authority) -> Error {
    Error::new(
        SqlState::INVALID_VALUE,
        format!("function \"{name}\" has no grant {grant}"),
    )
    .with_detail(authority.describe())
    .with_hint(format!(
        "REVOKE removes exactly that grant; to subtract it from a wider one: \
             ALTER FUNCTION {} DENY CAPABILITY {grant};",
        name_in_sql(name)
    ))
}
