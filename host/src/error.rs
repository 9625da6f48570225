//! The one error type of the host, its SQLSTATEs, and the wording that several
//! places share.
//!
//! A message speaks to the caller: lower case, no full stop, values in quotes, no
//! host paths and no names that the caller did not already know. `cause` speaks to
//! the operator and is never sent to a client.

use std::fmt;

/// What every fallible operation of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refused or failed operation, with its SQLSTATE.
#[derive(Clone)]
pub struct Error(Box<Report>);

#[derive(Clone)]
struct Report {
    sqlstate: SqlState,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    context: Option<String>,
    cause: Option<String>,
}

/// A five-character error code, as PostgreSQL's Appendix A lists them.
///
/// Which one stands for what is a contract with clients.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(&'static str);

impl SqlState {
    /// A feature that is not built, or that cannot work here.
    pub const FEATURE_NOT_SUPPORTED: SqlState = SqlState("0A000");
    /// More than one row where there may be one.
    pub const CARDINALITY: SqlState = SqlState("21000");
    /// A number is outside its type's range.
    pub const OUT_OF_RANGE: SqlState = SqlState("22003");
    /// Text that is not UTF-8, or contains NUL.
    pub const BAD_TEXT: SqlState = SqlState("22021");
    /// A refused module, or a bad value.
    pub const INVALID_VALUE: SqlState = SqlState("22023");
    /// A value does not have the form that its type demands.
    pub const BAD_FORM: SqlState = SqlState("22P02");
    /// A constraint of the database does not hold.
    pub const CONSTRAINT: SqlState = SqlState("23000");
    /// NULL where the column forbids it.
    pub const NOT_NULL: SqlState = SqlState("23502");
    /// A row refers to one that does not exist.
    pub const FOREIGN_KEY: SqlState = SqlState("23503");
    /// A key exists already.
    pub const UNIQUE: SqlState = SqlState("23505");
    /// A CHECK constraint does not hold.
    pub const CHECK: SqlState = SqlState("23514");
    /// The rows that a cursor reads were rolled back.
    pub const INVALID_CURSOR: SqlState = SqlState("24000");
    /// The statement cannot run inside a transaction block.
    pub const IN_TRANSACTION: SqlState = SqlState("25001");
    /// The transaction block has failed, and nothing but its end is accepted.
    pub const FAILED_TRANSACTION: SqlState = SqlState("25P02");
    /// A guest threw, panicked or trapped.
    pub const GUEST_EXCEPTION: SqlState = SqlState("38000");
    /// A row changed under a transaction, or it waited too long for a lock.
    pub const SERIALIZATION: SqlState = SqlState("40001");
    /// A permission is missing.
    pub const DENIED: SqlState = SqlState("42501");
    /// A syntax error, a missing parameter, two statements in one text.
    pub const SYNTAX: SqlState = SqlState("42601");
    /// Something else depends on what was to be dropped.
    pub const DEPENDENT_OBJECTS: SqlState = SqlState("2BP01");
    /// A policy that does not exist.
    pub const UNDEFINED_OBJECT: SqlState = SqlState("42704");
    /// The policy already exists.
    pub const DUPLICATE_OBJECT: SqlState = SqlState("42710");
    /// The name is the host's own.
    pub const RESERVED_NAME: SqlState = SqlState("42939");
    /// The function already exists.
    pub const DUPLICATE_FUNCTION: SqlState = SqlState("42723");
    /// A function that does not exist.
    pub const UNDEFINED_FUNCTION: SqlState = SqlState("42883");
    /// A table that does not exist.
    pub const UNDEFINED_TABLE: SqlState = SqlState("42P01");
    /// A column that does not exist.
    pub const UNDEFINED_COLUMN: SqlState = SqlState("42703");
    /// Properties of a function, or of what would rely on it, that exclude each other.
    pub const INVALID_DEFINITION: SqlState = SqlState("42P17");
    /// The statement is for functions of another kind.
    pub const WRONG_OBJECT: SqlState = SqlState("42809");
    /// A type that does not exist, or a value of the wrong one.
    pub const WRONG_TYPE: SqlState = SqlState("42804");
    /// Memory, rows or bytes beyond a limit.
    pub const OUT_OF_MEMORY: SqlState = SqlState("53200");
    /// As many calls run as may at once, and none ended in time.
    pub const TOO_MANY: SqlState = SqlState("53300");
    /// Handles, connections or another quota.
    pub const QUOTA: SqlState = SqlState("53400");
    /// A statement or a module is larger than one may be, or takes too much to compile.
    pub const TOO_LARGE: SqlState = SqlState("54000");
    /// Stack or call depth beyond a limit.
    pub const TOO_DEEP: SqlState = SqlState("54001");
    /// A function or a caller is disabled.
    pub const DISABLED: SqlState = SqlState("55000");
    /// The data directory or a lock is held by another.
    pub const IN_USE: SqlState = SqlState("55006");
    /// A limit on time or instructions, or a cancel request.
    pub const CANCELED: SqlState = SqlState("57014");
    /// The audit log, the catalog or the database cannot be read or written, or a program
    /// that the host needs cannot be run.
    pub const IO: SqlState = SqlState("58030");
    /// The connection was lost while a transaction ended.
    pub const UNKNOWN_OUTCOME: SqlState = SqlState("08007");
    /// A bug in the host.
    pub const INTERNAL: SqlState = SqlState("XX000");
    /// A stored file is damaged.
    pub const CORRUPTED: SqlState = SqlState("XX001");

    /// A code that stands in a table of this crate.
    pub(crate) const fn of(code: &'static str) -> SqlState {
        SqlState(code)
    }

    /// The code's five characters.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl Error {
    /// An error without detail, hint or context.
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Error {
        Error(Box::new(Report {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            context: None,
            cause: None,
        }))
    }

    /// The error's code.
    pub fn sqlstate(&self) -> SqlState {
        self.0.sqlstate
    }

    /// One line that says what is wrong.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What one needs to know besides.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The cure, where possible as the statement to type.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Where it happened: a guest's stack and the lines around it.
    pub fn context(&self) -> Option<&str> {
        self.0.context.as_deref()
    }

    /// The operator's view of what lies behind it. Not for clients.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    pub(crate) fn with_sqlstate(mut self, sqlstate: SqlState) -> Error {
        self.0.sqlstate = sqlstate;
        self
    }

    /// Adds what one needs to know besides.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Error {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds what to do about it.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_context(mut self, context: impl Into<String>) -> Error {
        self.0.context = Some(context.into());
        self
    }

    pub(crate) fn with_cause(mut self, cause: impl fmt::Display) -> Error {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// A bug of ours: the caller learns that, the operator learns what.
    pub(crate) fn internal(cause: impl fmt::Display) -> Error {
        Error::new(
            SqlState::INTERNAL,
            "internal error; the operator's log has the cause",
        )
        .with_cause(cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            sqlstate,
            message,
            detail,
            hint,
            context,
            cause,
        } = &*self.0;
        write!(f, "[{}] {message}", sqlstate.0)?;
        for (name, text) in [
            ("detail", detail),
            ("hint", hint),
            ("context", context),
            ("cause", cause),
        ] {
            if let Some(text) = text {
                write!(f, "\n{name}: {text}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The nearest of `names` to a name that does not exist, if one is near enough to
/// be a slip of the keyboard.
pub(crate) fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let most = (wanted.chars().count() / 3).clamp(1, 3);
    names
        .map(|name| (edit_distance(wanted, name), name))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name)
}

/// The number of inserted, deleted and replaced characters between two words.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        let names = ["transfer", "top_track", "add"];
        assert_eq!(nearest("transfr", names.into_iter()), Some("transfer"));
        assert_eq!(nearest("ad", names.into_iter()), Some("add"));
        assert_eq!(nearest("withdraw", names.into_iter()), None);
    }
}
