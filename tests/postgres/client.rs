//! A client's own statements: what goes to the server, what stays here, and the command
//! line.

use super::{granted, world};
use crate::support::{binary, column, refuse, text, value};
use perihelion::Value;
use std::process::{Command, Output};

#[test]
fn statements_of_tables_go_to_the_server_and_those_of_functions_stay() {
    let mut world = granted();
    assert!(world.session.is_on_postgres());
    let inserted = world.run("INSERT INTO users VALUES (3, 'Cy', NULL), (4, 'Di', NULL)");
    assert_eq!(
        (inserted.command.as_str(), inserted.affected),
        ("INSERT", Some(2))
    );
    assert_eq!(world.database.sql("SELECT count(*) FROM users"), "4");
    world.run(
        "CREATE FUNCTION plus(a BIGINT, b BIGINT) RETURNS BIGINT LANGUAGE javascript AS
         $$ function plus(a, b) { return a + b } $$",
    );
    assert_eq!(
        value(&mut world.session, "SELECT plus(2, 3) * 2"),
        Value::Integer(10)
    );
    assert_eq!(
        value(&mut world.session, "CALL plus(2, 3)"),
        Value::Integer(5)
    );
    let refused = refuse(&mut world.session, "SELECT plus(id, 1) FROM users", "0A000");
    assert!(refused.hint().unwrap().contains("CALL f(1)"));
    refuse(
        &mut world.session,
        "UPDATE users SET id = plus(id, 1)",
        "0A000",
    );
    refuse(
        &mut world.session,
        "SELECT * FROM users, heliosdb.functions",
        "0A000",
    );
    assert_eq!(
        column(
            &mut world.session,
            "SELECT name FROM heliosdb.functions ORDER BY name"
        ),
        ["plus", "q", "x"]
    );
    let explained = world.run("EXPLAIN (ANALYZE) SELECT plus(1, 2)");
    assert_eq!(explained.columns[0], "function_name");
    let explained = world.run("EXPLAIN (ANALYZE) SELECT * FROM users");
    assert_eq!(explained.columns, ["QUERY PLAN"]);
    // A name that both know would be ambiguous.
    refuse(
        &mut world.session,
        "CREATE FUNCTION split_part() RETURNS TEXT LANGUAGE javascript AS 'export default () => 1'",
        "42723",
    );
}

#[test]
fn the_page_about_postgresql_is_true() {
    let mut world = world();
    crate::documents::check_in("docs/postgresql.md", &mut world.session);
}

#[test]
fn a_client_has_all_that_the_server_has() {
    let mut world = world();
    let created =
        world.run("CREATE TABLE t (a INTEGER[], i INET, y BYTEA, n NUMERIC, at TIMESTAMPTZ)");
    assert_eq!(created.command, "CREATE TABLE");
    world.run(
        "INSERT INTO t VALUES ('{1,2}', '10.0.0.1', '\\x00ff', 1.50, '2026-11-25T10:00:00+01')",
    );
    let row = world.run("SELECT * FROM t").rows.remove(0);
    assert_eq!(
        row,
        [
            Value::Text("{1,2}".into()),
            Value::Text("10.0.0.1".into()),
            Value::Text("\\x00ff".into()),
            Value::Decimal("1.50".into()),
            Value::Timestamp(1_795_597_200_000_000),
        ]
    );
    let row = world.run("SELECT y, n FROM t").rows.remove(0);
    assert_eq!(
        row,
        [Value::Blob(vec![0, 255]), Value::Decimal("1.50".into())]
    );
    let bound = world
        .session
        .execute_with(
            "SELECT n FROM t WHERE n = ? AND y = ?",
            &[Value::Real(1.5), Value::Blob(vec![0, 255])],
        )
        .unwrap();
    assert_eq!(bound.rows.len(), 1);
    world.run("DO $$ BEGIN INSERT INTO t(n) VALUES (2); END $$");
    assert_eq!(text(&mut world.session, "SELECT count(*)::int FROM t"), "2");
    let dropped = world.run("DROP TABLE IF EXISTS nowhere");
    assert_eq!(
        dropped.notices[0].message,
        "table \"nowhere\" does not exist, skipping"
    );
    let error = refuse(&mut world.session, "SELECT * FROM nowhere", "42P01");
    assert_eq!(error.message(), "relation \"nowhere\" does not exist");
    refuse(&mut world.session, "SELECT nothing(1)", "42883");
    refuse(&mut world.session, "SELEC 1", "42601");
}

#[test]
fn a_block_of_the_clients_is_the_servers() {
    let mut world = granted();
    world.run("BEGIN; INSERT INTO users VALUES (3, 'Cy', NULL); SAVEPOINT s");
    refuse(
        &mut world.session,
        "INSERT INTO users VALUES (3, 'Cy', NULL)",
        "23505",
    );
    refuse(&mut world.session, "SELECT 1 FROM users", "25P02");
    assert!(world.session.in_transaction());
    world.run("ROLLBACK TO SAVEPOINT s; COMMIT");
    assert!(!world.session.in_transaction());
    assert_eq!(world.database.sql("SELECT count(*) FROM users"), "3");
    // A table of a block is granted once there is one.
    world.run("ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('later')");
    world.run("BEGIN; CREATE TABLE later (a INTEGER)");
    assert_eq!(world.privileges("q"), "SELECT users");
    world.run("COMMIT");
    assert_eq!(world.privileges("q"), "SELECT later, SELECT users");
    assert_eq!(world.query("SELECT * FROM later"), "[]");
}

fn perihelion(world: &super::World, arguments: &[&str], password: Option<&str>) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).env_remove("PGPASSWORD");
    command.env(
        "PERIHELION_CACHE",
        crate::support::root().join("target/test-cache"),
    );
    command.current_dir(world.directory.path());
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    command.output().unwrap()
}

#[test]
fn the_command_line_takes_the_password_in_three_ways_and_shows_it_in_none() {
    let world = world();
    let password = world.url.split([':', '@']).nth(2).unwrap().to_string();
    let without = world.url.replace(&format!(":{password}@"), "@");
    let file = world.directory.path().join("password");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    let sql = [
        "sql",
        "--data",
        "vault",
        "-c",
        "SELECT 1 + 1 AS two",
        "--database",
    ];
    let with = |more: &[&'static str]| [&sql[..], more].concat();
    let file_arguments = ["--password-file", "password"];
    for (url, more, variable) in [
        (&world.url, &[][..], None),
        (&without, &[][..], Some(password.as_str())),
        (&without, &file_arguments[..], None),
    ] {
        let arguments = [&with(&[])[..], &[url.as_str()], more].concat();
        let output = perihelion(&world, &arguments, variable);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("two"), "{output:?}");
    }
    for (url, variable) in [(&without, None), (&without, Some("wrong"))] {
        let arguments = [&with(&[])[..], &[url.as_str()]].concat();
        let output = perihelion(&world, &arguments, variable);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("cannot be opened as"), "{text}");
        assert!(!text.contains(&password), "{text}");
    }
    let elsewhere = without.replace("/test_", "/absent_");
    let arguments = [&with(&[])[..], &[elsewhere.as_str()]].concat();
    let output = perihelion(&world, &arguments, Some(&password));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("does not exist") && !text.contains(&password),
        "{text}"
    );
    let remote = [
        "sql",
        "--data",
        "vault",
        "-c",
        "SELECT 1",
        "--database",
        "postgres://u:hunter2@db.example.com/d",
    ];
    let output = perihelion(&world, &remote, None);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("would not be encrypted") && !text.contains("hunter2"),
        "{text}"
    );
    let output = perihelion(
        &world,
        &["sql", "--database", &world.url, "-c", "SELECT 1"],
        None,
    );
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("--database needs --data DIR"), "{text}");
}

#[test]
fn the_command_line_sets_a_database_up() {
    let world = world();
    let superuser = world.database.superuser_url();
    let role = format!("other_{}", world.database.name);
    let setup = [
        "postgres",
        "setup",
        "--database",
        &superuser,
        "--role",
        &role,
    ];
    let printed = perihelion(&world, &[&setup[..], &["--print"]].concat(), None);
    assert!(
        String::from_utf8_lossy(&printed.stdout).contains("REVOKE TEMPORARY, CREATE ON DATABASE")
    );
    let output = perihelion(&world, &setup, None);
    assert!(output.status.success(), "{output:?}");
    let url = String::from_utf8(output.stdout).unwrap();
    let script = "CREATE TABLE mine (id INTEGER); \\d mine
        \\d
        SELECT 1 AS one;";
    std::fs::write(
        world.directory.path().join("script"),
        script.replace("; \\d mine", ";\n\\d mine"),
    )
    .unwrap();
    let run = [
        "sql",
        "--data",
        "another",
        "--database",
        url.trim(),
        "-f",
        "script",
    ];
    let output = perihelion(&world, &run, None);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        text.contains("integer") && text.contains("mine") && text.contains("one"),
        "{text}"
    );
}
