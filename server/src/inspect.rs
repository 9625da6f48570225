//! `perihelion inspect`: what a component exports, as SQL functions, and what it has
//! to be granted, as statements to paste.
//!
//! Whether it can be created is not judged here: CREATE FUNCTION is asked, on a
//! database in memory.

use crate::{directories, json, output, render};
use perihelion::{Capability, Error, Inspection, Result, SqlState};
use serde_json::json;
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

/// What is shown of a component.
struct Report {
    inspection: Inspection,
    /// The SQL names of the functions that can be called.
    callable: Vec<String>,
    path: String,
    refusal: Option<Error>,
}

/// Prints what is in the component. Fails if CREATE FUNCTION would refuse it.
pub(crate) fn run(file: &Path, as_json: bool) -> ExitCode {
    let report = match examine(file) {
        Ok(report) => report,
        Err(error) if as_json => {
            let line = json::failure(&error, &[], None) + "\n";
            return output::status(output::print(&line).map(|()| false));
        }
        Err(error) => return output::fail(&error),
    };
    let text = if as_json {
        report.json()
    } else {
        report.text()
    };
    let printed = output::print(&text);
    if let Some(error) = report.refusal.as_ref().filter(|_| !as_json) {
        output::complain(&render::error(error, None, false));
    }
    output::status(printed.map(|()| report.refusal.is_none()))
}

fn examine(file: &Path) -> Result<Report> {
    let inspection = perihelion::inspect(&read(file)?)?;
    let callable: Vec<String> = inspection
        .functions()
        .iter()
        .filter_map(|function| callable_name(function))
        .collect();
    // Absolute, so that it can be pasted anywhere and is never taken for base64.
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let path = path.display().to_string();
    let refusal = match callable.first() {
        Some(name) => try_create(&path, name).err(),
        None => Some(Error::new(
            SqlState::INVALID_VALUE,
            "the component exports no function that can be called from SQL",
        )),
    };
    Ok(Report {
        inspection,
        callable,
        path,
        refusal,
    })
}

/// No component is larger; what is too large is refused by its first part.
const FILE_BYTES_MAX: u64 = 1 << 30;

fn read(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| {
            let name = file.display();
            Error::new(
                SqlState::IO,
                format!("\"{name}\" cannot be read: {}", error.kind()),
            )
        })?;
    Ok(bytes)
}

fn try_create(path: &str, name: &str) -> Result<()> {
    let mut session = directories::open_vault(None)?.session()?;
    session.execute(&create(path, name)).map(drop)
}

fn create(path: &str, name: &str) -> String {
    format!(
        "CREATE FUNCTION {name} LANGUAGE wasm AS '{}';",
        path.replace('\'', "''")
    )
}

/// The name as a statement has to write it, if the function can be called from SQL.
fn callable_name(function: &str) -> Option<String> {
    let (name, rest) = function.split_once(['(', ':'])?;
    if rest.starts_with(" not callable") {
        return None;
    }
    let needs_quotes = !name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    Some(if needs_quotes {
        format!("\"{name}\"")
    } else {
        name.to_string()
    })
}

impl Report {
    /// Imports are the component's, and grants a function's: each one has its own.
    fn grants(&self) -> Vec<String> {
        let capabilities: Vec<String> = self
            .inspection
            .capabilities()
            .into_iter()
            .map(as_grant)
            .collect();
        if capabilities.is_empty() {
            return Vec::new();
        }
        let wanted = capabilities.join(", ");
        let grant = |name| format!("ALTER FUNCTION {name} GRANT CAPABILITY {wanted};");
        self.callable.iter().map(grant).collect()
    }

    fn text(&self) -> String {
        let own = |lines: Vec<&str>| lines.into_iter().map(str::to_string).collect::<Vec<_>>();
        let create = self
            .callable
            .iter()
            .map(|name| create(&self.path, name))
            .collect();
        let sections = [
            ("functions", self.inspection.functions()),
            ("to create them", create),
            (
                "to grant what the component imports; name the tables",
                self.grants(),
            ),
            (
                "WASI imports; a clock needs TIME_ACCESS, and what this host does not offer \
                 is refused when it is called",
                own(self.inspection.wasi()),
            ),
            (
                "imports that this host does not have",
                own(self.inspection.unknown_imports()),
            ),
        ];
        let mut text = String::new();
        for (title, lines) in sections.iter().filter(|(_, lines)| !lines.is_empty()) {
            let _ = writeln!(text, "-- {title}");
            for line in lines {
                let _ = writeln!(text, "{}", render::printable(line).replace('\n', " "));
            }
            text.push('\n');
        }
        text
    }

    fn json(&self) -> String {
        let capabilities: Vec<&str> = self
            .inspection
            .capabilities()
            .into_iter()
            .map(Capability::name)
            .collect();
        let mut object = json!({
            "functions": self.inspection.functions(),
            "capabilities": capabilities,
            "grants": self.grants(),
            "wasi": self.inspection.wasi(),
            "unknown_imports": self.inspection.unknown_imports(),
        });
        if let Some(error) = &self.refusal {
            object["error"] = json::error(error, None);
        }
        format!("{object}\n")
    }
}

fn as_grant(capability: Capability) -> String {
    match capability.takes_pattern() {
        false => capability.name().to_string(),
        true => format!("{}('<table>')", capability.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_called_is_created() {
        for (function, expected) in [
            ("top_track(customer BIGINT) RETURNS JSON", Some("top_track")),
            ("get_URL() RETURNS TEXT", Some("\"get_URL\"")),
            (
                "open: not callable from SQL: it takes a resource (file)",
                None,
            ),
        ] {
            assert_eq!(callable_name(function).as_deref(), expected);
        }
    }
}
