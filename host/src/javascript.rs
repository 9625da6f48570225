//! JavaScript: the shared engine component, compilation of a source to bytecode, and
//! the words for what a guest threw.

use crate::bindings::JavascriptEngine;
use crate::bindings::exports::heliosdb::host::javascript::Exception;
use crate::drive::{Stopped, drive};
use crate::engine::{ContentHash, Engine, FUEL_BETWEEN_CHECKS, Origin};
use crate::error::{Error, Result, SqlState};
use crate::execution::meter::{MemoryMeter, Meter, Stop};
use crate::function::Function;
use crate::guard::{Guard, Guards};
use crate::limits::{self, Limits};
use crate::violations::Switch;
use std::sync::{Arc, OnceLock};
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre, Linker};

/// The engine, built from `sdk/js-engine` by `cargo xtask js-engine`.
const ENGINE: &[u8] = include_bytes!("../../sdk/js-engine/engine.wasm");

/// Lines of source that an error shows before the one it is about.
const FRAME_LINES: usize = 1;

/// Characters of a source line that an error shows.
const FRAME_CHARS_MAX: usize = 120;

/// Characters of a guest's message that an error shows.
const MESSAGE_CHARS_MAX: usize = 8_192;

/// Frames of a guest's stack that an error shows.
const STACK_LINES_MAX: usize = 16;

/// The engine's component and its compiler.
pub(crate) struct JavaScript {
    hash: ContentHash,
    compiler: OnceLock<Result<InstancePre<Compilation>>>,
}

/// What compiling may use; it has no imports.
struct Compilation {
    memory: MemoryMeter,
}

impl JavaScript {
    pub(crate) fn new() -> JavaScript {
        JavaScript {
            hash: *blake3::hash(ENGINE).as_bytes(),
            compiler: OnceLock::new(),
        }
    }

    /// Names the engine: bytecode fits no other.
    pub(crate) fn hash(&self) -> ContentHash {
        self.hash
    }

    pub(crate) fn component(&self, engine: &Engine) -> Result<Component> {
        engine.component(&self.hash, "the JavaScript engine", Origin::Own, || {
            Ok(Arc::from(ENGINE))
        })
    }

    /// Compiles a source. `names` are the entry point's names, best first.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        function: &str,
        names: &[String],
        source: &str,
    ) -> Result<Arc<[u8]>> {
        let limits = Limits::COMPILATION;
        let compiler = self.compiler(engine)?;
        let data = Compilation {
            memory: MemoryMeter::new(limits.memory_bytes, engine.guards),
        };
        let mut store = Store::new(engine.wasmtime(), data);
        store.limiter(|data| &mut data.memory);
        store
            .set_fuel(limits.instructions)
            .and_then(|()| store.fuel_async_yield_interval(Some(FUEL_BETWEEN_CHECKS)))
            .map_err(Error::internal)?;
        let meter = Meter::start(limits, Switch::new(true), engine.guards);
        let file = file_name(function);
        let compiled = drive(
            async {
                let instance = compiler.instantiate_async(&mut store).await?;
                let engine = JavascriptEngine::new(&mut store, &instance)?;
                engine
                    .heliosdb_host_javascript()
                    .call_compile(&mut store, &file, source, names)
                    .await
            },
            &meter,
        );
        match compiled {
            Ok(Ok(Ok(bytecode))) => Ok(bytecode.into()),
            Ok(Ok(Err(exception))) => Err(syntax_error(function, source, &exception)),
            Ok(Err(trap)) => Err(compilation_ended(function).with_detail(
                match trap.downcast_ref::<limits::Exceeded>() {
                    Some(exceeded) => exceeded.to_string(),
                    None => trap.root_cause().to_string(),
                },
            )),
            Err(Stopped::Ended(Stop::Limit(exceeded))) => {
                Err(compilation_ended(function).with_detail(exceeded.to_string()))
            }
            Err(Stopped::Ended(Stop::Disabled)) => Err(compilation_ended(function)),
            Err(Stopped::Panic(cause)) => Err(Error::internal(cause)),
        }
    }

    fn compiler(&self, engine: &Engine) -> Result<InstancePre<Compilation>> {
        let make = || {
            let component = self.component(engine)?;
            let mut linker = Linker::new(engine.wasmtime());
            linker
                .define_unknown_imports_as_traps(&component)
                .map_err(Error::internal)?;
            linker.instantiate_pre(&component).map_err(Error::internal)
        };
        self.compiler.get_or_init(make).clone()
    }
}

/// The file that stacks show.
fn file_name(function: &str) -> String {
    format!("{function}.js")
}

fn compilation_ended(function: &str) -> Error {
    Error::new(
        SqlState::INVALID_VALUE,
        format!("the source of function \"{function}\" cannot be compiled within the limits"),
    )
}

fn syntax_error(function: &str, source: &str, exception: &Exception) -> Error {
    let error = Error::new(
        SqlState::SYNTAX,
        format!(
            "function \"{function}\" does not compile: {}",
            headline(exception, Guards::default())
        ),
    );
    match context(function, source, &exception.stack) {
        Some(context) => error.with_context(context),
        None => error,
    }
}

/// The error for an exception that nothing in the guest caught.
pub(crate) fn uncaught(
    function: &Function,
    source: Option<&str>,
    exception: &Exception,
    guards: Guards,
) -> Error {
    let (noun, name) = (function.kind.noun(), &function.name);
    let error = Error::new(
        SqlState::GUEST_EXCEPTION,
        format!("{noun} \"{name}\" failed: {}", headline(exception, guards)),
    );
    match source.and_then(|source| context(name, source, &exception.stack)) {
        Some(context) => error.with_context(context),
        None => error,
    }
}

/// Whether the engine ended a recursion before its stack was full.
pub(crate) fn is_stack_overflow(exception: &Exception) -> bool {
    matches!(exception.name.as_str(), "RangeError" | "InternalError")
        && exception.message.contains("call stack size exceeded")
}

/// `TypeError: x is not a function`
fn headline(exception: &Exception, guards: Guards) -> String {
    let text = match (exception.name.as_str(), exception.message.as_str()) {
        ("", message) => message.to_string(),
        (name, "") => name.to_string(),
        (name, message) => format!("{name}: {message}"),
    };
    shorten(&text, message_chars_max(guards))
}

pub(crate) fn message_chars_max(guards: Guards) -> usize {
    guards.bound(Guard::ErrorText, MESSAGE_CHARS_MAX, usize::MAX)
}

/// The stack, and the line that its first frame points to.
fn context(function: &str, source: &str, stack: &str) -> Option<String> {
    let file = file_name(function);
    let frames: Vec<&str> = stack
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("at "))
        .take(STACK_LINES_MAX)
        .collect();
    let place = frames.iter().find_map(|frame| place(frame, &file));
    let mut text: String = frames
        .iter()
        .map(|frame| shorten(frame, FRAME_CHARS_MAX))
        .collect::<Vec<_>>()
        .join("\n");
    if let Some((line, column)) = place
        && let Some(frame) = code_frame(source, line, column)
    {
        text.push('\n');
        text.push_str(&frame);
    }
    (!text.is_empty()).then_some(text)
}

/// Line and column, counted from 1, of a frame in `file`: `at f (f.js:9:11)`.
fn place(frame: &str, file: &str) -> Option<(usize, usize)> {
    let (_, rest) = frame.rsplit_once(&format!("{file}:"))?;
    let mut numbers = rest.trim_end_matches(')').split(':');
    let line = numbers.next()?.parse().ok()?;
    let column = numbers
        .next()
        .and_then(|column| column.parse().ok())
        .unwrap_or(1);
    Some((line, column))
}

/// The line, what stands before it, and a mark under the column.
fn code_frame(source: &str, line: usize, column: usize) -> Option<String> {
    let index = line.checked_sub(1)?;
    let lines: Vec<&str> = source.lines().collect();
    let wanted = lines.get(index)?;
    let width = line.to_string().len();
    let mut text = String::new();
    let first = index.saturating_sub(FRAME_LINES);
    for (number, code) in lines.iter().enumerate().take(index + 1).skip(first) {
        let mark = if number == index { '>' } else { ' ' };
        let code = shorten(code, FRAME_CHARS_MAX);
        text.push_str(format!("{mark} {:>width$} | {code}", number + 1).trim_end());
        text.push('\n');
    }
    let before: String = wanted
        .chars()
        .take(column.saturating_sub(1).min(FRAME_CHARS_MAX))
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    text.push_str(&format!("  {:>width$} | {before}^", ""));
    Some(text)
}

pub(crate) fn shorten(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_shows_the_line_and_the_column() {
        let source = "function f(x) {\n  if (x) {\n    throw new Error('no');\n  }\n}";
        let stack = "    at f (f.js:3:11)\n    at call (native)\n";
        assert_eq!(
            context("f", source, stack).unwrap(),
            "at f (f.js:3:11)\nat call (native)\n  2 |   if (x) {\n> 3 |     throw new Error('no');\n    |           ^"
        );
    }

    #[test]
    fn a_stack_that_a_guest_made_up_does_no_harm() {
        for stack in [
            "at f (f.js:0:0)",
            "at f (f.js:99999999999999999999:1)",
            "at f.js:",
            "at",
        ] {
            context("f", "x", stack);
        }
    }
}
