//! CREATE AGGREGATE, as PostgreSQL has it: it is made of functions that exist.

use super::cursor::Cursor;
use super::tokens::Kind;
use super::{CreateAggregate, Parameter, create};
use crate::error::Result;
use crate::function::Aggregate;

/// The full form, for hints.
const FORM: &str = "the form is CREATE [OR REPLACE] AGGREGATE name([parameter] type [, ...]) \
     (SFUNC = function, STYPE = type [, FINALFUNC = function] [, INITCOND = 'value']);";

/// Settings of PostgreSQL's aggregates that this version has not.
const SETTINGS_NOT_BUILT: &[&str] = &[
    "BASETYPE",
    "COMBINEFUNC",
    "DESERIALFUNC",
    "FINALFUNC_EXTRA",
    "FINALFUNC_MODIFY",
    "HYPOTHETICAL",
    "MFINALFUNC",
    "MINITCOND",
    "MINVFUNC",
    "MSFUNC",
    "MSSPACE",
    "MSTYPE",
    "PARALLEL",
    "SERIALFUNC",
    "SORTOP",
    "SSPACE",
];

/// Reads what follows `CREATE [OR REPLACE] AGGREGATE`.
pub(super) fn create(mut cursor: Cursor<'_>, or_replace: bool) -> Result<CreateAggregate> {
    cursor.form = FORM;
    let name = cursor.expect_name("aggregate")?;
    cursor.expect_symbol("(", "( and the parameters")?;
    let parameters = create::rest_of_list(&mut cursor, parameter)?;
    cursor.expect_symbol("(", "( and SFUNC")?;
    let (mut step, mut state, mut finish, mut initial) = (None, None, None, None);
    loop {
        let start = cursor.clone();
        if cursor.take_word("SFUNC")? {
            equals(&mut cursor)?;
            let function = cursor.expect_name("function")?.folded;
            create::once(&mut step, function, "SFUNC", &start)?;
        } else if cursor.take_word("STYPE")? {
            equals(&mut cursor)?;
            let sql_type = create::sql_type(&mut cursor, "the state's type")?;
            create::once(&mut state, sql_type, "STYPE", &start)?;
        } else if cursor.take_word("FINALFUNC")? {
            equals(&mut cursor)?;
            let function = cursor.expect_name("function")?.folded;
            create::once(&mut finish, function, "FINALFUNC", &start)?;
        } else if cursor.take_word("INITCOND")? {
            equals(&mut cursor)?;
            let text = cursor.take_string(&[Kind::String])?;
            let text = text.ok_or_else(|| cursor.expected("a value in single quotes"))?;
            create::once(&mut initial, text, "INITCOND", &start)?;
        } else {
            return Err(not_a_setting(&cursor));
        }
        if cursor.take_symbol(")")? {
            break;
        }
        cursor.expect_symbol(",", ", or )")?;
    }
    cursor.expect_end("the end of the statement")?;
    let (Some(step), Some(state)) = (step, state) else {
        return Err(cursor.expected("SFUNC and STYPE"));
    };
    Ok(CreateAggregate {
        or_replace,
        name,
        parameters,
        aggregate: Aggregate {
            step,
            state,
            finish,
            initial,
        },
    })
}

fn not_a_setting(cursor: &Cursor<'_>) -> crate::error::Error {
    let token = cursor.peek();
    let not_built = |setting: &&&str| token.is_some_and(|token| token.is_word(setting));
    match SETTINGS_NOT_BUILT.iter().find(not_built) {
        Some(setting) => cursor.not_built(&format!("{setting} of an aggregate")),
        None => cursor.expected("SFUNC, STYPE, FINALFUNC or INITCOND"),
    }
}

fn equals(cursor: &mut Cursor<'_>) -> Result<()> {
    cursor.expect_symbol("=", "= and the value")
}

/// A type, with a name before it or without.
fn parameter(cursor: &mut Cursor<'_>, before: &[Parameter]) -> Result<Parameter> {
    let mut ahead = cursor.clone();
    if let Ok(sql_type) = create::sql_type(&mut ahead, "a type")
        && ahead
            .peek()
            .is_some_and(|next| next.is_symbol(",") || next.is_symbol(")"))
    {
        *cursor = ahead;
        let name = format!("arg{}", before.len() + 1);
        return Ok(Parameter { name, sql_type });
    }
    create::parameter(cursor, before)
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_refused;
    use super::super::{Name, Statement, parse};
    use super::*;
    use crate::error::SqlState;
    use crate::types::SqlType;

    #[test]
    fn an_aggregate_is_made_of_functions() {
        let text = "create or replace aggregate \"Mean\"(double precision, w numeric) \
             (STYPE = json, sfunc = add_up, INITCOND = '[0,0]', FinalFunc = \"Divide\");";
        let parameter = |name: &str, sql_type| Parameter {
            name: name.to_owned(),
            sql_type,
        };
        let expected = CreateAggregate {
            or_replace: true,
            name: Name {
                folded: "Mean".to_owned(),
                written: "Mean".to_owned(),
            },
            parameters: vec![
                parameter("arg1", SqlType::Double),
                parameter("w", SqlType::Numeric),
            ],
            aggregate: Aggregate {
                step: "add_up".to_owned(),
                state: SqlType::Json,
                finish: Some("Divide".to_owned()),
                initial: Some("[0,0]".to_owned()),
            },
        };
        assert_eq!(parse(text).unwrap(), Statement::CreateAggregate(expected));
    }

    #[test]
    fn what_is_no_aggregate_is_refused() {
        use SqlState as S;
        assert_refused(&[
            ("CREATE AGGREGATE a", S::SYNTAX, "at the end"),
            ("CREATE AGGREGATE a() (SFUNC = f)", S::SYNTAX, "at \")\""),
            ("CREATE AGGREGATE a(*) (SFUNC = f)", S::SYNTAX, "at \"*\""),
            (
                "CREATE AGGREGATE a(int) (SFUNC = f)",
                S::SYNTAX,
                "at the end",
            ),
            (
                "CREATE AGGREGATE a(int) (SFUNC = f, SFUNC = g)",
                S::SYNTAX,
                "SFUNC is given twice",
            ),
            (
                "CREATE AGGREGATE a(int) (SFUNC = f, STYPE = int, SORTOP = <)",
                S::FEATURE_NOT_SUPPORTED,
                "SORTOP of an aggregate",
            ),
            (
                "CREATE AGGREGATE a(int) (SFUNC = f, STYPE = int, INITCOND = 0)",
                S::SYNTAX,
                "at \"0\"",
            ),
            (
                "CREATE AGGREGATE a(int) (SFUN = f)",
                S::SYNTAX,
                "at \"SFUN\"",
            ),
        ]);
    }
}
