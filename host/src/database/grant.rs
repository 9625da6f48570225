//! Which tables and columns a pattern covers: from a request and the grants to a
//! [`Permit`].
//!
//! Pure: it knows no database. Only this file can make a `Permit`, and everything
//! that touches a table takes one.

use crate::capability::{Capability, Grant};
use crate::error::{Error, Result, SqlState};
use crate::function::Authority;
use crate::guard::{Guard, Guards};
use crate::statement::tokens::{Kind, Token, Tokens};
use std::fmt;

/// The schema that a name without one means.
pub(crate) const DEFAULT_SCHEMA: &str = "main";

/// The argument of `DATABASE_READ` and `DATABASE_WRITE`: tables, and if not all of their
/// columns, which: `users(id, "first name")`.
///
/// `*` alone covers every user table of every schema. In any other pattern `*`
/// stands for any run of characters but `.`, and a pattern without a schema means
/// the default one. Case does not matter, as it does not in SQLite.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TablePattern {
    /// A name or a glob, with or without a schema, in lower case.
    pub(crate) tables: String,
    /// Sorted, each once. `None` is every column that there is and will be.
    pub(crate) columns: Option<Vec<ColumnName>>,
    /// The rows that it covers. `None` is every row.
    pub(crate) filter: Option<RowFilter>,
}

/// The condition of a grant of some rows: an expression over the columns of one row, with
/// `current_caller()` for whoever called the function.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct RowFilter(String);

/// A column as a grant names it: in lower case, unless it was quoted.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct ColumnName(pub(crate) String);

/// The proof that a grant covers one use of one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permit(());

/// The form of a pattern, for hints.
const FORM: &str = "a pattern is a table ('users'), a glob ('user_*'), a schema with either \
     ('main.users'), or '*'; columns may follow: 'users(id, \"first name\")'";

impl TablePattern {
    /// The longest pattern of tables, in bytes.
    const BYTES_MAX: usize = 256;

    /// The longest list of columns, in bytes.
    const COLUMNS_BYTES_MAX: usize = 16 << 10;

    /// Reads a pattern, or what `Display` writes of one with a condition. An empty one, one
    /// with an empty part or more than one `.`, and one with a character that no pattern
    /// uses are refused.
    pub fn parse(text: &str) -> Result<TablePattern> {
        if let Some((pattern, filter)) = split_filter(text) {
            let pattern = TablePattern::parse(&pattern)?;
            let filter = Some(RowFilter::parse(filter)?);
            return Ok(TablePattern { filter, ..pattern });
        }
        let refuse = |why: &str| {
            let message = format!("bad table pattern \"{}\": {why}", shown(text));
            Error::new(SqlState::INVALID_VALUE, message).with_hint(FORM)
        };
        let (tables, list) = match text.split_once('(') {
            Some((tables, list)) => (tables.trim_ascii_end(), Some(list)),
            None => (text, None),
        };
        if let Some(flaw) = tables_flaw(tables) {
            return Err(refuse(flaw));
        }
        let columns = list.map(|list| columns(list).map_err(refuse));
        Ok(TablePattern {
            tables: tables.to_ascii_lowercase(),
            columns: columns.transpose()?,
            filter: None,
        })
    }

    /// Of one table, by its name as it is. `None` if no pattern can spell it.
    pub(crate) fn of_table(schema: &str, table: &str, columns: &[String]) -> Option<TablePattern> {
        let tables = match schema {
            DEFAULT_SCHEMA => table.to_string(),
            schema => format!("{schema}.{table}"),
        };
        let mut pattern = TablePattern::parse(&tables).ok()?;
        // A star or a dot in the name would be read as one of the pattern's.
        let is_exact = pattern.columns.is_none() && !table.contains(['*', '.']);
        if !columns.is_empty() {
            let list: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
            let with_columns = format!("{tables}({})", list.join(", "));
            pattern = TablePattern::parse(&with_columns).ok()?;
        }
        is_exact.then_some(pattern)
    }

    /// The same tables and columns, of some rows.
    pub(crate) fn with_filter(self, filter: &RowFilter) -> TablePattern {
        let filter = Some(filter.clone());
        TablePattern { filter, ..self }
    }

    /// What stands between the parentheses of a grant.
    pub(crate) fn as_argument(&self) -> String {
        match self.filter {
            Some(_) => self.to_string(),
            None => format!("'{}'", self.to_string().replace('\'', "''")),
        }
    }

    /// Whether it covers a table, or some columns of it.
    fn covers(&self, schema: &str, table: &str, guards: Guards) -> bool {
        if is_reserved(schema, table) && guards.holds(Guard::ReservedNames) {
            return false;
        }
        if self.tables == "*" {
            return true;
        }
        let (schema_pattern, table_pattern) = self
            .tables
            .split_once('.')
            .unwrap_or((DEFAULT_SCHEMA, &self.tables));
        glob(schema_pattern, schema) && glob(table_pattern, table)
    }

    /// Whether it covers a column of a table that it covers.
    fn has_column(&self, column: &str) -> bool {
        let mut columns = self.columns.iter().flatten();
        self.columns.is_none() || columns.any(|name| name.0.eq_ignore_ascii_case(column))
    }
}

/// Writes what stands between the quotes: `users(id, name)`. With a condition, what stands
/// between the parentheses: `'orders' WHERE tenant = current_caller()`.
impl fmt::Display for TablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pattern = self.tables.clone();
        if let Some(columns) = &self.columns {
            let columns: Vec<String> = columns.iter().map(|name| quoted(&name.0)).collect();
            pattern = format!("{pattern}({})", columns.join(", "));
        }
        match &self.filter {
            Some(filter) => write!(f, "'{}' WHERE {}", pattern.replace('\'', "''"), filter.0),
            None => f.write_str(&pattern),
        }
    }
}

impl RowFilter {
    /// The longest condition, in bytes.
    const BYTES_MAX: usize = 4 << 10;

    /// Reads a condition. It is one expression, whatever stands around it, and reads
    /// nothing but its row: no parameters, no sub-queries. White space and comments
    /// become spaces.
    pub(crate) fn parse(text: &str) -> Result<RowFilter> {
        let refuse = |why: &str| {
            let message = format!("bad condition \"{}\": {why}", shown(text));
            Error::new(SqlState::INVALID_VALUE, message)
                .with_hint("DATABASE_READ('orders' WHERE tenant = current_caller())")
        };
        if text.len() > RowFilter::BYTES_MAX {
            return Err(refuse("it is longer than 4 KiB"));
        }
        let tokens: Vec<Token<'_>> = Tokens::new(text).collect::<Result<_>>()?;
        if tokens.is_empty() {
            return Err(refuse("it is empty"));
        }
        if !is_balanced(&tokens) {
            return Err(refuse("its parentheses do not match"));
        }
        if let Some(flaw) = tokens
            .iter()
            .find_map(filter_flaw)
            .or_else(|| table_flaw(&tokens))
        {
            return Err(refuse(flaw));
        }
        let mut filter = String::with_capacity(text.len());
        let mut end = tokens[0].start;
        for token in tokens {
            if token.start > end {
                filter.push(' ');
            }
            filter.push_str(token.text);
            end = token.end();
        }
        Ok(RowFilter(filter))
    }

    /// The expression, as SQL.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The words before a parenthesis in lower case: functions, and keywords such as IN.
    pub(crate) fn calls(&self) -> Vec<String> {
        let tokens: Vec<Token<'_>> = Tokens::new(&self.0).map_while(Result::ok).collect();
        let calls = tokens.windows(2).filter(|pair| {
            pair[1].is_symbol("(") && matches!(pair[0].kind, Kind::Word | Kind::QuotedName)
        });
        calls
            .map(|pair| pair[0].unquoted().to_ascii_lowercase())
            .collect()
    }
}

/// Decides a use of a table as a whole: a grant covers all of it, and no denial any part.
pub(crate) fn permit(
    capability: Capability,
    schema: &str,
    table: &str,
    authority: &Authority,
    guards: Guards,
) -> Option<Permit> {
    let part = of_table(capability, schema, table, guards);
    let whole = |grant: &Grant| {
        part(grant).is_some_and(|pattern| pattern.columns.is_none() && pattern.filter.is_none())
    };
    let permitted = authority.permits(whole, |denial| part(denial).is_some(), guards);
    (permitted || !guards.holds(Guard::TableGrants)).then_some(Permit(()))
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

/// A column as it stands in a list: in quotes, unless it is a plain word in lower case.
pub(crate) fn quoted(column: &str) -> String {
    let is_plain = column
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !column.starts_with(|c: char| c.is_ascii_digit())
        && !column.is_empty();
    match is_plain {
        true => column.to_string(),
        false => format!("\"{}\"", column.replace('"', "\"\"")),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(TablePattern::BYTES_MAX).collect()
}

/// The pattern and the condition of `'orders' WHERE tenant = current_caller()`.
fn split_filter(text: &str) -> Option<(String, &str)> {
    let mut tokens = Tokens::new(text).map_while(Result::ok);
    let pattern = tokens.next().filter(|token| token.kind == Kind::String)?;
    let word = tokens.next().filter(|token| token.is_word("WHERE"))?;
    Some((pattern.unquoted(), &text[word.end()..]))
}

fn is_balanced(tokens: &[Token<'_>]) -> bool {
    let mut depth = 0_usize;
    for token in tokens {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            }
        }
    }
    depth == 0
}

fn filter_flaw(token: &Token<'_>) -> Option<&'static str> {
    let is_parameter = || token.text.starts_with(['?', ':', '@', '#', '$']);
    match token.kind {
        Kind::Semicolon => Some("it is more than an expression"),
        Kind::DollarString => Some("it has a dollar-quoted string"),
        Kind::Value if is_parameter() => Some("it has a parameter"),
        Kind::Word
            if ["SELECT", "VALUES", "TABLE"]
                .iter()
                .any(|w| token.is_word(w)) =>
        {
            Some("it has a sub-query: it may read nothing but its row")
        }
        _ => None,
    }
}

/// `x IN t` reads the table `t`.
fn table_flaw(tokens: &[Token<'_>]) -> Option<&'static str> {
    let mut pairs = tokens.windows(2);
    let reads = pairs.any(|pair| pair[0].is_word("IN") && !pair[1].is_symbol("("));
    reads.then_some("it has a sub-query: it may read nothing but its row")
}

fn tables_flaw(tables: &str) -> Option<&'static str> {
    let is_unused = |c: char| c.is_control() || "(),;'\"`[]".contains(c);
    let mut parts = tables.split('.');
    if tables.is_empty() {
        Some("it is empty")
    } else if tables.len() > TablePattern::BYTES_MAX {
        Some("it is longer than 256 bytes")
    } else if tables.contains(is_unused) {
        Some("it contains a character that no pattern uses")
    } else if tables != tables.trim() {
        Some("it begins or ends with white space")
    } else if parts.clone().count() > 2 || parts.any(str::is_empty) {
        Some("it has an empty part or too many")
    } else {
        None
    }
}

/// The columns of a list, from behind its opening parenthesis on.
fn columns(list: &str) -> std::result::Result<Vec<ColumnName>, &'static str> {
    if list.len() > TablePattern::COLUMNS_BYTES_MAX {
        return Err("its list of columns is longer than 16 KiB");
    }
    let mut tokens = Tokens::new(list).map_while(Result::ok);
    let mut columns = Vec::new();
    loop {
        columns.push(column(tokens.next())?);
        match tokens.next() {
            Some(token) if token.is_symbol(",") => {}
            // Nothing follows, not even white space or what no lexer can read.
            Some(token) if token.is_symbol(")") && token.end() == list.len() => break,
            _ => return Err("its list of columns does not end in )"),
        }
    }
    columns.sort();
    columns.dedup();
    Ok(columns)
}

fn column(token: Option<Token<'_>>) -> std::result::Result<ColumnName, &'static str> {
    let name = match token {
        Some(token) if token.kind == Kind::Word => token.text.to_ascii_lowercase(),
        Some(token) if token.kind == Kind::QuotedName => token.unquoted(),
        Some(token) if token.is_symbol("*") => {
            return Err("columns are named one by one, and all of them by no list");
        }
        _ => return Err("a column is missing, or needs double quotes"),
    };
    match name.is_empty() || name.contains(char::is_control) {
        true => Err("the name of a column is empty, or has a control character"),
        false => Ok(ColumnName(name)),
    }
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
            "users()",
            "users(id",
            "users(id) ",
            "users(id)x",
            "users(id,)",
            "users(,id)",
            "users(id name)",
            "users(*)",
            "users('id')",
            "users(1)",
            "users(\"\")",
            "users(\"a\0b\")",
            "users($$id$$)",
            "users(id)(id)",
            "users(id).x",
            "(id)",
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
    fn columns_are_a_set_and_fold_unless_they_are_quoted() {
        for (text, shown) in [
            ("users(id)", "users(id)"),
            ("Users (Name,ID , id)", "users(id, name)"),
            ("users(\"id\")", "users(id)"),
            (
                "users(\"First Name\", \"a\"\"b\", [x)])",
                "users(\"First Name\", \"a\"\"b\", \"x)\")",
            ),
            ("*(id)", "*(id)"),
            ("main.user_*(\"order\")", "main.user_*(order)"),
        ] {
            let pattern = TablePattern::parse(text).unwrap();
            assert_eq!(pattern.to_string(), shown);
            assert_eq!(TablePattern::parse(shown).unwrap(), pattern);
        }
    }

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
