//! What is uploaded cannot use the host up: neither while it is looked into, nor while
//! it is compiled, nor while it is instantiated.

mod bounds;
mod features;
mod generated;
mod records;
mod types;
mod worker;

use crate::support::session;
use perihelion::{Error, Result, Session};

/// A component that exports `nop`, with something more in it.
fn component(more: &str) -> Vec<u8> {
    let text = format!(
        "(component
           (core module (func (export \"nop\")))
           (core instance (instantiate 0))
           (func (export \"nop\") (canon lift (core func 0 \"nop\")))
           {more})"
    );
    wat::parse_str(text).unwrap()
}

/// Uploads bytes as a function.
fn upload(session: &mut Session, name: &str, bytes: &[u8]) -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("upload.wasm");
    std::fs::write(&path, bytes).unwrap();
    let sql = format!(
        "CREATE FUNCTION {name} LANGUAGE wasm AS '{}'",
        path.display()
    );
    session.execute(&sql).map(drop)
}

/// Uploads what must be refused; says why it was.
#[track_caller]
fn refuse(bytes: &[u8], sqlstate: &str) -> Error {
    let error = upload(&mut session(), "nop", bytes).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), sqlstate, "{error:?}");
    error
}

/// One section of a binary.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb128(content.len()), content].concat()
}

fn leb128(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (n & 0x7f) as u8;
        n >>= 7;
        if n == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
