//! The bytes of a component, from where CREATE says that they are.

use crate::error::{Error, Result, SqlState};
use crate::guard::{Guard, Guards};
use crate::limits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::io::Read;
use std::sync::Arc;

/// The component that `AS` names: base64 text, or a path.
pub(super) fn component_bytes(body: &str, guards: Guards) -> Result<Arc<[u8]>> {
    // What base64 makes of the first bytes of WebAssembly.
    if body.trim_start().starts_with("AGFzb") {
        let compact: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let bytes = BASE64.decode(compact).map_err(|error| {
            Error::new(SqlState::BAD_FORM, "bad base64").with_detail(error.to_string())
        })?;
        return Ok(bytes.into());
    }
    let bytes_max = limits::COMPONENT_BYTES_MAX as u64;
    read_component(
        body,
        guards.bound(Guard::UploadBytes, bytes_max, u64::MAX - 1),
    )
}

/// The file that the administrator named. Opened without waiting, so that a FIFO does
/// not hold the session.
#[expect(
    clippy::disallowed_methods,
    reason = "a file that the administrator named"
)]
fn read_component(path: &str, bytes_max: u64) -> Result<Arc<[u8]>> {
    use rustix::fs::{Mode, OFlags};
    let unreadable = |why: String| {
        Error::new(
            SqlState::IO,
            format!("the component \"{path}\" cannot be read: {why}"),
        )
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|error| unreadable(std::io::Error::from(error).kind().to_string()))?;
    let file = std::fs::File::from(file);
    let metadata = file
        .metadata()
        .map_err(|error| unreadable(error.kind().to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is no regular file".to_string()));
    }
    let mut bytes = Vec::new();
    // One byte more than is accepted, so that a larger file is seen to be one.
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.kind().to_string()))?;
    Ok(bytes.into())
}
