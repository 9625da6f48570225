//! Every integration test: real vaults, real SQLite files, real guests. One binary,
//! which shares one runtime, so that the JavaScript engine is compiled once.

mod functions;
mod support;
