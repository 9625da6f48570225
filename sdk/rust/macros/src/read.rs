//! A module's tokens as an interface, or every error in them at its place.

use proc_macro2::TokenStream;
use syn::{
    Attribute, Error, Fields, FnArg, Generics, Ident, Item, ItemFn, ItemMod, ItemStruct, Pat,
    Result, Safety, Visibility,
};

use crate::check::check;
use crate::errors::Errors;
use crate::kind;
use crate::model::{Field, Interface, Name, Parameter, Procedure, Record};
use crate::names;

/// Reads the module below `#[heliosdb::procedures]`.
pub(crate) fn module(arguments: TokenStream, module: TokenStream) -> Result<(Interface, ItemMod)> {
    if !arguments.is_empty() {
        let message = "`procedures` takes no arguments; the module's name names the interface";
        return Err(Error::new_spanned(arguments, message));
    }
    let message = "`procedures` marks a module: `#[heliosdb::procedures] mod shop { … }`";
    let module: ItemMod =
        syn::parse2(module.clone()).map_err(|_| Error::new_spanned(module, message))?;
    let Some((_, items)) = &module.content else {
        let message = "`procedures` marks a module whose items are here: `mod shop { … }`";
        return Err(Error::new_spanned(&module, message));
    };
    let interface = interface(&module.ident, items)?;
    Ok((interface, module))
}

fn interface(ident: &Ident, items: &[Item]) -> Result<Interface> {
    let mut errors = Errors::default();
    let name = errors.keep(names::snake(ident));
    let named: Vec<(&ItemStruct, Name)> = items
        .iter()
        .filter_map(public_struct)
        .filter_map(|item| Some((item, errors.keep(names::camel(&item.ident))?)))
        .collect();
    let names: Vec<Name> = named.iter().map(|(_, name)| name.clone()).collect();
    let records = named
        .into_iter()
        .filter_map(|(item, name)| errors.keep(record(item, name, &names)))
        .collect();
    let procedures = items
        .iter()
        .filter_map(|item| errors.keep(procedure_in(item, &names)).flatten())
        .collect();
    let name = errors.finish(name)?;
    let interface = Interface {
        name,
        records,
        procedures,
    };
    check(&interface)?;
    Ok(interface)
}

fn public_struct(item: &Item) -> Option<&ItemStruct> {
    match item {
        Item::Struct(item) if is_public(&item.vis) => Some(item),
        _ => None,
    }
}

fn procedure_in(item: &Item, records: &[Name]) -> Result<Option<Procedure>> {
    let inside = "remove `pub` if only this module uses it";
    match item {
        Item::Fn(item) if is_public(&item.vis) => procedure(item, records).map(Some),
        Item::Enum(item) if is_public(&item.vis) => {
            let message = format!("an enum has no SQL type; use a String, or {inside}");
            Err(Error::new_spanned(&item.ident, message))
        }
        Item::Union(item) if is_public(&item.vis) => {
            let message = format!("a union has no SQL type; {inside}");
            Err(Error::new_spanned(&item.ident, message))
        }
        _ => Ok(None),
    }
}

fn record(item: &ItemStruct, name: Name, records: &[Name]) -> Result<Record> {
    refuse_generics(&item.generics)?;
    refuse_cfg(&item.attrs)?;
    let Fields::Named(fields) = &item.fields else {
        let message = "a `pub struct` becomes a row, so it needs named fields: \
             `pub struct Track { pub id: i64 }`";
        return Err(Error::new_spanned(&item.ident, message));
    };
    if fields.named.is_empty() {
        let message = "a `pub struct` becomes a row, so it needs at least one field";
        return Err(Error::new_spanned(&item.ident, message));
    }
    let mut errors = Errors::default();
    let fields = fields.named.iter();
    let fields = fields
        .filter_map(|each| errors.keep(field(each, records)))
        .collect();
    errors.finish(Some(()))?;
    Ok(Record { name, fields })
}

fn field(field: &syn::Field, records: &[Name]) -> Result<Field> {
    refuse_cfg(&field.attrs)?;
    let ident = field.ident.as_ref().expect("the fields are named");
    Ok(Field {
        name: names::snake(ident)?,
        kind: kind::owned(&field.ty, records)?,
    })
}

fn procedure(item: &ItemFn, records: &[Name]) -> Result<Procedure> {
    let signature = &item.sig;
    refuse_generics(&signature.generics)?;
    refuse_cfg(&item.attrs)?;
    if let Some(token) = &signature.asyncness {
        let message = "a procedure can't be async; the functions of heliosdb wait themselves";
        return Err(Error::new_spanned(token, message));
    }
    if let Safety::Unsafe(token) = &signature.safety {
        return Err(Error::new_spanned(
            token,
            "a procedure can't be unsafe; SQL calls it",
        ));
    }
    let mut errors = Errors::default();
    let inputs = signature.inputs.iter();
    let parameters = inputs
        .filter_map(|input| errors.keep(parameter(input, records)))
        .collect();
    let output = errors.keep(kind::output(&signature.output, records));
    let name = errors.keep(names::snake(&signature.ident));
    let (name, (output, fallible)) = errors.finish(name.zip(output))?;
    Ok(Procedure {
        name,
        parameters,
        output,
        fallible,
    })
}

fn parameter(input: &FnArg, records: &[Name]) -> Result<Parameter> {
    let FnArg::Typed(input) = input else {
        return Err(Error::new_spanned(
            input,
            "a procedure is a plain function without `self`",
        ));
    };
    let Pat::Ident(pattern) = &*input.pat else {
        let message = "a parameter of a procedure is a plain name, which SQL sees too";
        return Err(Error::new_spanned(&input.pat, message));
    };
    let (kind, borrowed) = kind::parameter(&input.ty, records)?;
    Ok(Parameter {
        wit: names::parameter(&pattern.ident)?,
        kind,
        borrowed,
    })
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn refuse_generics(generics: &Generics) -> Result<()> {
    if generics.params.is_empty() {
        return Ok(());
    }
    let message = "what is exported has one SQL type, so it can't have generic parameters";
    Err(Error::new_spanned(&generics.params, message))
}

/// A macro sees an item before its `cfg` is decided, so it can't follow it.
fn refuse_cfg(attributes: &[Attribute]) -> Result<()> {
    match attributes.iter().find(|each| each.path().is_ident("cfg")) {
        None => Ok(()),
        Some(cfg) => {
            let message = "what is exported can't depend on `cfg`; put it on the whole module";
            Err(Error::new_spanned(cfg, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_errors(tokens: &str, expected: &[&str]) {
        let Err(error) = module(TokenStream::new(), tokens.parse().unwrap()) else {
            panic!("no error in {tokens}");
        };
        let messages: Vec<String> = error.into_iter().map(|each| each.to_string()).collect();
        let short = |message: &String| match message.split_once(" (supported are") {
            Some((reason, _)) => reason.to_owned(),
            None => message.clone(),
        };
        assert_eq!(
            messages.iter().map(short).collect::<Vec<_>>(),
            expected,
            "{tokens}"
        );
    }

    #[test]
    fn each_unsupported_type_says_what_to_use() {
        for (parameter, expected) in [
            ("a: u64", "`u64` has no SQL type; use i64"),
            ("a: u8", "`u8` has no SQL type; use i16"),
            ("a: Option<u16>", "`u16` has no SQL type; use i32"),
            ("a: Vec<char>", "`char` has no SQL type; use String"),
            ("a: Other", "`Other` is not a `pub struct` of this module"),
            (
                "a: HashMap<i64, i64>",
                "a type with arguments has no SQL type",
            ),
            ("a: (i64, i64)", "a tuple has no SQL type; use a struct"),
            ("a: [i64; 2]", "this has no SQL type"),
            ("a: impl Copy", "`impl Trait` has no SQL type"),
            (
                "a: Result<i64>",
                "only a procedure's whole return type is a Result",
            ),
            (
                "a: &i64",
                "of references, only `&str` and `&[u8]` can be parameters",
            ),
            (
                "a: &mut str",
                "of references, only `&str` and `&[u8]` can be parameters",
            ),
            ("a: Option<&str>", "a reference can't leave a procedure"),
            (
                "(a, b): i64",
                "a parameter of a procedure is a plain name, which SQL sees too",
            ),
            ("self", "a procedure is a plain function without `self`"),
        ] {
            check_errors(
                &format!("mod m {{ pub fn f({parameter}) {{}} }}"),
                &[expected],
            );
        }
    }

    #[test]
    fn each_unsupported_item_says_why() {
        for (items, expected) in [
            (
                "pub fn f<T>(a: T) {}",
                "what is exported has one SQL type, so it can't have generic parameters",
            ),
            (
                "pub async fn f() {}",
                "a procedure can't be async; the functions of heliosdb wait themselves",
            ),
            (
                "pub unsafe fn f() {}",
                "a procedure can't be unsafe; SQL calls it",
            ),
            (
                "pub fn f() -> &'static str {}",
                "a reference can't leave a procedure",
            ),
            (
                "pub fn f() -> Result<i64, String> {}",
                "a procedure fails with heliosdb::Error; write heliosdb::Result<T>",
            ),
            (
                "pub struct A(pub i64);",
                "a `pub struct` becomes a row, so it needs named fields: \
                 `pub struct Track { pub id: i64 }`",
            ),
            (
                "pub struct A {}",
                "a `pub struct` becomes a row, so it needs at least one field",
            ),
            (
                "pub enum A { B }",
                "an enum has no SQL type; use a String, or remove `pub` if only this module uses it",
            ),
            (
                "pub struct Json { a: i64 } pub fn f() {}",
                "`Json` can't be exported: heliosdb has a type of that name",
            ),
            (
                "pub fn error() {}",
                "`error` can't be exported: heliosdb has a type of that name",
            ),
            (
                "#[cfg(test)] pub fn f() {}",
                "what is exported can't depend on `cfg`; put it on the whole module",
            ),
            (
                "pub fn line_2() {}",
                "`line_2` can't be exported: an exported name is words of a-z and 0-9 joined by \
                 `_`, each word beginning with a letter",
            ),
            (
                "",
                "this module has no procedure: write at least one `pub fn`",
            ),
            (
                "pub struct A { b: B } pub struct B { a: Vec<A> } pub fn f() {}",
                "a record can't contain itself, not even in a Vec",
            ),
            (
                "pub struct Track { id: i64 } pub fn track() {}",
                "`track` and `Track` are both exported as \"track\"; rename one of them",
            ),
        ] {
            check_errors(&format!("mod m {{ {items} }}"), &[expected]);
        }
    }

    #[test]
    fn all_errors_are_reported_together() {
        check_errors(
            "mod m { pub struct A { a: u8, b: char } pub fn f(a: u64, b: &i64) -> u16 {} }",
            &[
                "`u8` has no SQL type; use i16",
                "`char` has no SQL type; use String",
                "`u64` has no SQL type; use i64",
                "of references, only `&str` and `&[u8]` can be parameters",
                "`u16` has no SQL type; use i32",
            ],
        );
    }

    #[test]
    fn only_a_module_with_its_items_is_marked() {
        let marks = "`procedures` marks a module: `#[heliosdb::procedures] mod shop { … }`";
        check_errors("fn f() {}", &[marks]);
        check_errors(
            "mod m;",
            &["`procedures` marks a module whose items are here: `mod shop { … }`"],
        );
        let error = module("x".parse().unwrap(), "mod m {}".parse().unwrap())
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .starts_with("`procedures` takes no arguments")
        );
    }
}
