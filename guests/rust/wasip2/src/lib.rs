//! An ordinary crate for `wasm32-wasip2`, as one finds them: its standard library
//! imports WASI although the procedure uses little of it. It needs no GRANT.

use std::collections::HashSet;

wit_bindgen::generate!({ path: "wit", world: "wasip2" });

struct Procedures;

impl Guest for Procedures {
    /// The set's hash keys come from `wasi:random`, and what is printed goes to
    /// `wasi:cli`.
    fn words(text: String) -> Vec<String> {
        let words: HashSet<String> = text.split_whitespace().map(str::to_owned).collect();
        println!("{} words", words.len());
        words.into_iter().collect()
    }
}

export!(Procedures);
