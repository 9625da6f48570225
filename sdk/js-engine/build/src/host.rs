//! A host that stands in for the real one: it answers from a script's SQL text and
//! remembers what it was told.
//!
//! What it answers is in [`State`]'s implementations; nothing here checks a
//! permission.

use wasmtime::{
    Config, Engine, ResourceLimiter, Result, Store,
    component::{Component, HasSelf, Linker},
};

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "javascript-engine",
});

pub(crate) use exports::heliosdb::host::javascript::Exception;
pub(crate) use heliosdb::host::{database_read, database_write, log, time, types};

/// What a small function may use.
pub(crate) const MEMORY_BYTES: usize = 4 << 20;
/// More than any of the scripts needs that ends by itself.
pub(crate) const FUEL: u64 = 3_000_000_000;

/// What one instance's host knows.
pub(crate) struct State {
    /// The clock, if there is the capability.
    pub(crate) now: Option<i64>,
    /// The messages, as `level: text`.
    pub(crate) log: Vec<String>,
    /// The largest size that the memory has had.
    pub(crate) memory_bytes: usize,
    /// Where the memory ends.
    pub(crate) memory_bytes_max: usize,
}

/// A compiled engine that instances are made from.
pub(crate) struct Host {
    engine: Engine,
    is_metered: bool,
    pre: JavascriptEnginePre<State>,
}

/// One instance.
pub(crate) struct Instance {
    pub(crate) store: Store<State>,
    pub(crate) exports: JavascriptEngine,
}

impl Host {
    /// Prepares a component in an engine.
    pub(crate) fn new(engine: Engine, component: &Component, is_metered: bool) -> Result<Host> {
        let mut linker = Linker::new(&engine);
        JavascriptEngine::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
        let pre = JavascriptEnginePre::new(linker.instantiate_pre(component)?)?;
        Ok(Host {
            engine,
            is_metered,
            pre,
        })
    }

    /// A fresh instance.
    pub(crate) fn instance(&self) -> Result<Instance> {
        self.instance_with_memory(MEMORY_BYTES)
    }

    /// A fresh instance whose memory may grow up to a size.
    pub(crate) fn instance_with_memory(&self, memory_bytes_max: usize) -> Result<Instance> {
        let state = State {
            now: None,
            log: Vec::new(),
            memory_bytes: 0,
            memory_bytes_max,
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| state);
        if self.is_metered {
            store.set_fuel(FUEL)?;
        }
        let exports = self.pre.instantiate(&mut store)?;
        Ok(Instance { store, exports })
    }
}

impl Instance {
    /// Compiles a source.
    pub(crate) fn compile(
        &mut self,
        file: &str,
        source: &str,
        entries: &[&str],
    ) -> Result<Result<Vec<u8>, Exception>> {
        let entries: Vec<String> = entries.iter().map(|entry| entry.to_string()).collect();
        let javascript = self.exports.heliosdb_host_javascript();
        javascript.call_compile(&mut self.store, file, source, &entries)
    }

    /// Loads bytecode.
    pub(crate) fn load(&mut self, bytecode: &[u8]) -> Result<Result<(), Exception>> {
        let javascript = self.exports.heliosdb_host_javascript();
        javascript.call_load(&mut self.store, bytecode)
    }

    /// Calls the loaded function.
    pub(crate) fn call(
        &mut self,
        arguments: &[types::Value],
        as_json: bool,
    ) -> Result<Result<types::Value, Exception>> {
        let javascript = self.exports.heliosdb_host_javascript();
        javascript.call_call(&mut self.store, arguments, as_json)
    }
}

/// The host's configuration, as far as it matters here.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config.consume_fuel(true).concurrency_support(false);
    config.max_wasm_stack(2 << 20).async_stack_size(4 << 20);
    config
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        wasmtime::ensure!(desired <= self.memory_bytes_max, "memory limit reached");
        self.memory_bytes = self.memory_bytes.max(desired);
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(true)
    }
}

impl types::Host for State {}

impl time::Host for State {
    fn now(&mut self) -> Result<types::Timestamp, types::Error> {
        match self.now {
            Some(microseconds) => Ok(types::Timestamp { microseconds }),
            None => Err(denied(&[("TIME_ACCESS", "")])),
        }
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) {
        self.log.push(format!(
            "{}: {message}",
            format!("{level:?}").replace("Level::", "").to_lowercase()
        ));
    }

    fn panicked(&mut self, message: String) {
        self.log.push(format!("panicked: {message}"));
    }
}

impl database_read::Host for State {
    fn query(
        &mut self,
        sql: String,
        params: Vec<types::Value>,
    ) -> Result<database_read::Rows, types::Error> {
        let columns = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        match sql.as_str() {
            "denied" => Err(denied(&[
                ("DATABASE_READ", "main.secrets"),
                ("DATABASE_READ", "main.keys"),
            ])),
            "limit" => Err(types::Error::Limit(types::Excess {
                name: "sql_bytes".into(),
                allowed: 1_048_576,
                requested: 2_000_000,
            })),
            "invalid" => Err(types::Error::Invalid("near \"SELEC\": syntax error".into())),
            "failed" => Err(types::Error::Failed(types::Failure {
                sqlstate: "23505".into(),
                message: "duplicate key".into(),
            })),
            "odd columns" => Ok(database_read::Rows {
                columns: columns(&["a", "a", "__proto__", "0"]),
                rows: vec![(1..=4).map(types::Value::Integer).collect()],
            }),
            _ => Ok(database_read::Rows {
                columns: columns(&["id", "name", "balance"][..params.len().min(3)]),
                rows: vec![params],
            }),
        }
    }
}

impl database_write::Host for State {
    fn execute(&mut self, sql: String, params: Vec<types::Value>) -> Result<u64, types::Error> {
        match sql.as_str() {
            "denied" => Err(denied(&[("DATABASE_WRITE", "main.users")])),
            _ => Ok(params.len() as u64),
        }
    }
}

fn denied(list: &[(&str, &str)]) -> types::Error {
    let denial = |(capability, target): &(&str, &str)| types::Denial {
        capability: capability.to_string(),
        target: target.to_string(),
    };
    types::Error::Denied(list.iter().map(denial).collect())
}
