//! Rows of the database as JavaScript sees them, and what it gives for parameters.

use crate::{
    bindings::types,
    engine::Engine,
    value::{self, Objects},
};
use rquickjs::{
    Array, Atom, Ctx, Exception, Object, Result, Value, atom::PredefinedAtom, object::Property,
};

/// The names of columns, ready to be names of properties.
pub(crate) type Names<'js> = Vec<Atom<'js>>;

/// The values of an array, for the parameters of a statement.
pub(crate) fn parameters<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    params: Option<Value<'js>>,
) -> Result<Vec<types::Value>> {
    let Some(params) = params.filter(|params| !params.is_undefined()) else {
        return Ok(Vec::new());
    };
    let Some(array) = params.into_array() else {
        return Err(Exception::throw_type(ctx, "parameters must be an array"));
    };
    elements(array.as_object(), |parameter| {
        value::from_javascript(ctx, engine, parameter, Objects::Json)
    })
}

/// The arrays of an array.
pub(crate) fn parameter_lists<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    lists: Option<Value<'js>>,
) -> Result<Vec<Vec<types::Value>>> {
    match lists.and_then(Value::into_array) {
        Some(array) => elements(array.as_object(), |list| {
            parameters(ctx, engine, Some(list))
        }),
        None => Err(Exception::throw_type(
            ctx,
            "a batch takes an array of arrays of parameters",
        )),
    }
}

fn elements<'js, T>(
    array: &Object<'js>,
    mut convert: impl FnMut(Value<'js>) -> Result<T>,
) -> Result<Vec<T>> {
    // A script may claim four thousand million of them, so nothing is reserved.
    let length: f64 = array.get(PredefinedAtom::Length)?;
    let mut values = Vec::new();
    for index in 0..length as u32 {
        values.push(convert(array.get(index)?)?);
    }
    Ok(values)
}

/// What `query` and `execute` return.
pub(crate) fn result<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    rows: &types::Rows,
    count: u64,
) -> Result<Object<'js>> {
    let names = names(ctx, rows.columns.iter())?;
    let result = Object::new(ctx.clone())?;
    define(
        &result,
        "rows",
        row_objects(ctx, engine, &names, &rows.rows)?,
    )?;
    define(&result, "columns", columns(ctx, &names)?)?;
    define(&result, "rowCount", count as f64)?;
    Ok(result)
}

/// Adds what only a statement that writes has.
pub(crate) fn effect<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    effect: &types::Effect,
) -> Result<Object<'js>> {
    let result = result(ctx, engine, &effect.returned, effect.affected_rows)?;
    let id = effect
        .last_insert_id
        .map_or(types::Value::Null, types::Value::Integer);
    let id = value::to_javascript(ctx, engine, &id)?;
    define(&result, "lastInsertId", id)?;
    Ok(result)
}

/// Names of properties.
pub(crate) fn names<'js, 'n>(
    ctx: &Ctx<'js>,
    columns: impl Iterator<Item = &'n String>,
) -> Result<Names<'js>> {
    columns
        .map(|name| Atom::from_str(ctx.clone(), name))
        .collect()
}

fn columns<'js>(ctx: &Ctx<'js>, names: &Names<'js>) -> Result<Array<'js>> {
    let columns = Array::new(ctx.clone())?;
    for (index, name) in names.iter().enumerate() {
        define(columns.as_object(), index as u32, name.to_js_string()?)?;
    }
    Ok(columns)
}

/// An array of one object a row.
pub(crate) fn row_objects<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    names: &Names<'js>,
    rows: &[Vec<types::Value>],
) -> Result<Array<'js>> {
    let list = Array::new(ctx.clone())?;
    for (index, row) in rows.iter().enumerate() {
        let object = row_object(ctx, engine, names, row)?;
        define(list.as_object(), index as u32, object)?;
    }
    Ok(list)
}

/// One row, or null.
pub(crate) fn row_object<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    names: &Names<'js>,
    row: &[types::Value],
) -> Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    for (name, value) in names.iter().zip(row) {
        let value = value::to_javascript(ctx, engine, value)?;
        define(&object, name.clone(), value)?;
    }
    Ok(object)
}

/// Gives an object an ordinary property of its own. Plain assignment would run
/// setters that the object inherits, and take a column named `__proto__` for more
/// than a name.
pub(crate) fn define<'js>(
    object: &Object<'js>,
    name: impl rquickjs::IntoAtom<'js>,
    value: impl rquickjs::IntoJs<'js>,
) -> Result<()> {
    object.prop(
        name,
        Property::from(value).writable().enumerable().configurable(),
    )
}
