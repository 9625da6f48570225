//! Rust types as the types of an interface.
//!
//! A macro sees names, not types: `Json` is taken for `heliosdb::Json` by its last
//! word. If it is something else, the generated code does not compile.

use syn::{Error, GenericArgument, Path, PathArguments, Result, ReturnType, Type};

use crate::model::{Kind, Name, Plain};

const SUPPORTED: &str = "supported are bool, i16, i32, i64, f32, f64, String, Vec<u8>, \
     heliosdb::{Json, Timestamp, Decimal}, Option and Vec of these, \
     and the `pub struct`s of this module";

/// The type of a field, or of a part of another type.
pub(crate) fn owned(ty: &Type, records: &[Name]) -> Result<Kind> {
    match ty {
        Type::Path(path) if path.qself.is_none() => of_path(ty, &path.path, records),
        Type::Group(group) => owned(&group.elem, records),
        Type::Paren(paren) => owned(&paren.elem, records),
        Type::Reference(_) => Err(unsupported(ty, "a reference can't leave a procedure")),
        Type::ImplTrait(_) => Err(unsupported(ty, "`impl Trait` has no SQL type")),
        Type::Tuple(_) => Err(unsupported(ty, "a tuple has no SQL type; use a struct")),
        _ => Err(unsupported(ty, "this has no SQL type")),
    }
}

/// The type of a parameter, and whether it is borrowed.
pub(crate) fn parameter(ty: &Type, records: &[Name]) -> Result<(Kind, bool)> {
    let Type::Reference(reference) = ty else {
        return Ok((owned(ty, records)?, false));
    };
    if reference.mutability.is_none() && reference.lifetime.is_none() {
        match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => {
                return Ok((Kind::Plain(STRING), true));
            }
            Type::Slice(slice) if is_u8(&slice.elem) => {
                return Ok((Kind::Plain(BYTES), true));
            }
            _ => {}
        }
    }
    Err(unsupported(
        ty,
        "of references, only `&str` and `&[u8]` can be parameters",
    ))
}

/// What a procedure returns, and whether it can fail.
pub(crate) fn output(output: &ReturnType, records: &[Name]) -> Result<(Option<Kind>, bool)> {
    let ReturnType::Type(_, ty) = output else {
        return Ok((None, false));
    };
    let Some(value) = value_of_result(ty)? else {
        return Ok((owned_or_unit(ty, records)?, false));
    };
    Ok((owned_or_unit(value, records)?, true))
}

fn owned_or_unit(ty: &Type, records: &[Name]) -> Result<Option<Kind>> {
    match ty {
        Type::Tuple(tuple) if tuple.elems.is_empty() => Ok(None),
        ty => owned(ty, records).map(Some),
    }
}

/// The `T` of `Result<T>` and of `Result<T, Error>`.
fn value_of_result(ty: &Type) -> Result<Option<&Type>> {
    let Some(arguments) = arguments_of(ty, "Result") else {
        return Ok(None);
    };
    match arguments[..] {
        [value] => Ok(Some(value)),
        [value, error] if last_word(error).is_some_and(|word| word == "Error") => Ok(Some(value)),
        [_, error] => {
            let message = "a procedure fails with heliosdb::Error; write heliosdb::Result<T>";
            Err(Error::new_spanned(error, message))
        }
        _ => Err(unsupported(ty, "write heliosdb::Result<T>")),
    }
}

fn of_path(ty: &Type, path: &Path, records: &[Name]) -> Result<Kind> {
    for (container, make) in CONTAINERS {
        if let Some(arguments) = arguments_of(ty, container) {
            return of_container(ty, &arguments, records, make);
        }
    }
    let word = last_word(ty).unwrap_or_default();
    if word == "Result" {
        return Err(unsupported(
            ty,
            "only a procedure's whole return type is a Result",
        ));
    }
    if path
        .segments
        .iter()
        .any(|segment| !segment.arguments.is_none())
    {
        return Err(unsupported(ty, "a type with arguments has no SQL type"));
    }
    if let Some(record) = records.iter().find(|record| path.is_ident(&record.rust)) {
        return Ok(Kind::Record(record.clone()));
    }
    of_word(ty, &word)
}

fn of_word(ty: &Type, word: &str) -> Result<Kind> {
    if let Some(&(_, kind)) = PLAIN.iter().find(|(rust, _)| *rust == word) {
        return Ok(Kind::Plain(kind));
    }
    Ok(match word {
        "Json" => Kind::Host("json"),
        "Timestamp" => Kind::Host("timestamp"),
        "Decimal" => Kind::Host("decimal"),
        "i8" | "u8" => return Err(no_sql_type(ty, "i16")),
        "u16" => return Err(no_sql_type(ty, "i32")),
        "u32" | "u64" | "usize" | "isize" | "i128" | "u128" => return Err(no_sql_type(ty, "i64")),
        "char" => return Err(no_sql_type(ty, "String")),
        _ => {
            let reason = format!("`{word}` is not a `pub struct` of this module");
            return Err(unsupported(ty, &reason));
        }
    })
}

const STRING: Plain = Plain {
    wit: "string",
    rust: "::std::string::String",
};
const BYTES: Plain = Plain {
    wit: "list<u8>",
    rust: "::std::vec::Vec<u8>",
};

/// By the word that a procedure writes.
const PLAIN: [(&str, Plain); 7] = [
    (
        "bool",
        Plain {
            wit: "bool",
            rust: "bool",
        },
    ),
    (
        "i16",
        Plain {
            wit: "s16",
            rust: "i16",
        },
    ),
    (
        "i32",
        Plain {
            wit: "s32",
            rust: "i32",
        },
    ),
    (
        "i64",
        Plain {
            wit: "s64",
            rust: "i64",
        },
    ),
    (
        "f32",
        Plain {
            wit: "f32",
            rust: "f32",
        },
    ),
    (
        "f64",
        Plain {
            wit: "f64",
            rust: "f64",
        },
    ),
    ("String", STRING),
];

type Make = fn(Box<Kind>) -> Kind;

const CONTAINERS: [(&str, Make); 2] = [("Option", Kind::Option), ("Vec", Kind::List)];

fn of_container(ty: &Type, arguments: &[&Type], records: &[Name], make: Make) -> Result<Kind> {
    match arguments {
        [inner] if last_word(ty).is_some_and(|word| word == "Vec") && is_u8(inner) => {
            Ok(Kind::Plain(BYTES))
        }
        [inner] => Ok(make(Box::new(owned(inner, records)?))),
        _ => Err(unsupported(ty, "this takes one type")),
    }
}

/// The type arguments of `word<…>`, if `ty` is that.
fn arguments_of<'a>(ty: &'a Type, word: &str) -> Option<Vec<&'a Type>> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    (last.ident == word).then(|| types.collect())
}

fn last_word(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    Some(path.path.segments.last()?.ident.to_string())
}

fn is_u8(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("u8"))
}

fn no_sql_type(ty: &Type, instead: &str) -> Error {
    let word = last_word(ty).unwrap_or_default();
    unsupported(ty, &format!("`{word}` has no SQL type; use {instead}"))
}

fn unsupported(ty: &Type, reason: &str) -> Error {
    Error::new_spanned(ty, format!("{reason} ({SUPPORTED})"))
}
