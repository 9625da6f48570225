//! The statements that change the catalog: each commits by itself, and is recorded
//! before it takes effect.

use super::conditions::refuse_for_condition;
use super::upload::component_bytes;
use super::{Notice, Outcome, Session, Severity};
use crate::audit::{Batch, Durability, EventType, Record};
use crate::capability::{Capability, Grant};
use crate::catalog::{NewFunction, Side};
use crate::component;
use crate::database::rows;
use crate::engine::{Engine, Origin};
use crate::error::{Error, Result, SqlState};
use crate::function::{Code, ExportPath, Function, Kind};
use crate::guard::Guard;
use crate::limits;
use crate::linker::Linked;
use crate::policy::OwnLimits;
use crate::postgres;
use crate::signature::{Column, Parameter, Signature};
use crate::statement::name_in_sql;
use crate::statement::{self, Alteration, CreateFunction, Language, Name};
use crate::types::SqlType;
use std::collections::HashSet;
use std::sync::Arc;
use wasmtime::component::Component;

impl Session {
    pub(super) fn create_function(&mut self, create: CreateFunction) -> Result<Outcome> {
        let command = format!("CREATE {}", create.kind.noun().to_ascii_uppercase());
        self.refuse_in_transaction(&command)?;
        self.refuse_taken_name(&create.name.folded)?;
        let new = self.new_function(&create)?;
        self.refuse_table_name(&new)?;
        let action = if create.or_replace {
            "CREATE OR REPLACE"
        } else {
            "CREATE"
        };
        let digest = blake3::hash(&new.content).to_hex();
        let detail = format!(
            "{{\"action\":\"{action}\",\"language\":\"{}\",\"content_hash\":\"{digest}\"}}",
            create.language.name(),
        );
        let vault = &self.core.vault;
        let name = create.name.folded.as_str();
        let engine = vault.runtime.javascript.hash();
        let before = vault.catalog.function(name);
        let record = |version| self.record(name, version, None, &detail);
        let (replace, caller) = (create.or_replace, &self.core.caller);
        self.change_unless_used(name, "replace", || {
            vault.catalog.create(new, replace, &engine, caller, record)
        })?;
        self.forget_replaced(before);
        self.tell_keyword(name);
        Ok(done(&command))
    }

    pub(super) fn alter_function(
        &mut self,
        kind: Kind,
        name: &Name,
        alteration: Alteration,
    ) -> Result<Outcome> {
        let command = format!("ALTER {}", kind.noun().to_ascii_uppercase());
        self.refuse_in_transaction(&command)?;
        let name = name.folded.as_str();
        let catalog = &self.core.vault.catalog;
        let function = catalog.expect(name)?;
        refuse_for_condition(&function, &alteration)?;
        catalog.expect_kind(name, kind, "ALTER")?;
        match &alteration {
            Alteration::Grant(grants) => {
                self.check_filters(grants)?;
                let record = |version| self.record_all(name, version, "GRANT", grants);
                catalog.add(name, Side::Grant, grants, record)?;
                self.warn_of_wide_grants(grants);
            }
            Alteration::Deny(grants) => {
                refuse_filters(grants)?;
                let record = |version| self.record_all(name, version, "DENY", grants);
                catalog.add(name, Side::Deny, grants, record)?;
            }
            Alteration::Revoke(grants) => {
                let record = |version| self.record_all(name, version, "REVOKE", grants);
                catalog.revoke(name, grants, record)?;
            }
            Alteration::SetEnabled(enabled) => {
                let detail = format!("{{\"action\":\"SET ENABLED\",\"enabled\":{enabled}}}");
                let record = |version| self.record(name, version, None, &detail);
                catalog.set_enabled(name, *enabled, record)?;
            }
            Alteration::SetPolicy(policy) => self.set_policy(name, policy)?,
            Alteration::SetVersion(version) => self.set_version(name, *version)?,
            Alteration::SetLimits(entries) => {
                let record = |version, own: &OwnLimits| {
                    let own = own.to_json();
                    let detail = format!("{{\"action\":\"SET LIMITS\",\"limits\":{own}}}");
                    self.record(name, version, None, &detail)
                };
                catalog.set_own_limits(name, entries, record)?;
            }
        }
        Ok(done(&command))
    }

    pub(super) fn drop_function(
        &mut self,
        kind: Kind,
        name: &Name,
        if_exists: bool,
    ) -> Result<Outcome> {
        let command = format!("DROP {}", kind.noun().to_ascii_uppercase());
        self.refuse_in_transaction(&command)?;
        let catalog = &self.core.vault.catalog;
        if if_exists && catalog.function(&name.folded).is_none() {
            let (noun, name) = (kind.noun(), &name.folded);
            let text = format!("{noun} \"{name}\" does not exist, skipping");
            self.core.notice(Notice::new(Severity::Notice, text));
            return Ok(done(&command));
        }
        let before = catalog.expect_kind(&name.folded, kind, "DROP")?;
        let name = name.folded.as_str();
        let record = |version| self.record(name, version, None, "{\"action\":\"DROP\"}");
        self.change_unless_used(name, "drop", || catalog.remove(name, record))?;
        self.forget_replaced(Some(before));
        Ok(done(&command))
    }

    fn set_version(&self, name: &str, version: u64) -> Result<()> {
        let vault = &self.core.vault;
        let engine = vault.runtime.javascript.hash();
        let record = |version| self.record(name, version, None, "{\"action\":\"SET VERSION\"}");
        let recompile = vault.runtime.recompile();
        let catalog = &vault.catalog;
        let before = catalog.function(name);
        self.change_unless_used(name, "change", || {
            catalog.set_version(name, version, &engine, &recompile, record)
        })?;
        self.forget_replaced(before);
        Ok(())
    }

    /// What cannot be let go of stays: the statement has taken effect.
    fn forget_replaced(&self, before: Option<Arc<Function>>) {
        let forgotten = before.map(|before| self.core.vault.forget_replaced(&before));
        if let Some(Err(error)) = forgotten {
            tracing::warn!(?error, "code of a replaced function stays in memory");
        }
    }

    /// What CREATE stores. What was uploaded and is refused leaves its hash and the
    /// reason in the log.
    fn new_function(&self, create: &CreateFunction) -> Result<NewFunction> {
        let content: Arc<[u8]> = match create.language {
            Language::JavaScript => create.body.as_bytes().into(),
            Language::Wasm => component_bytes(&create.body, self.core.guards())?,
        };
        let new = match (create.kind, create.language) {
            (Kind::Aggregate, _) => Err(Error::internal("an aggregate has no code")),
            (_, Language::JavaScript) => self.new_javascript(create, &content),
            (Kind::Condition, Language::Wasm) => self.new_component_condition(create, &content),
            (Kind::Procedure, Language::Wasm) => self.new_component(create, &content),
        };
        new.map_err(|error| {
            let recorded = self.record_refused(create, &content, &error);
            recorded.err().unwrap_or(error)
        })
    }

    fn new_javascript(&self, create: &CreateFunction, content: &Arc<[u8]>) -> Result<NewFunction> {
        let name = &create.name;
        let source = create.body.as_str();
        if source.len() > limits::SOURCE_BYTES_MAX && self.core.guards().holds(Guard::SourceBytes) {
            return Err(Error::new(
                SqlState::TOO_LARGE,
                format!(
                    "the source has {} bytes; at most {} are accepted",
                    source.len(),
                    limits::SOURCE_BYTES_MAX
                ),
            ));
        }
        if create.table.as_ref().is_some_and(Vec::is_empty) {
            return Err(
                Error::new(SqlState::SYNTAX, "RETURNS TABLE needs its columns")
                    .with_hint("RETURNS TABLE (name type, …)"),
            );
        }
        let parameters = create.parameters.as_ref().map_or(&[][..], Vec::as_slice);
        let runtime = &self.core.vault.runtime;
        let mut names = vec![name.written.clone()];
        if name.folded != name.written {
            names.push(name.folded.clone());
        }
        let bytecode = runtime
            .javascript
            .compile(&runtime.engine, &name.folded, &names, source)?;
        if create.kind == Kind::Condition {
            self.prepare_javascript_conditions()?;
        }
        Ok(NewFunction {
            name: name.folded.clone(),
            kind: create.kind,
            strict: create.strict,
            signature: Signature {
                parameters: parameters
                    .iter()
                    .map(|parameter| Parameter {
                        name: parameter.name.clone(),
                        sql_type: parameter.sql_type,
                        wit_type: None,
                    })
                    .collect(),
                returns: create.returns.unwrap_or(SqlType::Void),
                result: None,
                table: create.table.as_deref().map(columns),
                volatility: create.volatility.unwrap_or_default(),
            },
            code: Code::JavaScript {
                bytecode,
                source_hash: *blake3::hash(content).as_bytes(),
            },
            entry_names: names,
            content: Arc::clone(content),
        })
    }

    fn new_component(&self, create: &CreateFunction, content: &Arc<[u8]>) -> Result<NewFunction> {
        let guards = self.core.guards();
        let inspection = component::inspect_with(content, guards)?;
        let unknown = inspection.unknown_imports();
        if !unknown.is_empty() && guards.holds(Guard::UploadImports) {
            let unknown: Vec<String> = unknown.iter().map(|i| format!("\"{i}\"")).collect();
            return Err(Error::new(
                SqlState::INVALID_VALUE,
                format!(
                    "the component imports what this host does not have: {}",
                    component::list(&unknown)
                ),
            )
            .with_hint("`perihelion inspect FILE.wasm` lists a component's imports"));
        }
        let (export, found) = inspection.export(&create.name.folded)?;
        let signature = declared_signature(create, found)?;
        let new = of_component(create, content, export, signature);
        let engine = &self.core.vault.runtime.engine;
        compile(engine, &new, Linked::check)?;
        self.tell_capabilities(&create.name.folded, &inspection.capabilities());
        Ok(new)
    }

    /// A component's imports are its request; the grants are the administrator's.
    fn tell_capabilities(&self, name: &str, capabilities: &[Capability]) {
        if capabilities.is_empty() {
            return;
        }
        let wanted: Vec<&str> = capabilities.iter().map(|c| c.name()).collect();
        let examples: Vec<String> = capabilities
            .iter()
            .map(|capability| match capability.takes_pattern() {
                false => capability.name().to_string(),
                true => format!("{}('<table>')", capability.name()),
            })
            .collect();
        self.core.notice(
            Notice::new(
                Severity::Notice,
                format!("function \"{name}\" imports {}", wanted.join(", ")),
            )
            .with_hint(format!(
                "ALTER FUNCTION {} GRANT CAPABILITY {};",
                name_in_sql(name),
                examples.join(", ")
            )),
        );
    }

    pub(super) fn warn_of_wide_grants(&self, grants: &[Grant]) {
        for grant in grants.iter().filter(|grant| grant.covers_all()) {
            let text = format!("{grant} covers every table there is and will be");
            let hint =
                "grant the tables that it needs, or columns: DATABASE_READ('users(id, name)')";
            let notice = Notice::new(Severity::Warning, text);
            self.core.notice(notice.with_hint(hint));
        }
    }

    pub(super) fn refuse_in_transaction(&self, what: &str) -> Result<()> {
        if self.in_transaction() {
            return Err(Error::new(
                SqlState::IN_TRANSACTION,
                format!("{what} cannot run inside a transaction block"),
            )
            .with_hint("it commits by itself; COMMIT or ROLLBACK first"));
        }
        Ok(())
    }

    /// Some names are words of the database's own: as functions they need quotes.
    fn tell_keyword(&self, name: &str) {
        let database = &self.core.database;
        let sql = format!("SELECT {name}()");
        let parsed = database.gate.as_host(|| database.handle.prepare(&sql));
        if parsed.is_err_and(|failure| failure.message.contains("syntax error")) {
            self.core.notice(
                Notice::new(
                    Severity::Notice,
                    format!("\"{name}\" is a word of SQL: quote it"),
                )
                .with_hint(format!("SELECT \"{name}\"(…)")),
            );
        }
    }

    /// SQLite would call its own function for some numbers of arguments, and knows no
    /// difference between `f` and `"F"`: one of them would run with the other's grants.
    pub(super) fn refuse_taken_name(&self, name: &str) -> Result<()> {
        let checks = self.core.guards().holds(Guard::TakenNames);
        if !checks || self.core.vault.catalog.function(name).is_some() {
            return Ok(());
        }
        if let Some(other) = self.core.vault.catalog.function_in_any_case(name) {
            return Err(Error::new(
                SqlState::DUPLICATE_FUNCTION,
                format!(
                    "\"{name}\" and function \"{}\" differ in case only",
                    other.name
                ),
            ));
        }
        let is_the_servers = self.is_on_postgres() && postgres::is_builtin(name);
        if is_the_servers || self.builtin_names()?.contains(&name.to_ascii_lowercase()) {
            return Err(Error::new(
                SqlState::DUPLICATE_FUNCTION,
                format!("\"{name}\" is a function of the database's own"),
            ));
        }
        Ok(())
    }

    /// The database's own functions, in lower case. SQLite lists ours with them, and
    /// every one for every look: so it is asked once.
    fn builtin_names(&self) -> Result<&HashSet<String>> {
        if let Some(names) = self.builtin_names.get() {
            return Ok(names);
        }
        let catalog = &self.core.vault.catalog;
        let read = || -> rusqlite::Result<HashSet<String>> {
            let sql = "SELECT DISTINCT name FROM pragma_function_list";
            let mut statement = self.connection.prepare(sql)?;
            let names = statement.query_map([], |row| row.get::<_, String>(0))?;
            names
                .filter(|name| {
                    let ours = |name: &String| catalog.function_in_any_case(name).is_some();
                    !name.as_ref().is_ok_and(ours)
                })
                .map(|name| name.map(|name| name.to_ascii_lowercase()))
                .collect()
        };
        let names = self
            .core
            .database
            .gate
            .as_host(read)
            .map_err(Error::internal)?;
        Ok(self.builtin_names.get_or_init(|| names))
    }

    fn record_all(&self, name: &str, version: u64, action: &str, grants: &[Grant]) -> Result<()> {
        let detail = format!("{{\"action\":\"{action}\"}}");
        grants
            .iter()
            .try_for_each(|grant| self.record(name, version, Some(grant), &detail))
    }

    /// Records a change of a function, on disk, before it takes effect.
    pub(super) fn record(
        &self,
        name: &str,
        version: u64,
        grant: Option<&Grant>,
        detail: &str,
    ) -> Result<()> {
        let pattern = grant
            .and_then(|grant| grant.pattern())
            .map(ToString::to_string);
        self.record_change(&Record {
            function_version: Some(version),
            capability: grant.map(|grant| grant.capability().name()),
            target: pattern.as_deref(),
            ..self.change_of(name, detail)
        })
    }

    fn record_refused(&self, create: &CreateFunction, content: &[u8], error: &Error) -> Result<()> {
        let detail = serde_json::json!({
            "action": if create.or_replace { "CREATE OR REPLACE" } else { "CREATE" },
            "kind": create.kind.as_str(),
            "language": create.language.name(),
            "content_hash": blake3::hash(content).to_hex().as_str(),
            "sqlstate": error.sqlstate().as_str(),
            "refused": error.message(),
        })
        .to_string();
        self.record_change(&Record {
            allowed: Some(false),
            ..self.change_of(&create.name.folded, &detail)
        })
    }

    pub(super) fn change_of<'a>(&'a self, name: &'a str, detail: &'a str) -> Record<'a> {
        Record {
            event: EventType::FunctionChanged,
            execution_id: self.core.vault.log.next_execution_id(),
            function_name: name,
            function_version: None,
            caller: &self.core.caller,
            capability: None,
            target: None,
            allowed: None,
            detail: Some(detail),
        }
    }

    pub(super) fn record_change(&self, record: &Record<'_>) -> Result<()> {
        let mut batch = Batch::new();
        batch.push(record);
        let log = &self.core.vault.log;
        log.append(&mut batch, Durability::Synced).map(drop)
    }
}

/// What is granted must be what the database can hold a function to.
pub(super) fn check_filters(grants: &[Grant]) -> Result<()> {
    let patterns = grants.iter().filter_map(Grant::pattern);
    let mut filters = patterns.filter_map(|pattern| pattern.filter.as_ref());
    filters.try_for_each(rows::check_functions)
}

fn refuse_filters(denials: &[Grant]) -> Result<()> {
    let has_filter = |grant: &Grant| grant.pattern().is_some_and(|p| p.filter.is_some());
    match denials.iter().any(has_filter) {
        false => Ok(()),
        true => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "a denial of some rows is not built in this version",
        )
        .with_hint("deny the table, and grant the rows that may be read")),
    }
}

/// What is stored of a component.
pub(super) fn of_component(
    create: &CreateFunction,
    content: &Arc<[u8]>,
    export: &ExportPath,
    signature: Signature,
) -> NewFunction {
    NewFunction {
        name: create.name.folded.clone(),
        kind: create.kind,
        strict: create.strict,
        signature,
        code: Code::Component {
            hash: *blake3::hash(content).as_bytes(),
            export: export.clone(),
        },
        entry_names: Vec::new(),
        content: Arc::clone(content),
    }
}

/// Nothing is stored of what does not compile and link: `check` tries the second.
pub(super) fn compile(
    engine: &Engine,
    new: &NewFunction,
    check: impl FnOnce(&Component) -> Result<()>,
) -> Result<()> {
    let Code::Component { hash, .. } = &new.code else {
        return Ok(());
    };
    let bytes = || Ok(Arc::clone(&new.content));
    let compiled = engine.component(hash, &new.name, Origin::Upload, bytes)?;
    check(&compiled).inspect_err(|_| {
        let _ = engine.forget(hash);
    })
}

pub(super) fn done(command: &str) -> Outcome {
    Outcome {
        command: command.to_string(),
        ..Outcome::default()
    }
}

/// The signature that the component has, with the declared names and types where they
/// fit it.
pub(super) fn declared_signature(create: &CreateFunction, found: &Signature) -> Result<Signature> {
    let mut signature = found.clone();
    signature.volatility = create.volatility.unwrap_or_default();
    let differs = || {
        Error::new(
            SqlState::INVALID_VALUE,
            format!(
                "the declared signature of \"{}\" is not the component's",
                create.name.folded
            ),
        )
        .with_detail(format!("the component has {}{found}", create.name.folded))
        .with_hint("leave parameters and RETURNS out, and they are read from the component")
    };
    if let Some(declared) = &create.parameters {
        if declared.len() != signature.parameters.len() {
            return Err(differs());
        }
        for (parameter, declared) in signature.parameters.iter_mut().zip(declared) {
            let fits = parameter
                .wit_type
                .as_ref()
                .is_some_and(|wit_type| wit_type.accepts(declared.sql_type));
            if !fits {
                return Err(differs());
            }
            parameter.sql_type = declared.sql_type;
            parameter.name.clone_from(&declared.name);
        }
    }
    if let Some(declared) = &create.table {
        signature.table = Some(declared_table(declared, found).ok_or_else(differs)?);
        signature.returns = SqlType::Void;
    }
    if let Some(returns) = create.returns {
        let fits = match &found.result {
            _ if found.table.is_some() => false,
            Some(result) => result.accepts(returns),
            None => returns == SqlType::Void,
        };
        if !fits {
            return Err(differs());
        }
        signature.returns = returns;
    }
    Ok(signature)
}

/// The columns that the component's rows have, with the declared names and types where
/// they fit them.
fn declared_table(declared: &[statement::Parameter], found: &Signature) -> Option<Vec<Column>> {
    let result = found.result.as_ref()?;
    if declared.is_empty() {
        return component::columns(result);
    }
    let fields = result.row()?;
    let fits = declared.len() == fields.len()
        && declared
            .iter()
            .zip(fields)
            .all(|(column, (_, ty))| ty.accepts(column.sql_type));
    fits.then(|| columns(declared))
}

fn columns(declared: &[statement::Parameter]) -> Vec<Column> {
    let column = |parameter: &statement::Parameter| Column {
        name: parameter.name.clone(),
        sql_type: parameter.sql_type,
    };
    declared.iter().map(column).collect()
}
