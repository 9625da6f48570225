//! WASI imports, which Rust's standard library pulls in whether a guest uses them or
//! not. The only folder that knows WASI.
//!
//! Nothing of WASI reaches the system. A function of `table.rs` is a system call: it
//! passes if the function's policy allows it and the capability behind it is granted
//! (`filter.rs`). The standard streams and their like are no system calls: they have an
//! answer and ask for nothing (`answers.rs`). Every other function refuses, records that,
//! and counts.

mod answers;
mod filter;
mod table;
mod wait;

pub(crate) use wait::Timers;

use crate::execution::Execution;
use crate::execution::record::Attempt;
use table::Row;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType, Type, Val};
use wasmtime::{Result, StoreContextMut};

/// A resource of a guest. Its number says which: the standard streams, the pollables of
/// the output streams, and from `wait::FIRST` on the timers are all that is ever handed
/// out.
struct Handle;

/// What a guest passes: the values, and the numbers of the handles among them.
struct Arguments<'a> {
    values: &'a [Val],
    handles: Vec<u32>,
}

/// What is linked for an import.
#[derive(Clone)]
enum Link {
    /// An answer that asks for nothing.
    Harmless(answers::Answer),
    /// A system call that the filter may let pass.
    Filtered(&'static Row, &'static table::Function),
    /// It never passes: its name in preview 1, or its own.
    Refusing(String),
}

/// Defines every WASI import of a component.
pub(crate) fn add_to_linker(linker: &mut Linker<Execution>, component: &Component) -> Result<()> {
    let engine = component.engine();
    let component_type = component.component_type();
    for (interface, import) in component_type.imports(engine) {
        if !interface.starts_with("wasi:") {
            continue;
        }
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            continue;
        };
        let mut link = linker.instance(interface)?;
        for (name, export) in instance.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(ty) => add_function(&mut link, interface, name, &ty)?,
                ComponentItem::Resource(_) => {
                    let ty = ResourceType::host::<Handle>();
                    link.resource(name, ty, |mut store, number| {
                        store.data_mut().timers.remove(number);
                        Ok(())
                    })?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn add_function(
    linker: &mut LinkerInstance<'_, Execution>,
    interface: &str,
    name: &str,
    ty: &ComponentFunc,
) -> Result<()> {
    let unversioned = interface.split('@').next().unwrap_or(interface);
    let function = format!("{unversioned}.{name}");
    let link = link(&function);
    let refusal = ty.results().next().and_then(|result| refusal(&result));
    linker.func_new(name, move |mut store, _, values, results| {
        store.data_mut().enter_host()?;
        let mut handles = Vec::new();
        take_handles(&mut store, values, &mut handles)?;
        let arguments = Arguments { values, handles };
        let val = run(&mut store, &link, &function, &arguments, refusal.as_ref())?;
        if let (Some(val), Some(result)) = (val, results.first_mut()) {
            *result = val;
        }
        Ok(())
    })
}

fn run(
    store: &mut StoreContextMut<'_, Execution>,
    link: &Link,
    function: &str,
    arguments: &Arguments<'_>,
    refusal: Option<&Val>,
) -> Result<Option<Val>> {
    let refused = match link {
        Link::Harmless(answer) => return answer(store, arguments),
        Link::Filtered(row, function) => match filter::pass(store.data_mut(), row, function)? {
            Ok(pass) => return (function.answer)(store, arguments, &pass),
            Err(refused) => refused,
        },
        Link::Refusing(syscall) => {
            let attempt = Attempt { syscall, function };
            filter::refuse(store.data_mut(), attempt, None)?
        }
    };
    match refusal {
        Some(val) => refused.tell_guest(store.data(), val).map(Some),
        None => Err(refused.end_call(store.data())),
    }
}

fn link(function: &str) -> Link {
    if let Some(answer) = answers::harmless(function) {
        return Link::Harmless(answer);
    }
    match table::find(function) {
        Some((row, entry)) => Link::Filtered(row, entry),
        None => Link::Refusing(table::refused_name(function).to_string()),
    }
}

/// The error that tells a guest of a refusal, if its function can return one.
fn refusal(result: &Type) -> Option<Val> {
    const CASES: [&str; 8] = [
        "access-denied",
        "access",
        "not-permitted",
        "denied",
        "forbidden",
        "HTTP-request-denied",
        "not-supported",
        "unsupported",
    ];
    let Type::Result(result) = result else {
        return None;
    };
    let error = match result.err()? {
        Type::Enum(cases) => {
            let case = CASES
                .iter()
                .find(|case| cases.names().any(|n| n == **case))?;
            Val::Enum(case.to_string())
        }
        Type::Variant(cases) => {
            let is_case = |name: &str| cases.cases().any(|c| c.name == name && c.ty.is_none());
            let case = CASES.iter().find(|case| is_case(case))?;
            Val::Variant(case.to_string(), None)
        }
        _ => return None,
    };
    Some(Val::Result(Err(Some(Box::new(error)))))
}

/// Gives back every handle among the arguments; a borrowed one must not outlive the
/// call.
fn take_handles(
    store: &mut StoreContextMut<'_, Execution>,
    values: &[Val],
    handles: &mut Vec<u32>,
) -> Result<()> {
    for value in values {
        match value {
            Val::Resource(handle) => {
                handles.push(handle.try_into_resource::<Handle>(&mut *store)?.rep());
            }
            Val::List(items) | Val::Tuple(items) => take_handles(store, items, handles)?,
            Val::Record(fields) => {
                for (_, value) in fields {
                    take_handles(store, std::slice::from_ref(value), handles)?;
                }
            }
            Val::Variant(_, Some(value))
            | Val::Option(Some(value))
            | Val::Result(Ok(Some(value)) | Err(Some(value))) => {
                take_handles(store, std::slice::from_ref(&**value), handles)?;
            }
            _ => {}
        }
    }
    Ok(())
}
