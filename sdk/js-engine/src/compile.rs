//! From a source to bytecode, and which of its bindings is the entry point.
//!
//! Compiled bytes are the entry point's name and QuickJS bytecode with line numbers
//! but without the source. Only this build of the engine can read them.

use crate::{bindings::Exception, engine::Engine, exception};
use rquickjs::{Ctx, Module, WriteOptions};

/// The export under which the entry point is found, unless it is the default one.
const ENTRY_EXPORT: &str = "__heliosdb_entry";

/// Why a source was not compiled.
pub(crate) enum Failure {
    /// The engine says so.
    Engine(rquickjs::Error),
    /// The module is fine but cannot be a procedure.
    Module(String),
}

impl Failure {
    /// The failure as the contract has it.
    pub(crate) fn into_exception(self, ctx: &Ctx<'_>, engine: &Engine) -> Exception {
        match self {
            Failure::Engine(error) => exception::caught(ctx, engine, &error),
            Failure::Module(message) => exception::plain("SyntaxError", message),
        }
    }
}

impl From<rquickjs::Error> for Failure {
    fn from(error: rquickjs::Error) -> Failure {
        Failure::Engine(error)
    }
}

/// Compiles a module whose entry point is the first of `entries` that it binds, or
/// else its default export.
pub(crate) fn compile(
    ctx: &Ctx<'_>,
    file: &str,
    source: &str,
    entries: &[String],
) -> Result<Vec<u8>, Failure> {
    if source.contains('\0') || file.contains('\0') {
        return Err(Failure::Module(
            "the source contains a NUL character".to_owned(),
        ));
    }
    for entry in entries.iter().filter(|entry| is_identifier(entry)) {
        let export = format!("export {{ {entry} as {ENTRY_EXPORT} }};");
        match declare_with(ctx, file, source, &export) {
            Ok(module) => return Ok(write(entry, &module)?),
            Err(_) => drop(ctx.catch()),
        }
    }
    // Nothing was appended to this one, so its errors are the author's.
    let module = declare_with(ctx, file, source, "")?;
    let name = entries.first().map_or("", String::as_str);
    if has_default_export(ctx, file, source) {
        return Ok(write(name, &module)?);
    }
    Err(Failure::Module(format!(
        "no function named \"{name}\" and no default export"
    )))
}

/// Takes apart what `compile` put together: the entry point's name, and bytecode.
pub(crate) fn split(compiled: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = compiled.split_first_chunk()?;
    let (name, bytecode) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((std::str::from_utf8(name).ok()?, bytecode))
}

/// The exports among which the entry point is, best first.
pub(crate) const ENTRY_EXPORTS: [&str; 2] = [ENTRY_EXPORT, "default"];

fn declare_with<'js>(
    ctx: &Ctx<'js>,
    file: &str,
    source: &str,
    addition: &str,
) -> rquickjs::Result<Module<'js>> {
    // The addition comes last, so lines and columns stay the author's.
    Module::declare(ctx.clone(), file, format!("{source}\n{addition}"))
}

/// A second default export is an error exactly if there is a first.
fn has_default_export(ctx: &Ctx<'_>, file: &str, source: &str) -> bool {
    let is_refused = declare_with(ctx, file, source, "export default 0;").is_err();
    drop(ctx.catch());
    is_refused
}

/// Whether a name may stand in source text. A reserved word passes, and is then
/// refused by the engine.
fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    let is_start = |c: char| c.is_alphabetic() || c == '_' || c == '$';
    characters.next().is_some_and(is_start) && characters.all(|c| is_start(c) || c.is_numeric())
}

fn write(entry: &str, module: &Module<'_>) -> rquickjs::Result<Vec<u8>> {
    let options = WriteOptions {
        strip_source: true,
        ..WriteOptions::default()
    };
    let mut compiled = (entry.len() as u32).to_le_bytes().to_vec();
    compiled.extend_from_slice(entry.as_bytes());
    compiled.extend(module.write(options)?);
    Ok(compiled)
}
