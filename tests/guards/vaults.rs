//! What vaults share and what each has for itself: places, directories, the log.

use super::execution::{allow_waiting, waiting_ms};
use super::row::{Row, builder, call, done, runtime, session, told, upload, with_tables};
use crate::hostile::wat;
use crate::support::{run, text};
use perihelion::{Guard, Storage, Vault};
use std::time::{Duration, Instant};

pub(super) const ROWS: &[Row] = &[
    Row::run(&[Guard::VaultShare], |without| {
        let runtime = runtime(without);
        let vault = runtime.vault_in_memory().unwrap();
        crowd(&[(&vault, 48)], &vault)
    })
    .ends("53300", "7"),
    Row::run(&[Guard::Places], |without| {
        let runtime = runtime(without);
        let [one, other]: [Vault; 2] = [(); 2].map(|()| runtime.vault_in_memory().unwrap());
        crowd(&[(&one, 48), (&other, 16)], &other)
    })
    .ends("53300", "7"),
    Row::run(&[Guard::NestedPlaces], |without| {
        let mut session = session(without);
        for n in 0..70 {
            let sql = format!(
                "CREATE FUNCTION f{n}() RETURNS BIGINT LANGUAGE javascript
                 AS $$ function f{n}() {{ return 1; }} $$"
            );
            run(&mut session, &sql);
        }
        let calls: Vec<String> = (0..70).map(|n| format!("f{n}()")).collect();
        let outcome = session.execute(&format!("SELECT {}", calls.join(" + ")));
        told(outcome.map(|outcome| outcome.rows[0][0].clone()))
    })
    .ends("53400", "70"),
    Row::run(&[Guard::MemoryBudget], |without| {
        let runtime = builder(without).memory_budget_bytes(200 << 20).build();
        let mut session = runtime.unwrap().vault_in_memory().unwrap().session().unwrap();
        run(
            &mut session,
            "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$ function f() { return 7; } $$;
             ALTER FUNCTION f SET (max_memory_bytes = 100000000)",
        );
        call(&mut session)
    })
    .ends("53200", "7"),
    Row::run(&[Guard::DirectoryLock, Guard::LogLock], |without| {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::Directory(directory.path().join("vault"));
        let runtime = runtime(without);
        let _first = runtime.vault(storage.clone()).unwrap();
        done(runtime.vault(storage))
    })
    .ends("55006", "done"),
    Row::run(&[Guard::AuditLog], |without| {
        let mut session = session(without);
        run(
            &mut session,
            "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$ function f() { return 7; } $$",
        );
        assert_eq!(call(&mut session), "7");
        text(&mut session, "SELECT count(*) > 0 FROM heliosdb.audit_log")
    })
    .ends("1", "0"),
    Row::run(&[Guard::RecordedFirst], write_without_a_record).ends("58030 Ada", "58030 Eve"),
];

/// How long the crowd stays: longer than it takes to come.
const CROWD_MS: u64 = 900;

/// Calls `f` of a vault while these vaults have so many calls that wait.
fn crowd(crowds: &[(&Vault, usize)], called: &Vault) -> String {
    let waiting = wat::component(&waiting_ms(CROWD_MS));
    for (vault, _) in crowds {
        let mut session = vault.session().unwrap();
        upload(&mut session, &waiting).unwrap();
        allow_waiting(&mut session);
    }
    let mut session = called.session().unwrap();
    run(
        &mut session,
        "CREATE FUNCTION g() RETURNS BIGINT LANGUAGE javascript AS $$ function g() { return 7; } $$;
         ALTER FUNCTION g SET (max_wall_time_ms = 60);
         SELECT g()",
    );
    let sessions = crowds.iter().flat_map(|(vault, count)| {
        (0..*count)
            .map(|_| vault.session().unwrap())
            .collect::<Vec<_>>()
    });
    let sessions: Vec<_> = sessions.collect();
    std::thread::scope(|scope| {
        let begun = Instant::now();
        for mut session in sessions {
            scope.spawn(move || assert_eq!(call(&mut session), "1"));
        }
        // Until the last of them has come, there is a place.
        loop {
            let outcome = told(session.call("g", &[]));
            if outcome != "7" || begun.elapsed() > Duration::from_millis(CROWD_MS - 200) {
                return outcome;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    })
}

/// The log's directory is gone, and its file full of denials, so that the next entries
/// cannot be written: what a call writes to a table must not be there then.
fn write_without_a_record(without: &[Guard]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vault");
    let vault = runtime(without).vault(Storage::Directory(path.clone()));
    let mut session = with_tables(vault.unwrap().session().unwrap());
    run(
        &mut session,
        "CREATE FUNCTION f() LANGUAGE javascript AS $$
           function f() { heliosdb.execute(`UPDATE users SET name = 'Eve' WHERE id = 1`); }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users');
         CREATE FUNCTION fill() LANGUAGE javascript AS $$
           function fill() {
             const name = 'x'.repeat(20000);
             for (let n = 0; n < 100; n++) {
               try { heliosdb.query(`SELECT name FROM \"${name}\"`); } catch {}
             }
           }
         $$",
    );
    std::fs::remove_dir_all(path.join("audit")).unwrap();
    for _ in 0..20 {
        if session.call("fill", &[]).is_err() {
            break;
        }
        let enabled = session.execute("ALTER FUNCTION fill SET ENABLED = true");
        if enabled.is_err() {
            break;
        }
    }
    let outcome = call(&mut session);
    let name = text(&mut session, "SELECT name FROM users WHERE id = 1");
    format!("{outcome} {name}")
}
