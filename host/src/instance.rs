//! A guest that is running: a fresh store and instance for each execution, which is
//! discarded after any failure.

mod rows;

pub(crate) use rows::Rows;

use crate::admission::Place;
use crate::bindings::JavascriptEngine;
use crate::bindings::heliosdb::host::types as wit;
use crate::component::{self, convert};
use crate::drive::{Stopped, drive};
use crate::engine::FUEL_BETWEEN_CHECKS;
use crate::error::{Error, Result, SqlState};
use crate::execution::meter::{Cost, Meter, Stop};
use crate::execution::{Execution, HostFault};
use crate::function::{Code, ExportPath, Function};
use crate::guard::Guard;
use crate::javascript;
use crate::limits::{self, Exceeded, Limit};
use crate::linker::Ready;
use crate::session::core::SessionCore;
use crate::session::{Notice, Severity};
use crate::signature::WitType;
use crate::types::{SqlType, Value};
use std::sync::Arc;
use wasmtime::component::{Func, Val};
use wasmtime::{Store, Trap};

/// An execution under way.
pub(crate) struct Running {
    store: Store<Execution>,
    meter: Arc<Meter>,
    function: Arc<Function>,
    guest: Guest,
    /// What the host holds of the rows of open tables, in bytes.
    rows_bytes: usize,
    open_tables: usize,
    /// Given back after the store is gone, since it stands for the store's memory.
    _place: Place,
}

enum Guest {
    /// Nothing is instantiated: the instance failed to start, or a call failed.
    None,
    JavaScript(Box<JavascriptEngine>),
    Component(Exports),
}

/// What is called of a component.
struct Exports {
    function: Func,
    /// The method behind a table that is a resource.
    next: Option<Func>,
}

/// Why a guest's call ended without a result.
enum Ending {
    Limit(Exceeded),
    /// A trap, an exception, a fault of the host.
    Error(Error),
}

impl Running {
    /// Starts an execution: its start is recorded, its instance is fresh. An error of
    /// the instance is an error of the first invocation, so that it is recorded as
    /// such.
    pub(crate) fn start(
        session: &Arc<SessionCore>,
        function: &Arc<Function>,
        place: Place,
    ) -> Result<Running> {
        let linked = session.vault.linked(function)?;
        let execution = Execution::start(session, function);
        let meter = Arc::clone(&execution.meter);
        let mut store = Store::new(linked.instance.component().engine(), execution);
        store.limiter(|execution| &mut execution.memory);
        let guards = meter.guards;
        let bound = |guard, most| guards.bound(guard, most, usize::MAX);
        store.set_hostcall_fuel(bound(Guard::HostCallBytes, limits::HOST_CALL_BYTES_MAX));
        store.set_max_component_handles(bound(Guard::Handles, limits::HANDLES_MAX));
        let instructions = function.limits.instructions;
        store
            .set_fuel(guards.bound(Guard::Instructions, instructions, u64::MAX))
            .and_then(|()| store.fuel_async_yield_interval(Some(FUEL_BETWEEN_CHECKS)))
            .map_err(Error::internal)?;
        let mut running = Running {
            store,
            meter,
            function: Arc::clone(function),
            guest: Guest::None,
            rows_bytes: 0,
            open_tables: 0,
            _place: place,
        };
        match running.instantiate(&linked) {
            Ok(guest) => running.guest = guest,
            Err(ending) => {
                let error = running.explain(ending);
                return Err(running.finish(Some(error)).unwrap_or_else(unexplained));
            }
        }
        Ok(running)
    }

    pub(crate) fn function(&self) -> &Arc<Function> {
        &self.function
    }

    /// Calls the function with values of its parameters' types. After an error the
    /// instance is gone, and only `finish` remains to be called.
    pub(crate) fn invoke(&mut self, arguments: &[Value]) -> Result<Value> {
        self.begin_invocation();
        let returns = self.function.signature.returns;
        self.with_guest(|running, guest| {
            let value = match guest {
                Guest::None => Err(Ending::Error(unexplained())),
                Guest::JavaScript(engine) => running.call_javascript(engine, arguments),
                Guest::Component(exports) => running.call_component(&exports.function, arguments),
            }?;
            // What it left open is none of the next row's.
            let ended = running.store.data_mut().end_invocation();
            ended.map_err(|trap| running.trapped(&trap))?;
            value.coerce(returns).map_err(Ending::Error)
        })
    }

    fn begin_invocation(&mut self) {
        let recorder = &mut self.store.data_mut().recorder;
        recorder.invocations += 1;
        if recorder.invocations > 1 {
            // The statement around it has worked since the last row.
            self.meter.begin_waiting();
        }
    }

    /// Works with the instance, which is dropped if that fails.
    fn with_guest<R>(
        &mut self,
        work: impl FnOnce(&mut Running, &Guest) -> Result<R, Ending>,
    ) -> Result<R> {
        let guest = std::mem::replace(&mut self.guest, Guest::None);
        let result = work(self, &guest);
        if result.is_ok() {
            self.guest = guest;
        }
        result.map_err(|ending| self.explain(ending))
    }

    /// Appends what was recorded until now, if a commit of its writes follows.
    pub(crate) fn before_commit(&mut self) -> Result<()> {
        self.store.data_mut().recorder.before_commit()
    }

    /// Records the end. Returns the error to report: the given one, or the log's.
    pub(crate) fn finish(mut self, error: Option<Error>) -> Option<Error> {
        let cost = self.cost();
        let exceeded = self.meter.exceeded();
        let execution = self.store.data_mut();
        execution.report_dropped_messages();
        execution.open.give_back(&execution.session.database);
        let recorded = execution.recorder.finish(&cost, exceeded, error.as_ref());
        let invocations = execution.recorder.invocations;
        execution.session.report(&self.function, invocations, &cost);
        tracing::debug!(
            function = self.function.name,
            ?cost,
            failed = error.is_some()
        );
        // A result without its record must not be released.
        recorded.err().or(error)
    }

    pub(crate) fn cost(&self) -> Cost {
        let left = self.store.get_fuel().unwrap_or(0);
        self.store
            .data()
            .cost(self.function.limits.instructions.saturating_sub(left))
    }

    fn instantiate(&mut self, ready: &Ready) -> Result<Guest, Ending> {
        let function = Arc::clone(&self.function);
        let (bytecode, engine) = match (&function.code, &ready.javascript) {
            (Code::Component { export, .. }, _) => {
                let index = ready.export(export).map_err(Ending::Error)?;
                let started = drive(
                    ready.instance.instantiate_async(&mut self.store),
                    &self.meter,
                );
                let instance = self.settle(started)?;
                let next = match function.signature.result.as_ref() {
                    Some(result) => result.next_method(),
                    None => None,
                };
                let next = next.map(|method| {
                    let path = ExportPath {
                        interface: export.interface.clone(),
                        function: method.to_string(),
                    };
                    ready.export(&path)
                });
                let next = next.transpose().map_err(Ending::Error)?;
                let next = next.and_then(|index| instance.get_func(&mut self.store, index));
                let function = instance.get_func(&mut self.store, index);
                let function = function.ok_or(Ending::Error(unexplained()))?;
                return Ok(Guest::Component(Exports { function, next }));
            }
            (Code::JavaScript { bytecode, .. }, Some(engine)) => (bytecode, engine),
            (Code::JavaScript { .. }, None) | (Code::Aggregate { .. }, _) => {
                return Err(Ending::Error(unexplained()));
            }
        };
        if bytecode.is_empty() {
            let why = "its source does not compile with this engine";
            return Err(Ending::Error(self.guest_failed(why)));
        }
        let store = &mut self.store;
        let started = drive(
            async {
                let engine = engine.instantiate_async(&mut *store).await?;
                let interface = engine.heliosdb_host_javascript();
                let loaded = interface.call_load(&mut *store, bytecode).await?;
                Ok(loaded.map(|()| Guest::JavaScript(Box::new(engine))))
            },
            &self.meter,
        );
        match self.settle(started)? {
            Ok(guest) => Ok(guest),
            Err(exception) => Err(Ending::Error(self.thrown(&exception))),
        }
    }

    fn call_javascript(
        &mut self,
        engine: &JavascriptEngine,
        arguments: &[Value],
    ) -> Result<Value, Ending> {
        let arguments: Vec<wit::Value> = arguments.iter().map(to_wit).collect();
        let as_json = self.function.signature.returns == SqlType::Json;
        let store = &mut self.store;
        let called = drive(
            engine
                .heliosdb_host_javascript()
                .call_call(&mut *store, &arguments, as_json),
            &self.meter,
        );
        match self.settle(called)? {
            Ok(value) => Ok(from_wit(value)),
            Err(exception) => Err(Ending::Error(self.thrown(&exception))),
        }
    }

    fn call_component(&mut self, func: &Func, arguments: &[Value]) -> Result<Value, Ending> {
        let (val, ty) = match self.function.signature.result {
            Some(_) => self.call_for_val(func, arguments)?,
            None => {
                self.call_dynamically(func, arguments, &mut [])?;
                return Ok(Value::Null);
            }
        };
        self.component_result(val, &ty)
            .map_err(|error| match self.meter.ended() {
                Some(stop) => self.stopped(stop),
                None => Ending::Error(error),
            })
    }

    /// Calls a component's function that has a result.
    fn call_for_val(&mut self, func: &Func, arguments: &[Value]) -> Result<(Val, WitType), Ending> {
        let mut results = [Val::Bool(false)];
        self.call_dynamically(func, arguments, &mut results)?;
        let [val] = results;
        let ty = self.function.signature.result.clone();
        ty.map(|ty| (val, ty)).ok_or(Ending::Error(unexplained()))
    }

    fn call_dynamically(
        &mut self,
        func: &Func,
        arguments: &[Value],
        results: &mut [Val],
    ) -> Result<(), Ending> {
        let function = Arc::clone(&self.function);
        let arguments = arguments
            .iter()
            .zip(&function.signature.parameters)
            .map(|(value, parameter)| match &parameter.wit_type {
                Some(ty) => convert::lower(value, ty)
                    .map_err(|e| e.with_detail(format!("parameter \"{}\"", parameter.name))),
                None => Err(unexplained()),
            })
            .collect::<Result<Vec<Val>>>()
            .map_err(Ending::Error)?;
        let store = &mut self.store;
        let called = drive(
            func.call_async(&mut *store, &arguments, results),
            &self.meter,
        );
        self.settle(called)
    }

    /// Takes `result<T, E>` apart: an error of the guest is an error of the call.
    fn component_result(&self, val: Val, ty: &WitType) -> Result<Value> {
        match (ty, val) {
            (WitType::Result { ok, .. }, Val::Result(Ok(val))) => match (ok, val) {
                (Some(ok), Some(val)) => convert::lift(*val, ok, &self.meter),
                _ => Ok(Value::Null),
            },
            (WitType::Result { .. }, Val::Result(Err(val))) => {
                Err(self.returned_error(val.as_deref(), component::error_type(Some(ty))))
            }
            (ty, val) => convert::lift(val, ty, &self.meter),
        }
    }

    /// The error for an `err` that a component returned.
    fn returned_error(&self, val: Option<&Val>, ty: Option<&WitType>) -> Error {
        if let (Some(WitType::Error), Some(val)) = (ty, val)
            && let Some(denials) = claimed_denials(val)
            && let Some(error) = self.store.data().confirm_denied(&denials)
        {
            return error;
        }
        let text = match (val, ty) {
            (Some(val), Some(ty)) => match convert::to_json(val, ty) {
                Ok(serde_json::Value::String(text)) => text,
                Ok(serde_json::Value::Object(members)) if *ty == WitType::Error => members
                    .values()
                    .next()
                    .and_then(|v| v.as_str())
                    .unwrap_or("")
                    .to_string(),
                Ok(json) => json.to_string(),
                Err(error) => error.to_string(),
            },
            _ => "it returned an error without a message".to_string(),
        };
        let text = if text.is_empty() {
            "it returned an error".to_string()
        } else {
            text
        };
        let error = self.guest_failed(&text);
        match (ty, val) {
            (Some(WitType::Error), Some(Val::Variant(case, Some(claimed)))) => match &**claimed {
                Val::String(claimed) if case == "invalid" => self.confirm_malformed(claimed, error),
                _ => error,
            },
            _ => error,
        }
    }

    /// The error for a JavaScript exception.
    fn thrown(
        &self,
        exception: &crate::bindings::exports::heliosdb::host::javascript::Exception,
    ) -> Error {
        if let Some(wit::Error::Denied(denials)) = &exception.cause
            && let Some(error) = self.store.data().confirm_denied(denials)
        {
            return error;
        }
        if javascript::is_stack_overflow(exception) {
            let exceeded = Exceeded {
                limit: Limit::Stack,
                allowed: self.function.limits.stack_bytes,
                observed: None,
            };
            self.meter.note(exceeded);
            return exceeded.into_error(&self.function);
        }
        let source = match &self.function.code {
            Code::JavaScript { source_hash, .. } => self
                .store
                .data()
                .session
                .vault
                .catalog
                .content(source_hash)
                .ok(),
            Code::Component { .. } | Code::Aggregate { .. } => None,
        };
        let source = source
            .as_deref()
            .and_then(|bytes| std::str::from_utf8(bytes).ok());
        let guards = self.meter.guards;
        let error = javascript::uncaught(&self.function, source, exception, guards);
        match &exception.cause {
            Some(wit::Error::Invalid(claimed)) => self.confirm_malformed(claimed, error),
            _ => error,
        }
    }

    /// The error for a guest that gave up over a malformed request, if it was one.
    fn confirm_malformed(&self, claimed: &str, error: Error) -> Error {
        match self.store.data().confirm_malformed(claimed) {
            true => error.with_sqlstate(SqlState::SYNTAX),
            false => error,
        }
    }

    /// Sorts out how a drive ended: with an output, over a limit, or by a trap.
    fn settle<T>(&self, driven: Result<wasmtime::Result<T>, Stopped>) -> Result<T, Ending> {
        match driven {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(trap)) => Err(self.trapped(&trap)),
            Err(Stopped::Ended(stop)) => Err(self.stopped(stop)),
            Err(Stopped::Panic(cause)) => Err(Ending::Error(
                self.guest_failed("the host could not serve it")
                    .with_cause(cause),
            )),
        }
    }

    fn stopped(&self, stop: Stop) -> Ending {
        match stop {
            Stop::Limit(exceeded) => Ending::Limit(exceeded),
            Stop::Disabled => Ending::Error(self.store.data().no_longer_there()),
        }
    }

    fn trapped(&self, trap: &wasmtime::Error) -> Ending {
        if let Some(exceeded) = trap.downcast_ref::<Exceeded>() {
            return Ending::Limit(*exceeded);
        }
        if let Some(HostFault(error)) = trap.downcast_ref::<HostFault>() {
            return Ending::Error(error.clone());
        }
        let limits = &self.function.limits;
        let limit = |limit, allowed| {
            Ending::Limit(Exceeded {
                limit,
                allowed,
                observed: None,
            })
        };
        match trap.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => limit(Limit::Instructions, limits.instructions),
            Some(Trap::StackOverflow) => limit(Limit::Stack, limits.stack_bytes),
            // The JavaScript engine's own stack lies at the beginning of its memory: a
            // recursion that it does not count itself runs out of it.
            Some(Trap::MemoryOutOfBounds) if self.function.language() == "javascript" => {
                limit(Limit::Stack, limits.stack_bytes)
            }
            Some(_) => Ending::Error(self.guest_trapped(trap)),
            None => match unnamed_limit(trap) {
                Some((name, allowed)) => limit(name, allowed),
                None => Ending::Error(self.guest_trapped(trap)),
            },
        }
    }

    fn guest_trapped(&self, trap: &wasmtime::Error) -> Error {
        match &self.store.data().panic_message {
            Some(message) => self.guest_failed(&format!("panic: {message}")),
            None => self.guest_failed(&trap.root_cause().to_string()),
        }
        .with_cause(format!("{trap:?}"))
    }

    /// The words may be a component's own, and as long as its memory.
    fn guest_failed(&self, what: &str) -> Error {
        let what = javascript::shorten(what, javascript::message_chars_max(self.meter.guards));
        Error::new(
            SqlState::GUEST_EXCEPTION,
            format!("function \"{}\" failed: {what}", self.function.name),
        )
    }

    fn explain(&self, ending: Ending) -> Error {
        match ending {
            Ending::Limit(exceeded) => {
                self.meter.note(exceeded);
                exceeded.into_error(&self.function)
            }
            Ending::Error(error) => error,
        }
    }
}

impl Execution {
    fn report_dropped_messages(&mut self) {
        let dropped = std::mem::take(&mut self.messages.dropped);
        if dropped > 0 {
            let text = format!(
                "{dropped} more messages of function \"{}\" were dropped",
                self.function.name
            );
            self.session.notice(Notice::new(Severity::Warning, text));
        }
    }
}

/// The limit behind an error of wasmtime's that has no type of its own, only words.
fn unnamed_limit(trap: &wasmtime::Error) -> Option<(Limit, u64)> {
    let words = trap.root_cause().to_string();
    [
        (
            "fuel allocated for hostcalls has been exhausted",
            Limit::HostCall,
            limits::HOST_CALL_BYTES_MAX,
        ),
        (
            "store handle limit exceeded",
            Limit::Handles,
            limits::HANDLES_MAX,
        ),
    ]
    .into_iter()
    .find(|(its_words, ..)| words.ends_with(its_words))
    .map(|(_, limit, allowed)| (limit, allowed as u64))
}

fn unexplained() -> Error {
    Error::internal("an instance was used after it had failed")
}

/// The denials in a `types.error` value, if that is what it holds.
fn claimed_denials(val: &Val) -> Option<Vec<wit::Denial>> {
    let Val::Variant(case, Some(payload)) = val else {
        return None;
    };
    let (true, Val::List(items)) = (case == "denied", &**payload) else {
        return None;
    };
    items
        .iter()
        .map(|item| match item {
            Val::Record(fields) => match &fields[..] {
                [(_, Val::String(capability)), (_, Val::String(target))] => Some(wit::Denial {
                    capability: capability.clone(),
                    target: target.clone(),
                }),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

fn to_wit(value: &Value) -> wit::Value {
    match value {
        Value::Null => wit::Value::Null,
        Value::Boolean(b) => wit::Value::Boolean(*b),
        Value::Integer(n) => wit::Value::Integer(*n),
        Value::Real(x) => wit::Value::Real(*x),
        Value::Text(text) => wit::Value::Text(text.clone()),
        Value::Blob(bytes) => wit::Value::Blob(bytes.clone()),
        Value::Decimal(digits) => wit::Value::Decimal(wit::Decimal {
            digits: digits.clone(),
        }),
        Value::Timestamp(microseconds) => wit::Value::Timestamp(wit::Timestamp {
            microseconds: *microseconds,
        }),
        Value::Json(text) => wit::Value::Json(wit::Json { text: text.clone() }),
    }
}

fn from_wit(value: wit::Value) -> Value {
    match value {
        wit::Value::Null => Value::Null,
        wit::Value::Boolean(b) => Value::Boolean(b),
        wit::Value::Integer(n) => Value::Integer(n),
        wit::Value::Real(x) => Value::Real(x),
        wit::Value::Text(text) => Value::Text(text),
        wit::Value::Blob(bytes) => Value::Blob(bytes),
        wit::Value::Decimal(decimal) => Value::Decimal(decimal.digits),
        wit::Value::Timestamp(timestamp) => Value::Timestamp(timestamp.microseconds),
        wit::Value::Json(json) => Value::Json(json.text),
    }
}
