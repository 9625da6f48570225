//! `perihelion check`: what of the security checklist can be seen from the catalog and the
//! log, for each function, and what is left to people.

use crate::postgres::DatabaseArguments;
use crate::{directories, json, output, table};
use perihelion::{Error, Outcome, Result, SqlState, Value};
use std::path::Path;
use std::process::ExitCode;

/// The rows: function, item of the checklist, `ok`, `attention` or `manual`, and what was
/// found. The items and their order are the checklist's (requirements H87 to H98).
const CHECKLIST: &str = "
WITH granted AS MATERIALIZED (
    SELECT function_name, capability, pattern FROM heliosdb.grants WHERE kind <> 'DENY'
), wide AS (
    SELECT function_name, group_concat(capability || '(''' || pattern || ''')', ', ') AS list
    FROM granted WHERE pattern IN ('*', 'main.*', '*.*') GROUP BY function_name
), unused AS (
    SELECT function_name, group_concat(capability || CASE
        WHEN pattern IS NULL THEN ''
        WHEN pattern LIKE '''%' THEN '(' || pattern || ')'
        ELSE '(''' || pattern || ''')' END, ', ') AS list
    FROM heliosdb.unused_grants
    WHERE last_used IS NULL OR unused_days >= 30 GROUP BY function_name
), at_most AS (
    SELECT function_name, group_concat(setting, ', ') AS list
    FROM heliosdb.function_limits JOIN heliosdb.limits USING (setting)
    WHERE value = max_value GROUP BY function_name
), f AS (
    SELECT f.name, f.content_hash, p.name AS policy, p.version AS policy_version, p.built_in,
           p.audit_logging, p.reviewed_by
    FROM heliosdb.functions f JOIN heliosdb.policies p ON p.name = f.policy
), found(number, name, item, status, finding) AS (
    SELECT 1, name, 'minimum required capabilities granted',
           iif(wide.list IS NULL AND unused.list IS NULL, 'ok', 'attention'),
           concat_ws('; ', 'covers everything: ' || wide.list, 'not used for 30 days: ' || unused.list)
    FROM f LEFT JOIN wide ON wide.function_name = name
           LEFT JOIN unused ON unused.function_name = name
    UNION ALL SELECT 2, name, 'input validation implemented', 'manual', '' FROM f
    UNION ALL SELECT 3, name, 'output sanitization implemented', 'manual', '' FROM f
    UNION ALL
    SELECT 4, name, 'resource limits configured appropriately',
           iif(list IS NULL, 'ok', 'attention'), coalesce('as high as can be: ' || list, '')
    FROM f LEFT JOIN at_most ON at_most.function_name = name
    UNION ALL
    SELECT 5, name, 'audit logging enabled', iif(audit_logging, 'ok', 'attention'),
           iif(audit_logging, '', 'policy \"' || policy || '\" records refusals only') FROM f
    UNION ALL
    SELECT 6, name, 'security policy reviewed',
           iif(built_in OR reviewed_by IS NOT NULL, 'ok', 'attention'),
           iif(built_in, 'built in', format('\"%s\", version %d, %s', policy, policy_version,
               coalesce('by ' || reviewed_by, 'by nobody')))
    FROM f
    UNION ALL
    SELECT 7, name, 'code reviewed for vulnerabilities', 'manual', 'BLAKE3 ' || content_hash
    FROM f
    UNION ALL SELECT 8, name, 'tested with malicious inputs', 'manual', '' FROM f
    UNION ALL SELECT 9, name, 'rate limiting implemented (if applicable)', 'manual', '' FROM f
    UNION ALL SELECT 10, name, 'error messages don''t leak sensitive info', 'manual', '' FROM f
    UNION ALL SELECT 11, name, 'dependencies vetted for security issues', 'manual', '' FROM f
    UNION ALL SELECT 12, name, 'compliance requirements met', 'manual', '' FROM f
)
SELECT name AS function_name, item, status, finding FROM found ORDER BY name, number";

/// Prints the checklist of every function, or of one. Fails if something needs attention.
pub(crate) fn run(
    data: &Path,
    database: &DatabaseArguments,
    function: Option<&str>,
    as_json: bool,
) -> ExitCode {
    let outcome = match checklist(data, database, function) {
        Ok(outcome) => outcome,
        Err(error) => return output::fail(&error),
    };
    let attention = Value::Text("attention".to_string());
    let needs_attention = outcome.rows.iter().any(|row| row[2] == attention);
    let text = match as_json {
        true => json::outcome(&outcome) + "\n",
        false => table::draw(&outcome.columns, &outcome.rows),
    };
    output::status(output::print(&text).map(|()| !needs_attention))
}

fn checklist(data: &Path, database: &DatabaseArguments, function: Option<&str>) -> Result<Outcome> {
    let vault = directories::open_vault_on(Some(data), database.url()?)?;
    let mut outcome = vault.session()?.execute(CHECKLIST)?;
    if let Some(function) = function {
        let name = Value::Text(function.to_string());
        outcome.rows.retain(|row| row[0] == name);
        if outcome.rows.is_empty() {
            let message = format!("no function \"{function}\"");
            return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message));
        }
    }
    Ok(outcome)
}
