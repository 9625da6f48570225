//! What is compiled and kept in memory: as much as fits, and of that what was used last.
//! Whoever runs code holds it too, so that what is let go of here ends with its last run.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use wasmtime::component::Component;

/// Code by its key, up to a number of bytes and of pieces. The last piece always stays.
pub(crate) struct Kept<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// The next to be looked at when something must go: it goes unless it was used since.
    order: VecDeque<K>,
    bytes: u64,
    bytes_max: u64,
}

struct Entry<V> {
    value: V,
    bytes: u64,
    used: Used,
}

/// Says that a piece is in use. Whoever finds it by a shorter way says so itself.
pub(crate) type Used = Arc<AtomicBool>;

/// Pieces that are kept. A component's memory image is a descriptor, of which a process
/// has a thousand or so.
const PIECES_MAX: usize = 128;

impl<K: Copy + Eq + Hash, V: Clone> Kept<K, V> {
    pub(crate) fn new(bytes_max: u64) -> Kept<K, V> {
        Kept {
            entries: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let entry = self.entries.get(key)?;
        entry.used.store(true, Relaxed);
        Some(entry.value.clone())
    }

    /// Keeps a piece, unless there is one already, and lets go of others for it. Says which
    /// one is kept.
    pub(crate) fn insert(&mut self, key: K, value: V, bytes: u64, used: Used) -> V {
        if let Some(known) = self.get(&key) {
            return known;
        }
        let entry = Entry {
            value: value.clone(),
            bytes,
            used,
        };
        self.entries.insert(key, entry);
        self.bytes += bytes;
        self.make_room();
        self.order.push_back(key);
        value
    }

    /// Lets go of what has such a key.
    pub(crate) fn forget(&mut self, is_such: impl Fn(&K) -> bool) {
        self.order.retain(|key| !is_such(key));
        let bytes = &mut self.bytes;
        self.entries.retain(|key, entry| {
            let goes = is_such(key);
            *bytes -= if goes { entry.bytes } else { 0 };
            !goes
        });
    }

    fn make_room(&mut self) {
        while self.bytes > self.bytes_max || self.entries.len() > PIECES_MAX {
            let Some(key) = self.order.pop_front() else {
                return;
            };
            let was_used = |entry: &Entry<V>| entry.used.swap(false, Relaxed);
            if self.entries.get(&key).is_some_and(was_used) {
                self.order.push_back(key);
            } else if let Some(entry) = self.entries.remove(&key) {
                self.bytes -= entry.bytes;
            }
        }
    }
}

/// What the code of a component takes.
pub(crate) fn code_bytes(component: &Component) -> u64 {
    let Range { start, end } = component.image_range();
    (end as usize).saturating_sub(start as usize) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(kept: &Kept<u32, u32>) -> Vec<u32> {
        let mut keys: Vec<u32> = kept.entries.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn what_was_not_used_goes_first_and_the_bytes_are_bounded() {
        let mut kept = Kept::new(100);
        for key in 0..4 {
            kept.insert(key, key, 25, Used::default());
        }
        assert_eq!(kept.get(&0), Some(0));
        kept.insert(4, 4, 25, Used::default());
        assert_eq!(keys(&kept), [0, 2, 3, 4]);
        kept.insert(5, 5, 60, Used::default());
        assert_eq!(kept.bytes, 85);
        assert_eq!(
            kept.insert(5, 6, 60, Used::default()),
            5,
            "the first one stays"
        );
        kept.insert(7, 7, 1_000, Used::default());
        assert_eq!(keys(&kept), [7], "the last one stays, whatever it takes");
        kept.forget(|key| *key == 7);
        assert_eq!((keys(&kept), kept.bytes, kept.order.len()), (vec![], 0, 0));
    }

    #[test]
    fn so_many_pieces_are_kept_however_small() {
        let mut kept = Kept::new(100);
        for key in 0..1_000 {
            kept.insert(key, key, 0, Used::default());
        }
        assert_eq!(kept.entries.len(), PIECES_MAX);
        assert_eq!(kept.order.len(), PIECES_MAX);
    }
}
