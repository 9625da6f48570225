//! The runtime: the engine and what it has compiled, shared by every vault of a
//! process. Several runtimes can live side by side; nothing is global but SQLite itself.

use crate::admission::{Admission, Budget};
use crate::condition::Conditions;
use crate::database::memory;
use crate::engine::{CALLS_MAX, CodeBytes, CompileLimits, ContentHash, Engine, Options};
use crate::error::{Error, Result};
use crate::function::Kind;
use crate::javascript::JavaScript;
use crate::limits::{self, Limits};
use crate::linker::Linked;
use crate::vault::{Storage, Vault};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// The engine that runs procedures. Clones share it.
#[derive(Clone)]
pub struct Runtime(Arc<RuntimeCore>);

/// Options of a [`Runtime`].
#[derive(Default)]
pub struct Builder(Options, Budget);

pub(crate) struct RuntimeCore {
    /// For procedures, and for compiling JavaScript to bytecode.
    pub(crate) engine: Engine,
    /// For conditions, once there is one.
    pure: OnceLock<Result<Engine>>,
    pub(crate) javascript: JavaScript,
    pub(crate) linked: Linked,
    pub(crate) admission: Arc<Admission>,
    pub(crate) conditions: Conditions,
}

impl RuntimeCore {
    /// The engine for conditions. Its pool takes address space, so that it is made when
    /// it is first asked for.
    pub(crate) fn pure_engine(&self) -> Result<&Engine> {
        let made = self.pure.get_or_init(|| self.engine.for_conditions());
        made.as_ref().map_err(Error::clone)
    }

    /// Lets go of a component that nothing is going to run.
    pub(crate) fn forget_code(&self, hash: &ContentHash) -> Result<()> {
        self.engine.forget(hash)?;
        self.linked.forget(hash)?;
        self.conditions.forget(hash)?;
        match self.pure.get() {
            Some(Ok(pure)) => pure.forget(hash),
            _ => Ok(()),
        }
    }

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
        self.0.cache_directory = Some(directory.into());
        self
    }

    /// How much compiled code of uploads may be kept for later calls: in memory, if not 512
    /// MiB, and in the cache directory, if not 2 GiB. What was not used for long goes
    /// first, and is loaded or compiled again when it is called. What runs is not ended.
    pub fn code_bytes(mut self, in_memory: u64, on_disk: u64) -> Builder {
        self.0.code_bytes = CodeBytes { in_memory, on_disk };
        self
    }

    /// Is told the name of what is about to be compiled to machine code: the JavaScript
    /// engine, once for procedures and once for conditions, which takes seconds, or a
    /// function's component.
    pub fn on_compile(mut self, tell: impl Fn(&str) + Send + Sync + 'static) -> Builder {
        self.0.on_compile = Some(Box::new(tell));
        self
    }

    /// The program that compiles uploaded components, each in a process of its own,
    /// which [`CompileLimits`] bound: the `perihelion` binary, or a program of yours. It
    /// is started with the one argument `compile-worker`, and then has to call
    /// [`compile_worker`](crate::compile_worker) with its standard input and output and
    /// do nothing else. It must be built with the same version of this crate. What it
    /// answers is run as machine code: name only a program that nobody else can write.
    ///
    /// Without it, components are compiled in this process. Their size and their parts
    /// are bounded still, but no longer the time and memory that the compiler takes for
    /// them: a component of a few MB that was made for it takes minutes and gigabytes,
    /// and nothing ends that.
    pub fn compile_worker(mut self, path: impl Into<PathBuf>) -> Builder {
        self.0.worker = Some(path.into());
        self
    }

    /// What one compilation may use in a worker, if not the default.
    pub fn compile_limits(mut self, limits: CompileLimits) -> Builder {
        self.0.compile_limits = limits;
        self
    }

    /// Takes one guard away, for a test that shows what it is there for.
    #[cfg(feature = "remove-guards")]
    pub fn without(mut self, guard: crate::Guard) -> Builder {
        self.0.guards = self.0.guards.without(guard);
        self
    }

    /// The memory that all calls may hold together, if not 12 GiB.
    ///
    /// A call takes of it what it may come to hold at most: its function's memory limit
    /// and stack, and what the host may hold for it (`docs/reference.md` has the sum). A
    /// call for which too little is left waits, as one without a place does. A quarter is
    /// kept for functions beside another one in the same statement, which never wait.
    pub fn memory_budget_bytes(mut self, bytes: u64) -> Builder {
        self.1 = Budget(bytes);
        self
    }

    /// Makes the runtime.
    ///
    /// The first one of a process must be built before anything else uses SQLite: its
    /// allocator is wrapped, to count what guests make it hold. Later it is refused
    /// (0A000).
    pub fn build(self) -> Result<Runtime> {
        memory::install()?;
        let guards = self.0.guards;
        let least = limits::call_bytes(&Limits::DEFAULT, Kind::Procedure, false);
        let admission = Admission::checked(CALLS_MAX, self.1, least, guards)?;
        let engine = Engine::new(self.0)?;
        let code_bytes = engine.code_bytes_max();
        Ok(Runtime(Arc::new(RuntimeCore {
            engine,
            pure: OnceLock::new(),
            javascript: JavaScript::new(),
            linked: Linked::new(code_bytes),
            admission,
            conditions: Conditions::new(code_bytes),
        })))
    }
}
