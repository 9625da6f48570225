//! A guest of `cargo component build`, which brings more WASI along than any other.
//! `cargo xtask test --full` builds it, and runs this.

use crate::support::{refuse, root, run, session, text};

#[test]
#[ignore = "needs cargo component: cargo xtask test --full"]
fn a_component_of_cargo_component_runs() {
    let path = root().join("target/guests/wasm32-wasip1/release/component_guest.wasm");
    let mut session = session();
    run(
        &mut session,
        &format!(
            "CREATE FUNCTION words LANGUAGE wasm AS '{0}';
             CREATE FUNCTION artists LANGUAGE wasm AS '{0}';
             CREATE TABLE Artist (ArtistId INTEGER PRIMARY KEY, Name TEXT);
             INSERT INTO Artist VALUES (1, 'AC/DC'), (2, 'Accept');",
            path.display()
        ),
    );
    assert_eq!(
        text(&mut session, "SELECT words('b a  b')"),
        r#"["a 1","b 2"]"#
    );
    refuse(&mut session, "SELECT artists()", "42501");
    run(
        &mut session,
        "ALTER FUNCTION artists GRANT CAPABILITY DATABASE_READ('Artist')",
    );
    assert_eq!(text(&mut session, "SELECT artists()"), "2");
}
