//! The floors: the same work by bare wasmtime and by bare rusqlite.
//!
//! What is not the host's doing is the same here: the component, the engine's
//! settings, the lane (a fiber that yields by fuel and is polled on this thread), the
//! limiter; the schema, the rows, the statement. What is the host's doing is left out:
//! SQL, arguments of any type, grants, clocks, audit. Exports are looked up ahead and
//! called by their types, as who writes for one component would.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, ComponentType, InstancePre, Lift, Linker,
    Lower, TypedFunc,
};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    ResourceLimiter, Store, WasmFeatures,
};

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "javascript-engine",
        exports: { default: async },
    });
}

pub(crate) use bindings::heliosdb::host::types::{Json, Value};
use bindings::{JavascriptEngine, JavascriptEnginePre};

/// A store's data: no more than its limiter.
pub(crate) struct Limiter {
    used_bytes: usize,
}

/// The default limit of the host's functions.
const MEMORY_BYTES_MAX: usize = 16 << 20;

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.used_bytes += desired - current;
        Ok(self.used_bytes <= MEMORY_BYTES_MAX)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.used_bytes += 8 * (desired - current);
        Ok(self.used_bytes <= MEMORY_BYTES_MAX)
    }
}

/// Whose floor it is: the host's engine for conditions makes other code, and without
/// metering no instruction is counted and no memory limited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guests {
    Procedures,
    Conditions,
    Unmetered,
}

/// The host's `engine/mod.rs`, line by line.
fn config(guests: Guests) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(128)
        .total_core_instances(128 * 16)
        .max_core_instances_per_component(16)
        .total_memories(128 * 4)
        .max_memories_per_component(4)
        .total_tables(128 * 8)
        .max_tables_per_component(8)
        .table_elements(20_000)
        .total_stacks(128)
        .max_memory_size(128 << 20)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .consume_fuel(guests != Guests::Unmetered)
        .concurrency_support(false)
        .wasm_features(
            WasmFeatures::GC
                | WasmFeatures::FUNCTION_REFERENCES
                | WasmFeatures::EXCEPTIONS
                | WasmFeatures::THREADS
                | WasmFeatures::MEMORY64
                | WasmFeatures::MULTI_MEMORY
                | WasmFeatures::STACK_SWITCHING
                | WasmFeatures::CM_ASYNC,
            false,
        )
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(guests == Guests::Conditions)
        .max_wasm_stack(2 << 20)
        .async_stack_size(4 << 20)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16))
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// The host's loop, without its looks at the clocks.
fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

fn store(engine: &wasmtime::Engine, guests: Guests) -> Store<Limiter> {
    let mut store = Store::new(engine, Limiter { used_bytes: 0 });
    if guests == Guests::Unmetered {
        return store;
    }
    store.limiter(|limiter| limiter);
    store.set_hostcall_fuel(32 << 20);
    store.set_max_component_handles(1_000);
    refuel(&mut store);
    store
}

fn refuel(store: &mut Store<Limiter>) {
    store
        .set_fuel(10_000_000_000)
        .and_then(|()| store.fuel_async_yield_interval(Some(1_000_000)))
        .expect("fuel is on");
}

/// Linked with functions of the right shape that are never called.
fn link(engine: &wasmtime::Engine, component: &Component) -> InstancePre<Limiter> {
    let mut linker = Linker::new(engine);
    linker
        .define_unknown_imports_as_traps(component)
        .and_then(|()| linker.instantiate_pre(component))
        .expect("the component links")
}

/// A Rust guest.
pub(crate) struct RustFloor {
    interface: &'static str,
    engine: wasmtime::Engine,
    linked: InstancePre<Limiter>,
    component: Component,
    guests: Guests,
}

impl RustFloor {
    /// The functions of the guest's one interface.
    pub(crate) fn new(guests: Guests, package: &str, interface: &'static str) -> RustFloor {
        let engine = wasmtime::Engine::new(&config(guests)).expect("an engine");
        let component = Component::from_file(&engine, super::guest(package)).expect("the guest");
        RustFloor {
            interface,
            linked: link(&engine, &component),
            component,
            engine,
            guests,
        }
    }

    /// One of its functions.
    pub(crate) fn export(&self, name: &str) -> ComponentExportIndex {
        let interface = self
            .component
            .get_export_index(None, self.interface)
            .expect("the interface");
        self.component
            .get_export_index(Some(&interface), name)
            .expect("the function")
    }

    /// A store, an instance, a call.
    pub(crate) fn fresh<P, R>(&self, export: &ComponentExportIndex, arguments: P) -> R
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let mut store = store(&self.engine, self.guests);
        let result = drive(async {
            let instance = self.linked.instantiate_async(&mut store).await?;
            let func = instance.get_typed_func::<P, R>(&mut store, export)?;
            func.call_async(&mut store, arguments).await
        });
        result.expect("the call succeeds")
    }

    /// An instance to be called often.
    pub(crate) fn warm<P, R>(&self, export: &ComponentExportIndex) -> WarmRust<P, R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let mut store = store(&self.engine, self.guests);
        let func = drive(async {
            let instance = self.linked.instantiate_async(&mut store).await?;
            instance.get_typed_func::<P, R>(&mut store, export)
        });
        WarmRust {
            func: func.expect("the function"),
            store,
        }
    }
}

/// What the guest `condition` is asked about.
#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Request {
    user: String,
    clearance: u8,
    labels: Vec<String>,
    #[component(name = "valid-until")]
    valid_until: Option<Timestamp>,
    #[component(name = "asked-at")]
    asked_at: Timestamp,
}

/// A moment, as the contract has it.
#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Timestamp {
    microseconds: i64,
}

impl Request {
    /// The same as `cases::REQUEST`.
    pub(crate) fn example() -> Request {
        Request {
            user: "ada".to_string(),
            clearance: 3,
            labels: vec!["secret".to_string()],
            valid_until: None,
            asked_at: Timestamp {
                microseconds: 1_764_028_800_000_000,
            },
        }
    }
}

/// A function of an instance that stays.
pub(crate) struct WarmRust<P, R> {
    store: Store<Limiter>,
    func: TypedFunc<P, R>,
}

impl<P, R> WarmRust<P, R>
where
    P: ComponentNamedList + Lower + Send + Sync,
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    /// Gives it the fuel of a new statement's execution.
    pub(crate) fn refuel(&mut self) {
        refuel(&mut self.store);
    }

    pub(crate) fn call(&mut self, arguments: P) -> R {
        drive(self.func.call_async(&mut self.store, arguments)).expect("the call succeeds")
    }
}

/// The JavaScript engine with one function, as its own compiler made it.
pub(crate) struct JavascriptFloor {
    engine: wasmtime::Engine,
    linked: JavascriptEnginePre<Limiter>,
    guests: Guests,
}

impl JavascriptFloor {
    pub(crate) fn new(guests: Guests) -> JavascriptFloor {
        let engine = wasmtime::Engine::new(&config(guests)).expect("an engine");
        let file = super::root().join("sdk/js-engine/engine.wasm");
        let component = Component::from_file(&engine, file).expect("the engine component");
        let linked = JavascriptEnginePre::new(link(&engine, &component));
        JavascriptFloor {
            linked: linked.expect("the exports"),
            engine,
            guests,
        }
    }

    /// The bytecode of a source.
    pub(crate) fn compile(&self, name: &str, source: &str) -> Vec<u8> {
        let mut store = store(&self.engine, self.guests);
        let compiled = drive(async {
            let instance = self.linked.instantiate_async(&mut store).await?;
            instance
                .heliosdb_host_javascript()
                .call_compile(
                    &mut store,
                    &format!("{name}.js"),
                    source,
                    &[name.to_string()],
                )
                .await
        });
        compiled
            .expect("the call succeeds")
            .expect("the source compiles")
    }

    /// A store, an instance, the function loaded, a call.
    pub(crate) fn fresh(&self, bytecode: &[u8], arguments: &[Value]) -> Value {
        let (mut store, instance) = self.load(bytecode);
        call(&mut store, &instance, arguments)
    }

    /// An instance to be called often.
    pub(crate) fn warm(&self, bytecode: &[u8]) -> WarmJavascript {
        let (store, instance) = self.load(bytecode);
        WarmJavascript { store, instance }
    }

    fn load(&self, bytecode: &[u8]) -> (Store<Limiter>, JavascriptEngine) {
        let mut store = store(&self.engine, self.guests);
        let instance: wasmtime::Result<JavascriptEngine> = drive(async {
            let instance = self.linked.instantiate_async(&mut store).await?;
            let javascript = instance.heliosdb_host_javascript();
            let loaded = javascript.call_load(&mut store, bytecode).await?;
            loaded.expect("the module loads");
            Ok(instance)
        });
        (store, instance.expect("the instance starts"))
    }
}

/// A function of an instance that stays.
pub(crate) struct WarmJavascript {
    store: Store<Limiter>,
    instance: JavascriptEngine,
}

impl WarmJavascript {
    /// Gives it the fuel of a new statement's execution.
    pub(crate) fn refuel(&mut self) {
        refuel(&mut self.store);
    }

    pub(crate) fn call(&mut self, arguments: &[Value]) -> Value {
        call(&mut self.store, &self.instance, arguments)
    }
}

fn call(store: &mut Store<Limiter>, instance: &JavascriptEngine, arguments: &[Value]) -> Value {
    let javascript = instance.heliosdb_host_javascript();
    drive(javascript.call_call(store, arguments, false))
        .expect("the call succeeds")
        .expect("nothing is thrown")
}

/// A database with the table `item`, and `add` and `nop` as functions of this program.
pub(crate) fn database(path: &std::path::Path) -> rusqlite::Connection {
    let open = || -> rusqlite::Result<rusqlite::Connection> {
        let connection = rusqlite::Connection::open(path)?;
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        connection.execute_batch(super::SCHEMA)?;
        connection.execute_batch(super::FILL)?;
        let flags = rusqlite::functions::FunctionFlags::SQLITE_UTF8
            | rusqlite::functions::FunctionFlags::SQLITE_INNOCUOUS;
        connection.create_scalar_function("nop", -1, flags, |_| Ok(rusqlite::types::Null))?;
        connection.create_scalar_function("add", -1, flags, |context| {
            Ok(context.get::<i64>(0)?.wrapping_add(context.get(1)?))
        })?;
        Ok(connection)
    };
    open().expect("the database opens")
}
