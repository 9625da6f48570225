//! Components as they are uploaded: what they export, as SQL functions, and what
//! they import, as the capabilities that they need. Runs nothing.

mod bounds;
pub(crate) mod convert;
mod json;
mod nesting;
mod weight;
mod wit;

pub(crate) use bounds::invalid;
pub(crate) use wit::columns;

use crate::capability::Capability;
use crate::error::{Error, Result, SqlState, nearest};
use crate::function::ExportPath;
use crate::guard::{Guard, Guards};
use crate::limits;
use crate::signature::{Signature, WitType};
use wit_component::DecodedWasm;
use wit_parser::{Resolve, WorldId, WorldItem, WorldKey};

/// The package whose interfaces are capabilities.
pub(crate) const HOST_PACKAGE: &str = "heliosdb:host";

/// The names that an error lists.
const NAMES_SHOWN_MAX: usize = 20;

/// A component, looked into.
pub struct Inspection {
    pub(crate) exports: Vec<Export>,
    /// Every import, with its package and version.
    pub(crate) imports: Vec<String>,
}

/// An exported function.
pub(crate) struct Export {
    pub(crate) path: ExportPath,
    /// What it is as a SQL function, or why it cannot be one.
    pub(crate) signature: Result<Signature, String>,
}

/// Reads a component's interface. A core module, compiled code, anything damaged and
/// anything too large is refused. The code of its functions is validated when it is
/// compiled.
pub fn inspect(bytes: &[u8]) -> Result<Inspection> {
    inspect_with(bytes, Guards::default())
}

pub(crate) fn inspect_with(bytes: &[u8], guards: Guards) -> Result<Inspection> {
    check_kind(bytes, guards)?;
    // Libraries read bytes here that a stranger made: should one of their assertions
    // fail, that is a refusal of these bytes and not our end.
    let decoded = std::panic::catch_unwind(|| decode(bytes, guards))
        .unwrap_or_else(|_| Err(refused("its description cannot be read")))?;
    let (resolve, world) = decoded;
    let world = &resolve.worlds[world];
    Ok(Inspection {
        imports: world
            .imports
            .iter()
            // A type that the world itself uses is imported by name, from an interface
            // that is imported too.
            .filter(|(_, item)| !matches!(item, WorldItem::Type { .. }))
            .map(|(key, item)| import_name(&resolve, key, item))
            .collect(),
        exports: world
            .exports
            .iter()
            .flat_map(|(key, item)| exported_functions(&resolve, key, item))
            .collect(),
    })
}

impl Inspection {
    /// The exported functions, as SQL signatures: `top_track(customer BIGINT) RETURNS JSON`.
    /// One that cannot be a SQL function is followed by the reason.
    pub fn functions(&self) -> Vec<String> {
        self.exports
            .iter()
            .map(|export| {
                let name = sql_name(&export.path.function);
                match &export.signature {
                    Ok(signature) => format!("{name}{signature}"),
                    Err(reason) => format!("{name}: not callable from SQL: {reason}"),
                }
            })
            .collect()
    }

    /// The capabilities that it imports.
    pub fn capabilities(&self) -> Vec<Capability> {
        Capability::ALL
            .into_iter()
            .filter(|capability| {
                self.imports.iter().any(|import| {
                    host_interface(import).is_some_and(|i| i == capability.interface())
                })
            })
            .collect()
    }

    /// The WASI interfaces that it imports: they pass the syscall filter or are refused
    /// when called.
    pub fn wasi(&self) -> Vec<&str> {
        self.imports
            .iter()
            .map(String::as_str)
            .filter(|i| i.starts_with("wasi:"))
            .collect()
    }

    /// Imports that no host function stands behind. A component with one is refused.
    pub fn unknown_imports(&self) -> Vec<&str> {
        self.imports
            .iter()
            .map(String::as_str)
            .filter(|import| !is_known(import))
            .collect()
    }

    /// Imports that reach something, which a condition may not have.
    pub(crate) fn impure_imports(&self) -> Vec<&str> {
        let imports = self.imports.iter().map(String::as_str);
        imports
            .filter(|import| host_interface(import) != Some("types"))
            .collect()
    }

    /// The export that a SQL function of this name calls.
    pub(crate) fn export(&self, sql: &str) -> Result<(&ExportPath, &Signature)> {
        let matches: Vec<&Export> = self
            .exports
            .iter()
            .filter(|e| sql_name(&e.path.function) == sql)
            .collect();
        match matches[..] {
            [] => {
                let names: Vec<String> = self
                    .exports
                    .iter()
                    .map(|e| sql_name(&e.path.function))
                    .collect();
                let error =
                    refused(&format!("it exports no function \"{sql}\"")).with_detail(match names
                        .is_empty()
                    {
                        true => "it exports no function at all".to_string(),
                        false => format!("it exports {}", list(&names)),
                    });
                Err(match nearest(sql, names.iter().map(String::as_str)) {
                    Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
                    None => error,
                })
            }
            [export] => match &export.signature {
                Ok(signature) => Ok((&export.path, signature)),
                Err(reason) => Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("function \"{sql}\" of the component cannot be called from SQL"),
                )
                .with_detail(reason.clone())),
            },
            [first, second, ..] => Err(refused(&format!(
                "it exports \"{sql}\" in {} and in {}",
                place(first),
                place(second)
            ))),
        }
    }
}

/// `top_track` for the export `top-track`.
pub(crate) fn sql_name(export: &str) -> String {
    export.replace('-', "_")
}

/// The names for an error, as far as people read them.
pub(crate) fn list<S: AsRef<str>>(names: &[S]) -> String {
    let shown = names.iter().take(NAMES_SHOWN_MAX).map(AsRef::as_ref);
    let text = shown.collect::<Vec<&str>>().join(", ");
    match names.len().checked_sub(NAMES_SHOWN_MAX) {
        Some(more @ 1..) => format!("{text} and {more} more"),
        _ => text,
    }
}

fn place(export: &Export) -> String {
    match &export.path.interface {
        Some(interface) => format!("interface \"{interface}\""),
        None => "the world".to_string(),
    }
}

fn refused(why: &str) -> Error {
    Error::new(
        SqlState::INVALID_VALUE,
        format!("the component is refused: {why}"),
    )
}

/// Looks at the first bytes: the commonest mistakes get their own message.
fn check_kind(bytes: &[u8], guards: Guards) -> Result<()> {
    if bytes.len() > limits::COMPONENT_BYTES_MAX && guards.holds(Guard::UploadBytes) {
        return Err(Error::new(
            SqlState::TOO_LARGE,
            format!(
                "the component has {} bytes; at most {} are accepted",
                bytes.len(),
                limits::COMPONENT_BYTES_MAX
            ),
        ));
    }
    match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(refused("it is a core module")
            .with_hint("build a component: link with wasm-component-ld, or target wasm32-wasip2")),
        [0x7f, b'E', b'L', b'F', ..] => Err(refused("it is compiled code, not WebAssembly")
            .with_detail("compiled code is loaded only from this host's own cache")),
        _ => Err(refused("it does not begin as a WebAssembly component does")),
    }
}

fn decode(bytes: &[u8], guards: Guards) -> Result<(Resolve, WorldId)> {
    bounds::check(bytes, guards)?;
    match wit_component::decode(bytes) {
        Ok(DecodedWasm::Component(resolve, world)) => Ok((resolve, world)),
        Ok(DecodedWasm::WitPackage(..)) => Err(refused("it is a WIT package without code")),
        Err(error) => {
            Err(refused("its description cannot be read").with_detail(format!("{error:#}")))
        }
    }
}

fn import_name(resolve: &Resolve, key: &WorldKey, item: &WorldItem) -> String {
    match (key, item) {
        (WorldKey::Interface(_), WorldItem::Interface { id, .. }) => resolve
            .id_of(*id)
            .unwrap_or_else(|| resolve.name_world_key(key)),
        _ => resolve.name_world_key(key),
    }
}

fn exported_functions(resolve: &Resolve, key: &WorldKey, item: &WorldItem) -> Vec<Export> {
    let id = match item {
        WorldItem::Interface { id, .. } => Some(*id),
        _ => None,
    };
    let export = |interface: Option<String>, function: &wit_parser::Function| Export {
        path: ExportPath {
            interface,
            function: function.name.clone(),
        },
        signature: wit::signature(resolve, id, function),
    };
    match item {
        WorldItem::Function(function) => vec![export(None, function)],
        WorldItem::Interface { id, .. } => {
            let interface = import_name(resolve, key, item);
            resolve.interfaces[*id]
                .functions
                .values()
                .filter(|f| matches!(f.kind, wit_parser::FunctionKind::Freestanding))
                .map(|function| export(Some(interface.clone()), function))
                .collect()
        }
        WorldItem::Type { .. } => Vec::new(),
    }
}

/// The interface's name, if the import is of the host's package at our version.
fn host_interface(import: &str) -> Option<&str> {
    let rest = import.strip_prefix(HOST_PACKAGE)?.strip_prefix('/')?;
    match rest.split_once('@') {
        Some((interface, "0.1.0")) => Some(interface),
        _ => None,
    }
}

fn is_known(import: &str) -> bool {
    if import.starts_with("wasi:") {
        return true;
    }
    host_interface(import).is_some_and(|interface| {
        interface == "types"
            || interface == "log"
            || Capability::ALL.iter().any(|c| c.interface() == interface)
    })
}

/// The error type inside a `result`, if the type is one.
pub(crate) fn error_type(result: Option<&WitType>) -> Option<&WitType> {
    match result {
        Some(WitType::Result { err: Some(err), .. }) => Some(err),
        _ => None,
    }
}
