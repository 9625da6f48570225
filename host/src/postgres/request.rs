//! A guest's request on PostgreSQL: from its text to its effect, checked, then permitted,
//! then run, then recorded, as `database/host.rs` does it on SQLite.

use super::analysis::{self, Analysis, Name};
use super::builtin::{self, Builtin};
use super::failure::{Failure, ServerError};
use super::unit::{Answer, Part, Statement, two_writers};
use super::{Postgres, State, text, value};
use crate::bindings::heliosdb::host::types as wit;
use crate::capability::Capability;
use crate::database::grant::{self, DEFAULT_SCHEMA_THERE, Permit, TablePattern};
use crate::error::{Error, SqlState};
use crate::execution::record::StatementSummary;
use crate::execution::{Execution, Refusal};
use crate::limits::{Exceeded, Limit, RESULT_BYTES_MAX};
use crate::statement::name_in_sql;
use crate::types::Value;
use std::sync::Arc;

/// A guest's statement that may run.
pub(crate) struct Checked {
    /// As it is sent.
    sql: String,
    writes: bool,
    summary: Arc<StatementSummary>,
    permits: Vec<(&'static str, Arc<str>, Permit)>,
    needs: Vec<Need>,
}

/// One use of one table.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Need {
    capability: Capability,
    schema: String,
    table: String,
}

/// Why a request came to nothing: the guest is told, or the call ends.
pub(super) enum Unmet {
    Guest(wit::Error),
    End(wasmtime::Error),
}

impl From<wasmtime::Error> for Unmet {
    fn from(error: wasmtime::Error) -> Unmet {
        Unmet::End(error)
    }
}

/// The host's answer to a guest, or the end of its call.
pub(super) type Answered<T> = wasmtime::Result<Result<T, wit::Error>>;

pub(super) fn sort<T>(result: Result<T, Unmet>) -> Answered<T> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Unmet::Guest(error)) => Ok(Err(error)),
        Err(Unmet::End(error)) => Err(error),
    }
}

impl Execution {
    /// Whether the tables are on a server, and not in a file.
    pub(crate) fn is_on_postgres(&self) -> bool {
        self.session.vault.postgres.is_some()
    }

    /// Looks at a statement whose interface is not granted, so that the refusal names the
    /// tables. `Err` is the refusal.
    pub(crate) fn postgres_look(&mut self, interface: Capability, sql: &str) -> Answered<()> {
        sort(self.postgres_check(interface, sql).map(drop))
    }

    /// Runs a statement of the guest's, which asked for it by this interface, once for each
    /// list of values.
    pub(super) fn postgres_run(
        &mut self,
        interface: Capability,
        sql: &str,
        lists: &[&[wit::Value]],
    ) -> Result<Answer, Unmet> {
        self.enter_host()?;
        self.carry(sql.len())?;
        let checked = self.postgres_check(interface, sql)?;
        self.refuse_in_block()?;
        if checked.writes
            && let Some(other) = self.session.units.other_writer(&self.function.name)
        {
            return Err(self.end(two_writers(&self.function.name, &other)));
        }
        for (capability, target, _) in &checked.permits {
            self.recorder.allowed(capability, target);
        }
        let answer = match lists {
            [params] => self.postgres_attempt(&checked, params)?,
            lists => self.postgres_batch(&checked, lists)?,
        };
        let (runs, rows) = (lists.len() as u64, answer.count);
        let recorded = match checked.writes {
            true => self.recorder.wrote(&checked.summary, runs, rows),
            false => self.recorder.read(&checked.summary, runs, rows),
        };
        recorded.map_err(|error| self.end(error))?;
        self.check_recorded()?;
        Ok(answer)
    }

    /// All of them or none.
    fn postgres_batch(
        &mut self,
        checked: &Checked,
        lists: &[&[wit::Value]],
    ) -> Result<Answer, Unmet> {
        const PART: &str = "heliosdb_batch";
        let part = |execution: &Execution, part| {
            let done = execution.postgres_part(part);
            done.map_err(|error| execution.end(error))
        };
        part(self, Part::Begin(PART))?;
        let mut all = Answer::default();
        for params in lists {
            match self.postgres_attempt(checked, params) {
                Ok(answer) => all.count += answer.count,
                Err(Unmet::Guest(error)) => {
                    part(self, Part::RollBack(PART))?;
                    return Err(Unmet::Guest(error));
                }
                Err(end) => return Err(end),
            }
        }
        part(self, Part::Commit(PART))?;
        Ok(all)
    }

    /// Begins or ends a part of the call's transaction.
    pub(crate) fn postgres_part(&self, part: Part<'_>) -> crate::error::Result<()> {
        let Some(postgres) = &self.session.vault.postgres else {
            return Err(Error::internal("no server"));
        };
        let units = &self.session.units;
        let done = postgres.part(units, &self.function, &self.meter, part);
        done.map_err(Failure::into_error)
    }

    /// Runs it; once more if the server refuses what is granted, after the roles were
    /// brought in step: a table may have been made by somebody else just now.
    fn postgres_attempt(
        &mut self,
        checked: &Checked,
        params: &[wit::Value],
    ) -> Result<Answer, Unmet> {
        let session = Arc::clone(&self.session);
        let Some(postgres) = &session.vault.postgres else {
            return Err(self.end(Error::internal("no server")));
        };
        let values: Vec<Value> = params.iter().map(value::from_wit).collect();
        let mut answer = self.postgres_once(postgres, checked, &values);
        match &answer {
            Err(failure) if failure.is(SqlState::DENIED) => {
                postgres.bring_in_step().map_err(|error| self.end(error))?;
                answer = self.postgres_once(postgres, checked, &values);
            }
            // It was planned for tables that have changed since.
            Err(failure) if failure.is(SqlState::FEATURE_NOT_SUPPORTED) => {
                answer = self.postgres_once(postgres, checked, &values);
            }
            _ => {}
        }
        answer.map_err(|failure| self.unmet(checked, failure))
    }

    fn postgres_once(
        &mut self,
        postgres: &Postgres,
        checked: &Checked,
        values: &[Value],
    ) -> Result<Answer, Failure> {
        let statement = Statement {
            sql: &checked.sql,
            values,
            writes: checked.writes,
            may_write: self.may_write_there(),
        };
        let (units, meter) = (&self.session.units, &self.meter);
        let take = self.carried.taker(&self.function.limits);
        postgres.run(units, &self.function, meter, &statement, take)
    }

    /// What the rows of a statement that only reads are made of.
    pub(super) fn postgres_describe(&mut self, sql: &str) -> Result<Vec<wit::Column>, Unmet> {
        self.enter_host()?;
        let checked = self.postgres_check(Capability::DatabaseRead, sql)?;
        self.refuse_in_block()?;
        let session = Arc::clone(&self.session);
        let Some(postgres) = &session.vault.postgres else {
            return Err(self.end(Error::internal("no server")));
        };
        let (units, may_write) = (&session.units, self.may_write_there());
        let described =
            postgres.describe(units, &self.function, &self.meter, may_write, &checked.sql);
        let prepared = described.map_err(|failure| self.unmet(&checked, failure))?;
        let columns = prepared.columns().iter().map(|column| wit::Column {
            name: column.name().to_string(),
            declared_type: column
                .table_oid()
                .map(|_| column.type_().name().to_string()),
        });
        Ok(columns.collect())
    }

    fn may_write_there(&self) -> bool {
        let capabilities = self.authority.capabilities();
        capabilities.contains(Capability::DatabaseWrite)
    }

    /// The statement with its permits: from an earlier run, or now.
    fn postgres_check(&mut self, interface: Capability, sql: &str) -> Result<Arc<Checked>, Unmet> {
        let key = self.authority_key();
        let checked = match self.session.checked.get(key, sql) {
            Some(checked) => checked,
            None => {
                let checked = Arc::new(self.postgres_permit(sql)?);
                self.session.checked.put(key, sql, &checked);
                checked
            }
        };
        match (interface, checked.writes) {
            (Capability::DatabaseWrite, false) => Err(invalid(
                "execute runs statements that write; this one only reads: use query",
            )),
            (Capability::DatabaseRead, true) => Err(invalid(
                "query runs statements that only read; this one writes: use execute",
            )),
            _ => Ok(checked),
        }
    }

    fn postgres_permit(&mut self, sql: &str) -> Result<Checked, Unmet> {
        if let Err(error) = self.check_form_there(sql)? {
            return Err(Unmet::Guest(error));
        }
        let text = text::read(sql).map_err(|error| guest_error(&error))?;
        if let Some(place) = text.first_literal
            && let Err(error) = self.check_literal_there(sql, place)?
        {
            return Err(Unmet::Guest(error));
        }
        let found = analysis::analyze(&text).map_err(|error| guest_error(&error))?;
        if let Some(what) = found.forbidden {
            self.deny("", what);
            return Err(invalid(&format!("a procedure may not run {what}")));
        }
        let needs = needs(&found);
        let mut permits = Vec::with_capacity(needs.len());
        let mut refusals = Vec::new();
        for need in &needs {
            match need.permit(self) {
                Some(permit) => {
                    permits.push((need.capability.name(), Arc::from(need.target()), permit));
                }
                None => refusals.push(need.refusal()),
            }
        }
        refusals.extend(self.postgres_functions(&found));
        if !refusals.is_empty() {
            return Err(Unmet::Guest(self.refuse(refusals)));
        }
        Ok(Checked {
            writes: !found.writes.is_empty(),
            summary: Arc::new(summary(sql, &found, &needs)),
            sql: text.sql,
            permits,
            needs,
        })
    }

    /// Refusals over SQL functions that are more than computations.
    fn postgres_functions(&self, found: &Analysis) -> Vec<Refusal> {
        let capabilities = self.authority.capabilities();
        let refusal = |capability: &str, name: &String, grant: Option<&str>| Refusal {
            capability: capability.to_string(),
            target: name.clone(),
            action: format!("call the SQL function \"{name}\""),
            grant: grant.map(str::to_string),
        };
        let refused = found.functions.iter().filter_map(|name| {
            let time = Capability::TimeAccess;
            match builtin::lookup(name) {
                Some(Builtin::Time) if capabilities.contains(time) => None,
                Some(Builtin::Time) => Some(refusal(time.name(), name, Some(time.name()))),
                Some(Builtin::Random) => Some(refusal("RANDOM_ACCESS", name, None)),
                _ => Some(refusal("CALL_FUNCTION", name, None)),
            }
        });
        refused.collect()
    }

    /// The call's transaction is not the client's.
    fn refuse_in_block(&self) -> Result<(), Unmet> {
        match self.session.client_state() {
            State::Idle => Ok(()),
            _ => Err(self.end(
                Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!(
                        "function \"{}\" cannot reach tables inside a transaction block",
                        self.function.name
                    ),
                )
                .with_detail("on PostgreSQL a call has a transaction of its own")
                .with_hint("COMMIT or ROLLBACK first"),
            )),
        }
    }

    fn unmet(&mut self, checked: &Checked, failure: Failure) -> Unmet {
        match failure {
            Failure::Interrupted => match self.meter.ended() {
                Some(stop) => Unmet::End(self.stop(stop)),
                None => self.end(Failure::Interrupted.into_error()),
            },
            Failure::TooLarge => self.over(Exceeded {
                limit: Limit::ResultBytes,
                allowed: RESULT_BYTES_MAX as u64,
                observed: None,
            }),
            Failure::Exceeded(exceeded) => self.over(exceeded),
            Failure::Value(error) => guest_error(&error),
            Failure::Server(error) => self.refused_by_server(checked, &error),
            failure @ (Failure::Lost(_) | Failure::NoConnection(_)) => {
                self.end(failure.into_error())
            }
        }
    }

    fn refused_by_server(&mut self, checked: &Checked, error: &ServerError) -> Unmet {
        if let Err(stop) = self.meter.check() {
            return Unmet::End(self.stop(stop));
        }
        if error.state != SqlState::DENIED {
            return server_error(error);
        }
        // What a view, a trigger or a function of the database's touches beneath, or what
        // somebody else took from the role.
        let (kind, name) = error.denied_object().unwrap_or(("object", ""));
        let is_partial = |need: &&Need| need.table == name && need.is_partial(self);
        let partial = checked.needs.iter().filter(is_partial);
        let refusals: Vec<Refusal> = partial.map(Need::refusal).collect();
        if !refusals.is_empty() {
            // Columns that are not granted: the server does not say which, nor for what.
            return Unmet::Guest(self.refuse(refusals));
        }
        self.deny("", format!("{kind} {name}").trim());
        server_error(error)
    }

    fn over(&self, exceeded: Exceeded) -> Unmet {
        self.meter.note(exceeded);
        Unmet::End(self.exceed(exceeded))
    }

    fn end(&self, error: Error) -> Unmet {
        Unmet::End(self.fault(error))
    }
}

impl Need {
    fn new(capability: Capability, name: &Name) -> Need {
        let schema = match &name.schema {
            Some(schema) => schema.clone(),
            // The server looks there before it looks in the default schema.
            None if name.table.starts_with("pg_") => "pg_catalog".to_string(),
            None => DEFAULT_SCHEMA_THERE.to_string(),
        };
        Need {
            capability,
            schema,
            table: name.table.clone(),
        }
    }

    fn target(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    /// The table by an unambiguous name, whatever characters there are in it.
    fn qualified(&self) -> String {
        format!("{}.{}", name_in_sql(&self.schema), name_in_sql(&self.table))
    }

    fn permit(&self, execution: &Execution) -> Option<Permit> {
        let Need {
            capability,
            schema,
            table,
        } = self;
        let authority = &execution.authority;
        let guards = execution.meter.guards;
        grant::permit_there(*capability, schema, table, authority, guards)
            .or_else(|| grant::permit_to_ask(*capability, schema, table, authority, guards))
    }

    /// Whether only columns of the table are granted.
    fn is_partial(&self, execution: &Execution) -> bool {
        let (authority, guards) = (&execution.authority, execution.meter.guards);
        let (schema, table) = (&self.schema, &self.table);
        grant::permit_there(self.capability, schema, table, authority, guards).is_none()
    }

    fn refusal(&self) -> Refusal {
        let verb = match self.capability {
            Capability::DatabaseWrite => "write",
            _ => "read",
        };
        let table = match self.schema == DEFAULT_SCHEMA_THERE {
            true => self.table.clone(),
            false => self.target(),
        };
        let capability = self.capability.name();
        Refusal {
            capability: capability.to_string(),
            target: self.target(),
            action: format!("{verb} table \"{table}\""),
            grant: self
                .is_coverable(&table)
                .then(|| format!("{capability}('{table}')")),
        }
    }

    /// Whether a pattern can name it: no reserved name, and none in upper case.
    fn is_coverable(&self, table: &str) -> bool {
        !grant::is_reserved_there(&self.schema, &self.table)
            && TablePattern::parse(table).is_ok_and(|pattern| pattern.to_string() == table)
    }
}

/// Every capability that the statement needs, with its table.
fn needs(found: &Analysis) -> Vec<Need> {
    let reads = found.reads.iter();
    let writes = found.writes.iter();
    reads
        .map(|name| Need::new(Capability::DatabaseRead, name))
        .chain(writes.map(|name| Need::new(Capability::DatabaseWrite, name)))
        .collect()
}

/// A statement for the log.
fn summary(sql: &str, found: &Analysis, needs: &[Need]) -> StatementSummary {
    let tables = |capability| {
        let with = needs.iter().filter(|need| need.capability == capability);
        with.map(Need::qualified).collect::<Vec<String>>()
    };
    let reads = tables(Capability::DatabaseRead);
    let writes = tables(Capability::DatabaseWrite);
    StatementSummary::new(found.operation, sql, &reads, &writes)
}

fn invalid(message: &str) -> Unmet {
    Unmet::Guest(wit::Error::Invalid(message.to_string()))
}

/// An error that the guest caused itself.
fn guest_error(error: &Error) -> Unmet {
    let message = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.message()),
        None => error.message().to_string(),
    };
    match error.sqlstate() {
        SqlState::SYNTAX => Unmet::Guest(wit::Error::Invalid(message)),
        state => failed(state, message),
    }
}

fn server_error(error: &ServerError) -> Unmet {
    match error.state {
        SqlState::SYNTAX => Unmet::Guest(wit::Error::Invalid(error.message.clone())),
        state => failed(state, error.message.clone()),
    }
}

fn failed(state: SqlState, message: String) -> Unmet {
    Unmet::Guest(wit::Error::Failed(wit::Failure {
        sqlstate: state.as_str().to_string(),
        message,
    }))
}
