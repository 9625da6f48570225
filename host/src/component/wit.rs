//! From WIT, as wit-parser decodes it, to signatures. Knows no values.

use super::{HOST_PACKAGE, sql_name};
use crate::signature::{Parameter, Signature, WitType};
use wit_parser::{Function, FunctionKind, Resolve, Type, TypeDefKind, TypeId, TypeOwner};

/// Nesting beyond this is refused: conversion recurses.
const DEPTH_MAX: usize = 32;

/// The SQL signature of an exported function, or why it has none.
pub(super) fn signature(resolve: &Resolve, function: &Function) -> Result<Signature, String> {
    if !matches!(function.kind, FunctionKind::Freestanding) {
        return Err("it is asynchronous or belongs to a resource".to_string());
    }
    let parameters = function
        .params
        .iter()
        .map(|parameter| {
            let wit_type = wit_type(resolve, &parameter.ty, 0)?;
            Ok(Parameter {
                name: sql_name(&parameter.name),
                sql_type: wit_type.sql_type(),
                wit_type: Some(wit_type),
            })
        })
        .collect::<Result<_, String>>()?;
    let result = function
        .result
        .as_ref()
        .map(|ty| wit_type(resolve, ty, 0))
        .transpose()?;
    Ok(Signature {
        parameters,
        returns: result
            .as_ref()
            .map_or(crate::types::SqlType::Void, WitType::sql_type),
        result,
        volatility: Default::default(),
    })
}

fn wit_type(resolve: &Resolve, ty: &Type, depth: usize) -> Result<WitType, String> {
    if depth > DEPTH_MAX {
        return Err("its types are nested too deeply".to_string());
    }
    Ok(match ty {
        Type::Bool => WitType::Bool,
        Type::U8 => WitType::U8,
        Type::U16 => WitType::U16,
        Type::U32 => WitType::U32,
        Type::U64 => WitType::U64,
        Type::S8 => WitType::S8,
        Type::S16 => WitType::S16,
        Type::S32 => WitType::S32,
        Type::S64 => WitType::S64,
        Type::F32 => WitType::F32,
        Type::F64 => WitType::F64,
        Type::Char => WitType::Char,
        Type::String => WitType::String,
        Type::ErrorContext => return Err("it uses an error-context".to_string()),
        Type::Id(id) => return defined(resolve, *id, depth),
    })
}

fn defined(resolve: &Resolve, id: TypeId, depth: usize) -> Result<WitType, String> {
    if let Some(ours) = host_type(resolve, id) {
        return Ok(ours);
    }
    let inner = |ty: &Type| wit_type(resolve, ty, depth + 1);
    let boxed = |ty: &Type| inner(ty).map(Box::new);
    Ok(match &resolve.types[id].kind {
        TypeDefKind::Type(ty) => inner(ty)?,
        TypeDefKind::Option(ty) => WitType::Option(boxed(ty)?),
        TypeDefKind::List(Type::U8) => WitType::Bytes,
        TypeDefKind::List(ty) => WitType::List(boxed(ty)?),
        TypeDefKind::Tuple(tuple) => {
            WitType::Tuple(tuple.types.iter().map(inner).collect::<Result<_, _>>()?)
        }
        TypeDefKind::Record(record) => WitType::Record(
            record
                .fields
                .iter()
                .map(|field| Ok((field.name.clone(), inner(&field.ty)?)))
                .collect::<Result<_, String>>()?,
        ),
        TypeDefKind::Variant(variant) => WitType::Variant(
            variant
                .cases
                .iter()
                .map(|case| Ok((case.name.clone(), case.ty.as_ref().map(inner).transpose()?)))
                .collect::<Result<_, String>>()?,
        ),
        TypeDefKind::Enum(list) => {
            WitType::Enum(list.cases.iter().map(|case| case.name.clone()).collect())
        }
        TypeDefKind::Flags(flags) => {
            WitType::Flags(flags.flags.iter().map(|flag| flag.name.clone()).collect())
        }
        TypeDefKind::Result(result) => WitType::Result {
            ok: result.ok.as_ref().map(boxed).transpose()?,
            err: result.err.as_ref().map(boxed).transpose()?,
        },
        other => return Err(format!("it uses a {}", other.as_str())),
    })
}

/// The types of `heliosdb:host/types`, by name: a type alias leads back to its origin.
fn host_type(resolve: &Resolve, id: TypeId) -> Option<WitType> {
    let definition = &resolve.types[id];
    let TypeOwner::Interface(interface) = definition.owner else {
        return None;
    };
    let owner = resolve.id_of(interface)?;
    if owner.split('@').next() != Some(&format!("{HOST_PACKAGE}/types")) {
        return None;
    }
    match definition.name.as_deref()? {
        "decimal" => Some(WitType::Decimal),
        "timestamp" => Some(WitType::Timestamp),
        "json" => Some(WitType::Json),
        "error" => Some(WitType::Error),
        _ => None,
    }
}
