//! A result as a table, drawn as psql draws it, and a value as text. Knows nothing of
//! statements, and prints nothing.

use crate::render::printable;
use perihelion::Value;
use std::fmt::Write as _;
use tabled::builder::Builder;
use tabled::grid::util::string::{get_line_width, get_text_width};
use tabled::settings::object::{Columns, Rows};
use tabled::settings::{Alignment, Padding, Style};

/// The columns' names and the rows, with a rule between them.
pub(crate) fn draw(columns: &[String], rows: &[Vec<Value>]) -> String {
    let headers: Vec<String> = columns.iter().map(|name| cell_text(name)).collect();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|v| cell_text(&plain(v))).collect())
        .collect();
    let mut builder = Builder::default();
    let widths = widths(&headers, &cells);
    for row in std::iter::once(&headers).chain(&cells) {
        builder.push_record(
            row.iter()
                .zip(&widths)
                .map(|(cell, width)| mark_lines(cell, *width)),
        );
    }
    let mut table = builder.build();
    table.with(Style::psql()).with(Padding::new(1, 0, 0, 0));
    for index in (0..columns.len()).filter(|index| is_numeric(rows, *index)) {
        table.modify(Columns::one(index), Alignment::right());
    }
    table.modify(Rows::first(), Alignment::center());
    table
        .to_string()
        .lines()
        .fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// A value as a table's cell shows it, before anything in it is made harmless.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Boolean(true) => "t".to_string(),
        Value::Boolean(false) => "f".to_string(),
        Value::Integer(n) => n.to_string(),
        Value::Real(x) => float(*x),
        Value::Text(text) | Value::Decimal(text) | Value::Json(text) => text.clone(),
        Value::Blob(bytes) => bytes.iter().fold("\\x".to_string(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
        Value::Timestamp(microseconds) => timestamp(*microseconds),
    }
}

/// `2026-11-22 09:30:00.000000`, in UTC.
pub(crate) fn timestamp(microseconds: i64) -> String {
    match jiff::Timestamp::from_microsecond(microseconds) {
        Ok(moment) => moment.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string(),
        Err(_) => microseconds.to_string(),
    }
}

/// PostgreSQL's names for what is no number, and a float that can be told from a
/// whole number.
pub(crate) fn float(x: f64) -> String {
    match x {
        f64::INFINITY => "Infinity".to_string(),
        f64::NEG_INFINITY => "-Infinity".to_string(),
        _ => format!("{x:?}"),
    }
}

/// A tab would shift what stands behind it.
fn cell_text(text: &str) -> String {
    printable(text).replace('\t', "\\t")
}

fn widths(headers: &[String], rows: &[Vec<String>]) -> Vec<usize> {
    let mut widths: Vec<usize> = headers
        .iter()
        .map(|header| get_text_width(header))
        .collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = get_text_width(cell).max(*width);
        }
    }
    widths
}

/// Ends every line of a cell with the space before the border, or with a `+` there if
/// the cell goes on in the next line.
fn mark_lines(cell: &str, width: usize) -> String {
    let Some((first_lines, last)) = cell.rsplit_once('\n') else {
        return format!("{cell} ");
    };
    let continued = first_lines.split('\n').map(|line| {
        let missing = width.saturating_sub(get_line_width(line));
        format!("{line}{}+\n", " ".repeat(missing))
    });
    continued
        .chain([last.to_string(), " ".to_string()])
        .collect()
}

/// SQLite's columns have no type: what a column holds decides.
fn is_numeric(rows: &[Vec<Value>], column: usize) -> bool {
    let mut values = rows
        .iter()
        .filter_map(|row| row.get(column))
        .filter(|v| **v != Value::Null)
        .peekable();
    values.peek().is_some()
        && values.all(|v| matches!(v, Value::Integer(_) | Value::Real(_) | Value::Decimal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(columns: &[&str], rows: Vec<Vec<Value>>) -> String {
        let columns: Vec<String> = columns.iter().map(|name| name.to_string()).collect();
        draw(&columns, &rows)
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn a_table_is_drawn_as_psql_draws_it() {
        let rows = vec![
            vec![Value::Integer(1), text("Ada"), Value::Null],
            vec![Value::Integer(-20), text("Grüße"), Value::Real(1.0)],
        ];
        assert_eq!(
            select(&["id", "first name", "x"], rows),
            concat!(
                " id  | first name |  x\n",
                "-----+------------+-----\n",
                "   1 | Ada        |\n",
                " -20 | Grüße      | 1.0\n",
            )
        );
        assert_eq!(select(&["a"], vec![]), " a\n---\n");
        assert_eq!(select(&["a"], vec![vec![Value::Null]]), " a\n---\n\n");
    }

    #[test]
    fn a_cell_of_several_lines_says_that_it_goes_on() {
        let rows = vec![
            vec![text("a\nlong one"), text("b")],
            vec![text("c"), text("d\n")],
        ];
        assert_eq!(
            select(&["x", "y"], rows),
            concat!(
                "    x     | y\n",
                "----------+---\n",
                " a       +| b\n",
                " long one |\n",
                " c        | d+\n",
                "          |\n",
            )
        );
    }
}
