//! What this process holds, as the kernel says.

use std::time::Duration;

/// A look at the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) memory_mib: u64,
    pub(super) descriptors: usize,
    pub(super) threads: u64,
}

/// What the process holds now.
pub(super) fn held() -> Held {
    Held {
        memory_mib: status("VmRSS:") >> 10,
        descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        threads: status("Threads:"),
    }
}

/// Begins to measure the most memory anew.
pub(super) fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// The most memory since then, in MiB.
pub(super) fn peak_mib() -> u64 {
    status("VmHWM:") >> 10
}

/// The CPU time of this thread.
pub(super) fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.unwrap().parse().unwrap()
}
