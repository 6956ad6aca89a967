//! Response bodies: where they end, whatever frames them. Pure.

use super::chunked::{self, Event};
use super::error::{ErrorKind, ExchangeError};
use super::head::Framing;
use bytes::{Buf, Bytes, BytesMut};

/// Pieces up to this size are copied: that costs less than sharing the buffer, which then serves the next read as it is.
const COPY: usize = 1024;

fn take(buf: &mut BytesMut, n: usize) -> Bytes {
    match buf.get(..n) {
        Some(piece) if n <= COPY => {
            let piece = Bytes::copy_from_slice(piece);
            buf.advance(n);
            piece
        }
        _ => buf.split_to(n).freeze(),
    }
}

/// Decodes one response body.
#[derive(Debug)]
pub enum Decoder {
    /// So many bytes are left.
    Length(u64),
    /// By chunks.
    Chunked(Box<chunked::Decoder>),
    /// Until the connection ends.
    Close,
}

impl Decoder {
    /// The decoder for a body framed like this.
    #[must_use]
    pub fn new(framing: Framing, max_trailers: usize) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Box::new(chunked::Decoder::new(max_trailers))),
            Framing::Close => Self::Close,
        }
    }

    /// Takes the next event from the front of `buf`; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`].
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Event>, ExchangeError> {
        match self {
            Self::Length(0) => Ok(Some(Event::End(None))),
            Self::Length(_) | Self::Close if buf.is_empty() => Ok(None),
            Self::Length(left) => {
                let n = buf.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= n as u64;
                Ok(Some(Event::Data(take(buf, n))))
            }
            Self::Chunked(decoder) => Ok(decoder.decode(buf)?),
            Self::Close => Ok(Some(Event::Data(take(buf, buf.len())))),
        }
    }

    /// Whether the body is complete, without waiting for anything.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`].
    pub fn at_end(&mut self, buf: &mut BytesMut) -> Result<bool, ExchangeError> {
        match self {
            Self::Length(left) => Ok(*left == 0),
            Self::Chunked(decoder) => Ok(decoder.at_end(buf)?),
            Self::Close => Ok(false),
        }
    }

    /// The connection ended: fine only where that is what ends the body.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub fn end_of_stream(&self) -> Result<(), ExchangeError> {
        match self {
            Self::Close | Self::Length(0) => Ok(()),
            Self::Length(_) | Self::Chunked(_) => Err(ExchangeError::new(ErrorKind::Closed)),
        }
    }

    /// Bytes that are surely still to come, for sizing reads.
    #[must_use]
    pub fn expected(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunked(decoder) => decoder.expected(),
            Self::Close => u64::MAX,
        }
    }
}
