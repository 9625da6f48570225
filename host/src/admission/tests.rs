//! Who waits for whom, and for how long.

use super::*;
use std::sync::atomic::AtomicU32;
use std::thread;

const MIB: u64 = 1 << 20;

/// More memory than any test here takes.
fn places(places: u32) -> Arc<Admission> {
    Admission::new(places, Budget(1 << 40), Guards::default())
}

fn enter(admission: &Arc<Admission>, share: &Arc<Share>, patience: Duration) -> Option<Place> {
    enter_with(admission, share, MIB, patience)
}

fn enter_with(
    admission: &Arc<Admission>,
    share: &Arc<Share>,
    bytes: u64,
    patience: Duration,
) -> Option<Place> {
    admission.enter(share, bytes, &Arc::default(), patience)
}

fn enter_nested(admission: &Arc<Admission>, bytes: u64) -> Option<Place> {
    admission.enter_nested(bytes, &Arc::default())
}

/// Waits until so many wait.
fn until_waiting(admission: &Admission, count: u32) {
    while admission.waiting.load(SeqCst) != count {
        thread::yield_now();
    }
}

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

#[test]
fn without_a_free_place_a_call_waits_until_its_deadline() {
    let admission = places(1);
    let share = Share::new();
    let place = enter(&admission, &share, SOON).unwrap();
    let begun = Instant::now();
    assert!(enter(&admission, &share, SOON).is_none());
    assert!(begun.elapsed() >= SOON);
    drop(place);
    assert!(enter(&admission, &share, SOON).is_some());
}

#[test]
fn a_place_that_comes_free_goes_to_who_waits() {
    let admission = places(1);
    let share = Share::new();
    let place = enter(&admission, &share, SOON).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| enter(&admission, &share, LONG).is_some());
        until_waiting(&admission, 1);
        drop(place);
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn no_vault_has_all_places_and_a_nested_one_never_waits() {
    let admission = places(4);
    let (greedy, modest) = (Share::new(), Share::new());
    let held: Vec<_> = (0..3)
        .map(|_| enter(&admission, &greedy, SOON).unwrap())
        .collect();
    assert!(enter(&admission, &greedy, SOON).is_none());
    assert!(enter(&admission, &modest, SOON).is_some());
    let nested: Vec<_> = (0..4)
        .map(|_| enter_nested(&admission, MIB).unwrap())
        .collect();
    assert!(enter_nested(&admission, MIB).is_none());
    drop((held, nested));
    assert!(enter_nested(&admission, MIB).is_some());
}

/// One vault floods; another asks for one place at a time, and always gets it soon.
#[test]
fn a_busy_vault_does_not_starve_another() {
    let admission = places(2);
    let (busy, quiet) = (Share::new(), Share::new());
    let worst = thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let place = enter(&admission, &busy, LONG).unwrap();
                    thread::sleep(Duration::from_millis(1));
                    drop(place);
                }
            });
        }
        let mut worst = Duration::ZERO;
        for _ in 0..50 {
            let begun = Instant::now();
            drop(enter(&admission, &quiet, LONG).unwrap());
            worst = worst.max(begun.elapsed());
            thread::sleep(Duration::from_millis(1));
        }
        worst
    });
    // Behind eight others in one queue it would wait for four of their turns or more.
    assert!(worst < Duration::from_millis(100), "{worst:?}");
    assert_eq!(admission.free.now(), admission.all);
}

#[test]
fn there_are_never_more_calls_than_places() {
    let admission = places(3);
    let shares = [Share::new(), Share::new(), Share::new()];
    let (running, most) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for number in 0..12 {
            let share = &shares[number % 3];
            let (admission, running, most) = (&admission, &running, &most);
            scope.spawn(move || {
                for _ in 0..2_000 {
                    let place = enter(admission, share, LONG).unwrap();
                    most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                    running.fetch_sub(1, SeqCst);
                    drop(place);
                }
            });
        }
    });
    assert!(most.load(SeqCst) <= 3);
    assert_eq!(admission.free.now(), admission.all);
    assert!(
        shares
            .iter()
            .all(|share| share.running.now() == Amount::NONE)
    );
}

/// 400 MiB, of which calls have 300 and one vault has 225.
fn memory() -> Arc<Admission> {
    Admission::new(64, Budget(400 * MIB), Guards::default())
}

#[test]
fn a_call_waits_for_memory_as_for_a_place_until_its_deadline() {
    let admission = memory();
    let (one, other) = (Share::new(), Share::new());
    let first = enter_with(&admission, &one, 200 * MIB, SOON).unwrap();
    assert!(enter_with(&admission, &other, 101 * MIB, SOON).is_none());
    let exactly = enter_with(&admission, &other, 100 * MIB, SOON).unwrap();
    assert!(enter_with(&admission, &other, 1, SOON).is_none());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| enter_with(&admission, &other, 101 * MIB, LONG).is_some());
        until_waiting(&admission, 1);
        drop(first);
        assert!(waiter.join().unwrap());
    });
    drop(exactly);
    assert_eq!(admission.free.now(), admission.all);
}

#[test]
fn no_vault_has_all_memory_but_one_call_of_it_always_runs() {
    let admission = memory();
    let (greedy, modest) = (Share::new(), Share::new());
    let held = enter_with(&admission, &greedy, 200 * MIB, SOON).unwrap();
    assert!(enter_with(&admission, &greedy, 26 * MIB, SOON).is_none());
    let rest = enter_with(&admission, &greedy, 25 * MIB, SOON).unwrap();
    assert!(enter_with(&admission, &modest, 75 * MIB, SOON).is_some());
    drop((held, rest));
    let alone = enter_with(&admission, &greedy, 300 * MIB, SOON);
    assert!(alone.is_some());
}

#[test]
fn nested_memory_is_what_is_free_and_never_waits() {
    let admission = memory();
    let share = Share::new();
    let call = enter_with(&admission, &share, 200 * MIB, SOON).unwrap();
    // The free part first, and then that for nested ones.
    let free = enter_nested(&admission, 100 * MIB).unwrap();
    let reserved = enter_nested(&admission, 100 * MIB).unwrap();
    assert!(enter_nested(&admission, 1).is_none());
    assert!(enter_with(&admission, &share, 1, SOON).is_none());
    drop(free);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| enter_with(&admission, &share, 200 * MIB, LONG).is_some());
        until_waiting(&admission, 1);
        // What is free is for the call that waits.
        assert!(enter_nested(&admission, MIB).is_none());
        drop(reserved);
        assert!(enter_nested(&admission, MIB).is_some());
        drop(call);
        assert!(waiter.join().unwrap());
    });
    assert_eq!(admission.free.now(), admission.all);
    assert_eq!(admission.free_nested.now(), Amount::new(64, 100 * MIB));
}

/// Calls of a large need among many of a small one: in their own vault's queue, and
/// beside other vaults.
fn small_and_large(shares: [&Arc<Share>; 2]) -> Duration {
    let admission = memory();
    let [small, large] = shares;
    let done = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while done.load(SeqCst) == 0 {
                    let place = enter_with(&admission, small, 40 * MIB, LONG).unwrap();
                    thread::sleep(Duration::from_millis(1));
                    drop(place);
                }
            });
        }
        let mut worst = Duration::ZERO;
        for _ in 0..20 {
            let begun = Instant::now();
            drop(enter_with(&admission, large, 220 * MIB, LONG).unwrap());
            worst = worst.max(begun.elapsed());
        }
        done.store(1, SeqCst);
        worst
    })
}

#[test]
fn a_large_call_is_overtaken_only_so_often() {
    let (one, other) = (Share::new(), Share::new());
    for shares in [[&one, &one], [&one, &other]] {
        let worst = small_and_large(shares);
        assert!(worst < Duration::from_secs(1), "{worst:?}");
    }
}

#[test]
fn a_large_call_that_must_be_next_holds_up_no_one_once_it_gives_up() {
    let admission = memory();
    let (one, other) = (Share::new(), Share::new());
    let held = enter_with(&admission, &one, 200 * MIB, SOON).unwrap();
    thread::scope(|scope| {
        let large = scope.spawn(|| enter_with(&admission, &other, 250 * MIB, 10 * SOON).is_some());
        until_waiting(&admission, 1);
        for _ in 0..OVERTAKEN_MAX {
            assert!(enter_with(&admission, &one, MIB, LONG).is_some());
        }
        assert!(
            enter_with(&admission, &one, MIB, SOON).is_none(),
            "it is kept"
        );
        // It waits longer than the large one, and not until somebody leaves.
        assert!(enter_with(&admission, &one, MIB, LONG).is_some());
        assert!(!large.join().unwrap());
    });
    drop(held);
    assert_eq!(admission.free.now(), admission.all);
}

#[test]
fn a_budget_has_room_for_one_call_and_is_a_number_that_fits() {
    for (bytes, fits) in [
        (400, true),
        (398, false),
        (0, false),
        (MEMORY_BUDGET_BYTES_MAX, true),
        (MEMORY_BUDGET_BYTES_MAX + 1, false),
        (u64::MAX, false),
    ] {
        let admission = Admission::checked(4, Budget(bytes), 300, Guards::default());
        let sqlstate = admission.err().map(|error| error.sqlstate());
        assert_eq!(
            sqlstate,
            (!fits).then_some(SqlState::INVALID_VALUE),
            "{bytes}"
        );
    }
}
