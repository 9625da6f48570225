//! The audit log: which entries an execution leaves, what they say, and that they last.

mod durability;
mod entries;
mod secrecy;
mod seed;

use crate::support::{column, run, session_with_users};
use perihelion::Session;

/// A session with `users`, and functions that read, write, are refused, fail and loop.
fn audited() -> Session {
    let mut session = session_with_users();
    run(
        &mut session,
        "CREATE FUNCTION reads(id BIGINT) RETURNS TEXT LANGUAGE javascript AS $$
           function reads(id) {
             return heliosdb.query('SELECT name FROM users WHERE id = ?', [id]).rows[0]?.name;
           }
         $$;
         CREATE FUNCTION writes(id BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
           function writes(id) {
             return heliosdb.execute('INSERT INTO users(id) VALUES (?)', [id]).rowCount;
           }
         $$;
         CREATE FUNCTION refused(times BIGINT) RETURNS TEXT LANGUAGE javascript AS $$
           function refused(times) {
             for (let i = 0; i < times; i++) try { heliosdb.query('SELECT * FROM secrets'); } catch { }
             return 'went on';
           }
         $$;
         CREATE FUNCTION fails() LANGUAGE javascript AS $$
           function fails() { throw new Error('on purpose'); }
         $$;
         CREATE FUNCTION bomb() LANGUAGE javascript AS $$
           function bomb() { for (const a = []; ; ) a.push(new Uint8Array(65536)); }
         $$;
         ALTER FUNCTION reads GRANT CAPABILITY DATABASE_READ('users');
         ALTER FUNCTION writes GRANT CAPABILITY DATABASE_WRITE('users');",
    );
    session
}

/// The events of the newest execution of a function, in order.
fn events(session: &mut Session, function: &str) -> Vec<String> {
    column(
        session,
        &format!(
            "SELECT event_type || coalesce(' ' || capability, '') || coalesce(' ' || target, '')
                    || CASE allowed WHEN 1 THEN ' yes' WHEN 0 THEN ' no' ELSE '' END
             FROM heliosdb.audit_log
             WHERE execution_id = (SELECT execution_id FROM heliosdb.audit_log
                 WHERE function_name = '{function}' AND event_type = 'ExecutionStarted'
                 ORDER BY seq DESC LIMIT 1)
             ORDER BY seq"
        ),
    )
}

/// What the newest entry of a kind says, by a path into its detail.
fn detail(session: &mut Session, event: &str, path: &str) -> String {
    let sql = format!(
        "SELECT coalesce(json_extract(detail, '$.{path}'), 'NULL') FROM heliosdb.audit_log
         WHERE event_type = '{event}' ORDER BY seq DESC LIMIT 1"
    );
    crate::support::text(session, &sql)
}
