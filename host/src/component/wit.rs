//! From WIT, as wit-parser decodes it, to signatures. Knows no values.

use super::{HOST_PACKAGE, sql_name};
use crate::signature::{Column, Parameter, Signature, WitType};
use wit_parser::{
    Function, FunctionKind, Handle, InterfaceId, Resolve, Type, TypeDefKind, TypeId, TypeOwner,
};

/// Nesting beyond this is refused: conversion recurses.
const DEPTH_MAX: usize = 32;

/// The SQL signature of an exported function, or why it has none.
pub(super) fn signature(
    resolve: &Resolve,
    interface: Option<InterfaceId>,
    function: &Function,
) -> Result<Signature, String> {
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
        .map(|ty| result_type(resolve, interface, ty))
        .transpose()?;
    let is_table = result.as_ref().is_some_and(|ty| ty.next_method().is_some());
    Ok(Signature {
        table: result.as_ref().filter(|_| is_table).and_then(columns),
        parameters,
        returns: result
            .as_ref()
            .map_or(crate::types::SqlType::Void, WitType::sql_type),
        result,
        volatility: Default::default(),
    })
}

/// The columns of a table of the type.
pub(crate) fn columns(ty: &WitType) -> Option<Vec<Column>> {
    let fields = ty.row()?.iter();
    let column = |(name, ty): &(String, WitType)| Column {
        name: sql_name(name),
        sql_type: ty.sql_type(),
    };
    Some(fields.map(column).collect())
}

/// A result may be what no value can be: a resource that yields rows.
fn result_type(
    resolve: &Resolve,
    interface: Option<InterfaceId>,
    ty: &Type,
) -> Result<WitType, String> {
    let Type::Id(id) = ty else {
        return wit_type(resolve, ty, 0);
    };
    match &resolve.types[*id].kind {
        TypeDefKind::Handle(Handle::Own(resource)) => rows(resolve, interface, *resource),
        TypeDefKind::Type(ty) if matches!(ty, Type::Id(_)) && host_type(resolve, *id).is_none() => {
            result_type(resolve, interface, ty)
        }
        TypeDefKind::Result(result) => {
            let ok = result.ok.as_ref();
            let ok = ok.map(|ty| result_type(resolve, interface, ty).map(Box::new));
            let err = result.err.as_ref();
            let err = err.map(|ty| wit_type(resolve, ty, 1).map(Box::new));
            Ok(WitType::Result {
                ok: ok.transpose()?,
                err: err.transpose()?,
            })
        }
        _ => wit_type(resolve, ty, 0),
    }
}

/// A resource with `next: func(most: u32) -> list<record>`, or a result of that.
fn rows(
    resolve: &Resolve,
    interface: Option<InterfaceId>,
    resource: TypeId,
) -> Result<WitType, String> {
    const FORM: &str = "a resource it returns has a method next: func(most: u32) -> list<record>";
    let name = resolve.types[resource].name.as_deref().ok_or(FORM)?;
    let next = format!("[method]{name}.next");
    let functions = &resolve.interfaces[interface.ok_or(FORM)?].functions;
    let function = functions.get(&next).ok_or(FORM)?;
    let is_method = matches!(function.kind, FunctionKind::Method(of) if of == resource);
    let takes = function.params.iter().map(|parameter| &parameter.ty);
    let takes_most = matches!(takes.collect::<Vec<_>>()[..], [_, Type::U32]);
    let batch = function.result.as_ref().ok_or(FORM)?;
    let batch = wit_type(resolve, batch, 1)?;
    let gives_rows = match &batch {
        WitType::Result { ok: Some(ok), .. } => matches!(**ok, WitType::List(_)),
        other => matches!(other, WitType::List(_)),
    };
    if !is_method || !takes_most || !gives_rows || batch.row().is_none() {
        return Err(FORM.to_string());
    }
    Ok(WitType::Rows {
        next,
        batch: Box::new(batch),
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
