//! Reading and writing tables: capabilities `DATABASE_READ`, `DATABASE_WRITE` and
//! `DATABASE_EXECUTE`.
//!
//! A procedure that only reads does not import `database-write`, so it never asks
//! for more than it uses.
//!
//! Everywhere, `sql` is a constant: the host refuses a text with literals that was put
//! together at run time. Values are parameters, `?` in order or `$1`, `$2`, … by number.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::bindings::heliosdb::host::{database_ddl, database_read, database_write};
use crate::error::Result;
use crate::rows::Columns;
use crate::types::{self, Value};

pub use crate::rows::{Column, FromRow, Row, Rows};

/// Runs one statement that only reads, and returns all its rows.
///
/// ```no_run
/// use heliosdb::{Result, database, params};
///
/// fn names(artist: i64) -> Result<Vec<String>> {
///     let rows = database::query("SELECT Title FROM Album WHERE ArtistId = ?", params![artist])?;
///     rows.iter().map(|row| row.get("Title")).collect()
/// }
/// ```
pub fn query(sql: &str, params: &[Value]) -> Result<Rows> {
    database_read::query(sql, params).map(Rows::from)
}

/// Runs one statement that only reads and returns at most one row.
///
/// More than one row is a failure (SQLSTATE 21000): one of them, picked by chance,
/// would be the wrong answer on some days.
///
/// ```no_run
/// use heliosdb::{Result, database, params};
///
/// fn name(id: i64) -> Result<Option<String>> {
///     let row = database::query_one("SELECT Name FROM Artist WHERE ArtistId = ?", params![id])?;
///     row.map(|row| row.get("Name")).transpose()
/// }
/// ```
pub fn query_one(sql: &str, params: &[Value]) -> Result<Option<Row>> {
    let row = database_read::query_one(sql, params)?;
    Ok(row.map(|row| Row::new(row.columns.into(), row.values)))
}

/// Runs one statement that only reads, and returns its rows one by one, however many
/// there are: a portion of them is in memory at a time.
///
/// ```no_run
/// use heliosdb::{Result, database, params};
///
/// fn longest_name() -> Result<usize> {
///     let mut longest = 0;
///     for row in database::stream::<(String,)>("SELECT Name FROM Track", params![])? {
///         longest = longest.max(row?.0.chars().count());
///     }
///     Ok(longest)
/// }
/// ```
///
/// Whether it sees what the procedure writes to its tables meanwhile is undefined.
pub fn stream<T: FromRow>(sql: &str, params: &[Value]) -> Result<Stream<T>> {
    let cursor = database_read::stream(sql, params)?;
    let columns = names(cursor.columns()?);
    Ok(Stream::new(cursor, columns))
}

/// Prepares one statement that only reads, to run it often.
///
/// ```no_run
/// use heliosdb::{Result, database, params};
///
/// fn names(ids: &[i64]) -> Result<Vec<Option<String>>> {
///     let statement = database::prepare("SELECT Name FROM Track WHERE TrackId = ?")?;
///     let name = |id: &i64| match statement.query_one(params![*id])? {
///         Some(row) => row.get(0),
///         None => Ok(None),
///     };
///     ids.iter().map(name).collect()
/// }
/// ```
pub fn prepare(sql: &str) -> Result<Statement> {
    let statement = database_read::prepare(sql)?;
    let columns = names(statement.columns()?);
    Ok(Statement { statement, columns })
}

/// Runs one INSERT, UPDATE, DELETE or REPLACE.
///
/// A call is one unit: if the procedure fails, nothing that it wrote remains.
///
/// ```no_run
/// use heliosdb::{database, params};
///
/// # fn main() -> heliosdb::Result<()> {
/// let effect = database::execute("DELETE FROM Playlist WHERE PlaylistId = ?", params![18])?;
/// assert_eq!(effect.affected_rows, 1);
/// # Ok(())
/// # }
/// ```
pub fn execute(sql: &str, params: &[Value]) -> Result<Effect> {
    database_write::execute(sql, params).map(Effect::from)
}

/// Runs one statement that writes, once for each list of values, and returns the number
/// of rows that all runs together changed. Either all of them take effect, or none does.
///
/// ```no_run
/// use heliosdb::{Result, database, params};
///
/// fn add(names: &[&str]) -> Result<u64> {
///     let lists: Vec<_> = names.iter().map(|name| params![*name].to_vec()).collect();
///     database::batch("INSERT INTO Artist (Name) VALUES (?)", &lists)
/// }
/// ```
pub fn batch(sql: &str, lists: &[Vec<Value>]) -> Result<u64> {
    database_write::execute_batch(sql, lists)
}

/// Prepares one statement that writes, to run it often.
pub fn prepare_write(sql: &str) -> Result<WriteStatement> {
    database_write::prepare(sql).map(WriteStatement)
}

/// Does some work, and undoes what it wrote if it fails. Transactions may lie in each
/// other.
///
/// Inside a SQL statement that writes it is refused (SQLSTATE 0A000): that statement is
/// the unit.
///
/// ```no_run
/// use heliosdb::{Result, database, params};
///
/// const ADD: &str = "UPDATE account SET balance = balance + ? WHERE id = ?";
///
/// fn pay(payer: i64, payee: i64, amount: i64) -> Result<()> {
///     database::transaction(|| {
///         database::execute(ADD, params![amount, payee])?;
///         database::execute(ADD, params![-amount, payer])?;
///         Ok(())
///     })
/// }
/// ```
pub fn transaction<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let transaction = database_write::begin()?;
    // Dropped without a commit, it is rolled back.
    let result = work()?;
    transaction.commit()?;
    Ok(result)
}

/// Runs one CREATE, ALTER or DROP of a TABLE or an INDEX. Needs `DATABASE_EXECUTE`, and
/// `DATABASE_READ` and `DATABASE_WRITE` on a table that is there already.
pub fn change_schema(sql: &str) -> Result<()> {
    database_ddl::execute(sql)
}

/// What a statement that writes did.
#[derive(Clone, Debug)]
pub struct Effect {
    /// The rows that it inserted, changed or deleted itself.
    pub affected_rows: u64,
    /// SQLite's rowid of the last row that it inserted itself.
    pub last_insert_id: Option<i64>,
    /// The rows of its RETURNING clause.
    pub returned: Rows,
}

impl From<types::Effect> for Effect {
    fn from(effect: types::Effect) -> Self {
        Self {
            affected_rows: effect.affected_rows,
            last_insert_id: effect.last_insert_id,
            returned: effect.returned.into(),
        }
    }
}

/// A statement that only reads, ready to be run.
#[derive(Debug)]
pub struct Statement {
    statement: database_read::Statement,
    columns: Columns,
}

impl Statement {
    /// All its rows.
    pub fn query(&self, params: &[Value]) -> Result<Rows> {
        let rows = self.statement.query(params)?;
        Ok(Rows::new(Rc::clone(&self.columns), rows))
    }

    /// Its row, if there is one; more than one is a failure (SQLSTATE 21000).
    pub fn query_one(&self, params: &[Value]) -> Result<Option<Row>> {
        let values = self.statement.query_one(params)?;
        Ok(values.map(|values| Row::new(Rc::clone(&self.columns), values)))
    }

    /// Its rows one by one.
    pub fn stream<T: FromRow>(&self, params: &[Value]) -> Result<Stream<T>> {
        let cursor = self.statement.stream(params)?;
        Ok(Stream::new(cursor, Rc::clone(&self.columns)))
    }
}

/// A statement that writes, ready to be run.
#[derive(Debug)]
pub struct WriteStatement(database_write::Statement);

impl WriteStatement {
    /// As [`execute`].
    pub fn execute(&self, params: &[Value]) -> Result<Effect> {
        self.0.execute(params).map(Effect::from)
    }

    /// As [`batch`].
    pub fn batch(&self, lists: &[Vec<Value>]) -> Result<u64> {
        self.0.execute_batch(lists)
    }
}

/// The rows of a query that is running. Dropping it ends the query.
#[derive(Debug)]
pub struct Stream<T> {
    cursor: database_read::Cursor,
    columns: Columns,
    /// Those that were fetched.
    rows: VecDeque<Vec<Value>>,
    /// How many are fetched next; none after the end.
    count: u32,
    read: PhantomData<fn() -> T>,
}

const ROWS_FIRST: u32 = 16;
const ROWS_MAX: u32 = 256;

impl<T> Stream<T> {
    fn new(cursor: database_read::Cursor, columns: Columns) -> Self {
        Self {
            cursor,
            columns,
            rows: VecDeque::new(),
            count: ROWS_FIRST,
            read: PhantomData,
        }
    }

    fn next_values(&mut self) -> Result<Option<Vec<Value>>> {
        if self.rows.is_empty() && self.count > 0 {
            let fetched = self.cursor.next(self.count);
            self.count = match &fetched {
                Ok(rows) if !rows.is_empty() => (self.count * 2).min(ROWS_MAX),
                _ => 0,
            };
            self.rows = fetched?.into();
        }
        Ok(self.rows.pop_front())
    }
}

impl<T: FromRow> Iterator for Stream<T> {
    type Item = Result<T>;

    /// The next row. An error of the database is the last item.
    fn next(&mut self) -> Option<Self::Item> {
        let values = self.next_values().transpose()?;
        Some(values.and_then(|values| T::from_row(Row::new(Rc::clone(&self.columns), values))))
    }
}

fn names(columns: Vec<types::Column>) -> Columns {
    columns.into_iter().map(|column| column.name).collect()
}
