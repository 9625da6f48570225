//! The runtime: the engine and what it has compiled, shared by every vault of a
//! process. Several runtimes can live side by side; nothing is global but SQLite itself.

use crate::admission::Admission;
use crate::database::memory;
use crate::engine::{CALLS_MAX, Engine, OnCompile};
use crate::error::Result;
use crate::javascript::JavaScript;
use crate::linker::Linked;
use crate::vault::{Storage, Vault};
use std::path::PathBuf;
use std::sync::Arc;

/// The engine that runs procedures. Clones share it.
#[derive(Clone)]
pub struct Runtime(Arc<RuntimeCore>);

/// Options of a [`Runtime`].
#[derive(Default)]
pub struct Builder {
    cache_directory: Option<PathBuf>,
    on_compile: Option<OnCompile>,
}

pub(crate) struct RuntimeCore {
    pub(crate) engine: Engine,
    pub(crate) javascript: JavaScript,
    pub(crate) linked: Linked,
    pub(crate) admission: Arc<Admission>,
}

impl RuntimeCore {
    /// Compiles a stored JavaScript source again, for this engine.
    pub(crate) fn recompile(&self) -> impl Fn(&str, &[String], &str) -> Result<Arc<[u8]>> {
        |name, names, source| self.javascript.compile(&self.engine, name, names, source)
    }
}

impl Runtime {
    /// Begins with no option set.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Opens a vault: a database with its functions, grants and audit log.
    ///
    /// One process at a time has a directory open; another one is refused (55006).
    pub fn vault(&self, storage: Storage) -> Result<Vault> {
        Vault::open(&self.0, storage)
    }
}

impl Builder {
    /// Where compiled code is kept from one process to the next. The directory is made
    /// if need be, and must be one that only its owner can write. Without it, the first
    /// call of JavaScript in each process compiles the engine, which takes seconds.
    pub fn cache_directory(mut self, directory: impl Into<PathBuf>) -> Builder {
        self.cache_directory = Some(directory.into());
        self
    }

    /// Is told the name of what is about to be compiled to machine code: the JavaScript
    /// engine once, which takes seconds, or a function's component.
    pub fn on_compile(mut self, tell: impl Fn(&str) + Send + Sync + 'static) -> Builder {
        self.on_compile = Some(Box::new(tell));
        self
    }

    /// Makes the runtime. Uploaded components are compiled in this process; how long
    /// that takes and how much memory it needs is bounded by their size only.
    ///
    /// The first one of a process must be built before anything else uses SQLite: its
    /// allocator is wrapped, to count what guests make it hold. Later it is refused
    /// (0A000).
    pub fn build(self) -> Result<Runtime> {
        memory::install()?;
        Ok(Runtime(Arc::new(RuntimeCore {
            engine: Engine::new(self.cache_directory, self.on_compile)?,
            javascript: JavaScript::new(),
            linked: Linked::default(),
            admission: Admission::new(CALLS_MAX),
        })))
    }
}
