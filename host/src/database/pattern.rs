//! What a grant of tables names, as it is parsed: tables, columns, and which rows.
//!
//! Not for who may do what: `grant.rs` decides that.

use crate::error::{Error, Result, SqlState};
use crate::guard::{Guard, Guards};
use crate::statement::name_in_sql;
use crate::statement::tokens::{Kind, Token, Tokens};
use std::fmt;

/// The schema that a name without one means.
pub(crate) const DEFAULT_SCHEMA: &str = "main";

/// The same on PostgreSQL.
pub(crate) const DEFAULT_SCHEMA_THERE: &str = "public";

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
            let list: Vec<_> = columns.iter().map(|name| name_in_sql(name)).collect();
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

    /// Whether it covers every table that there is and will be, of a schema at least.
    pub(crate) fn covers_all(&self) -> bool {
        let table = self.tables.rsplit('.').next().unwrap_or_default();
        let is_glob_of_all = table.bytes().all(|byte| byte == b'*');
        is_glob_of_all && self.is_whole()
    }

    /// Whether it covers a table, or some columns of it.
    pub(super) fn covers(&self, schema: &str, table: &str, guards: Guards) -> bool {
        if is_reserved(schema, table) && guards.holds(Guard::ReservedNames) {
            return false;
        }
        self.tables == "*" || self.names(DEFAULT_SCHEMA, schema, table)
    }

    /// The same on PostgreSQL: a name without a schema is one of `public`, and it covers
    /// names in lower case only, for `"Users"` is another table than `users` there.
    pub(super) fn covers_there(&self, schema: &str, table: &str) -> bool {
        if is_reserved_there(schema, table) {
            return false;
        }
        let is_upper = |name: &str| name.contains(|c: char| c.is_ascii_uppercase());
        let is_nameable = !is_upper(schema) && !is_upper(table);
        self.tables == "*" || (is_nameable && self.names(DEFAULT_SCHEMA_THERE, schema, table))
    }

    fn names(&self, default_schema: &str, schema: &str, table: &str) -> bool {
        let parts = self.tables.split_once('.');
        let (schema_pattern, table_pattern) = parts.unwrap_or((default_schema, &self.tables));
        glob(schema_pattern, schema) && glob(table_pattern, table)
    }

    /// Whether it is about all columns and rows of what it covers.
    pub(super) fn is_whole(&self) -> bool {
        self.columns.is_none() && self.filter.is_none()
    }

    /// Whether it covers a column of a table that it covers.
    pub(super) fn has_column(&self, column: &str) -> bool {
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
            let columns: Vec<_> = columns.iter().map(|name| name_in_sql(&name.0)).collect();
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

/// The same on PostgreSQL, whose own schemas are `pg_catalog`, `pg_toast`, `pg_temp_3`.
pub(crate) fn is_reserved_there(schema: &str, table: &str) -> bool {
    is_reserved(schema, table) || schema.starts_with("pg_")
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
pub(super) fn columns(list: &str) -> std::result::Result<Vec<ColumnName>, &'static str> {
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

    fn covers(pattern: &str, schema: &str, table: &str) -> bool {
        TablePattern::parse(pattern)
            .unwrap()
            .covers(schema, table, Guards::default())
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
    fn d21_names_compare_as_the_database_compares_them() {
        let covers = |pattern: &str, schema: &str, table: &str| {
            let pattern = TablePattern::parse(pattern).unwrap();
            pattern.covers_there(schema, table)
        };
        assert!(covers("users", "public", "users"));
        assert!(covers("public.users", "public", "users"));
        assert!(covers("sales.u*", "sales", "users"));
        assert!(covers("*", "sales", "Users"));
        assert!(!covers("users", "main", "users"));
        assert!(!covers("users", "public", "Users"));
        assert!(!covers("u*", "public", "uSers"));
        for schema in ["pg_catalog", "pg_toast", "pg_temp_3", "information_schema"] {
            assert!(!covers("*", schema, "users"));
            assert!(!covers("*.users", schema, "users"));
        }
    }
}
