//! Several errors as one, so that one compilation reports all of them.

use syn::{Error, Result};

/// The errors so far.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    /// A result's value; its error is kept for later.
    pub(crate) fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        match (result, &mut self.0) {
            (Ok(value), _) => return Some(value),
            (Err(error), Some(errors)) => errors.combine(error),
            (Err(error), errors) => *errors = Some(error),
        }
        None
    }

    /// The value, which is there if there was no error.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T> {
        match (self.0, value) {
            (Some(errors), _) => Err(errors),
            (None, value) => Ok(value.expect("without an error there is a value")),
        }
    }
}
