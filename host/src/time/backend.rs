//! The real clock.

use super::grant::Permit;
use std::time::UNIX_EPOCH;

/// Microseconds since 1970-01-01T00:00:00Z; before it, 0.
pub(super) fn now_microseconds(_permit: Permit) -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the door of TIME_ACCESS")]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
