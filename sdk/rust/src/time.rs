//! The clock: capability `TIME_ACCESS`.

use crate::bindings::heliosdb::host::time;
use crate::error::Result;
use crate::types::Timestamp;

/// The time of day in UTC. Denied without the capability; never a made-up time.
pub fn now() -> Result<Timestamp> {
    time::now()
}
