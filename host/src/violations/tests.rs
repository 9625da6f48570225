//! Tests of the counters on one thread, with a clock of their own.

use super::counting::{CALLERS_MAX, DENIALS_WINDOW, Switch};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn d4_the_fifth_denial_within_ten_minutes_refuses_the_caller_for_ten_minutes() {
    let switch = Switch::new(true);
    let start = Instant::now();
    for number in 0..4 {
        assert_eq!(switch.denied("ada", start + SECOND * number), None);
    }
    assert_eq!(switch.refused_for("ada", start + SECOND * 4), None);
    let fifth = start + SECOND * 4;
    assert_eq!(switch.denied("ada", fifth), Some(DENIALS_WINDOW));
    assert_eq!(switch.refused_for("ada", fifth), Some(DENIALS_WINDOW));
    assert_eq!(switch.refused_for("bob", fifth), None);
    // A call that was under way changes nothing.
    assert_eq!(switch.denied("ada", fifth + SECOND * 300), None);
    let end = fifth + DENIALS_WINDOW;
    assert_eq!(switch.refused_for("ada", end - SECOND), Some(SECOND));
    assert_eq!(switch.refused_for("ada", end), None);
    // And then it takes five again.
    for _ in 0..4 {
        assert_eq!(switch.denied("ada", end), None);
    }
    assert_eq!(switch.denied("ada", end), Some(DENIALS_WINDOW));
}

#[test]
fn d4_denials_that_are_older_than_ten_minutes_no_longer_count() {
    let switch = Switch::new(true);
    let start = Instant::now();
    for number in 0..40 {
        // Four within any ten minutes.
        let now = start + SECOND * 201 * number;
        assert_eq!(switch.denied("ada", now), None, "{number}");
    }
    let start = start + DENIALS_WINDOW * 100;
    for number in 0..4 {
        assert_eq!(switch.denied("ada", start + SECOND * 150 * number), None);
    }
    assert!(switch.denied("ada", start + DENIALS_WINDOW).is_some());
}

#[test]
fn d4_callers_are_forgotten_but_not_those_that_are_refused() {
    let switch = Switch::new(true);
    let start = Instant::now();
    for _ in 0..5 {
        switch.denied("refused", start);
    }
    for number in 0..3 * CALLERS_MAX as u32 {
        switch.denied(&format!("caller {number}"), start + SECOND / 100 * number);
    }
    assert_eq!(switch.callers(), CALLERS_MAX);
    let now = start + SECOND * 100;
    assert!(switch.refused_for("refused", now).is_some());
    switch.reset(&mut ());
    assert_eq!(switch.callers(), 0);
    assert_eq!(switch.refused_for("refused", now), None);
}

#[test]
fn h69_what_is_not_stored_is_not_counted() {
    let switch = Switch::with_violations(true, 4);
    assert!(switch.count(&mut (), |(), _| Err(())).is_err());
    assert!(switch.is_on());
    assert_eq!(switch.violations(), 4);
    let counted = switch.count(&mut (), |(), _| Ok::<(), ()>(())).unwrap();
    assert!(counted.disables && !switch.is_on());
    assert_eq!((counted.violations, switch.violations()), (5, 5));
}
