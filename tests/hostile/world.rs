//! What an attack is run in: a vault in a directory, with tables that it may touch and
//! tables that it may not; and the entries that its log gets.

use super::harness::CANARY;
use crate::support::runtime;
use perihelion::{Session, Storage, Value, Vault};
use std::collections::BTreeMap;

/// `users` and `notes` are what attacks are granted; `secrets` nobody is.
const TABLES: &str = "
    CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT UNIQUE);
    INSERT INTO users VALUES (1, 'Ada', 'ada@example.com'), (2, 'Bob', 'bob@example.com');
    CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT NOT NULL, weight INTEGER CHECK (weight < 10));
    INSERT INTO notes VALUES (1, 'first', 1);
    CREATE TABLE secrets (id INTEGER PRIMARY KEY, value TEXT UNIQUE);
    INSERT INTO secrets VALUES (1, 'CANARY-5f3a');
    CREATE FUNCTION modest(n BIGINT) RETURNS BIGINT LANGUAGE javascript
      AS $$ function modest(n) { return n + 1; } $$;";

/// A vault, and the session that is attacked.
pub(super) struct World {
    pub(super) session: Session,
    vault: Vault,
    /// Removed last.
    _directory: tempfile::TempDir,
}

/// An entry of the log.
pub(super) struct Entry {
    /// Its event; of a check, whether it was allowed.
    kind: String,
    detail: String,
    /// All of its fields, as text.
    pub(super) all: String,
}

/// How many entries of each kind there are.
type Counts = BTreeMap<String, usize>;

impl World {
    pub(super) fn new() -> World {
        let directory = tempfile::Builder::new()
            .prefix(&format!("{CANARY}directory"))
            .tempdir()
            .unwrap();
        let storage = Storage::Directory(directory.path().join("vault"));
        let vault = runtime().vault(storage).unwrap();
        let mut session = vault.session().unwrap();
        session.execute_script(TABLES, drop).unwrap();
        World {
            session,
            vault,
            _directory: directory,
        }
    }

    /// Everything that tables hold, and the tables themselves.
    pub(super) fn data(&mut self) -> Vec<Vec<Value>> {
        let schema = "SELECT type, name, sql FROM sqlite_schema ORDER BY name";
        let mut data = self.session.execute(schema).unwrap().rows;
        let names: Vec<Value> = data
            .iter()
            .filter(|row| row[0] == Value::Text("table".into()))
            .map(|row| row[1].clone())
            .collect();
        for name in names {
            let Value::Text(name) = name else { continue };
            let table = self.session.execute(&format!("SELECT * FROM \"{name}\""));
            data.extend(table.unwrap().rows);
        }
        data
    }

    /// What does not work any more.
    pub(super) fn complaints(&mut self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.session.in_transaction() {
            complaints.push("a transaction is open".to_string());
        }
        match self.vault.session() {
            Ok(mut other) => complaints.extend(use_as_usual(&mut other)),
            Err(error) => complaints.push(format!("no new session: {error:?}")),
        }
        complaints.extend(use_as_usual(&mut self.session));
        if let Err(error) = self.vault.verify_audit_log() {
            complaints.push(format!("the log does not verify: {error:?}"));
        }
        complaints
    }
}

/// A call, a query and a write, as if nothing had happened.
fn use_as_usual(session: &mut Session) -> Option<String> {
    for (sql, expected) in [
        ("SELECT modest(20)", 21),
        ("SELECT count(*) FROM users", 2),
        ("SELECT sum(modest(id)) FROM users", 5),
    ] {
        match session.execute(sql) {
            Ok(outcome) if outcome.rows == [[Value::Integer(expected)]] => {}
            other => return Some(format!("{sql} gave {other:?}")),
        }
    }
    let write = "UPDATE notes SET weight = weight WHERE id = 1";
    let written = session.execute(write).map(|outcome| outcome.affected);
    (!matches!(written, Ok(Some(1)))).then(|| format!("{write} gave {written:?}"))
}

/// The number of the log's last entry.
pub(super) fn last_entry(session: &mut Session) -> i64 {
    let rows = session.execute("SELECT max(seq) FROM heliosdb.audit_log");
    match rows.unwrap().rows[0][0] {
        Value::Integer(seq) => seq,
        _ => 0,
    }
}

/// The entries after that one.
pub(super) fn entries_since(session: &mut Session, last: i64) -> Vec<Entry> {
    let sql = "SELECT event_type, allowed, detail, function_name, caller, capability, target
               FROM heliosdb.audit_log WHERE seq > ?";
    let rows = session
        .execute_with(sql, &[Value::Integer(last)])
        .unwrap()
        .rows;
    rows.iter().map(|row| entry(row)).collect()
}

fn entry(row: &[Value]) -> Entry {
    let text = |index: usize| match &row[index] {
        Value::Text(text) => text.clone(),
        _ => String::new(),
    };
    let kind = match (text(0).as_str(), &row[1]) {
        ("CapabilityCheck", Value::Integer(1)) => "Allowed".to_string(),
        ("CapabilityCheck", _) => "Denied".to_string(),
        (event, _) => event.to_string(),
    };
    Entry {
        kind,
        detail: text(2),
        all: format!("{row:?}"),
    }
}

/// The entries that there must be.
pub(super) fn expected(
    is_recorded: bool,
    by_limit: bool,
    sqlstate: Option<&str>,
    more: &[(&str, usize)],
) -> Counts {
    let mut counts: Counts = more
        .iter()
        .map(|(kind, count)| (kind.to_string(), *count))
        .collect();
    if is_recorded {
        let end = match sqlstate {
            Some(_) => "ExecutionFailed",
            None => "ExecutionCompleted",
        };
        counts.insert("ExecutionStarted".to_string(), 1);
        counts.insert(end.to_string(), 1);
    }
    if by_limit {
        counts.insert("ResourceLimitExceeded".to_string(), 1);
    }
    counts
}

/// What is wrong with the entries: their number, the limit that they name, how the
/// execution ended, and what it had of memory.
pub(super) fn compare(
    entries: &[Entry],
    expected: &Counts,
    limit: Option<&str>,
    sqlstate: Option<&str>,
) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut found = Counts::new();
    for entry in entries {
        *found.entry(entry.kind.clone()).or_default() += 1;
    }
    for (kind, count) in expected {
        if *count == SOME && found.contains_key(kind) {
            found.insert(kind.clone(), SOME);
        }
    }
    if found != *expected {
        complaints.push(format!("it recorded {found:?}, not {expected:?}"));
    }
    let detail = |kind: &str, key: &str| {
        let entry = entries.iter().find(|entry| entry.kind == kind)?;
        let detail: serde_json::Value = serde_json::from_str(&entry.detail).ok()?;
        Some(detail[key].clone())
    };
    if let Some(resource) = limit {
        let named = detail("ResourceLimitExceeded", "resource");
        if named != Some(resource.into()) {
            complaints.push(format!("its entry names the limit {named:?}"));
        }
    }
    if let Some(sqlstate) = sqlstate {
        let named = detail("ExecutionFailed", "sqlstate");
        if named != Some(sqlstate.into()) {
            complaints.push(format!("its entry has the code {named:?}"));
        }
    }
    let peak = detail("ExecutionFailed", "memory_bytes_peak")
        .or_else(|| detail("ExecutionCompleted", "memory_bytes_peak"))
        .map(|peak| peak.as_u64());
    let executes = expected.contains_key("ExecutionStarted");
    if executes && !matches!(peak, Some(Some(0..=MEMORY_BYTES_MAX))) {
        complaints.push(format!("its entry has a peak of {peak:?} bytes"));
    }
    complaints
}

/// As many entries as the attack had time for, and at least one.
pub(super) const SOME: usize = usize::MAX;

/// The most that any policy gives.
const MEMORY_BYTES_MAX: u64 = 128 << 20;
