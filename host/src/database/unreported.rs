//! Tables that a statement reads without SQLite's authorizer being told.
//!
//! A join by name (NATURAL or USING) compares columns that are reported to nobody, and
//! what a FULL one returns is reported not at all, or of another table. So beside a join
//! by name every word that is the name of a table is taken for a table that is read: in
//! the statement, and in the views and triggers that it works through. More is refused
//! than must be, and nothing is missed: a table that has no name in the text is in no
//! join of it. It decides nothing.

use super::access::{Access, Table};
use super::backend::Database;
use super::sqlite::{Column, Failure};
use crate::execution::Execution;
use crate::statement::tokens::{Kind, Token, Tokens};
use rusqlite::ffi;
use std::collections::HashMap;

/// The views and triggers of every schema, less those that were taken.
#[derive(Default)]
struct Definitions {
    /// By the view's name in lower case: each schema may have one.
    views: HashMap<String, Vec<String>>,
    /// By the name in lower case of the table that they are on.
    triggers: HashMap<String, Vec<String>>,
}

impl Execution {
    /// The tables that the statement may read unreported.
    pub(super) fn unreported(&self, access: &Access, sql: &str) -> Result<Vec<Table>, Failure> {
        let database = &self.session.database;
        let mut definitions = database.definitions()?;
        let mut known = None;
        let mut tables = Vec::new();
        let mut texts = vec![sql.to_string()];
        let mut indirect = false;
        while let Some(text) = texts.pop() {
            if joins_by_name(&text)? {
                let known = match &known {
                    Some(known) => known,
                    None => known.insert(database.known_names()?),
                };
                for_each_name(&text, |name| {
                    let table = named_table(name, known, indirect);
                    tables.extend(table.filter(|table| !tables.contains(table)));
                })?;
            }
            indirect = true;
            texts.extend(definitions.take(&text, access)?);
        }
        Ok(tables)
    }
}

impl Database {
    fn definitions(&self) -> Result<Definitions, Failure> {
        let mut definitions = Definitions::default();
        self.for_each_object("'view','trigger'", |[kind, name, table, sql]| {
            let (map, key) = match kind.as_str() {
                "view" => (&mut definitions.views, name),
                _ => (&mut definitions.triggers, table),
            };
            map.entry(key.to_ascii_lowercase()).or_default().push(sql);
        })?;
        Ok(definitions)
    }

    /// Names of tables, views and modules: in lower case, each with the name as it is.
    fn known_names(&self) -> Result<HashMap<String, String>, Failure> {
        let mut names = Vec::new();
        self.for_each_object("'table','view'", |[_, name, ..]| names.push(name))?;
        let modules = "SELECT '', name, '', '' FROM pragma_module_list";
        self.for_each_row(modules, |[_, name, ..]| names.push(name))?;
        let lower = |name: String| (name.to_ascii_lowercase(), name);
        Ok(names.into_iter().map(lower).collect())
    }

    fn for_each_object(
        &self,
        kinds: &str,
        mut on_object: impl FnMut([String; 4]),
    ) -> Result<(), Failure> {
        let mut schemas = Vec::new();
        let list = "SELECT '', name, '', '' FROM pragma_database_list";
        self.for_each_row(list, |[_, name, ..]| schemas.push(name))?;
        for schema in schemas {
            let schema = schema.replace('"', "\"\"");
            let sql = format!(
                "SELECT type, name, tbl_name, sql FROM \"{schema}\".sqlite_schema
                 WHERE type IN ({kinds})"
            );
            self.for_each_row(&sql, &mut on_object)?;
        }
        Ok(())
    }

    /// Rows of four texts each.
    fn for_each_row(&self, sql: &str, mut on_row: impl FnMut([String; 4])) -> Result<(), Failure> {
        self.gate.as_host(|| {
            if let (Some(mut statement), _) = self.handle.prepare(sql)? {
                while statement.step()? {
                    on_row(std::array::from_fn(|index| match statement.column(index) {
                        Column::Text(text) => String::from_utf8_lossy(text).into_owned(),
                        _ => String::new(),
                    }));
                }
            }
            Ok(())
        })
    }
}

impl Definitions {
    /// Takes what a text works through: the views that it names, and the triggers on what
    /// the statement writes.
    fn take(&mut self, text: &str, access: &Access) -> Result<Vec<String>, Failure> {
        let mut taken = Vec::new();
        for written in &access.writes {
            let triggers = self.triggers.remove(&written.name.to_ascii_lowercase());
            taken.extend(triggers.into_iter().flatten());
        }
        if !self.views.is_empty() {
            for_each_name(text, |name| {
                let views = self.views.remove(&name.to_ascii_lowercase());
                taken.extend(views.into_iter().flatten());
            })?;
        }
        Ok(taken)
    }
}

fn named_table(name: &str, known: &HashMap<String, String>, indirect: bool) -> Option<Table> {
    let lower = name.to_ascii_lowercase();
    let known = known.get(&lower);
    // SQLite's own have names that it does not list.
    let is_own = lower.starts_with("sqlite_") || lower.starts_with("pragma_");
    if known.is_none() && !is_own {
        return None;
    }
    Some(Table {
        schema: known.is_none().then(|| "main".to_string()),
        name: known.cloned().unwrap_or(lower),
        indirect,
    })
}

fn joins_by_name(text: &str) -> Result<bool, Failure> {
    let mut joins = false;
    for_each_token(text, |token| {
        joins |= token.is_word("NATURAL") || token.is_word("USING");
    })?;
    Ok(joins)
}

/// All that may be a name in the text: SQLite takes strings for names, too.
fn for_each_name(text: &str, mut on_name: impl FnMut(&str)) -> Result<(), Failure> {
    for_each_token(text, |token| match token.kind {
        Kind::Word => on_name(token.text),
        Kind::QuotedName | Kind::String => on_name(&token.unquoted()),
        _ => {}
    })
}

/// The tokens of a text that SQLite has accepted, as SQLite cuts them.
fn for_each_token(text: &str, mut on_token: impl FnMut(&Token<'_>)) -> Result<(), Failure> {
    let refused = |message: &str| Failure {
        code: ffi::SQLITE_ERROR,
        message: message.to_string(),
    };
    for token in Tokens::new(text) {
        match token {
            // To SQLite it is a parameter, and what follows may be anything.
            Ok(token) if token.kind == Kind::DollarString => {
                return Err(refused("a parameter is \"?\", or \"$1\" by its number"));
            }
            Ok(token) => on_token(&token),
            // SQLite lets the text's end close it.
            Err(error) if error.message().starts_with("unterminated comment") => break,
            Err(error) => return Err(refused(error.message())),
        }
    }
    Ok(())
}
