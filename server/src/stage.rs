//! The demo's stage: it types statements as at the prompt, shows what comes of them,
//! and stops at the first surprise. What is played is in `demo.rs`.

use crate::{directories, output, render, table};
use perihelion::{Error, Outcome, Session, SqlState, Value, Vault};
use std::io;
use std::path::Path;

/// Why the demo ended early.
pub(crate) enum Failure {
    Output(io::Error),
    Unexpected(String),
}

pub(crate) type Step<T = ()> = Result<T, Failure>;

pub(crate) struct Demo {
    pub(crate) vault: Vault,
    pub(crate) session: Session,
}

impl Demo {
    pub(crate) fn open(data: Option<&Path>) -> Step<Demo> {
        let vault = directories::open_vault(data).map_err(failed)?;
        let mut session = vault.session().map_err(failed)?;
        let tables = session
            .execute("SELECT count(*) FROM sqlite_schema")
            .map_err(failed)?;
        if *first(&tables)? != Value::Integer(0) {
            return Err(unexpected(
                "the directory has a database already; name a new one",
            ));
        }
        Ok(Demo { vault, session })
    }

    /// Types the statement that a refusal's hint gives.
    pub(crate) fn cure(&mut self, refusal: &Error) -> Step {
        let hint = refusal
            .hint()
            .ok_or_else(|| unexpected("the refusal has no hint"))?;
        self.succeed(hint).map(drop)
    }

    pub(crate) fn succeed(&mut self, sql: &str) -> Step<Outcome> {
        typed(&format!("{};", sql.trim_end_matches(';')))?;
        let outcome = self.session.execute(sql).map_err(failed)?;
        let notices: String = outcome.notices.iter().map(render::notice).collect();
        output::print(&(notices + &render::outcome(&outcome)))?;
        Ok(outcome)
    }

    pub(crate) fn fail(&mut self, sql: &str, expected: SqlState) -> Step<Error> {
        typed(&format!("{sql};"))?;
        match self.session.execute(sql) {
            Ok(_) => Err(unexpected(format!("{sql} succeeded"))),
            Err(error) if error.sqlstate() == expected => {
                output::print(&render::error(&error, None, false))?;
                Ok(error)
            }
            Err(error) => Err(failed(error)),
        }
    }

    pub(crate) fn size(&mut self) -> Step<(usize, i64)> {
        let query = |session: &mut Session, sql: &str| session.execute(sql).map_err(failed);
        let tables = query(
            &mut self.session,
            "SELECT name FROM sqlite_schema WHERE type = 'table'",
        )?
        .rows;
        let mut rows = 0;
        for name in tables.iter().flatten() {
            let count = format!("SELECT count(*) FROM \"{}\"", table::plain(name));
            if let Value::Integer(n) = first(&query(&mut self.session, &count)?)? {
                rows += n;
            }
        }
        Ok((tables.len(), rows))
    }
}

pub(crate) fn say(what: &str) -> Step {
    Ok(output::print(&format!("\n-- {what}\n"))?)
}

/// Shows a statement as it is typed at the prompt.
pub(crate) fn typed(sql: &str) -> Step {
    let shown = render::printable(sql).replace('\n', "\nperihelion-> ");
    Ok(output::print(&format!("perihelion=> {shown}\n"))?)
}

pub(crate) fn first(outcome: &Outcome) -> Step<&Value> {
    let value = outcome.rows.first().and_then(|row| row.first());
    value.ok_or_else(|| unexpected("there is no row"))
}

pub(crate) fn is_track(value: &Value) -> bool {
    let Value::Text(text) = value else {
        return false;
    };
    let track = serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    track["id"].is_i64() && track["name"].is_string() && track["artist"].is_string()
}

pub(crate) fn expect(holds: bool, what: &str) -> Step {
    if holds {
        Ok(())
    } else {
        Err(unexpected(format!("{what} was expected")))
    }
}

pub(crate) fn unexpected(message: impl Into<String>) -> Failure {
    Failure::Unexpected(message.into())
}

pub(crate) fn failed(error: Error) -> Failure {
    unexpected(format!(
        "a statement\n{}",
        render::error(&error, None, true).trim_end()
    ))
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}
