//! A client's statement, on the owner's connection: any that the server has, with a
//! result of any type. Not for guests.

use super::connection::{Connection, Patience, Request, TextRows};
use super::failure::Failure;
use super::{text, value};
use crate::error::Result;
use crate::session::Outcome;
use crate::types::{SqlType, Value};
use tokio_postgres::Statement as Prepared;

/// Runs one statement.
///
/// Values of types that the host does not know are text, as the server writes them.
pub(crate) fn run_for_client(
    connection: &mut Connection,
    sql: &str,
    params: &[Value],
) -> Result<Outcome, Failure> {
    let numbered;
    let sql = match params.is_empty() || sql.contains('$') {
        true => sql,
        false => {
            numbered = text::read(sql).map_err(Failure::Value)?.sql;
            &numbered
        }
    };
    let prepared = connection.prepare(sql, Patience::Unlimited)?;
    let is_known = value::check_columns(prepared.columns()).is_ok();
    if params.is_empty() && prepared.params().is_empty() && !is_known {
        let result = connection.text_rows(sql, Patience::Unlimited)?;
        return from_text(result, &prepared).map_err(Failure::Value);
    }
    let mut rows = Vec::new();
    let request = Request {
        before: None,
        sql,
        values: params,
    };
    let ran = connection.run(&request, Patience::Unlimited, |row| {
        let values = (0..row.len()).map(|index| value::decode(row, index));
        let values: Result<Vec<Value>> = values.collect();
        rows.push(values.map_err(Failure::Value)?);
        Ok(())
    })?;
    let columns = ran.prepared.columns().iter();
    Ok(Outcome {
        columns: columns.map(|column| column.name().to_string()).collect(),
        rows,
        affected: Some(ran.rows),
        ..Outcome::default()
    })
}

fn from_text(result: TextRows, prepared: &Prepared) -> Result<Outcome> {
    let types: Vec<Option<SqlType>> = prepared
        .columns()
        .iter()
        .map(|column| value::sql_type(column.type_()))
        .collect();
    let cell = |text: Option<String>, index: usize| match (text, types.get(index).copied()) {
        (None, _) => Ok(Value::Null),
        // As text it is in another form, `\x00ff`.
        (Some(text), Some(None | Some(SqlType::Bytea)) | None) => Ok(Value::Text(text)),
        (Some(text), Some(Some(known))) => Value::Text(text.clone())
            .coerce(known)
            .or(Ok(Value::Text(text))),
    };
    let rows = result.rows.into_iter().map(|row| {
        let cells = row.into_iter().enumerate();
        cells.map(|(index, text)| cell(text, index)).collect()
    });
    Ok(Outcome {
        rows: rows.collect::<Result<_>>()?,
        columns: result.columns,
        affected: Some(result.affected),
        ..Outcome::default()
    })
}
