//! A function as the catalog knows it: its code, its signature and its authority.
//! Immutable: a change makes a new one.

use crate::capability::{Capability, Grant};
use crate::engine::ContentHash;
use crate::signature::Signature;
use std::sync::Arc;

/// One function, in its current version.
pub(crate) struct Function {
    pub(crate) name: String,
    /// Counts the function's own versions: 1, 2, 3 …
    pub(crate) version: u64,
    /// The catalog's version when this function last changed in any way.
    pub(crate) changed_at: u64,
    pub(crate) enabled: bool,
    /// NULL in any argument gives NULL without a call.
    pub(crate) strict: bool,
    pub(crate) signature: Signature,
    pub(crate) code: Code,
    pub(crate) authority: Arc<Authority>,
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
}

/// An exported function: its name, inside an exported interface if there is one.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct ExportPath {
    pub(crate) interface: Option<String>,
    pub(crate) function: String,
}

/// What a function may do: its grants less its denials.
#[derive(Default, Debug)]
pub(crate) struct Authority {
    pub(crate) grants: Vec<Grant>,
    pub(crate) denials: Vec<Grant>,
}

impl Function {
    pub(crate) fn language(&self) -> &'static str {
        match self.code {
            Code::JavaScript { .. } => "javascript",
            Code::Component { .. } => "wasm",
        }
    }

    /// The hash of what was uploaded: the source, or the component.
    pub(crate) fn content_hash(&self) -> ContentHash {
        match self.code {
            Code::JavaScript {
                source_hash: hash, ..
            }
            | Code::Component { hash, .. } => hash,
        }
    }
}

impl Authority {
    /// The capabilities that are granted at all: the interfaces to link. A denial of
    /// a pattern leaves the interface, and its grant refuses what the pattern covers.
    pub(crate) fn capabilities(&self) -> CapabilitySet {
        let linked = |capability: &Capability| {
            let grants =
                |list: &[Grant]| list.iter().any(|grant| grant.capability() == *capability);
            let denied_whole = self
                .denials
                .iter()
                .any(|d| d.capability() == *capability && d.pattern().is_none());
            grants(&self.grants) && !denied_whole
        };
        CapabilitySet(
            Capability::ALL
                .into_iter()
                .enumerate()
                .filter(|(_, capability)| linked(capability))
                .fold(0, |bits, (index, _)| bits | 1 << index),
        )
    }

    /// For a DETAIL line: `its grants are DATABASE_READ('users'), TIME_ACCESS`.
    pub(crate) fn describe(&self) -> String {
        let list = |grants: &[Grant]| {
            let names: Vec<String> = grants.iter().map(Grant::to_string).collect();
            names.join(", ")
        };
        let grants = match self.grants.is_empty() {
            true => "it has no grants".to_string(),
            false => format!("its grants are {}", list(&self.grants)),
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
    pub(crate) fn contains(self, capability: Capability) -> bool {
        Capability::ALL
            .iter()
            .position(|c| *c == capability)
            .is_some_and(|index| self.0 & 1 << index != 0)
    }
}
