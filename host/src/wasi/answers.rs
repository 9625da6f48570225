//! What WASI functions answer: those that are no system calls, and those whose system
//! call has passed.

use super::filter::Pass;
use super::{Arguments, Handle, wait};
use crate::bindings::heliosdb::host::log::{Host as _, Level};
use crate::error::{Error, SqlState};
use crate::execution::Execution;
use wasmtime::component::{Resource, Val};
use wasmtime::{Result, StoreContextMut};

const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;
pub(super) const READY: u32 = 3;

/// What an output stream accepts at once.
const WRITE_BYTES_MAX: u64 = 4_096;

/// A function's answer. Handles among the arguments are already given back.
pub(super) type Answer =
    fn(&mut StoreContextMut<'_, Execution>, &Arguments<'_>) -> Result<Option<Val>>;

/// The functions that are no system calls: the standard streams and waiting for them,
/// and the fixed seed of hash tables.
pub(super) fn harmless(function: &str) -> Option<Answer> {
    Some(match function {
        "wasi:random/insecure-seed.insecure-seed" => {
            |_, _| Ok(Some(Val::Tuple(vec![Val::U64(0), Val::U64(0)])))
        }
        "wasi:cli/terminal-stdin.get-terminal-stdin"
        | "wasi:cli/terminal-stdout.get-terminal-stdout"
        | "wasi:cli/terminal-stderr.get-terminal-stderr" => |_, _| Ok(Some(Val::Option(None))),
        "wasi:cli/stdin.get-stdin" => |store, _| handle(store, STDIN),
        "wasi:cli/stdout.get-stdout" => |store, _| handle(store, STDOUT),
        "wasi:cli/stderr.get-stderr" => |store, _| handle(store, STDERR),
        "wasi:io/streams.[method]output-stream.check-write" => |_, _| {
            Ok(Some(Val::Result(Ok(Some(Box::new(Val::U64(
                WRITE_BYTES_MAX,
            )))))))
        },
        // Of zeros nothing would be left in a message.
        "wasi:io/streams.[method]output-stream.flush"
        | "wasi:io/streams.[method]output-stream.blocking-flush"
        | "wasi:io/streams.[method]output-stream.write-zeroes"
        | "wasi:io/streams.[method]output-stream.blocking-write-zeroes-and-flush" => {
            |_, _| Ok(Some(done()))
        }
        "wasi:io/streams.[method]output-stream.write"
        | "wasi:io/streams.[method]output-stream.blocking-write-and-flush" => write,
        // An output stream is always ready.
        "wasi:io/streams.[method]output-stream.subscribe" => |store, _| handle(store, READY),
        "wasi:io/poll.[method]pollable.ready" => wait::is_ready,
        "wasi:io/poll.[method]pollable.block" => wait::block,
        "wasi:io/poll.poll" => wait::poll,
        _ => return None,
    })
}

pub(super) fn handle(
    store: &mut StoreContextMut<'_, Execution>,
    number: u32,
) -> Result<Option<Val>> {
    let handle = Resource::<Handle>::new_own(number).try_into_resource_any(store)?;
    Ok(Some(Val::Resource(handle)))
}

pub(super) fn empty_list(
    _: &mut StoreContextMut<'_, Execution>,
    _: &Arguments<'_>,
    _: &Pass,
) -> Result<Option<Val>> {
    Ok(Some(Val::List(Vec::new())))
}

pub(super) fn none(
    _: &mut StoreContextMut<'_, Execution>,
    _: &Arguments<'_>,
    _: &Pass,
) -> Result<Option<Val>> {
    Ok(Some(Val::Option(None)))
}

pub(super) fn wall_clock(
    _: &mut StoreContextMut<'_, Execution>,
    _: &Arguments<'_>,
    pass: &Pass,
) -> Result<Option<Val>> {
    let now_us = pass.now_us();
    let nanoseconds = (now_us % 1_000_000) as u32 * 1_000;
    Ok(Some(datetime(now_us / 1_000_000, nanoseconds)))
}

pub(super) fn monotonic_clock(
    _: &mut StoreContextMut<'_, Execution>,
    _: &Arguments<'_>,
    pass: &Pass,
) -> Result<Option<Val>> {
    Ok(Some(Val::U64(pass.now_us().saturating_mul(1_000))))
}

pub(super) fn wall_resolution(
    _: &mut StoreContextMut<'_, Execution>,
    _: &Arguments<'_>,
    _: &Pass,
) -> Result<Option<Val>> {
    Ok(Some(datetime(0, 1_000)))
}

pub(super) fn monotonic_resolution(
    _: &mut StoreContextMut<'_, Execution>,
    _: &Arguments<'_>,
    _: &Pass,
) -> Result<Option<Val>> {
    Ok(Some(Val::U64(1_000)))
}

/// Ends the call, loudly: a procedure is not a program that comes to its end.
pub(super) fn exit(
    store: &mut StoreContextMut<'_, Execution>,
    arguments: &Arguments<'_>,
    _: &Pass,
) -> Result<Option<Val>> {
    let status = match arguments.values {
        [Val::U8(status)] => *status,
        [Val::Result(Ok(_))] => 0,
        _ => 1,
    };
    let execution = store.data();
    let name = &execution.function.name;
    let message = format!("function \"{name}\" exited with status {status}");
    Err(execution.fault(
        Error::new(SqlState::GUEST_EXCEPTION, message)
            .with_detail("a procedure returns its result, or an error"),
    ))
}

/// The answer of what nobody has the capability for.
pub(super) fn never(
    store: &mut StoreContextMut<'_, Execution>,
    _: &Arguments<'_>,
    _: &Pass,
) -> Result<Option<Val>> {
    let execution = store.data();
    Err(execution.fault(Error::internal(
        "a system call that is not built has passed",
    )))
}

fn done() -> Val {
    Val::Result(Ok(None))
}

fn datetime(seconds: u64, nanoseconds: u32) -> Val {
    Val::Record(vec![
        ("seconds".to_string(), Val::U64(seconds)),
        ("nanoseconds".to_string(), Val::U32(nanoseconds)),
    ])
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
        let level = match *stream {
            STDERR => Level::Warn,
            _ => Level::Info,
        };
        store.data_mut().write(level, text.to_string())?;
    }
    Ok(Some(done()))
}
