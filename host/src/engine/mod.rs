//! wasmtime as this host configures it, and compiled components.
//!
//! Two engines a runtime: one for procedures, and one for conditions, once there is a
//! condition to run. Nothing else builds a `Config`.

mod bound;
mod cache;
mod compile;
mod frame;
mod kept;
mod worker;

pub use compile::compile_worker;
pub(crate) use kept::{Kept, Used, code_bytes};
pub use worker::CompileLimits;

use crate::error::{Error, Result};
use crate::guard::Guards;
use crate::limits::{self, STACK_CLASSES_BYTES};
use cache::CodeCache;
use std::collections::HashMap;
use std::hash::{Hash as _, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use wasmtime::component::Component;
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
    WasmFeatures,
};
use worker::CompileWorker;

/// The proposals that guests may use. Each of the others is attack surface that no
/// guest needs: an upload with one of them is refused, and the engine has it off.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::RELAXED_SIMD)
    .union(WasmFeatures::COMPONENT_MODEL);

/// The calls that can run at once.
pub(crate) const CALLS_MAX: u32 = 64;

/// Each call holds an instance, and there are as many for functions within calls.
const INSTANCES_MAX: u32 = 2 * CALLS_MAX;

/// Memories that one component may have, its adapters' included.
pub(crate) const MEMORIES_PER_COMPONENT_MAX: u32 = 4;

/// Tables that one component may have.
const TABLES_PER_COMPONENT_MAX: u32 = 8;

/// How much fuel burns between two looks at the clocks: some 0.2 ms of work.
pub(crate) const FUEL_BETWEEN_CHECKS: u64 = 1_000_000;

/// Host code runs on the guest's fiber too: SQLite's parser needs a good part of it.
pub(crate) const HOST_STACK_BYTES: usize = 2 << 20;

/// The BLAKE3 hash of a component's bytes: its name in every cache.
pub(crate) type ContentHash = [u8; 32];

/// The engine and what it has compiled.
pub(crate) struct Engine {
    pub(crate) guards: Guards,
    configuration: Configuration,
    wasmtime: wasmtime::Engine,
    compatibility: [u8; 32],
    cache: Option<CodeCache>,
    shared: Arc<Shared>,
    code: Mutex<Code>,
    /// The host's own component, which takes seconds to compile, is always kept.
    own: OnceLock<Component>,
    /// An engine for each class of stacks but the smallest, once one is asked for.
    larger_stacks: [OnceLock<Result<wasmtime::Engine>>; STACK_CLASSES_BYTES.len() - 1],
    /// What is compiled, for those engines: the code is the same.
    moved: Mutex<Kept<(ContentHash, u64), Component>>,
}

/// What is compiled, and what is being compiled now.
struct Code {
    kept: Kept<ContentHash, Component>,
    compiling: HashMap<ContentHash, Compilation>,
}

/// Options of an engine. Without a cache directory, every process compiles anew;
/// without a worker, this process compiles uploads too.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) cache_directory: Option<PathBuf>,
    pub(crate) on_compile: Option<OnCompile>,
    pub(crate) worker: Option<PathBuf>,
    pub(crate) compile_limits: CompileLimits,
    pub(crate) guards: Guards,
    pub(crate) code_bytes: CodeBytes,
}

/// How much compiled code of uploads is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CodeBytes {
    pub(crate) in_memory: u64,
    pub(crate) on_disk: u64,
}

/// What the code of an engine is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Configuration {
    /// For procedures: as fast as it can be.
    Procedures,
    /// For conditions: each result has the same bits on every processor.
    Conditions,
}

/// What the engines of a runtime share.
struct Shared {
    code_bytes: CodeBytes,
    on_compile: Option<OnCompile>,
    worker: Option<CompileWorker>,
}

/// Who made a component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is part of this host.
    Own,
    /// A stranger, maybe.
    Upload,
}

/// Is told what is about to be compiled.
pub(crate) type OnCompile = Box<dyn Fn(&str) + Send + Sync>;

/// Concurrent first uses of a component wait for one compilation.
type Compilation = Arc<OnceLock<Result<Component>>>;

impl Default for CodeBytes {
    fn default() -> CodeBytes {
        CodeBytes {
            in_memory: limits::CODE_MEMORY_BYTES,
            on_disk: limits::CODE_CACHE_BYTES,
        }
    }
}

impl Engine {
    /// The engine for procedures.
    pub(crate) fn new(options: Options) -> Result<Engine> {
        let shared = Arc::new(Shared {
            code_bytes: options.code_bytes,
            on_compile: options.on_compile,
            worker: options
                .worker
                .map(|path| CompileWorker::new(path, options.compile_limits)),
        });
        let mut engine = Engine::with(Configuration::Procedures, shared, options.guards)?;
        if let Some(directory) = options.cache_directory {
            engine.cache = Some(CodeCache::open(
                directory,
                engine.compatibility,
                engine.guards,
                options.code_bytes.on_disk,
            )?);
        }
        Ok(engine)
    }

    /// The engine for conditions beside this one for procedures: with the same directory
    /// and the same workers.
    pub(crate) fn for_conditions(&self) -> Result<Engine> {
        let mut engine = Engine::with(
            Configuration::Conditions,
            Arc::clone(&self.shared),
            self.guards,
        )?;
        let cache = self.cache.as_ref();
        engine.cache = cache.map(|cache| cache.with_compatibility(engine.compatibility));
        Ok(engine)
    }

    fn with(configuration: Configuration, shared: Arc<Shared>, guards: Guards) -> Result<Engine> {
        let wasmtime = engine_with_stack(configuration, STACK_CLASSES_BYTES[0])?;
        Ok(Engine {
            guards,
            configuration,
            compatibility: compatibility(&wasmtime),
            wasmtime,
            cache: None,
            code: Mutex::new(Code {
                kept: Kept::new(shared.code_bytes.in_memory),
                compiling: HashMap::new(),
            }),
            own: OnceLock::new(),
            larger_stacks: Default::default(),
            moved: Mutex::new(Kept::new(shared.code_bytes.in_memory)),
            shared,
        })
    }

    /// The engine of the smallest stacks.
    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    /// A compiled component in the engine of the stacks of this class.
    pub(crate) fn with_stack(
        &self,
        component: Component,
        hash: &ContentHash,
        stack_bytes: u64,
    ) -> Result<Component> {
        let larger = STACK_CLASSES_BYTES[1..].iter();
        let mut classes = larger.zip(&self.larger_stacks);
        let Some((_, engine)) = classes.find(|(class, _)| **class == stack_bytes) else {
            return Ok(component);
        };
        let key = (*hash, stack_bytes);
        if let Some(moved) = self.moved.lock().map_err(Error::internal)?.get(&key) {
            return Ok(moved);
        }
        let engine = engine
            .get_or_init(|| engine_with_stack(self.configuration, stack_bytes))
            .clone()?;
        let moved = cache::move_to(&engine, &component)?;
        let bytes = code_bytes(&moved);
        let mut all = self.moved.lock().map_err(Error::internal)?;
        Ok(all.insert(key, moved, bytes, Used::default()))
    }

    /// The compiled form of a component, from memory, from the cache on disk, or
    /// compiled now. `what` names it for people; `bytes` is asked for only if it must be
    /// compiled.
    pub(crate) fn component(
        &self,
        hash: &ContentHash,
        what: &str,
        origin: Origin,
        bytes: impl FnOnce() -> Result<Arc<[u8]>>,
    ) -> Result<Component> {
        if let (Origin::Own, Some(own)) = (origin, self.own.get()) {
            return Ok(own.clone());
        }
        let compilation = {
            let mut code = self.code.lock().map_err(Error::internal)?;
            if let Some(known) = code.kept.get(hash) {
                return Ok(known);
            }
            Arc::clone(code.compiling.entry(*hash).or_default())
        };
        let result = compilation
            .get_or_init(|| self.load_or_compile(hash, what, origin, bytes))
            .clone();
        if let (Origin::Own, Ok(own)) = (origin, &result) {
            let _ = self.own.set(own.clone());
        }
        self.keep(hash, &compilation, origin)?;
        result
    }

    /// Keeps what was compiled, for whoever asks after those who have waited for it. A
    /// failure is not kept: its reason may lie outside the component.
    fn keep(&self, hash: &ContentHash, compilation: &Compilation, origin: Origin) -> Result<()> {
        let mut code = self.code.lock().map_err(Error::internal)?;
        let of_this = code.compiling.get(hash);
        if !of_this.is_some_and(|compiling| Arc::ptr_eq(compiling, compilation)) {
            // Another one who has waited was faster.
            return Ok(());
        }
        code.compiling.remove(hash);
        if let (Origin::Upload, Some(Ok(component))) = (origin, compilation.get()) {
            let bytes = code_bytes(component);
            code.kept
                .insert(*hash, component.clone(), bytes, Used::default());
        }
        Ok(())
    }

    /// Lets go of a component that nothing is going to run.
    pub(crate) fn forget(&self, hash: &ContentHash) -> Result<()> {
        let mut code = self.code.lock().map_err(Error::internal)?;
        code.kept.forget(|of| of == hash);
        drop(code);
        let mut moved = self.moved.lock().map_err(Error::internal)?;
        moved.forget(|(of, _)| of == hash);
        Ok(())
    }

    /// How much code of uploads is kept in memory, in each place where some is.
    pub(crate) fn code_bytes_max(&self) -> u64 {
        self.shared.code_bytes.in_memory
    }

    fn load_or_compile(
        &self,
        hash: &ContentHash,
        what: &str,
        origin: Origin,
        bytes: impl FnOnce() -> Result<Arc<[u8]>>,
    ) -> Result<Component> {
        if let Some(component) = self
            .cache
            .as_ref()
            .and_then(|c| c.load(&self.wasmtime, hash, origin))
        {
            return Ok(component);
        }
        let bytes = bytes()?;
        self.tell(what, origin);
        let component = match (&self.shared.worker, origin) {
            (Some(worker), Origin::Upload) => {
                let code = worker.compile(&bytes, self.configuration, &self.compatibility)?;
                cache::load_from_worker(&self.wasmtime, &code)?
            }
            _ => compile::in_process(&self.wasmtime, &bytes, self.guards)?,
        };
        if let Some(cache) = &self.cache {
            cache.store(&component, hash, origin);
        }
        Ok(component)
    }

    /// What is the host's own is compiled once for each engine: a person should not
    /// wonder why twice.
    fn tell(&self, what: &str, origin: Origin) {
        let Some(on_compile) = &self.shared.on_compile else {
            return;
        };
        match (self.configuration, origin) {
            (Configuration::Conditions, Origin::Own) => {
                on_compile(&format!("{what}, for conditions"));
            }
            _ => on_compile(what),
        }
    }
}

impl Configuration {
    /// As a compile worker is told.
    fn number(self) -> u8 {
        match self {
            Configuration::Procedures => 0,
            Configuration::Conditions => 1,
        }
    }

    fn from_number(number: u8) -> Option<Configuration> {
        match number {
            0 => Some(Configuration::Procedures),
            1 => Some(Configuration::Conditions),
            _ => None,
        }
    }
}

/// An engine that runs guests, with a pool of its own: its address space is taken when
/// it is made.
fn engine_with_stack(configuration: Configuration, stack_bytes: u64) -> Result<wasmtime::Engine> {
    let mut config = code_config(configuration);
    config
        .max_wasm_stack(stack_bytes as usize)
        .async_stack_size(stack_bytes as usize + HOST_STACK_BYTES)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    wasmtime::Engine::new(&config).map_err(Error::internal)
}

/// What compiled code depends on: a worker that compiles for this host has the same.
fn code_config(configuration: Configuration) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .consume_fuel(true)
        .concurrency_support(false)
        .wasm_features(FEATURES.complement(), false)
        .wasm_features(FEATURES, true)
        .relaxed_simd_deterministic(true)
        // The bits of a NaN are the processor's choice otherwise, and a guest can see them.
        // A loop of floating point takes up to 2.4 times as long with it.
        .cranelift_nan_canonicalization(configuration == Configuration::Conditions)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16));
    config
}

/// Address space for the largest policy; what a call may use is its limiter's.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(INSTANCES_MAX * 16)
        .max_core_instances_per_component(16)
        .total_memories(INSTANCES_MAX * MEMORIES_PER_COMPONENT_MAX)
        .max_memories_per_component(MEMORIES_PER_COMPONENT_MAX)
        .total_tables(INSTANCES_MAX * TABLES_PER_COMPONENT_MAX)
        .max_tables_per_component(TABLES_PER_COMPONENT_MAX)
        .table_elements(20_000)
        .total_stacks(INSTANCES_MAX)
        .max_memory_size(limits::MEMORY_BYTES_MAX as usize)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Names the engine's configuration and version: compiled code fits no other.
fn compatibility(engine: &wasmtime::Engine) -> [u8; 32] {
    struct Digest(blake3::Hasher);
    impl Hasher for Digest {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut digest = Digest(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut digest);
    *digest.0.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Configuration; 2] = [Configuration::Procedures, Configuration::Conditions];

    #[test]
    fn a_number_names_a_configuration_or_none() {
        for configuration in BOTH {
            let found = Configuration::from_number(configuration.number());
            assert_eq!(found, Some(configuration));
        }
        assert_eq!(Configuration::from_number(2), None);
    }

    /// wasmtime would load the one's code into the other.
    #[test]
    fn code_of_one_configuration_is_never_taken_for_the_others() {
        let [procedures, conditions] =
            BOTH.map(|configuration| wasmtime::Engine::new(&code_config(configuration)).unwrap());
        assert_ne!(compatibility(&procedures), compatibility(&conditions));
        let component = "(component (core module (func (export \"sum\") (param f64 f64)
            (result f64) local.get 0 local.get 1 f64.add)))";
        let component = wat::parse_str(component).unwrap();
        let [fast, same] =
            [procedures, conditions].map(|engine| engine.precompile_component(&component).unwrap());
        assert_ne!(fast, same, "only conditions look for a NaN");
    }
}
