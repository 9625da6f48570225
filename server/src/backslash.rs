//! Backslash commands, as psql has them: questions that one asks often, in one word.
//! They are the prompt's and a script's, never the database's.

use crate::shell::{Ran, Shell};
use perihelion::{SqlState, Value};
use std::io;
use std::path::Path;

/// The commands, for completion.
pub(crate) const NAMES: [&str; 7] = ["\\?", "\\d", "\\df", "\\dp", "\\i", "\\q", "\\timing"];

const HELP: &str = "\
\\d            tables and views
\\d NAME       the columns of a table or view
\\df [NAME]    functions
\\dp [NAME]    what functions are granted and denied
\\i FILE       run the statements of a file
\\timing       show how long each statement takes, or stop showing it
\\q            quit
\\?            this help
Everything else is SQL, up to a semicolon. To begin:
  CREATE FUNCTION add(a BIGINT, b BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
    function add(a, b) { return a + b }
  $$;
  SELECT add(2, 3);
  SELECT * FROM heliosdb.audit_log;
";

const RELATIONS: &str = "SELECT name, type FROM sqlite_schema \
    WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite_*' ORDER BY name";

const COLUMNS: &str = "SELECT name AS \"column\", type, \
    iif(\"notnull\", 'not null', '') AS nullable, dflt_value AS \"default\", \
    iif(pk, pk, NULL) AS \"primary key\" FROM pragma_table_xinfo(?1) WHERE hidden <> 1";

const COLUMNS_OF_SCHEMA: &str = "SELECT name AS \"column\", type, \
    iif(\"notnull\", 'not null', '') AS nullable, dflt_value AS \"default\", \
    iif(pk, pk, NULL) AS \"primary key\" FROM pragma_table_xinfo(?1, ?2) WHERE hidden <> 1";

const RELATIONS_ON_POSTGRES: &str = "SELECT n.nspname AS schema, c.relname AS name, \
    CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' \
      WHEN 'f' THEN 'foreign table' ELSE 'table' END AS type \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^(pg_|information_schema$)' \
    ORDER BY 1, 2";

const COLUMNS_ON_POSTGRES: &str = "SELECT a.attname AS column, \
    pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, \
    CASE WHEN a.attnotnull THEN 'not null' ELSE '' END AS nullable, \
    pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS default \
    FROM pg_catalog.pg_attribute a \
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped \
    ORDER BY a.attnum";

const FUNCTIONS: &str = "SELECT name, kind, parameters, returns, language, \
    iif(strict, 'yes', 'no') AS strict, version, iif(enabled, 'yes', 'no') AS enabled \
    FROM heliosdb.functions WHERE ?1 IS NULL OR name = ?1 ORDER BY name";

const GRANTS: &str = "SELECT function_name AS \"function\", kind, capability, pattern \
    FROM heliosdb.grants WHERE ?1 IS NULL OR function_name = ?1 \
    ORDER BY function_name, kind, capability, pattern";

/// Runs a line that begins with a backslash.
pub(crate) fn run(shell: &mut Shell, line: &str) -> io::Result<Ran> {
    let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = unquoted(argument.trim());
    match (command, argument) {
        ("\\?", _) => shell.say(HELP),
        ("\\q", _) => Ok(Ran::Quit),
        ("\\timing", _) => toggle_timing(shell),
        ("\\d", "") if shell.session.is_on_postgres() => shell.query(RELATIONS_ON_POSTGRES, &[]),
        ("\\d", "") => shell.query(RELATIONS, &[]),
        ("\\d", name) => describe(shell, name),
        ("\\df", name) => shell.query(FUNCTIONS, &[optional(name)]),
        ("\\dp", name) => shell.query(GRANTS, &[optional(name)]),
        ("\\i", "") => shell.fail(SqlState::SYNTAX, "\\i needs a file's name".to_string()),
        ("\\i", path) => shell.run_file(Path::new(path)),
        _ => shell.fail(
            SqlState::SYNTAX,
            format!("no command {command}; \\? lists those there are"),
        ),
    }
}

fn toggle_timing(shell: &mut Shell) -> io::Result<Ran> {
    shell.timing = !shell.timing;
    shell.say(if shell.timing {
        "Timing is on.\n"
    } else {
        "Timing is off.\n"
    })
}

fn describe(shell: &mut Shell, name: &str) -> io::Result<Ran> {
    let text = |name: &str| Value::Text(unquoted(name).to_string());
    let result = match name.split_once('.') {
        _ if shell.session.is_on_postgres() => {
            let name = [Value::Text(name.to_string())];
            shell.session.execute_with(COLUMNS_ON_POSTGRES, &name)
        }
        Some((schema, table)) => shell
            .session
            .execute_with(COLUMNS_OF_SCHEMA, &[text(table), text(schema)]),
        None => shell.session.execute_with(COLUMNS, &[text(name)]),
    };
    match result {
        Ok(columns) if columns.rows.is_empty() => shell.fail(
            SqlState::UNDEFINED_TABLE,
            format!("no table or view \"{name}\""),
        ),
        Ok(columns) => shell.show(&columns),
        Err(error) => shell.show_error(&error, None),
    }
}

/// A name as it is stored, and NULL for none.
fn optional(name: &str) -> Value {
    if name.is_empty() {
        Value::Null
    } else {
        Value::Text(name.to_string())
    }
}

/// A semicolon out of habit, and quotes around a name, are no part of it.
fn unquoted(argument: &str) -> &str {
    let argument = argument.trim_end_matches(';').trim_end();
    ['\'', '"']
        .into_iter()
        .find_map(|quote| argument.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_a_semicolon_are_no_part_of_an_argument() {
        for (argument, expected) in [
            ("users", "users"),
            ("users;", "users"),
            ("'a b.sql'", "a b.sql"),
            ("\"x\";", "x"),
            ("'", "'"),
        ] {
            assert_eq!(unquoted(argument), expected);
        }
    }

    #[test]
    fn every_command_is_in_the_help() {
        for name in NAMES {
            assert!(HELP.contains(&format!("{name} ")), "{name}");
        }
    }
}
