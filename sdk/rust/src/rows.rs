//! Rows: what queries give, and how Rust values are read from them.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use crate::error::Result;
use crate::types::{self, Error, Value};
use crate::value::{self, FromValue};

/// A type that a row can be read as: a tuple of its columns in order, or a struct with
/// their names.
///
/// ```no_run
/// use heliosdb::{FromRow, Result, database, params};
///
/// #[derive(FromRow)]
/// struct Track {
///     id: i64,
///     name: String,
///     composer: Option<String>,
/// }
///
/// fn tracks(album: i64) -> Result<Vec<Track>> {
///     let sql = "SELECT TrackId AS id, Name AS name, Composer AS composer \
///         FROM Track WHERE AlbumId = ?";
///     database::query(sql, params![album])?.read()
/// }
///
/// fn longest() -> Result<Option<(String, i64)>> {
///     let sql = "SELECT Name, Milliseconds FROM Track ORDER BY Milliseconds DESC LIMIT 1";
///     database::query_one(sql, params![])?.map(|row| row.read()).transpose()
/// }
/// ```
///
/// A tuple must have as many members as the row has columns. A struct may have fewer
/// fields: columns without a field are left out.
pub trait FromRow: Sized {
    /// Reads a row.
    fn from_row(row: Row) -> Result<Self>;
}

/// A query's whole result: a slice of [`Row`]s that also knows its columns.
#[derive(Clone, Debug)]
pub struct Rows {
    columns: Columns,
    rows: Vec<Row>,
}

/// One row of a query's result.
#[derive(Clone, Debug)]
pub struct Row {
    columns: Columns,
    values: Vec<Value>,
}

/// The names of columns, which the rows of a result share.
pub(crate) type Columns = Rc<[String]>;

impl Rows {
    /// The columns' names, in order; there even if no row is.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// All rows as values of a type.
    pub fn read<T: FromRow>(self) -> Result<Vec<T>> {
        self.rows.into_iter().map(T::from_row).collect()
    }

    pub(crate) fn new(columns: Columns, rows: Vec<Vec<Value>>) -> Self {
        let row = |values| Row::new(Rc::clone(&columns), values);
        let rows = rows.into_iter().map(row).collect();
        Self { columns, rows }
    }
}

impl From<types::Rows> for Rows {
    fn from(rows: types::Rows) -> Self {
        Self::new(rows.columns.into(), rows.rows)
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

    /// As [`get`](Self::get), without a copy: the row has NULL in its place.
    pub fn take<T: FromValue>(&mut self, column: impl Column) -> Result<T> {
        let index = column.index(&self.columns)?;
        let taken = std::mem::replace(&mut self.values[index], Value::Null);
        value::read(&self.columns[index], taken)
    }

    /// The row as a value of a type.
    pub fn read<T: FromRow>(self) -> Result<T> {
        T::from_row(self)
    }

    /// The values, in the order of the columns.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    pub(crate) fn new(columns: Columns, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    fn check_width(&self, width: usize) -> Result<()> {
        const DATATYPE_MISMATCH: &str = "42804";
        let found = self.columns.len();
        if found == width {
            return Ok(());
        }
        let message = format!("a tuple of {width} cannot be read from a row of {found} columns");
        Err(Error::failed(DATATYPE_MISMATCH, message))
    }
}

impl FromRow for Row {
    fn from_row(row: Row) -> Result<Self> {
        Ok(row)
    }
}

/// Implements `FromRow` for a tuple: its members' types and places.
macro_rules! tuple {
    ($($member:ident $place:literal),+) => {
        impl<$($member: FromValue),+> FromRow for ($($member,)+) {
            fn from_row(mut row: Row) -> Result<Self> {
                row.check_width([$($place),+].len())?;
                Ok(($(row.take::<$member>($place)?,)+))
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

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
        let columns = vec!["id".to_owned(), "name".to_owned()];
        Rows::new(columns.into(), (0..count).map(row).collect())
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
    fn rows_are_read_as_tuples_of_their_width() {
        let read: Vec<(i64, String)> = rows(2).read().unwrap();
        assert_eq!(read, [(0, "row 0".to_owned()), (1, "row 1".to_owned())]);
        assert_eq!(
            rows(1).read::<(i64,)>().unwrap_err().to_string(),
            "a tuple of 1 cannot be read from a row of 2 columns"
        );
        assert_eq!(
            rows(1).read::<(String, String)>().unwrap_err().to_string(),
            "column \"id\" is an integer, not text"
        );
    }

    #[test]
    fn a_value_is_taken_once() {
        let mut row = rows(1)[0].clone();
        assert_eq!(row.take("name"), Ok(String::from("row 0")));
        assert_eq!(row.get("name"), Ok(None::<String>));
    }
}
