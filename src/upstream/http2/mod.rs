//! HTTP/2 towards servers, over TLS or with prior knowledge: h2 carries the frames, and here is what a gateway
//! needs around them.
//!
//! The h2 crate is used without hyper's client: a small body is remembered until the server answers, so that what it
//! did not process can be sent again; interim responses come through; and all of an exchange runs
//! in the request's own task, against the same coarse deadlines as HTTP/1.1.
//!
//! A worker has one connection to a server ([`Links`]), and another when the streams of all are in use. A task
//! ([`link`]) drives it, and notices a server that is gone.

mod body;
mod head;
mod link;
mod links;
mod send;
mod upload;

pub(super) use body::Incoming;
pub use head::Head;
pub(super) use links::{Leased, Links};
pub(super) use send::send;
pub(super) use upload::Kept;

use super::error::{ErrorKind, ExchangeError, Malformed};
use h2::Reason;

/// What became of a stream.
fn failure(error: h2::Error) -> ExchangeError {
    let reason = error.reason();
    let kind = if error.is_io() {
        ErrorKind::Reset
    } else if error.is_remote() {
        match reason {
            Some(Reason::REFUSED_STREAM) => ErrorKind::Unprocessed,
            // A stream that a GOAWAY ends is one above the last that the server has looked at.
            _ if error.is_go_away() => ErrorKind::Unprocessed,
            _ => ErrorKind::Reset,
        }
    } else {
        ErrorKind::Malformed(Malformed::Http2)
    };
    ExchangeError::because(kind, error)
}

/// The connection takes no more streams.
fn not_sent(error: h2::Error) -> ExchangeError {
    ExchangeError::because(ErrorKind::Unprocessed, error)
}
