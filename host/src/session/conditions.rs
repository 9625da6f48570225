//! Conditions in a session: what they are made of, what cannot be done to one, and
//! asking one.

use super::Session;
use super::manage::{compile, declared_signature, of_component};
use crate::catalog::NewFunction;
use crate::component;
use crate::condition::{Conditions, Decision};
use crate::error::{Error, Result, SqlState};
use crate::function::{Function, Kind};
use crate::guard::Guard;
use crate::signature::{Parameter, Signature, WitType};
use crate::statement::{Alteration, CreateFunction};
use crate::types::{SqlType, Value};
use std::sync::Arc;

impl Session {
    /// Asks a condition about a context: one JSON document.
    ///
    /// Whatever goes wrong with the condition or its context is a denial with its
    /// failure. An error is only that there is no condition of this name (42883, 42809)
    /// or that the answer could not be recorded (58030).
    pub fn check(&mut self, condition: &str, context: &str) -> Result<Decision> {
        let core = &self.core;
        let catalog = &core.vault.catalog;
        let function = catalog.expect_kind(condition, Kind::Condition, "CREATE")?;
        let context = Value::Json(context.to_string());
        core.answer(&function, &context)
    }

    /// Compiles the engine of JavaScript conditions, so that the first question does not
    /// wait for it.
    pub(super) fn prepare_javascript_conditions(&self) -> Result<()> {
        let runtime = &self.core.vault.runtime;
        let engine = runtime.pure_engine()?;
        runtime.conditions.prepare(engine, &runtime.javascript)
    }

    /// What CREATE CONDITION stores of a component.
    pub(super) fn new_component_condition(
        &self,
        create: &CreateFunction,
        content: &Arc<[u8]>,
    ) -> Result<NewFunction> {
        let guards = self.core.guards();
        let inspection = component::inspect_with(content, guards)?;
        if guards.holds(Guard::ConditionImports) {
            refuse_imports(&inspection.impure_imports())?;
        }
        let name = &create.name.folded;
        let (export, found) = inspection.export(name)?;
        let signature = signature(create, found)?;
        let new = of_component(create, content, export, signature);
        let engine = self.core.vault.runtime.pure_engine()?;
        compile(engine, &new, |component| {
            Conditions::check(engine, component)
        })?;
        Ok(new)
    }
}

/// What would give a condition more than its argument, or other limits than all have.
pub(super) fn refuse_for_condition(function: &Function, alteration: &Alteration) -> Result<()> {
    let cannot = match alteration {
        Alteration::SetEnabled(_) | Alteration::SetVersion(_) => return Ok(()),
        Alteration::SetPolicy(_) => "has no security policy",
        Alteration::SetLimits(_) => "has no limits of its own",
        Alteration::Grant(_) | Alteration::Revoke(_) | Alteration::Deny(_) => "has no capabilities",
    };
    if function.kind != Kind::Condition {
        return Ok(());
    }
    Err(Error::new(
        SqlState::WRONG_OBJECT,
        format!("condition \"{}\" {cannot}", function.name),
    )
    .with_detail("a condition computes from its context, within limits that all have")
    .with_hint("what needs more is a function: CREATE FUNCTION"))
}

fn refuse_imports(imports: &[&str]) -> Result<()> {
    if imports.is_empty() {
        return Ok(());
    }
    let imports: Vec<String> = imports
        .iter()
        .map(|import| format!("\"{import}\""))
        .collect();
    Err(Error::new(
        SqlState::INVALID_VALUE,
        format!("a condition may not import {}", imports.join(", ")),
    )
    .with_detail("it computes from its context alone: \"heliosdb:host/types\" is all it imports")
    .with_hint(
        "build it against the world \"check\" of wit/ and without WASI: for wasm32-unknown-unknown",
    ))
}

/// One record in, a boolean out.
fn signature(create: &CreateFunction, found: &Signature) -> Result<Signature> {
    let takes_context = matches!(
        found.parameters[..],
        [Parameter {
            wit_type: Some(WitType::Record(_) | WitType::Json),
            ..
        }]
    );
    let says = match &found.result {
        Some(WitType::Result { ok, .. }) => ok.as_deref(),
        other => other.as_ref(),
    };
    if !takes_context || says != Some(&WitType::Bool) || found.returns != SqlType::Boolean {
        let name = &create.name.folded;
        let message = format!("\"{name}\" of the component is no condition");
        return Err(Error::new(SqlState::INVALID_VALUE, message)
            .with_detail(format!("it is {name}{found}"))
            .with_hint(
                "a condition takes one record, or types.json, and returns bool or result<bool, E>",
            ));
    }
    declared_signature(create, found)
}
