//! What an upload may be made of, before anything is made of it: one pass over its
//! bytes, nested modules and components included.
//!
//! Each section is counted before it is read, and read before it is validated. The
//! code of functions is not looked into: whoever compiles it validates it, under the
//! limits of a compilation.

use super::nesting;
use super::refused;
use super::weight::Weights;
use crate::engine::FEATURES;
use crate::error::{Error, Result, SqlState};
use crate::guard::{Guard, Guards};
use crate::limits;
use wasmparser::component_types::ComponentEntityType;
use wasmparser::{
    ComponentInstance, CoreType, ElementItems, FunctionBody, Instance, Parser, Payload, Validator,
    WasmFeatures,
};

/// The name of the custom section that `wit_component` reads as JSON.
const DOCUMENTATION: &str = "package-docs";

/// Checks a component. Whatever is beyond a bound, invalid, or of a proposal that the
/// engine does not run is refused.
pub(super) fn check(bytes: &[u8], guards: Guards) -> Result<()> {
    let features = guards.bound(Guard::UploadFeatures, FEATURES, WasmFeatures::all());
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut pass = Pass {
        bytes,
        open: 0,
        counts: Counts {
            counted: Default::default(),
            guards,
        },
        weights: Weights::default(),
        validator: Validator::new_with_features(features),
    };
    for payload in parser.parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        pass.count(&payload)?;
        pass.validator.payload(&payload).map_err(invalid)?;
        pass.weigh(&payload)?;
    }
    Ok(())
}

/// A kind of thing that a component has many of.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Modules,
    Components,
    Instances,
    Arguments,
    Functions,
    Types,
    TypeBytes,
    InterfaceTypes,
    Imports,
    Exports,
    Aliases,
    Canonicals,
    Memories,
    Tables,
    Globals,
    DataSegments,
    ElementSegments,
    Elements,
    CustomSections,
}

/// How many there are of each.
pub(super) struct Counts {
    counted: [u64; Part::CustomSections as usize + 1],
    guards: Guards,
}

struct Pass<'a> {
    bytes: &'a [u8],
    /// The modules and components that have begun and not ended.
    open: usize,
    counts: Counts,
    weights: Weights,
    validator: Validator,
}

impl Part {
    /// What it is called, and how many are accepted.
    const fn bound(self) -> (&'static str, u64) {
        match self {
            Part::Modules => ("core modules", limits::UPLOAD_MODULES_MAX),
            Part::Components => ("nested components", limits::UPLOAD_COMPONENTS_MAX),
            Part::Instances => ("instances", limits::UPLOAD_INSTANCES_MAX),
            Part::Arguments => ("arguments of instances", limits::UPLOAD_ARGUMENTS_MAX),
            Part::Functions => ("functions", limits::UPLOAD_FUNCTIONS_MAX),
            Part::Types => ("types", limits::UPLOAD_TYPES_MAX),
            Part::TypeBytes => ("bytes of types", limits::UPLOAD_TYPE_BYTES_MAX),
            Part::InterfaceTypes => (
                "types in its imports and exports, written out",
                limits::UPLOAD_INTERFACE_TYPES_MAX,
            ),
            Part::Imports => ("imports", limits::UPLOAD_IMPORTS_MAX),
            Part::Exports => ("exports", limits::UPLOAD_EXPORTS_MAX),
            Part::Aliases => ("aliases", limits::UPLOAD_ALIASES_MAX),
            Part::Canonicals => ("canonical functions", limits::UPLOAD_CANONICALS_MAX),
            Part::Memories => ("memories", limits::UPLOAD_MEMORIES_MAX),
            Part::Tables => ("tables", limits::UPLOAD_TABLES_MAX),
            Part::Globals => ("globals", limits::UPLOAD_GLOBALS_MAX),
            Part::DataSegments => ("data segments", limits::UPLOAD_DATA_SEGMENTS_MAX),
            Part::ElementSegments => ("element segments", limits::UPLOAD_ELEMENT_SEGMENTS_MAX),
            Part::Elements => ("elements", limits::UPLOAD_ELEMENTS_MAX),
            Part::CustomSections => ("custom sections", limits::UPLOAD_CUSTOM_SECTIONS_MAX),
        }
    }
}

impl Counts {
    pub(super) fn add(&mut self, part: Part, more: impl TryInto<u64>) -> Result<()> {
        let count = &mut self.counted[part as usize];
        *count = count.saturating_add(more.try_into().unwrap_or(u64::MAX));
        let (name, max) = part.bound();
        at_most(
            *count,
            name,
            self.guards.bound(Guard::UploadCounts, max, u64::MAX),
        )
    }

    /// How deeply things may lie in each other.
    pub(super) fn nesting_max(&self) -> u64 {
        let max = limits::UPLOAD_NESTING_MAX as u64;
        self.guards.bound(Guard::UploadNesting, max, u64::MAX)
    }

    /// A type of a module has declarations inside it.
    pub(super) fn add_core_type(&mut self, ty: &CoreType<'_>) -> Result<()> {
        match ty {
            CoreType::Rec(_) => self.add(Part::Types, 1u64),
            CoreType::Module(declarations) => self.add(Part::Types, 1 + declarations.len()),
        }
    }
}

impl Pass<'_> {
    fn count(&mut self, payload: &Payload<'_>) -> Result<()> {
        let counts = &mut self.counts;
        match payload {
            Payload::Version { .. } => {
                self.open += 1;
                at_most(
                    self.open as u64,
                    "levels of components",
                    counts.nesting_max(),
                )
            }
            Payload::End(_) => {
                self.open -= 1;
                Ok(())
            }
            Payload::ModuleSection { .. } => counts.add(Part::Modules, 1u64),
            Payload::ComponentSection { .. } => counts.add(Part::Components, 1u64),
            Payload::ComponentAliasSection(s) => counts.add(Part::Aliases, s.count()),
            Payload::ComponentCanonicalSection(s) => counts.add(Part::Canonicals, s.count()),
            Payload::CustomSection(s) => {
                if s.name() == DOCUMENTATION {
                    let max = limits::UPLOAD_DOCUMENTATION_BYTES_MAX;
                    at_most(s.data().len() as u64, "bytes of documentation", max)?;
                }
                counts.add(Part::CustomSections, 1u64)
            }
            Payload::InstanceSection(_) | Payload::ComponentInstanceSection(_) => {
                count_instances(payload, counts)
            }
            Payload::CoreTypeSection(_) | Payload::ComponentTypeSection(_) => {
                count_types(self.bytes, payload, counts)
            }
            Payload::ComponentImportSection(_) | Payload::ComponentExportSection(_) => {
                count_interface(payload, counts)
            }
            _ => count_in_module(payload, counts),
        }
    }

    /// Adds what the component itself imports or exports, once its types are known.
    fn weigh(&mut self, payload: &Payload<'_>) -> Result<()> {
        let Some(types) = self.validator.types(0).filter(|_| self.open == 1) else {
            return Ok(());
        };
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    let name = import.map_err(invalid)?.name.name;
                    if let Some(item) = types.component_item_for_import(name) {
                        if self.counts.guards.holds(Guard::UploadImports) {
                            check_import(name, &item.ty)?;
                        }
                        let weight = self.weights.item(types, &item.ty);
                        self.counts.add(Part::InterfaceTypes, weight)?;
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    let name = export.map_err(invalid)?.name.name;
                    if let Some(item) = types.component_item_for_export(name) {
                        let weight = self.weights.item(types, &item.ty);
                        self.counts.add(Part::InterfaceTypes, weight)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Code that is imported is no part of an interface: no list of imports would show it.
fn check_import(name: &str, item: &ComponentEntityType) -> Result<()> {
    let what = match item {
        ComponentEntityType::Module(_) => "core module",
        ComponentEntityType::Component(_) => "component",
        ComponentEntityType::Value(_) => "value",
        ComponentEntityType::Func(_)
        | ComponentEntityType::Instance(_)
        | ComponentEntityType::Type { .. } => return Ok(()),
    };
    Err(refused(&format!("it imports a {what}, \"{name}\"")))
}

fn count_in_module(payload: &Payload<'_>, counts: &mut Counts) -> Result<()> {
    match payload {
        Payload::TypeSection(s) => {
            counts.add(Part::TypeBytes, s.range().len())?;
            counts.add(Part::Types, s.count())
        }
        Payload::ImportSection(s) => counts.add(Part::Imports, s.count()),
        Payload::ExportSection(s) => counts.add(Part::Exports, s.count()),
        Payload::FunctionSection(s) => counts.add(Part::Functions, s.count()),
        Payload::GlobalSection(s) => counts.add(Part::Globals, s.count()),
        Payload::DataSection(s) => counts.add(Part::DataSegments, s.count()),
        Payload::MemorySection(s) => counts.add(Part::Memories, s.count()),
        Payload::TableSection(s) => counts.add(Part::Tables, s.count()),
        Payload::ElementSection(s) => {
            counts.add(Part::ElementSegments, s.count())?;
            for element in s.clone() {
                let items = match element.map_err(invalid)?.items {
                    ElementItems::Functions(functions) => functions.count(),
                    ElementItems::Expressions(_, expressions) => expressions.count(),
                };
                counts.add(Part::Elements, items)?;
            }
            Ok(())
        }
        Payload::CodeSectionEntry(body) if counts.guards.holds(Guard::UploadBodies) => {
            check_body(body)
        }
        _ => Ok(()),
    }
}

/// A compiler's work grows faster than a function does.
fn check_body(body: &FunctionBody<'_>) -> Result<()> {
    let max = limits::UPLOAD_BODY_BYTES_MAX;
    at_most(
        body.range().len() as u64,
        "bytes of code in one function",
        max,
    )?;
    let mut locals = 0u64;
    for group in body.get_locals_reader().map_err(invalid)? {
        locals += u64::from(group.map_err(invalid)?.0);
        at_most(locals, "locals in one function", limits::UPLOAD_LOCALS_MAX)?;
    }
    Ok(())
}

fn count_instances(payload: &Payload<'_>, counts: &mut Counts) -> Result<()> {
    match payload {
        Payload::InstanceSection(section) => {
            counts.add(Part::Instances, section.count())?;
            for instance in section.clone() {
                let arguments = match instance.map_err(invalid)? {
                    Instance::Instantiate { args, .. } => args.len(),
                    Instance::FromExports(exports) => exports.len(),
                };
                counts.add(Part::Arguments, arguments)?;
            }
        }
        Payload::ComponentInstanceSection(section) => {
            counts.add(Part::Instances, section.count())?;
            for instance in section.clone() {
                let arguments = match instance.map_err(invalid)? {
                    ComponentInstance::Instantiate { args, .. } => args.len(),
                    ComponentInstance::FromExports(exports) => exports.len(),
                };
                counts.add(Part::Arguments, arguments)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn count_types(bytes: &[u8], payload: &Payload<'_>, counts: &mut Counts) -> Result<()> {
    match payload {
        Payload::CoreTypeSection(section) => {
            counts.add(Part::TypeBytes, section.range().len())?;
            for ty in section.clone() {
                counts.add_core_type(&ty.map_err(invalid)?)?;
            }
        }
        Payload::ComponentTypeSection(section) => {
            let range = section.range();
            counts.add(Part::TypeBytes, range.len())?;
            let section = bytes.get(range.clone()).unwrap_or_default();
            nesting::check(section, range.start, counts)?;
        }
        _ => {}
    }
    Ok(())
}

fn count_interface(payload: &Payload<'_>, counts: &mut Counts) -> Result<()> {
    let max = limits::UPLOAD_NAME_BYTES_MAX;
    let check_name = |name: &str| at_most(name.len() as u64, "bytes in one name", max);
    match payload {
        Payload::ComponentImportSection(section) => {
            counts.add(Part::Imports, section.count())?;
            for import in section.clone() {
                check_name(import.map_err(invalid)?.name.name)?;
            }
        }
        Payload::ComponentExportSection(section) => {
            counts.add(Part::Exports, section.count())?;
            for export in section.clone() {
                check_name(export.map_err(invalid)?.name.name)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Refuses more than `max` of something.
pub(super) fn at_most(count: u64, what: &str, max: u64) -> Result<()> {
    if count <= max {
        return Ok(());
    }
    Err(Error::new(
        SqlState::TOO_LARGE,
        format!("the component is refused: it has {count} {what}; at most {max} are accepted"),
    ))
}

/// The refusal of what the validator does not accept. A proposal that is switched off
/// is named.
pub(crate) fn invalid(error: wasmparser::Error) -> Error {
    let missing = error.missing_wasm_feature();
    let names: Vec<String> = missing
        .iter()
        .flat_map(|features| features.iter_names())
        .map(|(name, _)| format!("\"{}\"", name.to_ascii_lowercase().replace('_', "-")))
        .collect();
    let why = match names.is_empty() {
        true => "it is not valid".to_string(),
        false => format!(
            "it needs {}, which this host does not run",
            names.join(", ")
        ),
    };
    refused(&why).with_detail(error.to_string())
}
