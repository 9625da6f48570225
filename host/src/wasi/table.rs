//! The one table of system calls: names in WASI preview 1, the functions of WASI 0.2
//! that ask for them, and the capability behind. The filter works from it, and so does
//! the table in `docs/reference.md`.

use super::Arguments;
use super::answers;
use super::filter::Pass;
use super::wait;
use crate::execution::Execution;
use crate::syscall::Syscall;
use wasmtime::component::Val;
use wasmtime::{Result, StoreContextMut};

/// System calls that stand for the same functions.
pub(super) struct Row {
    /// A policy must allow them all.
    pub(super) syscalls: &'static [Syscall],
    pub(super) functions: &'static [Function],
    pub(super) behind: Behind,
}

/// A function, and what it does once it has passed.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) answer: Answer,
}

/// What a system call reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Behind {
    /// Nothing that a capability guards.
    Nothing,
    /// The clock: `TIME_ACCESS`.
    Clock,
    /// Randomness: `RANDOM_ACCESS`, which is not built, so that nobody has it.
    Randomness,
}

pub(super) type Answer =
    fn(&mut StoreContextMut<'_, Execution>, &Arguments<'_>, &Pass) -> Result<Option<Val>>;

const fn function(name: &'static str, answer: Answer) -> Function {
    Function { name, answer }
}

/// Every system call that there is.
pub(super) static ROWS: [Row; 7] = [
    Row {
        syscalls: &[Syscall::ClockTimeGet],
        functions: &[
            function("wasi:clocks/wall-clock.now", answers::wall_clock),
            function("wasi:clocks/monotonic-clock.now", answers::monotonic_clock),
        ],
        behind: Behind::Clock,
    },
    Row {
        syscalls: &[Syscall::RandomGet],
        functions: &[
            function("wasi:random/random.get-random-bytes", answers::never),
            function("wasi:random/random.get-random-u64", answers::never),
            function(
                "wasi:random/insecure.get-insecure-random-bytes",
                answers::never,
            ),
            function(
                "wasi:random/insecure.get-insecure-random-u64",
                answers::never,
            ),
        ],
        behind: Behind::Randomness,
    },
    Row {
        syscalls: &[Syscall::ProcExit],
        functions: &[
            function("wasi:cli/exit.exit", answers::exit),
            function("wasi:cli/exit.exit-with-code", answers::exit),
        ],
        behind: Behind::Nothing,
    },
    Row {
        syscalls: &[Syscall::EnvironGet, Syscall::EnvironSizesGet],
        functions: &[
            function("wasi:cli/environment.get-environment", answers::empty_list),
            function("wasi:cli/environment.initial-cwd", answers::none),
        ],
        behind: Behind::Nothing,
    },
    Row {
        syscalls: &[Syscall::ArgsGet, Syscall::ArgsSizesGet],
        functions: &[function(
            "wasi:cli/environment.get-arguments",
            answers::empty_list,
        )],
        behind: Behind::Nothing,
    },
    Row {
        syscalls: &[Syscall::ClockResGet],
        functions: &[
            function(
                "wasi:clocks/wall-clock.resolution",
                answers::wall_resolution,
            ),
            function(
                "wasi:clocks/monotonic-clock.resolution",
                answers::monotonic_resolution,
            ),
        ],
        behind: Behind::Clock,
    },
    Row {
        syscalls: &[Syscall::PollOneoff],
        functions: &[
            function(
                "wasi:clocks/monotonic-clock.subscribe-instant",
                wait::subscribe_instant,
            ),
            function(
                "wasi:clocks/monotonic-clock.subscribe-duration",
                wait::subscribe_duration,
            ),
        ],
        behind: Behind::Clock,
    },
];

/// What never passes and has a name in preview 1. A guest of WASI 0.2 opens a file by
/// asking for the directories first, and without one it has nothing to open it in.
pub(super) static REFUSED: [(&str, &[&str]); 3] = [
    (
        "path_open",
        &[
            "wasi:filesystem/preopens.get-directories",
            "wasi:filesystem/types.[method]descriptor.open-at",
        ],
    ),
    (
        "fd_read",
        &[
            "wasi:io/streams.[method]input-stream.read",
            "wasi:io/streams.[method]input-stream.blocking-read",
            "wasi:io/streams.[method]input-stream.skip",
            "wasi:io/streams.[method]input-stream.blocking-skip",
            "wasi:io/streams.[method]input-stream.subscribe",
        ],
    ),
    (
        "fd_write",
        &[
            "wasi:io/streams.[method]output-stream.splice",
            "wasi:io/streams.[method]output-stream.blocking-splice",
        ],
    ),
];

/// The row of a system call.
pub(super) fn row(syscall: Syscall) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.syscalls.contains(&syscall))
}

/// The row that a function is in, with its place there.
pub(super) fn find(name: &str) -> Option<(&'static Row, &'static Function)> {
    ROWS.iter().find_map(|row| {
        let mut functions = row.functions.iter();
        let function = functions.find(|function| function.name == name)?;
        Some((row, function))
    })
}

/// What a function that never passes is called in the log.
pub(super) fn refused_name(function: &str) -> &str {
    REFUSED
        .iter()
        .find(|(_, functions)| functions.contains(&function))
        .map_or(function, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::SyscallSet;

    /// The table as `docs/reference.md` has it.
    fn markdown() -> String {
        let code = |names: &[&str]| {
            let names = names.iter().map(|name| format!("`{name}`"));
            names.collect::<Vec<_>>().join(", ")
        };
        let built = ROWS.iter().map(|row| {
            let names: Vec<&str> = row.syscalls.iter().map(|s| s.name()).collect();
            let functions: Vec<&str> = row.functions.iter().map(|f| f.name).collect();
            let by_default = row
                .syscalls
                .iter()
                .all(|s| SyscallSet::DEFAULT.contains(*s));
            (
                code(&names),
                code(&functions),
                match row.behind {
                    Behind::Nothing => "",
                    Behind::Clock => "`TIME_ACCESS`",
                    Behind::Randomness => "`RANDOM_ACCESS`, not built",
                },
                if by_default {
                    "by default"
                } else {
                    "by a policy"
                },
            )
        });
        let refused = REFUSED
            .iter()
            .map(|(name, functions)| (code(&[name]), code(functions), "", "never"));
        let rows = built
            .chain(refused)
            .map(|(names, functions, behind, passes)| {
                format!("| {names} | {functions} | {behind} | {passes} |\n")
            });
        rows.collect()
    }

    #[test]
    fn h20_the_table_of_the_reference_is_the_one_that_the_filter_works_from() {
        let reference = include_str!("../../../docs/reference.md");
        assert!(
            reference.contains(&markdown()),
            "it has to have:\n{}",
            markdown()
        );
    }

    #[test]
    fn h20_every_system_call_that_a_policy_can_allow_has_its_row() {
        for syscall in Syscall::ALL {
            assert!(row(syscall).is_some(), "{}", syscall.name());
        }
        let names = ROWS.iter().flat_map(|row| row.functions).map(|f| f.name);
        let all: Vec<&str> = names
            .chain(REFUSED.iter().flat_map(|r| r.1).copied())
            .collect();
        for (index, name) in all.iter().enumerate() {
            assert!(!all[..index].contains(name), "{name} is in two rows");
            assert!(answers::harmless(name).is_none(), "{name} is a system call");
        }
    }
}
