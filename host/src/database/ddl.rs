//! Changes of the schema: the WIT interface `database-ddl`, granted and not granted.
//!
//! Tables and indexes of the data, and nothing that acts by itself or stands for another
//! thing: no view, no trigger, no virtual table. SQLite reports what the statement is, as
//! always; but much of what it reports of a change is its own work on its schema, which
//! no grant is about. What a guest could hide in there (a function in a DEFAULT, a foreign
//! key) is looked at in the tables that there are afterwards, before anything is kept.

use super::access::{Access, Forbidden, forbidden, note};
use super::backend::{Database, GuestFailure, only_statement};
use super::builtin::{self, Builtin};
use super::failure;
use super::grant::{self, DEFAULT_SCHEMA, Permit};
use super::host::{Outcome, SCHEMA_CHANGES_MAX, invalid, sort};
use super::need::{Need, quoted};
use super::sqlite::{Bound, Column, Failure, Statement};
use super::transaction::{NoSavepoint, refused_in_statement};
use super::unseen::missed_table;
use crate::bindings::heliosdb::host::database_ddl::Host;
use crate::bindings::heliosdb::host::types as wit;
use crate::capability::Capability;
use crate::execution::record::StatementSummary;
use crate::execution::{Execution, Refusal};
use crate::guard::{Guard, Guards};
use crate::linker::NotGranted;
use crate::statement::{altered_table, begins_with, called_names};
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use std::sync::Arc;

/// One change that a statement makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// `CREATE TABLE`.
    operation: &'static str,
    /// The table or the index.
    name: String,
    schema: String,
    /// The table that it is a change of.
    table: String,
}

/// What a guest could hide in a table.
#[derive(Default)]
struct Hidden {
    /// Names that stand like those of functions in the text of the table or its indexes.
    functions: Vec<String>,
    /// The tables that foreign keys refer to.
    references: Vec<String>,
    /// Tables whose names are the database's own to give.
    reserved_names: Vec<String>,
}

impl Host for Execution {
    fn execute(&mut self, sql: String) -> wasmtime::Result<Result<(), wit::Error>> {
        if self.is_on_postgres() {
            return self.postgres_change();
        }
        sort(self.charged(|execution| {
            execution.enter_host()?;
            execution.carry(sql.len())?;
            execution.change_schema(&sql)
        }))
    }
}

/// Without the grant the statement is still looked at: the refusal names the change.
impl Host for NotGranted<'_> {
    fn execute(&mut self, sql: String) -> wasmtime::Result<Result<(), wit::Error>> {
        let execution = &mut *self.0;
        execution.enter_host()?;
        if execution.is_on_postgres() {
            let refusal = Refusal::of_all(Capability::DatabaseExecute);
            return Ok(Err(execution.refuse(vec![refusal])));
        }
        sort(execution.charged(|execution| {
            execution.check_statement(Capability::DatabaseWrite, &sql)?;
            let refusal = Refusal::of_all(Capability::DatabaseExecute);
            Err(Outcome::Guest(execution.refuse(vec![refusal])))
        }))
    }
}

impl Access {
    /// Notes one action of a statement that is to change the schema.
    pub(super) fn note_change(&mut self, context: &AuthContext<'_>) -> Authorization {
        use AuthAction as A;
        let schema = context.database_name.unwrap_or(DEFAULT_SCHEMA);
        let change = |operation, name: &str, schema: &str, table: &str| Change {
            operation,
            name: name.to_string(),
            schema: schema.to_ascii_lowercase(),
            table: table.to_string(),
        };
        let makes = |changes: &[Change], operation| {
            changes.iter().any(|change| change.operation == operation)
        };
        let noted = match context.action {
            // SQLite keeps the numbers of AUTOINCREMENT there; nobody else can make it.
            A::CreateTable {
                table_name: "sqlite_sequence",
            } => return Authorization::Allow,
            A::CreateTable { table_name: t } => change("CREATE TABLE", t, schema, t),
            A::DropTable { table_name: t } => change("DROP TABLE", t, schema, t),
            A::AlterTable {
                database_name,
                table_name: t,
            } => change("ALTER TABLE", t, database_name, t),
            // A new table's own keys.
            A::CreateIndex { table_name, .. }
                if self.changes.iter().any(|change| {
                    change.operation == "CREATE TABLE" && change.table == table_name
                }) =>
            {
                return Authorization::Allow;
            }
            A::CreateIndex {
                index_name,
                table_name,
            } => change("CREATE INDEX", index_name, schema, table_name),
            A::DropIndex {
                index_name,
                table_name,
            } => change("DROP INDEX", index_name, schema, table_name),
            // CREATE TABLE … AS.
            A::Select if makes(&self.changes, "CREATE TABLE") => {
                let what = "CREATE TABLE … AS SELECT: create the table, then INSERT INTO … SELECT";
                let forbidden = Forbidden::Statement(what.to_string());
                self.forbidden.get_or_insert(forbidden);
                return Authorization::Deny;
            }
            // A new index is filled.
            A::Reindex { .. } if makes(&self.changes, "CREATE INDEX") => {
                return Authorization::Allow;
            }
            // A new column with a condition is looked through.
            A::Pragma {
                pragma_name: "quick_check",
                ..
            } if makes(&self.changes, "ALTER TABLE") => return Authorization::Allow,
            A::Function { function_name } => {
                note(&mut self.functions, function_name.to_ascii_lowercase());
                return Authorization::Allow;
            }
            A::Read { table_name, .. } => {
                self.note_read(table_name);
                return Authorization::Allow;
            }
            A::Select | A::Recursive | A::Insert { .. } | A::Delete { .. } | A::Update { .. } => {
                self.note_read("");
                return Authorization::Allow;
            }
            action => {
                self.forbidden.get_or_insert_with(|| forbidden(&action));
                return Authorization::Deny;
            }
        };
        note(&mut self.changes, noted);
        Authorization::Allow
    }

    /// That it does something at all.
    fn note_read(&mut self, table: &str) {
        note(&mut self.through, table.to_string());
    }
}

impl Database {
    /// Prepares a statement that changes the schema. Nothing has an effect before it is
    /// run.
    fn prepare_change(
        &self,
        sql: &str,
        execution: &Execution,
    ) -> (Result<Statement, GuestFailure>, Access) {
        let (prepared, mut access) = self.prepare_collected(&execution.meter, || {
            self.gate.collect_changes(|| self.handle.prepare(sql))
        });
        let forbidden = access.forbidden.take();
        (check_change(sql, prepared, forbidden, &access), access)
    }

    /// What is hidden in the tables that a statement changes, as they are now.
    fn hidden_in(&self, changes: &[Change]) -> Result<Hidden, Failure> {
        let mut hidden = Hidden::default();
        for change in changes {
            let texts = "SELECT sql FROM main.sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE";
            for text in self.names(texts, &[&change.table])? {
                hidden.functions.extend(called_names(&text));
            }
            let references = "SELECT \"table\" FROM pragma_foreign_key_list(?1, 'main')";
            hidden
                .references
                .extend(self.names(references, &[&change.table])?);
        }
        // By such a name the host itself, and every client, finds the database's own.
        let reserved = "SELECT name FROM main.sqlite_schema WHERE name LIKE 'pragma!_%' ESCAPE '!'";
        hidden.reserved_names = self.names(reserved, &[])?;
        Ok(hidden)
    }

    fn names(&self, sql: &str, values: &[&str]) -> Result<Vec<String>, Failure> {
        self.gate.as_host(|| {
            let mut names = Vec::new();
            if let (Some(mut statement), _) = self.handle.prepare(sql)? {
                for (index, value) in values.iter().enumerate() {
                    statement.bind(index, Bound::Text(value))?;
                }
                while statement.step()? {
                    if let Column::Text(name) = statement.column(0) {
                        names.push(String::from_utf8_lossy(name).into_owned());
                    }
                }
            }
            Ok(names)
        })
    }
}

/// Whether it is a change of the schema, and nothing else.
fn check_change(
    sql: &str,
    prepared: Result<(Option<Statement>, &str), Failure>,
    forbidden: Option<Forbidden>,
    access: &Access,
) -> Result<Statement, GuestFailure> {
    if let Some(forbidden) = forbidden {
        return Err(GuestFailure::Forbidden(forbidden));
    }
    let statement = only_statement(prepared, Guards::default())?;
    // `DROP TABLE IF EXISTS` of what does not exist touches nothing.
    let is_nothing = access.through.is_empty() && begins_with(sql, "drop");
    if statement.is_explain() || (access.changes.is_empty() && !is_nothing) {
        let what = "anything here but CREATE, ALTER or DROP of a TABLE or an INDEX";
        let forbidden = Forbidden::Statement(what.to_string());
        return Err(GuestFailure::Forbidden(forbidden));
    }
    Ok(statement)
}

impl Hidden {
    /// What was not there before.
    fn without(mut self, before: &Hidden) -> Hidden {
        self.functions
            .retain(|name| !before.functions.contains(name));
        self.references
            .retain(|name| !before.references.contains(name));
        self.reserved_names
            .retain(|name| !before.reserved_names.contains(name));
        self
    }
}

impl Execution {
    fn change_schema(&mut self, sql: &str) -> Result<(), Outcome> {
        self.check_text(sql)?;
        let session = Arc::clone(&self.session);
        for _ in 0..SCHEMA_CHANGES_MAX {
            let (prepared, access) = session.database.prepare_change(sql, self);
            // First, since what is wrong with a statement tells of its table.
            self.permit_changes(&access)?;
            let mut statement = prepared.map_err(|failure| self.change_failure(sql, failure))?;
            for change in &access.changes {
                let name = Capability::DatabaseExecute.name();
                self.recorder.allowed(name, &Arc::from(change.target()));
            }
            let begun = session.database.begin_unit_within(&self.meter, true);
            begun.map_err(|error| Outcome::End(self.fault(error)))?;
            if self.run_change(sql, &mut statement, &access)? {
                let recorded = self.recorder.wrote(&summary(sql, &access.changes), 1, 0);
                return recorded.map_err(|error| Outcome::End(self.fault(error)));
            }
        }
        Err(invalid(
            "the tables changed while the statement ran: run it again",
        ))
    }

    fn permit_changes(&mut self, access: &Access) -> Result<(), Outcome> {
        let refusals = self.refusals_of_changes(access);
        if !refusals.is_empty() {
            return Err(Outcome::Guest(self.refuse(refusals)));
        }
        Ok(())
    }

    /// Runs it in a savepoint, and keeps it if nothing is hidden in it. False if it is no
    /// longer what was checked.
    fn run_change(
        &mut self,
        sql: &str,
        statement: &mut Statement,
        access: &Access,
    ) -> Result<bool, Outcome> {
        let session = Arc::clone(&self.session);
        let database = &session.database;
        const NAME: &str = "heliosdb_change";
        match database.begin_savepoint(NAME) {
            Ok(()) => {}
            Err(NoSavepoint::StatementWrites) => return Err(refused_in_statement()),
            Err(NoSavepoint::Fault(error)) => return Err(Outcome::End(self.fault(error))),
        }
        let mut run = || {
            let before = database.hidden_in(&access.changes)?;
            let stepped = database.within(&self.meter, || {
                database.gate.step_change(|| statement.step())
            });
            statement.reset();
            stepped?;
            Ok(database.hidden_in(&access.changes)?.without(&before))
        };
        let hidden: Result<Hidden, Failure> = run();
        let kept = match hidden {
            Ok(hidden) => match self.refusals_of_hidden(&hidden) {
                refusals if refusals.is_empty() => Ok(true),
                refusals => Err(Outcome::Guest(self.refuse(refusals))),
            },
            Err(failure) if failure::is_unauthorized(&failure) => Ok(false),
            Err(failure) => Err(self.change_failure(sql, GuestFailure::Sqlite(failure))),
        };
        let ended = match &kept {
            Ok(true) => database.commit_savepoint(NAME),
            _ => database.roll_back_savepoint(NAME),
        };
        ended.map_err(|error| Outcome::End(self.fault(error)))?;
        kept
    }

    fn refusals_of_changes(&self, access: &Access) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for change in &access.changes {
            match change.permit(self) {
                Some(Permit { .. }) => {}
                None => refusals.push(change.refusal()),
            }
            // What is there already holds data, and its name is what grants go by.
            if change.operation != "CREATE TABLE" {
                refusals.extend(self.refusals_of_table(&change.schema, &change.table));
            }
        }
        refusals
    }

    fn refusals_of_table(&self, schema: &str, table: &str) -> Vec<Refusal> {
        if !self.meter.guards.holds(Guard::ChangedTables) {
            return Vec::new();
        }
        let need = |capability| Need::of_whole(capability, schema.to_string(), table.to_string());
        [Capability::DatabaseRead, Capability::DatabaseWrite]
            .map(need)
            .iter()
            .filter_map(|need| need.permit(self).err())
            .collect()
    }

    fn refusals_of_hidden(&self, hidden: &Hidden) -> Vec<Refusal> {
        if !self.meter.guards.holds(Guard::HiddenChanges) {
            return Vec::new();
        }
        let catalog = &self.session.vault.catalog;
        // Types of columns and other words are no functions.
        let is_called = |name: &&String| match builtin::lookup(name) {
            Some(kind) => kind != Builtin::Pure,
            None => catalog.function_in_any_case(name).is_some(),
        };
        let access = Access {
            functions: hidden.functions.iter().filter(is_called).cloned().collect(),
            ..Access::default()
        };
        let mut refusals = self.function_refusals(&access);
        let names = hidden.reserved_names.iter();
        refusals.extend(names.map(|name| refused_change(&format!("CREATE TABLE {name}"))));
        for table in &hidden.references {
            let schema = DEFAULT_SCHEMA.to_string();
            let need = Need::of_whole(Capability::DatabaseRead, schema, table.clone());
            refusals.extend(need.permit(self).err());
        }
        refusals
    }

    /// A table without a grant is refused in the same words if there is no such table,
    /// or if there is more wrong with the statement.
    fn change_failure(&mut self, sql: &str, failure: GuestFailure) -> Outcome {
        let named = match &failure {
            GuestFailure::Forbidden(Forbidden::Ddl(what)) => {
                return Outcome::Guest(self.refuse(vec![refused_change(what)]));
            }
            GuestFailure::Sqlite(failure) => missed_table(failure),
            _ => None,
        };
        let default = || DEFAULT_SCHEMA.to_string();
        let altered = || {
            let (schema, table) = altered_table(sql)?;
            Some((schema.unwrap_or_else(default).to_ascii_lowercase(), table))
        };
        if let Some((schema, table)) = named.or_else(altered) {
            let refusals = self.refusals_of_table(&schema, &table);
            if !refusals.is_empty() {
                return Outcome::Guest(self.refuse(refusals));
            }
        }
        self.guest_failure(failure)
    }

    /// Refuses a change that was sent as a statement of another kind, or that no grant
    /// covers.
    pub(super) fn refuse_change(&mut self, what: &str) -> Outcome {
        let is_granted = self
            .authority
            .capabilities()
            .contains(Capability::DatabaseExecute);
        let mut refusal = refused_change(what);
        if ["TABLE", "INDEX"]
            .iter()
            .any(|kind| what.split(' ').nth(1) == Some(kind))
        {
            if is_granted {
                return invalid("this changes the schema: it is for the interface database-ddl");
            }
            refusal.grant = Some(Capability::DatabaseExecute.name().to_string());
        }
        Outcome::Guest(self.refuse(vec![refusal]))
    }
}

impl Change {
    fn target(&self) -> String {
        format!("{} {}.{}", self.operation, self.schema, self.name)
    }

    fn permit(&self, execution: &Execution) -> Option<Permit> {
        let (authority, guards) = (&execution.authority, execution.meter.guards);
        grant::permit_change(&self.schema, &self.table, authority, guards)
    }

    fn refusal(&self) -> Refusal {
        let name = match self.schema.as_str() {
            DEFAULT_SCHEMA => self.name.clone(),
            schema => format!("{schema}.{}", self.name),
        };
        refused_change(&format!("{} {name}", self.operation))
    }
}

fn refused_change(what: &str) -> Refusal {
    Refusal {
        capability: Capability::DatabaseExecute.name().to_string(),
        target: what.to_string(),
        action: what.to_string(),
        grant: None,
    }
}

/// What SQLite may do by itself while it carries a change out.
pub(super) fn while_changing(action: &AuthAction<'_>) -> Authorization {
    match action {
        AuthAction::Pragma {
            pragma_name: "quick_check",
            ..
        }
        | AuthAction::Function { .. }
        | AuthAction::Read { .. }
        | AuthAction::Select => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

/// A change for the log.
fn summary(sql: &str, changes: &[Change]) -> StatementSummary {
    let names: Vec<String> = changes
        .iter()
        .map(|change| format!("{}.{}", quoted(&change.schema), quoted(&change.table)))
        .collect();
    let operation = changes.first().map_or("DROP", |change| change.operation);
    StatementSummary::new(operation, sql, &[], &names)
}
