//! What a module of procedures exports. Plain data.

use syn::Ident;

/// One module: an exported interface.
pub(crate) struct Interface {
    pub(crate) name: Name,
    pub(crate) records: Vec<Record>,
    pub(crate) procedures: Vec<Procedure>,
}

/// A `pub struct`.
pub(crate) struct Record {
    pub(crate) name: Name,
    pub(crate) fields: Vec<Field>,
}

/// A field of a record.
pub(crate) struct Field {
    pub(crate) name: Name,
    pub(crate) kind: Kind,
}

/// A `pub fn`.
pub(crate) struct Procedure {
    pub(crate) name: Name,
    pub(crate) parameters: Vec<Parameter>,
    /// What it returns, if anything.
    pub(crate) output: Option<Kind>,
    /// Whether it returns a `Result`.
    pub(crate) fallible: bool,
}

/// A parameter of a procedure.
pub(crate) struct Parameter {
    pub(crate) wit: String,
    pub(crate) kind: Kind,
    /// Whether the procedure takes a reference: `&str`.
    pub(crate) borrowed: bool,
}

/// A type.
pub(crate) enum Kind {
    /// A type that WIT has too.
    Plain(Plain),
    /// A type of `heliosdb:host/types`, by its WIT name.
    Host(&'static str),
    /// A `pub struct` of the module.
    Record(Name),
    Option(Box<Kind>),
    List(Box<Kind>),
}

/// A type that WIT has too, as each side writes it.
#[derive(Clone, Copy)]
pub(crate) struct Plain {
    pub(crate) wit: &'static str,
    pub(crate) rust: &'static str,
}

/// A name in its three spellings.
#[derive(Clone)]
pub(crate) struct Name {
    /// As the module has it.
    pub(crate) rust: Ident,
    /// As WIT has it: `top-track`.
    pub(crate) wit: String,
    /// As wit-bindgen spells the WIT name in the code that it generates.
    pub(crate) bound: Ident,
}

impl Kind {
    /// Calls `visit` with this type and the types that it is made of.
    pub(crate) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Kind)) {
        visit(self);
        if let Self::Option(inner) | Self::List(inner) = self {
            inner.walk(visit);
        }
    }

    /// The record that this type is made of, if any: `Option<Vec<Track>>` is made
    /// of `Track`.
    pub(crate) fn record(&self) -> Option<&Name> {
        match self {
            Self::Plain(_) | Self::Host(_) => None,
            Self::Record(name) => Some(name),
            Self::Option(inner) | Self::List(inner) => inner.record(),
        }
    }
}

impl Interface {
    /// Every type that a record or a procedure mentions.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        let fields = self.records.iter().flat_map(|record| &record.fields);
        let parameters = self.procedures.iter().flat_map(|each| &each.parameters);
        let outputs = self
            .procedures
            .iter()
            .filter_map(|each| each.output.as_ref());
        let fields = fields.map(|field| &field.kind);
        fields
            .chain(parameters.map(|parameter| &parameter.kind))
            .chain(outputs)
    }
}
