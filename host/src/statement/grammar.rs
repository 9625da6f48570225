//! The host's own statements, but for CREATE FUNCTION and CREATE CONDITION: `create.rs`
//! reads these.
//!
//! Not for the database's SQL, of which it looks at the first words only. It decides
//! nothing about who may do what.

use super::cursor::Cursor;
use super::tokens::{Kind, Token};
use super::{Alteration, Statement, aggregate, condition, create, policy};
use crate::capability::Grant;
use crate::error::{Error, Result, SqlState};
use crate::function::Kind as FunctionKind;

const ALTER_FORM: &str = "the form is ALTER FUNCTION name \
     {GRANT | REVOKE | DENY} CAPABILITY capability [, ...]; \
     or ALTER FUNCTION name SET ENABLED = {true | false}; \
     or SET SECURITY POLICY policy; or SET VERSION number; or SET (limit = number [, ...]);";
const ALTER_CONDITION_FORM: &str = "the form is ALTER CONDITION name \
     SET ENABLED = {true | false}; or SET VERSION number;";
const DROP_FORM: &str = "the form is DROP FUNCTION [IF EXISTS] name;";
const DROP_CONDITION_FORM: &str = "the form is DROP CONDITION [IF EXISTS] name;";
const DROP_AGGREGATE_FORM: &str = "the form is DROP AGGREGATE [IF EXISTS] name;";
const CALL_FORM: &str = "the form is CALL name(argument [, ...]) [WITH (EXPLAIN)];";
const EXPLAIN_FORM: &str = "the form is EXPLAIN (ANALYZE) statement;";
const SHOW_FORM: &str = "the form is SHOW LIMITS [FOR function];";
const ACTIONS: &str = "GRANT, REVOKE, DENY or SET";

/// Kinds of object that the language has and this version does not.
const KINDS_NOT_BUILT: &[&[&str]] = &[&["SECRET"], &["KEY"], &["PROCEDURE"]];

/// What `ALTER FUNCTION f SET` has in the language and not in this version.
const SETTINGS_NOT_BUILT: &[&[&str]] = &[&["RATE", "LIMIT"], &["SCHEMA"]];

/// The longest capability that the hint of a bare GRANT repeats.
const HINTED_BYTES_MAX: usize = 200;

/// Reads a statement of the host. `None` is a statement of the database.
pub(super) fn parse(mut cursor: Cursor<'_>) -> Result<Option<Statement>> {
    let Some(first) = cursor.take()?.filter(|token| token.kind == Kind::Word) else {
        return Ok(None);
    };
    match first.text.to_ascii_uppercase().as_str() {
        "CREATE" => parse_create(cursor),
        "ALTER" => parse_alter(cursor),
        "DROP" => parse_drop(cursor),
        "CALL" => parse_call(cursor).map(Some),
        verb @ ("GRANT" | "REVOKE" | "DENY") => bare_grant(cursor, verb),
        "EXPLAIN" => explain(cursor),
        "SHOW" => show(cursor).map(Some),
        _ => Ok(None),
    }
}

fn parse_create(mut cursor: Cursor<'_>) -> Result<Option<Statement>> {
    let or_replace = cursor.take_words(&["OR", "REPLACE"])?;
    if is_policy(&mut cursor)? {
        return policy::create(cursor, or_replace).map(Some);
    }
    cursor.form = create::FORM;
    if let Some(kind) = function_kind(&mut cursor, "CREATE")? {
        let create = match kind {
            FunctionKind::Aggregate => {
                let create = aggregate::create(cursor, or_replace)?;
                return Ok(Some(Statement::CreateAggregate(create)));
            }
            FunctionKind::Procedure => create::function(cursor, or_replace, kind)?,
            FunctionKind::Condition => condition::create(cursor, or_replace)?,
        };
        return Ok(Some(Statement::CreateFunction(create)));
    }
    while cursor.take_word("TEMP")? || cursor.take_word("TEMPORARY")? {}
    if cursor.take_word("TRIGGER")? {
        refuse_alert(cursor)?;
    }
    Ok(None)
}

fn parse_alter(mut cursor: Cursor<'_>) -> Result<Option<Statement>> {
    if is_policy(&mut cursor)? {
        return policy::alter(cursor).map(Some);
    }
    cursor.form = ALTER_FORM;
    let Some(kind) = function_kind(&mut cursor, "ALTER")? else {
        return Ok(None);
    };
    match kind {
        FunctionKind::Condition => cursor.form = ALTER_CONDITION_FORM,
        FunctionKind::Aggregate => return Err(cursor.not_built("ALTER AGGREGATE")),
        FunctionKind::Procedure => {}
    }
    let name = cursor.expect_name(kind.noun())?;
    let alteration = if cursor.take_word("SET")? {
        setting(&mut cursor)?
    } else {
        granted(&mut cursor)?
    };
    cursor.expect_end("the end of the statement")?;
    Ok(Some(Statement::AlterFunction {
        kind,
        name,
        alteration,
    }))
}

fn parse_drop(mut cursor: Cursor<'_>) -> Result<Option<Statement>> {
    if is_policy(&mut cursor)? {
        return policy::drop(cursor).map(Some);
    }
    cursor.form = DROP_FORM;
    let Some(kind) = function_kind(&mut cursor, "DROP")? else {
        return Ok(None);
    };
    match kind {
        FunctionKind::Condition => cursor.form = DROP_CONDITION_FORM,
        FunctionKind::Aggregate => cursor.form = DROP_AGGREGATE_FORM,
        FunctionKind::Procedure => {}
    }
    let if_exists = cursor.take_words(&["IF", "EXISTS"])?;
    let name = cursor.expect_name(kind.noun())?;
    cursor.expect_end("the end of the statement: a name means one function")?;
    Ok(Some(Statement::DropFunction {
        kind,
        name,
        if_exists,
    }))
}

/// The call becomes a SELECT of the same text, so that the database reads the
/// arguments. It must be the call and nothing more: no second call, no FROM.
fn parse_call(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.form = CALL_FORM;
    let start = cursor.offset();
    let function = cursor.expect_name("function")?;
    cursor.expect_symbol("(", "( and the arguments")?;
    let mut depth = 1_usize;
    let mut end = start;
    while depth > 0 {
        let Some(token) = cursor.take()? else {
            return Err(cursor.expected(")"));
        };
        depth = depth_after(depth, &token);
        end = token.end();
    }
    let explain = cursor.take_word("WITH")?;
    if explain {
        cursor.expect_symbol("(", "(EXPLAIN)")?;
        cursor.expect_word("EXPLAIN")?;
        cursor.expect_symbol(")", ")")?;
    }
    cursor.expect_end("the end of the statement")?;
    Ok(Statement::Call {
        function,
        call: cursor.between(start, end).to_owned(),
        explain,
    })
}

/// The depth of parentheses after a token. It stays 0 at a `)` too many.
pub(super) fn depth_after(depth: usize, token: &Token<'_>) -> usize {
    match token.text {
        "(" => depth + 1,
        ")" => depth.saturating_sub(1),
        _ => depth,
    }
}

/// Takes SECURITY POLICY. No database has a kind of object that begins with SECURITY.
fn is_policy(cursor: &mut Cursor<'_>) -> Result<bool> {
    if !cursor.take_word("SECURITY")? {
        return Ok(false);
    }
    cursor.expect_word("POLICY")?;
    Ok(true)
}

/// Takes FUNCTION, CONDITION or AGGREGATE. Refuses the kinds that are not built, and what
/// looks like one of the three misspelt, since no database has a kind of such a name.
fn function_kind(cursor: &mut Cursor<'_>, verb: &str) -> Result<Option<FunctionKind>> {
    if cursor.take_word("FUNCTION")? {
        return Ok(Some(FunctionKind::Procedure));
    }
    if cursor.take_word("CONDITION")? {
        return Ok(Some(FunctionKind::Condition));
    }
    if cursor.take_word("AGGREGATE")? {
        return Ok(Some(FunctionKind::Aggregate));
    }
    for kind in KINDS_NOT_BUILT {
        if cursor.clone().take_words(kind)? {
            return Err(cursor.not_built(&format!("{verb} {}", kind.join(" "))));
        }
    }
    let either = "FUNCTION, CONDITION or AGGREGATE";
    match cursor.resembled(either) {
        Some(_) => Err(cursor.expected(either)),
        None => Ok(None),
    }
}

fn granted(cursor: &mut Cursor<'_>) -> Result<Alteration> {
    let alteration = if cursor.take_word("GRANT")? {
        Alteration::Grant
    } else if cursor.take_word("REVOKE")? {
        Alteration::Revoke
    } else if cursor.take_word("DENY")? {
        Alteration::Deny
    } else {
        return Err(not_an_action(cursor));
    };
    cursor.expect_word("CAPABILITY")?;
    let mut grants = vec![grant(cursor)?];
    while cursor.take_symbol(",")? {
        grants.push(grant(cursor)?);
    }
    Ok(alteration(grants))
}

fn not_an_action(cursor: &Cursor<'_>) -> Error {
    for action in ["RENAME", "OWNER"] {
        if cursor.peek().is_some_and(|token| token.is_word(action)) {
            return cursor.not_built(&format!("ALTER FUNCTION ... {action}"));
        }
    }
    cursor.expected(ACTIONS)
}

/// A capability with its pattern. What is wrong with either is the capability's to say.
pub(super) fn grant(cursor: &mut Cursor<'_>) -> Result<Grant> {
    let start = cursor.clone();
    let name = match cursor.peek() {
        Some(token) if token.kind == Kind::Word => token.text,
        _ => return Err(cursor.expected("a capability, for example DATABASE_READ('users')")),
    };
    cursor.take()?;
    let mut pattern = None;
    if cursor.take_symbol("(")? {
        pattern = cursor.take_string(&[Kind::String])?;
        if pattern.is_none() {
            return Err(cursor.expected("a pattern in single quotes"));
        }
        if cursor.take_word("WHERE")? {
            // As the pattern writes itself.
            let quoted = pattern.unwrap_or_default().replace('\'', "''");
            let filter = condition_of_rows(cursor)?;
            pattern = Some(format!("'{quoted}' WHERE {filter}"));
        }
        cursor.expect_symbol(")", "), or WHERE and a condition")?;
    }
    Grant::new(name, pattern.as_deref()).map_err(|error| start.locate(error))
}

/// The text up to the parenthesis that closes the capability.
fn condition_of_rows<'t>(cursor: &mut Cursor<'t>) -> Result<&'t str> {
    let (start, mut depth) = (cursor.offset(), 0);
    while let Some(token) = cursor.peek() {
        if depth == 0 && token.is_symbol(")") {
            break;
        }
        depth = depth_after(depth, &token);
        cursor.take()?;
    }
    Ok(cursor.between(start, cursor.offset()))
}

/// What follows `ALTER FUNCTION f SET`.
fn setting(cursor: &mut Cursor<'_>) -> Result<Alteration> {
    for setting in SETTINGS_NOT_BUILT {
        if cursor.clone().take_words(setting)? {
            let setting = setting.join(" ");
            return Err(cursor.not_built(&format!("ALTER FUNCTION ... SET {setting}")));
        }
    }
    if cursor.take_word("SECURITY")? {
        cursor.expect_word("POLICY")?;
        return Ok(Alteration::SetPolicy(cursor.expect_name("policy")?));
    }
    if cursor.take_word("VERSION")? {
        return Ok(Alteration::SetVersion(version(cursor)?));
    }
    if cursor.peek().is_some_and(|token| token.is_symbol("(")) {
        return Ok(Alteration::SetLimits(policy::settings(cursor)?));
    }
    if !cursor.take_word("ENABLED")? {
        return Err(cursor.expected("ENABLED, SECURITY POLICY, VERSION or ("));
    }
    take_equals(cursor)?;
    if cursor.take_word("true")? {
        return Ok(Alteration::SetEnabled(true));
    }
    if cursor.take_word("false")? {
        return Ok(Alteration::SetEnabled(false));
    }
    Err(cursor.expected("true or false"))
}

fn version(cursor: &mut Cursor<'_>) -> Result<u64> {
    take_equals(cursor)?;
    let number = cursor.peek().filter(|token| token.kind == Kind::Value);
    match number.and_then(|token| token.text.parse::<u64>().ok()) {
        Some(version) if i64::try_from(version).is_ok() => {
            cursor.take()?;
            Ok(version)
        }
        _ => Err(cursor.expected("the number of a version")),
    }
}

/// Takes the `=` or TO that may stand between a setting and its value.
fn take_equals(cursor: &mut Cursor<'_>) -> Result<()> {
    if !cursor.take_symbol("=")? {
        cursor.take_word("TO")?;
    }
    Ok(())
}

/// GRANT without a function. Other GRANTs are the database's to refuse.
fn bare_grant(mut cursor: Cursor<'_>, verb: &str) -> Result<Option<Statement>> {
    let start = cursor.clone();
    if !cursor.take_word("CAPABILITY")? {
        if cursor.resembled("CAPABILITY").is_none() {
            return Ok(None);
        }
        cursor.take()?;
    }
    let capability = match cursor.rest() {
        "" => "<capability>",
        rest if rest.len() > HINTED_BYTES_MAX || rest.contains(char::is_control) => "<capability>",
        rest => rest,
    };
    let message = format!("{verb} CAPABILITY needs a function");
    Err(start
        .error(SqlState::SYNTAX, message)
        .with_detail("a capability is granted to one function, revoked from it or denied to it")
        .with_hint(format!(
            "ALTER FUNCTION <function> {verb} CAPABILITY {capability};"
        )))
}

/// EXPLAIN and EXPLAIN QUERY PLAN are the database's; EXPLAIN (ANALYZE) is ours.
fn explain(mut cursor: Cursor<'_>) -> Result<Option<Statement>> {
    cursor.form = EXPLAIN_FORM;
    if cursor.take_symbol("(")? {
        cursor.expect_word("ANALYZE")?;
        cursor.expect_symbol(")", ")")?;
    } else if !cursor.take_word("ANALYZE")? {
        return Ok(None);
    }
    // One EXPLAIN is enough; each further one would be read within this one.
    match cursor.peek() {
        Some(token) if !token.is_word("EXPLAIN") => {}
        _ => return Err(cursor.expected("a statement")),
    }
    let text = cursor.rest().to_owned();
    match parse(cursor.clone())? {
        None => Ok(Some(Statement::ExplainAnalyze {
            command: super::command(&text),
            text,
        })),
        Some(Statement::Call { function, call, .. }) => Ok(Some(Statement::Call {
            function,
            call,
            explain: true,
        })),
        Some(_) => Err(cursor.error(
            SqlState::SYNTAX,
            "EXPLAIN (ANALYZE) is for statements that call functions",
        )),
    }
}

/// SHOW LIMITS [FOR function]: SQLite has no SHOW. It becomes the query of a view.
fn show(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.form = SHOW_FORM;
    if !cursor.take_word("LIMITS")? {
        return Err(cursor.expected("LIMITS"));
    }
    let text = match cursor.take_word("FOR")? {
        false => "SELECT * FROM heliosdb.limits".to_owned(),
        true => {
            let name = cursor.expect_name("function")?.folded.replace('\'', "''");
            format!(
                "SELECT name, setting, value, unit, set_by FROM heliosdb.function_limits \
                 WHERE function_name = '{name}'"
            )
        }
    };
    cursor.expect_end("the end of the statement")?;
    let command = "SHOW".to_owned();
    Ok(Statement::Sql { text, command })
}

/// Refuses a trigger on the audit log, which is an alert rule and no trigger of the
/// database. Any other one is the database's.
fn refuse_alert(mut cursor: Cursor<'_>) -> Result<()> {
    while let Some(token) = cursor.take()? {
        if token.is_word("BEGIN") {
            break;
        }
        if !token.is_word("ON") {
            continue;
        }
        let mut table = cursor.clone();
        let schema = table.take()?;
        if table.take_symbol(".")?
            && is_name(schema, "heliosdb")
            && is_name(table.take()?, "audit_log")
        {
            return Err(cursor.not_built("CREATE TRIGGER ... ON heliosdb.audit_log"));
        }
    }
    Ok(())
}

fn is_name(token: Option<Token<'_>>, name: &str) -> bool {
    token.is_some_and(|token| token.unquoted().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
