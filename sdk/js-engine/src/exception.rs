//! What a script threw, as the contract has it, and the host's errors as records
//! that survive the way through a script.

use crate::{
    bindings::{Exception, types},
    engine::{Engine, PRELUDE_FILE},
    value,
};
use rquickjs::{Coerced, Ctx, Error, FromJs, Object, Result, Type, Value};

/// How much of a message or a stack is kept.
const TEXT_BYTES: usize = 8 * 1024;

/// The exception behind a failed operation. Clears it.
pub(crate) fn caught(ctx: &Ctx<'_>, engine: &Engine, error: &Error) -> Exception {
    if !error.is_exception() {
        return plain("TypeError", error.to_string());
    }
    let thrown = ctx.catch();
    if !thrown.is_error() {
        return plain("", message_of_any(ctx, engine, thrown));
    }
    let Some(object) = thrown.into_object() else {
        return plain("Error", String::new());
    };
    let field = |name| string_field(ctx, engine, &object, name);
    let mut exception = plain(
        &field("name").unwrap_or("Error".into()),
        field("message").unwrap_or_default(),
    );
    exception.stack = cut(&visible_frames(&field("stack").unwrap_or_default()));
    exception.cause = cause(ctx, engine, object);
    exception
}

/// An exception that no script threw.
pub(crate) fn plain(name: &str, message: String) -> Exception {
    Exception {
        name: cut(name),
        message: cut(&message),
        stack: String::new(),
        cause: None,
    }
}

/// The host's error as the prelude keeps it: its kind, a message, and its fields.
pub(crate) fn record(error: &types::Error) -> Vec<String> {
    match error {
        types::Error::Denied(denials) => {
            let mut record = vec!["denied".to_owned(), denied_message(denials)];
            for denial in denials {
                record.extend([denial.capability.clone(), denial.target.clone()]);
            }
            record
        }
        types::Error::Limit(excess) => vec![
            "limit".to_owned(),
            format!(
                "{} is {}, and at most {} is allowed",
                excess.name, excess.requested, excess.allowed
            ),
            excess.name.clone(),
            excess.allowed.to_string(),
            excess.requested.to_string(),
        ],
        types::Error::Invalid(message) => vec!["invalid".to_owned(), message.clone()],
        types::Error::Failed(failure) => {
            vec![
                "failed".to_owned(),
                failure.message.clone(),
                failure.sqlstate.clone(),
            ]
        }
    }
}

fn denied_message(denials: &[types::Denial]) -> String {
    let list: Vec<String> = denials
        .iter()
        .map(|denial| match denial.target.as_str() {
            "" => denial.capability.clone(),
            target => format!("{} on \"{target}\"", denial.capability),
        })
        .collect();
    format!("permission denied: {}", list.join(", "))
}

/// The host's error that a record was made of.
fn error_of(record: &[String]) -> Option<types::Error> {
    let field = |index: usize| record.get(index).cloned();
    Some(match record.first()?.as_str() {
        "denied" => types::Error::Denied(
            record
                .get(2..)?
                .chunks_exact(2)
                .map(|pair| types::Denial {
                    capability: pair[0].clone(),
                    target: pair[1].clone(),
                })
                .collect(),
        ),
        "limit" => types::Error::Limit(types::Excess {
            name: field(2)?,
            allowed: field(3)?.parse().ok()?,
            requested: field(4)?.parse().ok()?,
        }),
        "invalid" => types::Error::Invalid(field(1)?),
        "failed" => types::Error::Failed(types::Failure {
            sqlstate: field(2)?,
            message: field(1)?,
        }),
        _ => return None,
    })
}

fn cause<'js>(ctx: &Ctx<'js>, engine: &Engine, error: Object<'js>) -> Option<types::Error> {
    let record = engine
        .prelude
        .record_of
        .call::<_, Option<Vec<String>>>(ctx, (error,));
    error_of(&ignore_failure(ctx, record)??)
}

fn string_field<'js>(
    ctx: &Ctx<'js>,
    engine: &Engine,
    object: &Object<'js>,
    name: &str,
) -> Option<String> {
    let field: Value = ignore_failure(ctx, object.get(name))?;
    if !field.is_string() {
        return None;
    }
    ignore_failure(ctx, value::text(ctx, engine, field))
}

/// Anything can be thrown; this is how it reads.
fn message_of_any<'js>(ctx: &Ctx<'js>, engine: &Engine, thrown: Value<'js>) -> String {
    let shown = match thrown.type_of() {
        Type::String => value::text(ctx, engine, thrown),
        Type::Int | Type::Float | Type::Bool | Type::Null | Type::Undefined | Type::BigInt => {
            Coerced::<String>::from_js(ctx, thrown).map(|text| text.0)
        }
        _ => engine
            .prelude
            .show
            .call(ctx, (thrown,))
            .and_then(|shown| value::text(ctx, engine, shown)),
    };
    ignore_failure(ctx, shown).unwrap_or_else(|| "a value that cannot be shown".to_owned())
}

/// A script may have put anything in the way of a look at its error; then there is
/// nothing to see.
fn ignore_failure<T>(ctx: &Ctx<'_>, result: Result<T>) -> Option<T> {
    if result.is_err() {
        drop(ctx.catch());
    }
    result.ok()
}

/// A stack without the frames of the engine's own code.
fn visible_frames(stack: &str) -> String {
    let own = format!(" ({PRELUDE_FILE}:");
    let lines = stack.lines().filter(|line| !line.contains(&own));
    lines.collect::<Vec<_>>().join("\n")
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES)].to_owned()
}
