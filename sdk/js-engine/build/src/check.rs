//! Runs every script of `scripts` and compares what it comes to.

use crate::{
    host::{Exception, Host, config, types},
    scripts::{SCRIPTS, Script},
};
use wasmtime::{Engine, Result, component::Component};

/// Runs all scripts; an error names those that came out otherwise.
pub(crate) fn run(component: &[u8]) -> Result<()> {
    let engine = Engine::new(&config())?;
    let component = Component::new(&engine, component)?;
    let host = Host::new(engine, &component, true)?;
    let mut failures = Vec::new();
    for script in SCRIPTS {
        let (outcome, memory_bytes) = outcome(&host, script)?;
        if !matches(script.expected, &outcome) {
            failures.push(format!(
                "{}\n  expected {}\n  got      {outcome}",
                script.source, script.expected
            ));
        }
        if memory_bytes > 2 << 20 {
            println!("{} KiB of memory: {}", memory_bytes >> 10, script.source);
        }
    }
    wasmtime::ensure!(
        failures.is_empty(),
        "{} of {} scripts:\n{}",
        failures.len(),
        SCRIPTS.len(),
        failures.join("\n")
    );
    println!("{} scripts came out as expected", SCRIPTS.len());
    Ok(())
}

/// Prints what the function `f` of one source comes to.
pub(crate) fn show(component: &[u8], source: &str) -> Result<()> {
    let engine = Engine::new(&config())?;
    let component = Component::new(&engine, component)?;
    let host = Host::new(engine, &component, true)?;
    let script = Script {
        source,
        ..SCRIPTS[0]
    };
    println!("{}", outcome(&host, &script)?.0);
    Ok(())
}

/// An expectation that ends in `…` is the beginning of what is expected.
fn matches(expected: &str, outcome: &str) -> bool {
    match expected.strip_suffix('…') {
        Some(beginning) => outcome.starts_with(beginning),
        None => outcome == expected,
    }
}

/// Compiles, loads in a fresh instance and calls; all as one line of text.
fn outcome(host: &Host, script: &Script<'_>) -> Result<(String, usize)> {
    let compiled = host
        .instance_with_memory(64 << 20)?
        .compile("f.js", script.source, &["f"]);
    let bytecode = match compiled {
        Ok(Ok(bytecode)) => bytecode,
        Ok(Err(exception)) => return Ok((format!("compile: {}", show_exception(&exception)), 0)),
        Err(trap) => return Ok((show_trap(&trap), 0)),
    };
    let mut instance = host.instance()?;
    instance.store.data_mut().now = script.now;
    let mut outcome = match instance.load(&bytecode) {
        Ok(Ok(())) => match instance.call(&(script.arguments)(), script.as_json) {
            Ok(Ok(value)) => show_value(&value),
            Ok(Err(exception)) => show_exception(&exception),
            Err(trap) => show_trap(&trap),
        },
        Ok(Err(exception)) => format!("load: {}", show_exception(&exception)),
        Err(trap) => format!("load: {}", show_trap(&trap)),
    };
    for line in &instance.store.data().log {
        outcome += &format!(" | {line}");
    }
    Ok((outcome, instance.store.data().memory_bytes))
}

fn show_value(value: &types::Value) -> String {
    match value {
        types::Value::Null => "null".to_owned(),
        types::Value::Boolean(boolean) => format!("boolean {boolean}"),
        types::Value::Integer(integer) => format!("integer {integer}"),
        types::Value::Real(real) => format!("real {real}"),
        types::Value::Text(text) => format!("text {text}"),
        types::Value::Blob(bytes) => format!("blob {bytes:?}"),
        types::Value::Decimal(decimal) => format!("decimal {}", decimal.digits),
        types::Value::Timestamp(timestamp) => format!("timestamp {}", timestamp.microseconds),
        types::Value::Json(json) => format!("json {}", json.text),
    }
}

fn show_exception(exception: &Exception) -> String {
    let mut line = format!("throws [{}] {}", exception.name, exception.message);
    if !exception.stack.is_empty() {
        line += &format!(" @{}", exception.stack.replace('\n', ";"));
    }
    if let Some(cause) = &exception.cause {
        let cause = match cause {
            types::Error::Denied(denials) => format!("denied {}", denials.len()),
            types::Error::Limit(excess) => format!("limit {} {}", excess.allowed, excess.requested),
            types::Error::Invalid(message) => format!("invalid {message}"),
            types::Error::Failed(failure) => format!("failed {}", failure.sqlstate),
        };
        line += &format!(" cause: {cause}");
    }
    line
}

fn show_trap(trap: &wasmtime::Error) -> String {
    match trap.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => format!("trap {trap:?}"),
        None => format!("ended: {}", trap.root_cause()),
    }
}
