//! Tables: a procedure that returns rows, which are taken from it a batch at a time.

use crate::{
    bindings::{Batch, Column, types},
    engine::Engine,
    run,
    value::{self, Objects},
};
use rquickjs::{Array, Ctx, Exception, Object, Persistent, Result, Value};

/// A table that is open.
pub(crate) struct Table {
    source: Persistent<Object<'static>>,
    columns: Vec<Column>,
    name: &'static str,
}

/// Calls the loaded procedure, and gives the table that it returns a number.
pub(crate) fn open(
    ctx: &Ctx<'_>,
    engine: &Engine,
    arguments: &[types::Value],
    columns: Vec<Column>,
) -> Result<u32> {
    let opened = run::run(ctx, engine, arguments).and_then(|(returned, name)| {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let source: Object = engine.prelude.open_table.call(ctx, (returned, names))?;
        Ok(Table {
            source: Persistent::save(ctx, source),
            columns,
            name,
        })
    });
    let table = run::finish(ctx, engine, opened)?;
    let mut tables = engine.tables.borrow_mut();
    let place = tables.iter().position(Option::is_none);
    let place = place.unwrap_or_else(|| {
        tables.push(None);
        tables.len() - 1
    });
    tables[place] = Some(table);
    Ok(place as u32)
}

/// Takes the next rows, at most so many.
pub(crate) fn fetch(ctx: &Ctx<'_>, engine: &Engine, number: u32, most: u32) -> Result<Batch> {
    let Some(table) = take(engine, number) else {
        return Err(Exception::throw_type(ctx, "no such table is open"));
    };
    let fetched = table.fetch(ctx, engine, most);
    let batch = run::finish(ctx, engine, fetched)?;
    if !batch.done {
        engine.tables.borrow_mut()[number as usize] = Some(table);
    }
    Ok(batch)
}

/// Ends what yields the rows, and forgets the table.
pub(crate) fn close(ctx: &Ctx<'_>, engine: &Engine, number: u32) -> Result<()> {
    let Some(table) = take(engine, number) else {
        return Ok(());
    };
    let source = table.source.restore(ctx)?;
    let closed = engine.prelude.close_table.call(ctx, (source,));
    let closed = closed.and_then(|value: Value| run::settle_call(ctx, value, table.name));
    run::finish(ctx, engine, closed.map(drop))
}

/// Uses one once, for the snapshot.
pub(crate) fn warm_up(ctx: &Ctx<'_>, engine: &Engine) {
    let columns = || {
        ["rows", "json", "time", "bytes", "m"].map(|name| Column {
            name: name.to_owned(),
            as_json: true,
        })
    };
    let source: Object = ctx
        .eval("[{ rows: 1, json: 2, time: 3, bytes: 4, m: 5 }, [1, 2, 3, 4, 5]]")
        .and_then(|rows: Value| {
            let names: Vec<String> = columns().map(|column| column.name).into();
            engine.prelude.open_table.call(ctx, (rows, names))
        })
        .expect("the first table opens");
    let table = Table {
        source: Persistent::save(ctx, source),
        columns: columns().into(),
        name: "warm",
    };
    table.fetch(ctx, engine, 3).expect("the first rows come");
}

impl Table {
    fn fetch(&self, ctx: &Ctx<'_>, engine: &Engine, most: u32) -> Result<Batch> {
        let source = self.source.clone().restore(ctx)?;
        let fetched: Value = engine
            .prelude
            .fetch_table
            .call(ctx, (source.clone(), most))?;
        let values = Array::from_value(run::settle_call(ctx, fetched, self.name)?)?;
        let width = self.columns.len();
        let rows = values.len() / width.max(1);
        Ok(Batch {
            rows: (0..rows)
                .map(|row| self.row(ctx, engine, &values, row * width))
                .collect::<Result<_>>()?,
            done: source.get("done")?,
        })
    }

    fn row<'js>(
        &self,
        ctx: &Ctx<'js>,
        engine: &Engine,
        values: &Array<'js>,
        first: usize,
    ) -> Result<Vec<types::Value>> {
        let columns = self.columns.iter().enumerate();
        columns
            .map(|(index, column)| {
                let value = values.get(first + index)?;
                match column.as_json {
                    true => value::to_json(ctx, engine, value),
                    false => value::from_javascript(ctx, engine, value, Objects::RefusedInColumn),
                }
            })
            .collect()
    }
}

fn take(engine: &Engine, number: u32) -> Option<Table> {
    let mut tables = engine.tables.borrow_mut();
    tables.get_mut(number as usize)?.take()
}
