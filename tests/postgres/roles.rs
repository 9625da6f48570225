//! The functions' roles: made, kept in step and dropped; and what a database must be
//! like before there are any.

use super::{database, granted, open, probed, world};
use crate::support::{run, runtime};
use perihelion::{PostgresUrl, Storage, postgres_setup_sql, set_up_postgres};

#[test]
fn a_role_is_made_with_the_first_grant_and_dropped_with_the_function() {
    let mut world = probed();
    assert_eq!(world.roles().len(), 0);
    world.run("ALTER FUNCTION q GRANT CAPABILITY TIME_ACCESS");
    assert_eq!(world.roles().len(), 0);
    world.run("ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users')");
    assert_eq!(world.roles().len(), 1);
    assert_eq!(
        world.query("SELECT 1 AS n FROM users LIMIT 1"),
        r#"[{"n":1}]"#
    );
    world.run("DROP FUNCTION q");
    assert_eq!(world.roles().len(), 0);
}

#[test]
fn a_role_can_log_in_and_nothing_else() {
    let world = granted();
    let roles = world.roles();
    assert_eq!(roles.len(), 2);
    for role in roles {
        let can = world.database.sql(&format!(
            "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication,
                    rolbypassrls, rolinherit,
                    (SELECT count(*) FROM pg_auth_members WHERE member = r.oid),
                    (SELECT count(*) FROM pg_shdepend WHERE refobjid = r.oid AND deptype = 'o')
             FROM pg_roles r WHERE rolname = '{role}'"
        ));
        assert_eq!(can, "t|f|f|f|f|f|f|0|0");
    }
}

#[test]
fn the_server_never_sees_a_password_and_neither_does_the_disk() {
    let mut world = granted();
    world.query("SELECT 1 FROM users");
    world.execute("DELETE FROM users");
    let log = std::fs::read_to_string(world.database.cluster.socket().join("log")).unwrap();
    let altered: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("ALTER ROLE \"heliosdb_"))
        .collect();
    assert!(!altered.is_empty());
    for line in altered {
        assert!(line.contains("PASSWORD 'SCRAM-SHA-256$4096:"), "{line}");
    }
    let stored = world.database.sql(
        "SELECT count(*) FROM pg_authid WHERE starts_with(rolname, 'heliosdb_')
         AND rolpassword !~ '^SCRAM-SHA-256'",
    );
    assert_eq!(stored, "0");
    // The host's own password is the administrator's to keep.
    let password = world.url.split([':', '@']).nth(2).unwrap().to_string();
    assert_eq!(password.len(), 64);
    for entry in std::fs::read_dir(world.directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(64).any(|part| part == password.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[test]
fn each_process_has_passwords_of_its_own() {
    let mut world = granted();
    world.query("SELECT 1 FROM users");
    let verifiers = "SELECT string_agg(rolpassword, ' ' ORDER BY rolname) FROM pg_authid
                     WHERE starts_with(rolname, 'heliosdb_') AND rolpassword IS NOT NULL";
    let before = world.database.sql(verifiers);
    let super::World {
        session,
        vault,
        url,
        database,
        directory,
    } = world;
    drop((session, vault));
    let vault = open(&directory, &url);
    let mut session = vault.session().unwrap();
    let outcome = run(
        &mut session,
        "SELECT q('SELECT name FROM users WHERE id = 1', '[]')",
    );
    assert_eq!(
        outcome.rows,
        [[perihelion::Value::Text(r#"[{"name":"Ada"}]"#.into())]]
    );
    assert_ne!(database.sql(verifiers), before);
}

#[test]
fn two_vaults_on_one_database_know_nothing_of_each_others_roles() {
    let mut first = granted();
    let directory = tempfile::tempdir().unwrap();
    let vault = open(&directory, &first.url);
    let mut second = vault.session().unwrap();
    run(&mut second, super::PROBES);
    let ours = first.roles();
    run(
        &mut second,
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('secrets')",
    );
    assert_eq!(first.roles(), ours);
    let asked = run(&mut second, "SELECT q('SELECT value FROM secrets', '[]')");
    assert_eq!(
        asked.rows,
        [[perihelion::Value::Text(
            r#"[{"value":"CANARY-5f3a"}]"#.into()
        )]]
    );
    first.check(
        "q",
        &[(
            "SELECT value FROM secrets",
            "denied DATABASE_READ public.secrets",
        )],
    );
    run(&mut second, "DROP FUNCTION q");
    assert_eq!(first.roles(), ours);
}

#[test]
fn a_database_that_is_not_set_up_is_refused_with_the_cure() {
    let database = database();
    let directory = tempfile::tempdir().unwrap();
    let attempt = |url: &str| {
        let storage = Storage::Postgres {
            directory: directory.path().to_path_buf(),
            database: PostgresUrl::parse(url).unwrap(),
        };
        runtime().vault(storage).map(drop)
    };
    let superuser = database.superuser_url();
    let refused = attempt(&superuser).unwrap_err();
    assert_eq!(refused.sqlstate().as_str(), "55000");
    let detail = refused.detail().unwrap();
    for part in ["is a superuser", "temporary tables", "lo_create", "lo_put"] {
        assert!(detail.contains(part), "{detail}");
    }
    let role = format!("host_{}", database.name);
    let host = set_up_postgres(&PostgresUrl::parse(&superuser).unwrap(), &role).unwrap();
    attempt(&host).unwrap();
    // And whenever it is no longer so.
    database.sql("GRANT EXECUTE ON FUNCTION lo_create(oid) TO PUBLIC");
    let refused = attempt(&host).unwrap_err();
    assert_eq!(refused.detail(), Some("everybody may call lo_create(oid)"));
    assert!(
        refused
            .hint()
            .unwrap()
            .contains("REVOKE EXECUTE ON FUNCTION pg_catalog.lo_create(oid) FROM PUBLIC;")
    );
    database.sql("REVOKE EXECUTE ON FUNCTION pg_catalog.lo_create(oid) FROM PUBLIC");
    database.sql(&format!("ALTER ROLE {role} NOCREATEROLE"));
    assert!(
        attempt(&host)
            .unwrap_err()
            .detail()
            .unwrap()
            .contains("may not create roles")
    );
}

#[test]
fn the_set_up_can_be_printed_and_run_again_and_by_a_superuser_only() {
    let database = database();
    let url = PostgresUrl::parse(&database.superuser_url()).unwrap();
    let role = format!("host_{}", database.name);
    database.sql(&postgres_setup_sql(&url, &role).unwrap());
    let first = set_up_postgres(&url, &role).unwrap();
    let second = set_up_postgres(&url, &role).unwrap();
    assert_ne!(first, second);
    let host = PostgresUrl::parse(&second).unwrap();
    let refused = set_up_postgres(&host, "another").unwrap_err();
    assert_eq!(refused.sqlstate().as_str(), "42501");
    let old = PostgresUrl::parse(&first).unwrap();
    let refused = set_up_postgres(&old, &role).unwrap_err();
    assert_eq!(refused.sqlstate().as_str(), "28P01");
    assert!(!format!("{refused:?}").contains(first.split([':', '@']).nth(2).unwrap()));
}

#[test]
fn tables_that_others_own_are_passed_on() {
    let database = database();
    database
        .sql("CREATE TABLE legacy (id SERIAL, name TEXT); INSERT INTO legacy(name) VALUES ('a')");
    let url = PostgresUrl::parse(&database.superuser_url()).unwrap();
    let host = set_up_postgres(&url, &format!("host_{}", database.name)).unwrap();
    database.sql("CREATE TABLE later (id INTEGER)");
    let directory = tempfile::tempdir().unwrap();
    let vault = open(&directory, &host);
    let mut session = vault.session().unwrap();
    run(&mut session, super::PROBES);
    run(
        &mut session,
        "ALTER FUNCTION x GRANT CAPABILITY DATABASE_WRITE('l*'), DATABASE_READ('l*')",
    );
    for sql in [
        "INSERT INTO legacy(name) VALUES (''b'') RETURNING id",
        "INSERT INTO later VALUES (1)",
    ] {
        let outcome = run(&mut session, &format!("SELECT x('{sql}', '[]')"));
        assert_eq!(outcome.rows, [[perihelion::Value::Text("1".into())]]);
    }
}

#[test]
fn a_directory_is_for_one_kind_of_database() {
    let world = world();
    let super::World {
        session,
        vault,
        directory,
        url,
        database: _database,
    } = world;
    drop((session, vault));
    let sqlite = Storage::Directory(directory.path().to_path_buf());
    let refused = runtime().vault(sqlite).map(drop).unwrap_err();
    assert_eq!(refused.sqlstate().as_str(), "42809");
    let other = tempfile::tempdir().unwrap();
    drop(
        runtime()
            .vault(Storage::Directory(other.path().to_path_buf()))
            .unwrap(),
    );
    let storage = Storage::Postgres {
        directory: other.path().to_path_buf(),
        database: PostgresUrl::parse(&url).unwrap(),
    };
    let refused = runtime().vault(storage).map(drop).unwrap_err();
    assert_eq!(refused.sqlstate().as_str(), "42809");
}
