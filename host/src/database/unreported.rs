//! What a statement does without SQLite's authorizer being told.
//!
//! A join by name (NATURAL or USING) compares columns that are reported to nobody, and
//! what a FULL one returns is reported not at all, or of another table. So beside a join
//! by name every word that is the name of a table is taken for a table that is read: in
//! the statement, and in the views and triggers that it works through. More is refused
//! than must be, and nothing is missed: a table that has no name in the text is in no
//! join of it. Nor is it told of the rows that an UPDATE OR REPLACE deletes. It decides
//! nothing.

use super::access::{Access, Part, Table, note_table};
use super::backend::Database;
use super::sqlite::{Column, Failure};
use crate::execution::Execution;
use crate::statement::quoted;
use crate::statement::tokens::{Kind, Token, Tokens};
use rusqlite::ffi;
use std::collections::{BTreeSet, HashMap};

/// The views and triggers of every schema, less those that were taken.
#[derive(Default)]
struct Definitions {
    /// By the view's name in lower case: each schema may have one.
    views: HashMap<String, Vec<String>>,
    /// By the name in lower case of the table that they are on.
    triggers: HashMap<String, Vec<String>>,
}

/// What a statement may do unreported.
#[derive(Default)]
pub(super) struct Unreported {
    pub(super) reads: Vec<Table>,
    /// Whether an UPDATE in it may delete rows.
    pub(super) replaces: bool,
}

/// What the words of one text say.
#[derive(Default)]
struct Words {
    natural: bool,
    /// The columns that USING names, in lower case. With too many to keep, it is natural.
    using: Option<BTreeSet<String>>,
    replaces: bool,
}

/// The most columns of a USING; SQLite has no table with more.
const COLUMNS_MAX: usize = 2_000;

impl Execution {
    /// What the statement may do unreported, itself and through views and triggers.
    pub(super) fn unreported(&self, access: &Access, sql: &str) -> Result<Unreported, Failure> {
        let database = &self.session.database;
        let mut definitions = database.definitions()?;
        let mut known = None;
        let mut unreported = Unreported::default();
        let mut texts = vec![sql.to_string()];
        let mut indirect = false;
        while let Some(text) = texts.pop() {
            let words = Words::read(&text)?;
            unreported.replaces |= words.replaces;
            if let Some(part) = words.compared() {
                let known = match &known {
                    Some(known) => known,
                    None => known.insert(database.known_names()?),
                };
                for_each_name(&text, |name| {
                    if let Some(table) = named_table(name, known, indirect, &part) {
                        note_table(&mut unreported.reads, table);
                    }
                })?;
            }
            indirect = true;
            texts.extend(definitions.take(&text, access)?);
        }
        Ok(unreported)
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

    /// The tables of a schema.
    pub(super) fn tables_of(&self, schema: &str) -> Result<Vec<String>, Failure> {
        let mut tables = Vec::new();
        self.for_each_object_of(schema, "'table'", |[_, name, ..]| tables.push(name))?;
        Ok(tables)
    }

    /// The text of CREATE TABLE. A view has none.
    pub(super) fn definition(&self, schema: &str, table: &str) -> Result<Option<String>, Failure> {
        let mut definition = None;
        self.for_each_object_of(schema, "'table'", |[_, name, _, sql]| {
            if name.eq_ignore_ascii_case(table) {
                definition = Some(sql);
            }
        })?;
        Ok(definition)
    }

    fn for_each_object(
        &self,
        kinds: &str,
        mut on_object: impl FnMut([String; 4]),
    ) -> Result<(), Failure> {
        let mut schemas = Vec::new();
        let list = "SELECT '', name, '', '' FROM pragma_database_list";
        self.for_each_row(list, |[_, name, ..]| schemas.push(name))?;
        let mut schemas = schemas.iter();
        schemas.try_for_each(|schema| self.for_each_object_of(schema, kinds, &mut on_object))
    }

    fn for_each_object_of(
        &self,
        schema: &str,
        kinds: &str,
        on_object: impl FnMut([String; 4]),
    ) -> Result<(), Failure> {
        let sql = format!(
            "SELECT type, name, tbl_name, sql FROM {}.sqlite_schema
             WHERE type IN ({kinds})",
            quoted(schema)
        );
        self.for_each_row(&sql, on_object)
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

fn named_table(
    name: &str,
    known: &HashMap<String, String>,
    indirect: bool,
    part: &Part,
) -> Option<Table> {
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
        part: part.clone(),
    })
}

impl Words {
    fn read(text: &str) -> Result<Words, Failure> {
        let mut words = Words::default();
        let mut in_using = false;
        let mut after_or = false;
        let mut after_replace = false;
        for_each_token(text, |token| {
            // `OR replace(…)` is a function.
            words.replaces |= after_replace && !token.is_symbol("(");
            after_replace = after_or && token.is_word("REPLACE");
            after_or = token.is_word("OR") || token.is_word("CONFLICT");
            words.natural |= token.is_word("NATURAL");
            if token.is_word("USING") {
                in_using = true;
                words.using.get_or_insert_default();
            } else if in_using {
                words.take_column(token);
                in_using = !token.is_symbol(")");
            }
        })?;
        words.replaces |= after_replace;
        Ok(words)
    }

    fn take_column(&mut self, token: &Token<'_>) {
        let using = self.using.get_or_insert_default();
        if using.len() >= COLUMNS_MAX {
            self.natural = true;
        } else if matches!(token.kind, Kind::Word | Kind::QuotedName | Kind::String) {
            using.insert(token.unquoted().to_ascii_lowercase());
        }
    }

    /// What a join by name compares of each table, if there is one.
    fn compared(&self) -> Option<Part> {
        match (self.natural, &self.using) {
            (true, _) => Some(Part::whole()),
            (false, Some(using)) => Some(Part {
                whole: false,
                columns: using.clone(),
            }),
            (false, None) => None,
        }
    }
}

/// Whether the table's own constraints make an UPDATE delete rows: `ON CONFLICT REPLACE`.
pub(super) fn replaces_on_conflict(definition: &str) -> Result<bool, Failure> {
    Words::read(definition).map(|words| words.replaces)
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
