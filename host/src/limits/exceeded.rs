//! A limit that was reached, and the words for it.

use super::{Limit, Setting};
use crate::error::Error;
use crate::function::Function;
use crate::statement::name_in_sql;
use std::fmt;
use std::time::Duration;

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
    /// The error of the call that it ended: the limit, whose value it is, and how to
    /// raise it where that can be done.
    pub(crate) fn into_error(self, function: &Function) -> Error {
        let name = &function.name;
        let Some(setting) = Setting::for_limit(self.limit) else {
            let message = format!("function \"{name}\" was ended: {self}");
            return Error::new(self.limit.sqlstate(), message)
                .with_detail("the limit is the same for every function");
        };
        let (key, origin) = (setting.key, function.origin(setting));
        let reached = self.describe(Some(&format!("{origin}, {key}")));
        let message = format!("function \"{name}\" was ended: {reached}");
        let error = Error::new(self.limit.sqlstate(), message);
        match setting.next_above(function.limits.value(setting)) {
            Some(more) => error.with_hint(format!(
                "ALTER FUNCTION {} SET ({key} = {more});",
                name_in_sql(name)
            )),
            None => error.with_detail("no policy can have more"),
        }
    }
}

impl Exceeded {
    /// `cpu time limit of 5 s reached (5.001 s used; policy "DEFAULT", max_cpu_time_ms)`
    fn describe(&self, origin: Option<&str>) -> String {
        let Exceeded {
            limit,
            allowed,
            observed,
        } = *self;
        let verb = match limit {
            Limit::CpuTime | Limit::WallTime => "used",
            _ => "needed",
        };
        let observed = observed.map(|observed| format!("{} {verb}", quantity(limit, observed)));
        let more: Vec<&str> = observed.as_deref().into_iter().chain(origin).collect();
        let more = match more.is_empty() {
            true => String::new(),
            false => format!(" ({})", more.join("; ")),
        };
        let (name, allowed) = (limit.name(), quantity(limit, allowed));
        format!("{name} limit of {allowed} reached{more}")
    }
}

/// `cpu time limit of 5 s reached (5.001 s used)`
impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(None))
    }
}

impl std::error::Error for Exceeded {}

/// A quantity in its limit's unit, for people.
pub(crate) fn quantity(limit: Limit, amount: u64) -> String {
    match limit {
        Limit::Memory
        | Limit::Stack
        | Limit::ResultBytes
        | Limit::HostCall
        | Limit::HostBytes
        | Limit::DatabaseMemory => bytes(amount),
        Limit::Rows => format!("{} rows", grouped(amount)),
        Limit::AuditEntries => format!("{} entries", grouped(amount)),
        Limit::Handles => format!("{} handles", grouped(amount)),
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
