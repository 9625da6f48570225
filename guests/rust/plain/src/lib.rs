//! A procedure without the crate `heliosdb`: its own world, bound by wit-bindgen.
//!
//! Its functions are at the top of the component rather than in an interface.
//!
//! ```sql
//! ALTER FUNCTION artists GRANT CAPABILITY DATABASE_READ('Artist');
//! ```

use heliosdb::host::database_read;
use heliosdb::host::types::{Failure, Value};

wit_bindgen::generate!({
    path: ["../../../wit", "wit"],
    world: "procedures:plain/plain",
    generate_all,
});

struct Procedures;

impl Guest for Procedures {
    fn greet(name: String) -> String {
        format!("Hello, {name}!")
    }

    fn artists() -> Result<i64, Error> {
        let rows = database_read::query("SELECT COUNT(ArtistId) FROM Artist", &[])?.rows;
        match rows.first().and_then(|row| row.first()) {
            Some(Value::Integer(count)) => Ok(*count),
            _ => Err(Error::Failed(Failure {
                sqlstate: "42804".into(),
                message: "a count is an integer".into(),
            })),
        }
    }
}

export!(Procedures);
