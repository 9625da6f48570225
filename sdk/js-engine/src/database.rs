//! The functions behind `heliosdb`. They only carry requests to the host; `prelude.js`
//! makes classes and iterators of them.
//!
//! What the host keeps open for a script is held by a function: when the script has
//! forgotten the function, it is freed, and what it holds is closed.

use crate::{
    bindings::{database_ddl, database_read, database_write, types},
    engine::{self, Engine},
    rows, value,
};
use rquickjs::{
    Ctx, Exception, Function, IntoJs, Object, Result, Value,
    function::{IntoJsFunc, Opt},
};
use std::cell::RefCell;

/// What the host answers.
type Answer<T> = std::result::Result<T, types::Error>;

/// Adds them to the object that the prelude is a function of.
pub(crate) fn add<'js>(ctx: &Ctx<'js>, natives: &Object<'js>) -> Result<()> {
    set(natives, "query", query)?;
    set(natives, "queryOne", query_one)?;
    set(natives, "execute", execute)?;
    set(natives, "batch", batch)?;
    set(natives, "stream", stream)?;
    set(natives, "prepareRead", prepare_read)?;
    set(natives, "prepareWrite", prepare_write)?;
    natives.set(
        "begin",
        Function::new(ctx.clone(), begin)?.with_name("transaction")?,
    )
}

fn set<'js, P>(
    natives: &Object<'js>,
    name: &str,
    function: impl IntoJsFunc<'js, P> + 'js,
) -> Result<()> {
    let function = Function::new(natives.ctx().clone(), function)?;
    natives.set(name, function.with_name(name)?)
}

fn query<'js>(ctx: Ctx<'js>, sql: Opt<Value<'js>>, params: Opt<Value<'js>>) -> Result<Object<'js>> {
    let engine = engine::current();
    let sql = text(&ctx, engine, sql)?;
    let params = rows::parameters(&ctx, engine, params.0)?;
    match database_read::query(&sql, &params) {
        Ok(found) => rows::result(&ctx, engine, &found, found.rows.len() as u64),
        Err(error) => Err(engine.throw(&ctx, &error)),
    }
}

fn query_one<'js>(
    ctx: Ctx<'js>,
    sql: Opt<Value<'js>>,
    params: Opt<Value<'js>>,
) -> Result<Value<'js>> {
    let engine = engine::current();
    let sql = text(&ctx, engine, sql)?;
    let params = rows::parameters(&ctx, engine, params.0)?;
    match database_read::query_one(&sql, &params) {
        Ok(None) => Ok(Value::new_null(ctx)),
        Ok(Some(row)) => {
            let names = rows::names(&ctx, row.columns.iter())?;
            rows::row_object(&ctx, engine, &names, &row.values).map(Object::into_value)
        }
        Err(error) => Err(engine.throw(&ctx, &error)),
    }
}

fn execute<'js>(
    ctx: Ctx<'js>,
    sql: Opt<Value<'js>>,
    params: Opt<Value<'js>>,
) -> Result<Object<'js>> {
    let engine = engine::current();
    let sql = text(&ctx, engine, sql)?;
    let params = rows::parameters(&ctx, engine, params.0)?;
    let done = match params.is_empty() && changes_schema(&sql) {
        true => database_ddl::execute(&sql).map(|()| types::Effect {
            affected_rows: 0,
            last_insert_id: None,
            returned: types::Rows {
                columns: Vec::new(),
                rows: Vec::new(),
            },
        }),
        false => database_write::execute(&sql, &params),
    };
    match done {
        Ok(effect) => rows::effect(&ctx, engine, &effect),
        Err(error) => Err(engine.throw(&ctx, &error)),
    }
}

/// Whether a statement is for the interface that changes the schema: by its first word,
/// since nothing else begins so.
fn changes_schema(sql: &str) -> bool {
    let mut rest = sql.trim_start();
    loop {
        let after = match rest.as_bytes() {
            [b'-', b'-', ..] => rest.split_once('\n').map(|(_, after)| after),
            [b'/', b'*', ..] => rest[2..].split_once("*/").map(|(_, after)| after),
            _ => break,
        };
        rest = after.unwrap_or_default().trim_start();
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic());
    let word = &rest[..end.unwrap_or(rest.len())];
    ["create", "alter", "drop"]
        .iter()
        .any(|first| word.eq_ignore_ascii_case(first))
}

fn batch<'js>(ctx: Ctx<'js>, sql: Opt<Value<'js>>, lists: Opt<Value<'js>>) -> Result<Object<'js>> {
    let engine = engine::current();
    let sql = text(&ctx, engine, sql)?;
    let lists = rows::parameter_lists(&ctx, engine, lists.0)?;
    let written = database_write::execute_batch(&sql, &lists);
    count(&ctx, engine, written)
}

fn stream<'js>(
    ctx: Ctx<'js>,
    sql: Opt<Value<'js>>,
    params: Opt<Value<'js>>,
) -> Result<Function<'js>> {
    let engine = engine::current();
    let sql = text(&ctx, engine, sql)?;
    let params = rows::parameters(&ctx, engine, params.0)?;
    let cursor = database_read::stream(&sql, &params);
    cursor_function(&ctx, engine, cursor)
}

/// A function that takes how many rows it is to give, and gives an array of them. For 0
/// it closes the cursor.
fn cursor_function<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    cursor: Answer<database_read::Cursor>,
) -> Result<Function<'js>> {
    let cursor = cursor.map_err(|error| engine.throw(ctx, &error))?;
    let columns = cursor
        .columns()
        .map_err(|error| engine.throw(ctx, &error))?;
    let names: Vec<String> = columns.into_iter().map(|column| column.name).collect();
    let open = RefCell::new(Some(cursor));
    Function::new(
        ctx.clone(),
        move |ctx: Ctx<'js>, rows_max: u32| -> Result<Value<'js>> {
            let engine = engine::current();
            if rows_max == 0 {
                drop(open.take());
            }
            let next = match &*open.borrow() {
                Some(cursor) => cursor.next(rows_max),
                None => Ok(Vec::new()),
            };
            let found = next.map_err(|error| engine.throw(&ctx, &error))?;
            let names = rows::names(&ctx, names.iter())?;
            rows::row_objects(&ctx, engine, &names, &found).map(|list| list.into_value())
        },
    )
}

/// A function of what is to be done with a statement, and its parameters.
fn prepare_read<'js>(ctx: Ctx<'js>, sql: Opt<Value<'js>>) -> Result<Function<'js>> {
    let engine = engine::current();
    let sql = text(&ctx, engine, sql)?;
    let statement = database_read::prepare(&sql).map_err(|error| engine.throw(&ctx, &error))?;
    let columns = statement
        .columns()
        .map_err(|error| engine.throw(&ctx, &error))?;
    let columns: Vec<String> = columns.into_iter().map(|column| column.name).collect();
    Function::new(
        ctx,
        move |ctx: Ctx<'js>, what: u32, params: Opt<Value<'js>>| -> Result<Value<'js>> {
            let engine = engine::current();
            let params = rows::parameters(&ctx, engine, params.0)?;
            let thrown = |error| engine.throw(&ctx, &error);
            match what {
                QUERY => {
                    let found = types::Rows {
                        columns: columns.clone(),
                        rows: statement.query(&params).map_err(thrown)?,
                    };
                    let count = found.rows.len() as u64;
                    rows::result(&ctx, engine, &found, count)?.into_js(&ctx)
                }
                QUERY_ONE => match statement.query_one(&params).map_err(thrown)? {
                    None => Ok(Value::new_null(ctx)),
                    Some(row) => {
                        let names = rows::names(&ctx, columns.iter())?;
                        rows::row_object(&ctx, engine, &names, &row)?.into_js(&ctx)
                    }
                },
                _ => cursor_function(&ctx, engine, statement.stream(&params))?.into_js(&ctx),
            }
        },
    )
}

/// The same of a statement that writes.
fn prepare_write<'js>(ctx: Ctx<'js>, sql: Opt<Value<'js>>) -> Result<Function<'js>> {
    let engine = engine::current();
    let sql = text(&ctx, engine, sql)?;
    let statement = database_write::prepare(&sql).map_err(|error| engine.throw(&ctx, &error))?;
    Function::new(
        ctx,
        move |ctx: Ctx<'js>, what: u32, params: Opt<Value<'js>>| -> Result<Object<'js>> {
            let engine = engine::current();
            if what == BATCH {
                let lists = rows::parameter_lists(&ctx, engine, params.0)?;
                return count(&ctx, engine, statement.execute_batch(&lists));
            }
            let params = rows::parameters(&ctx, engine, params.0)?;
            match statement.execute(&params) {
                Ok(effect) => rows::effect(&ctx, engine, &effect),
                Err(error) => Err(engine.throw(&ctx, &error)),
            }
        },
    )
}

// What is to be done with a prepared statement, as `prelude.js` has it; anything else of
// a reading one is `stream`, of a writing one `execute`.
const QUERY: u32 = 0;
const QUERY_ONE: u32 = 1;
const BATCH: u32 = 3;

/// A function that ends a transaction: with true it commits.
fn begin(ctx: Ctx<'_>) -> Result<Function<'_>> {
    let engine = engine::current();
    let transaction = database_write::begin().map_err(|error| engine.throw(&ctx, &error))?;
    Function::new(ctx, move |ctx: Ctx<'_>, commits: bool| -> Result<()> {
        let ended = match commits {
            true => transaction.commit(),
            false => transaction.roll_back(),
        };
        ended.map_err(|error| engine::current().throw(&ctx, &error))
    })
}

fn count<'js>(ctx: &Ctx<'js>, engine: &Engine, written: Answer<u64>) -> Result<Object<'js>> {
    let count = written.map_err(|error| engine.throw(ctx, &error))?;
    let result = Object::new(ctx.clone())?;
    rows::define(&result, "rowCount", count as f64)?;
    Ok(result)
}

fn text<'js>(ctx: &Ctx<'js>, engine: &Engine, sql: Opt<Value<'js>>) -> Result<String> {
    match sql.0 {
        Some(sql) if sql.is_string() => value::text(ctx, engine, sql),
        _ => Err(Exception::throw_type(ctx, "the SQL text must be a string")),
    }
}
