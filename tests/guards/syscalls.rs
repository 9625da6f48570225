//! System calls, and what counts against a function.

use super::capabilities::READ;
use super::row::{Row, call, runtime, session, upload, with_messages_as};
use crate::hostile::wat;
use crate::support::{run, text};
use crate::syscalls::{ARGUMENTS, OPEN, calling};
use perihelion::{Guard, Storage};

pub(super) const ROWS: &[Row] = &[
    Row::run(&[Guard::SyscallFilter], |without| {
        let mut session = session(without);
        upload(&mut session, &wat::component(&calling("f", &ARGUMENTS, 1))).unwrap();
        call(&mut session)
    })
    .ends("42501", "0"),
    // The sixth, after five that disabled it.
    Row::run(&[Guard::Violations], |without| {
        let mut session = session(without);
        upload(&mut session, &wat::component(&calling("f", &OPEN, 1))).unwrap();
        (0..6).map(|_| call(&mut session)).last().unwrap()
    })
    .ends("55000", "42501"),
    Row::run(&[Guard::CallerLockout], |without| {
        let mut session = session(without);
        run(&mut session, READ);
        (0..6).map(|_| call(&mut session)).last().unwrap()
    })
    .ends("55000", "42501"),
    Row::call(
        &[Guard::DisabledCalls],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$ function f() { return 7; } $$;
         ALTER FUNCTION f SET ENABLED = false",
    )
    .ends("55000", "7"),
    Row::run(&[Guard::DisableSwitch], disable_while_it_runs).ends("55000", "1000000"),
    Row::run(&[Guard::DenialEntries], |without| {
        let mut session = session(without);
        run(
            &mut session,
            "CREATE FUNCTION f() LANGUAGE javascript AS $$
               function f() {
                 for (let n = 0; n < 120; n++) {
                   try { heliosdb.query('SELECT value FROM secrets'); } catch {}
                 }
               }
             $$",
        );
        call(&mut session);
        text(
            &mut session,
            "SELECT count(*) FROM heliosdb.audit_log
             WHERE event_type = 'CapabilityCheck' AND NOT allowed",
        )
    })
    .ends("100", "120"),
];

/// Another session disables it; it calls no host function where it could notice.
fn disable_while_it_runs(without: &[Guard]) -> String {
    let vault = runtime(without).vault(Storage::Memory).unwrap();
    let mut session = vault.session().unwrap();
    run(
        &mut session,
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { console.log('now'); let n = 0; while (n < 1000000) n++; return n; }
         $$",
    );
    let disable = "ALTER FUNCTION f SET ENABLED = false";
    with_messages_as(vault.session().unwrap(), disable, || call(&mut session))
}
