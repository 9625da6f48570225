//! The clock: capability `TIME_ACCESS`.

mod backend;
mod grant;
mod host;
