//! The system calls that a policy can allow, by their names in WASI preview 1.
//!
//! Not for what stands behind them (`wasi/`). Allowing one is the first lock; the
//! capability behind it is the second.

use crate::error::{Error, Result, SqlState, nearest};

/// A system call that this version has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Syscall {
    ClockTimeGet,
    RandomGet,
    ProcExit,
    EnvironGet,
    EnvironSizesGet,
    ArgsGet,
    ArgsSizesGet,
    ClockResGet,
    PollOneoff,
}

/// Those of preview 1 that no policy can allow in this version. From
/// <https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md>.
const NOT_BUILT: [&str; 36] = [
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "proc_raise",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

impl Syscall {
    /// Every one that this version has. The first five pass by default (requirement H20).
    pub(crate) const ALL: [Syscall; 9] = [
        Syscall::ClockTimeGet,
        Syscall::RandomGet,
        Syscall::ProcExit,
        Syscall::EnvironGet,
        Syscall::EnvironSizesGet,
        Syscall::ArgsGet,
        Syscall::ArgsSizesGet,
        Syscall::ClockResGet,
        Syscall::PollOneoff,
    ];

    /// The name in preview 1, and in a policy.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Syscall::ClockTimeGet => "clock_time_get",
            Syscall::RandomGet => "random_get",
            Syscall::ProcExit => "proc_exit",
            Syscall::EnvironGet => "environ_get",
            Syscall::EnvironSizesGet => "environ_sizes_get",
            Syscall::ArgsGet => "args_get",
            Syscall::ArgsSizesGet => "args_sizes_get",
            Syscall::ClockResGet => "clock_res_get",
            Syscall::PollOneoff => "poll_oneoff",
        }
    }

    /// The system call of this name, which a policy wants to allow.
    pub(crate) fn parse(name: &str) -> Result<Syscall> {
        let found = Syscall::ALL.into_iter().find(|s| s.name() == name);
        found.ok_or_else(|| not_available(name))
    }
}

fn not_available(name: &str) -> Error {
    let names: Vec<&str> = Syscall::ALL.iter().map(|s| s.name()).collect();
    let detail = format!("a policy can allow {}", names.join(", "));
    if NOT_BUILT.contains(&name) {
        let message = format!("system call {name} is not built in this version");
        return Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).with_detail(detail);
    }
    let message = format!("no system call \"{name}\"");
    let error = Error::new(SqlState::INVALID_VALUE, message).with_detail(detail);
    match nearest(name, names.into_iter().chain(NOT_BUILT)) {
        Some(near) => error.with_hint(format!("did you mean '{near}'?")),
        None => error,
    }
}

/// Some of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SyscallSet(u32);

impl SyscallSet {
    pub(crate) const NONE: SyscallSet = SyscallSet(0);

    /// The five that pass unless a policy says otherwise.
    pub(crate) const DEFAULT: SyscallSet = SyscallSet(0b1_1111);

    pub(crate) fn contains(self, syscall: Syscall) -> bool {
        self.0 & 1 << syscall as u32 != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Syscall> {
        Syscall::ALL.into_iter().filter(move |s| self.contains(*s))
    }
}

impl FromIterator<Syscall> for SyscallSet {
    fn from_iter<I: IntoIterator<Item = Syscall>>(syscalls: I) -> SyscallSet {
        let bits = syscalls.into_iter().map(|syscall| 1 << syscall as u32);
        SyscallSet(bits.fold(0, |set, bit| set | bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h20_five_pass_by_default() {
        let names: Vec<&str> = SyscallSet::DEFAULT.iter().map(Syscall::name).collect();
        let five = [
            "clock_time_get",
            "random_get",
            "proc_exit",
            "environ_get",
            "environ_sizes_get",
        ];
        assert_eq!(names, five);
    }

    #[test]
    fn d1_a_system_call_that_is_not_built_is_refused() {
        let refused = |name| Syscall::parse(name).unwrap_err().sqlstate();
        assert_eq!(refused("path_open"), SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(refused("fork"), SqlState::INVALID_VALUE);
        assert_eq!(refused("Clock_Time_Get"), SqlState::INVALID_VALUE);
    }
}
