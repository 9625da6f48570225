//! A security policy: what a function gets without a grant of its own, and the limits
//! that bound it. Immutable: a change makes a new version.
//!
//! Not for who may change one, nor for where it is stored (`catalog/`).

use crate::capability::Grant;
use crate::error::{Error, Result, SqlState, nearest};
use crate::limits::{Limits, SETTINGS, Setting};
use crate::syscall::{Syscall, SyscallSet};
use serde_json::{Map, Value as Json};
use std::sync::{Arc, LazyLock};

/// One version of a policy.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Policy {
    pub(crate) name: String,
    /// Counts the policy's own versions: 1, 2, 3 …
    pub(crate) version: u64,
    pub(crate) capabilities: Vec<Grant>,
    pub(crate) limits: Limits,
    /// Without it only refusals and broken limits are recorded.
    pub(crate) audit_logging: bool,
    /// Whether a result waits for its entries to be on disk, whatever the call did.
    pub(crate) audit_sync: bool,
    pub(crate) allowed_syscalls: SyscallSet,
    /// Who reviewed it, if it says so.
    pub(crate) reviewed_by: Option<String>,
}

/// One key of a policy and its value, as the statement has them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: EntryValue,
}

/// A value, not yet checked against its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum EntryValue {
    /// A number as it was written: `-1`, `0.5`, `1e3`.
    Number(String),
    Boolean(bool),
    Text(String),
    /// `['clock_time_get']`
    Texts(Vec<String>),
    /// `[DATABASE_READ('users'), TIME_ACCESS]`
    Capabilities(Vec<Grant>),
    /// `[]`, of whatever kind.
    EmptyList,
    /// The word DEFAULT.
    Default,
}

const CAPABILITIES: &str = "capabilities";
const AUDIT_LOGGING: &str = "audit_logging";
const AUDIT_DURABILITY: &str = "audit_durability";
const ALLOWED_SYSCALLS: &str = "allowed_syscalls";
const REVIEWED_BY: &str = "reviewed_by";

/// Limits that the language has and this version does not.
const NOT_BUILT: [&str; 2] = ["max_file_handles", "max_network_connections"];

/// The longest name of a reviewer.
const REVIEWER_BYTES_MAX: usize = 256;

/// The policies that there always are. What a capability of theirs needs and this
/// version does not have joins them when it comes.
static BUILT_IN: LazyLock<[Arc<Policy>; 3]> = LazyLock::new(|| {
    let default = vec![Grant::TimeAccess];
    let tables = |name| Grant::new(name, Some("*")).ok();
    let permissive = default
        .iter()
        .cloned()
        .chain(tables("DATABASE_READ"))
        .chain(tables("DATABASE_WRITE"))
        .collect();
    [
        Policy::built_in("MINIMAL", Vec::new(), Limits::DEFAULT),
        Policy::built_in("DEFAULT", default, Limits::DEFAULT),
        Policy::built_in("PERMISSIVE", permissive, Limits::MOST),
    ]
    .map(Arc::new)
});

impl Policy {
    /// What a new function has: nothing.
    pub(crate) fn minimal() -> Arc<Policy> {
        Arc::clone(&BUILT_IN[0])
    }

    /// A policy that there always is, by its name in any case.
    pub(crate) fn built_in_named(name: &str) -> Option<Arc<Policy>> {
        let mut policies = BUILT_IN.iter();
        policies
            .find(|policy| policy.name.eq_ignore_ascii_case(name))
            .cloned()
    }

    /// The policies that there always are.
    pub(crate) fn all_built_in() -> impl Iterator<Item = Arc<Policy>> {
        BUILT_IN.iter().cloned()
    }

    pub(crate) fn is_built_in(&self) -> bool {
        self.version == 0
    }

    fn built_in(name: &str, capabilities: Vec<Grant>, limits: Limits) -> Policy {
        Policy {
            name: name.to_string(),
            version: 0,
            capabilities,
            limits,
            audit_logging: true,
            audit_sync: false,
            allowed_syscalls: SyscallSet::DEFAULT,
            reviewed_by: None,
        }
    }

    /// A policy with these entries; what is not given is as in MINIMAL.
    pub(crate) fn new(name: &str, entries: &[Entry]) -> Result<Policy> {
        let base = Policy::built_in(name, Vec::new(), Limits::DEFAULT);
        base.with(entries)
    }

    /// The policy with these entries in place of its own.
    pub(crate) fn with(&self, entries: &[Entry]) -> Result<Policy> {
        let mut policy = self.clone();
        refuse_duplicates(entries)?;
        for Entry { key, value } in entries {
            policy.set(key, value)?;
        }
        Ok(policy)
    }

    fn set(&mut self, key: &str, value: &EntryValue) -> Result<()> {
        if let Some(setting) = Setting::of(key) {
            let value = match value {
                EntryValue::Default => Limits::DEFAULT.value(setting),
                value => limit_value(setting, value)?,
            };
            self.limits.set(setting, value);
            return Ok(());
        }
        let minimal = Policy::minimal();
        match (key, value) {
            (CAPABILITIES, EntryValue::EmptyList | EntryValue::Default) => {
                self.capabilities.clear();
            }
            (CAPABILITIES, EntryValue::Capabilities(grants)) => {
                self.capabilities.clone_from(grants);
            }
            (CAPABILITIES, _) => return Err(wants(key, "a list as [DATABASE_READ('users')]")),
            (AUDIT_LOGGING, EntryValue::Default) => self.audit_logging = minimal.audit_logging,
            (AUDIT_LOGGING, EntryValue::Boolean(on)) => self.audit_logging = *on,
            (AUDIT_LOGGING, _) => return Err(wants(key, "true or false")),
            (AUDIT_DURABILITY, EntryValue::Default) => self.audit_sync = minimal.audit_sync,
            (AUDIT_DURABILITY, EntryValue::Text(text)) if text == "sync" => self.audit_sync = true,
            (AUDIT_DURABILITY, EntryValue::Text(text)) if text == "group" => {
                self.audit_sync = false;
            }
            (AUDIT_DURABILITY, _) => return Err(wants(key, "'sync' or 'group'")),
            (ALLOWED_SYSCALLS, EntryValue::Default) => {
                self.allowed_syscalls = minimal.allowed_syscalls;
            }
            (ALLOWED_SYSCALLS, EntryValue::EmptyList) => self.allowed_syscalls = SyscallSet::NONE,
            (ALLOWED_SYSCALLS, EntryValue::Texts(names)) => {
                let syscalls = names.iter().map(|name| Syscall::parse(name));
                self.allowed_syscalls = syscalls.collect::<Result<_>>()?;
            }
            (ALLOWED_SYSCALLS, _) => return Err(wants(key, "a list as ['clock_time_get']")),
            (REVIEWED_BY, EntryValue::Default) => self.reviewed_by = None,
            (REVIEWED_BY, EntryValue::Text(name)) => self.reviewed_by = Some(reviewer(name)?),
            (REVIEWED_BY, _) => return Err(wants(key, "a name in single quotes")),
            _ => return Err(unknown_key(key, true)),
        }
        Ok(())
    }

    /// As it is stored and signed: every key with its value, in the order of the keys.
    pub(crate) fn to_json(&self) -> String {
        let texts = |list: Vec<String>| Json::from(list);
        let mut body = Map::new();
        body.insert(CAPABILITIES.into(), texts(self.capability_names()));
        for setting in &SETTINGS {
            body.insert(setting.key.into(), self.limits.value(setting).into());
        }
        body.insert(AUDIT_LOGGING.into(), self.audit_logging.into());
        body.insert(AUDIT_DURABILITY.into(), self.audit_durability().into());
        let syscalls = self.allowed_syscalls.iter();
        let syscalls = syscalls.map(|syscall| syscall.name().to_string());
        body.insert(ALLOWED_SYSCALLS.into(), texts(syscalls.collect()));
        body.insert(REVIEWED_BY.into(), self.reviewed_by.clone().into());
        Json::Object(body).to_string()
    }

    /// Reads what `to_json` wrote. None if it is anything else.
    pub(crate) fn from_json(name: &str, version: u64, text: &str) -> Option<Policy> {
        let Ok(Json::Object(mut body)) = serde_json::from_str(text) else {
            return None;
        };
        let mut policy = Policy::built_in(name, Vec::new(), Limits::DEFAULT);
        policy.version = version;
        let mut texts =
            |key: &str| -> Option<Vec<String>> { serde_json::from_value(body.remove(key)?).ok() };
        let grants = texts(CAPABILITIES)?;
        let grants = grants.iter().map(|text| Grant::parse(text).ok());
        policy.capabilities = grants.collect::<Option<_>>()?;
        let syscalls = texts(ALLOWED_SYSCALLS)?;
        let syscalls = syscalls.iter().map(|name| Syscall::parse(name).ok());
        policy.allowed_syscalls = syscalls.collect::<Option<_>>()?;
        for setting in &SETTINGS {
            let Some(value) = body.get(setting.key) else {
                // It was stored before there was such a limit: the default holds.
                continue;
            };
            let value = value.as_u64().filter(|value| setting.accepts(*value))?;
            policy.limits.set(setting, value);
        }
        policy.audit_logging = body.get(AUDIT_LOGGING)?.as_bool()?;
        policy.audit_sync = body.get(AUDIT_DURABILITY)?.as_str()? == "sync";
        policy.reviewed_by = body.get(REVIEWED_BY)?.as_str().map(str::to_string);
        Some(policy)
    }

    pub(crate) fn audit_durability(&self) -> &'static str {
        if self.audit_sync { "sync" } else { "group" }
    }

    fn capability_names(&self) -> Vec<String> {
        self.capabilities.iter().map(Grant::to_string).collect()
    }
}

/// The limits that a function sets for itself, in place of its policy's.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct OwnLimits(Vec<(&'static str, u64)>);

impl OwnLimits {
    /// These limits with some more; DEFAULT gives one back to the policy.
    pub(crate) fn with(&self, entries: &[Entry]) -> Result<OwnLimits> {
        refuse_duplicates(entries)?;
        let mut own = self.clone();
        for Entry { key, value } in entries {
            let setting = Setting::of(key).ok_or_else(|| unknown_key(key, false))?;
            let value = match value {
                EntryValue::Default => None,
                value => Some(limit_value(setting, value)?),
            };
            own.0.retain(|(known, _)| *known != setting.key);
            own.0.extend(value.map(|value| (setting.key, value)));
        }
        Ok(own)
    }

    /// What holds: the policy's limits with these in their place.
    pub(crate) fn over(&self, mut limits: Limits) -> Limits {
        for (key, value) in &self.0 {
            if let Some(setting) = Setting::of(key) {
                limits.set(setting, *value);
            }
        }
        limits
    }

    pub(crate) fn contains(&self, setting: &Setting) -> bool {
        self.0.iter().any(|(key, _)| *key == setting.key)
    }

    /// As it is stored.
    pub(crate) fn to_json(&self) -> String {
        let map: Map<String, Json> = self
            .0
            .iter()
            .map(|(key, value)| (key.to_string(), Json::from(*value)))
            .collect();
        Json::Object(map).to_string()
    }

    /// Reads what `to_json` wrote. None if it is anything else.
    pub(crate) fn from_json(text: &str) -> Option<OwnLimits> {
        let Ok(Json::Object(map)) = serde_json::from_str(text) else {
            return None;
        };
        let limits = map.iter().map(|(key, value)| {
            let setting = Setting::of(key)?;
            let value = value.as_u64().filter(|value| setting.accepts(*value))?;
            Some((setting.key, value))
        });
        limits.collect::<Option<Vec<_>>>().map(OwnLimits)
    }
}

/// A value within a limit's range.
fn limit_value(setting: &Setting, value: &EntryValue) -> Result<u64> {
    let given = match value {
        EntryValue::Number(text) => text.as_str(),
        _ => return Err(wants(setting.key, &setting.range())),
    };
    let value = given.parse::<u64>().ok();
    value
        .filter(|value| setting.accepts(*value))
        .ok_or_else(|| {
            let message = format!("{} cannot be {given}", setting.key);
            Error::new(SqlState::INVALID_VALUE, message)
                .with_detail(format!("it is {}", setting.range()))
        })
}

fn reviewer(name: &str) -> Result<String> {
    let fits = !name.trim().is_empty()
        && name.len() <= REVIEWER_BYTES_MAX
        && !name.contains(char::is_control);
    if !fits {
        let form = format!("a name of at most {REVIEWER_BYTES_MAX} bytes");
        return Err(wants(REVIEWED_BY, &form));
    }
    Ok(name.to_string())
}

fn refuse_duplicates(entries: &[Entry]) -> Result<()> {
    for (index, entry) in entries.iter().enumerate() {
        if entries[..index]
            .iter()
            .any(|before| before.key == entry.key)
        {
            let message = format!("{} is given twice", entry.key);
            return Err(Error::new(SqlState::SYNTAX, message));
        }
    }
    Ok(())
}

fn wants(key: &str, form: &str) -> Error {
    Error::new(SqlState::INVALID_VALUE, format!("{key} has a bad value"))
        .with_detail(format!("it is {form}"))
}

fn unknown_key(key: &str, of_policy: bool) -> Error {
    if NOT_BUILT.contains(&key) {
        let message = format!("{key} is not built in this version");
        return Error::new(SqlState::FEATURE_NOT_SUPPORTED, message);
    }
    let others = [
        CAPABILITIES,
        AUDIT_LOGGING,
        AUDIT_DURABILITY,
        ALLOWED_SYSCALLS,
        REVIEWED_BY,
    ];
    let (what, others) = match of_policy {
        true => ("policy", &others[..]),
        false => ("function", &[][..]),
    };
    let keys = || others.iter().copied().chain(SETTINGS.iter().map(|s| s.key));
    let list: Vec<&str> = keys().collect();
    let message = format!("a {what} has no setting \"{key}\"");
    let error = Error::new(SqlState::INVALID_VALUE, message)
        .with_detail(format!("the settings are {}", list.join(", ")));
    match nearest(key, keys()) {
        Some(near) => error.with_hint(format!("did you mean {near}?")),
        None => error,
    }
}
