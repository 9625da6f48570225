//! Which tables a pattern covers: from a request and the grants to a [`Permit`].
//!
//! Pure: it knows no database. Only this file can make a `Permit`, and everything
//! that touches a table takes one.

use crate::capability::{Capability, Grant};
use crate::error::{Error, Result, SqlState};
use crate::function::Authority;
use crate::guard::{Guard, Guards};
use std::fmt;

/// The schema that a name without one means.
pub(crate) const DEFAULT_SCHEMA: &str = "main";

/// The argument of `DATABASE_READ` and `DATABASE_WRITE`.
///
/// `*` alone covers every user table of every schema. In any other pattern `*`
/// stands for any run of characters but `.`, and a pattern without a schema means
/// the default one. Case does not matter, as it does not in SQLite.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TablePattern(String);

/// The proof that a grant covers one use of one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permit(());

impl TablePattern {
    /// The longest pattern, in bytes.
    const BYTES_MAX: usize = 256;

    /// Reads a pattern. An empty one, one with an empty part or more than one `.`, and
    /// one with a character that no pattern uses are refused.
    pub fn parse(text: &str) -> Result<TablePattern> {
        let refuse = |why: &str| {
            Err(Error::new(SqlState::INVALID_VALUE, format!("bad table pattern \"{text}\": {why}"))
                .with_hint("a pattern is a table ('users'), a glob ('user_*'), a schema with either ('main.users'), or '*'"))
        };
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > TablePattern::BYTES_MAX {
            return refuse("it is longer than 256 bytes");
        }
        if text
            .chars()
            .any(|c| c.is_control() || "(),;'\"`[]".contains(c))
        {
            return refuse("it contains a character that no pattern uses");
        }
        if text != text.trim() {
            return refuse("it begins or ends with white space");
        }
        let parts: Vec<&str> = text.split('.').collect();
        if parts.len() > 2 || parts.iter().any(|part| part.is_empty()) {
            return refuse("it has an empty part or too many");
        }
        Ok(TablePattern(text.to_ascii_lowercase()))
    }

    fn covers(&self, schema: &str, table: &str, guards: Guards) -> bool {
        if is_reserved(schema, table) && guards.holds(Guard::ReservedNames) {
            return false;
        }
        if self.0 == "*" {
            return true;
        }
        let (schema_pattern, table_pattern) =
            self.0.split_once('.').unwrap_or((DEFAULT_SCHEMA, &self.0));
        glob(schema_pattern, schema) && glob(table_pattern, table)
    }
}

impl fmt::Display for TablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Decides one use of one table: a grant covers it and no denial does.
pub(crate) fn permit(
    capability: Capability,
    schema: &str,
    table: &str,
    authority: &Authority,
    guards: Guards,
) -> Option<Permit> {
    let covers = |grant: &Grant| {
        grant.capability() == capability
            && grant
                .pattern()
                .is_some_and(|pattern| pattern.covers(schema, table, guards))
    };
    let permitted = authority.permits(covers, guards) || !guards.holds(Guard::TableGrants);
    permitted.then_some(Permit(()))
}

/// Decides one change of the schema: it is granted, and of a table that is the data's.
pub(crate) fn permit_change(
    schema: &str,
    table: &str,
    authority: &Authority,
    guards: Guards,
) -> Option<Permit> {
    let is_change = |grant: &Grant| grant.capability() == Capability::DatabaseExecute;
    let is_ours = schema == DEFAULT_SCHEMA && !is_reserved(schema, table);
    let permitted = authority.permits(is_change, guards) || !guards.holds(Guard::SchemaGrant);
    (is_ours && permitted).then_some(Permit(()))
}

/// Names that no pattern matches: the host's own and the database's own tables.
pub(crate) fn is_reserved(schema: &str, table: &str) -> bool {
    let begins = |prefix: &str| {
        table
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    ["heliosdb", "pg_catalog", "information_schema"]
        .iter()
        .any(|reserved| schema.eq_ignore_ascii_case(reserved))
        || begins("sqlite_")
        || begins("pragma_")
}

/// Whether a lower-case pattern, in which `*` is any run of characters but `.`,
/// matches a name of any case.
fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            last_star = Some((p, n));
            p += 1;
        } else if pattern.get(p) == Some(&name[n].to_ascii_lowercase()) {
            p += 1;
            n += 1;
        } else if let Some((star, taken)) = last_star.filter(|(_, taken)| name[*taken] != b'.') {
            last_star = Some((star, taken + 1));
            p = star + 1;
            n = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn covers(pattern: &str, schema: &str, table: &str) -> bool {
        let guards = Guards::default();
        let pattern = TablePattern::parse(pattern).unwrap();
        pattern.covers(schema, table, guards)
    }

    #[test]
    fn h31_star_is_every_user_table_and_no_reserved_one() {
        assert!(covers("*", "main", "users"));
        assert!(covers("*", "other", "users"));
        assert!(!covers("*", "heliosdb", "audit_log"));
        assert!(!covers("*", "main", "sqlite_schema"));
        assert!(!covers("*", "main", "SQLITE_master"));
        assert!(!covers("*", "main", "pragma_table_info"));
        assert!(!covers("*", "pg_catalog", "pg_proc"));
    }

    #[test]
    fn h32_a_name_is_exact_but_for_case() {
        assert!(covers("users", "main", "users"));
        assert!(covers("users", "main", "USERS"));
        assert!(covers("Users", "main", "users"));
        assert!(covers("main.users", "main", "users"));
        assert!(!covers("users", "main", "users2"));
        assert!(!covers("users", "main", "user"));
        assert!(!covers("users", "public", "users"));
        assert!(!covers("public.users", "main", "users"));
    }

    #[test]
    fn h33_a_star_stands_for_any_run_but_crosses_no_dot() {
        for yes in ["user_a", "user_", "user_a_b", "USER_x"] {
            assert!(covers("user_*", "main", yes), "{yes}");
        }
        for no in ["users", "xuser_a", "user"] {
            assert!(!covers("user_*", "main", no), "{no}");
        }
        assert!(!covers("user_*", "main", "user_a.b"));
        assert!(!covers("user_*", "other", "user_a"));
        assert!(covers("*.users", "other", "users"));
        assert!(covers("a*b*c", "main", "aXbYbZc"));
        assert!(!covers("a*b*c", "main", "aXbYbZ"));
    }

    #[test]
    fn h34_a_user_table_named_audit_log_is_not_the_hosts() {
        assert!(covers("audit_log", "main", "audit_log"));
        assert!(!covers("audit_log", "heliosdb", "audit_log"));
        assert!(!covers("heliosdb.audit_log", "heliosdb", "audit_log"));
        assert!(!covers("*.audit_log", "heliosdb", "audit_log"));
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a.b.c",
            " a",
            "a;b",
            "users(id)",
            "a\0b",
            "'",
        ] {
            assert_eq!(
                TablePattern::parse(bad).unwrap_err().sqlstate(),
                SqlState::INVALID_VALUE,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_denial_wins_over_every_grant() {
        let grants = vec![Grant::new("DATABASE_READ", Some("*")).unwrap()];
        let denials = vec![Grant::new("DATABASE_READ", Some("secrets")).unwrap()];
        let authority = Authority::new(Policy::minimal(), grants, denials);
        let permit =
            |capability, table| permit(capability, "main", table, &authority, Guards::default());
        let read = |table| permit(Capability::DatabaseRead, table);
        assert!(read("users").is_some());
        assert!(read("secrets").is_none());
        let write = permit(Capability::DatabaseWrite, "users");
        assert!(write.is_none());
    }

    #[test]
    fn d1_a_policys_capability_is_as_good_as_a_grant_and_a_denial_wins_over_it() {
        let policy = Policy::built_in_named("permissive").unwrap();
        let denials = vec![Grant::new("DATABASE_READ", Some("secrets")).unwrap()];
        let authority = Authority::new(policy, Vec::new(), denials);
        let permit =
            |capability, table| permit(capability, "main", table, &authority, Guards::default());
        let read = |table| permit(Capability::DatabaseRead, table);
        assert!(read("users").is_some());
        assert!(read("secrets").is_none());
    }
}
