//! What is linked for a set of granted capabilities. The only file that adds to a
//! linker.
//!
//! An interface that is granted is linked to its host functions, which check every
//! target again; one that is not is linked to functions that refuse and record.

use crate::bindings::JavascriptEnginePre;
use crate::bindings::heliosdb::host::{
    database_ddl, database_read, database_write, log, time, types,
};
use crate::capability::Capability;
use crate::condition::{Bounds, NotPure};
use crate::engine::{ContentHash, Engine, Kept, Used, code_bytes};
use crate::error::{Error, Result, SqlState};
use crate::execution::Execution;
use crate::function::{CapabilitySet, ExportPath};
use crate::guard::{Guard, Guards};
use crate::wasi;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{
    Component, ComponentExportIndex, HasData, InstancePre, Linker, LinkerInstance, ResourceType,
};

/// The view of an execution through an interface that is not granted.
pub(crate) struct NotGranted<'e>(pub(crate) &'e mut Execution);

/// Names the data behind an interface that is granted.
struct Granted;

impl HasData for Granted {
    type Data<'e> = &'e mut Execution;
}

/// Names the data behind an interface that is not.
struct Refusing;

impl HasData for Refusing {
    type Data<'e> = NotGranted<'e>;
}

/// Names the data behind a condition: it holds nothing that a guest could reach.
struct Pure;

impl HasData for Pure {
    type Data<'e> = &'e mut Bounds;
}

impl types::Host for Execution {}

/// Components, linked and ready to be instantiated: one for each set of capabilities.
pub(crate) struct Linked(Mutex<Kept<Key, Arc<Ready>>>);

/// What a linked component is of: its bytes, what is granted, and the stack in bytes.
type Key = (ContentHash, CapabilitySet, u64);

/// A linked component, with the places of the exports that calls have asked for: to find
/// one by its name takes longer than to call it.
pub(crate) struct Ready {
    pub(crate) instance: InstancePre<Execution>,
    used: Used,
    exports: Mutex<Vec<(ExportPath, ComponentExportIndex)>>,
    /// The same, if it is the JavaScript engine.
    pub(crate) javascript: Option<JavascriptEnginePre<Execution>>,
}

impl Linked {
    /// None yet; of its code, so much is kept.
    pub(crate) fn new(bytes_max: u64) -> Linked {
        Linked(Mutex::new(Kept::new(bytes_max)))
    }

    /// The component with these capabilities linked. `component` is asked for it only
    /// the first time.
    pub(crate) fn get(
        &self,
        engine: &Engine,
        key: Key,
        component: impl FnOnce() -> Result<Component>,
    ) -> Result<Arc<Ready>> {
        let (hash, capabilities, stack_bytes) = key;
        if let Some(ready) = self.0.lock().map_err(Error::internal)?.get(&key) {
            return Ok(ready);
        }
        let component = engine.with_stack(component()?, &hash, stack_bytes)?;
        let instance = link(&component, capabilities, engine.guards)?;
        let used = Used::default();
        let bytes = code_bytes(&component);
        let ready = Arc::new(Ready {
            used: Arc::clone(&used),
            // Any other component lacks the engine's exports.
            javascript: JavascriptEnginePre::new(instance.clone()).ok(),
            instance,
            exports: Mutex::default(),
        });
        let mut all = self.0.lock().map_err(Error::internal)?;
        Ok(all.insert(key, ready, bytes, used))
    }

    /// Lets go of a component that nothing is going to run.
    pub(crate) fn forget(&self, hash: &ContentHash) -> Result<()> {
        let mut all = self.0.lock().map_err(Error::internal)?;
        all.forget(|(of, ..)| of == hash);
        Ok(())
    }

    /// The component without any capability, and with nothing kept.
    pub(crate) fn check(component: &Component) -> Result<()> {
        link(component, CapabilitySet::default(), Guards::default()).map(drop)
    }
}

impl Ready {
    /// Says that it is used, to stay.
    pub(crate) fn touch(&self) {
        if !self.used.load(Relaxed) {
            self.used.store(true, Relaxed);
        }
    }

    /// The place of an exported function.
    pub(crate) fn export(&self, path: &ExportPath) -> Result<ComponentExportIndex> {
        let mut exports = self.exports.lock().map_err(Error::internal)?;
        if let Some((_, index)) = exports.iter().find(|(known, _)| known == path) {
            return Ok(*index);
        }
        let index = find_export(self.instance.component(), path)?;
        exports.push((path.clone(), index));
        Ok(index)
    }
}

/// The place of an exported function, by its name.
pub(crate) fn find_export(
    component: &Component,
    path: &ExportPath,
) -> Result<ComponentExportIndex> {
    let missing = || Error::internal("an export of the component is missing");
    let interface = match &path.interface {
        Some(name) => Some(component.get_export_index(None, name).ok_or_else(missing)?),
        None => None,
    };
    component
        .get_export_index(interface.as_ref(), &path.function)
        .ok_or_else(missing)
}

/// A component of a condition: types are linked and nothing else, so that one with any
/// other import does not fit.
pub(crate) fn link_pure(engine: &Engine, component: &Component) -> Result<InstancePre<Bounds>> {
    let mut linker = Linker::new(engine.wasmtime());
    types::add_to_linker::<_, Pure>(&mut linker, |bounds| bounds).map_err(Error::internal)?;
    instantiate_pre(&linker, component)
}

/// The engine that JavaScript conditions share: each of its imports ends the call, and
/// no guest can catch that.
pub(crate) fn link_trapping(engine: &Engine, component: &Component) -> Result<InstancePre<Bounds>> {
    let mut linker = Linker::new(engine.wasmtime());
    let component_type = component.component_type();
    for (interface, import) in component_type.imports(engine.wasmtime()) {
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            continue;
        };
        let mut link = linker.instance(interface).map_err(Error::internal)?;
        for (name, export) in instance.exports(engine.wasmtime()) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => {
                    add_trap(&mut link, interface, name, engine.guards)
                }
                // Nothing makes one, so that there is none to drop.
                ComponentItem::Resource(_) => {
                    link.resource(name, ResourceType::host::<()>(), |_, _| Ok(()))
                }
                _ => Ok(()),
            }
            .map_err(Error::internal)?;
        }
    }
    instantiate_pre(&linker, component)
}

fn add_trap(
    link: &mut LinkerInstance<'_, Bounds>,
    interface: &str,
    name: &str,
    guards: Guards,
) -> wasmtime::Result<()> {
    let unversioned = interface.split('@').next().unwrap_or(interface);
    let import = format!("{unversioned}.{name}");
    link.func_new(name, move |_, _, _, _| {
        match guards.holds(Guard::ConditionCalls) {
            true => Err(wasmtime::Error::new(NotPure(import.clone()))),
            false => Ok(()),
        }
    })
}

fn link(
    component: &Component,
    capabilities: CapabilitySet,
    guards: Guards,
) -> Result<InstancePre<Execution>> {
    let mut linker = Linker::new(component.engine());
    add_host(&mut linker, capabilities, guards)
        .and_then(|()| wasi::add_to_linker(&mut linker, component))
        .map_err(Error::internal)?;
    instantiate_pre(&linker, component)
}

fn instantiate_pre<T>(linker: &Linker<T>, component: &Component) -> Result<InstancePre<T>> {
    linker.instantiate_pre(component).map_err(|error| {
        Error::new(
            SqlState::INVALID_VALUE,
            "the component does not fit this host",
        )
        .with_detail(format!("{error:#}"))
    })
}

fn add_host(
    linker: &mut Linker<Execution>,
    capabilities: CapabilitySet,
    guards: Guards,
) -> wasmtime::Result<()> {
    types::add_to_linker::<_, Granted>(linker, |e| e)?;
    log::add_to_linker::<_, Granted>(linker, |e| e)?;
    for capability in Capability::ALL {
        let refuses = guards.holds(Guard::UngrantedInterfaces);
        let granted = capabilities.contains(capability) || !refuses;
        match (capability, granted) {
            (Capability::DatabaseRead, true) => {
                database_read::add_to_linker::<_, Granted>(linker, |e| e)?;
            }
            (Capability::DatabaseRead, false) => {
                database_read::add_to_linker::<_, Refusing>(linker, |e| NotGranted(e))?;
            }
            (Capability::DatabaseWrite, true) => {
                database_write::add_to_linker::<_, Granted>(linker, |e| e)?;
            }
            (Capability::DatabaseWrite, false) => {
                database_write::add_to_linker::<_, Refusing>(linker, |e| NotGranted(e))?;
            }
            (Capability::DatabaseExecute, true) => {
                database_ddl::add_to_linker::<_, Granted>(linker, |e| e)?;
            }
            (Capability::DatabaseExecute, false) => {
                database_ddl::add_to_linker::<_, Refusing>(linker, |e| NotGranted(e))?;
            }
            (Capability::TimeAccess, true) => time::add_to_linker::<_, Granted>(linker, |e| e)?,
            (Capability::TimeAccess, false) => {
                time::add_to_linker::<_, Refusing>(linker, |e| NotGranted(e))?;
            }
        }
    }
    Ok(())
}
