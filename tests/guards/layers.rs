//! The five layers of the model: each can be switched off alone, and the others go on to
//! block what they are there for.
//!
//! Of the WebAssembly sandbox, what can be switched off is what looks at uploads before
//! the engine has them. That a guest has no address outside its memory is the engine's,
//! and has no switch: the tests show that it holds whatever else is gone.

use super::capabilities::READ;
use super::row::{call, done, session, told, upload};
use crate::hostile::wat;
use crate::support::{run, text};
use crate::syscalls::{ARGUMENTS, calling};
use perihelion::Guard;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layer {
    Capabilities,
    ResourceIsolation,
    SyscallFilter,
    AuditLog,
    Sandbox,
}

/// Whether an attack is blocked without some guards.
type Sample = fn(&[Guard]) -> bool;

/// An attack on each layer.
const SAMPLES: [(Layer, Sample); 5] = [
    (Layer::Capabilities, read_a_table_without_a_grant),
    (Layer::ResourceIsolation, compute_for_ever),
    (Layer::SyscallFilter, make_a_system_call),
    (Layer::AuditLog, leave_no_trace),
    (Layer::Sandbox, upload_more_than_is_looked_through),
];

const fn layer(guard: Guard) -> Layer {
    match guard {
        Guard::UngrantedInterfaces
        | Guard::TableGrants
        | Guard::Denials
        | Guard::TimeGrant
        | Guard::ReservedNames
        | Guard::VirtualTables
        | Guard::SqlFunctions
        | Guard::ForbiddenActions
        | Guard::UnreportedStatements
        | Guard::OneStatement
        | Guard::NulCharacters
        | Guard::Literals
        | Guard::SchemaGrant
        | Guard::ChangedTables
        | Guard::HiddenChanges
        | Guard::ViewsBetween
        | Guard::StepGate
        | Guard::StatementKey
        | Guard::AuthorityNow
        | Guard::UncoveredTables
        | Guard::ClaimedDenials
        | Guard::ClientActions
        | Guard::DefensiveSchema
        | Guard::TakenNames
        | Guard::BroughtCalls
        | Guard::ImmutableReach
        | Guard::UsedFunctions
        | Guard::CallerLockout
        | Guard::DisabledCalls
        | Guard::DisableSwitch => Layer::Capabilities,
        Guard::CpuTime
        | Guard::WallTime
        | Guard::Instructions
        | Guard::Memory
        | Guard::Stack
        | Guard::HostCallBytes
        | Guard::HostBytes
        | Guard::Rows
        | Guard::AggregateStates
        | Guard::AuditEntries
        | Guard::Handles
        | Guard::Timers
        | Guard::WaitClock
        | Guard::ConversionClock
        | Guard::LogMessages
        | Guard::LogMessageText
        | Guard::Notices
        | Guard::ErrorText
        | Guard::StatementClock
        | Guard::LockWait
        | Guard::ResultBytes
        | Guard::DatabaseMemory
        | Guard::TemporaryFiles
        | Guard::StatementBytes
        | Guard::StatementValues
        | Guard::StatementPatterns
        | Guard::StatementProgram
        | Guard::Comparisons
        | Guard::OpenHandles
        | Guard::RollBack
        | Guard::LostUnits
        | Guard::FailedBlocks
        | Guard::VaultShare
        | Guard::Places
        | Guard::NestedPlaces
        | Guard::MemoryBudget
        | Guard::DirectoryLock => Layer::ResourceIsolation,
        Guard::SyscallFilter | Guard::Violations => Layer::SyscallFilter,
        Guard::AuditLog | Guard::RecordedFirst | Guard::DenialEntries | Guard::LogLock => {
            Layer::AuditLog
        }
        Guard::PanicCatch
        | Guard::UploadBytes
        | Guard::SourceBytes
        | Guard::UploadNesting
        | Guard::UploadCounts
        | Guard::UploadBodies
        | Guard::UploadFeatures
        | Guard::UploadImports
        | Guard::ConditionImports
        | Guard::ConditionCalls
        | Guard::ContextBytes
        | Guard::ContextMembers
        | Guard::ContentHash
        | Guard::CompiledCode
        | Guard::CodeDirectory => Layer::Sandbox,
    }
}

#[test]
fn h1_all_five_layers_are_on_by_default() {
    for (layer, is_blocked) in SAMPLES {
        assert!(is_blocked(&[]), "{layer:?}");
    }
}

#[test]
fn h1_each_layer_can_be_switched_off_and_the_others_still_block() {
    for (off, _) in SAMPLES {
        let guards = Guard::ALL.iter().copied();
        let without: Vec<Guard> = guards.filter(|guard| layer(*guard) == off).collect();
        for (layer, is_blocked) in SAMPLES {
            let blocked = is_blocked(&without);
            assert_eq!(blocked, layer != off, "{layer:?} without {off:?}");
        }
    }
}

#[test]
fn h1_no_guest_leaves_its_memory_whatever_is_switched_off() {
    let module = r#"(module (memory (export "memory") 1)
        (func (export "f") (result i32) (i32.load (i32.const 65536))))"#;
    let bytes = wat::core("export f: func() -> s32;", module);
    let mut session = session(Guard::ALL);
    upload(&mut session, &bytes).unwrap();
    assert_eq!(call(&mut session), "38000");
}

fn read_a_table_without_a_grant(without: &[Guard]) -> bool {
    let mut session = session(without);
    run(&mut session, READ);
    call(&mut session) == "42501"
}

fn compute_for_ever(without: &[Guard]) -> bool {
    let mut session = session(without);
    run(
        &mut session,
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { let n = 0; while (n < 1000000) n++; return n; }
         $$;
         ALTER FUNCTION f SET (max_cpu_time_ms = 10)",
    );
    call(&mut session) == "57014"
}

fn make_a_system_call(without: &[Guard]) -> bool {
    let mut session = session(without);
    upload(&mut session, &wat::component(&calling("f", &ARGUMENTS, 1))).unwrap();
    call(&mut session) == "42501"
}

fn leave_no_trace(without: &[Guard]) -> bool {
    let mut session = session(without);
    run(&mut session, READ);
    call(&mut session);
    let entries = "SELECT count(*) FROM heliosdb.audit_log
                   WHERE event_type IN ('ExecutionStarted', 'ExecutionFailed', 'ExecutionCompleted')";
    text(&mut session, entries) == "2"
}

fn upload_more_than_is_looked_through(without: &[Guard]) -> bool {
    let modules = "(core module)".repeat(40);
    let component = format!(
        "(component
           (core module $m (func (export \"f\")))
           (core instance $m (instantiate $m))
           (func (export \"f\") (canon lift (core func $m \"f\")))
           {modules})"
    );
    let mut session = session(without);
    let uploaded = done(upload(&mut session, &wat::component(&component)));
    match uploaded.as_str() {
        "done" => told(session.call("f", &[])) != "NULL",
        refused => refused == "54000",
    }
}
