//! What the host calls of one execution have carried together.

use crate::guard::{Guard, Guards};
use crate::limits::{Exceeded, Limit, Limits};

/// Texts and values in both directions, and the rows of queries.
#[derive(Clone, Copy, Default)]
pub(crate) struct Carried {
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    guards: Guards,
}

impl Carried {
    pub(crate) fn new(guards: Guards) -> Carried {
        Carried {
            guards,
            ..Carried::default()
        }
    }

    /// Counts bytes, unless they are too many.
    pub(crate) fn add_bytes(&mut self, bytes: usize, limits: &Limits) -> Result<(), Exceeded> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        match self.guards.holds(Guard::HostBytes) {
            true => at_most(Limit::HostBytes, self.bytes, limits.host_bytes),
            false => Ok(()),
        }
    }

    /// Counts a row, unless it is one too many.
    fn add_row(&mut self, limits: &Limits) -> Result<(), Exceeded> {
        self.rows = self.rows.saturating_add(1);
        match self.guards.holds(Guard::Rows) {
            true => at_most(Limit::Rows, self.rows, limits.rows),
            false => Ok(()),
        }
    }

    /// What counts rows as they are read, each with its bytes.
    pub(crate) fn taker(&mut self, limits: &Limits) -> impl FnMut(usize) -> Result<(), Exceeded> {
        |bytes| {
            self.add_row(limits)?;
            self.add_bytes(bytes, limits)
        }
    }
}

fn at_most(limit: Limit, observed: u64, allowed: u64) -> Result<(), Exceeded> {
    match observed <= allowed {
        true => Ok(()),
        false => Err(Exceeded {
            limit,
            allowed,
            observed: Some(observed),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_allowed_and_one_more_is_not() {
        let limits = Limits {
            host_bytes: 10,
            rows: 2,
            ..Limits::DEFAULT
        };
        let mut carried = Carried::default();
        for bytes in [4, 0, 6] {
            carried.add_bytes(bytes, &limits).unwrap();
        }
        let exceeded = carried.add_bytes(1, &limits).unwrap_err();
        assert_eq!(exceeded.limit, Limit::HostBytes);
        assert_eq!((exceeded.allowed, exceeded.observed), (10, Some(11)));
        for _ in 0..2 {
            carried.add_row(&limits).unwrap();
        }
        assert_eq!(carried.add_row(&limits).unwrap_err().observed, Some(3));
        assert!(carried.add_bytes(usize::MAX, &limits).is_err());
        assert!(carried.add_bytes(usize::MAX, &limits).is_err());
    }
}
