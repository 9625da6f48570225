//! Conditions: bound to the world `check`, they import types and nothing else. The crate
//! `heliosdb` is for procedures: it reports panics to the log, which is an import.
//!
//! ```sql
//! CREATE CONDITION may_read LANGUAGE wasm AS 'condition_guest.wasm';
//! CREATE CONDITION may_share LANGUAGE wasm AS 'condition_guest.wasm';
//! ```

use exports::check::{Guest, Request};

wit_bindgen::generate!({
    path: ["../../../wit", "wit"],
    world: "example:conditions/conditions",
    generate_all,
});

struct Conditions;

impl Guest for Conditions {
    fn may_read(request: Request) -> bool {
        let needed = if has(&request, "secret") { 3 } else { 1 };
        let is_valid = request
            .valid_until
            .is_none_or(|end| request.asked_at.microseconds < end.microseconds);
        !request.user.is_empty() && is_valid && request.clearance >= needed
    }

    fn may_share(request: Request) -> Result<bool, String> {
        let known = ["public", "secret"];
        match request.labels.iter().find(|l| !known.contains(&l.as_str())) {
            Some(label) => Err(format!("there is no label \"{label}\"")),
            None => Ok(!has(&request, "secret") && Self::may_read(request)),
        }
    }
}

fn has(request: &Request, label: &str) -> bool {
    request.labels.iter().any(|l| l == label)
}

export!(Conditions);
