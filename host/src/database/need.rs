//! From what a statement touches to the capabilities that it needs, and the refusal of
//! each that is missing. It decides nothing: `grant.rs` makes the permits.

use super::access::{Access, Table};
use super::backend::TableKind;
use super::builtin::{self, Builtin};
use super::grant;
use super::sqlite::Failure;
use crate::capability::Capability;
use crate::execution::record::StatementSummary;
use crate::execution::{Execution, Refusal};
use crate::guard::Guard;

/// One use of one table.
#[derive(PartialEq)]
pub(super) struct Need {
    pub(super) capability: Capability,
    schema: String,
    table: String,
    kind: TableKind,
}

impl Need {
    /// Of a table that may not exist.
    pub(super) fn of_ordinary(capability: Capability, schema: String, table: String) -> Need {
        Need {
            capability,
            schema,
            table,
            kind: TableKind::Ordinary,
        }
    }

    pub(super) fn target(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    /// The table by an unambiguous name, whatever characters there are in it.
    fn qualified(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }

    /// No grant covers a virtual table: what its module reads and writes beneath, with
    /// statements of its own, would be checked against nothing.
    pub(super) fn permit(&self, execution: &Execution) -> Option<grant::Permit> {
        let guards = execution.meter.guards;
        if !self.is_coverable() && guards.holds(Guard::VirtualTables) {
            return None;
        }
        grant::permit(
            self.capability,
            &self.schema,
            &self.table,
            &execution.authority,
            guards,
        )
    }

    fn is_coverable(&self) -> bool {
        matches!(self.kind, TableKind::Ordinary | TableKind::View)
    }

    pub(super) fn refusal(&self) -> Refusal {
        let verb = match self.capability {
            Capability::DatabaseWrite => "write",
            _ => "read",
        };
        let table = match self.schema.as_str() {
            grant::DEFAULT_SCHEMA => self.table.clone(),
            schema => format!("{schema}.{}", self.table),
        };
        let capability = self.capability.name();
        let reserved = grant::is_reserved(&self.schema, &self.table);
        let noun = match self.kind {
            TableKind::Virtual if !reserved => "virtual table",
            _ => "table",
        };
        // Nor does one cover a reserved name, or one that no pattern can spell.
        let cure = grant::TablePattern::parse(&table)
            .ok()
            .filter(|_| !reserved && self.is_coverable())
            .map(|pattern| format!("{capability}('{pattern}')"));
        Refusal {
            capability: capability.to_string(),
            target: self.target(),
            action: format!("{verb} {noun} \"{table}\""),
            grant: cure,
        }
    }
}

impl Execution {
    /// Every capability that the statement needs, with its table.
    pub(super) fn needs(&self, access: &Access, sql: &str) -> Result<Vec<Need>, Failure> {
        let mut needs = Vec::new();
        let unreported = self.unreported(access, sql)?;
        let tables = access
            .reads
            .iter()
            .chain(&unreported)
            .map(|table| (Capability::DatabaseRead, table))
            .chain(
                access
                    .writes
                    .iter()
                    .map(|table| (Capability::DatabaseWrite, table)),
            );
        for (capability, table) in tables {
            for (schema, kind) in self.meanings(table, sql)? {
                let need = Need {
                    capability,
                    schema,
                    table: table.name.clone(),
                    kind,
                };
                if kind != TableKind::RowFunction && !needs.contains(&need) {
                    needs.push(need);
                }
            }
        }
        if self.meter.guards.holds(Guard::ViewsBetween) {
            self.add_views(access, &mut needs)?;
        }
        Ok(needs)
    }

    /// A view of which no column is read, as by `count(*)`, is named only as what the
    /// tables beneath it are read through. So is a name that the statement gives, which
    /// then needs a grant if there is a view of that name.
    fn add_views(&self, access: &Access, needs: &mut Vec<Need>) -> Result<(), Failure> {
        for name in &access.through {
            for (schema, kind) in self.session.database.tables_named(name)? {
                let is_named = |need: &Need| need.schema == schema && need.table == *name;
                if kind == TableKind::View && !needs.iter().any(is_named) {
                    needs.push(Need {
                        capability: Capability::DatabaseRead,
                        schema,
                        table: name.clone(),
                        kind,
                    });
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
    let json = |tables: &[String]| serde_json::Value::from(tables).to_string();
    StatementSummary {
        operation: access.writes_by.unwrap_or("SELECT"),
        tables: format!("\"reads\":{},\"writes\":{}", json(&reads), json(&writes)),
        target: if writes.is_empty() { reads } else { writes }.join(","),
        digest: blake3::hash(sql.as_bytes()).to_hex()[..32].to_string(),
    }
}

/// A name as SQL has it: in quotes, unless it is a plain word.
pub(super) fn quoted(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty();
    match is_plain {
        true => name.to_string(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
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
