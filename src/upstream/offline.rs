//! The response parser without a connection: for fuzzing and tests.

use super::chunked::Event;
use super::config::Limits;
use super::decode::Decoder;
use super::error::{ErrorKind, ExchangeError};
use super::head::{Head, HeadReader};
use bytes::BytesMut;
use http::{HeaderMap, Method};

/// A whole response.
#[derive(Debug)]
pub struct Whole {
    /// Its head.
    pub head: Head,
    /// Its body, decoded.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: Option<HeaderMap>,
    /// The connection could serve another request.
    pub reusable: bool,
}

/// Reads the final response to a request with `method` from all that a server sent before it closed the
/// connection, in pieces of `step` bytes.
///
/// # Errors
/// [`ErrorKind::Closed`] if it is not complete, or [`ErrorKind::Malformed`].
pub fn read_response(method: &Method, text: &[u8], step: usize) -> Result<Whole, ExchangeError> {
    let limits = Limits::default();
    let mut pieces = text.chunks(step.max(1));
    let mut more = |buf: &mut BytesMut| pieces.next().map(|piece| buf.extend_from_slice(piece)).is_some();
    let (mut buf, mut reader) = (BytesMut::new(), HeadReader::default());
    let head = loop {
        match reader.read(&mut buf, limits.head)? {
            Some(head) if head.status.is_informational() && head.status != 101 => {}
            Some(head) => break head,
            None if more(&mut buf) => {}
            None => return Err(ExchangeError::new(ErrorKind::Closed)),
        }
    };
    let mut decoder = Decoder::new(head.body(method), limits.trailers);
    let (mut body, mut trailers, mut closed) = (Vec::new(), None, false);
    loop {
        match decoder.decode(&mut buf)? {
            Some(Event::Data(data)) => body.extend_from_slice(&data),
            Some(Event::End(found)) => {
                trailers = found;
                break;
            }
            None if more(&mut buf) => {}
            None => {
                decoder.end_of_stream()?;
                closed = true;
                break;
            }
        }
    }
    let reusable = head.keep_alive && !closed && buf.is_empty() && !more(&mut buf);
    Ok(Whole { head, body, trailers, reusable })
}
