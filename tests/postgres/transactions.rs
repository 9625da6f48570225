//! A call is one transaction of its own on the server: all of it stays, or nothing.

use super::granted;
use crate::support::refuse;
use perihelion::Value;
use std::time::{Duration, Instant};

const STEPS: &str = "
CREATE FUNCTION steps(plan JSON) RETURNS TEXT LANGUAGE javascript AS $$
  function steps(plan) {
    const did = [];
    for (const step of plan) {
      if (step === 'throw') throw new Error('as planned');
      if (step === 'spin') for (;;);
      try {
        did.push(step.startsWith('SELECT')
          ? JSON.stringify(heliosdb.query(step, []).rows)
          : heliosdb.execute(step, []).rowCount);
      } catch (e) { did.push(e.sqlstate ?? e.code); }
    }
    return did.join(' ');
  }
$$;
ALTER FUNCTION steps GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users');
";

fn names(world: &super::World) -> String {
    world
        .database
        .sql("SELECT string_agg(name, ' ' ORDER BY id) FROM users")
}

fn steps(world: &mut super::World, plan: &[&str]) -> perihelion::Result<Value> {
    let plan = serde_json::to_string(plan).unwrap();
    world.session.call("steps", &[Value::Json(plan)])
}

#[test]
fn d12_a_failed_call_leaves_nothing_and_a_failed_statement_only_itself() {
    let mut world = granted();
    world.run(STEPS);
    let insert = "INSERT INTO users VALUES (3, 'Cy')";
    let error = steps(&mut world, &[insert, "throw"]).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "38000");
    assert_eq!(names(&world), "Ada Bob");
    // What failed is undone alone, and what was read before and after is right.
    let done = steps(
        &mut world,
        &[
            insert,
            insert,
            "SELECT count(*)::int AS n FROM users",
            "SELECT no_column FROM users",
            "UPDATE users SET name = 'Dee' WHERE id = 3",
            "UPDATE users SET email = 'ada@example.com' WHERE id = 3",
        ],
    );
    let done = done.unwrap();
    assert_eq!(
        done,
        Value::Text(r#"1 23505 [{"n":3}] 42703 1 23505"#.into())
    );
    assert_eq!(names(&world), "Ada Bob Dee");
}

#[test]
fn d12_a_limit_ends_the_call_and_undoes_its_writes() {
    let mut world = granted();
    world.run(STEPS);
    world.run("ALTER FUNCTION steps SET (max_wall_time_ms = 500)");
    let error = steps(&mut world, &["DELETE FROM users", "spin"]).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "57014");
    assert_eq!(names(&world), "Ada Bob");
    world.check_quiet();
}

/// The seed of the record: what is written is in the log before it is committed.
#[test]
fn d15_a_call_has_the_same_entries_as_on_sqlite() {
    let mut world = granted();
    world.run(STEPS);
    steps(
        &mut world,
        &[
            "SELECT id FROM users",
            "SELECT id FROM users",
            "DELETE FROM users WHERE id = 2",
            "SELECT value FROM secrets",
        ],
    )
    .unwrap();
    let log = "SELECT event_type || ' ' || coalesce(capability, '') || ' ' || coalesce(target, '')
                   || ' ' || coalesce(allowed, '')
               FROM heliosdb.audit_log WHERE function_name = 'steps'
                 AND event_type <> 'FunctionChanged' ORDER BY seq";
    let entries = crate::support::column(&mut world.session, log);
    assert_eq!(
        entries,
        [
            "ExecutionStarted   ",
            "CapabilityCheck DATABASE_READ public.users 1",
            "CapabilityCheck DATABASE_WRITE public.users 1",
            "DatabaseOperation  public.users ",
            "CapabilityCheck DATABASE_READ public.secrets 0",
            "DatabaseOperation  public.users ",
            "ExecutionCompleted   ",
        ]
    );
}

#[test]
fn d18_inside_a_clients_block_a_function_reaches_no_tables() {
    let mut world = granted();
    world.run(STEPS);
    world.run("BEGIN");
    assert!(world.session.in_transaction());
    let refused = steps(&mut world, &["SELECT 1 FROM users"]).unwrap_err();
    assert_eq!(refused.sqlstate().as_str(), "0A000");
    assert_eq!(refused.hint(), Some("COMMIT or ROLLBACK first"));
    // One that asks for none is as good as ever.
    world.run("INSERT INTO users VALUES (5, 'Eve')");
    refuse(&mut world.session, "DROP FUNCTION steps", "25001");
    world.run("ROLLBACK");
    assert!(!world.session.in_transaction());
    steps(&mut world, &["INSERT INTO users VALUES (6, 'Fay')"]).unwrap();
    assert_eq!(names(&world), "Ada Bob Fay");
}

#[test]
fn d18_two_functions_may_not_both_write_in_one_statement() {
    let mut world = granted();
    let both =
        "SELECT x('INSERT INTO users VALUES (7, ''Gus'')', '[]'), steps('[\"DELETE FROM users\"]')";
    world.run(STEPS);
    let refused = refuse(&mut world.session, both, "0A000");
    assert_eq!(refused.hint(), Some("call them in two statements"));
    assert_eq!(names(&world), "Ada Bob");
    // One that writes beside one that reads is no trouble.
    world.run(
        "SELECT x('INSERT INTO users VALUES (7, ''Gus'')', '[]'), q('SELECT 1 FROM users', '[]')",
    );
    assert_eq!(names(&world), "Ada Bob Gus");
}

#[test]
fn a_constraint_that_is_checked_at_the_commit_fails_the_call() {
    let mut world = granted();
    world.run(
        "CREATE TABLE late (a INTEGER REFERENCES users DEFERRABLE INITIALLY DEFERRED);
         ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('late')",
    );
    let arguments = [
        Value::Text("INSERT INTO late VALUES (99)".into()),
        Value::Json("[]".into()),
    ];
    let error = world.session.call("x", &arguments).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "23503");
    assert_eq!(world.database.sql("SELECT count(*) FROM late"), "0");
    assert_eq!(world.execute("INSERT INTO late VALUES (1)"), "1");
}

#[test]
fn a_lock_is_waited_for_as_long_as_the_call_may_run() {
    let mut world = granted();
    world.run("ALTER FUNCTION x SET (max_wall_time_ms = 700)");
    let mut other = world.vault.session().unwrap();
    other.execute("BEGIN").unwrap();
    other
        .execute("UPDATE users SET name = 'held' WHERE id = 1")
        .unwrap();
    let begun = Instant::now();
    let arguments = [
        Value::Text("UPDATE users SET name = 'x' WHERE id = 1".into()),
        Value::Json("[]".into()),
    ];
    let error = world.session.call("x", &arguments).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "57014");
    assert!(error.message().contains("wall time limit"), "{error:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    other.execute("ROLLBACK").unwrap();
    assert_eq!(
        world.execute("UPDATE users SET name = 'y' WHERE id = 1"),
        "1"
    );
}

#[test]
fn h104_disabling_a_function_cuts_the_statement_that_it_waits_for() {
    let mut world = granted();
    world.run("CREATE VIEW slow AS SELECT pg_sleep(30)::text; ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('slow')");
    let mut other = world.vault.session().unwrap();
    let disabling = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        other
            .execute("ALTER FUNCTION q SET ENABLED = false")
            .unwrap();
    });
    let begun = Instant::now();
    let arguments = [
        Value::Text("SELECT * FROM slow".into()),
        Value::Json("[]".into()),
    ];
    let error = world.session.call("q", &arguments).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "55000");
    assert!(begun.elapsed() < Duration::from_secs(3));
    disabling.join().unwrap();
    world.check_quiet();
}

#[test]
fn a_server_that_goes_away_fails_the_call_and_not_the_next() {
    let mut world = granted();
    assert_eq!(
        world.query("SELECT id FROM users WHERE id = 1"),
        r#"[{"id":1}]"#
    );
    world.database.sql(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    std::thread::sleep(Duration::from_millis(200));
    let mut last = String::new();
    for _ in 0..3 {
        let arguments = [
            Value::Text("SELECT id FROM users WHERE id = 1".into()),
            Value::Json("[]".into()),
        ];
        last = match world.session.call("q", &arguments) {
            Ok(Value::Text(answer)) => answer,
            other => format!("{other:?}"),
        };
    }
    assert_eq!(last, r#"[{"id":1}]"#);
}
