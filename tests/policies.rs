//! Security policies and limits: what they give, what they bound, how they change.

use crate::support::{column, refuse, run, session, session_with_users, text, value};
use perihelion::{Session, Value};

/// The statement of the security model, as it stands there.
const STRICT_READ_ONLY: &str = "CREATE SECURITY POLICY strict_read_only AS (
    capabilities: [DATABASE_READ('public_*'), TIME_ACCESS],
    max_memory_bytes: 4194304, -- 4MB
    max_cpu_time_ms: 1000,
    max_wall_time_ms: 2000,
    audit_logging: true,
    allowed_syscalls: ['clock_time_get']
);";

const PUBLIC_QUERY: &str = "
    CREATE TABLE public_notes (note TEXT); INSERT INTO public_notes VALUES ('hello');
    CREATE FUNCTION public_query(t TEXT) RETURNS JSON LANGUAGE javascript AS $$
      function public_query(t) {
        return heliosdb.query('SELECT * FROM ' + t).rows[0];
      }
    $$;
    CREATE FUNCTION now() RETURNS BIGINT LANGUAGE javascript AS $$
      function now() { return Date.now(); }
    $$;
    CREATE FUNCTION spin() LANGUAGE javascript AS $$ function spin() { for (;;) {} } $$;
    CREATE FUNCTION fill(bytes BIGINT) RETURNS BIGINT LANGUAGE javascript AS $$
      function fill(bytes) { return new Uint8Array(bytes).fill(1).length; }
    $$;
    CREATE FUNCTION add_user() RETURNS BIGINT LANGUAGE javascript AS $$
      function add_user() {
        return heliosdb.execute('INSERT INTO users(name) VALUES (?)', ['Eve']).rowCount;
      }
    $$;";

pub(crate) fn prepared() -> Session {
    let mut session = session_with_users();
    run(&mut session, PUBLIC_QUERY);
    session
}

#[test]
fn h49_minimal_gives_nothing() {
    let mut session = prepared();
    refuse(&mut session, "SELECT now()", "42501");
    run(
        &mut session,
        "ALTER FUNCTION now SET SECURITY POLICY DEFAULT",
    );
    run(&mut session, "SELECT now()");
    run(
        &mut session,
        "ALTER FUNCTION now SET SECURITY POLICY MINIMAL",
    );
    let refused = refuse(&mut session, "SELECT now()", "42501");
    assert_eq!(refused.detail(), Some("it has no grants"));
    assert_eq!(
        text(
            &mut session,
            "SELECT capabilities FROM heliosdb.policies WHERE name = 'MINIMAL'"
        ),
        ""
    );
}

#[test]
fn h50_default_gives_what_its_row_shows() {
    let mut session = prepared();
    run(
        &mut session,
        "ALTER FUNCTION now SET SECURITY POLICY default",
    );
    assert!(matches!(
        value(&mut session, "SELECT now()"),
        Value::Integer(1..)
    ));
    run(
        &mut session,
        "ALTER FUNCTION public_query SET SECURITY POLICY DEFAULT",
    );
    let refused = refuse(&mut session, "SELECT public_query('users')", "42501");
    assert_eq!(
        refused.detail(),
        Some("policy \"DEFAULT\" gives TIME_ACCESS; it has no grants")
    );
    let row = run(
        &mut session,
        "SELECT capabilities, max_memory_bytes, max_cpu_time_ms, max_wall_time_ms,
                max_instructions, max_stack_bytes, audit_logging
         FROM heliosdb.policies WHERE name = 'DEFAULT'",
    );
    let integers = [16 << 20, 5_000, 10_000, 10_000_000_000, 2 << 20, 1];
    let mut expected = vec![Value::Text("TIME_ACCESS".into())];
    expected.extend(integers.map(Value::Integer));
    assert_eq!(row.rows, [expected]);
}

#[test]
fn h51_permissive_gives_most_and_has_higher_limits() {
    let mut session = prepared();
    refuse(&mut session, "SELECT fill(20000000)", "53200");
    run(
        &mut session,
        "ALTER FUNCTION public_query SET SECURITY POLICY PERMISSIVE;
         ALTER FUNCTION add_user SET SECURITY POLICY PERMISSIVE;
         ALTER FUNCTION fill SET SECURITY POLICY PERMISSIVE;
         ALTER FUNCTION now SET SECURITY POLICY PERMISSIVE",
    );
    assert!(text(&mut session, "SELECT public_query('secrets')").contains("CANARY"));
    assert_eq!(value(&mut session, "SELECT add_user()"), Value::Integer(1));
    run(&mut session, "SELECT now()");
    assert_eq!(
        value(&mut session, "SELECT fill(100000000)"),
        Value::Integer(100_000_000)
    );
    let beyond = refuse(&mut session, "SELECT fill(140000000)", "53200");
    assert!(
        beyond.message().contains(
            "memory limit of 128 MiB reached (133.6 MiB needed; policy \"PERMISSIVE\", max_memory_bytes)"
        ) || beyond.message().contains("memory limit of 128 MiB reached"),
        "{beyond:?}"
    );
    assert_eq!(beyond.detail(), Some("no policy can have more"));
    // Not the host's own views, nor the schema.
    refuse(
        &mut session,
        "SELECT public_query('heliosdb.audit_log')",
        "42501",
    );
}

#[test]
fn h52_the_sample_runs_verbatim_and_each_key_holds() {
    let mut session = prepared();
    run(&mut session, STRICT_READ_ONLY);
    run(
        &mut session,
        "ALTER FUNCTION public_query\nSET SECURITY POLICY strict_read_only;
         ALTER FUNCTION now SET SECURITY POLICY strict_read_only;
         ALTER FUNCTION spin SET SECURITY POLICY strict_read_only;
         ALTER FUNCTION fill SET SECURITY POLICY strict_read_only;",
    );
    // capabilities
    assert_eq!(
        text(&mut session, "SELECT public_query('public_notes')"),
        r#"{"note":"hello"}"#
    );
    refuse(&mut session, "SELECT public_query('users')", "42501");
    run(&mut session, "SELECT now()");
    // max_memory_bytes: the engine itself runs within it.
    let beyond = refuse(&mut session, "SELECT fill(4194304)", "53200");
    assert!(
        beyond.message().contains("memory limit of 4 MiB reached")
            && beyond
                .message()
                .contains("policy \"strict_read_only\", max_memory_bytes)"),
        "{beyond:?}"
    );
    assert_eq!(
        beyond.hint(),
        Some("ALTER FUNCTION fill SET (max_memory_bytes = 8388608);")
    );
    // max_cpu_time_ms, and max_wall_time_ms where the machine is busy; of several limits
    // the first one ends it.
    run(
        &mut session,
        "ALTER SECURITY POLICY strict_read_only SET (max_instructions = 100000000000)",
    );
    let spun = refuse(&mut session, "SELECT spin()", "57014");
    assert!(
        spun.message().contains("cpu time limit of 1 s reached")
            || spun.message().contains("wall time limit of 2 s reached"),
        "{spun:?}"
    );
}

#[test]
fn h52_a_bad_policy_is_refused_and_nothing_is_made() {
    let mut session = session();
    let mut refused = |settings: &str, sqlstate: &str, part: &str| {
        let sql = format!("CREATE SECURITY POLICY p AS ({settings})");
        let error = refuse(&mut session, &sql, sqlstate);
        let said = format!(
            "{} {} {}",
            error.message(),
            error.detail().unwrap_or(""),
            error.hint().unwrap_or("")
        );
        assert!(said.contains(part), "{error:?}");
    };
    refused(
        "max_memory_bytes: 134217729",
        "22023",
        "from 65536 to 134217728",
    );
    refused("max_cpu_time_ms: 60001", "22023", "from 1 to 60000");
    refused("max_wall_time_ms: 120001", "22023", "from 1 to 120000");
    refused("max_instructions: 100000000001", "22023", "to 100000000000");
    refused(
        "max_stack_bytes: 16777216",
        "22023",
        "2097152, 4194304 or 8388608",
    );
    refused("max_cpu_time_ms: 0", "22023", "max_cpu_time_ms cannot be 0");
    refused(
        "max_cpu_time_ms: -5",
        "22023",
        "max_cpu_time_ms cannot be -5",
    );
    refused(
        "max_cpu_time_ms: 1.5",
        "22023",
        "max_cpu_time_ms cannot be 1.5",
    );
    refused("max_cpu_time_ms: 1e3", "22023", "cannot be 1e3");
    refused("max_cpu_time_ms: 99999999999999999999", "22023", "from 1");
    refused("max_cpu_time_ms: 'x'", "22023", "from 1 to 60000");
    refused("max_cpu_time: 5", "22023", "did you mean max_cpu_time_ms?");
    refused(
        "max_cpu_time_ms: 5, max_cpu_time_ms: 6",
        "42601",
        "given twice",
    );
    refused("max_file_handles: 5", "0A000", "not built");
    refused(
        "capabilities: true",
        "22023",
        "capabilities has a bad value",
    );
    refused("capabilities: [NO_SUCH]", "22023", "no capability");
    refused("capabilities: [CRYPTO_ACCESS]", "0A000", "not built");
    refused("allowed_syscalls: ['path_open']", "0A000", "path_open");
    refused(
        "allowed_syscalls: ['clock_time_gett']",
        "22023",
        "did you mean 'clock_time_get'?",
    );
    refused("audit_logging: 'yes'", "22023", "true or false");
    refused("audit_durability: 'never'", "22023", "'sync' or 'group'");
    refused("reviewed_by: ''", "22023", "a name");
    assert_eq!(
        column(&mut session, "SELECT name FROM heliosdb.policies"),
        ["MINIMAL", "DEFAULT", "PERMISSIVE"]
    );
    let changes = "SELECT count(*) FROM heliosdb.audit_log";
    assert_eq!(value(&mut session, changes), Value::Integer(0));
}

#[test]
fn policies_have_names_of_their_own() {
    let mut session = session();
    run(&mut session, STRICT_READ_ONLY);
    refuse(&mut session, STRICT_READ_ONLY, "42710");
    for sql in [
        "CREATE SECURITY POLICY Minimal AS (max_cpu_time_ms: 1)",
        "CREATE OR REPLACE SECURITY POLICY \"DEFAULT\" AS (max_cpu_time_ms: 1)",
        "ALTER SECURITY POLICY PERMISSIVE SET (max_cpu_time_ms = 1)",
        "DROP SECURITY POLICY minimal",
    ] {
        refuse(&mut session, sql, "42939");
    }
    for sql in [
        "ALTER SECURITY POLICY strict_read_onyl SET (max_cpu_time_ms = 1)",
        "DROP SECURITY POLICY strict_read_onyl",
    ] {
        let error = refuse(&mut session, sql, "42704");
        assert_eq!(error.hint(), Some("did you mean strict_read_only?"));
    }
    let outcome = run(&mut session, "DROP SECURITY POLICY IF EXISTS nothing");
    assert_eq!(outcome.notices.len(), 1);
    run(&mut session, "BEGIN");
    refuse(
        &mut session,
        "DROP SECURITY POLICY strict_read_only",
        "25001",
    );
}

#[test]
fn h53_a_new_version_holds_from_the_next_call_on() {
    let mut session = prepared();
    run(&mut session, STRICT_READ_ONLY);
    run(
        &mut session,
        "ALTER FUNCTION public_query SET SECURITY POLICY strict_read_only;
         ALTER FUNCTION public_query GRANT CAPABILITY DATABASE_READ('secrets')",
    );
    run(&mut session, "SELECT public_query('public_notes')");
    run(
        &mut session,
        "ALTER SECURITY POLICY strict_read_only SET (capabilities: [], reviewed_by: 'Ada')",
    );
    refuse(&mut session, "SELECT public_query('public_notes')", "42501");
    // Its own grants stay.
    run(&mut session, "SELECT public_query('secrets')");
    run(
        &mut session,
        "CREATE OR REPLACE SECURITY POLICY strict_read_only AS (capabilities: [DATABASE_READ('users')])",
    );
    run(&mut session, "SELECT public_query('users')");
    assert_eq!(
        column(
            &mut session,
            "SELECT version || coalesce(json_extract(definition, '$.reviewed_by'), '-')
             FROM heliosdb.policy_versions WHERE name = 'strict_read_only'"
        ),
        ["1-", "2Ada", "3-"]
    );
    assert_eq!(
        column(
            &mut session,
            "SELECT json_extract(detail, '$.action') || json_extract(detail, '$.policy_version')
             FROM heliosdb.audit_log
             WHERE event_type = 'PolicyChanged' AND target = 'strict_read_only'"
        ),
        ["CREATE1", "ALTER2", "CREATE3"]
    );
}

#[test]
fn h92_h103_each_version_of_a_policy_says_who_reviewed_it() {
    let mut session = session();
    run(
        &mut session,
        "CREATE SECURITY POLICY p AS (max_cpu_time_ms: 100, reviewed_by: 'Ada');
         ALTER SECURITY POLICY p SET (max_cpu_time_ms = 200, reviewed_by = DEFAULT);
         ALTER SECURITY POLICY p SET (reviewed_by = 'Bob');",
    );
    let sql = "SELECT concat_ws(' ', version, json_extract(definition, '$.max_cpu_time_ms'),
                      json_extract(definition, '$.reviewed_by'), created_by)
               FROM heliosdb.policy_versions WHERE name = 'p' ORDER BY version";
    assert_eq!(
        column(&mut session, sql),
        ["1 100 Ada owner", "2 200 owner", "3 200 Bob owner"]
    );
    let now = "SELECT version || reviewed_by FROM heliosdb.policies WHERE name = 'p'";
    assert_eq!(text(&mut session, now), "3Bob");
    // And what was changed when is in the log.
    let changed = "SELECT json_extract(detail, '$.definition.reviewed_by')
                   FROM heliosdb.audit_log WHERE event_type = 'PolicyChanged' AND target = 'p'
                   ORDER BY seq DESC LIMIT 1";
    assert_eq!(text(&mut session, changed), "Bob");
}

#[test]
fn d1_setting_a_policy_replaces_everything_and_says_what() {
    let mut session = prepared();
    run(
        &mut session,
        "ALTER FUNCTION now GRANT CAPABILITY TIME_ACCESS, DATABASE_READ('users');
         ALTER FUNCTION now DENY CAPABILITY DATABASE_READ('secrets');
         ALTER FUNCTION now SET (max_cpu_time_ms = 7)",
    );
    let outcome = run(
        &mut session,
        "ALTER FUNCTION now SET SECURITY POLICY MINIMAL",
    );
    assert_eq!(
        outcome.notices[0].message,
        "function \"now\" no longer has its own: granted TIME_ACCESS, DATABASE_READ('users'); \
         denied DATABASE_READ('secrets')"
    );
    refuse(&mut session, "SELECT now()", "42501");
    let own = "SELECT count(*) FROM heliosdb.function_limits
               WHERE function_name = 'now' AND set_by <> 'policy \"MINIMAL\"'";
    assert_eq!(value(&mut session, own), Value::Integer(0));
}

#[test]
fn h91_without_logging_refusals_and_broken_limits_are_recorded_all_the_same() {
    let mut session = prepared();
    run(
        &mut session,
        "CREATE SECURITY POLICY silent AS (audit_logging: false, max_instructions: 5000000);
         ALTER FUNCTION now SET SECURITY POLICY silent;
         ALTER FUNCTION spin SET SECURITY POLICY silent;
         ALTER FUNCTION fill SET SECURITY POLICY silent",
    );
    run(&mut session, "SELECT fill(10)");
    refuse(&mut session, "SELECT now()", "42501");
    refuse(&mut session, "SELECT spin()", "57014");
    assert_eq!(
        column(
            &mut session,
            "SELECT function_name || ' ' || event_type FROM heliosdb.audit_log
             WHERE event_type NOT IN ('FunctionChanged', 'PolicyChanged') ORDER BY seq"
        ),
        ["now CapabilityCheck", "spin ResourceLimitExceeded"]
    );
    session.take_notices();
}

#[test]
fn a_policy_that_a_function_has_is_not_dropped() {
    let mut session = prepared();
    run(&mut session, STRICT_READ_ONLY);
    run(
        &mut session,
        "ALTER FUNCTION now SET SECURITY POLICY strict_read_only",
    );
    let error = refuse(
        &mut session,
        "DROP SECURITY POLICY strict_read_only",
        "2BP01",
    );
    assert_eq!(error.detail(), Some("by now"));
    run(&mut session, error.hint().unwrap());
    run(&mut session, "DROP SECURITY POLICY strict_read_only");
    // Its history stays, and goes on.
    run(&mut session, STRICT_READ_ONLY);
    assert_eq!(
        column(
            &mut session,
            "SELECT version FROM heliosdb.policy_versions WHERE name = 'strict_read_only'"
        ),
        ["1", "2"]
    );
}

#[test]
fn h102_an_earlier_version_of_a_function_runs_again() {
    let mut session = session();
    for n in 1..=3 {
        run(
            &mut session,
            &format!(
                "CREATE OR REPLACE FUNCTION f() RETURNS BIGINT LANGUAGE javascript
                 AS $$ function f() {{ return {n}; }} $$"
            ),
        );
    }
    run(
        &mut session,
        "ALTER FUNCTION f GRANT CAPABILITY TIME_ACCESS",
    );
    assert_eq!(value(&mut session, "SELECT f()"), Value::Integer(3));
    run(&mut session, "ALTER FUNCTION f SET VERSION 1");
    assert_eq!(value(&mut session, "SELECT f()"), Value::Integer(1));
    assert_eq!(session.call("f", &[]).unwrap(), Value::Integer(1));
    assert_eq!(
        column(
            &mut session,
            "SELECT version || ' ' || current || ' ' || created_by
             FROM heliosdb.function_versions WHERE function_name = 'f'"
        ),
        ["1 1 owner", "2 0 owner", "3 0 owner"]
    );
    let grants = "SELECT count(*) FROM heliosdb.grants WHERE function_name = 'f'";
    assert_eq!(value(&mut session, grants), Value::Integer(1));
    let error = refuse(&mut session, "ALTER FUNCTION f SET VERSION 4", "22023");
    assert_eq!(error.message(), "function \"f\" has no version 4");
    run(&mut session, "ALTER FUNCTION f SET VERSION 3");
    assert_eq!(value(&mut session, "SELECT f()"), Value::Integer(3));
}

#[test]
fn h54_h81_grants_that_nobody_uses_are_reported() {
    let mut session = session_with_users();
    run(
        &mut session,
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$
           function f() {
             heliosdb.query('SELECT count(*) FROM secrets');
             return heliosdb.query('SELECT id FROM users').rowCount;
           } $$;
         CREATE FUNCTION g() RETURNS BIGINT LANGUAGE javascript AS $$ function g() { return 1 } $$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users(id)'), DATABASE_READ('users(name)'),
           DATABASE_READ('sec*'), DATABASE_READ('orders' WHERE id = 1), DATABASE_WRITE('users');
         ALTER FUNCTION f DENY CAPABILITY DATABASE_WRITE('users');
         ALTER FUNCTION g SET SECURITY POLICY DEFAULT",
    );
    let unused = "SELECT concat_ws(' ', function_name, kind, capability, pattern)
                  FROM heliosdb.unused_grants WHERE last_used IS NULL ORDER BY 1";
    assert_eq!(column(&mut session, unused).len(), 6);
    run(&mut session, "SELECT f()");
    assert_eq!(
        column(&mut session, unused),
        [
            "f GRANT DATABASE_READ 'orders' WHERE id = 1",
            "f GRANT DATABASE_READ users(name)",
            "f GRANT DATABASE_WRITE users",
            "g POLICY TIME_ACCESS",
        ]
    );
    // Each was granted a moment ago, which is known to the second.
    let known = "SELECT count(*) FROM heliosdb.unused_grants
                 WHERE granted_at > datetime('now', '-1 minute') AND unused_days = 0";
    assert_eq!(text(&mut session, known), "4");
    let old = "SELECT count(*) FROM heliosdb.unused_grants WHERE unused_days >= 30";
    assert_eq!(text(&mut session, old), "0");
    // Nobody but the session reads it.
    run(
        &mut session,
        "CREATE FUNCTION h() RETURNS BIGINT LANGUAGE javascript AS $$
           function h() { return heliosdb.query('SELECT 1 FROM heliosdb.unused_grants').rowCount } $$;
         ALTER FUNCTION h GRANT CAPABILITY DATABASE_READ('*')",
    );
    refuse(&mut session, "SELECT h()", "42501");
}

#[test]
fn h54_a_grant_of_everything_warns() {
    let mut session = session_with_users();
    run(
        &mut session,
        "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE javascript AS $$ function f() { return 1 } $$",
    );
    for (statement, warnings) in [
        (
            "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('*'), DATABASE_WRITE('main.*')",
            2,
        ),
        (
            "CREATE SECURITY POLICY p AS (capabilities: [DATABASE_READ('*')])",
            1,
        ),
        (
            "ALTER SECURITY POLICY p SET (capabilities = [DATABASE_WRITE('*')])",
            1,
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('*(id)'), DATABASE_READ('user*')",
            0,
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('*' WHERE id = 1)",
            0,
        ),
        ("ALTER FUNCTION f DENY CAPABILITY DATABASE_READ('*')", 0),
    ] {
        let outcome = run(&mut session, statement);
        let wide = outcome
            .notices
            .iter()
            .filter(|n| n.message.contains("covers every table"));
        assert_eq!(wide.count(), warnings, "{statement}: {:?}", outcome.notices);
    }
}
