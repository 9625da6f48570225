//! The macros of the crate `heliosdb`; documented there.
//!
//! A module is read into a `model`, the model is written as WIT text, and
//! `wit-bindgen` makes the exports of that text. Nothing here knows how values
//! cross into WebAssembly.

mod check;
mod errors;
mod expand;
mod from_row;
mod kind;
mod model;
mod names;
mod read;
mod wit;

use proc_macro::TokenStream;
use quote::quote;

/// See the documentation of `heliosdb::procedures`.
#[proc_macro_attribute]
pub fn procedures(arguments: TokenStream, module: TokenStream) -> TokenStream {
    let module = proc_macro2::TokenStream::from(module);
    let expanded = read::module(arguments.into(), module.clone())
        .map(|(interface, module)| expand::module(&interface, &module));
    let tokens = expanded.unwrap_or_else(|error| {
        // The module is kept, so that the compiler reports its other errors too and
        // not that everything in it is missing.
        let error = error.into_compile_error();
        quote!(#module #error)
    });
    tokens.into()
}

/// See the documentation of `heliosdb::FromRow`.
#[proc_macro_derive(FromRow)]
pub fn from_row(item: TokenStream) -> TokenStream {
    let derived = from_row::derive(item.into());
    derived
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}
