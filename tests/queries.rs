//! Functions inside the client's queries: in indexes and triggers, as tables, as
//! aggregates, and within transaction blocks.

mod aggregates;
mod blocks;
mod immutable;
mod tables;
mod tables_of_components;
mod triggers;
