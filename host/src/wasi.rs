//! WASI imports, which Rust's standard library pulls in whether a guest uses them or
//! not. The only file that knows WASI.
//!
//! Nothing of WASI reaches the system. The clocks are ours, under `TIME_ACCESS`;
//! standard output and error are log messages; arguments and environment are empty;
//! the seed of hash tables is fixed. Every other function refuses, loudly: it ends the
//! call.

use crate::bindings::heliosdb::host::log::{Host as _, Level};
use crate::bindings::heliosdb::host::time::Host as _;
use crate::bindings::heliosdb::host::types::Timestamp;
use crate::capability::Capability;
use crate::error::{Error, SqlState};
use crate::execution::Execution;
use crate::linker::NotGranted;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, Resource, ResourceType, Val};
use wasmtime::{Result, StoreContextMut};

/// A resource of a guest. Its number says which: only the standard streams, and the
/// pollables of the two output streams, are ever handed out.
struct Handle;

const STDIN: u32 = 0;
const READY: u32 = 3;

const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// What an output stream accepts at once.
const WRITE_BYTES_MAX: u64 = 4_096;

/// A function's answer. Handles among the arguments are already given back.
type Answer = fn(&mut StoreContextMut<'_, Execution>, &Arguments<'_>) -> Result<Option<Val>>;

/// What a guest passes: the values, and the numbers of the handles among them.
struct Arguments<'a> {
    values: &'a [Val],
    handles: Vec<u32>,
}

/// Defines every WASI import of a component.
pub(crate) fn add_to_linker(linker: &mut Linker<Execution>, component: &Component) -> Result<()> {
    let engine = component.engine();
    let component_type = component.component_type();
    for (interface, import) in component_type.imports(engine) {
        if !interface.starts_with("wasi:") {
            continue;
        }
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            continue;
        };
        let mut link = linker.instance(interface)?;
        for (name, export) in instance.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => add_function(&mut link, interface, name)?,
                ComponentItem::Resource(_) => {
                    link.resource(name, ResourceType::host::<Handle>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn add_function(
    link: &mut LinkerInstance<'_, Execution>,
    interface: &str,
    name: &str,
) -> Result<()> {
    let unversioned = interface.split('@').next().unwrap_or(interface);
    let full_name = format!("{unversioned}.{name}");
    match answer(&full_name) {
        Some(answer) => link.func_new(name, move |mut store, _, arguments, results| {
            store.data_mut().enter_host()?;
            let handles = take_handles(&mut store, arguments)?;
            let answer = answer(
                &mut store,
                &Arguments {
                    values: arguments,
                    handles,
                },
            )?;
            if let (Some(val), Some(result)) = (answer, results.first_mut()) {
                *result = val;
            }
            Ok(())
        }),
        None => link.func_new(name, move |mut store, _, _, _| {
            store.data_mut().enter_host()?;
            Err(refuse(store.data_mut(), &full_name))
        }),
    }
}

/// The functions that have an answer.
fn answer(function: &str) -> Option<Answer> {
    Some(match function {
        "wasi:cli/environment.get-environment" | "wasi:cli/environment.get-arguments" => {
            |_, _| Ok(Some(Val::List(Vec::new())))
        }
        "wasi:cli/environment.initial-cwd"
        | "wasi:cli/terminal-stdin.get-terminal-stdin"
        | "wasi:cli/terminal-stdout.get-terminal-stdout"
        | "wasi:cli/terminal-stderr.get-terminal-stderr" => |_, _| Ok(Some(Val::Option(None))),
        "wasi:random/insecure-seed.insecure-seed" => {
            |_, _| Ok(Some(Val::Tuple(vec![Val::U64(0), Val::U64(0)])))
        }
        "wasi:cli/stdin.get-stdin" => |store, _| handle(store, STDIN),
        "wasi:cli/stdout.get-stdout" => |store, _| handle(store, STDOUT),
        "wasi:cli/stderr.get-stderr" => |store, _| handle(store, STDERR),
        "wasi:io/streams.[method]output-stream.check-write" => |_, _| {
            Ok(Some(Val::Result(Ok(Some(Box::new(Val::U64(
                WRITE_BYTES_MAX,
            )))))))
        },
        "wasi:io/streams.[method]output-stream.flush"
        | "wasi:io/streams.[method]output-stream.blocking-flush" => |_, _| Ok(Some(done())),
        // An output stream is always ready, and nothing else can be waited for.
        "wasi:io/streams.[method]output-stream.subscribe" => |store, _| handle(store, READY),
        "wasi:io/poll.[method]pollable.ready" => |_, _| Ok(Some(Val::Bool(true))),
        "wasi:io/poll.[method]pollable.block" => |_, _| Ok(None),
        "wasi:io/poll.poll" => |_, arguments| {
            let ready = 0..arguments.handles.len() as u32;
            Ok(Some(Val::List(ready.map(Val::U32).collect())))
        },
        "wasi:io/streams.[method]output-stream.write"
        | "wasi:io/streams.[method]output-stream.blocking-write-and-flush" => write,
        "wasi:clocks/wall-clock.now" => |store, _| {
            let now = now(store.data_mut())?.microseconds;
            Ok(Some(datetime(
                now.div_euclid(1_000_000),
                now.rem_euclid(1_000_000) * 1_000,
            )))
        },
        "wasi:clocks/wall-clock.resolution" => |_, _| Ok(Some(datetime(0, 1_000))),
        "wasi:clocks/monotonic-clock.now" => |store, _| {
            let now = now(store.data_mut())?.microseconds;
            Ok(Some(Val::U64((now as u64).saturating_mul(1_000))))
        },
        "wasi:clocks/monotonic-clock.resolution" => |_, _| Ok(Some(Val::U64(1_000))),
        _ => return None,
    })
}

fn handle(store: &mut StoreContextMut<'_, Execution>, number: u32) -> Result<Option<Val>> {
    let handle = Resource::<Handle>::new_own(number).try_into_resource_any(store)?;
    Ok(Some(Val::Resource(handle)))
}

/// Gives back every handle among the arguments; a borrowed one must not outlive the
/// call.
fn take_handles(store: &mut StoreContextMut<'_, Execution>, arguments: &[Val]) -> Result<Vec<u32>> {
    let mut handles = Vec::new();
    for argument in arguments {
        let values = match argument {
            Val::List(items) => &items[..],
            other => std::slice::from_ref(other),
        };
        for value in values {
            if let Val::Resource(handle) = value {
                handles.push(handle.try_into_resource::<Handle>(&mut *store)?.rep());
            }
        }
    }
    Ok(handles)
}

fn done() -> Val {
    Val::Result(Ok(None))
}

/// A write to standard output or error is a message.
fn write(
    store: &mut StoreContextMut<'_, Execution>,
    arguments: &Arguments<'_>,
) -> Result<Option<Val>> {
    let ([stream], [_, Val::List(items)]) = (&arguments.handles[..], arguments.values) else {
        return Err(wasmtime::Error::msg(
            "a stream is written with other arguments",
        ));
    };
    let bytes: Vec<u8> = items
        .iter()
        .filter_map(|item| match item {
            Val::U8(byte) => Some(*byte),
            _ => None,
        })
        .collect();
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end_matches('\n');
    if !text.is_empty() {
        let level = if *stream == STDERR {
            Level::Warn
        } else {
            Level::Info
        };
        store.data_mut().write(level, text.to_string())?;
    }
    Ok(Some(done()))
}

fn datetime(seconds: i64, nanoseconds: i64) -> Val {
    Val::Record(vec![
        ("seconds".to_string(), Val::U64(seconds as u64)),
        ("nanoseconds".to_string(), Val::U32(nanoseconds as u32)),
    ])
}

/// The clock, through the same gate as the interface `time`. A WASI clock cannot
/// return an error, so a refusal ends the call.
fn now(execution: &mut Execution) -> Result<Timestamp> {
    let granted = execution
        .authority
        .capabilities()
        .contains(Capability::TimeAccess);
    let now = if granted {
        execution.now()?
    } else {
        NotGranted(execution).now()?
    };
    now.map_err(|refused| {
        use crate::bindings::heliosdb::host::types::Error as Refused;
        let confirmed = match &refused {
            Refused::Denied(denials) => execution.confirm_denied(denials),
            _ => None,
        };
        execution.fault(confirmed.unwrap_or_else(|| Error::internal("a clock failed")))
    })
}

fn refuse(execution: &mut Execution, function: &str) -> wasmtime::Error {
    execution.recorder.denied("", function);
    execution.fault(
        Error::new(
            SqlState::DENIED,
            format!(
                "function \"{}\" may not call the system: \"{function}\" is refused",
                execution.function.name
            ),
        )
        .with_detail("no capability of this version stands behind it"),
    )
}
