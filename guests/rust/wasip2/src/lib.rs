//! An ordinary crate for `wasm32-wasip2`, as one finds them: its standard library
//! imports WASI although the procedures use little of it. `words` needs no GRANT;
//! `attempt` shows what becomes of system calls, of which only the clock can be granted:
//!
//! ```sql
//! ALTER FUNCTION attempt GRANT CAPABILITY TIME_ACCESS;
//! ```

use std::collections::HashSet;
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

wit_bindgen::generate!({ path: "wit", world: "wasip2" });

struct Procedures;

impl Guest for Procedures {
    /// The set's hash keys come from `wasi:random`, and what is printed goes to
    /// `wasi:cli`.
    fn words(text: String) -> Vec<String> {
        let words: HashSet<String> = text.split_whitespace().map(str::to_owned).collect();
        println!("{} words", words.len());
        words.into_iter().collect()
    }

    fn attempt(what: String) -> String {
        match what.as_str() {
            "time" => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(time) => time.as_secs().to_string(),
                Err(error) => error.to_string(),
            },
            "sleep" => {
                std::thread::sleep(Duration::from_millis(100));
                "slept".to_string()
            }
            "environment" => std::env::vars().count().to_string(),
            "arguments" => std::env::args().count().to_string(),
            "exit" => std::process::exit(3),
            "open" => match std::fs::read_to_string("/etc/passwd") {
                Ok(text) => text,
                Err(error) => error.kind().to_string(),
            },
            "connect" => match TcpStream::connect("127.0.0.1:22") {
                Ok(_) => "connected".to_string(),
                Err(error) => error.kind().to_string(),
            },
            other => format!("cannot attempt {other:?}"),
        }
    }
}

export!(Procedures);
