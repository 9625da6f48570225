//! Attacks: guests and statements that mean harm, as rows of data, and what must be
//! true after each of them.
//!
//! A group of attacks runs in a process of its own, where the memory, the descriptors
//! and the threads are the attacks' alone. A row says how its attack ends; the harness
//! knows everything else that must hold.

mod attack;
mod calls;
mod components;
mod crowd;
mod errors;
mod harness;
mod integrity;
mod isolation;
mod memory;
mod neighbour;
mod privileges;
mod process;
mod stack;
mod time;
mod turnover;
mod uploads;
pub(crate) mod wat;
mod world;

use attack::Attack;

/// Every row, by group.
const GROUPS: &[(&str, &[Attack])] = &[
    ("time", time::ATTACKS),
    ("memory", memory::ATTACKS),
    ("stack", stack::ATTACKS),
    ("calls", calls::ATTACKS),
    ("components", components::ATTACKS),
    ("isolation", isolation::ATTACKS),
    ("privileges", privileges::ATTACKS),
    ("integrity", integrity::ATTACKS),
    ("errors", errors::ATTACKS),
    ("uploads", uploads::ATTACKS),
];

#[test]
fn h70_attacks_on_the_time_end_by_its_limits() {
    harness::run_in_a_process("time");
}

#[test]
fn h72_attacks_on_the_memory_end_by_its_limit() {
    harness::run_in_a_process("memory");
}

#[test]
fn h6_attacks_on_the_stack_end_by_its_limit() {
    harness::run_in_a_process("stack");
}

#[test]
fn h63_floods_of_host_calls_are_bounded() {
    harness::run_in_a_process("calls");
}

#[test]
fn h61_components_that_break_the_rules_end_their_call_only() {
    harness::run_in_a_process("components");
}

#[test]
fn h3_nothing_of_a_call_is_left_for_another() {
    harness::run_in_a_process("isolation");
}

#[test]
fn h7_what_is_not_granted_is_refused_by_whatever_name() {
    harness::run_in_a_process("privileges");
}

#[test]
fn h107_a_call_that_fails_leaves_nothing() {
    harness::run_in_a_process("integrity");
}

#[test]
fn h96_errors_hold_no_secrets() {
    harness::run_in_a_process("errors");
}

#[test]
fn i5_uploads_that_mean_harm_are_refused() {
    harness::run_in_a_process("uploads");
}

#[test]
fn h63_two_hundred_large_calls_at_once_wait_for_their_turn() {
    harness::run_in_a_process("crowd");
}

#[test]
fn h63_code_of_dropped_functions_leaves_the_process() {
    harness::run_in_a_process("turnover");
}

#[test]
fn h94_there_are_eighty_attacks_with_names_of_their_own() {
    let names: Vec<&str> = GROUPS
        .iter()
        .flat_map(|(_, attacks)| attacks.iter().map(|attack| attack.name))
        .collect();
    let distinct: std::collections::HashSet<&str> = names.iter().copied().collect();
    assert!(names.len() >= 80, "{}", names.len());
    assert_eq!(names.len(), distinct.len());
}

/// Not a test of its own: a group of attacks, in the process that is theirs.
#[test]
#[ignore = "run by the tests above, each in a process of its own"]
fn group() {
    let Some(name) = harness::group_of_this_process() else {
        return;
    };
    match GROUPS.iter().find(|(group, _)| *group == name) {
        Some((_, attacks)) => harness::run_group(attacks),
        None if name == "turnover" => turnover::run(),
        None => crowd::run(),
    }
}
