//! Tables: a list of records, one record, and a resource that yields records as long as
//! they are wanted. Each needs `RETURNS TABLE` but the last, which can be nothing else.
//!
//! It needs no grant.

use std::cell::Cell;

wit_bindgen::generate!({
    path: "wit",
    world: "procedures:tables/tables",
});

use exports::tables::{Counter, Guest, GuestCounter, Square};

struct Tables;

impl Guest for Tables {
    type Counter = Counting;

    fn squares(first: i32, last: i32) -> Vec<Square> {
        (first..=last).map(square).collect()
    }

    fn one_square(of: i32) -> Result<Square, String> {
        match of {
            0.. => Ok(square(of)),
            _ => Err("no square of that".to_string()),
        }
    }

    fn count_up(first: i32) -> Counter {
        Counter::new(Counting(Cell::new(first)))
    }
}

struct Counting(Cell<i32>);

impl GuestCounter for Counting {
    fn next(&self, most: u32) -> Result<Vec<Square>, String> {
        let first = self.0.get();
        let last = first.saturating_add_unsigned(most);
        self.0.set(last);
        match first {
            1_000_000.. => Err("that is enough".to_string()),
            // A few rows short of what is wanted, and none from 100,000 on.
            _ => Ok((first..last.min(100_000)).map(square).collect()),
        }
    }
}

fn square(i: i32) -> Square {
    Square {
        i,
        the_square: i64::from(i) * i64::from(i),
        note: (i % 2 == 0).then(|| "even".to_string()),
    }
}

export!(Tables);
