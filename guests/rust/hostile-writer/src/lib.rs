//! Procedures that write and then do not end well: nothing of it must remain.
//!
//! Over `CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT, weight INTEGER)`:
//!
//! ```sql
//! ALTER FUNCTION write_and_panic GRANT CAPABILITY DATABASE_WRITE('notes');
//! ```

#[heliosdb::procedures]
mod hostile_writer {
    use std::hint::black_box;

    use heliosdb::{Error, Failure, Result, database, params};

    /// Panics.
    pub fn write_and_panic() -> Result<i64> {
        write()?;
        panic!("this procedure panics");
    }

    /// Never returns.
    pub fn write_and_spin() -> Result<i64> {
        let mut turns = write()?;
        loop {
            turns = black_box(turns.wrapping_add(1));
        }
    }

    /// Takes memory until there is none.
    pub fn write_and_grow() -> Result<i64> {
        write()?;
        let mut chunks = Vec::new();
        loop {
            chunks.push(black_box(vec![0xA5_u8; 1 << 20]));
        }
    }

    /// Calls itself until the stack ends.
    pub fn write_and_recurse() -> Result<i64> {
        Ok(deeper(write()?, black_box(i64::MAX)))
    }

    /// Returns an error.
    pub fn write_and_fail() -> Result<i64> {
        write()?;
        Err(Error::Failed(Failure {
            sqlstate: "00000".into(),
            message: "I changed my mind".into(),
        }))
    }

    fn write() -> Result<i64> {
        let sql = "INSERT INTO notes VALUES (?, ?, ?)";
        let values = params![2, "by a component", 1];
        database::execute(sql, values).map(|effect| effect.affected_rows as i64)
    }

    fn deeper(depth: i64, last: i64) -> i64 {
        if depth == last {
            return 0;
        }
        deeper(depth + 1, last).rotate_left(1) ^ depth
    }
}
