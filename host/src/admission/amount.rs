//! Places and bytes together. No lock and no queue: who waits is not known here.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A number of places and of bytes, in one word, so that both are taken or neither: the
/// places above the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Amount(u64);

/// An amount that changes.
pub(super) struct Room(AtomicU64);

impl Amount {
    pub(super) const NONE: Amount = Amount(0);

    /// So many that none is ever missing, and some more can be given back.
    pub(super) const PLACES_MANY: u32 = 1 << 15;

    const BYTES_BITS: u32 = 48;

    pub(super) fn new(places: u32, bytes: u64) -> Amount {
        let most = (1 << Amount::BYTES_BITS) - 1;
        Amount(u64::from(places) << Amount::BYTES_BITS | bytes.min(most))
    }

    pub(super) fn places(self) -> u32 {
        (self.0 >> Amount::BYTES_BITS) as u32
    }

    pub(super) fn bytes(self) -> u64 {
        self.0 & ((1 << Amount::BYTES_BITS) - 1)
    }

    pub(super) fn and(self, more: Amount) -> Amount {
        Amount::new(self.places() + more.places(), self.bytes() + more.bytes())
    }

    pub(super) fn covers(self, part: Amount) -> bool {
        self.places() >= part.places() && self.bytes() >= part.bytes()
    }

    /// The larger of the two parts that it is of the whole.
    pub(super) fn part_of(self, all: Amount) -> f64 {
        let places = f64::from(self.places()) / f64::from(all.places());
        places.max(self.bytes() as f64 / all.bytes() as f64)
    }
}

impl Room {
    pub(super) fn of(amount: Amount) -> Room {
        Room(AtomicU64::new(amount.0))
    }

    pub(super) fn now(&self) -> Amount {
        Amount(self.0.load(SeqCst))
    }

    /// Takes so much, if there is as much.
    pub(super) fn take(&self, part: Amount) -> bool {
        let less = |free| Amount(free).covers(part).then(|| free - part.0);
        self.0.fetch_update(SeqCst, SeqCst, less).is_ok()
    }

    pub(super) fn give(&self, part: Amount) {
        self.0.fetch_add(part.0, SeqCst);
    }

    /// Removes what is known to be in it.
    pub(super) fn remove(&self, part: Amount) {
        self.0.fetch_sub(part.0, SeqCst);
    }

    /// Adds so much if that fits: given the sum, and what there was. Otherwise what there
    /// is.
    pub(super) fn add_if(
        &self,
        part: Amount,
        fits: impl Fn(Amount, Amount) -> bool,
    ) -> Result<(), Amount> {
        let add = |before: u64| {
            let sum = Amount(before).and(part);
            fits(sum, Amount(before)).then_some(sum.0)
        };
        let added = self.0.fetch_update(SeqCst, SeqCst, add);
        added.map(drop).map_err(Amount)
    }
}
