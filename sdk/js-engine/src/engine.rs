//! The one runtime and context of an instance, and the functions of the prelude.
//!
//! Nothing here knows what a procedure is; see `run` for that.

use crate::{bindings::types, globals, run::Loaded, table::Table};
use rquickjs::{
    Context, Ctx, FromJs, Function, Object, Persistent, Result, Runtime, Value,
    context::intrinsic,
    function::IntoArgs,
    loader::{ImportAttributes, Loader, Resolver},
    module::Declared,
};
use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};

/// How much of the shadow stack (1 MiB) a script may use.
///
/// QuickJS measures only the shadow stack, but this also has to end a recursion
/// before the native stack does, which has 2 MiB by the host's configuration.
/// `.cargo/config.toml` says how the two are brought into proportion, and
/// `build-js-engine stack` tries the recursions that use either up fastest.
const STACK_BYTES: usize = 448 * 1024;

/// How much a script allocates before the first search for cyclic garbage.
/// Short calls never come to it.
const GARBAGE_BYTES: usize = 1024 * 1024;

/// The name of the prelude in stacks; `exception` hides its frames.
pub(crate) const PRELUDE_FILE: &str = "heliosdb";

/// Everything but `performance`, which would be a clock.
type Intrinsics = (
    intrinsic::Date,
    intrinsic::Eval,
    intrinsic::RegExpCompiler,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::Proxy,
    intrinsic::MapSet,
    intrinsic::TypedArrays,
    intrinsic::Promise,
    intrinsic::WeakRef,
);

/// Promises that were rejected and that nothing has handled, with their reasons.
pub(crate) type Rejections =
    Rc<RefCell<Vec<(Persistent<Value<'static>>, Persistent<Value<'static>>)>>>;

/// The state of an instance.
pub(crate) struct Engine {
    context: Context,
    /// The prelude's functions.
    pub(crate) prelude: Prelude,
    /// The loaded procedure.
    pub(crate) loaded: RefCell<Option<Loaded>>,
    /// The tables that are open.
    pub(crate) tables: RefCell<Vec<Option<Table>>>,
    /// What the running call still has to answer for.
    pub(crate) rejections: Rejections,
}

/// The functions that `prelude.js` returns.
pub(crate) struct Prelude {
    /// Makes a HeliosError of a record.
    pub(crate) refuse: Tool,
    /// The record of a HeliosError, if it is unchanged.
    pub(crate) record_of: Tool,
    /// A Date of milliseconds.
    pub(crate) date_of: Tool,
    /// A Date as a number, a buffer as a Uint8Array.
    pub(crate) scalar_of: Tool,
    /// The array of what an iterable yields.
    pub(crate) rows_of: Tool,
    /// Any value as text for people.
    pub(crate) show: Tool,
    /// A string without lone surrogates.
    pub(crate) well_formed: Tool,
    /// What yields the rows of a table.
    pub(crate) open_table: Tool,
    /// The values of a table's next rows.
    pub(crate) fetch_table: Tool,
    /// Ends what yields the rows of a table.
    pub(crate) close_table: Tool,
}

/// A function of the prelude, kept for the life of the instance.
pub(crate) struct Tool(Persistent<Function<'static>>);

impl Tool {
    /// Calls the function.
    pub(crate) fn call<'js, A, R>(&self, ctx: &Ctx<'js>, arguments: A) -> Result<R>
    where
        A: IntoArgs<'js>,
        R: FromJs<'js>,
    {
        self.0.clone().restore(ctx)?.call(arguments)
    }
}

impl Engine {
    /// The exception for a request that the host refused.
    pub(crate) fn throw<'js>(&self, ctx: &Ctx<'js>, error: &types::Error) -> rquickjs::Error {
        let record = crate::exception::record(error);
        match self.prelude.refuse.call::<_, Value>(ctx, (record,)) {
            Ok(exception) => ctx.throw(exception),
            Err(error) => error,
        }
    }
}

/// Runs `operation` in the instance's context.
pub(crate) fn with<R>(operation: impl FnOnce(&Ctx, &'static Engine) -> R) -> R {
    let engine = current();
    engine.context.with(|ctx| operation(&ctx, engine))
}

/// The instance's engine, which the first call makes.
pub(crate) fn current() -> &'static Engine {
    thread_local! {
        static ENGINE: OnceCell<&'static Engine> = const { OnceCell::new() };
    }
    ENGINE.with(|cell| *cell.get_or_init(|| Box::leak(Box::new(start()))))
}

/// Collects what initialization left behind, so that the snapshot is small and the
/// first collection of an instance far away.
pub(crate) fn settle_memory() {
    let runtime = current().context.runtime();
    runtime.run_gc();
    runtime.set_gc_threshold(runtime.memory_usage().malloc_size as usize + GARBAGE_BYTES);
}

fn start() -> Engine {
    let runtime = Runtime::new().expect("a runtime");
    runtime.set_max_stack_size(STACK_BYTES);
    runtime.set_loader(Imports, Imports);
    let rejections = watch_rejections(&runtime);
    let context = Context::custom::<Intrinsics>(&runtime).expect("a context");
    let prelude = context.with(|ctx| evaluate_prelude(&ctx).expect("the prelude runs"));
    Engine {
        context,
        prelude,
        loaded: RefCell::new(None),
        tables: RefCell::default(),
        rejections,
    }
}

fn watch_rejections(runtime: &Runtime) -> Rejections {
    let rejections = Rejections::default();
    let list = rejections.clone();
    runtime.set_host_promise_rejection_tracker(Some(Box::new(
        move |ctx, promise, reason, is_handled| {
            let promise = Persistent::save(&ctx, promise);
            let mut list = list.borrow_mut();
            if is_handled {
                list.retain(|(rejected, _)| *rejected != promise);
            } else {
                list.push((promise, Persistent::save(&ctx, reason)));
            }
        },
    )));
    rejections
}

fn evaluate_prelude(ctx: &Ctx<'_>) -> Result<Prelude> {
    let mut options = rquickjs::context::EvalOptions::default();
    options.filename = Some(PRELUDE_FILE.to_owned());
    let prelude: Function = ctx.eval_with_options(include_str!("prelude.js"), options)?;
    let tools: Object = prelude.call((globals::natives(ctx)?,))?;
    let tool = |name: &str| {
        tools
            .get::<_, Function>(name)
            .map(|tool| Tool(Persistent::save(ctx, tool)))
    };
    Ok(Prelude {
        refuse: tool("refuse")?,
        record_of: tool("recordOf")?,
        date_of: tool("dateOf")?,
        scalar_of: tool("scalarOf")?,
        rows_of: tool("rowsOf")?,
        show: tool("show")?,
        well_formed: tool("wellFormed")?,
        open_table: tool("openTable")?,
        fetch_table: tool("fetchTable")?,
        close_table: tool("closeTable")?,
    })
}

/// A procedure is one module: it has nowhere to import others from.
struct Imports;

impl Resolver for Imports {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        _base: &str,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        let message = format!("cannot import \"{name}\": bundle it into the source");
        Err(rquickjs::Exception::throw_type(ctx, &message))
    }
}

impl Loader for Imports {
    fn load<'js>(
        &mut self,
        _ctx: &Ctx<'js>,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> Result<rquickjs::Module<'js, Declared>> {
        Err(rquickjs::Error::new_loading(name))
    }
}
