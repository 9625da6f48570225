//! What one uploaded component may have, its nested modules and components included.
//!
//! The largest of the usual toolchains is an engine of a language in a component: one
//! with SpiderMonkey has 12 MB, 13,000 functions, 500 types and 10,000 data segments.

use std::time::Duration;

/// How deeply modules and components, or types of them, may lie in each other.
pub(crate) const UPLOAD_NESTING_MAX: usize = 16;

/// Core modules.
pub(crate) const UPLOAD_MODULES_MAX: u64 = 32;

/// Nested components.
pub(crate) const UPLOAD_COMPONENTS_MAX: u64 = 64;

/// Instances of modules and components, as they are written; the pool bounds those that
/// they make.
pub(crate) const UPLOAD_INSTANCES_MAX: u64 = 256;

/// What instances are given, and what they are made of.
pub(crate) const UPLOAD_ARGUMENTS_MAX: u64 = 20_000;

/// Functions of all modules.
pub(crate) const UPLOAD_FUNCTIONS_MAX: u64 = 100_000;

/// The code of one function.
pub(crate) const UPLOAD_BODY_BYTES_MAX: u64 = 1 << 20;

/// The local variables of one function.
pub(crate) const UPLOAD_LOCALS_MAX: u64 = 20_000;

/// Types of modules and components, and what is declared inside them.
pub(crate) const UPLOAD_TYPES_MAX: u64 = 20_000;

/// The sections that declare types: they are read into something much larger.
pub(crate) const UPLOAD_TYPE_BYTES_MAX: u64 = 1 << 20;

/// The types of the imports and exports, each one written out in full wherever it is
/// used.
pub(crate) const UPLOAD_INTERFACE_TYPES_MAX: u64 = 50_000;

/// Imports of modules and components.
pub(crate) const UPLOAD_IMPORTS_MAX: u64 = 10_000;

/// Exports of modules and components.
pub(crate) const UPLOAD_EXPORTS_MAX: u64 = 20_000;

/// A component's name of an import or export: errors repeat it.
pub(crate) const UPLOAD_NAME_BYTES_MAX: u64 = 1 << 10;

/// Aliases.
pub(crate) const UPLOAD_ALIASES_MAX: u64 = 20_000;

/// Functions that are lifted or lowered, and the component model's own.
pub(crate) const UPLOAD_CANONICALS_MAX: u64 = 10_000;

/// Linear memories, as they are written; the pool bounds those that are made.
pub(crate) const UPLOAD_MEMORIES_MAX: u64 = 8;

/// Tables, as they are written; the pool bounds those that are made.
pub(crate) const UPLOAD_TABLES_MAX: u64 = 16;

/// Globals.
pub(crate) const UPLOAD_GLOBALS_MAX: u64 = 20_000;

/// Data segments: a snapshot of a memory has thousands.
pub(crate) const UPLOAD_DATA_SEGMENTS_MAX: u64 = 50_000;

/// Element segments.
pub(crate) const UPLOAD_ELEMENT_SEGMENTS_MAX: u64 = 5_000;

/// What is in the element segments: each instance has them in the host's memory.
pub(crate) const UPLOAD_ELEMENTS_MAX: u64 = 100_000;

/// Custom sections: names, producers and the like.
pub(crate) const UPLOAD_CUSTOM_SECTIONS_MAX: u64 = 1_000;

/// The custom section with the documentation of the interface: it is read as JSON.
pub(crate) const UPLOAD_DOCUMENTATION_BYTES_MAX: u64 = 1 << 20;

/// What one compilation of a component may use, in a worker.
pub(crate) const UPLOAD_CPU_TIME: Duration = Duration::from_secs(60);

/// Time on the clock for one compilation in a worker.
pub(crate) const UPLOAD_WALL_TIME: Duration = Duration::from_secs(120);

/// The address space of a worker.
pub(crate) const UPLOAD_MEMORY_BYTES: u64 = 2 << 30;

/// The workers of one runtime that run at once.
pub(crate) const UPLOAD_WORKERS_MAX: usize = 2;

/// The largest compiled code of a component.
pub(crate) const UPLOAD_CODE_BYTES_MAX: u64 = 256 << 20;

/// The compiled code of uploads that is kept in memory, unless the runtime is given
/// another bound.
pub(crate) const CODE_MEMORY_BYTES: u64 = 512 << 20;

/// The compiled code that is kept on disk, likewise.
pub(crate) const CODE_CACHE_BYTES: u64 = 2 << 30;
