//! For each guard of the host, an attack that it stops, and that succeeds once the guard
//! is gone: a guard that nothing needs would show here, and so would an attack that
//! something else had stopped.

mod capabilities;
mod execution;
mod layers;
mod row;
mod statements;
mod syscalls;
mod uploads;
mod vaults;

use perihelion::Guard;
use row::{Row, check};
use std::collections::HashSet;

/// Every row.
const GROUPS: &[&[Row]] = &[
    execution::ROWS,
    statements::ROWS,
    capabilities::ROWS,
    syscalls::ROWS,
    uploads::ROWS,
    vaults::ROWS,
];

#[test]
fn each_guard_of_an_execution_stops_its_attack() {
    check(execution::ROWS);
}

#[test]
fn each_guard_of_statements_stops_its_attack() {
    check(statements::ROWS);
}

#[test]
fn each_guard_of_capabilities_stops_its_attack() {
    check(capabilities::ROWS);
}

#[test]
fn each_guard_of_system_calls_stops_its_attack() {
    check(syscalls::ROWS);
}

#[test]
fn each_guard_of_uploads_stops_its_attack() {
    check(uploads::ROWS);
}

#[test]
fn each_guard_of_vaults_and_the_log_stops_its_attack() {
    check(vaults::ROWS);
}

#[test]
fn every_guard_has_a_row() {
    let rows = GROUPS.iter().copied().flatten();
    let tested: HashSet<Guard> = rows.flat_map(|row| row.guards).copied().collect();
    let missing: Vec<_> = Guard::ALL.iter().filter(|g| !tested.contains(g)).collect();
    assert!(missing.is_empty(), "guards without a row: {missing:?}");
}
