//! Which tables and columns a pattern covers: from a request and the grants to a
//! [`Permit`].
//!
//! Pure: it knows no database. Only this file can make a `Permit`, and everything
//! that touches a table takes one. `pattern.rs` is what a grant names.

use super::pattern::columns;
use crate::capability::{Capability, Grant};
use crate::function::Authority;
use crate::guard::{Guard, Guards};

pub use super::pattern::TablePattern;
pub(crate) use super::pattern::{
    DEFAULT_SCHEMA, DEFAULT_SCHEMA_THERE, RowFilter, is_reserved, is_reserved_there,
};

/// The proof that a grant covers one use of one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permit(());

/// Decides a use of a table as a whole: a grant covers all of it, and no denial any part.
pub(crate) fn permit(
    capability: Capability,
    schema: &str,
    table: &str,
    authority: &Authority,
    guards: Guards,
) -> Option<Permit> {
    let permitted = has_all(
        of_table(capability, schema, table, guards),
        authority,
        guards,
    );
    (permitted || !guards.holds(Guard::TableGrants)).then_some(Permit(()))
}

/// The same on PostgreSQL, whose names compare otherwise.
pub(crate) fn permit_there(
    capability: Capability,
    schema: &str,
    table: &str,
    authority: &Authority,
    guards: Guards,
) -> Option<Permit> {
    let permitted = has_all(of_table_there(capability, schema, table), authority, guards);
    permitted.then_some(Permit(()))
}

fn has_all(
    part: impl for<'g> Fn(&'g Grant) -> Option<&'g TablePattern>,
    authority: &Authority,
    guards: Guards,
) -> bool {
    let whole = |grant: &Grant| part(grant).is_some_and(TablePattern::is_whole);
    authority.permits(whole, |denial| part(denial).is_some(), guards)
}

/// Decides a use of one column of a table on PostgreSQL.
pub(crate) fn permit_column_there(
    capability: Capability,
    schema: &str,
    table: &str,
    column: &str,
    authority: &Authority,
    guards: Guards,
) -> Option<Permit> {
    let part = of_table_there(capability, schema, table);
    let names = |pattern: &TablePattern| match &pattern.columns {
        Some(columns) => columns.iter().any(|name| name.0 == column),
        None => true,
    };
    let covers = |grant: &Grant| part(grant).is_some_and(|p| p.filter.is_none() && names(p));
    let permitted = authority.permits(covers, |denial| part(denial).is_some_and(names), guards);
    permitted.then_some(Permit(()))
}

/// Decides that PostgreSQL may be asked about columns of a table: some are granted, and
/// the function's role has these and no others.
pub(crate) fn permit_to_ask(
    capability: Capability,
    schema: &str,
    table: &str,
    authority: &Authority,
    guards: Guards,
) -> Option<Permit> {
    let part = of_table_there(capability, schema, table);
    let some = |grant: &Grant| part(grant).is_some_and(|pattern| pattern.filter.is_none());
    let all = |denial: &Grant| part(denial).is_some_and(|pattern| pattern.columns.is_none());
    authority.permits(some, all, guards).then_some(Permit(()))
}

fn of_table_there<'n>(
    capability: Capability,
    schema: &'n str,
    table: &'n str,
) -> impl for<'g> Fn(&'g Grant) -> Option<&'g TablePattern> + 'n {
    move |grant| {
        let pattern = grant.pattern().filter(|p| p.covers_there(schema, table));
        pattern.filter(|_| grant.capability() == capability)
    }
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
    let permitted =
        authority.permits(is_change, is_change, guards) || !guards.holds(Guard::SchemaGrant);
    (is_ours && permitted).then_some(Permit(()))
}

/// Decides a use of some columns of a table, one at least: a grant covers each, and no
/// denial does. Otherwise those that are missing.
pub(crate) fn permit_columns<'c>(
    capability: Capability,
    schema: &str,
    table: &str,
    columns: impl IntoIterator<Item = &'c str>,
    authority: &Authority,
    guards: Guards,
) -> std::result::Result<Permit, Vec<String>> {
    let part = of_table(capability, schema, table, guards);
    let mut missing = Vec::new();
    let mut is_used = false;
    for column in columns {
        is_used = true;
        let has_column = |pattern: &&TablePattern| pattern.has_column(column);
        let covers = |grant: &Grant| {
            let pattern = part(grant).filter(|pattern| pattern.filter.is_none());
            pattern.as_ref().is_some_and(has_column)
        };
        if !authority.permits(
            covers,
            |denial| part(denial).as_ref().is_some_and(has_column),
            guards,
        ) {
            missing.push(column.to_string());
        }
    }
    match is_used && missing.is_empty() {
        true => Ok(Permit(())),
        false => Err(missing),
    }
}

/// The conditions of the rows that may be read of a table, if only some may.
pub(crate) fn filters<'a>(
    schema: &str,
    table: &str,
    authority: &'a Authority,
    guards: Guards,
) -> Vec<&'a RowFilter> {
    const READ: Capability = Capability::DatabaseRead;
    let part = of_table(READ, schema, table, guards);
    let is_denied = |denial: &Grant| part(denial).is_some_and(|p| p.columns.is_none());
    if permit(READ, schema, table, authority, guards).is_some()
        || authority.denials.iter().any(is_denied)
    {
        return Vec::new();
    }
    let patterns = authority.granted().filter_map(&part);
    let mut filters: Vec<&RowFilter> = patterns.filter_map(|p| p.filter.as_ref()).collect();
    filters.sort();
    filters.dedup();
    filters
}

/// Decides a use of columns of the rows that any of a table's [`filters`] lets through.
/// Each column must be covered for all of these rows. Otherwise those that are missing.
pub(crate) fn permit_rows<'c>(
    schema: &str,
    table: &str,
    columns: impl IntoIterator<Item = &'c str>,
    authority: &Authority,
    guards: Guards,
) -> std::result::Result<Permit, Vec<String>> {
    let part = of_table(Capability::DatabaseRead, schema, table, guards);
    let filters = filters(schema, table, authority, guards);
    let is_covered = |column: &&str| {
        let is_denied = |denial: &Grant| part(denial).is_some_and(|p| p.has_column(column));
        let covers = |filter: Option<&RowFilter>| {
            let mut patterns = authority.granted().filter_map(&part);
            patterns.any(|p| p.filter.as_ref() == filter && p.has_column(column))
        };
        !authority.denials.iter().any(is_denied)
            && (covers(None) || filters.iter().all(|filter| covers(Some(filter))))
    };
    let missing = columns.into_iter().filter(|column| !is_covered(column));
    let missing: Vec<String> = missing.map(str::to_string).collect();
    match missing.is_empty() && !filters.is_empty() {
        true => Ok(Permit(())),
        false => Err(missing),
    }
}

/// Whether a guest may know of the table: some use of it may be permitted. No permit.
pub(crate) fn is_known(
    capability: Capability,
    schema: &str,
    table: &str,
    authority: &Authority,
    guards: Guards,
) -> bool {
    let part = of_table(capability, schema, table, guards);
    let whole = |grant: &Grant| part(grant).is_some_and(|pattern| pattern.columns.is_none());
    let named = authority.granted().filter_map(&part);
    let named = named.flat_map(|pattern| pattern.columns.iter().flatten());
    let mut named = named.map(|name| name.0.as_str());
    let is_denied = |name: &str| {
        let mut denials = authority.denials.iter().filter_map(&part);
        denials.any(|pattern| pattern.has_column(name))
    };
    authority.permits(whole, whole, guards) || named.any(|name| !is_denied(name))
}

/// Whether a denial covers the table or one of these columns: no grant would help.
pub(crate) fn is_denied(
    capability: Capability,
    schema: &str,
    table: &str,
    columns: &[String],
    authority: &Authority,
    guards: Guards,
) -> bool {
    let part = of_table(capability, schema, table, guards);
    let mut denials = authority.denials.iter().filter_map(part);
    denials.any(|pattern| {
        columns.is_empty() || columns.iter().any(|column| pattern.has_column(column))
    })
}

/// Whether the log's word for what was used, `main.users(id)`, is what a pattern is about:
/// for people. A table's name may look like one with columns.
pub(crate) fn covers_target(pattern: &TablePattern, target: &str) -> bool {
    let covers = |schema, table| pattern.covers(schema, table, Guards::default());
    let Some((schema, table)) = target.split_once('.') else {
        return false;
    };
    let (name, list) = table.split_once('(').unwrap_or((table, ""));
    match columns(list) {
        Ok(columns) => {
            let mut columns = columns.iter().map(|column| &column.0);
            covers(schema, name) && columns.any(|column| pattern.has_column(column))
        }
        Err(_) => covers(schema, table),
    }
}

/// The pattern of a grant that covers a table, or some of its columns.
fn of_table<'n>(
    capability: Capability,
    schema: &'n str,
    table: &'n str,
    guards: Guards,
) -> impl for<'g> Fn(&'g Grant) -> Option<&'g TablePattern> + 'n {
    move |grant| {
        let pattern = grant.pattern().filter(|p| p.covers(schema, table, guards));
        pattern.filter(|_| grant.capability() == capability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn d17_a_list_of_columns_covers_these_and_not_the_table() {
        let read = |pattern| Grant::new("DATABASE_READ", Some(pattern)).unwrap();
        let grants = vec![
            read("user*(id, name)"),
            read("users(\"E-Mail\")"),
            read("all"),
        ];
        let denials = vec![read("*(password, name)")];
        let authority = Authority::new(Policy::minimal(), grants, denials);
        let read = Capability::DatabaseRead;
        let columns = |table: &str, columns: &[&str]| {
            permit_columns(
                read,
                "main",
                table,
                columns.iter().copied(),
                &authority,
                Guards::default(),
            )
            .map(drop)
        };
        let missing = |names: &[&str]| Err(names.iter().map(|n| n.to_string()).collect());
        assert_eq!(columns("users", &["ID", "e-mail"]), Ok(()));
        assert_eq!(
            columns("users", &["id", "name", "x"]),
            missing(&["name", "x"])
        );
        assert_eq!(columns("user_2", &["e-mail"]), missing(&["e-mail"]));
        assert_eq!(columns("users", &[]), missing(&[]));
        assert_eq!(columns("all", &["id"]), Ok(()));
        assert_eq!(columns("all", &["PASSWORD"]), missing(&["PASSWORD"]));
        for table in ["users", "all"] {
            assert!(permit(read, "main", table, &authority, Guards::default()).is_none());
            assert!(is_known(read, "main", table, &authority, Guards::default()));
        }
        assert!(!is_known(
            read,
            "main",
            "other",
            &authority,
            Guards::default()
        ));
        let authority = Authority::new(
            Policy::minimal(),
            vec![Grant::new("DATABASE_READ", Some("users(name)")).unwrap()],
            vec![Grant::new("DATABASE_READ", Some("*(name)")).unwrap()],
        );
        assert!(!is_known(
            read,
            "main",
            "users",
            &authority,
            Guards::default()
        ));
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
