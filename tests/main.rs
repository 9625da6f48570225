//! Every integration test: real vaults, real SQLite files, real guests. One binary,
//! which shares one runtime, so that the JavaScript engine is compiled once.

mod audit;
mod capabilities;
mod cargo_component;
mod carried;
mod command_line;
mod compiled_code;
mod conditions;
mod database;
mod documents;
mod explain;
mod function_limits;
mod functions;
mod guards;
mod hostile;
mod input;
mod javascript;
mod limits;
mod memory_budget;
mod policies;
mod postgres;
mod queries;
mod sqllogictest;
mod support;
mod syscalls;
mod uploads;
