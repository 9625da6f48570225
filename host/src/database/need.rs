//! From what a statement touches to the capabilities that it needs, and the refusal of
//! each that is missing. It decides nothing: `grant.rs` makes the permits.

use super::access::{Access, Part, Shown, Table};
use super::backend::TableKind;
use super::builtin::{self, Builtin};
use super::sqlite::Failure;
use super::{grant, unreported};
use crate::capability::Capability;
use crate::execution::record::StatementSummary;
use crate::execution::{Execution, Refusal};
use crate::guard::Guard;
use crate::statement::{self, name_in_sql};
use std::collections::BTreeSet;

/// One use of one table.
pub(super) struct Need {
    pub(super) capability: Capability,
    schema: String,
    table: String,
    kind: TableKind,
    part: Part,
    /// The columns that there are, if it matters.
    columns: Vec<String>,
    /// Whether a view of some rows stands in the table's place.
    of_some_rows: bool,
}

/// SQLite's name for the key of rows that no column stands for.
const ROWID: &str = "ROWID";

impl Need {
    /// Of rows of a table that may not exist.
    pub(super) fn of_ordinary(capability: Capability, schema: String, table: String) -> Need {
        Need {
            capability,
            schema,
            table,
            kind: TableKind::Ordinary,
            part: Part::default(),
            columns: Vec::new(),
            of_some_rows: false,
        }
    }

    /// Of all of a table.
    pub(super) fn of_whole(capability: Capability, schema: String, table: String) -> Need {
        Need {
            part: Part::whole(),
            ..Need::of_ordinary(capability, schema, table)
        }
    }

    /// The table by an unambiguous name, whatever characters there are in it.
    fn qualified(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }

    /// For the log: `main.users`, or `main.users(email)` where columns are at stake.
    fn target(&self, columns: &[String]) -> String {
        let (schema, table) = (&self.schema, &self.table);
        match columns {
            [] => format!("{schema}.{table}"),
            columns => format!("{schema}.{table}({})", list(columns)),
        }
    }

    /// The permit with what it is for, or the refusal.
    ///
    /// No grant covers a virtual table: what its module reads and writes beneath, with
    /// statements of its own, would be checked against nothing.
    pub(super) fn permit(&self, execution: &Execution) -> Result<(String, grant::Permit), Refusal> {
        let guards = execution.meter.guards;
        if !self.is_coverable() && guards.holds(Guard::VirtualTables) {
            return Err(self.refusal(&[], execution));
        }
        if self.of_some_rows {
            return self.permit_rows(execution);
        }
        if let Some(permit) = self.permit_whole(execution) {
            return Ok((self.target(&[]), permit));
        }
        if self.part.whole || !self.is_known(execution) {
            return Err(self.refusal(&[], execution));
        }
        let permit = |columns: &[String]| {
            let columns = columns.iter().map(String::as_str);
            let (schema, table) = (&self.schema, &self.table);
            let authority = &execution.authority;
            grant::permit_columns(self.capability, schema, table, columns, authority, guards)
        };
        if self.part.columns.is_empty() {
            // Which rows there are is known with any column.
            let any = self.columns.iter().find_map(|column| {
                let permit = permit(std::slice::from_ref(column));
                permit.ok()
            });
            let permit = any.ok_or_else(|| self.refusal(&[], execution))?;
            return Ok((self.target(&[]), permit));
        }
        let columns: Vec<String> = self.part.columns.iter().cloned().collect();
        match permit(&columns) {
            Ok(permit) => Ok((self.target(&columns), permit)),
            Err(missing) => Err(self.refusal(&missing, execution)),
        }
    }

    fn permit_rows(&self, execution: &Execution) -> Result<(String, grant::Permit), Refusal> {
        let columns = self.part.columns.iter().map(String::as_str);
        let (authority, guards) = (&execution.authority, execution.meter.guards);
        match grant::permit_rows(&self.schema, &self.table, columns, authority, guards) {
            Ok(permit) => Ok((self.target(&[]), permit)),
            Err(missing) => Err(self.refusal(&missing, execution)),
        }
    }

    fn permit_whole(&self, execution: &Execution) -> Option<grant::Permit> {
        let (authority, guards) = (&execution.authority, execution.meter.guards);
        grant::permit(
            self.capability,
            &self.schema,
            &self.table,
            authority,
            guards,
        )
    }

    /// Whether a grant covers some column.
    fn is_known(&self, execution: &Execution) -> bool {
        let (authority, guards) = (&execution.authority, execution.meter.guards);
        grant::is_known(
            self.capability,
            &self.schema,
            &self.table,
            authority,
            guards,
        )
    }

    /// A view that stands in the place of a table is that table, with some rows.
    fn look_through(&mut self, access: &Access) {
        let is_shown = |shown: &Shown| shown.table.eq_ignore_ascii_case(&self.table);
        let reads = self.capability == Capability::DatabaseRead;
        if reads && self.schema == "temp" && access.shown.iter().any(is_shown) {
            self.schema = grant::DEFAULT_SCHEMA.to_string();
            self.kind = TableKind::Ordinary;
            self.of_some_rows = true;
        }
    }

    fn is_coverable(&self) -> bool {
        matches!(self.kind, TableKind::Ordinary | TableKind::View)
    }

    /// The refusal of these columns, or with none of the table.
    pub(super) fn refusal(&self, columns: &[String], execution: &Execution) -> Refusal {
        let (schema, table) = (&self.schema, &self.table);
        let verb = match self.capability {
            Capability::DatabaseWrite => "write",
            _ => "read",
        };
        let shown = match schema.as_str() {
            grant::DEFAULT_SCHEMA => table.clone(),
            schema => format!("{schema}.{table}"),
        };
        let reserved = grant::is_reserved(schema, table);
        let noun = match self.kind {
            TableKind::Virtual if !reserved => "virtual table",
            _ => "table",
        };
        let object = match columns {
            [] => format!("{noun} \"{shown}\""),
            [column] => format!("column \"{column}\" of {noun} \"{shown}\""),
            columns => format!(
                "columns \"{}\" of {noun} \"{shown}\"",
                columns.join("\", \"")
            ),
        };
        let filters = match self.capability {
            Capability::DatabaseRead => {
                grant::filters(schema, table, &execution.authority, execution.meter.guards)
            }
            _ => Vec::new(),
        };
        let object = match filters.is_empty() || self.of_some_rows {
            true => object,
            false => format!("all rows of {noun} \"{shown}\""),
        };
        // Nor does a grant cover a reserved name, or help against a denial. And rows are
        // held back on purpose: only columns of the others are suggested.
        let capability = self.capability.name();
        let (authority, guards) = (&execution.authority, execution.meter.guards);
        let is_denied =
            grant::is_denied(self.capability, schema, table, columns, authority, guards);
        let cure = grant::TablePattern::of_table(schema, table, columns)
            .filter(|_| !reserved && !is_denied && self.is_coverable())
            .and_then(|pattern| match filters[..] {
                [] => Some(pattern),
                [filter] if self.of_some_rows => Some(pattern.with_filter(filter)),
                _ => None,
            })
            .map(|pattern| format!("{capability}({})", pattern.as_argument()));
        Refusal {
            capability: capability.to_string(),
            target: self.target(columns),
            action: format!("{verb} {object}"),
            grant: cure,
        }
    }
}

impl Execution {
    /// Every capability that the statement needs, with its table.
    pub(super) fn needs(&self, access: &Access, sql: &str) -> Result<Vec<Need>, Failure> {
        let mut needs = Vec::new();
        let unreported = self.unreported(access, sql)?;
        let reads = access.reads.iter().chain(&unreported.reads);
        let reads = reads.map(|table| (Capability::DatabaseRead, table));
        let writes = access.writes.iter();
        let writes = writes.map(|table| (Capability::DatabaseWrite, table));
        for (capability, table) in reads.chain(writes) {
            for (schema, kind) in self.meanings(table, sql)? {
                if kind != TableKind::RowFunction {
                    let mut need = Need::of_ordinary(capability, schema, table.name.clone());
                    need.kind = kind;
                    need.part = table.part.clone();
                    need.look_through(access);
                    add(&mut needs, need);
                }
            }
        }
        if self.meter.guards.holds(Guard::ViewsBetween) {
            self.add_views(access, &mut needs)?;
        }
        for need in &mut needs {
            self.settle(need, unreported.replaces)?;
        }
        Ok(needs)
    }

    /// Looks at the table's columns, if a grant covers a part of them only.
    fn settle(&self, need: &mut Need, replaces: bool) -> Result<(), Failure> {
        if need.of_some_rows {
            return self.settle_rows(need);
        }
        if need.part.whole
            || !need.is_coverable()
            || need.permit_whole(self).is_some()
            || !need.is_known(self)
        {
            return Ok(());
        }
        let database = &self.session.database;
        need.columns = database.columns(&need.schema, &need.table)?;
        let find = |name: &str| {
            let mut columns = need.columns.iter();
            columns.find(|column| column.eq_ignore_ascii_case(name))
        };
        let writes = need.capability == Capability::DatabaseWrite;
        let has_rowid = need.part.columns.contains(ROWID);
        // SQLite tells neither a column of such a name from what it means by it, nor a
        // row's new key from the column that may be it.
        let is_unclear = (find("").is_some() && need.part.columns.is_empty())
            || (has_rowid && (writes || find(ROWID).is_some()));
        let deletes = writes && (replaces || self.replaces_on_conflict(need)?);
        // Of the columns of a USING, those that the table has; in its own spelling.
        let columns = need.part.columns.iter();
        let columns = columns.filter_map(|name| find(name).cloned());
        let mut columns: BTreeSet<String> = columns.collect();
        let rowid = ROWID.to_ascii_lowercase();
        if has_rowid {
            columns.insert(rowid.clone());
        }
        need.part = Part {
            whole: is_unclear || deletes,
            columns,
        };
        need.columns.push(rowid);
        Ok(())
    }

    /// Which columns are used of a table with some rows.
    fn settle_rows(&self, need: &mut Need) -> Result<(), Failure> {
        let columns = self.session.database.columns(&need.schema, &need.table)?;
        let part = &need.part;
        let is_used = |column: &String| {
            let mut used = part.columns.iter();
            part.whole || used.any(|name| name.eq_ignore_ascii_case(column))
        };
        need.part = Part {
            whole: false,
            columns: columns.into_iter().filter(is_used).collect(),
        };
        Ok(())
    }

    fn replaces_on_conflict(&self, need: &Need) -> Result<bool, Failure> {
        let definition = self
            .session
            .database
            .definition(&need.schema, &need.table)?;
        definition.map_or(Ok(false), |sql| unreported::replaces_on_conflict(&sql))
    }

    /// A view of which no column is read, as by `count(*)`, is named only as what the
    /// tables beneath it are read through. So is a name that the statement gives, which
    /// then needs a grant if there is a view of that name.
    fn add_views(&self, access: &Access, needs: &mut Vec<Need>) -> Result<(), Failure> {
        for name in &access.through {
            for (schema, kind) in self.session.database.tables_named(name)? {
                let is_named = |need: &Need| need.schema == schema && need.table == *name;
                if kind == TableKind::View && !needs.iter().any(is_named) {
                    let mut need =
                        Need::of_ordinary(Capability::DatabaseRead, schema, name.clone());
                    need.kind = kind;
                    needs.push(need);
                }
            }
        }
        Ok(())
    }

    /// What a table's name may stand for, and in which schemas. SQLite does not say the
    /// schema for a statement that reads no column: then it is the first one with such
    /// a table, and any other that the statement could mean because it has that
    /// schema's name in it. With no such table anywhere it is a name that the statement
    /// itself gives (a CTE).
    fn meanings(&self, table: &Table, sql: &str) -> Result<Vec<(String, TableKind)>, Failure> {
        let mut tables = self.session.database.tables_named(&table.name)?;
        if let Some(schema) = &table.schema {
            tables.retain(|(found, _)| found == schema);
            if tables.is_empty() {
                // SQLite's own, by a name that it does not list: `sqlite_master`.
                tables.push((schema.clone(), TableKind::Virtual));
            }
            return Ok(tables);
        }
        let text = sql.to_ascii_lowercase();
        let mut first = true;
        tables.retain(|(schema, _)| {
            std::mem::take(&mut first) || table.indirect || text.contains(schema.as_str())
        });
        Ok(tables)
    }

    /// Refusals over SQL functions that are more than computations.
    pub(super) fn function_refusals(&self, access: &Access) -> Vec<Refusal> {
        if !self.meter.guards.holds(Guard::SqlFunctions) {
            return Vec::new();
        }
        let capabilities = self.authority.capabilities();
        access
            .functions
            .iter()
            .filter_map(|name| match builtin::lookup(name) {
                Some(Builtin::Pure) => None,
                Some(Builtin::Time) => {
                    let granted = capabilities.contains(Capability::TimeAccess);
                    (!granted).then(|| Refusal {
                        capability: Capability::TimeAccess.name().to_string(),
                        target: name.clone(),
                        action: format!("call the SQL function \"{name}\""),
                        grant: Some(Capability::TimeAccess.name().to_string()),
                    })
                }
                Some(Builtin::Random) => Some(function_refusal("RANDOM_ACCESS", name)),
                None => Some(function_refusal("CALL_FUNCTION", name)),
            })
            .collect()
    }
}

/// Adds a need, to one of the same table if there is one.
fn add(needs: &mut Vec<Need>, need: Need) {
    let is_same = |known: &&mut Need| {
        known.capability == need.capability
            && known.schema == need.schema
            && known.table == need.table
            && known.of_some_rows == need.of_some_rows
    };
    match needs.iter_mut().find(is_same) {
        Some(known) => known.part.add(need.part),
        None => needs.push(need),
    }
}

fn list(columns: &[String]) -> String {
    let columns: Vec<_> = columns.iter().map(|name| name_in_sql(name)).collect();
    columns.join(", ")
}

fn function_refusal(capability: &str, name: &str) -> Refusal {
    Refusal {
        capability: capability.to_string(),
        target: name.to_string(),
        action: format!("call the SQL function \"{name}\""),
        grant: None,
    }
}

/// A statement for the log.
pub(super) fn summary(sql: &str, access: &Access, needs: &[Need]) -> StatementSummary {
    let tables = |capability| {
        let with = needs.iter().filter(|need| need.capability == capability);
        with.map(Need::qualified).collect::<Vec<String>>()
    };
    let reads = tables(Capability::DatabaseRead);
    let writes = tables(Capability::DatabaseWrite);
    StatementSummary::new(access.writes_by.unwrap_or("SELECT"), sql, &reads, &writes)
}

/// A name as SQL has it: in quotes, unless it is a plain word.
pub(super) fn quoted(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty();
    match is_plain {
        true => name.to_string(),
        false => statement::quoted(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_quotes_is_no_other_name() {
        for (name, as_sql) in [
            ("users", "users"),
            ("User_2", "User_2"),
            ("2users", "\"2users\""),
            ("a.b", "\"a.b\""),
            ("a,main.b", "\"a,main.b\""),
            ("a\"b", "\"a\"\"b\""),
            ("Größe", "\"Größe\""),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(name), as_sql);
        }
    }
}
