//! CREATE CONDITION: CREATE FUNCTION with the one signature that a condition has.

use super::cursor::Cursor;
use super::{CreateFunction, Parameter, create};
use crate::error::{Result, SqlState};
use crate::function::Kind as FunctionKind;
use crate::types::SqlType;

/// The full form, for hints.
const FORM: &str = "the form is CREATE [OR REPLACE] CONDITION name(context JSON) \
     LANGUAGE {javascript | wasm} AS $$ body $$;";

/// Reads what follows `CREATE [OR REPLACE] CONDITION`. The parameter may be left out,
/// and comes to be there all the same.
pub(super) fn create(mut cursor: Cursor<'_>, or_replace: bool) -> Result<CreateFunction> {
    cursor.form = FORM;
    let start = cursor.clone();
    let mut create = create::function(cursor, or_replace, FunctionKind::Condition)?;
    let refuse = |sqlstate, what: &str| {
        let message = format!("a condition {what}");
        Err(start.error(sqlstate, message).with_hint(FORM))
    };
    if create.volatility.is_some() {
        return refuse(
            SqlState::SYNTAX,
            "is not IMMUTABLE, STABLE or VOLATILE: it computes from its context alone",
        );
    }
    if create.strict {
        return refuse(
            SqlState::SYNTAX,
            "is not STRICT: it denies what it cannot read",
        );
    }
    let context = create.parameters.get_or_insert_with(|| {
        vec![Parameter {
            name: "context".to_owned(),
            sql_type: SqlType::Json,
        }]
    });
    if !matches!(
        context[..],
        [Parameter {
            sql_type: SqlType::Json,
            ..
        }]
    ) {
        return refuse(SqlState::WRONG_TYPE, "has one parameter, of type JSON");
    }
    if create.table.is_some() {
        return refuse(SqlState::WRONG_TYPE, "returns BOOLEAN");
    }
    match create.returns.replace(SqlType::Boolean) {
        None | Some(SqlType::Boolean) => Ok(create),
        Some(_) => refuse(SqlState::WRONG_TYPE, "returns BOOLEAN"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_refused;
    use super::super::{Language, Statement, parse};
    use super::*;

    #[test]
    fn d11_a_condition_has_one_signature() {
        for text in [
            "CREATE CONDITION F(context JSON) LANGUAGE javascript AS $$b$$;",
            "create condition f language js as 'b'",
            "CREATE CONDITION f(context jsonb) RETURNS BOOLEAN LANGUAGE js AS 'b'",
        ] {
            let Ok(Statement::CreateFunction(create)) = parse(text) else {
                panic!("{text}");
            };
            assert_eq!(create.kind, FunctionKind::Condition);
            assert_eq!(create.name.folded, "f");
            assert_eq!(create.language, Language::JavaScript);
            assert_eq!(create.returns, Some(SqlType::Boolean));
            let parameters = create.parameters.unwrap();
            assert_eq!(parameters.len(), 1);
            assert_eq!(parameters[0].name, "context");
        }
    }

    #[test]
    fn d11_another_signature_is_refused() {
        use SqlState as S;
        let parameter = "has one parameter, of type JSON";
        assert_refused(&[
            (
                "CREATE CONDITION f() LANGUAGE js AS ''",
                S::WRONG_TYPE,
                parameter,
            ),
            (
                "CREATE CONDITION f(a TEXT) LANGUAGE js AS ''",
                S::WRONG_TYPE,
                parameter,
            ),
            (
                "CREATE CONDITION f(a JSON, b JSON) LANGUAGE js AS ''",
                S::WRONG_TYPE,
                parameter,
            ),
            (
                "CREATE CONDITION f(a JSON) RETURNS TEXT LANGUAGE js AS ''",
                S::WRONG_TYPE,
                "returns BOOLEAN",
            ),
            (
                "CREATE CONDITION f(a JSON) STRICT LANGUAGE js AS ''",
                S::SYNTAX,
                "is not STRICT",
            ),
            (
                "CREATE CONDITION f(a JSON) IMMUTABLE LANGUAGE js AS ''",
                S::SYNTAX,
                "is not IMMUTABLE",
            ),
            (
                "CREATE CONDITION IF NOT EXISTS f LANGUAGE js AS ''",
                S::FEATURE_NOT_SUPPORTED,
                "CREATE CONDITION IF NOT EXISTS",
            ),
        ]);
        let error = parse("CREATE CONDITION f LANGUAGE sql AS ''").unwrap_err();
        assert!(
            error
                .hint()
                .unwrap()
                .ends_with("CREATE CONDITION f LANGUAGE wasm AS '<path>';")
        );
    }
}
