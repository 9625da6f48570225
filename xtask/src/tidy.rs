//! Rules about the source tree that no compiler checks, as tests. ARCHITECTURE.md
//! says what they are for.
//!
//! They read lines, not syntax: enough for code that nobody writes to deceive them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The only files of the host that link functions into a component.
const LINKERS: [&str; 2] = ["host/src/linker.rs", "host/src/wasi/mod.rs"];

/// The only folder that knows an interface of WASI by name.
const WASI: &str = "host/src/wasi/";

/// The only files with unsafe code; each block in them says why it is sound, or, in the
/// hostile guest, that it is not.
const UNSAFE: [&str; 12] = [
    "guests/rust/hostile/src/lib.rs",
    "host/src/audit/table.rs",
    "host/src/database/memory.rs",
    "host/src/database/sqlite.rs",
    "host/src/database/temporary.rs",
    "host/src/engine/cache.rs",
    "host/src/session/tables.rs",
    "host/src/views/mod.rs",
    "sdk/js-engine/build/src/stack.rs",
    "sdk/js-engine/src/lib.rs",
    "sdk/js-engine/src/run.rs",
    "sdk/js-engine/src/value.rs",
];

/// The feature with which a guard can be removed, and the files of the host that ask
/// whether it is on.
const REMOVE_GUARDS: &str = "remove-guards";
const GUARDS: [&str; 3] = [
    "host/src/guard.rs",
    "host/src/lib.rs",
    "host/src/runtime.rs",
];
const TIDY: &str = "xtask/src/tidy.rs";

const LINES_MAX: usize = 600;
const GUEST_LINES_MAX: usize = 100;

/// Made by `cargo component`.
const GENERATED: &str = "guests/component/src/bindings.rs";

/// Interfaces that reach nothing, and so are no capabilities.
const ALWAYS_LINKED: [&str; 2] = ["types", "log"];

/// The files that every capability's folder has.
const CAPABILITY_FILES: [&str; 3] = ["grant.rs", "host.rs", "backend.rs"];

/// A file of the project.
struct Source {
    /// Relative to the root.
    path: String,
    text: String,
}

#[test]
fn only_the_linker_adds_to_a_linker() {
    let calls = ["add_to_linker", ".func_new(", ".func_wrap("];
    let allowed = |source: &Source| LINKERS.contains(&source.path.as_str());
    let found = lines_with(&sources("host/src", "rs"), allowed, |code| {
        calls.iter().any(|call| code.contains(call))
    });
    assert_none(&found, "only linker.rs and wasi/ add to a linker");
}

#[test]
fn only_one_folder_knows_wasi() {
    let names_wasi = |code: &str| {
        code.split("wasi:")
            .skip(1)
            .any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    let found = lines_with(
        &sources("host/src", "rs"),
        |s| s.path.starts_with(WASI),
        names_wasi,
    );
    assert_none(&found, "only wasi/ names an interface of WASI");
}

#[test]
fn unsafe_code_is_where_it_is_expected() {
    let opens = |code: &str| {
        [" {", " impl", " fn", " extern", "("]
            .iter()
            .any(|next| code.contains(&format!("unsafe{next}")))
    };
    let is_found = |code: &str| code.split('"').step_by(2).any(opens);
    let found: BTreeSet<String> = rust()
        .into_iter()
        .filter(|source| code(&source.text).any(|(_, code)| is_found(code)))
        .map(|source| source.path)
        .collect();
    let listed = UNSAFE.map(String::from).into_iter().collect();
    assert_eq!(found, listed, "files with unsafe code, and those listed");
}

#[test]
fn h1_only_the_tests_can_remove_a_guard() {
    let mut found = Vec::new();
    for manifest in sources("", "toml") {
        let enables =
            manifest.text.contains(REMOVE_GUARDS) || manifest.text.contains("all-features");
        if enables && !["host/Cargo.toml", "tests/Cargo.toml"].contains(&manifest.path.as_str()) {
            found.push(manifest.path);
        }
    }
    let host = read(&root().join("host/Cargo.toml"));
    assert!(host.contains("remove-guards = []") && !host.contains("default ="));
    // As a dependency of tests, it is in no build but theirs.
    let tests = read(&root().join("tests/Cargo.toml"));
    let (before, _) = tests.split_once(REMOVE_GUARDS).expect("the feature");
    let section = before.lines().rfind(|line| line.starts_with('['));
    assert_eq!(section, Some("[dev-dependencies]"));
    let allowed = |source: &Source| source.path.starts_with("tests/") || source.path == TIDY;
    let asks = |source: &Source| GUARDS.contains(&source.path.as_str());
    found.extend(lines_with(
        &rust(),
        |s| allowed(s) || asks(s),
        |code| code.contains(REMOVE_GUARDS) || code.contains(".without(Guard::"),
    ));
    assert_none(&found, "only tests/ can remove a guard");
}

#[test]
fn the_host_is_finished_and_silent() {
    let macros = [
        "todo!",
        "unimplemented!",
        "dbg!",
        "print!",
        "println!",
        "eprint!",
        "eprintln!",
    ];
    let calls = |code: &str| {
        code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '!'))
            .any(|word| macros.contains(&word))
    };
    let is_test = |source: &Source| source.path.contains("/tests/");
    let found = lines_with(&sources("host/src", "rs"), is_test, calls);
    assert_none(&found, "the host prints nothing and leaves nothing to do");
}

#[test]
fn every_file_says_what_it_is() {
    let found: Vec<String> = rust()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert_none(&found, "a file begins with `//!` and what it is");
}

#[test]
fn no_file_is_long() {
    let found: Vec<String> = rust()
        .into_iter()
        .map(|source| (source.text.lines().count(), source.path))
        .filter(|(lines, path)| *lines > lines_max(path))
        .map(|(lines, path)| format!("{path}: {lines} lines, at most {}", lines_max(&path)))
        .collect();
    assert_none(&found, "a long file is several");
}

#[test]
fn comments_keep_no_history() {
    // In two parts, so that this file does not find itself.
    let marks = [("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("HA", "CK")];
    let marks = marks.map(|(a, b)| [a, b].concat());
    let mut files = rust();
    files.extend(sources("wit", "wit"));
    let is_ticket = |line: &str| {
        line.to_lowercase()
            .split("issue ")
            .skip(1)
            .any(|rest| rest.starts_with(|c: char| c == '#' || c.is_ascii_digit()))
    };
    let mut found = Vec::new();
    for source in &files {
        for (number, line) in (1..).zip(source.text.lines()) {
            if is_ticket(line) || marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none(
        &found,
        "what is to do, and was done, is not kept in the code",
    );
}

#[test]
fn every_wit_item_is_documented() {
    let keywords = [
        "interface ",
        "world ",
        "record ",
        "variant ",
        "enum ",
        "flags ",
        "resource ",
    ];
    let mut found = Vec::new();
    for source in sources("wit", "wit") {
        let mut previous = "";
        for line in source.text.lines().map(str::trim) {
            let item = keywords.iter().any(|word| line.starts_with(word));
            if (item || function(line).is_some()) && !previous.starts_with("///") {
                found.push(format!("{}: {line}", source.path));
            }
            previous = line;
        }
    }
    assert_none(&found, "every item of the contract is documented");
}

#[test]
fn every_capability_has_the_same_files() {
    let mut found = Vec::new();
    for interface in capability_interfaces() {
        // `database-read` and `database-write` share a folder.
        let folder = interface.split('-').next().unwrap_or(&interface);
        for file in CAPABILITY_FILES {
            let path = format!("host/src/{folder}/{file}");
            if !root().join(&path).is_file() {
                found.push(path);
            }
        }
    }
    assert_none(&found, "a capability's folder has its three files");
}

#[test]
fn every_wit_function_is_tested_granted_and_refused() {
    let tests: String = sources("tests", "rs").into_iter().map(|s| s.text).collect();
    let mut found = Vec::new();
    for interface in capability_interfaces() {
        let wit = read(&root().join(format!("wit/{interface}.wit")));
        for function in wit.lines().filter_map(|line| function(line.trim())) {
            for outcome in ["allow", "refuse"] {
                let name = format!("{interface}_{function}_{outcome}").replace('-', "_");
                if !tests.contains(&format!("fn {name}()")) {
                    found.push(name);
                }
            }
        }
    }
    assert_none(&found, "every function of the contract has these tests");
}

/// The interfaces that a procedure may import and that need a grant.
fn capability_interfaces() -> Vec<String> {
    let worlds = read(&root().join("wit/worlds.wit"));
    let (_, world) = worlds.split_once("world imports {").expect("the world");
    let (imports, _) = world.split_once('}').expect("its end");
    imports
        .lines()
        .filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';'))
        .filter(|interface| !ALWAYS_LINKED.contains(interface))
        .map(String::from)
        .collect()
}

/// The name of the function that a line of WIT declares.
fn function(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(':')?;
    let is_name = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '%');
    (is_name && rest.trim_start().starts_with("func(")).then(|| name.trim_start_matches('%'))
}

fn lines_max(path: &str) -> usize {
    match path.starts_with("guests/") {
        true => GUEST_LINES_MAX,
        false => LINES_MAX,
    }
}

/// The lines on which a rule finds something, in files that it does not allow it.
fn lines_with(
    sources: &[Source],
    allowed: impl Fn(&Source) -> bool,
    found: impl Fn(&str) -> bool,
) -> Vec<String> {
    sources
        .iter()
        .filter(|source| !allowed(source))
        .flat_map(|source| {
            code(&source.text)
                .filter(|(_, code)| found(code))
                .map(|(number, code)| format!("{}:{number}: {}", source.path, code.trim()))
        })
        .collect()
}

/// The lines with code, without their comments, and their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.lines())
        .map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
        .filter(|(_, code)| !code.trim().is_empty())
}

#[track_caller]
fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// Every Rust file of the project.
fn rust() -> Vec<Source> {
    sources("", "rs")
}

/// The files of a folder with an extension, except what is built or downloaded.
fn sources(folder: &str, extension: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .map(|path| Source {
            text: read(&path),
            path: path
                .strip_prefix(root())
                .unwrap_or(&path)
                .display()
                .to_string(),
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("its entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let generated = ["target", "node_modules"].contains(&&*name);
        if name.starts_with('.') || generated || path.ends_with(GENERATED) {
            continue;
        }
        match path.is_dir() {
            true => collect(&path, paths),
            false => paths.push(path),
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    crate::root()
}
