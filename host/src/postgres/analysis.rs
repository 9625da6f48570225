//! What a statement reads, writes and calls, by its text: for refusals in good words, and
//! for the log.
//!
//! It is not the boundary: that is the server, which asks whether the function's role may.
//! But what it cannot read is refused, so that nothing runs that the log would not name.

use super::builtin::{self, Builtin};
use super::text::Text;
use crate::error::{Error, Result, SqlState};
use sqlparser::ast::{
    ConflictTarget, Expr, FromTable, Ident, Insert, ObjectName, OnConflictAction, OnInsert, Query,
    SetExpr, Statement, TableFactor, TableObject, Update, Visit, Visitor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// A table as a statement names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Name {
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
}

/// What is in a statement.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    /// `SELECT`, `INSERT`, `UPDATE` or `DELETE`.
    pub(crate) operation: &'static str,
    pub(crate) reads: BTreeSet<Name>,
    pub(crate) writes: BTreeSet<Name>,
    /// Functions that are more than computations, by their names; those of the
    /// database's users too.
    pub(crate) functions: BTreeSet<String>,
    /// Something that no procedure may do.
    pub(crate) forbidden: Option<&'static str>,
}

/// Expressions and queries in each other.
const DEPTH_MAX: usize = 40;

/// Reads a statement of a guest's.
pub(crate) fn analyze(text: &Text) -> Result<Analysis> {
    let operation = match text.verb.as_str() {
        "SELECT" | "VALUES" | "WITH" => "SELECT",
        "INSERT" => "INSERT",
        "UPDATE" => "UPDATE",
        "DELETE" => "DELETE",
        _ => {
            return Ok(Analysis {
                forbidden: Some("this kind of statement"),
                ..Analysis::default()
            });
        }
    };
    let statement = parse(&text.sql)?;
    let mut walker = Walker {
        found: Analysis {
            operation,
            ..Analysis::default()
        },
        scopes: Vec::new(),
        not_tables: Vec::new(),
    };
    let _ = statement.visit(&mut walker);
    Ok(walker.found)
}

/// The one statement of a text.
pub(crate) fn parse(sql: &str) -> Result<Statement> {
    let parsed = Parser::new(&PostgreSqlDialect {})
        .with_recursion_limit(DEPTH_MAX)
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_statements());
    let mut statements = parsed.map_err(|error| {
        Error::new(SqlState::SYNTAX, "the statement is not understood")
            .with_detail(error.to_string())
    })?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(Error::new(SqlState::SYNTAX, "the text holds no statement")),
        _ => Err(Error::new(
            SqlState::SYNTAX,
            "the text holds more than one statement",
        )),
    }
}

/// Names that WITH gives, within one query.
struct Scope {
    names: Vec<String>,
    /// Where the queries behind the names are, to know them again.
    queries: Vec<*const Query>,
    /// How many of the names hold here: a query behind one sees the earlier ones only,
    /// unless all see all.
    visible: usize,
    is_recursive: bool,
}

struct Walker {
    found: Analysis,
    scopes: Vec<Scope>,
    /// Names that look like tables to read and are not: targets, and functions.
    not_tables: Vec<*const ObjectName>,
}

impl Visitor for Walker {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.enter_scope_of(query);
        let with = query.with.as_ref();
        let ctes = with.map_or(&[][..], |with| &with.cte_tables);
        let is_recursive = with.is_some_and(|with| with.recursive);
        self.scopes.push(Scope {
            names: ctes.iter().map(|cte| folded(&cte.alias.name)).collect(),
            queries: ctes.iter().map(|cte| &raw const *cte.query).collect(),
            visible: ctes.len(),
            is_recursive,
        });
        self.body(&query.body);
        if query.for_clause.is_some() || !query.pipe_operators.is_empty() {
            self.found.forbidden = Some("this kind of query");
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.scopes.pop();
        if let Some(scope) = self.scopes.last_mut()
            && scope.queries.contains(&(&raw const *query))
        {
            scope.visible = scope.names.len();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        match statement {
            Statement::Query(_) => {}
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => {
                self.operation("DELETE");
                let tables = match &delete.from {
                    FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables) => {
                        tables
                    }
                };
                let reads = delete.selection.is_some() || delete.returning.is_some();
                match &tables[..] {
                    [table] if delete.tables.is_empty() && table.joins.is_empty() => {
                        self.target(&table.relation, reads || delete.using.is_some());
                    }
                    _ => self.found.forbidden = Some("this kind of DELETE"),
                }
            }
            Statement::Merge { .. } => self.found.forbidden = Some("MERGE"),
            _ => self.found.forbidden = Some("this kind of statement"),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        if self.not_tables.contains(&(&raw const *relation)) {
            return ControlFlow::Continue(());
        }
        match name(relation) {
            Some(name) if self.is_given(&name) => {}
            Some(name) => {
                self.found.reads.insert(name);
            }
            None => self.found.forbidden = Some("a statement with such a name of a table"),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table {
                name,
                args: Some(_),
                ..
            }
            | TableFactor::Function { name, .. } => {
                self.not_tables.push(name);
                self.call(name);
            }
            TableFactor::Table { .. }
            | TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. } => {}
            TableFactor::UNNEST { .. } => {}
            _ => self.found.forbidden = Some("this kind of FROM"),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &sqlparser::ast::Select) -> ControlFlow<()> {
        if select.into.is_some() {
            self.found.forbidden = Some("SELECT INTO");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => self.call(&function.name),
            Expr::Cast { data_type, .. } => self.cast(&data_type.to_string()),
            Expr::TypedString(typed) => self.cast(&typed.data_type.to_string()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Walker {
    /// A query behind a name sees only what comes before that name.
    fn enter_scope_of(&mut self, query: &Query) {
        let Some(scope) = self.scopes.last_mut() else {
            return;
        };
        if let Some(index) = scope
            .queries
            .iter()
            .position(|known| std::ptr::eq(*known, query))
            && !scope.is_recursive
        {
            scope.visible = index;
        }
    }

    fn body(&mut self, body: &SetExpr) {
        match body {
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
            // The walk does not tell its table.
            SetExpr::Table(_) => self.found.forbidden = Some("TABLE: write SELECT * FROM"),
            SetExpr::Merge(_) => self.found.forbidden = Some("MERGE"),
            _ => {}
        }
    }

    /// The verb behind WITH says what the statement is.
    fn operation(&mut self, operation: &'static str) {
        if self.found.operation == "SELECT" {
            self.found.operation = operation;
        }
    }

    fn insert(&mut self, insert: &Insert) {
        self.operation("INSERT");
        let TableObject::TableName(target) = &insert.table else {
            self.found.forbidden = Some("this kind of INSERT");
            return;
        };
        let reads = insert.returning.is_some() || insert.on.as_ref().is_some_and(reads_conflict);
        self.write(target, reads);
    }

    fn update(&mut self, update: &Update) {
        self.operation("UPDATE");
        let reads = update.selection.is_some()
            || update.returning.is_some()
            || update.from.is_some()
            || update.assignments.iter().any(|a| has_column(&a.value));
        self.target(&update.table.relation, reads);
        if !update.table.joins.is_empty() {
            self.found.forbidden = Some("this kind of UPDATE");
        }
    }

    fn target(&mut self, factor: &TableFactor, reads: bool) {
        match factor {
            TableFactor::Table {
                name, args: None, ..
            } => self.write(name, reads),
            _ => self.found.forbidden = Some("a statement with such a target"),
        }
    }

    fn write(&mut self, target: &ObjectName, reads: bool) {
        self.not_tables.push(target);
        match name(target) {
            Some(name) => {
                if reads {
                    self.found.reads.insert(name.clone());
                }
                self.found.writes.insert(name);
            }
            None => self.found.forbidden = Some("a statement with such a name of a table"),
        }
    }

    fn call(&mut self, function: &ObjectName) {
        let Some(name) = name(function) else {
            self.found.functions.insert(function.to_string());
            return;
        };
        let is_own = matches!(name.schema.as_deref(), None | Some("pg_catalog"));
        match builtin::lookup(&name.table) {
            Some(Builtin::Pure) if is_own => {}
            Some(_) if is_own => {
                self.found.functions.insert(name.table);
            }
            _ => {
                let schema = name.schema.map_or(String::new(), |schema| schema + ".");
                self.found
                    .functions
                    .insert(format!("{schema}{}", name.table));
            }
        }
    }

    /// The name of an object in a string would tell whether there is one.
    fn cast(&mut self, data_type: &str) {
        if data_type.to_ascii_lowercase().contains("reg") {
            self.found.forbidden = Some("a cast to a type of the catalog's");
        }
    }

    /// Whether the statement itself gives the name a meaning.
    fn is_given(&self, name: &Name) -> bool {
        name.schema.is_none()
            && self
                .scopes
                .iter()
                .any(|scope| scope.names[..scope.visible].contains(&name.table))
    }
}

fn reads_conflict(on: &OnInsert) -> bool {
    match on {
        OnInsert::OnConflict(conflict) => {
            matches!(
                conflict.conflict_target,
                Some(ConflictTarget::Columns { .. })
            ) || matches!(conflict.action, OnConflictAction::DoUpdate(_))
        }
        _ => true,
    }
}

/// Whether a value is computed from a column.
fn has_column(value: &Expr) -> bool {
    struct Columns;
    impl Visitor for Columns {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    value.visit(&mut Columns).is_break()
}

/// `None` for a name with more than two parts, or with a part that is no name.
fn name(object: &ObjectName) -> Option<Name> {
    let parts: Option<Vec<String>> = object
        .0
        .iter()
        .map(|part| part.as_ident().map(folded))
        .collect();
    match &parts?[..] {
        [table] => Some(Name {
            schema: None,
            table: table.clone(),
        }),
        [schema, table] => Some(Name {
            schema: Some(schema.clone()),
            table: table.clone(),
        }),
        _ => None,
    }
}

fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// Every function that a statement calls, and every table that it names, for a client's
/// statement. `None` if it is not understood.
pub(crate) fn names(sql: &str) -> Option<Names> {
    let statement = parse(sql).ok()?;
    let mut walker = Walker {
        found: Analysis::default(),
        scopes: Vec::new(),
        not_tables: Vec::new(),
    };
    let mut functions = Functions(BTreeSet::new());
    let _ = statement.visit(&mut functions);
    let _ = statement.visit(&mut walker);
    let mut tables = walker.found.reads;
    tables.extend(walker.found.writes);
    Some(Names {
        is_query: matches!(statement, Statement::Query(_)),
        functions: functions.0,
        tables,
    })
}

/// What a client's statement names.
#[derive(Debug)]
pub(crate) struct Names {
    /// Whether it is a SELECT, VALUES or the like.
    pub(crate) is_query: bool,
    pub(crate) functions: BTreeSet<String>,
    pub(crate) tables: BTreeSet<Name>,
}

struct Functions(BTreeSet<String>);

impl Visitor for Functions {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            self.0.extend(name(&function.name).map(|name| name.table));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table {
            name: function,
            args: Some(_),
            ..
        }
        | TableFactor::Function { name: function, .. } = factor
        {
            self.0.extend(name(function).map(|name| name.table));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
