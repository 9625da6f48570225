//! A model check: loom runs the counters in every order that threads can meet, with the
//! memory model of atomics, and puts its own locks and atomics in the place of
//! `sync.rs`'s.
//!
//! What stands for the catalog is what it does: one lock under which every change is
//! made, a file, and the switch that calls see.

#[path = "counting.rs"]
#[expect(
    dead_code,
    clippy::duplicate_mod,
    reason = "the same code with other locks, of which the model uses a part"
)]
mod counting;

mod sync {
    pub(super) use loom::sync::Mutex;
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub(super) use std::sync::PoisonError;
}

use counting::{DENIALS_MAX, Switch, VIOLATIONS_MAX};
use loom::sync::{Mutex, RwLock};
use loom::thread;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

/// The function's row in the catalog's file.
struct Row {
    enabled: bool,
    violations: u64,
    /// How often the count has disabled it.
    transitions: u32,
}

struct Catalog {
    changes: Mutex<Row>,
    /// What calls see.
    published: RwLock<Arc<Switch>>,
}

impl Catalog {
    fn new(violations: u64) -> Arc<Catalog> {
        Arc::new(Catalog {
            changes: Mutex::new(Row {
                enabled: true,
                violations,
                transitions: 0,
            }),
            published: RwLock::new(Switch::with_violations(true, violations)),
        })
    }

    fn switch(&self) -> Arc<Switch> {
        Arc::clone(&self.published.read().unwrap())
    }

    /// As `Catalog::count_violation`.
    fn count(&self, switch: &Arc<Switch>) {
        let mut row = self.changes.lock().unwrap();
        if !Arc::ptr_eq(switch, &self.switch()) {
            return;
        }
        let counted = switch.count(&mut *row, |row, counted| {
            row.violations = counted.violations;
            row.enabled &= !counted.disables;
            row.transitions += u32::from(counted.disables);
            Ok::<(), Infallible>(())
        });
        assert!(counted.is_ok());
    }

    /// As `Catalog::set_enabled` with true.
    fn enable(&self) {
        let mut row = self.changes.lock().unwrap();
        (row.enabled, row.violations) = (true, 0);
        let old = self.switch();
        old.reset(&mut *row);
        if !old.is_on() {
            *self.published.write().unwrap() = Switch::new(true);
        }
    }

    /// The file and what calls see are one.
    fn check(&self) -> (bool, u64, u32) {
        let row = self.changes.lock().unwrap();
        let switch = self.switch();
        assert_eq!(row.enabled, switch.is_on());
        assert_eq!(row.violations, switch.violations());
        (row.enabled, row.violations, row.transitions)
    }
}

#[test]
fn h69_of_concurrent_violations_each_counts_and_exactly_one_disables() {
    loom::model(|| {
        let catalog = Catalog::new(VIOLATIONS_MAX - 1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let catalog = Arc::clone(&catalog);
                thread::spawn(move || catalog.count(&catalog.switch()))
            })
            .collect();
        // Whoever finds it off, finds why.
        let switch = catalog.switch();
        if !switch.is_on() {
            assert!(switch.violations() >= VIOLATIONS_MAX);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(catalog.check(), (false, VIOLATIONS_MAX + 1, 1));
    });
}

#[test]
fn h106_enabling_while_violations_are_counted_loses_nothing_and_keeps_both_in_step() {
    loom::model(|| {
        let catalog = Catalog::new(VIOLATIONS_MAX - 1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let catalog = Arc::clone(&catalog);
                thread::spawn(move || catalog.count(&catalog.switch()))
            })
            .collect();
        catalog.enable();
        for thread in threads {
            thread.join().unwrap();
        }
        match catalog.check() {
            // Both came first: one has disabled it. Or none was lost after it.
            (true, 0, transitions) => assert!(transitions <= 1),
            (true, 1 | 2, transitions) => assert!(transitions <= 1),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn d4_of_concurrent_denials_exactly_one_refuses_the_caller() {
    loom::model(|| {
        let switch = Switch::new(true);
        let now = Instant::now();
        for _ in 2..DENIALS_MAX {
            assert_eq!(switch.denied("ada", now), None);
        }
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let switch = Arc::clone(&switch);
                thread::spawn(move || switch.denied("ada", now).is_some())
            })
            .collect();
        let refusals = threads.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(refusals.filter(|refuses| *refuses).count(), 1);
        assert!(switch.refused_for("ada", now).is_some());
    });
}
