//! Data on PostgreSQL: who a function is there, what reaches the server, and what stays.

mod attacks;
mod client;
mod cluster;
mod cost;
mod grants;
mod interface;
mod roles;
mod transactions;
mod values;

use crate::support::{PROBES, fits, run, vault_for_any_text};
use cluster::{Database, PASSWORD, SUPERUSER, database};
use perihelion::{PostgresUrl, Session, Storage, Value, Vault, set_up_postgres};

/// A vault whose tables are in a database of its own.
struct World {
    // Dropped before the directory of its vault.
    session: Session,
    vault: Vault,
    url: String,
    database: Database,
    directory: tempfile::TempDir,
}

/// How many statements of functions run, or wait in a transaction.
const BUSY: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND starts_with(usename, 'heliosdb_') AND state <> 'idle'";

/// An empty database that was set up, and a vault on it.
fn world() -> World {
    let database = database();
    let url = PostgresUrl::parse(&database.superuser_url()).unwrap();
    let role = format!("host_{}", database.name);
    let url = set_up_postgres(&url, &role).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let vault = open(&directory, &url);
    World {
        session: vault.session().unwrap(),
        vault,
        url,
        database,
        directory,
    }
}

/// One with tables `users` and `secrets`, and probes without grants.
fn probed() -> World {
    let mut world = world();
    world.run(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT UNIQUE);
         INSERT INTO users VALUES (1, 'Ada', 'ada@example.com'), (2, 'Bob', 'bob@example.com');
         CREATE TABLE secrets (id INTEGER PRIMARY KEY, value TEXT);
         INSERT INTO secrets VALUES (1, 'CANARY-5f3a');",
    );
    world.run(PROBES);
    world
}

/// One whose probes may read and write `users`.
fn granted() -> World {
    let mut world = probed();
    world.run(
        "ALTER FUNCTION q GRANT CAPABILITY DATABASE_READ('users');
         ALTER FUNCTION x GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users');",
    );
    world
}

fn open(directory: &tempfile::TempDir, url: &str) -> Vault {
    let storage = Storage::Postgres {
        directory: directory.path().to_path_buf(),
        database: PostgresUrl::parse(url).unwrap(),
    };
    vault_for_any_text(storage)
}

impl World {
    #[track_caller]
    fn run(&mut self, script: &str) -> perihelion::Outcome {
        run(&mut self.session, script)
    }

    /// A guest's query, as a call of its own.
    #[track_caller]
    fn query(&mut self, sql: &str) -> String {
        self.ask("q", sql, "[]")
    }

    /// A guest's writing statement, as a call of its own.
    #[track_caller]
    fn execute(&mut self, sql: &str) -> String {
        self.ask("x", sql, "[]")
    }

    #[track_caller]
    fn ask(&mut self, probe: &str, sql: &str, params: &str) -> String {
        let arguments = [Value::Text(sql.into()), Value::Json(params.into())];
        let answer = match self.session.call(probe, &arguments) {
            Ok(Value::Text(answer)) => answer,
            other => panic!("{other:?}\nof: {sql}"),
        };
        if answer.starts_with("denied") || answer.contains("may not") || answer.contains("42501") {
            // What a probe asks for in vain would soon refuse it to the session's caller.
            self.run(&format!("ALTER FUNCTION {probe} SET ENABLED = true"));
        }
        answer
    }

    /// Statements, each with what the probe must answer: the whole of it, or its
    /// beginning if it ends in `…`.
    #[track_caller]
    fn check(&mut self, probe: &str, cases: &[(&str, &str)]) {
        for (sql, expected) in cases {
            let answer = self.ask(probe, sql, "[]");
            assert!(
                fits(&answer, expected),
                "{sql}\n  gave {answer}\n  not  {expected}"
            );
        }
    }

    /// Nothing of a function runs at the server any more. One that was canceled needs a
    /// moment to notice that its connection is closed.
    #[track_caller]
    fn check_quiet(&self) {
        let begun = std::time::Instant::now();
        while self.database.sql(BUSY) != "0" {
            assert!(begun.elapsed() < std::time::Duration::from_secs(5));
        }
    }

    /// The role of a function, by the server's own catalog: the one whose name no other
    /// function's has. There is none if the function needs none.
    fn roles(&self) -> Vec<String> {
        let id = std::fs::read_to_string(self.directory.path().join("postgres")).unwrap();
        let prefix = format!("heliosdb_{}_", id.trim());
        let sql = format!(
            "SELECT rolname FROM pg_roles WHERE starts_with(rolname, '{prefix}') ORDER BY 1"
        );
        let names = self.database.sql(&sql);
        names.lines().map(str::to_string).collect()
    }

    /// What the server gives the function's role on tables and sequences: its own words.
    fn privileges(&self, function: &str) -> String {
        let id = std::fs::read_to_string(self.directory.path().join("postgres")).unwrap();
        let hash = blake3::hash(function.as_bytes()).to_hex();
        let role = format!("heliosdb_{}_{}", id.trim(), &hash[..16]);
        let held = self.database.sql(&format!(
            "SELECT string_agg(a.privilege_type || ' ' || c.relname, ', ' ORDER BY c.relname, 1)
             FROM pg_class c, aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
             WHERE r.rolname = '{role}'"
        ));
        let mut list: Vec<&str> = held.split(", ").collect();
        list.sort_unstable();
        list.join(", ")
    }
}

/// Whoever asks must prove who it is, or the tests of roles would prove nothing.
#[test]
fn the_cluster_of_the_tests_asks_for_passwords() {
    let database = database();
    let right = database
        .cluster
        .psql(SUPERUSER, PASSWORD, &database.name, "SELECT 1");
    assert!(right.status.success());
    for (user, password) in [(SUPERUSER, "wrong"), (SUPERUSER, ""), ("nobody", PASSWORD)] {
        let wrong = database
            .cluster
            .psql(user, password, &database.name, "SELECT 1");
        assert!(!wrong.status.success(), "{user}");
    }
    let method = database.sql("SELECT left(rolpassword, 13) FROM pg_authid WHERE oid = 10");
    assert_eq!(method, "SCRAM-SHA-256");
}
