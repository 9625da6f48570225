//! A login role for each function, with exactly the privileges that its grants give.
//!
//! Not for what a statement may touch: `request.rs` refuses early and in good words, and
//! the server refuses in any case. This file keeps what the server knows in step with the
//! catalog. It derives everything anew each time, from the catalog and from what the
//! server says there is, so that it can run at any time and nothing need be undone.

use super::address::Address;
use super::connection::{Connection, Patience, TextRows, unreachable};
use super::failure::Failure;
use super::setup;
use crate::capability::Capability;
use crate::database::grant;
use crate::error::{Error, Result, SqlState};
use crate::function::{Authority, Function};
use crate::guard::Guards;
use crate::statement::quoted;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The roles of one vault's functions.
pub(crate) struct Roles {
    /// What all their names begin with: no other vault's do.
    prefix: String,
    inner: Mutex<Inner>,
}

struct Inner {
    address: Address,
    connection: Option<Connection>,
    /// Of roles that have logged in since this process began, by function. They are
    /// nowhere else: each process makes new ones.
    passwords: HashMap<String, String>,
}

/// A privilege on an object, as GRANT names both.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Privilege {
    name: String,
    object: String,
}

/// What there is on the server.
#[derive(Default)]
struct Server {
    relations: Vec<Relation>,
    /// What each of our roles has.
    held: BTreeMap<String, BTreeSet<Privilege>>,
}

struct Relation {
    schema: String,
    name: String,
    kind: Kind,
    columns: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    Table,
    /// A sequence behind a column of a table, which it is dropped with.
    Sequence {
        schema: String,
        table: String,
    },
}

/// Role names are shorter than 64 bytes.
const NAME_HEX: usize = 16;

/// How long the server may take to change roles.
const PATIENCE: Duration = Duration::from_secs(30);

/// Results of the host's own statements.
const HOST_MESSAGE_BYTES_MAX: usize = 64 << 20;

impl Roles {
    /// The roles of the vault of this id. Connects, and checks that the server keeps
    /// guests where they belong.
    pub(crate) fn open(address: &Address, vault_id: &str) -> Result<Roles> {
        let roles = Roles {
            prefix: format!("heliosdb_{vault_id}_"),
            inner: Mutex::new(Inner {
                address: address.clone(),
                connection: None,
                passwords: HashMap::new(),
            }),
        };
        let mut inner = roles.lock()?;
        let found = inner.rows(setup::CHECK)?;
        setup::refuse_exposed(&found.rows)?;
        drop(inner);
        Ok(roles)
    }

    /// The name of a function's role.
    pub(crate) fn name(&self, function: &str) -> String {
        let hash = blake3::hash(function.as_bytes()).to_hex();
        format!("{}{}", self.prefix, &hash[..NAME_HEX])
    }

    /// Makes, changes and drops roles until they are what these functions need. They are
    /// all functions of the vault.
    pub(crate) fn bring_in_step(&self, functions: &[Arc<Function>]) -> Result<()> {
        let mut inner = self.lock()?;
        let changed = inner.bring_in_step(self, functions);
        if changed.is_err() {
            // Whatever state it is in, the next attempt begins anew.
            inner.connection = None;
        }
        changed
    }

    /// Where the function connects, and as whom. Its role gets a new password the first
    /// time.
    pub(crate) fn address(&self, function: &str) -> Result<Address> {
        let mut inner = self.lock()?;
        let role = self.name(function);
        if let Some(password) = inner.passwords.get(function) {
            return Ok(inner.address.as_role(&role, password));
        }
        let password = new_password()?;
        // The server keeps, and logs, only what a password can be checked with.
        let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
        let sql = format!("ALTER ROLE {} PASSWORD '{verifier}'", quoted(&role));
        inner.batch(&sql)?;
        inner
            .passwords
            .insert(function.to_string(), password.clone());
        Ok(inner.address.as_role(&role, &password))
    }

    /// Forgets a password, so that the role's next connection has a new one.
    pub(crate) fn forget_password(&self, function: &str) {
        if let Ok(mut inner) = self.inner.lock() {
            inner.passwords.remove(function);
        }
    }

    fn lock(&self) -> Result<MutexGuard<'_, Inner>> {
        self.inner.lock().map_err(Error::internal)
    }
}

impl Inner {
    fn bring_in_step(&mut self, roles: &Roles, functions: &[Arc<Function>]) -> Result<()> {
        // One host at a time: the server fails when two grant on one table at once.
        self.batch("BEGIN; SELECT pg_advisory_xact_lock(7308339910637985895);")?;
        let server = self.server(&roles.prefix)?;
        let mut wanted = BTreeMap::new();
        for function in functions {
            if needs_role(&function.authority) {
                let privileges = server.wanted(&function.authority);
                wanted.insert(roles.name(&function.name), privileges);
            }
        }
        let mut sql = changes(&server.held, &wanted);
        sql.push_str("COMMIT;");
        let known: BTreeSet<&str> = functions.iter().map(|f| f.name.as_str()).collect();
        self.passwords
            .retain(|name, _| known.contains(name.as_str()));
        self.batch(&sql)
    }

    fn server(&mut self, prefix: &str) -> Result<Server> {
        let mut server = Server::default();
        for row in self.rows(&relations_sql())?.rows {
            if let [Some(schema), Some(name), owner_schema, owner, columns] = &row[..] {
                let kind = match (owner_schema, owner) {
                    (Some(schema), Some(table)) => Kind::Sequence {
                        schema: schema.clone(),
                        table: table.clone(),
                    },
                    _ => Kind::Table,
                };
                let columns = columns.as_deref().unwrap_or_default();
                server.relations.push(Relation {
                    schema: schema.clone(),
                    name: name.clone(),
                    kind,
                    columns: serde_json::from_str(columns).unwrap_or_default(),
                });
            }
        }
        for row in self.rows(&held_sql(prefix))?.rows {
            if let [Some(role), privilege, kind, schema, name] = &row[..] {
                let held = server.held.entry(role.clone()).or_default();
                if let (Some(privilege), Some(kind), Some(schema)) = (privilege, kind, schema) {
                    held.insert(Privilege {
                        name: privilege.clone(),
                        object: object(kind, schema, name.as_deref()),
                    });
                }
            }
        }
        Ok(server)
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        let until = Patience::Until(Instant::now() + PATIENCE);
        let done = self.connection()?.batch(sql, until);
        self.keep_or_forget(done)
    }

    fn rows(&mut self, sql: &str) -> Result<TextRows> {
        let until = Patience::Until(Instant::now() + PATIENCE);
        let done = self.connection()?.text_rows(sql, until);
        self.keep_or_forget(done)
    }

    fn keep_or_forget<T>(&mut self, done: Result<T, Failure>) -> Result<T> {
        if done.is_err() {
            self.connection = None;
        }
        done.map_err(Failure::into_error)
    }

    fn connection(&mut self) -> Result<&mut Connection> {
        if self.connection.as_ref().is_none_or(|c| c.is_closed()) {
            let until = Patience::Until(Instant::now() + PATIENCE);
            let opened = Connection::open(
                &self.address,
                setup::HOST_SETTINGS,
                HOST_MESSAGE_BYTES_MAX,
                until,
            );
            let opened = opened.map_err(|failure| unreachable(failure, &self.address))?;
            self.connection = Some(opened);
        }
        self.connection
            .as_mut()
            .ok_or_else(|| Error::internal("no connection"))
    }
}

impl Server {
    /// What a role needs for what is granted.
    fn wanted(&self, authority: &Authority) -> BTreeSet<Privilege> {
        let mut wanted = BTreeSet::new();
        for relation in &self.relations {
            let names = relation.wanted(authority);
            if names.is_empty() {
                continue;
            }
            wanted.insert(Privilege {
                name: "USAGE".to_string(),
                object: object("SCHEMA", &relation.schema, None),
            });
            let kind = match relation.kind {
                Kind::Table => "TABLE",
                Kind::Sequence { .. } => "SEQUENCE",
            };
            wanted.extend(names.iter().map(|name| Privilege {
                name: name.to_string(),
                object: object(kind, &relation.schema, Some(&relation.name)),
            }));
        }
        wanted
    }
}

impl Relation {
    fn wanted(&self, authority: &Authority) -> Vec<String> {
        let guards = Guards::default();
        let permits = |capability, schema: &str, table: &str| {
            grant::permit_there(capability, schema, table, authority, guards).is_some()
        };
        let (schema, table) = (&self.schema, &self.name);
        let columns = |capability, privilege: &str| {
            let granted = self.columns.iter().filter(move |column| {
                let column = column.as_str();
                grant::permit_column_there(capability, schema, table, column, authority, guards)
                    .is_some()
            });
            let named = granted.map(|column| format!("{privilege} ({})", quoted(column)));
            named.collect::<Vec<String>>()
        };
        let texts = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        match &self.kind {
            Kind::Table => {
                let (read, write) = (Capability::DatabaseRead, Capability::DatabaseWrite);
                let mut names: Vec<String> = match permits(read, schema, table) {
                    true => texts(&["SELECT"]),
                    false => columns(read, "SELECT"),
                };
                names.extend(match permits(write, schema, table) {
                    true => texts(&["INSERT", "UPDATE", "DELETE"]),
                    false => columns(write, "UPDATE"),
                });
                names
            }
            // The default of a serial column takes its next value.
            Kind::Sequence { schema, table } => {
                match permits(Capability::DatabaseWrite, schema, table) {
                    true => texts(&["USAGE"]),
                    false => Vec::new(),
                }
            }
        }
    }
}

/// A function that never asks the database needs no role there.
fn needs_role(authority: &Authority) -> bool {
    let capabilities = authority.capabilities();
    [Capability::DatabaseRead, Capability::DatabaseWrite]
        .into_iter()
        .any(|capability| capabilities.contains(capability))
}

/// The statements that make the one of the other.
fn changes(
    held: &BTreeMap<String, BTreeSet<Privilege>>,
    wanted: &BTreeMap<String, BTreeSet<Privilege>>,
) -> String {
    let mut sql = String::new();
    let none = BTreeSet::new();
    let roles: BTreeSet<&String> = held.keys().chain(wanted.keys()).collect();
    for role in roles {
        let quoted = quoted(role);
        let is_new = !held.contains_key(role);
        let (had, wants) = (
            held.get(role).unwrap_or(&none),
            wanted.get(role).unwrap_or(&none),
        );
        if is_new {
            // It cannot log in before it has a password.
            let _ = writeln!(
                sql,
                "CREATE ROLE {quoted} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE \
                 NOREPLICATION NOBYPASSRLS NOINHERIT PASSWORD NULL;"
            );
        }
        for Privilege { name, object } in had.difference(wants) {
            let _ = writeln!(sql, "REVOKE {name} ON {object} FROM {quoted};");
        }
        for Privilege { name, object } in wants.difference(had) {
            let _ = writeln!(sql, "GRANT {name} ON {object} TO {quoted};");
        }
        if !wanted.contains_key(role) {
            let _ = writeln!(sql, "DROP ROLE {quoted};");
        }
    }
    sql
}

/// Tables, views and the like, and sequences with the table that they belong to.
fn relations_sql() -> String {
    format!(
        "SELECT n.nspname, c.relname, NULL, NULL,
                (SELECT json_agg(a.attname) FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)::text
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {USER_SCHEMA}
         UNION ALL
         SELECT n.nspname, c.relname, tn.nspname, t.relname, NULL
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_depend d ON d.objid = c.oid AND d.deptype = 'a'
              AND d.classid = 'pg_catalog.pg_class'::regclass
              AND d.refclassid = 'pg_catalog.pg_class'::regclass
         JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
         JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
         WHERE c.relkind = 'S' AND {USER_SCHEMA}"
    )
}

const USER_SCHEMA: &str = "n.nspname !~ '^(pg_|information_schema$)'";

/// Our roles, and what each of them has, in this database.
fn held_sql(prefix: &str) -> String {
    format!(
        "WITH ours AS (
             SELECT oid, rolname FROM pg_catalog.pg_roles WHERE starts_with(rolname, '{prefix}')
         ), held AS (
             SELECT a.grantee, a.privilege_type,
                    CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
                    n.nspname, c.relname
             FROM pg_catalog.pg_class c
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
                  pg_catalog.aclexplode(c.relacl) a
             UNION ALL
             SELECT x.grantee,
                    x.privilege_type || ' (\"' || replace(a.attname, '\"', '\"\"') || '\")',
                    'TABLE', n.nspname, c.relname
             FROM pg_catalog.pg_attribute a
             JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
                  pg_catalog.aclexplode(a.attacl) x
             WHERE NOT a.attisdropped
             UNION ALL
             SELECT a.grantee, a.privilege_type, 'SCHEMA', n.nspname, NULL
             FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
         )
         SELECT ours.rolname, h.privilege_type, h.kind, h.nspname, h.relname
         FROM ours LEFT JOIN held h ON h.grantee = ours.oid"
    )
}

fn object(kind: &str, schema: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{kind} {}.{}", quoted(schema), quoted(name)),
        None => format!("{kind} {}", quoted(schema)),
    }
}

/// 256 bits in hexadecimal digits, which mean nothing special anywhere.
pub(super) fn new_password() -> Result<String> {
    random_hex::<32>()
}

/// Bytes of the system's randomness.
#[expect(clippy::disallowed_methods, reason = "what nobody may guess")]
pub(crate) fn random_hex<const BYTES: usize>() -> Result<String> {
    let mut random = [0; BYTES];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::new(SqlState::IO, "no randomness").with_cause(error))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Grant;
    use crate::policy::Policy;

    fn privilege(name: &str, object: &str) -> Privilege {
        Privilege {
            name: name.to_string(),
            object: object.to_string(),
        }
    }

    #[test]
    fn h31_h33_a_role_gets_what_its_grants_cover_and_nothing_else() {
        let table = |schema: &str, name: &str| Relation {
            schema: schema.to_string(),
            name: name.to_string(),
            kind: Kind::Table,
            columns: vec!["id".to_string(), "E".to_string(), "secret".to_string()],
        };
        let server = Server {
            relations: vec![
                table("public", "user_a"),
                table("public", "users"),
                table("sales", "user_a"),
                table("heliosdb", "audit_log"),
                Relation {
                    schema: "public".to_string(),
                    name: "user_a_id_seq".to_string(),
                    kind: Kind::Sequence {
                        schema: "public".to_string(),
                        table: "user_a".to_string(),
                    },
                    columns: Vec::new(),
                },
            ],
            held: BTreeMap::new(),
        };
        let wanted = |grants: &[(&str, &str)]| {
            let grants = grants.iter().map(|(c, p)| Grant::new(c, Some(p)).unwrap());
            let authority = Authority::new(Policy::minimal(), grants.collect(), Vec::new());
            let wanted = server.wanted(&authority).into_iter();
            let texts: Vec<String> = wanted.map(|p| format!("{} {}", p.name, p.object)).collect();
            texts.join(", ")
        };
        assert_eq!(
            wanted(&[("DATABASE_READ", "user_*")]),
            "SELECT TABLE \"public\".\"user_a\", USAGE SCHEMA \"public\""
        );
        assert_eq!(
            wanted(&[("DATABASE_WRITE", "user_*")]),
            "DELETE TABLE \"public\".\"user_a\", INSERT TABLE \"public\".\"user_a\", \
             UPDATE TABLE \"public\".\"user_a\", USAGE SCHEMA \"public\", \
             USAGE SEQUENCE \"public\".\"user_a_id_seq\""
        );
        assert_eq!(
            wanted(&[("DATABASE_READ", "sales.*")]),
            "SELECT TABLE \"sales\".\"user_a\", USAGE SCHEMA \"sales\""
        );
        assert!(!wanted(&[("DATABASE_READ", "*"), ("DATABASE_WRITE", "*")]).contains("heliosdb"));
        assert_eq!(wanted(&[]), "");
        assert_eq!(
            wanted(&[
                ("DATABASE_READ", "users(id, \"E\")"),
                ("DATABASE_WRITE", "users(id)")
            ]),
            "SELECT (\"E\") TABLE \"public\".\"users\", SELECT (\"id\") TABLE \"public\".\"users\", \
             UPDATE (\"id\") TABLE \"public\".\"users\", USAGE SCHEMA \"public\""
        );
    }

    #[test]
    fn only_differences_are_changed() {
        let select = privilege("SELECT", "TABLE \"public\".\"t\"");
        let usage = privilege("USAGE", "SCHEMA \"public\"");
        let both: BTreeSet<_> = [select.clone(), usage.clone()].into();
        let of = |privileges: &BTreeSet<Privilege>| {
            BTreeMap::from([("r".to_string(), privileges.clone())])
        };
        assert_eq!(changes(&of(&both), &of(&both)), "");
        assert_eq!(
            changes(&of(&both), &of(&[usage.clone()].into())),
            "REVOKE SELECT ON TABLE \"public\".\"t\" FROM \"r\";\n"
        );
        let dropped = changes(&of(&[usage].into()), &BTreeMap::new());
        assert_eq!(
            dropped,
            "REVOKE USAGE ON SCHEMA \"public\" FROM \"r\";\nDROP ROLE \"r\";\n"
        );
        assert!(changes(&BTreeMap::new(), &of(&both)).starts_with("CREATE ROLE \"r\" LOGIN"));
    }

    #[test]
    fn a_name_in_quotes_is_only_a_name() {
        assert_eq!(quoted("a\"; DROP ROLE x; --"), "\"a\"\"; DROP ROLE x; --\"");
    }
}
