//! Loading a procedure and calling it.

use crate::{
    bindings::types,
    compile,
    engine::Engine,
    table,
    value::{self, Objects},
};
use rquickjs::{
    Ctx, Error, Exception, Function, Module, Persistent, Promise, Result, Value, function::Args,
    promise::PromiseState,
};

/// A procedure whose module has been evaluated.
pub(crate) struct Loaded {
    name: &'static str,
    entry: Persistent<Function<'static>>,
}

/// Evaluates a compiled module and keeps its entry point.
pub(crate) fn load(ctx: &Ctx<'_>, engine: &Engine, compiled: Vec<u8>) -> Result<()> {
    // QuickJS executes the bytecode where it lies, so it has to lie there for good.
    let compiled: &'static [u8] = compiled.leak();
    let (name, bytecode) = compile::split(compiled)
        .ok_or_else(|| Exception::throw_type(ctx, "not a compiled module"))?;
    // SAFETY: the host hands over nothing but what `compile` of this very build
    // returned, and the bytes are never freed. Were it otherwise, the damage would
    // stay within this instance's memory.
    #[allow(unsafe_code)]
    let module = unsafe { Module::load(ctx.clone(), bytecode) }?;
    let (module, promise) = module.eval()?;
    let evaluated = settle(ctx, promise.into_value(), || {
        format!("the top level of the module of {name} never settles")
    });
    finish(ctx, engine, evaluated.map(drop))?;
    let entry = entry_point(ctx, &module, name)?;
    let entry = Persistent::save(ctx, entry);
    engine.loaded.replace(Some(Loaded { name, entry }));
    Ok(())
}

/// Calls the loaded procedure.
pub(crate) fn call(
    ctx: &Ctx<'_>,
    engine: &Engine,
    arguments: &[types::Value],
    as_json: bool,
) -> Result<types::Value> {
    let result = run(ctx, engine, arguments)
        .and_then(|(returned, name)| convert(ctx, engine, returned, as_json, name));
    finish(ctx, engine, result)
}

/// What the loaded procedure returns, or comes to if that is a promise; and its name.
pub(crate) fn run<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    arguments: &[types::Value],
) -> Result<(Value<'js>, &'static str)> {
    let (name, entry) = match &*engine.loaded.borrow() {
        Some(loaded) => (loaded.name, loaded.entry.clone().restore(ctx)?),
        None => return Err(Exception::throw_type(ctx, "no module is loaded")),
    };
    let returned = invoke(ctx, engine, &entry, arguments)?;
    Ok((settle_call(ctx, returned, name)?, name))
}

/// Calls and compiles something of each kind, so that the snapshot holds what that
/// leaves behind: interned names, shapes, grown tables.
pub(crate) fn warm_up(ctx: &Ctx<'_>, engine: &Engine) {
    const SOURCE: &str = "
        export default async function warm(number, text, bytes, date, json) {
            const rows = [{ id: 1, name: `${text}` }].map((row) => ({ ...row, n: number }));
            try { throw new TypeError('warm'); } catch (error) { error.stack; }
            return { rows, json, time: date.getTime(), bytes: bytes.length, m: text.match(/w(.)r/) };
        }";
    let arguments = [
        types::Value::Integer(1),
        types::Value::Text("warm".to_owned()),
        types::Value::Blob(vec![1]),
        types::Value::Timestamp(types::Timestamp { microseconds: 0 }),
        types::Value::Json(types::Json {
            text: "{\"id\":1}".to_owned(),
        }),
    ];
    let entries = ["warm".to_owned()];
    let Ok(compiled) = compile::compile(ctx, "warm.js", SOURCE, &entries) else {
        panic!("the first module compiles");
    };
    load(ctx, engine, compiled).expect("the first module loads");
    for _ in 0..2 {
        call(ctx, engine, &arguments, true).expect("the first call returns");
    }
    table::warm_up(ctx, engine);
    engine.loaded.replace(None);
}

fn entry_point<'js, T>(
    ctx: &Ctx<'js>,
    module: &Module<'js, T>,
    name: &str,
) -> Result<Function<'js>> {
    let namespace = module.namespace()?;
    for export in compile::ENTRY_EXPORTS {
        if namespace.contains_key(export)? {
            return namespace
                .get::<_, Value>(export)?
                .into_function()
                .ok_or_else(|| Exception::throw_type(ctx, &format!("{name} is not a function")));
        }
    }
    Err(Exception::throw_type(
        ctx,
        &format!("the module does not export {name}"),
    ))
}

fn invoke<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    entry: &Function<'js>,
    arguments: &[types::Value],
) -> Result<Value<'js>> {
    let mut passed = Args::new(ctx.clone(), arguments.len());
    for argument in arguments {
        passed.push_arg(value::to_javascript(ctx, engine, argument)?)?;
    }
    entry.call_arg(passed)
}

fn convert<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    returned: Value<'js>,
    as_json: bool,
    name: &str,
) -> Result<types::Value> {
    if !as_json {
        return value::from_javascript(ctx, engine, returned, Objects::Refused);
    }
    if !returned.is_object() || returned.is_function() {
        return value::to_json(ctx, engine, returned);
    }
    let rows: Value = engine.prelude.rows_of.call(ctx, (returned,))?;
    value::to_json(ctx, engine, settle_call(ctx, rows, name)?)
}

pub(crate) fn settle_call<'js>(
    ctx: &Ctx<'js>,
    returned: Value<'js>,
    name: &str,
) -> Result<Value<'js>> {
    settle(ctx, returned, || {
        format!("the promise that {name} returned never settles")
    })
}

/// The value of a promise, once the job queue has brought it about; any other value
/// is itself.
fn settle<'js>(
    ctx: &Ctx<'js>,
    value: Value<'js>,
    never: impl FnOnce() -> String,
) -> Result<Value<'js>> {
    let promise = match Promise::from_value(value.clone()) {
        Ok(promise) => promise,
        Err(_) => return Ok(value),
    };
    while promise.state() == PromiseState::Pending {
        if !ctx.execute_pending_job() {
            return Err(Exception::throw_message(ctx, &never()));
        }
    }
    promise.result().unwrap_or(Err(Error::WouldBlock))
}

/// Runs the jobs that are left, and fails what succeeded if a promise was rejected
/// that nobody waits for: its error would be lost otherwise.
pub(crate) fn finish<T>(ctx: &Ctx<'_>, engine: &Engine, result: Result<T>) -> Result<T> {
    if result.is_err() {
        // The jobs of a failed call have nothing left to contribute, and the
        // pending exception must reach the caller.
        engine.rejections.borrow_mut().clear();
        return result;
    }
    while ctx.execute_pending_job() {}
    let mut rejections = engine.rejections.borrow_mut();
    if rejections.is_empty() {
        return result;
    }
    let (_, reason) = rejections.swap_remove(0);
    rejections.clear();
    Err(ctx.throw(reason.restore(ctx)?))
}
