//! The functions behind the globals `heliosdb`, `console` and `Date`.
//!
//! They only carry requests to the host; `prelude.js` gives them their place.

use crate::{
    bindings::{database_read, database_write, log, time, types},
    engine::{self, Engine},
    value::{self, Objects},
};
use rquickjs::{
    Array, Atom, Ctx, Exception, Function, Object, Result, Value, atom::PredefinedAtom,
    function::Opt, object::Property,
};

/// The object that the prelude is a function of.
pub(crate) fn natives<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let natives = Object::new(ctx.clone())?;
    natives.set(
        "query",
        Function::new(ctx.clone(), query)?.with_name("query")?,
    )?;
    natives.set(
        "execute",
        Function::new(ctx.clone(), execute)?.with_name("execute")?,
    )?;
    natives.set("now", Function::new(ctx.clone(), now)?.with_name("now")?)?;
    natives.set(
        "write",
        Function::new(ctx.clone(), write)?.with_name("write")?,
    )?;
    Ok(natives)
}

fn query<'js>(ctx: Ctx<'js>, sql: Opt<Value<'js>>, params: Opt<Value<'js>>) -> Result<Object<'js>> {
    let engine = engine::current();
    let (sql, params) = request(&ctx, engine, sql, params)?;
    match database_read::query(&sql, &params) {
        Ok(rows) => result(&ctx, engine, &rows),
        Err(error) => Err(engine.throw(&ctx, &error)),
    }
}

fn execute<'js>(
    ctx: Ctx<'js>,
    sql: Opt<Value<'js>>,
    params: Opt<Value<'js>>,
) -> Result<Object<'js>> {
    let engine = engine::current();
    let (sql, params) = request(&ctx, engine, sql, params)?;
    match database_write::execute(&sql, &params) {
        Ok(count) => {
            let result = Object::new(ctx)?;
            define(&result, "rowCount", count as f64)?;
            Ok(result)
        }
        Err(error) => Err(engine.throw(&ctx, &error)),
    }
}

/// The time of day in milliseconds.
fn now(ctx: Ctx<'_>) -> Result<f64> {
    match time::now() {
        Ok(now) => Ok(now.microseconds.div_euclid(1000) as f64),
        Err(error) => Err(engine::current().throw(&ctx, &error)),
    }
}

fn write(level: String, message: String) {
    let level = match level.as_str() {
        "debug" => log::Level::Debug,
        "warn" => log::Level::Warn,
        "error" => log::Level::Error,
        _ => log::Level::Info,
    };
    log::write(level, &message);
}

fn request<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    sql: Opt<Value<'js>>,
    params: Opt<Value<'js>>,
) -> Result<(String, Vec<types::Value>)> {
    let sql = match sql.0 {
        Some(sql) if sql.is_string() => value::text(ctx, engine, sql)?,
        _ => return Err(Exception::throw_type(ctx, "the SQL text must be a string")),
    };
    let params = match params.0 {
        None => Vec::new(),
        Some(params) if params.is_undefined() => Vec::new(),
        Some(params) => match params.into_array() {
            Some(array) => parameters(ctx, engine, array.as_object())?,
            None => return Err(Exception::throw_type(ctx, "parameters must be an array")),
        },
    };
    Ok((sql, params))
}

fn parameters<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    array: &Object<'js>,
) -> Result<Vec<types::Value>> {
    // A script may claim four thousand million of them, so nothing is reserved.
    let length: f64 = array.get(PredefinedAtom::Length)?;
    let mut values = Vec::new();
    for index in 0..length as u32 {
        let parameter: Value = array.get(index)?;
        values.push(value::from_javascript(
            ctx,
            engine,
            parameter,
            Objects::Json,
        )?);
    }
    Ok(values)
}

fn result<'js>(ctx: &Ctx<'js>, engine: &Engine, rows: &database_read::Rows) -> Result<Object<'js>> {
    let names = rows
        .columns
        .iter()
        .map(|name| Atom::from_str(ctx.clone(), name))
        .collect::<Result<Vec<_>>>()?;
    let list = Array::new(ctx.clone())?;
    for (index, row) in rows.rows.iter().enumerate() {
        define(
            list.as_object(),
            index as u32,
            row_object(ctx, engine, &names, row)?,
        )?;
    }
    let columns = Array::new(ctx.clone())?;
    for (index, name) in names.iter().enumerate() {
        define(columns.as_object(), index as u32, name.to_js_string()?)?;
    }
    let result = Object::new(ctx.clone())?;
    define(&result, "rows", list)?;
    define(&result, "columns", columns)?;
    define(&result, "rowCount", rows.rows.len() as f64)?;
    Ok(result)
}

fn row_object<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    names: &[Atom<'js>],
    row: &[types::Value],
) -> Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    for (name, value) in names.iter().zip(row) {
        define(
            &object,
            name.clone(),
            value::to_javascript(ctx, engine, value)?,
        )?;
    }
    Ok(object)
}

/// Gives an object an ordinary property of its own. Plain assignment would run
/// setters that the object inherits, and take a column named `__proto__` for more
/// than a name.
fn define<'js>(
    object: &Object<'js>,
    name: impl rquickjs::IntoAtom<'js>,
    value: impl rquickjs::IntoJs<'js>,
) -> Result<()> {
    object.prop(
        name,
        Property::from(value).writable().enumerable().configurable(),
    )
}
