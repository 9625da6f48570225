//! What a host and its compile worker say to each other, through pipes: one request,
//! one answer. Every length is checked before anything is made of it.
//!
//! Integers are little-endian. A request is the four bytes `pcw2`, the number of the
//! engine's configuration (1 byte), seconds of CPU time (4), bytes of address space (8),
//! the component's length (8), the component.
//! An answer is one byte; 0 is followed by the hash of the engine's configuration (32
//! bytes) and the code, 1 by message and detail of a refusal, as JSON; code and refusal
//! are a length (8) and that many bytes.

use super::Configuration;
use crate::limits::{COMPONENT_BYTES_MAX, UPLOAD_CODE_BYTES_MAX};
use std::io::{self, Read, Write};

const MAGIC: [u8; 4] = *b"pcw2";
const CODE: u8 = 0;
const REFUSAL: u8 = 1;

/// The longest refusal.
const REFUSAL_BYTES_MAX: u64 = 64 << 10;

/// The head of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Request {
    pub(super) configuration: Configuration,
    pub(super) cpu_seconds: u32,
    pub(super) memory_bytes: u64,
}

/// What came of a compilation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Code {
        compatibility: [u8; 32],
        code: Vec<u8>,
    },
    Refusal {
        message: String,
        detail: String,
    },
}

impl Request {
    pub(super) fn write(self, to: &mut impl Write, component: &[u8]) -> io::Result<()> {
        to.write_all(&MAGIC)?;
        to.write_all(&[self.configuration.number()])?;
        to.write_all(&self.cpu_seconds.to_le_bytes())?;
        to.write_all(&self.memory_bytes.to_le_bytes())?;
        to.write_all(&(component.len() as u64).to_le_bytes())?;
        to.write_all(component)?;
        to.flush()
    }

    /// Reads the head, before which nothing of the component has been read.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Request> {
        if read_array(from)? != MAGIC {
            return Err(io::Error::other("this is no request to compile"));
        }
        let [number] = read_array(from)?;
        let configuration = Configuration::from_number(number)
            .ok_or_else(|| io::Error::other(format!("{number} is no configuration")))?;
        Ok(Request {
            configuration,
            cpu_seconds: u32::from_le_bytes(read_array(from)?),
            memory_bytes: u64::from_le_bytes(read_array(from)?),
        })
    }

    /// Reads the component, which follows.
    pub(super) fn read_component(from: &mut impl Read) -> io::Result<Vec<u8>> {
        read_bytes(from, COMPONENT_BYTES_MAX as u64)
    }
}

impl Answer {
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Answer::Code {
                compatibility,
                code,
            } => {
                to.write_all(&[CODE])?;
                to.write_all(compatibility)?;
                write_bytes(to, code)?;
            }
            Answer::Refusal { message, detail } => {
                let texts = serde_json::to_vec(&[cut(message), cut(detail)])?;
                to.write_all(&[REFUSAL])?;
                write_bytes(to, &texts)?;
            }
        }
        to.flush()
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Answer> {
        match read_array(from)? {
            [CODE] => Ok(Answer::Code {
                compatibility: read_array(from)?,
                code: read_bytes(from, UPLOAD_CODE_BYTES_MAX)?,
            }),
            [REFUSAL] => {
                let bytes = read_bytes(from, REFUSAL_BYTES_MAX)?;
                let [message, detail] = serde_json::from_slice::<[String; 2]>(&bytes)?;
                Ok(Answer::Refusal { message, detail })
            }
            [other] => Err(io::Error::other(format!("{other} is no kind of answer"))),
        }
    }
}

fn read_array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn write_bytes(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(bytes)
}

/// Reads a length and so many bytes; memory is taken as they arrive.
fn read_bytes(from: &mut impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let length = u64::from_le_bytes(read_array(from)?);
    if length > bytes_max {
        return Err(io::Error::other(format!(
            "{length} bytes; at most {bytes_max} are accepted"
        )));
    }
    let mut bytes = Vec::new();
    let read = from.take(length).read_to_end(&mut bytes)?;
    if read as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// A character is at most six bytes of JSON for each of its own.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(REFUSAL_BYTES_MAX as usize / 13)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for configuration in [Configuration::Procedures, Configuration::Conditions] {
            let request = Request {
                configuration,
                cpu_seconds: 60,
                memory_bytes: 2 << 30,
            };
            let mut bytes = Vec::new();
            request.write(&mut bytes, b"component").unwrap();
            let rest = &mut &bytes[..];
            assert_eq!(Request::read(rest).unwrap(), request);
            assert_eq!(Request::read_component(rest).unwrap(), b"component");
        }
        let code = Answer::Code {
            compatibility: [7; 32],
            code: vec![1, 2, 3],
        };
        let mut bytes = Vec::new();
        code.write(&mut bytes).unwrap();
        assert_eq!(Answer::read(&mut &bytes[..]).unwrap(), code);
        let refusal = Answer::Refusal {
            message: "no".into(),
            detail: "\u{1}".repeat(1 << 20),
        };
        let mut bytes = Vec::new();
        refusal.write(&mut bytes).unwrap();
        let Answer::Refusal { message, detail } = Answer::read(&mut &bytes[..]).unwrap() else {
            panic!("{bytes:?}");
        };
        assert!(message == "no" && detail.len() > 1_000);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let request = |magic: &[u8], configuration: u8| {
            let rest = [60, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0];
            [magic, &[configuration], &rest].concat()
        };
        assert!(Request::read(&mut &request(&MAGIC, 1)[..]).is_ok());
        for (magic, configuration) in [(b"pcw1", 0), (&MAGIC, 2), (&MAGIC, 255)] {
            let bytes = request(magic, configuration);
            assert!(Request::read(&mut &bytes[..]).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let long = |length: u64| [&[CODE][..], &[7; 32], &length.to_le_bytes()].concat();
        for bytes in [
            b"".to_vec(),
            b"Usage: false".to_vec(),
            long(4),
            long(u64::MAX),
            [&[REFUSAL][..], &5u64.to_le_bytes(), b"[1,2]"].concat(),
        ] {
            assert!(Answer::read(&mut &bytes[..]).is_err(), "{bytes:?}");
        }
    }
}
