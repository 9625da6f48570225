//! What the benchmarks call: as little as possible around what they measure.
//!
//! Over `CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, amount INTEGER)`:
//!
//! ```sql
//! ALTER FUNCTION point GRANT CAPABILITY DATABASE_READ('item');
//! ALTER FUNCTION points GRANT CAPABILITY DATABASE_READ('item');
//! ```

mod work;

#[heliosdb::procedures]
mod bench {
    use heliosdb::{Result, database, params};

    /// Nothing: a call and no more.
    pub fn nop() {}

    /// Two numbers in, one out.
    pub fn add(a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }

    /// Text in, text out.
    pub fn describe(text: String) -> String {
        format!("{text}: {} characters", text.chars().count())
    }

    /// Work in loops over memory: the number of primes below `n`.
    pub fn primes(n: i64) -> i64 {
        let n = usize::try_from(n).unwrap_or(0);
        let mut is_composite = vec![false; n];
        let mut found = 0;
        for number in 2..n {
            if is_composite[number] {
                continue;
            }
            found += 1;
            for multiple in (number.saturating_mul(number)..n).step_by(number) {
                is_composite[multiple] = true;
            }
        }
        found
    }

    /// Work in calls, each of which does next to nothing: a Fibonacci number.
    pub fn fib(n: i64) -> i64 {
        if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
    }

    /// Work in straight lines: SHA-256 of `n` bytes, its first eight as a number.
    pub fn digest(n: i64) -> i64 {
        crate::work::digest(n)
    }

    /// Work in floating point: the trace of a product of matrices of `n` rows, rounded.
    pub fn product(n: i64) -> i64 {
        crate::work::product(n)
    }

    /// Work on texts: how often the most frequent of `n` words is there.
    pub fn words(n: i64) -> i64 {
        crate::work::words(n)
    }

    /// One query by primary key.
    pub fn point(id: i64) -> Result<Option<String>> {
        let row = database::query_one("SELECT name FROM item WHERE id = ?", params![id])?;
        row.map(|row| row.get(0)).transpose()
    }

    /// The sum of the amounts of items 1 to `n`, by one query each.
    pub fn points(n: i64) -> Result<i64> {
        let mut sum = 0;
        for id in 1..=n {
            let sql = "SELECT amount FROM item WHERE id = ?";
            if let Some(row) = database::query_one(sql, params![id])? {
                sum += row.get::<i64>(0)?;
            }
        }
        Ok(sum)
    }
    /// The same by one prepared statement.
    pub fn prepared_points(n: i64) -> Result<i64> {
        let statement = database::prepare("SELECT amount FROM item WHERE id = ?")?;
        let mut sum = 0;
        for id in 1..=n {
            if let Some(row) = statement.query_one(params![id])? {
                sum += row.get::<i64>(0)?;
            }
        }
        Ok(sum)
    }
}
