//! What a function may touch, and what it may know.

use super::row::{Row, call, done, runtime, session, upload, with_messages_as, with_tables};
use crate::hostile::wat;
use crate::support::{guest, run, text};
use crate::syscalls::{CLOCK, calling};
use perihelion::{Guard, Storage};

pub(super) const ROWS: &[Row] = &[
    Row::run(&[Guard::TableGrants], |without| {
        attacked(without, READ, "DATABASE_READ('users')")
    })
    .ends("42501", "CANARY-5f3a"),
    Row::run(&[Guard::TableGrants], |without| {
        attacked(without, WRITE, "DATABASE_READ('*'), DATABASE_WRITE('users')")
    })
    .ends("42501", "1"),
    Row::call(&[Guard::UngrantedInterfaces, Guard::TableGrants], READ).ends("42501", "CANARY-5f3a"),
    Row::call(&[Guard::UngrantedInterfaces, Guard::TableGrants], WRITE).ends("42501", "1"),
    Row::run(&[Guard::Denials], |without| {
        let mut session = session(without);
        run(&mut session, READ);
        run(
            &mut session,
            "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('*');
             ALTER FUNCTION f DENY CAPABILITY DATABASE_READ('secrets')",
        );
        call(&mut session)
    })
    .ends("42501", "CANARY-5f3a"),
    Row::call(
        &[Guard::UngrantedInterfaces, Guard::TimeGrant],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { return Date.now() > 0 ? 1 : 0; }
         $$",
    )
    .ends("42501", "1"),
    // The system call passes the filter; this is what is behind it.
    Row::run(&[Guard::TimeGrant], |without| {
        let mut session = session(without);
        upload(&mut session, &wat::component(&calling("f", &CLOCK, 1))).unwrap();
        let time = call(&mut session);
        if time.len() > 5 { "the time".to_string() } else { time }
    })
    .ends("42501", "the time"),
    Row::call(
        &[Guard::UngrantedInterfaces, Guard::SchemaGrant],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { return heliosdb.execute('CREATE TABLE mine (id)').rowCount; }
         $$",
    )
    .ends("42501", "0"),
    Row::call(
        &[Guard::ChangedTables],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() { return heliosdb.execute('DROP TABLE secrets').rowCount; }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_EXECUTE, DATABASE_READ('users')",
    )
    .ends("42501", "0"),
    Row::call(
        &[Guard::HiddenChanges],
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() {
             return heliosdb.execute('CREATE TABLE mine (id DEFAULT (random()))').rowCount;
           }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_EXECUTE",
    )
    .ends("42501", "0"),
    Row::run(&[Guard::ReservedNames], |without| {
        let mut session = session(without);
        run(&mut session, "CREATE TABLE numbered(id INTEGER PRIMARY KEY AUTOINCREMENT);
            INSERT INTO numbered DEFAULT VALUES");
        run(&mut session, &READ.replace("value FROM secrets", "name AS value FROM sqlite_sequence"));
        run(&mut session, GRANT_ALL);
        call(&mut session)
    })
    .ends("42501", "numbered"),
    // The host's views are virtual tables, besides.
    Row::run(&[Guard::ReservedNames, Guard::VirtualTables], |without| {
        attacked(
            without,
            &READ.replace("value FROM secrets", "name AS value FROM heliosdb.functions"),
            "DATABASE_READ('*')",
        )
    })
    .ends("42501", "f"),
    Row::run(&[Guard::VirtualTables], |without| {
        let mut session = session(without);
        run(
            &mut session,
            "CREATE VIRTUAL TABLE boxes USING rtree(id, low, high);
             INSERT INTO boxes VALUES (7, 1, 2)",
        );
        run(&mut session, &READ.replace("value FROM secrets", "'box ' || id AS value FROM boxes"));
        run(&mut session, GRANT_ALL);
        call(&mut session)
    })
    .ends("42501", "box 7"),
    // A table that is granted, through a view that is not.
    Row::run(&[Guard::ViewsBetween], |without| {
        let mut session = session(without);
        run(&mut session, "CREATE VIEW seen AS SELECT name FROM users");
        let script = READ.replace("value FROM secrets", "'rows: ' || count(*) AS value FROM seen");
        run(&mut session, &script);
        run(&mut session, "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')");
        call(&mut session)
    })
    .ends("42501", "rows: 2"),
    Row::run(&[Guard::SqlFunctions], |without| {
        attacked(
            without,
            &READ.replace("value FROM secrets", "typeof(random()) AS value"),
            "DATABASE_READ('users')",
        )
    })
    .ends("42501", "integer"),
    Row::run(&[Guard::ForbiddenActions], |without| {
        let mut session = session(without);
        run(&mut session, "PRAGMA user_version = 77");
        let script = READ.replace("SELECT value FROM secrets", "PRAGMA user_version");
        run(&mut session, &script.replace(".value", ".user_version"));
        run(&mut session, GRANT_ALL);
        call(&mut session)
    })
    .ends("38000", "77"),
    Row::run(&[Guard::UnreportedStatements], |without| {
        let script = READ.replace("SELECT value FROM secrets", "EXPLAIN SELECT 1");
        attacked(without, &script.replace(".value", ".opcode"), "DATABASE_READ('users')")
    })
    .ends("38000", "Init"),
    Row::run(&[Guard::StepGate], change_a_view).ends("42501", "CANARY-5f3a"),
    Row::run(&[Guard::StatementKey], |without| revoke_between_calls(without, true))
        .ends("42501", "CANARY-5f3a"),
    // A session that has changed a function itself has its statements prepared anew.
    Row::run(&[Guard::StatementKey, Guard::StepGate], |without| {
        revoke_between_calls(without, false)
    })
    .ends("42501", "CANARY-5f3a"),
    Row::run(&[Guard::AuthorityNow], revoke_while_it_runs).ends("42501", "CANARY-5f3a"),
    Row::run(&[Guard::UncoveredTables], |without| {
        attacked(
            without,
            "CREATE FUNCTION f() RETURNS TEXT LANGUAGE javascript AS $$
               function f() {
                 try { heliosdb.query('SELECT absent FROM secrets'); } catch (e) { return e.code === 'denied' ? 'denied' : e.message; }
               }
             $$",
            "DATABASE_READ('users')",
        )
    })
    .ends("denied", "no such column: absent"),
    Row::run(&[Guard::ClaimedDenials], |without| {
        let mut session = session(without);
        let path = guest("hostile_guest");
        run(
            &mut session,
            &format!("CREATE FUNCTION forge_denied LANGUAGE wasm AS '{}'", path.display()),
        );
        done(session.call("forge_denied", &[]))
    })
    .ends("38000", "42501"),
    Row::run(&[Guard::RollBack], |without| {
        let mut session = session(without);
        run(
            &mut session,
            "CREATE FUNCTION f() LANGUAGE javascript AS $$
               function f() { heliosdb.execute(`UPDATE users SET name = 'Eve' WHERE id = 1`); throw new Error('no'); }
             $$;
             ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users')",
        );
        assert_eq!(call(&mut session), "38000");
        text(&mut session, "SELECT name FROM users WHERE id = 1")
    })
    .ends("Ada", "Eve"),
    Row::run(&[Guard::LostUnits], roll_back_and_go_on).ends("23000 Ada", "38000 Eve"),
    // The client believes that its block is still open.
    Row::run(&[Guard::FailedBlocks], |without| {
        let mut session = session(without);
        run(&mut session, "BEGIN");
        let conflict = "INSERT OR ROLLBACK INTO users VALUES (1, 'again')";
        assert_eq!(done(session.execute(conflict)), "23505");
        done(session.execute("UPDATE users SET name = 'Eve'"))
    })
    .ends("25P02", "done"),
    Row::run(&[Guard::ClientActions], |without| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other.db");
        let attach = format!("ATTACH '{}' AS other", path.display());
        done(session(without).execute(&attach))
    })
    .ends("42501", "done"),
    Row::run(&[Guard::DefensiveSchema], |without| {
        let mut session = session(without);
        run(&mut session, "PRAGMA writable_schema = ON");
        done(session.execute("UPDATE sqlite_schema SET sql = sql WHERE name = 'users'"))
    })
    .ends("42601", "done"),
    // It would be taken for the database's own, which needs no grant.
    Row::run(&[Guard::TakenNames], |without| {
        done(session(without).execute(
            "CREATE FUNCTION lower(a TEXT) RETURNS TEXT LANGUAGE javascript AS $$
               function lower(a) { return a; }
             $$",
        ))
    })
    .ends("42723", "done"),
    // The authorizer does not tell of a function in a CHECK.
    Row::call(
        &[Guard::BroughtCalls],
        "CREATE FUNCTION other(a TEXT) RETURNS TEXT LANGUAGE javascript AS $$
           function other(a) { return a; }
         $$;
         CREATE TABLE checked (a TEXT CHECK (other(a) <> ''));
         CREATE FUNCTION f() RETURNS TEXT LANGUAGE javascript AS $$
           function f() { heliosdb.execute('INSERT INTO checked VALUES (?)', ['x']); return 'called'; }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_WRITE('checked')",
    )
    .ends("38000", "called"),
    Row::run(&[Guard::ImmutableReach], |without| {
        let mut session = session(without);
        run(&mut session, INDEXED);
        done(session.execute("ALTER FUNCTION f GRANT CAPABILITY TIME_ACCESS"))
    })
    .ends("42P17", "done"),
    Row::run(&[Guard::UsedFunctions], |without| {
        let mut session = session(without);
        run(&mut session, INDEXED);
        done(session.execute("DROP FUNCTION f"))
    })
    .ends("2BP01", "done"),
    Row::run(&[Guard::AggregateStates], |without| {
        let mut session = session(without);
        run(
            &mut session,
            "CREATE FUNCTION grow(state TEXT, n INTEGER) RETURNS TEXT LANGUAGE javascript AS $$
               function grow(state, n) { return 'x'.repeat(n); }
             $$;
             CREATE AGGREGATE grown(INTEGER) (SFUNC = grow, STYPE = TEXT)",
        );
        let each = (0..6).map(|n| format!("length(grown({}))", 3_000_000 + n));
        let each: Vec<String> = each.collect();
        done(session.execute(&format!("SELECT {}", each.join(", "))))
    })
    .ends("53200", "done"),
];

/// A function that an index uses.
const INDEXED: &str = "
    CREATE FUNCTION f(a TEXT) RETURNS TEXT IMMUTABLE LANGUAGE javascript AS $$
      function f(a) { return a; }
    $$;
    CREATE INDEX by_f ON users(f(name))";

/// Reads what nobody is granted.
pub(super) const READ: &str = "
    CREATE FUNCTION f() RETURNS TEXT LANGUAGE javascript AS $$
      function f() { return heliosdb.query(`SELECT value FROM secrets`).rows[0].value; }
    $$";

const WRITE: &str = "
    CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
      function f() { return heliosdb.execute(`UPDATE secrets SET value = 'x'`).rowCount; }
    $$";

const GRANT_ALL: &str = "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('*')";

fn attacked(without: &[Guard], script: &str, grants: &str) -> String {
    let mut session = session(without);
    run(&mut session, script);
    run(
        &mut session,
        &format!("ALTER FUNCTION f GRANT CAPABILITY {grants}"),
    );
    call(&mut session)
}

/// What was checked was a view of a granted table; what runs is another one.
fn change_a_view(without: &[Guard]) -> String {
    let mut session = session(without);
    run(
        &mut session,
        "CREATE VIEW seen AS SELECT name AS value FROM users",
    );
    run(&mut session, &READ.replace("secrets", "seen"));
    run(
        &mut session,
        "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_READ('seen')",
    );
    assert_eq!(call(&mut session), "Ada");
    run(
        &mut session,
        "DROP VIEW seen; CREATE VIEW seen AS SELECT value FROM secrets",
    );
    call(&mut session)
}

/// What a guest writes after it has rolled its own call back would be in no call.
fn roll_back_and_go_on(without: &[Guard]) -> String {
    let mut session = session(without);
    run(
        &mut session,
        "CREATE FUNCTION f() LANGUAGE javascript AS $$
           function f() {
             heliosdb.execute(`UPDATE users SET name = 'x' WHERE id = 1`);
             try { heliosdb.execute(`INSERT OR ROLLBACK INTO users VALUES (1, 'again')`); } catch {}
             heliosdb.execute(`UPDATE users SET name = 'Eve' WHERE id = 1`);
             throw new Error('and out');
           }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users')",
    );
    let outcome = call(&mut session);
    let name = text(&mut session, "SELECT name FROM users WHERE id = 1");
    format!("{outcome} {name}")
}

/// The session has the statement from the call before, when it was allowed.
fn revoke_between_calls(without: &[Guard], by_another: bool) -> String {
    let vault = runtime(without).vault(Storage::Memory).unwrap();
    let mut session = with_tables(vault.session().unwrap());
    run(&mut session, READ);
    run(
        &mut session,
        "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_READ('secrets')",
    );
    assert_eq!(call(&mut session), "CANARY-5f3a");
    let revoke = "ALTER FUNCTION f REVOKE CAPABILITY DATABASE_READ('secrets')";
    match by_another {
        true => run(&mut vault.session().unwrap(), revoke),
        false => run(&mut session, revoke),
    };
    call(&mut session)
}

/// The grant is gone before the guest comes to its query.
fn revoke_while_it_runs(without: &[Guard]) -> String {
    let vault = runtime(without).vault(Storage::Memory).unwrap();
    let mut session = with_tables(vault.session().unwrap());
    run(
        &mut session,
        "CREATE FUNCTION f() RETURNS TEXT LANGUAGE javascript AS $$
           function f() {
             heliosdb.query('SELECT name FROM users');
             console.log('now');
             return heliosdb.query('SELECT value FROM secrets').rows[0].value;
           }
         $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_READ('secrets')",
    );
    let revoke = "ALTER FUNCTION f REVOKE CAPABILITY DATABASE_READ('secrets')";
    with_messages_as(vault.session().unwrap(), revoke, || call(&mut session))
}
