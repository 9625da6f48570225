//! The capabilities, and a grant: one capability with its argument.
//!
//! A capability is an interface of `wit/`; this is the only table of them. Whether
//! a grant covers a target is decided in the capability's own folder (`grant.rs`).

use crate::database::grant::TablePattern;
use crate::error::{Error, Result, SqlState, nearest};
use std::fmt;

/// A capability: one interface that a grant links.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Capability {
    /// Reading tables: `DATABASE_READ('pattern')`.
    DatabaseRead,
    /// Writing tables: `DATABASE_WRITE('pattern')`.
    DatabaseWrite,
    /// Changing the schema: `DATABASE_EXECUTE`.
    DatabaseExecute,
    /// The clock: `TIME_ACCESS`.
    TimeAccess,
}

/// Capabilities that the language has and this version does not: naming one is
/// refused with a message that says so.
const NOT_BUILT: &[&str] = &[
    "FILE_READ",
    "FILE_WRITE",
    "NETWORK_ACCESS",
    "HTTP_CLIENT",
    "ENV_ACCESS",
    "CRYPTO_ACCESS",
    "RANDOM_ACCESS",
    "STORAGE_ACCESS",
    "CALL_FUNCTION",
];

impl Capability {
    /// Every capability.
    pub const ALL: [Capability; 4] = [
        Capability::DatabaseRead,
        Capability::DatabaseWrite,
        Capability::DatabaseExecute,
        Capability::TimeAccess,
    ];

    /// The name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Capability::DatabaseRead => "DATABASE_READ",
            Capability::DatabaseWrite => "DATABASE_WRITE",
            Capability::DatabaseExecute => "DATABASE_EXECUTE",
            Capability::TimeAccess => "TIME_ACCESS",
        }
    }

    /// The interface in WIT, without its package.
    pub const fn interface(self) -> &'static str {
        match self {
            Capability::DatabaseRead => "database-read",
            Capability::DatabaseWrite => "database-write",
            Capability::DatabaseExecute => "database-ddl",
            Capability::TimeAccess => "time",
        }
    }

    /// Whether a grant of it needs an argument.
    pub const fn takes_pattern(self) -> bool {
        match self {
            Capability::DatabaseRead | Capability::DatabaseWrite => true,
            Capability::DatabaseExecute | Capability::TimeAccess => false,
        }
    }

    fn from_name(name: &str) -> Result<Capability> {
        let upper = name.to_ascii_uppercase();
        if let Some(found) = Capability::ALL.into_iter().find(|c| c.name() == upper) {
            return Ok(found);
        }
        if NOT_BUILT.contains(&upper.as_str()) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("capability {upper} is not built in this version"),
            ));
        }
        let names = Capability::ALL.map(Capability::name);
        let error = Error::new(SqlState::INVALID_VALUE, format!("no capability \"{name}\""))
            .with_detail(format!("the capabilities are {}", names.join(", ")));
        Err(
            match nearest(&upper, names.into_iter().chain(NOT_BUILT.iter().copied())) {
                Some(near) => error.with_hint(format!("did you mean {near}?")),
                None => error,
            },
        )
    }
}

/// A capability with its argument, as GRANT, REVOKE and DENY name it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Grant {
    /// Reading the tables that match.
    DatabaseRead(TablePattern),
    /// Writing the tables that match.
    DatabaseWrite(TablePattern),
    /// Changing the schema.
    DatabaseExecute,
    /// Reading the clock.
    TimeAccess,
}

impl Grant {
    /// Reads a capability and its argument, both as they stand in the statement.
    pub fn new(name: &str, pattern: Option<&str>) -> Result<Grant> {
        let capability = Capability::from_name(name)?;
        let upper = capability.name();
        match (capability.takes_pattern(), pattern) {
            (true, None) => Err(Error::new(
                SqlState::SYNTAX,
                format!("{upper} needs a table pattern"),
            )
            .with_hint(format!(
                "{upper}('users'), {upper}('user_*') or {upper}('*')"
            ))),
            (false, Some(_)) => Err(Error::new(
                SqlState::SYNTAX,
                format!("{upper} takes no argument"),
            )),
            (true, Some(pattern)) => {
                let pattern = TablePattern::parse(pattern)?;
                match capability {
                    Capability::DatabaseRead => Ok(Grant::DatabaseRead(pattern)),
                    _ if pattern.filter.is_some() => Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "writing some rows of a table only is not built in this version",
                    )
                    .with_hint(format!(
                        "a condition stands in DATABASE_READ; {upper} covers every row"
                    ))),
                    _ => Ok(Grant::DatabaseWrite(pattern)),
                }
            }
            (false, None) => Ok(match capability {
                Capability::DatabaseExecute => Grant::DatabaseExecute,
                _ => Grant::TimeAccess,
            }),
        }
    }

    /// Reads what `Display` writes.
    pub(crate) fn parse(text: &str) -> Result<Grant> {
        match text.split_once('(') {
            Some((name, rest)) => {
                let argument = rest.strip_suffix(')').unwrap_or(rest);
                // One string, unless a condition follows.
                let string = argument
                    .strip_prefix('\'')
                    .and_then(|a| a.strip_suffix('\''));
                let pattern = string.filter(|string| !string.replace("''", "").contains('\''));
                match pattern {
                    Some(pattern) => Grant::new(name, Some(&pattern.replace("''", "'"))),
                    None => Grant::new(name, Some(argument)),
                }
            }
            None => Grant::new(text, None),
        }
    }

    /// The capability that it grants.
    pub fn capability(&self) -> Capability {
        match self {
            Grant::DatabaseRead(_) => Capability::DatabaseRead,
            Grant::DatabaseWrite(_) => Capability::DatabaseWrite,
            Grant::DatabaseExecute => Capability::DatabaseExecute,
            Grant::TimeAccess => Capability::TimeAccess,
        }
    }

    /// Whether it covers whatever there is.
    pub(crate) fn covers_all(&self) -> bool {
        self.pattern().is_some_and(TablePattern::covers_all)
    }

    /// The argument, if the capability takes one.
    pub fn pattern(&self) -> Option<&TablePattern> {
        match self {
            Grant::DatabaseRead(pattern) | Grant::DatabaseWrite(pattern) => Some(pattern),
            Grant::DatabaseExecute | Grant::TimeAccess => None,
        }
    }
}

/// Writes it as SQL does: `DATABASE_READ('users')`.
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.capability().name())?;
        match self.pattern() {
            Some(pattern) => write!(f, "({})", pattern.as_argument()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_read_as_it_is_written() {
        for text in [
            "TIME_ACCESS",
            "DATABASE_READ('*')",
            "DATABASE_WRITE('main.users(\"a)\", id, \"it''s\")')",
            "DATABASE_READ('orders' WHERE tenant = current_caller())",
            "DATABASE_READ('orders(id)' WHERE (a = 'x''y') OR b IN (1, 2))",
            "DATABASE_READ('orders' WHERE a = 'b')",
        ] {
            let grant = Grant::parse(text).unwrap();
            assert_eq!(grant.to_string(), text);
            // As the catalog stores it.
            let pattern = grant.pattern().map(ToString::to_string);
            let name = grant.capability().name();
            assert_eq!(Grant::new(name, pattern.as_deref()).unwrap(), grant);
        }
    }
}
