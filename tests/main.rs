//! Every integration test: real vaults, real SQLite files, real guests. One binary,
//! which shares one runtime, so that the JavaScript engine is compiled once.

mod capabilities;
mod command_line;
mod documents;
mod functions;
mod input;
mod javascript;
mod limits;
mod support;
