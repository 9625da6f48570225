//! A row: guards, an attack, and how it ends with them and without them.

use crate::support::{root, run};
use perihelion::{Builder, Error, Guard, Runtime, Session, Storage, Value};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// What is expected of the guards of one attack.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// What stands between the attack and its end. If there are several, each alone is
    /// enough, and only without all of them does the attack succeed.
    pub(super) guards: &'static [Guard],
    pub(super) attack: Attack,
    /// How it ends as long as a guard holds: a SQLSTATE, or what the attack says.
    pub(super) held: &'static str,
    /// How it ends without them.
    pub(super) removed: &'static str,
    /// How it may end, too, where one of several guards is gone and another one holds.
    pub(super) alone: &'static str,
    /// What stops it even so, and cannot be removed. Then `removed` has its words.
    pub(super) behind: Option<&'static str>,
}

/// An attack that says how it ended.
#[derive(Clone, Copy)]
pub(super) enum Attack {
    /// Statements of the owner's, in a vault with the tables `users` and `secrets`; and
    /// the call of `f`.
    Call(&'static str),
    /// Anything else, without these guards.
    Run(fn(&[Guard]) -> String),
}

impl Row {
    pub(super) const fn call(guards: &'static [Guard], script: &'static str) -> Row {
        Row::new(guards, Attack::Call(script))
    }

    pub(super) const fn run(guards: &'static [Guard], attack: fn(&[Guard]) -> String) -> Row {
        Row::new(guards, Attack::Run(attack))
    }

    const fn new(guards: &'static [Guard], attack: Attack) -> Row {
        Row {
            guards,
            attack,
            held: "",
            removed: "",
            alone: "",
            behind: None,
        }
    }

    pub(super) const fn ends(mut self, held: &'static str, removed: &'static str) -> Row {
        self.held = held;
        self.removed = removed;
        self
    }

    pub(super) const fn or(mut self, alone: &'static str) -> Row {
        self.alone = alone;
        self
    }

    pub(super) const fn behind(mut self, what: &'static str) -> Row {
        self.behind = Some(what);
        self
    }

    /// How the attack ends without some guards.
    pub(super) fn outcome(&self, without: &[Guard]) -> String {
        match self.attack {
            Attack::Run(attack) => attack(without),
            Attack::Call(script) => {
                let mut session = session(without);
                run(&mut session, script);
                call(&mut session)
            }
        }
    }
}

/// Runs each attack with every guard, without each guard of several, and without all.
#[track_caller]
pub(super) fn check(rows: &[Row]) {
    let mut wrong = Vec::new();
    for row in rows {
        let mut expect = |without: &[Guard], is_right: &dyn Fn(&str) -> bool, expected: &str| {
            // One that panics must not hide what comes of the others.
            let outcome = catch_unwind(AssertUnwindSafe(|| row.outcome(without)));
            let outcome = outcome.unwrap_or_else(|_| "a panic".to_string());
            if !is_right(&outcome) {
                wrong.push(format!(
                    "{:?} without {without:?}: {outcome}, not {expected}",
                    row.guards
                ));
            }
        };
        expect(&[], &|outcome| outcome == row.held, row.held);
        if row.guards.len() > 1 {
            for guard in row.guards {
                let stopped = |outcome: &str| [row.held, row.alone].contains(&outcome);
                expect(&[*guard], &stopped, "stopped by the others");
            }
        }
        expect(row.guards, &|outcome| outcome == row.removed, row.removed);
        assert!(row.held != row.removed, "{:?}", row.guards);
        assert!(row.alone != row.removed, "{:?}", row.guards);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A builder without some guards, that keeps its compiled code with that of other tests.
pub(super) fn builder(without: &[Guard]) -> Builder {
    bare_builder(without).cache_directory(root().join("target/test-cache"))
}

/// One that keeps no compiled code.
pub(super) fn bare_builder(without: &[Guard]) -> Builder {
    let all = Runtime::builder();
    without
        .iter()
        .fold(all, |fewer, guard| fewer.without(*guard))
}

pub(super) fn runtime(without: &[Guard]) -> Runtime {
    builder(without).build().unwrap()
}

/// A session on a vault in memory, with the tables of attacks.
pub(super) fn session(without: &[Guard]) -> Session {
    let vault = runtime(without).vault(Storage::Memory).unwrap();
    with_tables(vault.session().unwrap())
}

/// `users` is what attacks are granted, `secrets` what they are not.
pub(super) fn with_tables(mut session: Session) -> Session {
    run(
        &mut session,
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
         INSERT INTO users VALUES (1, 'Ada'), (2, 'Bob');
         CREATE TABLE secrets (id INTEGER PRIMARY KEY, value TEXT);
         INSERT INTO secrets VALUES (1, 'CANARY-5f3a');",
    );
    session
}

/// Calls `f`.
pub(super) fn call(session: &mut Session) -> String {
    told(session.call("f", &[]))
}

/// A result for people: the SQLSTATE of an error; of what is long, its length.
pub(super) fn told(result: Result<Value, Error>) -> String {
    match result {
        Err(error) => error.sqlstate().as_str().to_string(),
        Ok(Value::Null) => "NULL".to_string(),
        Ok(Value::Integer(n)) => n.to_string(),
        Ok(Value::Text(text) | Value::Json(text)) if text.len() <= 40 => text,
        Ok(Value::Text(text) | Value::Json(text)) => format!("{} bytes", text.len()),
        Ok(Value::Blob(bytes)) => format!("{} bytes", bytes.len()),
        Ok(other) => format!("{other:?}"),
    }
}

/// The outcome of a statement that gives nothing.
pub(super) fn done(result: Result<impl Sized, Error>) -> String {
    match result {
        Ok(_) => "done".to_string(),
        Err(error) => error.sqlstate().as_str().to_string(),
    }
}

/// Uploads a component as `f`.
pub(super) fn upload(session: &mut Session, bytes: &[u8]) -> Result<(), Error> {
    upload_as(session, "FUNCTION f", bytes)
}

/// Uploads a component as something.
pub(super) fn upload_as(session: &mut Session, what: &str, bytes: &[u8]) -> Result<(), Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let sql = format!("CREATE {what} LANGUAGE wasm AS '{}'", file.path().display());
    session.execute(&sql).map(drop)
}

/// Works while each message of a guest runs a statement in another session: something
/// that happens in the middle of a call, and always at the same place.
pub(super) fn with_messages_as<R>(
    session: Session,
    statement: &'static str,
    work: impl FnOnce() -> R,
) -> R {
    let session = Mutex::new(session);
    let on_message = move || drop(run(&mut session.lock().unwrap(), statement));
    tracing::subscriber::with_default(OnMessage(on_message), work)
}

/// The embedder's subscriber, which a guest's messages reach.
pub(super) struct OnMessage<F>(pub(super) F);

impl<F: Fn() + Send + Sync + 'static> Subscriber for OnMessage<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "perihelion::log::host"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        (self.0)();
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
