//! An interface as WIT text.
//!
//! Names carry `%` so that none is taken for a keyword. The contract's types are
//! read from `wit/`, where the host reads them too.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::model::{Interface, Kind, Parameter, Plain, Procedure, Record};

const TYPES: &str = include_str!("../../../../wit/types.wit");

/// The text of a package whose world, named as the interface, exports it.
///
/// The interface stands in the world under its plain name, so the component's
/// export is `shop` rather than `some:package/shop`.
pub(crate) fn text(interface: &Interface) -> String {
    let (package, types) = contract();
    let name = &interface.name.wit;
    let mut text = format!("package procedures:%{name};\nworld %{name} {{\n");
    _ = write!(
        text,
        "export %{name}: interface {{\n{}}}\n}}\n",
        body(interface)
    );
    _ = write!(text, "package {package} {{\n{types}}}\n");
    text
}

/// The contract's interface of types, with its version: wit-bindgen is told where
/// its Rust types are.
pub(crate) fn types_interface() -> String {
    let (package, _) = contract();
    let (name, version) = package.split_once('@').unwrap_or((package, ""));
    format!("{name}/types@{version}")
}

/// The types of the contract that an interface mentions.
pub(crate) fn used(interface: &Interface) -> BTreeSet<&'static str> {
    let mut used = BTreeSet::new();
    for kind in interface.kinds() {
        kind.walk(&mut |kind| {
            if let Kind::Host(name) = kind {
                used.insert(*name);
            }
        });
    }
    if interface
        .procedures
        .iter()
        .any(|procedure| procedure.fallible)
    {
        used.insert("error");
    }
    used
}

/// The package's name and version, and what follows its `package` line.
fn contract() -> (&'static str, &'static str) {
    let (_, rest) = TYPES
        .split_once("\npackage ")
        .expect("wit/types.wit names its package");
    rest.split_once(";\n").expect("a package line ends")
}

fn body(interface: &Interface) -> String {
    let mut text = String::new();
    let used: Vec<&str> = used(interface).into_iter().collect();
    if !used.is_empty() {
        _ = writeln!(text, "use {}.{{{}}};", types_interface(), used.join(", "));
    }
    interface
        .records
        .iter()
        .for_each(|each| write_record(&mut text, each));
    interface
        .procedures
        .iter()
        .for_each(|each| write_procedure(&mut text, each));
    text
}

fn write_record(text: &mut String, record: &Record) {
    let field = |(name, kind)| format!("%{name}: {}", type_text(kind));
    let fields = record
        .fields
        .iter()
        .map(|each| field((&each.name.wit, &each.kind)));
    let fields: Vec<String> = fields.collect();
    _ = writeln!(
        text,
        "record %{} {{ {} }}",
        record.name.wit,
        fields.join(", ")
    );
}

fn write_procedure(text: &mut String, procedure: &Procedure) {
    let parameter = |each: &Parameter| format!("%{}: {}", each.wit, type_text(&each.kind));
    let parameters: Vec<String> = procedure.parameters.iter().map(parameter).collect();
    let output = output_text(procedure);
    _ = writeln!(
        text,
        "%{}: func({}){output};",
        procedure.name.wit,
        parameters.join(", ")
    );
}

fn output_text(procedure: &Procedure) -> String {
    match (&procedure.output, procedure.fallible) {
        (None, false) => String::new(),
        (None, true) => " -> result<_, error>".into(),
        (Some(kind), false) => format!(" -> {}", type_text(kind)),
        (Some(kind), true) => format!(" -> result<{}, error>", type_text(kind)),
    }
}

fn type_text(kind: &Kind) -> String {
    match kind {
        Kind::Plain(Plain { wit, .. }) | Kind::Host(wit) => (*wit).into(),
        Kind::Record(name) => format!("%{}", name.wit),
        Kind::Option(inner) => format!("option<{}>", type_text(inner)),
        Kind::List(inner) => format!("list<{}>", type_text(inner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    fn read(items: &str) -> Interface {
        let tokens = format!("mod m {{ {items} }}").parse().unwrap();
        read::module(Default::default(), tokens)
            .map(|(interface, _)| interface)
            .unwrap()
    }

    #[test]
    fn each_type_has_its_wit_type() {
        for (rust, wit) in [
            ("bool", "bool"),
            ("i16", "s16"),
            ("i32", "s32"),
            ("i64", "s64"),
            ("f32", "f32"),
            ("f64", "f64"),
            ("String", "string"),
            ("std::string::String", "string"),
            ("&str", "string"),
            ("Vec<u8>", "list<u8>"),
            ("&[u8]", "list<u8>"),
            ("Vec<String>", "list<string>"),
            ("Option<Vec<u8>>", "option<list<u8>>"),
            ("Vec<Option<Track>>", "list<option<%track>>"),
            ("(i64)", "s64"),
        ] {
            let items = format!("pub struct Track {{ id: i64 }} pub fn f(a: {rust}) {{}}");
            let expected = format!("record %track {{ %id: s64 }}\n%f: func(%a: {wit});\n");
            assert_eq!(body(&read(&items)), expected, "{rust}");
        }
    }

    #[test]
    fn types_of_the_contract_are_used_by_name() {
        for (signature, expected) in [
            (
                "f(a: Json)",
                "use heliosdb:host/types@0.1.0.{json};\n%f: func(%a: json);\n",
            ),
            (
                "f(a: heliosdb::Decimal) -> Vec<Timestamp>",
                "use heliosdb:host/types@0.1.0.{decimal, timestamp};\n\
                 %f: func(%a: decimal) -> list<timestamp>;\n",
            ),
            (
                "f() -> heliosdb::Result<Json>",
                "use heliosdb:host/types@0.1.0.{error, json};\n\
                 %f: func() -> result<json, error>;\n",
            ),
        ] {
            assert_eq!(
                body(&read(&format!("pub fn {signature} {{}}"))),
                expected,
                "{signature}"
            );
        }
    }

    #[test]
    fn each_return_type_has_its_wit_type() {
        let uses = "use heliosdb:host/types@0.1.0.{error};\n";
        for (rust, uses, wit) in [
            ("", "", ""),
            ("-> ()", "", ""),
            ("-> i64", "", " -> s64"),
            ("-> Result<()>", uses, " -> result<_, error>"),
            ("-> Result<i64>", uses, " -> result<s64, error>"),
            (
                "-> Result<Option<i64>, Error>",
                uses,
                " -> result<option<s64>, error>",
            ),
        ] {
            let items = format!("pub fn f() {rust} {{}}");
            assert_eq!(
                body(&read(&items)),
                format!("{uses}%f: func(){wit};\n"),
                "{rust}"
            );
        }
    }

    #[test]
    fn names_are_kebab_case_and_never_keywords() {
        for (items, expected) in [
            (
                "pub fn top_track(_list: i64) {}",
                "%top-track: func(%list: s64);\n",
            ),
            ("pub fn r#type(mut a: i64) {}", "%type: func(%a: s64);\n"),
            (
                "fn hidden() {} pub(crate) fn too() {} pub fn f() {}",
                "%f: func();\n",
            ),
            (
                "pub struct TopTrack { pub r#use: i64 } pub fn f() {}",
                "record %top-track { %use: s64 }\n%f: func();\n",
            ),
        ] {
            assert_eq!(body(&read(items)), expected, "{items}");
        }
    }

    #[test]
    fn the_interface_is_exported_by_its_plain_name() {
        let text = text(&read("pub fn f() {}"));
        let expected = "package procedures:%m;\nworld %m {\nexport %m: interface {\n%f: func();\n}\n}\n\
             package heliosdb:host@0.1.0 {\n";
        assert!(text.starts_with(expected), "{text}");
    }
}
