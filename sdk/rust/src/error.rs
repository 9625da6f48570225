//! Making errors and wording them; what they hold is in `types.rs`.

use std::fmt;

use crate::types::{Denial, Error, Failure};

/// What a procedure returns, and every function of this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The SQLSTATE of a failure that a procedure reports without naming one.
const EXTERNAL_ROUTINE_EXCEPTION: &str = "38000";

impl Error {
    /// A failure with a SQLSTATE of the procedure's choice, five characters.
    ///
    /// ```
    /// let error = heliosdb::Error::failed("23514", "the balance may not be negative");
    /// assert_eq!(error.to_string(), "the balance may not be negative");
    /// ```
    pub fn failed(sqlstate: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed(Failure {
            sqlstate: sqlstate.into(),
            message: message.into(),
        })
    }
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self::failed(EXTERNAL_ROUTINE_EXCEPTION, message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Self::from(message.to_owned())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denials) => {
                f.write_str("permission denied: ")?;
                write_list(f, denials)
            }
            Self::Limit(excess) => write!(
                f,
                "limit \"{}\" is {}, the request has {}",
                excess.name, excess.allowed, excess.requested
            ),
            Self::Invalid(message) => f.write_str(message),
            Self::Failed(failure) => f.write_str(&failure.message),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.target.is_empty() {
            f.write_str(&self.capability)
        } else {
            write!(f, "{}('{}')", self.capability, self.target)
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, denials: &[Denial]) -> fmt::Result {
    for (index, denial) in denials.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{denial}")?;
    }
    Ok(())
}

/// Leaves the procedure with a failure; takes what [`format!`] takes.
///
/// ```
/// fn divide(a: i64, b: i64) -> heliosdb::Result<i64> {
///     if b == 0 {
///         heliosdb::bail!("{a} can't be divided by zero");
///     }
///     Ok(a / b)
/// }
/// assert!(divide(1, 0).is_err());
/// ```
#[macro_export]
macro_rules! bail {
    ($($message:tt)+) => {
        return ::core::result::Result::Err($crate::Error::from(::std::format!($($message)+)))
    };
}

/// Leaves the procedure with a failure unless a condition holds.
///
/// ```
/// fn checked(name: &str) -> heliosdb::Result<()> {
///     heliosdb::ensure!(!name.is_empty(), "a name may not be empty");
///     Ok(())
/// }
/// assert!(checked("").is_err());
/// ```
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            $crate::bail!($($message)+);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Excess;

    fn denial(capability: &str, target: &str) -> Denial {
        Denial {
            capability: capability.into(),
            target: target.into(),
        }
    }

    #[test]
    fn each_error_says_what_was_missing() {
        let excess = Excess {
            name: "sql_bytes".into(),
            allowed: 10,
            requested: 11,
        };
        let denials = vec![
            denial("DATABASE_READ", "main.users"),
            denial("TIME_ACCESS", ""),
        ];
        for (error, expected) in [
            (
                Error::Denied(denials),
                "permission denied: DATABASE_READ('main.users'), TIME_ACCESS",
            ),
            (
                Error::Limit(excess),
                "limit \"sql_bytes\" is 10, the request has 11",
            ),
            (Error::Invalid("two statements".into()), "two statements"),
            (Error::failed("23505", "already there"), "already there"),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_text_becomes_a_failure() {
        assert_eq!(Error::from("no"), Error::failed("38000", "no"));
    }
}
