//! Runs a condition: a store and an instance of its own for every decision, so that
//! none depends on one before.

use super::context::{Context, Document, does_not_fit};
use super::{Failure, FailureKind};
use crate::bindings::exports::heliosdb::host::javascript::Exception;
use crate::bindings::heliosdb::host::types as wit;
use crate::bindings::{JavascriptEngine, JavascriptEnginePre};
use crate::component::convert;
use crate::drive::{Stopped, drive};
use crate::engine::{ContentHash, Engine, FUEL_BETWEEN_CHECKS, Kept, Origin, Used, code_bytes};
use crate::error::{Error, Result, SqlState};
use crate::execution::meter::{MemoryMeter, Meter, Stop};
use crate::function::{Code, Function};
use crate::guard::Guard;
use crate::javascript::{self, JavaScript};
use crate::limits::{self, Exceeded, Limit, Limits};
use crate::linker;
use crate::signature::{Signature, WitType};
use crate::vault::VaultCore;
use std::sync::{Arc, Mutex, OnceLock};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Val};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

/// All that the store of a condition holds.
pub(crate) struct Bounds {
    memory: MemoryMeter,
}

/// Conditions that are linked and ready to be instantiated.
pub(crate) struct Conditions {
    javascript: OnceLock<Result<JavascriptEnginePre<Bounds>>>,
    components: Mutex<Kept<ContentHash, InstancePre<Bounds>>>,
}

/// An import that a condition called: its full name.
#[derive(Debug)]
pub(crate) struct NotPure(pub(crate) String);

/// A condition that is ready to be asked.
enum Ready<'f> {
    JavaScript {
        linked: JavascriptEnginePre<Bounds>,
        bytecode: &'f [u8],
    },
    Component {
        linked: InstancePre<Bounds>,
        export: ComponentExportIndex,
    },
}

/// What a condition returned.
enum Answer {
    Boolean(bool),
    /// Something else, for people.
    Other(String),
    Exception(Exception),
    /// The error of a `result`.
    Error(Option<Val>),
}

/// Why there is no answer.
enum Ending {
    Failure(Failure),
    Stopped(Stopped),
    Trap(wasmtime::Error),
}

impl std::fmt::Display for NotPure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\" was called", self.0)
    }
}

impl std::error::Error for NotPure {}

impl wit::Host for Bounds {}

impl Conditions {
    /// None yet; of their code, so much is kept.
    pub(crate) fn new(bytes_max: u64) -> Conditions {
        Conditions {
            javascript: OnceLock::new(),
            components: Mutex::new(Kept::new(bytes_max)),
        }
    }

    /// Lets go of a component that nothing is going to run.
    pub(crate) fn forget(&self, hash: &ContentHash) -> Result<()> {
        let mut components = self.components.lock().map_err(Error::internal)?;
        components.forget(|of| of == hash);
        Ok(())
    }

    /// Whether the component can be a condition: it is linked to nothing but types.
    pub(crate) fn check(engine: &Engine, component: &Component) -> Result<()> {
        linker::link_pure(engine, component).map(drop)
    }

    /// Compiles and links the engine that JavaScript conditions share, unless that is done.
    pub(crate) fn prepare(&self, engine: &Engine, javascript: &JavaScript) -> Result<()> {
        self.javascript(engine, javascript).map(drop)
    }

    fn javascript(
        &self,
        engine: &Engine,
        javascript: &JavaScript,
    ) -> Result<JavascriptEnginePre<Bounds>> {
        let link = || {
            let component = javascript.component(engine)?;
            let linked = linker::link_trapping(engine, &component)?;
            JavascriptEnginePre::new(linked).map_err(Error::internal)
        };
        self.javascript.get_or_init(link).clone()
    }

    fn component(
        &self,
        engine: &Engine,
        hash: &ContentHash,
        component: impl FnOnce() -> Result<Component>,
    ) -> Result<InstancePre<Bounds>> {
        if let Some(linked) = self.components.lock().map_err(Error::internal)?.get(hash) {
            return Ok(linked);
        }
        let linked = linker::link_pure(engine, &component()?)?;
        let bytes = code_bytes(linked.component());
        let mut components = self.components.lock().map_err(Error::internal)?;
        Ok(components.insert(*hash, linked, bytes, Used::default()))
    }
}

/// The answer, or why there is none; and the instructions that it took.
pub(super) fn run(
    vault: &VaultCore,
    function: &Function,
    context: &Context<'_>,
) -> (Result<bool, Failure>, u64) {
    let document = match context.read() {
        Ok(document) => document,
        Err(failure) => return (Err(failure), 0),
    };
    let (ready, mut store) = match prepare(vault, function) {
        Ok(prepared) => prepared,
        Err(error) => return (Err(Failure::new(FailureKind::Host, error)), 0),
    };
    let guards = vault.runtime.engine.guards;
    // The clocks are the condition's: that it is the first, and code is compiled for it,
    // is no reason to deny.
    let meter = Meter::start(Limits::CONDITION, Arc::clone(&function.enabled), guards);
    let answer = answer(ready, &function.signature, &mut store, &meter, document);
    let left = store.get_fuel().unwrap_or(0);
    let instructions = Limits::CONDITION.instructions.saturating_sub(left);
    let result = match answer {
        Ok(answer) => judge(vault, function, answer),
        Err(ending) => Err(explain(function, ending)),
    };
    (result, instructions)
}

fn prepare<'f>(vault: &VaultCore, function: &'f Function) -> Result<(Ready<'f>, Store<Bounds>)> {
    let runtime = &vault.runtime;
    let (conditions, engine) = (&runtime.conditions, runtime.pure_engine()?);
    let ready = match &function.code {
        Code::JavaScript { bytecode, .. } if bytecode.is_empty() => {
            let why = "its source does not compile with this engine";
            return Err(failed(&function.name, why));
        }
        Code::JavaScript { bytecode, .. } => Ready::JavaScript {
            linked: conditions.javascript(engine, &runtime.javascript)?,
            bytecode,
        },
        Code::Component { hash, export } => {
            let bytes = || vault.catalog.content(hash);
            let compile = || engine.component(hash, &function.name, Origin::Upload, bytes);
            let linked = conditions.component(engine, hash, compile)?;
            Ready::Component {
                export: linker::find_export(linked.component(), export)?,
                linked,
            }
        }
        Code::Aggregate { .. } => return Err(Error::internal("an aggregate is no condition")),
    };
    Ok((ready, store(engine)?))
}

fn store(engine: &Engine) -> Result<Store<Bounds>> {
    let (limits, guards) = (Limits::CONDITION, engine.guards);
    let bounds = Bounds {
        memory: MemoryMeter::new(limits.memory_bytes, guards),
    };
    let mut store = Store::new(engine.wasmtime(), bounds);
    store.limiter(|bounds| &mut bounds.memory);
    store.set_hostcall_fuel(limits::CONTEXT_BYTES_MAX);
    // There is no resource that one could be for.
    store.set_max_component_handles(0);
    store
        .set_fuel(guards.bound(Guard::Instructions, limits.instructions, u64::MAX))
        .and_then(|()| store.fuel_async_yield_interval(Some(FUEL_BETWEEN_CHECKS)))
        .map_err(Error::internal)?;
    Ok(store)
}

fn answer(
    ready: Ready<'_>,
    signature: &Signature,
    store: &mut Store<Bounds>,
    meter: &Meter,
    document: Document<'_>,
) -> Result<Answer, Ending> {
    match ready {
        Ready::JavaScript { linked, bytecode } => {
            // It reads the text for itself; what was read to check it may be large.
            let text = document.text;
            drop(document);
            finished(drive(ask_javascript(store, &linked, bytecode, text), meter))
        }
        Ready::Component { linked, export } => {
            let argument = argument(signature, &document)?;
            drop(document);
            let asked = ask_component(store, &linked, export, argument);
            finished(drive(asked, meter))
        }
    }
}

fn finished(driven: Result<wasmtime::Result<Answer>, Stopped>) -> Result<Answer, Ending> {
    driven.map_err(Ending::Stopped)?.map_err(Ending::Trap)
}

async fn ask_javascript(
    store: &mut Store<Bounds>,
    linked: &JavascriptEnginePre<Bounds>,
    bytecode: &[u8],
    context: &str,
) -> wasmtime::Result<Answer> {
    let engine: JavascriptEngine = linked.instantiate_async(&mut *store).await?;
    let javascript = engine.heliosdb_host_javascript();
    if let Err(exception) = javascript.call_load(&mut *store, bytecode).await? {
        return Ok(Answer::Exception(exception));
    }
    let text = context.to_string();
    let argument = wit::Value::Json(wit::Json { text });
    Ok(
        match javascript.call_call(store, &[argument], false).await? {
            Ok(wit::Value::Boolean(answer)) => Answer::Boolean(answer),
            Ok(other) => Answer::Other(type_name(&other).to_string()),
            Err(exception) => Answer::Exception(exception),
        },
    )
}

async fn ask_component(
    store: &mut Store<Bounds>,
    linked: &InstancePre<Bounds>,
    export: ComponentExportIndex,
    argument: Val,
) -> wasmtime::Result<Answer> {
    let instance = linked.instantiate_async(&mut *store).await?;
    let missing = || wasmtime::Error::msg("the exported function is missing");
    let func = instance.get_func(&mut *store, export).ok_or_else(missing)?;
    let mut results = [Val::Bool(false)];
    func.call_async(store, &[argument], &mut results).await?;
    let [result] = results;
    Ok(match result {
        Val::Bool(answer) => Answer::Boolean(answer),
        Val::Result(Ok(Some(answer))) => match *answer {
            Val::Bool(answer) => Answer::Boolean(answer),
            _ => Answer::Other("a result of another type".to_string()),
        },
        Val::Result(Err(error)) => Answer::Error(error.map(|error| *error)),
        _ => Answer::Other("a value of another type".to_string()),
    })
}

/// The context as the record that the condition takes.
fn argument(signature: &Signature, document: &Document<'_>) -> Result<Val, Ending> {
    let wit_type = signature
        .parameters
        .first()
        .and_then(|parameter| parameter.wit_type.as_ref());
    let argument = match wit_type {
        // As it was given, so that a number keeps its digits.
        Some(WitType::Json) => {
            let text = crate::types::Value::Json(document.text.to_string());
            convert::lower(&text, &WitType::Json)
        }
        Some(ty) => convert::from_json(&document.json, ty),
        None => Err(Error::internal("a condition without a parameter")),
    };
    argument.map_err(|error| Ending::Failure(does_not_fit(error)))
}

fn judge(vault: &VaultCore, function: &Function, answer: Answer) -> Result<bool, Failure> {
    let name = &function.name;
    match answer {
        Answer::Boolean(answer) => Ok(answer),
        Answer::Other(what) => Err(Failure::new(
            FailureKind::Result,
            Error::new(
                SqlState::WRONG_TYPE,
                format!("condition \"{name}\" returned {what}, and neither true nor false"),
            ),
        )),
        Answer::Exception(exception) if javascript::is_stack_overflow(&exception) => {
            Err(limit_reached(name, stack_limit()))
        }
        Answer::Exception(exception) => Err(Failure::new(
            FailureKind::Guest,
            javascript::uncaught(
                function,
                source(vault, function).as_deref(),
                &exception,
                vault.runtime.engine.guards,
            ),
        )),
        Answer::Error(error) => {
            let text = returned_text(&function.signature, error.as_ref());
            Err(Failure::new(FailureKind::Guest, failed(name, &text)))
        }
    }
}

fn source(vault: &VaultCore, function: &Function) -> Option<String> {
    let bytes = vault.catalog.content(&function.content_hash()).ok()?;
    String::from_utf8(bytes.to_vec()).ok()
}

fn returned_text(signature: &Signature, error: Option<&Val>) -> String {
    let ty = crate::component::error_type(signature.result.as_ref());
    match (error, ty) {
        (Some(error), Some(ty)) => match convert::to_json(error, ty) {
            Ok(serde_json::Value::String(text)) if !text.is_empty() => text,
            Ok(json) => json.to_string(),
            Err(error) => error.to_string(),
        },
        _ => "it returned an error".to_string(),
    }
}

fn explain(function: &Function, ending: Ending) -> Failure {
    let name = &function.name;
    match ending {
        Ending::Failure(failure) => failure,
        Ending::Stopped(Stopped::Ended(Stop::Limit(exceeded))) => limit_reached(name, exceeded),
        Ending::Stopped(Stopped::Ended(Stop::Disabled)) => super::disabled(name),
        Ending::Stopped(Stopped::Panic(cause)) => {
            let error = failed(name, "the host could not serve it").with_cause(cause);
            Failure::new(FailureKind::Host, error)
        }
        Ending::Trap(trap) => trapped(function, &trap),
    }
}

fn trapped(function: &Function, trap: &wasmtime::Error) -> Failure {
    let name = &function.name;
    if let Some(exceeded) = trap.downcast_ref::<Exceeded>() {
        return limit_reached(name, *exceeded);
    }
    if let Some(NotPure(import)) = trap.downcast_ref::<NotPure>() {
        let error = Error::new(
            SqlState::DENIED,
            format!("condition \"{name}\" may not call \"{import}\""),
        )
        .with_detail("a condition computes from its context, and does nothing else");
        return Failure::new(FailureKind::NotPure, error);
    }
    match trap.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => limit_reached(
            name,
            reached(Limit::Instructions, Limits::CONDITION.instructions),
        ),
        Some(Trap::StackOverflow) => limit_reached(name, stack_limit()),
        // The JavaScript engine's own stack lies at the beginning of its memory: a
        // recursion that it does not count itself runs out of it.
        Some(Trap::MemoryOutOfBounds) if function.language() == "javascript" => {
            limit_reached(name, stack_limit())
        }
        _ if trap.is::<PoolConcurrencyLimitError>() => {
            let error = failed(name, "too many run at once").with_cause(format!("{trap:?}"));
            Failure::new(FailureKind::Host, error)
        }
        // A trap, or a result that is none of its type.
        _ => {
            let error = failed(name, &trap.root_cause().to_string());
            Failure::new(FailureKind::Guest, error.with_cause(format!("{trap:?}")))
        }
    }
}

fn stack_limit() -> Exceeded {
    reached(Limit::Stack, Limits::CONDITION.stack_bytes)
}

fn reached(limit: Limit, allowed: u64) -> Exceeded {
    Exceeded {
        limit,
        allowed,
        observed: None,
    }
}

fn limit_reached(name: &str, exceeded: Exceeded) -> Failure {
    let error = Error::new(
        exceeded.limit.sqlstate(),
        format!("condition \"{name}\" was ended: {exceeded}"),
    )
    .with_detail("the limit is the same for every condition");
    Failure {
        limit: Some(exceeded.limit),
        ..Failure::new(FailureKind::Limit, error)
    }
}

fn failed(name: &str, what: &str) -> Error {
    Error::new(
        SqlState::GUEST_EXCEPTION,
        format!("condition \"{name}\" failed: {what}"),
    )
}

fn type_name(value: &wit::Value) -> &'static str {
    match value {
        wit::Value::Null => "nothing",
        wit::Value::Boolean(_) => "a boolean",
        wit::Value::Integer(_) | wit::Value::Real(_) | wit::Value::Decimal(_) => "a number",
        wit::Value::Text(_) => "a string",
        wit::Value::Blob(_) => "bytes",
        wit::Value::Timestamp(_) => "a Date",
        wit::Value::Json(_) => "an object",
    }
}
