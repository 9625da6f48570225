//! Data on PostgreSQL: who a function is there, and what reaches the server.

mod cluster;

use cluster::{PASSWORD, SUPERUSER, database};

/// Whoever asks must prove who it is, or the tests of roles would prove nothing.
#[test]
fn the_cluster_of_the_tests_asks_for_passwords() {
    let database = database();
    let right = database
        .cluster
        .psql(SUPERUSER, PASSWORD, &database.name, "SELECT 1");
    assert!(right.status.success());
    for (user, password) in [(SUPERUSER, "wrong"), (SUPERUSER, ""), ("nobody", PASSWORD)] {
        let wrong = database
            .cluster
            .psql(user, password, &database.name, "SELECT 1");
        assert!(!wrong.status.success(), "{user}");
    }
    let method = database.sql("SELECT left(rolpassword, 13) FROM pg_authid WHERE oid = 10");
    assert_eq!(method, "SCRAM-SHA-256");
}
