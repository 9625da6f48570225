//! Aggregates: CREATE AGGREGATE, and the catalog's aggregates as aggregate functions of
//! SQLite's.
//!
//! An aggregate has no code of its own. Its state is a value that the host holds: a
//! function makes the next one of it and a row, and another may make the result of the
//! last one. So states outlive no row in any guest, in whatever language it is written.

use super::Session;
use super::core::SessionCore;
use super::functions::{argument, user_error};
use super::manage::done;
use crate::catalog::NewFunction;
use crate::error::{Error, Result, SqlState};
use crate::function::{Aggregate, Code, Function, Kind};
use crate::session::Outcome;
use crate::signature::{Parameter, Signature};
use crate::statement::CreateAggregate;
use crate::types::{SqlType, Value};
use rusqlite::functions::{Context, FunctionFlags};
use std::sync::{Arc, Weak};

/// One aggregate, as SQLite calls it.
struct Registered {
    core: Weak<SessionCore>,
    name: Box<str>,
    aggregate: Aggregate,
    parameters: Vec<Parameter>,
    returns: SqlType,
}

/// The state of one group.
struct Group {
    state: Value,
    /// What the session counts for the state.
    bytes: usize,
    /// Whether the function of each row leaves out NULLs.
    strict: bool,
}

impl Session {
    pub(super) fn create_aggregate(&mut self, create: CreateAggregate) -> Result<Outcome> {
        const COMMAND: &str = "CREATE AGGREGATE";
        self.refuse_in_transaction(COMMAND)?;
        let name = create.name.folded.clone();
        self.refuse_taken_name(&name)?;
        let replaces = create.or_replace;
        let new = self.new_aggregate(create)?;
        let action = if replaces {
            "CREATE OR REPLACE"
        } else {
            "CREATE"
        };
        let digest = blake3::hash(&new.content).to_hex();
        let detail = format!(
            "{{\"action\":\"{action}\",\"kind\":\"aggregate\",\"content_hash\":\"{digest}\"}}"
        );
        let vault = &self.core.vault;
        let engine = vault.runtime.javascript.hash();
        let record = |version| self.record(&name, version, None, &detail);
        let caller = &self.core.caller;
        vault
            .catalog
            .create(new, replaces, &engine, caller, record)?;
        Ok(done(COMMAND))
    }

    fn new_aggregate(&self, create: CreateAggregate) -> Result<NewFunction> {
        let CreateAggregate {
            name,
            parameters,
            aggregate,
            ..
        } = create;
        let mut types = vec![aggregate.state];
        types.extend(parameters.iter().map(|parameter| parameter.sql_type));
        let step = self.part(&aggregate.step, &types)?;
        refuse_type(&step, aggregate.state)?;
        let returns = match &aggregate.finish {
            Some(finish) => self.part(finish, &[aggregate.state])?.signature.returns,
            None => aggregate.state,
        };
        aggregate.initial_state()?;
        let content = serde_json::to_vec(&aggregate).map_err(Error::internal)?;
        let parameter = |parameter: crate::statement::Parameter| Parameter {
            name: parameter.name,
            sql_type: parameter.sql_type,
            wit_type: None,
        };
        Ok(NewFunction {
            name: name.folded,
            kind: Kind::Aggregate,
            strict: false,
            signature: Signature {
                parameters: parameters.into_iter().map(parameter).collect(),
                returns,
                result: None,
                table: None,
                volatility: Default::default(),
            },
            code: Code::Aggregate {
                hash: *blake3::hash(&content).as_bytes(),
                aggregate,
            },
            entry_names: Vec::new(),
            content: content.into(),
        })
    }

    /// A function that an aggregate is made of, which takes just these types.
    fn part(&self, name: &str, types: &[SqlType]) -> Result<Arc<Function>> {
        let catalog = &self.core.vault.catalog;
        let function = catalog.expect_kind(name, Kind::Procedure, "CREATE")?;
        super::core::refuse_table(&function)?;
        let found = function.signature.parameters.iter().map(|p| p.sql_type);
        if found.eq(types.iter().copied()) {
            return Ok(function);
        }
        let wanted: Vec<String> = types
            .iter()
            .map(|ty| ty.to_string().to_lowercase())
            .collect();
        Err(Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("no function \"{name}({})\"", wanted.join(", ")),
        )
        .with_detail(format!("there is {name}{}", function.signature)))
    }

    pub(super) fn register_aggregate(&self, function: &Function) -> rusqlite::Result<()> {
        let Code::Aggregate { aggregate, .. } = &function.code else {
            return Ok(());
        };
        let registered = Registered {
            core: Arc::downgrade(&self.core),
            name: function.name.as_str().into(),
            aggregate: aggregate.clone(),
            parameters: function.signature.parameters.clone(),
            returns: function.signature.returns,
        };
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
        let name = function.name.as_str();
        self.connection
            .create_aggregate_function(name, -1, flags, registered)
    }
}

impl Aggregate {
    /// What a group begins with.
    fn initial_state(&self) -> Result<Value> {
        match &self.initial {
            Some(text) => Value::Text(text.clone())
                .coerce(self.state)
                .map_err(|error| error.with_detail("INITCOND of the aggregate")),
            None => Ok(Value::Null),
        }
    }
}

impl Registered {
    fn core(&self) -> rusqlite::Result<Arc<SessionCore>> {
        let core = self.core.upgrade();
        core.ok_or_else(|| user_error("the session is closed"))
    }

    fn begin(&self, core: &Arc<SessionCore>) -> Result<Group> {
        let step = core.vault.catalog.expect(&self.aggregate.step)?;
        Ok(Group {
            state: self.aggregate.initial_state()?,
            bytes: 0,
            strict: step.strict,
        })
    }

    fn take_row(&self, core: &Arc<SessionCore>, group: &mut Group, row: Vec<Value>) -> Result<()> {
        let row = self.coerced(row)?;
        if group.strict && row.contains(&Value::Null) {
            return Ok(());
        }
        let state = std::mem::replace(&mut group.state, Value::Null);
        let next = match (group.strict && state == Value::Null, &row[..]) {
            // As PostgreSQL has it: the first value is the first state.
            (true, [first, ..]) => first.clone(),
            _ => {
                let arguments = std::iter::once(state).chain(row).collect();
                core.invoke(&self.aggregate.step, arguments)?
            }
        };
        group.state = next.coerce(self.aggregate.state)?;
        let bytes = group.state.bytes();
        core.hold_state(group.bytes, bytes)?;
        group.bytes = bytes;
        Ok(())
    }

    fn coerced(&self, row: Vec<Value>) -> Result<Vec<Value>> {
        let (given, wanted) = (row.len(), self.parameters.len());
        if given != wanted {
            let message = format!(
                "aggregate \"{}\" takes {wanted} arguments, and {given} were given",
                self.name
            );
            return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message));
        }
        let values = row.into_iter().zip(&self.parameters);
        values
            .map(|(value, parameter)| {
                value.coerce(parameter.sql_type).map_err(|error| {
                    error.with_detail(format!(
                        "parameter \"{}\" of aggregate \"{}\"",
                        parameter.name, self.name
                    ))
                })
            })
            .collect()
    }

    fn finish(&self, core: &Arc<SessionCore>, group: Option<Group>) -> Result<Value> {
        let state = match group {
            Some(group) => {
                core.hold_state(group.bytes, 0)?;
                group.state
            }
            None => self.aggregate.initial_state()?,
        };
        match &self.aggregate.finish {
            Some(finish) => core.invoke(finish, vec![state]),
            None => Ok(state),
        }
    }
}

impl rusqlite::functions::Aggregate<Group, rusqlite::types::Value> for Registered {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Group> {
        let core = self.core()?;
        core.noting(|| self.begin(&core))
    }

    fn step(&self, context: &mut Context<'_>, group: &mut Group) -> rusqlite::Result<()> {
        let core = self.core()?;
        let row = (0..context.len())
            .map(|index| argument(&core, &self.aggregate.step, context.get_raw(index)))
            .collect::<rusqlite::Result<_>>()?;
        core.noting(|| self.take_row(&core, group, row))
    }

    fn finalize(
        &self,
        _: &mut Context<'_>,
        group: Option<Group>,
    ) -> rusqlite::Result<rusqlite::types::Value> {
        let core = self.core()?;
        // SQLite asks for the results of groups that it gives up, too.
        if core.has_failed() {
            return Ok(rusqlite::types::Value::Null);
        }
        let value = core.noting(|| self.finish(&core, group))?;
        Ok(value.into_sqlite(self.returns))
    }
}

fn refuse_type(step: &Function, state: SqlType) -> Result<()> {
    if step.signature.returns == state {
        return Ok(());
    }
    let (name, returns) = (&step.name, step.signature.returns);
    let message = format!("function \"{name}\" returns {returns}, and the state is {state}");
    Err(Error::new(SqlState::WRONG_TYPE, message))
}
