//! The module again, with the code that exports it.
//!
//! The lints of the crate that uses the macro are for its own code: a guest may deny
//! `unsafe_code`, although crossing into WebAssembly needs it.
//!
//! The exports are made for WebAssembly only. Elsewhere the module stays what it
//! was, so that its functions can be tested by `cargo test`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, ItemMod};

use crate::model::{Interface, Kind, Name, Plain, Procedure, Record};
use crate::wit;

/// The module's items and, in a module of their own within it, its exports.
pub(crate) fn module(interface: &Interface, module: &ItemMod) -> TokenStream {
    let ItemMod {
        attrs,
        vis,
        ident,
        content,
        ..
    } = module;
    let items = content.iter().flat_map(|(_, items)| items);
    let exports = exports(interface);
    quote! {
        // What is exported need not be reachable in Rust, and elsewhere than in
        // WebAssembly nothing calls it unless a test does.
        #[allow(unreachable_pub)]
        #[cfg_attr(not(target_family = "wasm"), allow(dead_code))]
        #(#attrs)*
        #vis mod #ident {
            #(#items)*

            #[cfg(target_family = "wasm")]
            #[doc(hidden)]
            #[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
            mod __heliosdb {
                #exports
            }
        }
    }
}

fn exports(interface: &Interface) -> TokenStream {
    let bindings = bindings(interface);
    let name = &interface.name.bound;
    let procedures = interface.procedures.iter().map(|each| wrapper(name, each));
    let conversions = interface.records.iter().map(|each| conversions(name, each));
    quote! {
        #bindings

        struct Procedures;

        impl exports::#name::Guest for Procedures {
            #(#procedures)*
        }

        #(#conversions)*

        export!(Procedures);
    }
}

/// The call of wit-bindgen. Every path is absolute, so that the crate needs no
/// dependency but `heliosdb`; `path` is empty, so that a folder `wit` of the crate,
/// if it has one, is not read.
fn bindings(interface: &Interface) -> TokenStream {
    let text = wit::text(interface);
    let types = wit::types_interface();
    // wit-bindgen refuses a replacement that nothing needs.
    let with = (!wit::used(interface).is_empty())
        .then(|| quote!(with: { #types: ::heliosdb::__private::types },));
    quote! {
        ::heliosdb::__private::wit_bindgen::generate!({
            inline: #text,
            path: [],
            runtime_path: "::heliosdb::__private::wit_bindgen::rt",
            generate_unused_types: true,
            #with
        });
    }
}

/// The exported function, which calls the module's.
fn wrapper(interface: &Ident, procedure: &Procedure) -> TokenStream {
    let Name { rust, bound, .. } = &procedure.name;
    let names: Vec<Ident> = (0..procedure.parameters.len())
        .map(|index| format_ident!("argument_{index}"))
        .collect();
    let types = procedure
        .parameters
        .iter()
        .map(|each| bound_type(interface, &each.kind));
    let arguments = procedure
        .parameters
        .iter()
        .zip(&names)
        .map(|(parameter, name)| {
            let argument = convert(&parameter.kind, quote!(#name));
            if parameter.borrowed {
                quote!(&#argument)
            } else {
                argument
            }
        });
    let output = output_type(interface, procedure);
    let result = result(procedure, quote!(super::#rust(#(#arguments),*)));
    quote! {
        fn #bound(#(#names: #types),*) #output {
            ::heliosdb::__private::install_hook();
            #result
        }
    }
}

fn result(procedure: &Procedure, call: TokenStream) -> TokenStream {
    let Some(kind) = procedure
        .output
        .as_ref()
        .filter(|kind| kind.record().is_some())
    else {
        return call;
    };
    if !procedure.fallible {
        return convert(kind, call);
    }
    let value = convert(kind, quote!(value));
    quote!(#call.map(|value| #value))
}

fn output_type(interface: &Ident, procedure: &Procedure) -> TokenStream {
    let value = procedure
        .output
        .as_ref()
        .map(|kind| bound_type(interface, kind));
    let value = value.unwrap_or_else(|| quote!(()));
    if procedure.fallible {
        quote!(-> ::heliosdb::Result<#value>)
    } else {
        quote!(-> #value)
    }
}

/// wit-bindgen makes a struct of its own for each record.
fn conversions(interface: &Ident, record: &Record) -> TokenStream {
    let Name { rust, bound, .. } = &record.name;
    let fields = || record.fields.iter();
    let inward = fields().map(|field| {
        let Name { rust, bound, .. } = &field.name;
        let value = convert(&field.kind, quote!(record.#bound));
        quote!(#rust: #value)
    });
    let outward = fields().map(|field| {
        let Name { rust, bound, .. } = &field.name;
        let value = convert(&field.kind, quote!(record.#rust));
        quote!(#bound: #value)
    });
    quote! {
        impl From<exports::#interface::#bound> for super::#rust {
            fn from(record: exports::#interface::#bound) -> Self {
                Self { #(#inward),* }
            }
        }

        impl From<super::#rust> for exports::#interface::#bound {
            fn from(record: super::#rust) -> Self {
                Self { #(#outward),* }
            }
        }
    }
}

/// A value as the other side's type; the same either way.
fn convert(kind: &Kind, value: TokenStream) -> TokenStream {
    if kind.record().is_none() {
        return value;
    }
    let inner = |inner: &Kind| convert(inner, quote!(value));
    match kind {
        Kind::Plain(_) | Kind::Host(_) => value,
        Kind::Record(_) => quote!(::core::convert::Into::into(#value)),
        Kind::Option(kind) => {
            let inner = inner(kind);
            quote!(#value.map(|value| #inner))
        }
        Kind::List(kind) => {
            let inner = inner(kind);
            quote!(#value.into_iter().map(|value| #inner).collect())
        }
    }
}

/// A type as wit-bindgen spells it.
fn bound_type(interface: &Ident, kind: &Kind) -> TokenStream {
    match kind {
        Kind::Plain(Plain { rust, .. }) => rust.parse().expect("a type of the table is Rust"),
        Kind::Host(name) => {
            let name = format_ident!("{}", heck::AsUpperCamelCase(name).to_string());
            quote!(::heliosdb::#name)
        }
        Kind::Record(name) => {
            let name = &name.bound;
            quote!(exports::#interface::#name)
        }
        Kind::Option(inner) => {
            let inner = bound_type(interface, inner);
            quote!(::core::option::Option<#inner>)
        }
        Kind::List(inner) => {
            let inner = bound_type(interface, inner);
            quote!(::std::vec::Vec<#inner>)
        }
    }
}
