//! What calls cost, with the host's kind of configuration: pooled instances, fuel
//! with yields or none.
//!
//! Figures are for comparing builds of the engine on one machine.

use crate::host::{Host, Instance, types::Value};
use std::time::{Duration, Instant};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result,
    component::Component,
};

const ADD: &str = "export function f(a, b) { return a + b }";
const QUERY: &str =
    "export function f(id) { return heliosdb.query('SELECT', [id, 'Ann', 2.5]).rows[0].name }";
const JSON: &str = "export function f(id) { return [{ id, name: 'Ann' }, { id, name: 'Bob' }] }";
const FIB: &str =
    "const fib = (n) => n < 2 ? n : fib(n - 1) + fib(n - 2); export { fib as default }";

/// Prints a table of durations.
pub(crate) fn run(component: &[u8]) -> Result<()> {
    for fuel in [true, false] {
        let engine = Engine::new(&config(fuel))?;
        let start = Instant::now();
        let component = Component::new(&engine, component)?;
        println!("fuel {fuel}: the engine compiles in {:?}", start.elapsed());
        let host = Host::new(engine, &component, fuel)?;
        for round in 0..2 {
            println!("round {round}");
            measure(&host, fuel)?;
        }
    }
    Ok(())
}

fn measure(host: &Host, fuel: bool) -> Result<()> {
    let pair = [Value::Integer(20), Value::Integer(22)];
    let one = [Value::Integer(7)];
    compare(host, fuel, "add", ADD, &pair, false)?;
    compare(host, fuel, "query", QUERY, &one, false)?;
    compare(host, fuel, "json", JSON, &one, true)?;
    let fibonacci = bytecode(host, fuel, FIB)?;
    let mut instance = loaded(host, fuel, &fibonacci)?;
    let start = Instant::now();
    must(instance.call(&[Value::Integer(24)], false)?)?;
    println!("  fib(24) {:?}", start.elapsed());
    Ok(())
}

fn compare(
    host: &Host,
    fuel: bool,
    name: &str,
    source: &str,
    arguments: &[Value],
    as_json: bool,
) -> Result<()> {
    let compiling = repeat(200, || bytecode(host, fuel, source).map(drop))?;
    let bytecode = bytecode(host, fuel, source)?;
    let fresh = repeat(3000, || {
        must(loaded(host, fuel, &bytecode)?.call(arguments, as_json)?).map(drop)
    })?;
    let mut instance = loaded(host, fuel, &bytecode)?;
    let warm = repeat(20_000, || {
        must(instance.call(arguments, as_json)?).map(drop)
    })?;
    let memory = instance.store.data().memory_bytes >> 10;
    println!(
        "  {name}: compile {compiling:?}, fresh + load + call {fresh:?}, warm call {warm:?}, {} bytes of bytecode, {memory} KiB",
        bytecode.len()
    );
    Ok(())
}

fn repeat(times: u32, mut operation: impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..times {
        operation()?;
    }
    Ok(start.elapsed() / times)
}

fn bytecode(host: &Host, fuel: bool, source: &str) -> Result<Vec<u8>> {
    must(instance(host, fuel)?.compile("f.js", source, &["f"])?)
}

fn loaded(host: &Host, fuel: bool, bytecode: &[u8]) -> Result<Instance> {
    let mut instance = instance(host, fuel)?;
    must(instance.load(bytecode)?)?;
    Ok(instance)
}

fn instance(host: &Host, fuel: bool) -> Result<Instance> {
    let mut instance = host.instance()?;
    if fuel {
        instance.store.set_fuel(1 << 50)?;
    }
    Ok(instance)
}

fn must<T>(result: Result<T, crate::host::Exception>) -> Result<T> {
    result.map_err(|exception| wasmtime::format_err!("{}: {}", exception.name, exception.message))
}

fn config(fuel: bool) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(100)
        .total_core_instances(400)
        .total_memories(100)
        .total_tables(400)
        .max_memory_size(128 << 20)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = crate::host::config();
    config
        .consume_fuel(fuel)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
