//! The one table of limits: what bounds a call, with each one's name, value and
//! unit. Enforcement, errors and documentation read it from here.

use crate::error::{Error, SqlState};
use std::fmt;
use std::time::Duration;

/// A bound that ends the call when it is reached, and that no guest can catch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Limit {
    /// All memories and tables of a call together, in bytes.
    Memory,
    /// CPU time of the call's thread, guest and host work.
    CpuTime,
    /// Time on the clock, waiting included.
    WallTime,
    /// WebAssembly instructions, as wasmtime's fuel counts them.
    Instructions,
    /// The guest's stack, in bytes.
    Stack,
    /// The result of one query, in bytes.
    ResultBytes,
}

/// What one execution may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    /// All memories and tables of the call together.
    pub(crate) memory_bytes: u64,
    /// CPU time of the call's thread, guest and host work.
    pub(crate) cpu_time: Duration,
    /// Time on the clock.
    pub(crate) wall_time: Duration,
    /// WebAssembly instructions.
    pub(crate) instructions: u64,
}

/// The limits of every function in this version (requirements D1, policy MINIMAL).
pub(crate) const DEFAULT: Limits = Limits {
    memory_bytes: 16 << 20,
    cpu_time: Duration::from_secs(5),
    wall_time: Duration::from_secs(10),
    instructions: 10_000_000_000,
};

/// What compiling one JavaScript source may use.
pub(crate) const COMPILATION: Limits = Limits {
    memory_bytes: 64 << 20,
    cpu_time: Duration::from_secs(5),
    wall_time: Duration::from_secs(10),
    instructions: 10_000_000_000,
};

/// The stack of a guest.
pub(crate) const STACK_BYTES: u64 = 2 << 20;

/// The largest linear memory that the pool has room for.
pub(crate) const MEMORY_BYTES_MAX: u64 = 128 << 20;

/// The longest SQL text of one guest request.
pub(crate) const SQL_BYTES_MAX: usize = 1 << 20;

/// The largest result of one guest query, as the host holds it.
pub(crate) const RESULT_BYTES_MAX: usize = 16 << 20;

/// What the host copies out of a guest for one host call, or the result of a call.
pub(crate) const HOST_CALL_BYTES_MAX: usize = 32 << 20;

/// The component-model handles that one call may hold.
pub(crate) const HANDLES_MAX: usize = 1_000;

/// The messages of one execution that are kept.
pub(crate) const LOG_MESSAGES_MAX: u64 = 100;

/// The longest message of a guest that is kept.
pub(crate) const LOG_MESSAGE_BYTES_MAX: usize = 8 << 10;

/// The largest JavaScript source.
pub(crate) const SOURCE_BYTES_MAX: usize = 4 << 20;

/// The largest component, as uploaded.
pub(crate) const COMPONENT_BYTES_MAX: usize = 32 << 20;

impl Limit {
    /// The name in errors and in the audit log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Limit::Memory => "memory",
            Limit::CpuTime => "cpu time",
            Limit::WallTime => "wall time",
            Limit::Instructions => "instruction",
            Limit::Stack => "stack",
            Limit::ResultBytes => "query result",
        }
    }

    fn sqlstate(self) -> SqlState {
        match self {
            Limit::Memory | Limit::ResultBytes => SqlState::OUT_OF_MEMORY,
            Limit::CpuTime | Limit::WallTime | Limit::Instructions => SqlState::CANCELED,
            Limit::Stack => SqlState::TOO_DEEP,
        }
    }
}

/// A limit that was reached: it ends the call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exceeded {
    pub(crate) limit: Limit,
    /// The limit's value, in its unit (bytes, nanoseconds, instructions).
    pub(crate) allowed: u64,
    /// What was used or asked for, if that is known.
    pub(crate) observed: Option<u64>,
}

impl Exceeded {
    /// The error of the call that it ended.
    pub(crate) fn into_error(self, function: &str) -> Error {
        Error::new(
            self.limit.sqlstate(),
            format!("function \"{function}\" was ended: {self}"),
        )
        .with_detail(format!("the limit is \"{}\"", self.limit.name()))
    }
}

/// `cpu time limit of 5 s reached (5.001 s used)`
impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exceeded {
            limit,
            allowed,
            observed,
        } = *self;
        write!(
            f,
            "{} limit of {} reached",
            limit.name(),
            quantity(limit, allowed)
        )?;
        let verb = match limit {
            Limit::CpuTime | Limit::WallTime => "used",
            _ => "needed",
        };
        match observed {
            Some(observed) => write!(f, " ({} {verb})", quantity(limit, observed)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Exceeded {}

/// A quantity in its limit's unit, for people.
fn quantity(limit: Limit, amount: u64) -> String {
    match limit {
        Limit::Memory | Limit::Stack | Limit::ResultBytes => bytes(amount),
        Limit::CpuTime | Limit::WallTime => {
            let seconds = Duration::from_nanos(amount).as_secs_f64();
            let text = format!("{seconds:.3}");
            format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
        }
        Limit::Instructions => format!("{} instructions", grouped(amount)),
    }
}

/// `16 MiB`, or the exact number where it is no whole number of KiB or MiB.
fn bytes(amount: u64) -> String {
    const MIB: u64 = 1 << 20;
    const KIB: u64 = 1 << 10;
    match amount {
        0 => "0 bytes".to_string(),
        n if n % MIB == 0 => format!("{} MiB", n / MIB),
        n if n % KIB == 0 => format!("{} KiB", n / KIB),
        n => format!("{} bytes", grouped(n)),
    }
}

/// `10,000,000,000`.
fn grouped(amount: u64) -> String {
    let digits = amount.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_names_itself_and_its_value() {
        let text = |limit, allowed| {
            Exceeded {
                limit,
                allowed,
                observed: None,
            }
            .to_string()
        };
        assert_eq!(
            text(Limit::CpuTime, 5_000_000_000),
            "cpu time limit of 5 s reached"
        );
        assert_eq!(
            text(Limit::WallTime, 1_500_000_000),
            "wall time limit of 1.5 s reached"
        );
        assert_eq!(
            text(Limit::Memory, 16 << 20),
            "memory limit of 16 MiB reached"
        );
        assert_eq!(
            text(Limit::Instructions, 10_000_000_000),
            "instruction limit of 10,000,000,000 instructions reached"
        );
    }
}
