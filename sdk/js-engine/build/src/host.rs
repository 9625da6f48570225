//! A host that stands in for the real one: it answers from a script's SQL text and
//! remembers what it was told.
//!
//! What it answers is in [`State`]'s implementations; nothing here checks a
//! permission.

use wasmtime::{
    Config, Engine, ResourceLimiter, Result, Store,
    component::{Component, HasSelf, Linker, Resource},
};

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "javascript-engine",
});

pub(crate) use exports::heliosdb::host::javascript::Exception;
use heliosdb::host::database_read::{Cursor, Statement as ReadStatement};
use heliosdb::host::database_write::{Statement as WriteStatement, Transaction};
pub(crate) use heliosdb::host::{database_ddl, database_read, database_write, log, time, types};

/// What a small function may use.
pub(crate) const MEMORY_BYTES: usize = 4 << 20;
/// More than any of the scripts needs that ends by itself.
pub(crate) const FUEL: u64 = 3_000_000_000;

/// What one instance's host knows.
pub(crate) struct State {
    /// The clock, if there is the capability.
    pub(crate) now: Option<i64>,
    /// The messages, as `level: text`, and what was prepared, begun and closed.
    pub(crate) log: Vec<String>,
    /// The next row of each cursor, and how many it has.
    cursors: Vec<(u32, u32)>,
    /// How many were begun.
    transactions: u32,
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
            cursors: Vec::new(),
            transactions: 0,
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
    ) -> Result<types::Rows, types::Error> {
        let columns = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        match sql.as_str() {
            "odd columns" => Ok(types::Rows {
                columns: columns(&["a", "a", "__proto__", "0"]),
                rows: vec![(1..=4).map(types::Value::Integer).collect()],
            }),
            _ => check(&sql).map(|()| types::Rows {
                columns: columns(&COLUMNS[..params.len().min(3)]),
                rows: vec![params],
            }),
        }
    }

    fn query_one(
        &mut self,
        sql: String,
        params: Vec<types::Value>,
    ) -> Result<Option<types::Row>, types::Error> {
        let mut found = database_read::Host::query(self, sql, params)?;
        Ok(found.rows.pop().map(|values| types::Row {
            columns: found.columns,
            values,
        }))
    }

    fn stream(
        &mut self,
        sql: String,
        params: Vec<types::Value>,
    ) -> Result<Resource<Cursor>, types::Error> {
        check(&sql)?;
        Ok(self.open_cursor(&params))
    }

    fn prepare(&mut self, sql: String) -> Result<Resource<ReadStatement>, types::Error> {
        check(&sql)?;
        self.log.push(format!("prepare {sql}"));
        Ok(Resource::new_own(0))
    }
}

impl State {
    /// A cursor over as many rows as its parameter says.
    fn open_cursor(&mut self, params: &[types::Value]) -> Resource<Cursor> {
        let rows = match params.first() {
            Some(types::Value::Integer(rows)) => *rows as u32,
            _ => 0,
        };
        self.cursors.push((0, rows));
        Resource::new_own(self.cursors.len() as u32 - 1)
    }
}

impl database_read::HostStatement for State {
    fn columns(&mut self, _: Resource<ReadStatement>) -> Result<Vec<types::Column>, types::Error> {
        Ok(COLUMNS.map(column).into())
    }

    fn query(
        &mut self,
        _: Resource<ReadStatement>,
        params: Vec<types::Value>,
    ) -> Result<Vec<Vec<types::Value>>, types::Error> {
        Ok(vec![params])
    }

    fn query_one(
        &mut self,
        _: Resource<ReadStatement>,
        params: Vec<types::Value>,
    ) -> Result<Option<Vec<types::Value>>, types::Error> {
        Ok((!params.is_empty()).then_some(params))
    }

    fn stream(
        &mut self,
        _: Resource<ReadStatement>,
        params: Vec<types::Value>,
    ) -> Result<Resource<Cursor>, types::Error> {
        Ok(self.open_cursor(&params))
    }

    fn drop(&mut self, _: Resource<ReadStatement>) -> wasmtime::Result<()> {
        self.log.push("drop".to_owned());
        Ok(())
    }
}

impl database_read::HostCursor for State {
    fn columns(&mut self, _: Resource<Cursor>) -> Result<Vec<types::Column>, types::Error> {
        Ok(vec![column("id")])
    }

    fn next(
        &mut self,
        this: Resource<Cursor>,
        count: u32,
    ) -> Result<Vec<Vec<types::Value>>, types::Error> {
        let (next, rows) = &mut self.cursors[this.rep() as usize];
        let portion = *next..(*next + count).min(*rows);
        *next = portion.end;
        Ok(portion
            .map(|id| vec![types::Value::Integer(id.into())])
            .collect())
    }

    fn drop(&mut self, this: Resource<Cursor>) -> wasmtime::Result<()> {
        let (next, _) = self.cursors[this.rep() as usize];
        self.log.push(format!("close after {next}"));
        Ok(())
    }
}

impl database_write::Host for State {
    fn execute(
        &mut self,
        sql: String,
        params: Vec<types::Value>,
    ) -> Result<types::Effect, types::Error> {
        match sql.as_str() {
            "denied" => Err(denied(&[("DATABASE_WRITE", "main.users")])),
            _ => Ok(effect(params)),
        }
    }

    fn execute_batch(
        &mut self,
        _: String,
        params: Vec<Vec<types::Value>>,
    ) -> Result<u64, types::Error> {
        Ok(params.len() as u64)
    }

    fn prepare(&mut self, sql: String) -> Result<Resource<WriteStatement>, types::Error> {
        self.log.push(format!("prepare to write {sql}"));
        Ok(Resource::new_own(0))
    }

    fn begin(&mut self) -> Result<Resource<Transaction>, types::Error> {
        self.transactions += 1;
        self.log.push(format!("begin {}", self.transactions));
        Ok(Resource::new_own(self.transactions))
    }
}

impl database_write::HostStatement for State {
    fn execute(
        &mut self,
        _: Resource<WriteStatement>,
        params: Vec<types::Value>,
    ) -> Result<types::Effect, types::Error> {
        Ok(effect(params))
    }

    fn execute_batch(
        &mut self,
        _: Resource<WriteStatement>,
        params: Vec<Vec<types::Value>>,
    ) -> Result<u64, types::Error> {
        Ok(params.len() as u64)
    }

    fn drop(&mut self, _: Resource<WriteStatement>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl database_write::HostTransaction for State {
    fn commit(&mut self, this: Resource<Transaction>) -> Result<(), types::Error> {
        self.log.push(format!("commit {}", this.rep()));
        Ok(())
    }

    fn roll_back(&mut self, this: Resource<Transaction>) -> Result<(), types::Error> {
        self.log.push(format!("roll back {}", this.rep()));
        Ok(())
    }

    fn drop(&mut self, _: Resource<Transaction>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl database_ddl::Host for State {
    fn execute(&mut self, sql: String) -> Result<(), types::Error> {
        self.log.push(format!("change {sql}"));
        Ok(())
    }
}

const COLUMNS: [&str; 3] = ["id", "name", "balance"];

fn column(name: &str) -> types::Column {
    types::Column {
        name: name.to_owned(),
        declared_type: None,
    }
}

fn effect(params: Vec<types::Value>) -> types::Effect {
    types::Effect {
        affected_rows: params.len() as u64,
        last_insert_id: Some(7),
        returned: types::Rows {
            columns: vec!["id".to_owned()],
            rows: vec![params],
        },
    }
}

/// The error that a script asks for.
fn check(sql: &str) -> Result<(), types::Error> {
    match sql {
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
        _ => Ok(()),
    }
}

fn denied(list: &[(&str, &str)]) -> types::Error {
    let denial = |(capability, target): &(&str, &str)| types::Denial {
        capability: capability.to_string(),
        target: target.to_string(),
    };
    types::Error::Denied(list.iter().map(denial).collect())
}
