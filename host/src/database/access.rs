//! What a statement touches, as SQLite's authorizer reports it, and who may touch it.
//!
//! The authorizer decides, not a parser of ours. SQLite calls it while it prepares a
//! statement, and again when a changed schema makes it prepare one anew in the middle
//! of a step. It is installed once a connection (installing it anew would expire every
//! prepared statement) and asks the [`Gate`], whose mode says on whose behalf SQLite
//! is working.

use super::ddl::Change;
use super::rows;
use crate::guard::{Guard, Guards};
use rusqlite::ffi;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization, TransactionOperation};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The schema of the host's own views.
const HOST_SCHEMA: &str = "heliosdb";

/// Everything that one statement touches.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Access {
    pub(crate) reads: Vec<Table>,
    pub(crate) writes: Vec<Table>,
    /// The kind of writing statement, as its first write of its own tells.
    pub(crate) writes_by: Option<&'static str>,
    /// What stands between the statement and a table that it reads: views, triggers,
    /// and names that the statement itself gives.
    pub(crate) through: Vec<String>,
    /// SQL functions, lower case.
    pub(crate) functions: Vec<String>,
    /// What the client's statement reads, lower case: a function may be among it.
    pub(crate) row_functions: Vec<String>,
    /// Why it was refused to the client.
    pub(crate) refused: Option<&'static str>,
    /// Whether the client's statement makes or alters a table or an index.
    pub(crate) defines: bool,
    /// Whether it is COMMIT or ROLLBACK.
    pub(crate) ends_transaction: bool,
    /// The first thing that no procedure may do.
    pub(crate) forbidden: Option<Forbidden>,
    /// The changes of the schema that it makes, if it may make any.
    pub(crate) changes: Vec<Change>,
    pub(crate) shown: Vec<Shown>,
}

/// A table that a statement names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Table {
    /// SQLite leaves it out for a statement that reads no column, as `count(*)`.
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    /// A view, trigger or sub-query stands between the statement and the table.
    pub(crate) indirect: bool,
    pub(crate) part: Part,
}

/// What of a table is used: with no column, only which rows there are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Part {
    /// Rows come, go or are copied as a whole.
    pub(crate) whole: bool,
    pub(crate) columns: BTreeSet<String>,
}

/// What no grant covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Forbidden {
    /// A change of the schema: capability `DATABASE_EXECUTE`.
    Ddl(String),
    /// A statement that only the client may send.
    Statement(String),
}

/// On whose behalf SQLite is working.
#[derive(Default)]
enum Mode {
    /// The host's own statements.
    #[default]
    Host,
    /// The client's statement: all is allowed but what `refused_to_client` names.
    Client(Access),
    /// A guest's statement is being prepared: what it touches is noted, and checked
    /// before the first step.
    Collect(Access),
    /// The same of a statement that is to change the schema.
    CollectChanges(Access),
    /// A guest's statement is being stepped. SQLite asks only if it prepares the
    /// statement anew, because a schema changed: what was checked is no longer what
    /// would run, even where every name in it is the same.
    Step,
    /// A change of the schema is being stepped. SQLite looks through the table meanwhile;
    /// if it prepares the statement anew, the first that it reports is the change.
    StepChange,
}

/// A table in whose place a view stands, of the rows that are granted (`rows.rs`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shown {
    /// The name of both.
    pub(crate) table: String,
    /// What the view's reads are known by, and no guest can guess.
    pub(crate) key: String,
}

/// The authorizer's state, shared with the session.
pub(crate) struct Gate {
    mode: Mutex<Mode>,
    shown: Mutex<Vec<Shown>>,
    guards: Guards,
}

impl Gate {
    pub(crate) fn new(guards: Guards) -> Gate {
        Gate {
            mode: Mutex::default(),
            shown: Mutex::default(),
            guards,
        }
    }

    /// Installs the authorizer.
    pub(crate) fn install(
        self: &Arc<Self>,
        connection: &mut rusqlite::Connection,
    ) -> rusqlite::Result<()> {
        let gate = Arc::clone(self);
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            gate.authorize(&context)
        }))
    }

    /// Works on the client's behalf, and says what was touched.
    pub(crate) fn as_client<R>(&self, work: impl FnOnce() -> R) -> (R, Access) {
        let before = self.replace(Mode::Client(Access::default()));
        let result = work();
        let access = match self.replace(before) {
            Mode::Client(access) => access,
            _ => Access::default(),
        };
        (result, access)
    }

    /// Prepares on a guest's behalf, and says what was touched.
    pub(crate) fn collect<R>(&self, work: impl FnOnce() -> R) -> (R, Access) {
        let before = self.replace(Mode::Collect(Access {
            shown: self
                .shown
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            ..Access::default()
        }));
        let result = work();
        let access = match self.replace(before) {
            Mode::Collect(access) => access,
            _ => Access::default(),
        };
        (result, access)
    }

    /// Prepares on a guest's behalf what is to change the schema, and says what that is.
    pub(super) fn collect_changes<R>(&self, work: impl FnOnce() -> R) -> (R, Access) {
        let before = self.replace(Mode::CollectChanges(Access::default()));
        let result = work();
        let access = match self.replace(before) {
            Mode::CollectChanges(access) => access,
            _ => Access::default(),
        };
        (result, access)
    }

    /// Steps on a guest's behalf a statement that was checked.
    pub(crate) fn step<R>(&self, work: impl FnOnce() -> R) -> R {
        let before = self.replace(Mode::Step);
        let result = work();
        self.replace(before);
        result
    }

    /// Steps on a guest's behalf a change of the schema that was checked.
    pub(super) fn step_change<R>(&self, work: impl FnOnce() -> R) -> R {
        let before = self.replace(Mode::StepChange);
        let result = work();
        self.replace(before);
        result
    }

    /// Whether SQLite works on a guest's behalf.
    pub(crate) fn is_guests(&self) -> bool {
        let mode = self.mode.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*mode, Mode::Collect(_) | Mode::Step | Mode::StepChange)
    }

    /// Works for the host itself.
    pub(crate) fn as_host<R>(&self, work: impl FnOnce() -> R) -> R {
        let before = self.replace(Mode::Host);
        let result = work();
        self.replace(before);
        result
    }

    /// Sets the tables in whose place views stand, for the next statement of a guest.
    pub(crate) fn show(&self, shown: Vec<Shown>) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    fn replace(&self, mode: Mode) -> Mode {
        std::mem::replace(
            &mut *self.mode.lock().unwrap_or_else(PoisonError::into_inner),
            mode,
        )
    }

    fn authorize(&self, context: &AuthContext<'_>) -> Authorization {
        match &mut *self.mode.lock().unwrap_or_else(PoisonError::into_inner) {
            Mode::Host => Authorization::Allow,
            Mode::Client(access) => {
                let why = refused_to_client(context);
                if let Some(why) = why.filter(|_| self.guards.holds(Guard::ClientActions)) {
                    access.refused.get_or_insert(why);
                    return Authorization::Deny;
                }
                match context.action {
                    AuthAction::Function { function_name } => {
                        note(&mut access.functions, function_name.to_ascii_lowercase());
                    }
                    AuthAction::Read { table_name, .. } => {
                        let known = &mut access.row_functions;
                        if !known
                            .iter()
                            .any(|name| name.eq_ignore_ascii_case(table_name))
                        {
                            known.push(table_name.to_ascii_lowercase());
                        }
                    }
                    AuthAction::CreateTable { .. }
                    | AuthAction::CreateTempTable { .. }
                    | AuthAction::CreateIndex { .. }
                    | AuthAction::CreateTempIndex { .. }
                    | AuthAction::AlterTable { .. } => access.defines = true,
                    AuthAction::Transaction { operation } => {
                        access.ends_transaction = operation != TransactionOperation::Begin;
                    }
                    _ => {}
                }
                Authorization::Allow
            }
            Mode::Collect(access) => access.note(context, self.guards),
            Mode::CollectChanges(access) => access.note_change(context),
            Mode::Step if self.guards.holds(Guard::StepGate) => Authorization::Deny,
            Mode::Step => Authorization::Allow,
            Mode::StepChange => super::ddl::while_changing(&context.action),
        }
    }
}

impl Access {
    /// What the view does that stands in the place of a table: it reads the table, and
    /// computes. To the guest, that is a use of the view.
    fn note_of_view(&mut self, context: &AuthContext<'_>, table: &str) -> Authorization {
        match context.action {
            AuthAction::Select => Authorization::Allow,
            AuthAction::Read { table_name, .. }
                if table_name == table && context.database_name == Some("main") =>
            {
                note_table(&mut self.reads, Table::shown(table));
                Authorization::Allow
            }
            AuthAction::Function { function_name }
                if rows::is_allowed(&function_name.to_ascii_lowercase()) =>
            {
                Authorization::Allow
            }
            action => {
                self.forbidden.get_or_insert_with(|| forbidden(&action));
                Authorization::Deny
            }
        }
    }

    /// Notes one action. What a grant may cover is allowed here and checked later, so
    /// that all missing grants are found at once; nothing has an effect before.
    fn note(&mut self, context: &AuthContext<'_>, guards: Guards) -> Authorization {
        let accessor = context.accessor;
        let shown = self.shown.iter().find(|shown| accessor == Some(&shown.key));
        if let Some(table) = shown.map(|shown| shown.table.clone()) {
            return self.note_of_view(context, &table);
        }
        let table = |name: &str, part| Table {
            schema: context.database_name.map(str::to_ascii_lowercase),
            name: name.to_string(),
            indirect: context.accessor.is_some(),
            part,
        };
        match context.action {
            AuthAction::Select | AuthAction::Recursive => {}
            AuthAction::Read {
                table_name,
                column_name,
            } => {
                note_table(
                    &mut self.reads,
                    table(table_name, Part::of_column(column_name)),
                );
                if let Some(accessor) = context.accessor {
                    note(&mut self.through, accessor.to_string());
                }
            }
            AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. } => {
                let part = match context.action {
                    AuthAction::Update { column_name, .. } => Part::of_column(column_name),
                    _ => Part::whole(),
                };
                note_table(&mut self.writes, table(table_name, part));
                if context.accessor.is_none() {
                    self.writes_by.get_or_insert(kind_of_write(&context.action));
                }
            }
            AuthAction::Function { function_name } => {
                note(&mut self.functions, function_name.to_ascii_lowercase());
            }
            action if guards.holds(Guard::ForbiddenActions) => {
                self.forbidden.get_or_insert_with(|| forbidden(&action));
                return Authorization::Deny;
            }
            _ => {}
        }
        Authorization::Allow
    }
}

impl Table {
    /// The view in the place of a table.
    fn shown(table: &str) -> Table {
        Table {
            schema: Some("temp".to_string()),
            name: table.to_string(),
            indirect: false,
            part: Part::default(),
        }
    }
}

impl Shown {
    /// None without randomness.
    #[expect(clippy::disallowed_methods, reason = "a name that cannot be guessed")]
    pub(super) fn new(table: &str) -> Option<Shown> {
        let mut random = [0; 16];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).ok()?;
        let key = blake3::hash(&random).to_hex();
        Some(Shown {
            table: table.to_string(),
            key: format!("rows_{key}"),
        })
    }
}

impl Part {
    pub(crate) fn whole() -> Part {
        Part {
            whole: true,
            ..Part::default()
        }
    }

    /// SQLite's name for no column is an empty one.
    fn of_column(name: &str) -> Part {
        let columns = Some(name).filter(|name| !name.is_empty());
        Part {
            whole: false,
            columns: columns.map(str::to_string).into_iter().collect(),
        }
    }

    pub(crate) fn add(&mut self, other: Part) {
        self.whole |= other.whole;
        self.columns.extend(other.columns);
    }
}

/// Notes a table, once.
pub(crate) fn note_table(list: &mut Vec<Table>, table: Table) {
    let is_same = |known: &&mut Table| {
        known.name == table.name && known.schema == table.schema && known.indirect == table.indirect
    };
    match list.iter_mut().find(is_same) {
        Some(known) => known.part.add(table.part),
        None => list.push(table),
    }
}

pub(super) fn note<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// What a client may not do, though the data is its own: what guests are held by, the
/// log, and what other vaults share with this one.
fn refused_to_client(context: &AuthContext<'_>) -> Option<&'static str> {
    if changes_host_schema(context) {
        Some("the schema \"heliosdb\" is the host's: it can only be read")
    } else if opens_file(context) {
        Some("a session opens no file but its vault's")
    } else if changes_host_setting(context) {
        Some(
            "this PRAGMA is the host's to set: it would change how long guests wait, or every vault of the process",
        )
    } else {
        None
    }
}

fn changes_host_setting(context: &AuthContext<'_>) -> bool {
    const SETTINGS: [&str; 5] = [
        // It takes the place of the handler that ends a guest's wait for a lock.
        "busy_timeout",
        // These are the process's.
        "data_store_directory",
        "hard_heap_limit",
        "soft_heap_limit",
        "temp_store_directory",
    ];
    match context.action {
        AuthAction::Pragma {
            pragma_name,
            pragma_value,
        } => pragma_value.is_some() && SETTINGS.iter().any(|s| s.eq_ignore_ascii_case(pragma_name)),
        _ => false,
    }
}

fn changes_host_schema(context: &AuthContext<'_>) -> bool {
    match context.action {
        AuthAction::Detach { database_name } | AuthAction::AlterTable { database_name, .. } => {
            database_name.eq_ignore_ascii_case(HOST_SCHEMA)
        }
        AuthAction::Read { .. }
        | AuthAction::Select
        | AuthAction::Function { .. }
        | AuthAction::Pragma { .. } => false,
        _ => context
            .database_name
            .is_some_and(|name| name.eq_ignore_ascii_case(HOST_SCHEMA)),
    }
}

/// Whether it is an ATTACH of a file, or a VACUUM INTO one: it could be the catalog,
/// whose grants would change unrecorded, or another vault's.
fn opens_file(context: &AuthContext<'_>) -> bool {
    match context.action {
        AuthAction::Attach { filename } => !matches!(filename, "" | ":memory:"),
        // The name of the file is computed.
        AuthAction::Unknown { code, .. } => code == ffi::SQLITE_ATTACH,
        _ => false,
    }
}

fn kind_of_write(action: &AuthAction<'_>) -> &'static str {
    match action {
        AuthAction::Insert { .. } => "INSERT",
        AuthAction::Delete { .. } => "DELETE",
        _ => "UPDATE",
    }
}

pub(super) fn forbidden(action: &AuthAction<'_>) -> Forbidden {
    use AuthAction as A;
    let ddl = |what: &str, name: &str| Forbidden::Ddl(format!("{what} {name}"));
    match action {
        A::CreateTable { table_name } | A::CreateTempTable { table_name } => {
            ddl("CREATE TABLE", table_name)
        }
        A::CreateIndex { index_name, .. } | A::CreateTempIndex { index_name, .. } => {
            ddl("CREATE INDEX", index_name)
        }
        A::CreateView { view_name } | A::CreateTempView { view_name } => {
            ddl("CREATE VIEW", view_name)
        }
        A::CreateTrigger { trigger_name, .. } | A::CreateTempTrigger { trigger_name, .. } => {
            ddl("CREATE TRIGGER", trigger_name)
        }
        A::CreateVtable { table_name, .. } => ddl("CREATE VIRTUAL TABLE", table_name),
        A::DropTable { table_name }
        | A::DropTempTable { table_name }
        | A::DropVtable { table_name, .. } => ddl("DROP TABLE", table_name),
        A::DropIndex { index_name, .. } | A::DropTempIndex { index_name, .. } => {
            ddl("DROP INDEX", index_name)
        }
        A::DropView { view_name } | A::DropTempView { view_name } => ddl("DROP VIEW", view_name),
        A::DropTrigger { trigger_name, .. } | A::DropTempTrigger { trigger_name, .. } => {
            ddl("DROP TRIGGER", trigger_name)
        }
        A::AlterTable { table_name, .. } => ddl("ALTER TABLE", table_name),
        A::Reindex { index_name } => ddl("REINDEX", index_name),
        A::Analyze { table_name } => ddl("ANALYZE", table_name),
        A::Pragma { pragma_name, .. } => Forbidden::Statement(format!("PRAGMA {pragma_name}")),
        A::Attach { .. } => Forbidden::Statement("ATTACH".to_string()),
        A::Detach { .. } => Forbidden::Statement("DETACH".to_string()),
        A::Transaction { .. } => Forbidden::Statement("BEGIN, COMMIT or ROLLBACK".to_string()),
        A::Savepoint { .. } => {
            Forbidden::Statement("SAVEPOINT, RELEASE or ROLLBACK TO".to_string())
        }
        _ => Forbidden::Statement("this statement".to_string()),
    }
}
