//! The JavaScript engine: QuickJS-ng as one guest component that all JavaScript
//! functions share.
//!
//! It compiles a source to bytecode, loads bytecode, and calls it. It is initialized
//! when it is built, and the initialized memory is the component (`build/`), so a
//! fresh instance starts warm.
//!
//! Not a boundary: a script may take over everything in here. What it may reach is
//! decided by the host, on every request.

mod bindings;
mod compile;
mod database;
mod engine;
mod exception;
mod globals;
mod rows;
mod run;
mod table;
mod value;

use bindings::{Batch, Column, Exception, Guest, export, log, time, types};
use std::cell::Cell;

struct Component;

impl Guest for Component {
    fn compile(file: String, source: String, entries: Vec<String>) -> Result<Vec<u8>, Exception> {
        engine::with(|ctx, engine| {
            compile::compile(ctx, &file, &source, &entries)
                .map_err(|failure| failure.into_exception(ctx, engine))
        })
    }

    fn load(bytecode: Vec<u8>) -> Result<(), Exception> {
        engine::with(|ctx, engine| {
            run::load(ctx, engine, bytecode).map_err(|error| exception::caught(ctx, engine, &error))
        })
    }

    fn call(arguments: Vec<types::Value>, as_json: bool) -> Result<types::Value, Exception> {
        engine::with(|ctx, engine| {
            run::call(ctx, engine, &arguments, as_json)
                .map_err(|error| exception::caught(ctx, engine, &error))
        })
    }

    fn open_rows(arguments: Vec<types::Value>, columns: Vec<Column>) -> Result<u32, Exception> {
        engine::with(|ctx, engine| {
            table::open(ctx, engine, &arguments, columns)
                .map_err(|error| exception::caught(ctx, engine, &error))
        })
    }

    fn fetch_rows(table: u32, most: u32) -> Result<Batch, Exception> {
        engine::with(|ctx, engine| {
            table::fetch(ctx, engine, table, most)
                .map_err(|error| exception::caught(ctx, engine, &error))
        })
    }

    fn close_rows(table: u32) -> Result<(), Exception> {
        engine::with(|ctx, engine| {
            table::close(ctx, engine, table).map_err(|error| exception::caught(ctx, engine, &error))
        })
    }
}

#[allow(unsafe_code, reason = "the generated exports are raw functions")]
mod exports {
    use super::{Component, export};
    export!(Component with_types_in super::bindings);
}

thread_local! {
    /// Whether the snapshot has been taken, so that imports can be called.
    static INITIALIZED: Cell<bool> = const { Cell::new(false) };
}

/// Runs once, when the component is built: everything that an instance needs
/// before its first call.
///
/// No import may be called from here.
#[allow(unsafe_code, reason = "the snapshot tool calls it by this name")]
#[unsafe(export_name = "wizer-initialize")]
pub extern "C" fn initialize() {
    std::panic::set_hook(Box::new(|panic| log::panicked(&panic.to_string())));
    engine::with(run::warm_up);
    engine::settle_memory();
    INITIALIZED.set(true);
}

/// The only thing that the C library asks of its surroundings: the time of day in
/// microseconds.
///
/// No script can bring it about, since `Date` asks the host by itself (`prelude.js`).
/// Should one find a way, it still gets no time without the capability. When the
/// component is built the answer is a constant, so that builds agree.
#[allow(unsafe_code, reason = "the C library calls it by this name")]
#[unsafe(no_mangle)]
pub extern "C" fn __rquickjs_host_now_us() -> f64 {
    if !INITIALIZED.get() {
        return 0.0;
    }
    match time::now() {
        Ok(now) => now.microseconds as f64,
        Err(_) => panic!("the clock was read without the capability TIME_ACCESS"),
    }
}
