//! `#[derive(FromRow)]`: a struct's fields are read from the columns of their names.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Error, Fields, Result};

/// The implementation for a struct.
pub(crate) fn derive(input: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let message = "a row is read as a struct with named fields, or as a tuple without a derive";
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, message));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(&input.ident, message));
    };
    let fields = fields.named.iter().filter_map(|field| field.ident.as_ref());
    let reads = fields.map(|field| {
        let column = field.unraw().to_string();
        quote!(#field: row.take(#column)?)
    });
    let (name, (generics, arguments, bounds)) = (&input.ident, input.generics.split_for_impl());
    Ok(quote! {
        impl #generics ::heliosdb::FromRow for #name #arguments #bounds {
            fn from_row(mut row: ::heliosdb::database::Row) -> ::heliosdb::Result<Self> {
                ::core::result::Result::Ok(Self { #(#reads),* })
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::derive;

    fn derived(tokens: &str) -> String {
        match derive(tokens.parse().unwrap()) {
            Ok(tokens) => tokens.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_field_is_read_from_the_column_of_its_name() {
        let tokens = derived("struct Track { id: i64, r#type: String }");
        assert!(tokens.contains("id : row . take (\"id\") ?"), "{tokens}");
        assert!(
            tokens.contains("r#type : row . take (\"type\") ?"),
            "{tokens}"
        );
    }

    #[test]
    fn what_has_no_named_fields_is_refused() {
        for tokens in ["struct Pair(i64, i64);", "struct Nothing;", "enum E { A }"] {
            assert!(derived(tokens).starts_with("a row is read as"), "{tokens}");
        }
    }
}
