//! Reading and writing tables: capabilities `DATABASE_READ` and `DATABASE_WRITE`.
//!
//! A procedure that only reads does not import `database-write`, so it never asks
//! for more than it uses.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use crate::bindings::heliosdb::host::{database_read, database_write};
use crate::error::Result;
use crate::types::{self, Error, Value};
use crate::value::{self, FromValue};

/// Runs one statement that only reads, and returns all its rows.
///
/// `sql` is a constant: the host refuses a text with literals that was put
/// together at run time. Values are parameters, `?` in order or `$1`, `$2`, … by
/// number.
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
    database_read::query(sql, params).map(Rows::new)
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
    query(sql, params)?.at_most_one()
}

/// Runs one INSERT, UPDATE, DELETE or REPLACE, and returns the number of rows that
/// it inserted, changed or deleted.
///
/// A call is one unit: if the procedure fails, nothing that it wrote remains.
///
/// ```no_run
/// use heliosdb::{database, params};
///
/// # fn main() -> heliosdb::Result<()> {
/// database::execute("DELETE FROM Playlist WHERE PlaylistId = ?", params![18])?;
/// # Ok(())
/// # }
/// ```
pub fn execute(sql: &str, params: &[Value]) -> Result<u64> {
    database_write::execute(sql, params).map(|effect| effect.affected_rows)
}

/// A query's whole result: a slice of [`Row`]s that also knows its columns.
#[derive(Clone, Debug)]
pub struct Rows {
    columns: Rc<[String]>,
    rows: Vec<Row>,
}

impl Rows {
    /// The columns' names, in order; there even if no row is.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    fn new(rows: types::Rows) -> Self {
        let columns: Rc<[String]> = rows.columns.into();
        let row = |values| Row {
            columns: Rc::clone(&columns),
            values,
        };
        let rows = rows.rows.into_iter().map(row).collect();
        Self { columns, rows }
    }

    fn at_most_one(mut self) -> Result<Option<Row>> {
        const CARDINALITY_VIOLATION: &str = "21000";
        if self.rows.len() > 1 {
            let message = format!(
                "the query returned {} rows, not at most one",
                self.rows.len()
            );
            return Err(Error::failed(CARDINALITY_VIOLATION, message));
        }
        Ok(self.rows.pop())
    }
}

impl Deref for Rows {
    type Target = [Row];

    fn deref(&self) -> &[Row] {
        &self.rows
    }
}

impl IntoIterator for Rows {
    type Item = Row;
    type IntoIter = std::vec::IntoIter<Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.into_iter()
    }
}

impl<'a> IntoIterator for &'a Rows {
    type Item = &'a Row;
    type IntoIter = std::slice::Iter<'a, Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter()
    }
}

/// One row of a query's result.
#[derive(Clone, Debug)]
pub struct Row {
    columns: Rc<[String]>,
    values: Vec<Value>,
}

impl Row {
    /// A column's value, by its name or its position from 0:
    /// `row.get::<i64>("TrackId")?`.
    ///
    /// Fails if there is no such column, if its value is of another type, or if it
    /// is NULL and `T` is no `Option`.
    pub fn get<T: FromValue>(&self, column: impl Column) -> Result<T> {
        let index = column.index(&self.columns)?;
        value::read(&self.columns[index], self.values[index].clone())
    }

    /// The values, in the order of the columns.
    pub fn values(&self) -> &[Value] {
        &self.values
    }
}

/// What names a column of a row: a `&str` or a `usize`.
pub trait Column: sealed::Sealed {
    #[doc(hidden)]
    fn index(&self, columns: &[String]) -> Result<usize>;
}

impl Column for &str {
    fn index(&self, columns: &[String]) -> Result<usize> {
        let position = columns.iter().position(|column| column == self);
        position.ok_or_else(|| missing(&format_args!("\"{self}\""), columns))
    }
}

impl Column for usize {
    fn index(&self, columns: &[String]) -> Result<usize> {
        if *self < columns.len() {
            return Ok(*self);
        }
        Err(missing(self, columns))
    }
}

fn missing(column: &dyn fmt::Display, columns: &[String]) -> Error {
    const UNDEFINED_COLUMN: &str = "42703";
    let columns = columns.join("\", \"");
    let message = format!("there is no column {column}; the columns are \"{columns}\"");
    Error::failed(UNDEFINED_COLUMN, message)
}

mod sealed {
    //! Keeps `Column` to the two types that make sense.

    pub trait Sealed {}
    impl Sealed for &str {}
    impl Sealed for usize {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: i64) -> Rows {
        let row = |id| vec![Value::Integer(id), Value::Text(format!("row {id}"))];
        Rows::new(types::Rows {
            columns: vec!["id".into(), "name".into()],
            rows: (0..count).map(row).collect(),
        })
    }

    #[test]
    fn a_column_is_found_by_name_and_by_position() {
        let rows = rows(2);
        assert_eq!(rows.columns(), ["id", "name"]);
        assert_eq!(rows[1].get("id"), Ok(1_i64));
        assert_eq!(rows[1].get(1), Ok(String::from("row 1")));
    }

    #[test]
    fn a_missing_column_is_named_beside_those_there_are() {
        let row = &rows(1)[0];
        let by_name = row.get::<i64>("ID").unwrap_err().to_string();
        assert_eq!(
            by_name,
            "there is no column \"ID\"; the columns are \"id\", \"name\""
        );
        let by_position = row.get::<i64>(2).unwrap_err().to_string();
        assert_eq!(
            by_position,
            "there is no column 2; the columns are \"id\", \"name\""
        );
    }

    #[test]
    fn one_row_is_at_most_one() {
        assert!(rows(0).at_most_one().unwrap().is_none());
        assert!(rows(1).at_most_one().unwrap().is_some());
        let error = rows(2).at_most_one().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the query returned 2 rows, not at most one"
        );
    }
}
