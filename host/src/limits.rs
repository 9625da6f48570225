//! The one table of limits: what bounds a call, with each one's name, value and
//! unit. Enforcement, errors and documentation read it from here.

mod exceeded;
mod uploads;

pub(crate) use exceeded::{Exceeded, quantity};
pub(crate) use uploads::*;

use crate::admission::places_of_one_vault;
use crate::engine::{CALLS_MAX, HOST_STACK_BYTES};
use crate::error::SqlState;
use crate::function::Kind;
use crate::violations::{DENIALS_MAX, VIOLATIONS_MAX};
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
    /// What SQLite holds for the call, in memory and in temporary files, in bytes.
    DatabaseMemory,
    /// What one host call, or the call's result, carries out of the guest, in bytes as
    /// the host holds it.
    HostCall,
    /// The handles of the component model, in handles.
    Handles,
    /// What all host calls of an execution carry, in both directions, in bytes.
    HostBytes,
    /// The rows of all queries of an execution.
    Rows,
    /// The entries of an execution in the audit log, but for those of its end.
    AuditEntries,
}

/// What one execution may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    pub(crate) memory_bytes: u64,
    pub(crate) cpu_time_ms: u64,
    pub(crate) wall_time_ms: u64,
    pub(crate) instructions: u64,
    pub(crate) stack_bytes: u64,
    pub(crate) host_bytes: u64,
    pub(crate) rows: u64,
    pub(crate) audit_entries: u64,
}

/// A limit that policies and functions choose.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) limit: Limit,
    /// Its key in SQL; the unit comes last.
    pub(crate) key: &'static str,
    least: u64,
}

/// Every setting. An execution of less memory than a page, or without time, is none.
pub(crate) const SETTINGS: [Setting; 8] = [
    Setting {
        limit: Limit::Memory,
        key: "max_memory_bytes",
        least: 64 << 10,
    },
    Setting {
        limit: Limit::CpuTime,
        key: "max_cpu_time_ms",
        least: 1,
    },
    Setting {
        limit: Limit::WallTime,
        key: "max_wall_time_ms",
        least: 1,
    },
    Setting {
        limit: Limit::Instructions,
        key: "max_instructions",
        least: 1,
    },
    Setting {
        limit: Limit::Stack,
        key: "max_stack_bytes",
        least: STACK_CLASSES_BYTES[0],
    },
    Setting {
        limit: Limit::HostBytes,
        key: "max_host_bytes",
        least: 1,
    },
    Setting {
        limit: Limit::Rows,
        key: "max_rows",
        least: 1,
    },
    Setting {
        limit: Limit::AuditEntries,
        key: "max_audit_entries",
        least: 1,
    },
];

/// The stacks that there are: each needs an engine of its own.
pub(crate) const STACK_CLASSES_BYTES: [u64; 3] = [2 << 20, 4 << 20, 8 << 20];

impl Limits {
    /// Of the policies MINIMAL and DEFAULT (requirements H12 to H16, D1).
    pub(crate) const DEFAULT: Limits = Limits {
        memory_bytes: 16 << 20,
        cpu_time_ms: 5_000,
        wall_time_ms: 10_000,
        instructions: 10_000_000_000,
        stack_bytes: STACK_CLASSES_BYTES[0],
        host_bytes: 512 << 20,
        rows: 1_000_000,
        audit_entries: 100_000,
    };

    /// The maxima of every policy, and the limits of PERMISSIVE.
    pub(crate) const MOST: Limits = Limits {
        memory_bytes: 128 << 20,
        cpu_time_ms: 60_000,
        wall_time_ms: 120_000,
        instructions: 100_000_000_000,
        stack_bytes: STACK_CLASSES_BYTES[2],
        host_bytes: 8 << 30,
        rows: 100_000_000,
        audit_entries: 1_000_000,
    };

    /// Of every condition: it answers from its argument alone, thousands of times a
    /// second, so what needs more than this is no condition. The instructions end a
    /// loop long before the clocks do, which depend on the machine: these are for work
    /// that instructions do not measure.
    pub(crate) const CONDITION: Limits = Limits {
        memory_bytes: 16 << 20,
        cpu_time_ms: 250,
        wall_time_ms: 1_000,
        instructions: 100_000_000,
        stack_bytes: STACK_CLASSES_BYTES[0],
        // It calls nothing of the host's, and has one entry.
        host_bytes: 1,
        rows: 1,
        audit_entries: 1,
    };

    /// What compiling one JavaScript source may use.
    pub(crate) const COMPILATION: Limits = Limits {
        memory_bytes: 64 << 20,
        ..Limits::DEFAULT
    };

    pub(crate) fn cpu_time(&self) -> Duration {
        Duration::from_millis(self.cpu_time_ms)
    }

    pub(crate) fn wall_time(&self) -> Duration {
        Duration::from_millis(self.wall_time_ms)
    }

    /// The value of a setting, in the setting's unit.
    pub(crate) fn value(&self, setting: &Setting) -> u64 {
        let mut limits = *self;
        *limits.field(setting)
    }

    /// Gives a setting another value.
    pub(crate) fn set(&mut self, setting: &Setting, value: u64) {
        *self.field(setting) = value;
    }

    fn field(&mut self, setting: &Setting) -> &mut u64 {
        match setting.limit {
            Limit::CpuTime => &mut self.cpu_time_ms,
            Limit::WallTime => &mut self.wall_time_ms,
            Limit::Instructions => &mut self.instructions,
            Limit::Stack => &mut self.stack_bytes,
            Limit::HostBytes => &mut self.host_bytes,
            Limit::Rows => &mut self.rows,
            Limit::AuditEntries => &mut self.audit_entries,
            _ => &mut self.memory_bytes,
        }
    }
}

impl Setting {
    /// The setting of this key.
    pub(crate) fn of(key: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// The setting that chooses a limit, if one does.
    pub(crate) fn for_limit(limit: Limit) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.limit == limit)
    }

    /// Whether this may be its value.
    pub(crate) fn accepts(&self, value: u64) -> bool {
        match self.limit {
            Limit::Stack => STACK_CLASSES_BYTES.contains(&value),
            _ => (self.least..=Limits::MOST.value(self)).contains(&value),
        }
    }

    /// Twice the value, as far as that may be had; none if it is the most there is.
    fn next_above(&self, value: u64) -> Option<u64> {
        let most = Limits::MOST.value(self);
        (value < most).then(|| value.saturating_mul(2).min(most))
    }

    /// Whether a condition can come to it: one has no use for the host, nor for the log.
    pub(crate) fn bounds_conditions(&self) -> bool {
        !matches!(
            self.limit,
            Limit::HostBytes | Limit::Rows | Limit::AuditEntries
        )
    }

    /// The unit of its key.
    pub(crate) fn unit(&self) -> &'static str {
        match self.limit {
            Limit::CpuTime | Limit::WallTime => "ms",
            Limit::Instructions => "instructions",
            Limit::Rows => "rows",
            Limit::AuditEntries => "entries",
            _ => "bytes",
        }
    }

    /// What may be its value, for people.
    pub(crate) fn range(&self) -> String {
        match self.limit {
            Limit::Stack => {
                let [first, second, third] = STACK_CLASSES_BYTES;
                format!("{first}, {second} or {third}")
            }
            _ => {
                let most = Limits::MOST.value(self);
                format!("a whole number from {} to {most}", self.least)
            }
        }
    }
}

/// The largest linear memory that the pool has room for.
pub(crate) const MEMORY_BYTES_MAX: u64 = Limits::MOST.memory_bytes;

/// The longest SQL text of one guest request.
pub(crate) const SQL_BYTES_MAX: usize = 1 << 20;

/// The states of all aggregates of a statement.
pub(crate) const STATE_BYTES_MAX: usize = 16 << 20;

/// The columns of a table that a function returns, its parameters with them.
pub(crate) const TABLE_COLUMNS_MAX: usize = 1_000;

/// The largest result of one guest query, and what is held of the rows of tables that a
/// function returns, as the host holds it.
pub(crate) const RESULT_BYTES_MAX: usize = 16 << 20;

/// What SQLite holds for one execution, in memory and in temporary files.
pub(crate) const DATABASE_BYTES_MAX: i64 = 64 << 20;

/// What the host copies out of a guest for one host call, or the result of a call.
pub(crate) const HOST_CALL_BYTES_MAX: usize = 32 << 20;

/// The memory that all calls of a runtime may hold together, unless it is given another:
/// enough for all places with functions of the default policy.
pub(crate) const MEMORY_BUDGET_BYTES: u64 = 12 << 30;

/// The largest such memory.
pub(crate) const MEMORY_BUDGET_BYTES_MAX: u64 = 1 << 46;

/// What the host holds of a component's composite result while it makes text of it: its
/// values, which are bounded as those of a host call are, the names of their members,
/// which are not counted, and the text.
const COMPOSITE_RESULT_BYTES: u64 = 128 << 20;

/// What the host holds of an execution besides: its entries before they are appended,
/// its messages, its store.
const RECORD_BYTES: u64 = 4 << 20;

/// What a context takes as text and as a document.
const CONDITION_BYTES: u64 = 16 << 20;

/// What one call may hold at most, the host on its behalf included: its memories and
/// stack, what SQLite holds, and the larger of what it may have sent and be about to
/// get, and its result.
pub(crate) fn call_bytes(limits: &Limits, kind: Kind, gives_composite: bool) -> u64 {
    let guest = limits.memory_bytes + limits.stack_bytes + HOST_STACK_BYTES as u64 + RECORD_BYTES;
    if kind == Kind::Condition {
        return guest + CONDITION_BYTES;
    }
    let exchanged = HOST_CALL_BYTES_MAX as u64 + RESULT_BYTES_MAX as u64;
    let result = match gives_composite {
        true => COMPOSITE_RESULT_BYTES,
        false => HOST_CALL_BYTES_MAX as u64,
    };
    guest + DATABASE_BYTES_MAX as u64 + exchanged.max(result)
}

/// The component-model handles that one call may hold.
pub(crate) const HANDLES_MAX: usize = 1_000;

/// The prepared statements that one call may have open.
pub(crate) const OPEN_STATEMENTS_MAX: usize = 100;

/// The cursors that one call may have open.
pub(crate) const OPEN_CURSORS_MAX: usize = 100;

/// The transactions of one call that lie in each other.
pub(crate) const OPEN_TRANSACTIONS_MAX: usize = 32;

/// The messages of one execution that are kept.
pub(crate) const LOG_MESSAGES_MAX: u64 = 100;

/// The longest message of a guest that is kept.
pub(crate) const LOG_MESSAGE_BYTES_MAX: usize = 8 << 10;

/// The largest context of a condition, and what the host copies out of one.
pub(crate) const CONTEXT_BYTES_MAX: usize = 256 << 10;

/// The largest JavaScript source.
pub(crate) const SOURCE_BYTES_MAX: usize = 4 << 20;

/// The largest component, as uploaded.
pub(crate) const COMPONENT_BYTES_MAX: usize = 32 << 20;

/// A limit that is the same for every function, for `heliosdb.limits`.
pub(crate) struct Fixed {
    pub(crate) name: &'static str,
    pub(crate) value: u64,
    pub(crate) unit: &'static str,
    /// What happens to what is beyond.
    pub(crate) effect: &'static str,
}

/// Every limit that no policy chooses.
pub(crate) const FIXED: [Fixed; 17] = [
    Fixed {
        name: "query result",
        value: RESULT_BYTES_MAX as u64,
        unit: "bytes",
        effect: "the call ends, 53200",
    },
    Fixed {
        name: "database memory",
        value: DATABASE_BYTES_MAX as u64,
        unit: "bytes",
        effect: "the call ends, 53200",
    },
    Fixed {
        name: "calls at once",
        value: CALLS_MAX as u64,
        unit: "calls",
        effect: "a call waits as long as it may run, 53300",
    },
    Fixed {
        name: "calls of one vault at once",
        value: places_of_one_vault(CALLS_MAX) as u64,
        unit: "calls",
        effect: "a call waits as long as it may run, 53300",
    },
    Fixed {
        name: "host call",
        value: HOST_CALL_BYTES_MAX as u64,
        unit: "bytes",
        effect: "the call ends, 53200",
    },
    Fixed {
        name: "component handles",
        value: HANDLES_MAX as u64,
        unit: "handles",
        effect: "the call ends, 53400",
    },
    Fixed {
        name: "sql_bytes",
        value: SQL_BYTES_MAX as u64,
        unit: "bytes",
        effect: "the request is refused",
    },
    Fixed {
        name: "open_statements",
        value: OPEN_STATEMENTS_MAX as u64,
        unit: "statements",
        effect: "the request is refused",
    },
    Fixed {
        name: "open_cursors",
        value: OPEN_CURSORS_MAX as u64,
        unit: "cursors",
        effect: "the request is refused",
    },
    Fixed {
        name: "open_transactions",
        value: OPEN_TRANSACTIONS_MAX as u64,
        unit: "transactions",
        effect: "the request is refused",
    },
    Fixed {
        name: "log messages",
        value: LOG_MESSAGES_MAX,
        unit: "messages",
        effect: "the rest is dropped",
    },
    Fixed {
        name: "log message",
        value: LOG_MESSAGE_BYTES_MAX as u64,
        unit: "bytes",
        effect: "the rest is cut off",
    },
    Fixed {
        name: "condition context",
        value: CONTEXT_BYTES_MAX as u64,
        unit: "bytes",
        effect: "the condition denies",
    },
    Fixed {
        name: "source",
        value: SOURCE_BYTES_MAX as u64,
        unit: "bytes",
        effect: "CREATE FUNCTION is refused, 54000",
    },
    Fixed {
        name: "component",
        value: COMPONENT_BYTES_MAX as u64,
        unit: "bytes",
        effect: "CREATE FUNCTION is refused, 54000",
    },
    Fixed {
        name: "refused system calls",
        value: VIOLATIONS_MAX,
        unit: "calls",
        effect: "the function is disabled, 55000",
    },
    Fixed {
        name: "denials of one caller within 10 minutes",
        value: DENIALS_MAX as u64,
        unit: "denials",
        effect: "the function is refused to that caller for 10 minutes, 55000",
    },
];

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
            Limit::DatabaseMemory => "database memory",
            Limit::HostCall => "host call",
            Limit::Handles => "component handle",
            Limit::HostBytes => "host bytes",
            Limit::Rows => "row",
            Limit::AuditEntries => "audit entry",
        }
    }

    pub(crate) fn sqlstate(self) -> SqlState {
        match self {
            Limit::Memory
            | Limit::ResultBytes
            | Limit::HostCall
            | Limit::DatabaseMemory
            | Limit::HostBytes
            | Limit::Rows => SqlState::OUT_OF_MEMORY,
            Limit::Handles | Limit::AuditEntries => SqlState::QUOTA,
            Limit::CpuTime | Limit::WallTime | Limit::Instructions => SqlState::CANCELED,
            Limit::Stack => SqlState::TOO_DEEP,
        }
    }
}
