//! What the benchmarks call: as little as possible around what they measure.
//!
//! Over `CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, amount INTEGER)`:
//!
//! ```sql
//! ALTER FUNCTION point GRANT CAPABILITY DATABASE_READ('item');
//! ALTER FUNCTION points GRANT CAPABILITY DATABASE_READ('item');
//! ```

#[heliosdb::procedures]
mod bench {
    use heliosdb::{Result, database, params};
    use sha2::Digest;

    fn noise() -> impl Iterator<Item = u64> {
        let mut state = 88_172_645_463_325_252u64;
        std::iter::from_fn(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            Some(state)
        })
    }

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
        let bytes: Vec<u8> = noise()
            .take(usize::try_from(n).unwrap_or(0))
            .map(|number| number as u8)
            .collect();
        let hash = sha2::Sha256::digest(&bytes);
        i64::from_be_bytes(hash[..8].try_into().expect("a hash has 32 bytes"))
    }

    /// Work in floating point: the trace of a product of matrices of `n` rows, rounded.
    pub fn product(n: i64) -> i64 {
        let n = usize::try_from(n).unwrap_or(0);
        let a: Vec<f64> = noise()
            .take(n * n)
            .map(|number| (number % 100) as f64)
            .collect();
        let mut c = vec![0.0; n * n];
        for (row, to) in a.chunks(n).zip(c.chunks_mut(n)) {
            for (factor, from) in row.iter().zip(a.chunks(n)) {
                for (to, from) in to.iter_mut().zip(from) {
                    *to += factor * from;
                }
            }
        }
        (0..n).map(|i| c[i * n + i]).sum::<f64>() as i64
    }

    /// Work on texts: how often the most frequent of `n` words is there.
    pub fn words(n: i64) -> i64 {
        let text: String = noise()
            .take(usize::try_from(n).unwrap_or(0))
            .map(|number| format!("word{} ", number % 997))
            .collect();
        let mut counts = std::collections::BTreeMap::<&str, i64>::new();
        for word in text.split_whitespace() {
            *counts.entry(word).or_default() += 1;
        }
        counts.into_values().max().unwrap_or(0)
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
