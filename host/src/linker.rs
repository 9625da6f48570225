//! What is linked for a set of granted capabilities. The only file that adds to a
//! linker.
//!
//! An interface that is granted is linked to its host functions, which check every
//! target again; one that is not is linked to functions that refuse and record.

use crate::bindings::heliosdb::host::{database_read, database_write, log, time, types};
use crate::capability::Capability;
use crate::engine::{ContentHash, Engine};
use crate::error::{Error, Result, SqlState};
use crate::execution::Execution;
use crate::function::CapabilitySet;
use crate::wasi;
use std::collections::HashMap;
use std::sync::Mutex;
use wasmtime::component::{Component, HasData, InstancePre, Linker};

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

impl types::Host for Execution {}

/// Components, linked and ready to be instantiated: one for each set of capabilities.
#[derive(Default)]
pub(crate) struct Linked(Mutex<HashMap<(ContentHash, CapabilitySet), InstancePre<Execution>>>);

impl Linked {
    /// The component with these capabilities linked. `component` is asked for it only
    /// the first time.
    pub(crate) fn get(
        &self,
        engine: &Engine,
        hash: ContentHash,
        capabilities: CapabilitySet,
        component: impl FnOnce() -> Result<Component>,
    ) -> Result<InstancePre<Execution>> {
        let key = (hash, capabilities);
        if let Some(linked) = self.0.lock().map_err(Error::internal)?.get(&key) {
            return Ok(linked.clone());
        }
        let component = component()?;
        let linked = link(engine, &component, capabilities)?;
        self.0
            .lock()
            .map_err(Error::internal)?
            .insert(key, linked.clone());
        Ok(linked)
    }

    /// The component without any capability, and with nothing kept.
    pub(crate) fn check(engine: &Engine, component: &Component) -> Result<()> {
        link(engine, component, CapabilitySet::default()).map(drop)
    }
}

fn link(
    engine: &Engine,
    component: &Component,
    capabilities: CapabilitySet,
) -> Result<InstancePre<Execution>> {
    let mut linker = Linker::new(engine.wasmtime());
    add_host(&mut linker, capabilities)
        .and_then(|()| wasi::add_to_linker(&mut linker, component))
        .map_err(Error::internal)?;
    linker.instantiate_pre(component).map_err(|error| {
        Error::new(
            SqlState::INVALID_VALUE,
            "the component does not fit this host",
        )
        .with_detail(format!("{error:#}"))
    })
}

fn add_host(linker: &mut Linker<Execution>, capabilities: CapabilitySet) -> wasmtime::Result<()> {
    types::add_to_linker::<_, Granted>(linker, |e| e)?;
    log::add_to_linker::<_, Granted>(linker, |e| e)?;
    for capability in Capability::ALL {
        let granted = capabilities.contains(capability);
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
            (Capability::TimeAccess, true) => time::add_to_linker::<_, Granted>(linker, |e| e)?,
            (Capability::TimeAccess, false) => {
                time::add_to_linker::<_, Refusing>(linker, |e| NotGranted(e))?;
            }
        }
    }
    Ok(())
}
