//! Rust names in WIT, and back as wit-bindgen spells them.
//!
//! WIT writes `top_track` as `top-track` and begins each word with a letter; a name
//! that would not come back the same is refused rather than changed.

use heck::{ToKebabCase, ToUpperCamelCase};
use quote::format_ident;
use syn::ext::IdentExt;
use syn::{Error, Ident, Result};

use crate::model::Name;

/// The name of a module, a function or a field: `top_track`.
pub(crate) fn snake(ident: &Ident) -> Result<Name> {
    let text = ident.unraw().to_string();
    Ok(Name {
        rust: ident.clone(),
        wit: wit(ident, &text)?,
        bound: bound(ident, &text),
    })
}

/// The name of a parameter in WIT. Nobody outside sees whether it is used, so
/// `_customer` is `customer`.
pub(crate) fn parameter(ident: &Ident) -> Result<String> {
    let text = ident.unraw().to_string();
    wit(ident, text.trim_start_matches('_'))
}

/// The name of a struct: `TopTrack`.
pub(crate) fn camel(ident: &Ident) -> Result<Name> {
    let text = ident.unraw().to_string();
    let wit = text.to_kebab_case();
    if !wit.split('-').all(is_word) {
        let message = format!("`{text}` can't be exported: give it a name such as `TopTrack`");
        return Err(Error::new_spanned(ident, message));
    }
    // wit-bindgen calls its own trait `Guest`.
    let guard = if wit == "guest" { "_" } else { "" };
    let bound = format_ident!("{}{guard}", wit.to_upper_camel_case(), span = ident.span());
    Ok(Name {
        rust: ident.clone(),
        wit,
        bound,
    })
}

fn wit(ident: &Ident, text: &str) -> Result<String> {
    if text.split('_').all(is_word) {
        return Ok(text.replace('_', "-"));
    }
    let message = format!(
        "`{ident}` can't be exported: an exported name is words of a-z and 0-9 joined by `_`, \
         each word beginning with a letter"
    );
    Err(Error::new_spanned(ident, message))
}

/// wit-bindgen appends `_` to what is a keyword of Rust.
fn bound(ident: &Ident, text: &str) -> Ident {
    let guard = if syn::parse_str::<Ident>(text).is_err() {
        "_"
    } else {
        ""
    };
    format_ident!("{text}{guard}", span = ident.span())
}

fn is_word(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_lowercase())
        && word
            .chars()
            .all(|each| each.is_ascii_lowercase() || each.is_ascii_digit())
}
