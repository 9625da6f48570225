//! The constants of a function: the texts that its author wrote and nobody else can have
//! had a part in.
//!
//! A statement with literals in it must be one of them, so that no input becomes part of
//! a statement. They are found in what was uploaded, when they are first asked for. To
//! find too many of them does no harm, as long as each stands in there.

mod component;
mod javascript;

use crate::function::Code;
use std::collections::HashSet;
use std::sync::OnceLock;

/// The constants of one version of a function.
pub(crate) enum Constants {
    /// The strings of a source, by their hashes.
    Strings(HashSet<[u8; 32]>),
    /// The texts in the data of a component. A constant is a part of one.
    Data(Vec<Box<str>>),
}

/// A function's constants, once they have been asked for. A copy of the function is made
/// to be changed, so it has none.
#[derive(Default)]
pub(crate) struct Known(OnceLock<Constants>);

impl Clone for Known {
    fn clone(&self) -> Known {
        Known::default()
    }
}

impl Known {
    /// The constants, which are found in `content` if they are not known.
    pub(crate) fn get<E>(
        &self,
        code: &Code,
        content: impl FnOnce() -> Result<std::sync::Arc<[u8]>, E>,
    ) -> Result<&Constants, E> {
        if let Some(known) = self.0.get() {
            return Ok(known);
        }
        let found = Constants::of(code, &content()?);
        Ok(self.0.get_or_init(|| found))
    }
}

impl Constants {
    fn of(code: &Code, content: &[u8]) -> Constants {
        match code {
            Code::JavaScript { .. } => {
                let source = String::from_utf8_lossy(content);
                let strings = javascript::strings(&source);
                Constants::Strings(strings.iter().map(|text| hash(text)).collect())
            }
            Code::Component { .. } => Constants::Data(component::texts(content)),
            // Nothing of its own runs.
            Code::Aggregate { .. } => Constants::Data(Vec::new()),
        }
    }

    /// Whether a text is one.
    pub(crate) fn contain(&self, text: &str) -> bool {
        match self {
            Constants::Strings(hashes) => hashes.contains(&hash(text)),
            Constants::Data(texts) => texts.iter().any(|data| data.contains(text)),
        }
    }
}

fn hash(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}
