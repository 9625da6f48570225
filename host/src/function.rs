//! A function as the catalog knows it: its code, its signature and its authority.
//! Immutable: a change makes a new one.

use crate::capability::{Capability, Grant};
use crate::constants::Known;
use crate::engine::ContentHash;
use crate::error::{Error, Result, SqlState};
use crate::guard::{Guard, Guards};
use crate::limits::{self, Limits, Setting};
use crate::linker::Ready;
use crate::policy::{OwnLimits, Policy};
use crate::signature::{Signature, WitType};
use crate::types::SqlType;
use crate::violations::Switch;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// One function, in its current version.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Counts the function's own versions: 1, 2, 3 …
    pub(crate) version: u64,
    /// The catalog's version when this function last changed in any way.
    pub(crate) changed_at: u64,
    pub(crate) enabled: Arc<Switch>,
    /// NULL in any argument gives NULL without a call.
    pub(crate) strict: bool,
    pub(crate) signature: Signature,
    pub(crate) code: Code,
    pub(crate) authority: Arc<Authority>,
    /// What it sets for itself in place of its policy's.
    pub(crate) own_limits: OwnLimits,
    /// What holds for its executions.
    pub(crate) limits: Limits,
    pub(crate) linked: Linking,
    /// The texts in its code.
    pub(crate) constants: Known,
}

/// The function's component with what is granted to it linked, once it has been called
/// and as long as it is kept. A copy of the function is made to be changed, so it has none.
#[derive(Default)]
pub(crate) struct Linking(Mutex<Weak<Ready>>);

impl Linking {
    pub(crate) fn get(&self) -> Option<Arc<Ready>> {
        let ready = self.lock().upgrade()?;
        ready.touch();
        Some(ready)
    }

    pub(crate) fn set(&self, ready: &Arc<Ready>) {
        *self.lock() = Arc::downgrade(ready);
    }

    fn lock(&self) -> MutexGuard<'_, Weak<Ready>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Linking {
    fn clone(&self) -> Linking {
        Linking::default()
    }
}

/// What a function is for. Its name means one function, whatever its kind, and its kind
/// never changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Does what it is granted.
    Procedure,
    /// Says yes or no from its argument alone: it can be granted nothing.
    Condition,
    /// Makes one value of many rows, by functions that have their own grants.
    Aggregate,
}

/// What runs.
#[derive(Clone)]
pub(crate) enum Code {
    /// Bytecode for the shared engine, and the hash of the source that it came from.
    JavaScript {
        bytecode: Arc<[u8]>,
        source_hash: ContentHash,
    },
    /// A component and the path of its export.
    Component {
        hash: ContentHash,
        export: ExportPath,
    },
    /// Other functions, and the hash of their JSON.
    Aggregate {
        hash: ContentHash,
        aggregate: Aggregate,
    },
}

/// What an aggregate is made of.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Aggregate {
    /// The function that makes the next state of a state and a row.
    pub(crate) step: String,
    /// The state's type.
    pub(crate) state: SqlType,
    /// The function that makes the result of the last state.
    pub(crate) finish: Option<String>,
    /// The first state, as text; NULL without it.
    pub(crate) initial: Option<String>,
}

/// An exported function: its name, inside an exported interface if there is one.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct ExportPath {
    pub(crate) interface: Option<String>,
    pub(crate) function: String,
}

/// What a function may do: what its policy gives and its own grants, less its denials.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    pub(crate) policy: Arc<Policy>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) denials: Vec<Grant>,
    capabilities: CapabilitySet,
    has_filters: bool,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Procedure, Kind::Condition, Kind::Aggregate];

    /// As the catalog and its views have it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Kind::Procedure => "procedure",
            Kind::Condition => "condition",
            Kind::Aggregate => "aggregate",
        }
    }

    /// Reads what `as_str` wrote.
    pub(crate) fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The word for it in statements and errors.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Kind::Procedure => "function",
            Kind::Condition => "condition",
            Kind::Aggregate => "aggregate",
        }
    }

    /// What holds for its executions, given what its policy says.
    pub(crate) fn limits(self, of_policy: Limits) -> Limits {
        match self {
            Kind::Procedure | Kind::Aggregate => of_policy,
            Kind::Condition => Limits::CONDITION,
        }
    }
}

impl Function {
    pub(crate) fn policy(&self) -> &Arc<Policy> {
        &self.authority.policy
    }

    /// Whose value of a limit holds, for people: `policy "DEFAULT"`.
    pub(crate) fn origin(&self, setting: &Setting) -> String {
        match (self.kind, self.own_limits.contains(setting)) {
            (Kind::Condition, _) => "every condition".to_string(),
            (_, true) => format!("function \"{}\"", self.name),
            (_, false) => format!("policy \"{}\"", self.policy().name),
        }
    }

    /// What a call of it may hold at most, the host on its behalf included.
    pub(crate) fn call_bytes(&self) -> u64 {
        let result = self.signature.result.as_ref();
        let gives_composite = result.is_some_and(WitType::is_composite);
        limits::call_bytes(&self.limits, self.kind, gives_composite)
    }

    pub(crate) fn language(&self) -> &'static str {
        match self.code {
            Code::JavaScript { .. } => "javascript",
            Code::Component { .. } => "wasm",
            Code::Aggregate { .. } => "sql",
        }
    }

    /// The same function with other grants.
    pub(crate) fn with_authority(&self, authority: Authority) -> Function {
        Function {
            authority: Arc::new(authority),
            ..self.clone()
        }
    }

    /// What an index may rely on must depend on nothing that can change: an IMMUTABLE
    /// function reaches nothing.
    pub(crate) fn refuse_reach(&self, guards: Guards) -> Result<()> {
        let granted = self.authority.opening();
        let checks = self.signature.is_immutable() && guards.holds(Guard::ImmutableReach);
        if !checks || granted.is_empty() {
            return Ok(());
        }
        let name = &self.name;
        let names: Vec<String> = granted.iter().map(|grant| grant.to_string()).collect();
        Err(Error::new(
            SqlState::INVALID_DEFINITION,
            format!(
                "function \"{name}\" cannot be IMMUTABLE and have {}",
                names.join(", ")
            ),
        )
        .with_detail("indexes and generated columns rely on its result, which must not change")
        .with_hint("leave out IMMUTABLE, or what it is granted"))
    }

    /// The functions that it calls, if it is an aggregate.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        let aggregate = match &self.code {
            Code::Aggregate { aggregate, .. } => Some(aggregate),
            _ => None,
        };
        let names = aggregate.map(|a| [Some(&a.step), a.finish.as_ref()]);
        names.into_iter().flatten().flatten().map(String::as_str)
    }

    /// The hash of what was uploaded: the source, or the component.
    pub(crate) fn content_hash(&self) -> ContentHash {
        match self.code {
            Code::JavaScript {
                source_hash: hash, ..
            }
            | Code::Component { hash, .. }
            | Code::Aggregate { hash, .. } => hash,
        }
    }
}

impl Authority {
    pub(crate) fn new(policy: Arc<Policy>, grants: Vec<Grant>, denials: Vec<Grant>) -> Authority {
        let granted = policy.capabilities.iter().chain(&grants);
        let mut patterns = granted.clone().filter_map(Grant::pattern);
        let has_filters = patterns.any(|pattern| pattern.filter.is_some());
        let capabilities = CapabilitySet::of(granted, &denials);
        Authority {
            policy,
            grants,
            denials,
            capabilities,
            has_filters,
        }
    }

    /// The capabilities that are granted at all: the interfaces to link. A denial of
    /// a pattern leaves the interface, and its grant refuses what the pattern covers.
    pub(crate) fn capabilities(&self) -> CapabilitySet {
        self.capabilities
    }

    /// The grants that open something: no denial takes the whole capability.
    fn opening(&self) -> Vec<&Grant> {
        let opens = |grant: &&Grant| self.capabilities.contains(grant.capability());
        self.granted().filter(opens).collect()
    }

    /// What is granted, by the policy or to the function itself.
    pub(crate) fn granted(&self) -> impl Iterator<Item = &Grant> {
        self.policy.capabilities.iter().chain(&self.grants)
    }

    /// Whether some grant covers some rows only.
    pub(crate) fn has_filters(&self) -> bool {
        self.has_filters
    }

    /// Whether a grant covers a target, and no denial does.
    pub(crate) fn permits(
        &self,
        covers: impl FnMut(&Grant) -> bool,
        denies: impl FnMut(&Grant) -> bool,
        guards: Guards,
    ) -> bool {
        let denied = self.denials.iter().any(denies) && guards.holds(Guard::Denials);
        self.granted().any(covers) && !denied
    }

    /// For a DETAIL line: `its grants are DATABASE_READ('users'), TIME_ACCESS`.
    pub(crate) fn describe(&self) -> String {
        let list = |grants: &[Grant]| {
            let names: Vec<String> = grants.iter().map(Grant::to_string).collect();
            names.join(", ")
        };
        let own = match self.grants.is_empty() {
            true => "it has no grants".to_string(),
            false => format!("its grants are {}", list(&self.grants)),
        };
        let given = &self.policy.capabilities;
        let grants = match given.is_empty() {
            true => own,
            false => format!(
                "policy \"{}\" gives {}; {own}",
                self.policy.name,
                list(given)
            ),
        };
        match self.denials.is_empty() {
            true => grants,
            false => format!("{grants}, less {}", list(&self.denials)),
        }
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct CapabilitySet(u32);

impl CapabilitySet {
    fn of<'g>(granted: impl Iterator<Item = &'g Grant> + Clone, denials: &[Grant]) -> Self {
        let is_linked = |capability: Capability| {
            granted
                .clone()
                .any(|grant| grant.capability() == capability)
                && !denials
                    .iter()
                    .any(|d| d.capability() == capability && d.pattern().is_none())
        };
        let numbered = Capability::ALL.into_iter().enumerate();
        CapabilitySet(
            numbered
                .filter(|(_, capability)| is_linked(*capability))
                .fold(0, |bits, (index, _)| bits | 1 << index),
        )
    }

    pub(crate) fn contains(self, capability: Capability) -> bool {
        Capability::ALL
            .iter()
            .position(|c| *c == capability)
            .is_some_and(|index| self.0 & 1 << index != 0)
    }
}
