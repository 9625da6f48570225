//! The WIT interface `time`: granted, and not granted.

use super::{backend, grant};
use crate::bindings::heliosdb::host::time::Host;
use crate::bindings::heliosdb::host::types::{Error, Timestamp};
use crate::capability::Capability;
use crate::execution::{Execution, Refusal};
use crate::linker::NotGranted;
use std::sync::Arc;

impl Host for Execution {
    fn now(&mut self) -> wasmtime::Result<Result<Timestamp, Error>> {
        self.enter_host()?;
        let Some(permit) = grant::permit(&self.authority, self.meter.guards) else {
            return Ok(Err(self.refuse(vec![refusal()])));
        };
        self.recorder
            .allowed(Capability::TimeAccess.name(), &Arc::from(""));
        Ok(Ok(Timestamp {
            microseconds: backend::now_microseconds(permit),
        }))
    }
}

impl Host for NotGranted<'_> {
    fn now(&mut self) -> wasmtime::Result<Result<Timestamp, Error>> {
        self.0.enter_host()?;
        Ok(Err(self.0.refuse(vec![refusal()])))
    }
}

fn refusal() -> Refusal {
    let name = Capability::TimeAccess.name().to_string();
    Refusal {
        target: String::new(),
        action: "read the clock".to_string(),
        grant: Some(name.clone()),
        capability: name,
    }
}
