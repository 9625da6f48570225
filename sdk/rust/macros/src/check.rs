//! What only a whole interface can tell: names that meet, records without end.

use std::collections::HashMap;

use syn::{Error, Ident, Result};

use crate::errors::Errors;
use crate::model::{Interface, Name};

/// Refuses an interface that WIT could not express.
pub(crate) fn check(interface: &Interface) -> Result<()> {
    if interface.procedures.is_empty() {
        let message = "this module has no procedure: write at least one `pub fn`";
        return Err(Error::new_spanned(&interface.name.rust, message));
    }
    let mut errors = Errors::default();
    errors.keep(check_names(interface));
    errors.keep(check_recursion(interface));
    errors.finish(Some(()))
}

/// WIT has one name space where Rust has two, and the contract's types are in it.
fn check_names(interface: &Interface) -> Result<()> {
    const TAKEN: [&str; 4] = ["decimal", "error", "json", "timestamp"];
    let records = interface.records.iter().map(|record| &record.name);
    let mut taken: HashMap<&str, &Ident> = HashMap::new();
    for Name { rust, wit, .. } in records.chain(interface.procedures.iter().map(|each| &each.name))
    {
        let message = if TAKEN.contains(&wit.as_str()) {
            format!("`{rust}` can't be exported: heliosdb has a type of that name")
        } else if let Some(other) = taken.insert(wit, rust) {
            format!("`{rust}` and `{other}` are both exported as \"{wit}\"; rename one of them")
        } else {
            continue;
        };
        return Err(Error::new_spanned(rust, message));
    }
    Ok(())
}

/// A record can't contain itself, since a row has a fixed number of columns.
fn check_recursion(interface: &Interface) -> Result<()> {
    let parts = |name: &Name| {
        let record = interface
            .records
            .iter()
            .find(|record| record.name.wit == name.wit);
        let fields = record.into_iter().flat_map(|record| &record.fields);
        fields
            .filter_map(|field| field.kind.record())
            .collect::<Vec<_>>()
    };
    for record in &interface.records {
        let mut reached = parts(&record.name);
        let mut next = 0;
        while next < reached.len() {
            if reached[next].wit == record.name.wit {
                let message = "a record can't contain itself, not even in a Vec";
                return Err(Error::new_spanned(&record.name.rust, message));
            }
            for part in parts(reached[next]) {
                if !reached.iter().any(|known| known.wit == part.wit) {
                    reached.push(part);
                }
            }
            next += 1;
        }
    }
    Ok(())
}
