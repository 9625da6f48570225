//! The bytes of a connection, watched as they come in: how long a message of the server
//! may be, and whether its transaction is open.
//!
//! Not for what messages mean: the library knows. But it holds a message as a whole
//! before it hands it on, a row of a gigabyte as well, and keeps the transaction's state
//! to itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream to a server.
pub(super) enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

/// A stream whose messages are counted.
pub(super) struct Watched {
    stream: Stream,
    frames: Frames,
    seen: Arc<Seen>,
}

/// What was seen of the server.
#[derive(Default)]
pub(super) struct Seen {
    state: AtomicU8,
    is_too_large: AtomicBool,
}

/// Whether a transaction is open at the server, as it said last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Idle,
    Open,
    /// Open, and nothing but its end is accepted.
    Failed,
}

/// Where in a message the stream is.
struct Frames {
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    body_bytes_left: usize,
    /// The first byte of the body is the transaction's state.
    is_ready_for_query: bool,
    message_bytes_max: usize,
}

/// A message's type, and its length, which counts itself and not the type.
const HEADER_BYTES: usize = 5;
const LENGTH_BYTES: usize = 4;

impl Seen {
    pub(super) fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            b'T' => State::Open,
            b'E' => State::Failed,
            _ => State::Idle,
        }
    }

    /// Whether the server began a message longer than one may be: the connection ended.
    pub(super) fn is_too_large(&self) -> bool {
        self.is_too_large.load(Ordering::Relaxed)
    }
}

impl Watched {
    pub(super) fn new(stream: Stream, message_bytes_max: usize, seen: Arc<Seen>) -> Watched {
        Watched {
            stream,
            frames: Frames::new(message_bytes_max),
            seen,
        }
    }
}

impl Frames {
    fn new(message_bytes_max: usize) -> Frames {
        Frames {
            header: [0; HEADER_BYTES],
            header_bytes: 0,
            body_bytes_left: 0,
            is_ready_for_query: false,
            message_bytes_max,
        }
    }

    /// Follows what came in. `Err` if a message is too long, before it is there.
    fn take(&mut self, mut bytes: &[u8], seen: &Seen) -> Result<(), ()> {
        while let Some(first) = bytes.first() {
            if self.body_bytes_left > 0 {
                if std::mem::take(&mut self.is_ready_for_query) {
                    seen.state.store(*first, Ordering::Relaxed);
                }
                let taken = self.body_bytes_left.min(bytes.len());
                self.body_bytes_left -= taken;
                bytes = &bytes[taken..];
                continue;
            }
            self.header[self.header_bytes] = *first;
            self.header_bytes += 1;
            bytes = &bytes[1..];
            if self.header_bytes == HEADER_BYTES {
                self.begin_body()?;
            }
        }
        Ok(())
    }

    fn begin_body(&mut self) -> Result<(), ()> {
        let [tag, length @ ..] = self.header;
        let length = u32::from_be_bytes(length) as usize;
        if length > self.message_bytes_max {
            return Err(());
        }
        self.header_bytes = 0;
        self.body_bytes_left = length.saturating_sub(LENGTH_BYTES);
        self.is_ready_for_query = tag == b'Z';
        Ok(())
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if let Poll::Ready(Ok(())) = &read {
            let new = &buffer.filled()[before..];
            if this.frames.take(new, &this.seen).is_err() {
                this.seen.is_too_large.store(true, Ordering::Relaxed);
                return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
            }
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() + LENGTH_BYTES) as u32;
        [&[tag], &length.to_be_bytes()[..], body].concat()
    }

    #[test]
    fn the_state_is_what_the_server_said_last_however_the_bytes_are_cut() {
        let bytes = [
            message(b'D', b"Z\0\0\0\x05E"),
            message(b'Z', b"T"),
            message(b'1', b""),
        ]
        .concat();
        for cut in 1..=bytes.len() {
            let (seen, mut frames) = (Seen::default(), Frames::new(100));
            for piece in bytes.chunks(cut) {
                frames.take(piece, &seen).unwrap();
            }
            assert_eq!(seen.state(), State::Open, "{cut}");
        }
        let (seen, mut frames) = (Seen::default(), Frames::new(100));
        assert_eq!(seen.state(), State::Idle);
        frames.take(&message(b'Z', b"E"), &seen).unwrap();
        assert_eq!(seen.state(), State::Failed);
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_by_its_header() {
        let seen = Seen::default();
        assert!(Frames::new(8).take(&message(b'D', &[0; 4]), &seen).is_ok());
        let too_long = message(b'D', &[0; 5]);
        assert!(Frames::new(8).take(&too_long[..5], &seen).is_err());
        let huge = [b'D', 0xff, 0xff, 0xff, 0xff];
        assert!(Frames::new(usize::MAX >> 33).take(&huge, &seen).is_err());
    }
}
