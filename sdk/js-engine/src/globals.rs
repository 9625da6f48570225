//! The functions behind the globals `heliosdb`, `console` and `Date`. Those of the
//! database are in `database.rs`.
//!
//! They only carry requests to the host; `prelude.js` gives them their place.

use crate::{
    bindings::{log, time},
    database, engine,
};
use rquickjs::{Ctx, Function, Object, Result};

/// The object that the prelude is a function of.
pub(crate) fn natives<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let natives = Object::new(ctx.clone())?;
    database::add(ctx, &natives)?;
    natives.set("now", Function::new(ctx.clone(), now)?.with_name("now")?)?;
    natives.set(
        "write",
        Function::new(ctx.clone(), write)?.with_name("write")?,
    )?;
    Ok(natives)
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
