//! What a database needs before functions may work there: a role for the host, and less
//! for everybody than PostgreSQL gives by default.
//!
//! A superuser does it once (`perihelion postgres setup`); whenever a vault is opened, the
//! host looks whether it is still so.

use super::address::PostgresUrl;
use super::connection::{Connection, Patience, unreachable};
use super::failure::Failure;
use super::roles::new_password;
use crate::error::{Error, Result, SqlState};
use crate::statement::quoted;
use std::time::{Duration, Instant};

/// Settings of every connection of the host's.
pub(super) const HOST_SETTINGS: &str = "-c standard_conforming_strings=on -c DateStyle=ISO \
    -c TimeZone=UTC -c client_min_messages=notice";

/// Settings of a function's connections: what a name without a schema means, above all.
/// A call sets its own timeouts; these hold outside of one.
pub(super) const GUEST_SETTINGS: &str = "-c standard_conforming_strings=on -c TimeZone=UTC \
    -c search_path=public -c client_min_messages=error -c statement_timeout=130000 \
    -c lock_timeout=130000 -c idle_in_transaction_session_timeout=130000 -c jit=off";

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(60);

const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Functions that make or change large objects, which outlive every transaction and
/// belong to no table.
const LARGE_OBJECTS: &str = "'lo_creat', 'lo_create', 'lo_export', 'lo_from_bytea', \
    'lo_import', 'lo_open', 'lo_put', 'lo_truncate', 'lo_truncate64', 'lo_unlink', 'lowrite'";

/// What is not as it must be, a row each, with the statement that changes it.
pub(super) const CHECK: &str = "
    SELECT format('role %I is a superuser', current_user),
           format('ALTER ROLE %I NOSUPERUSER;', current_user)
    FROM pg_catalog.pg_roles WHERE rolname = current_user AND rolsuper
    UNION ALL
    SELECT format('role %I may not create roles', current_user),
           format('ALTER ROLE %I CREATEROLE;', current_user)
    FROM pg_catalog.pg_roles WHERE rolname = current_user AND NOT rolcreaterole
    UNION ALL
    SELECT 'everybody may make temporary tables',
           format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC;', current_database())
    WHERE has_database_privilege('public', current_database(), 'TEMPORARY')
    UNION ALL
    SELECT 'everybody may make schemas',
           format('REVOKE CREATE ON DATABASE %I FROM PUBLIC;', current_database())
    WHERE has_database_privilege('public', current_database(), 'CREATE')
    UNION ALL
    SELECT format('everybody may make tables in schema %I', nspname),
           format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC;', nspname)
    FROM pg_catalog.pg_namespace WHERE has_schema_privilege('public', oid, 'CREATE')
    UNION ALL
    SELECT format('everybody may call %s', oid::regprocedure),
           format('REVOKE EXECUTE ON FUNCTION pg_catalog.%s FROM PUBLIC;', oid::regprocedure)
    FROM pg_catalog.pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace
      AND proname IN ('lo_creat', 'lo_create', 'lo_export', 'lo_from_bytea', 'lo_import',
                      'lo_open', 'lo_put', 'lo_truncate', 'lo_truncate64', 'lo_unlink',
                      'lowrite')
      AND has_function_privilege('public', oid, 'EXECUTE')
    UNION ALL
    SELECT 'its version is ' || current_setting('server_version'), ''
    WHERE current_setting('server_version_num')::int < 150000";

/// The error for what [`CHECK`] found, if it found anything.
pub(super) fn refuse_exposed(found: &[Vec<Option<String>>]) -> Result<()> {
    let column = |index: usize| {
        let cells = found.iter().filter_map(move |row| row.get(index)?.clone());
        cells.filter(|text| !text.is_empty()).collect::<Vec<_>>()
    };
    let what = column(0);
    if what.is_empty() {
        return Ok(());
    }
    let message = "the database is not set up for functions";
    Err(Error::new(SqlState::DISABLED, message)
        .with_detail(what.join("; "))
        .with_hint(format!(
            "perihelion postgres setup --database <a superuser's URL>, or as a superuser: {}",
            column(1).join(" ")
        )))
}

/// Sets a database up, as the superuser of the URL, for a role of this name, which is
/// made if need be and gets a new password. Returns the URL for that role.
///
/// It can be run again, as when tables of other owners have come.
pub fn set_up_postgres(url: &PostgresUrl, role: &str) -> Result<String> {
    let password = new_password()?;
    let sql = setup_sql(url, role, Some(&password))?;
    let address = url.address();
    let until = Patience::Until(Instant::now() + PATIENCE);
    let opened = Connection::open(address, HOST_SETTINGS, MESSAGE_BYTES_MAX, until);
    let mut connection = opened.map_err(|failure| unreachable(failure, address))?;
    let sql = format!("BEGIN;\n{sql}COMMIT;");
    connection
        .batch(&sql, until)
        .map_err(Failure::into_error)
        .map_err(|error| {
            error.with_hint("a superuser of the database can set it up, and nobody else")
        })?;
    Ok(url.written_for(role, &password))
}

/// The statements of [`set_up_postgres`], for a superuser who would rather run them
/// himself. They give the role no password.
pub fn postgres_setup_sql(url: &PostgresUrl, role: &str) -> Result<String> {
    setup_sql(url, role, None)
}

fn setup_sql(url: &PostgresUrl, role: &str, password: Option<&str>) -> Result<String> {
    if role.is_empty() || role.len() > 63 || role.contains('\0') || role.contains('\'') {
        let message = format!("\"{role}\" is no name for a role");
        return Err(Error::new(SqlState::INVALID_VALUE, message));
    }
    let password = match password {
        Some(password) => {
            let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
            format!(" PASSWORD '{verifier}'")
        }
        None => String::new(),
    };
    let (role_literal, role) = (format!("'{role}'"), quoted(role));
    let database = quoted(url.address().database());
    Ok(format!(
        "\
-- The host's own role: it makes a role for each function, and is no superuser.
DO $setup$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {role_literal}) THEN
    CREATE ROLE {role};
  END IF;
END $setup$;
ALTER ROLE {role} LOGIN CREATEROLE NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS{password};
GRANT CONNECT, TEMPORARY, CREATE ON DATABASE {database} TO {role};
GRANT CREATE ON SCHEMA public TO {role};
-- It passes on what others own: the tables that there are, and those that whoever runs
-- this makes later. What it makes itself it owns.
DO $setup$ DECLARE schema name; BEGIN
  FOR schema IN SELECT nspname FROM pg_catalog.pg_namespace
    WHERE nspname !~ '^(pg_|information_schema$|heliosdb$)'
  LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I WITH GRANT OPTION', schema, {role_literal});
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I WITH GRANT OPTION', schema, {role_literal});
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I WITH GRANT OPTION', schema, {role_literal});
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I WITH GRANT OPTION', schema, {role_literal});
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT USAGE ON SEQUENCES TO %I WITH GRANT OPTION', schema, {role_literal});
  END LOOP;
END $setup$;
-- Nobody makes what outlives a call, unless it is granted to them by name.
REVOKE TEMPORARY, CREATE ON DATABASE {database} FROM PUBLIC;
DO $setup$ DECLARE what text; BEGIN
  FOR what IN SELECT format('CREATE ON SCHEMA %I', nspname) FROM pg_catalog.pg_namespace
      WHERE has_schema_privilege('public', oid, 'CREATE')
    UNION ALL
    SELECT format('EXECUTE ON FUNCTION pg_catalog.%s', oid::regprocedure)
      FROM pg_catalog.pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
      AND proname IN ({LARGE_OBJECTS})
  LOOP
    EXECUTE 'REVOKE ' || what || ' FROM PUBLIC';
  END LOOP;
END $setup$;
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_must_be_is_listed_with_its_cure() {
        assert!(refuse_exposed(&[]).is_ok());
        let row = |what: &str, cure: &str| vec![Some(what.to_string()), Some(cure.to_string())];
        let error = refuse_exposed(&[row("a", "b;"), row("c", "")]).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::DISABLED);
        assert_eq!(error.detail(), Some("a; c"));
        assert!(error.hint().unwrap().ends_with(": b;"));
    }

    #[test]
    fn the_statements_have_no_plain_password_and_only_a_name_for_a_role() {
        let url = PostgresUrl::parse("postgres://u@localhost/d\"b").unwrap();
        let sql = setup_sql(&url, "host", Some("hunter2")).unwrap();
        assert!(sql.contains("PASSWORD 'SCRAM-SHA-256$4096:"));
        assert!(!sql.contains("hunter2"));
        assert!(sql.contains("ON DATABASE \"d\"\"b\""));
        assert!(
            !postgres_setup_sql(&url, "host")
                .unwrap()
                .contains("PASSWORD")
        );
        for role in ["", "a'b", "a\0b", &"a".repeat(64)] {
            assert!(setup_sql(&url, role, None).is_err(), "{role}");
        }
    }
}
