//! Sending a request: the head, then the body as it comes, never holding more than one piece of it.

use super::chunked;
use super::conn::Wire;
use super::error::{ErrorKind, ExchangeError};
use bytes::{Buf, Bytes};
use http::Method;
use http_body::Body;
use std::error::Error;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Pieces up to this size are copied behind what is to be written and go out with it in one `send`; larger
/// ones are written from where they are.
const COPY: usize = 4 * 1024;

/// The state of a request on its way out. What is to be written is `wire.write[done..]`, `piece`, `suffix`.
pub(super) struct Upload {
    rest: Rest,
    done: usize,
    piece: Bytes,
    suffix: &'static [u8],
    /// Bytes handed to the transport, to see progress.
    pub(super) written: u64,
    /// Something was taken from the body.
    pub(super) consumed: bool,
    /// The body is not touched until [`Upload::proceed`].
    held: bool,
}

/// What of the body is still to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    Length(u64),
    Chunks,
}

/// What stopped the gathering of pieces.
enum Gathered {
    All,
    Enough,
    Blocked,
}

impl Upload {
    /// Writes the head into the buffer: the caller's lines, then the framing that the body asks for, then
    /// the empty line. A body without a known size goes in chunks.
    pub(super) fn start<B: Body>(
        wire: &mut Wire,
        method: &Method,
        head: impl FnOnce(&mut Vec<u8>),
        body: &mut Option<B>,
        hold: bool,
    ) -> Self {
        wire.write.clear();
        head(&mut wire.write);
        let length =
            body.as_ref().map_or(Some(0), |body| if body.is_end_stream() { Some(0) } else { body.size_hint().exact() });
        let rest = match length {
            // The absence of a body says nothing of itself where one is usual (RFC 9110, 8.6).
            Some(0) => {
                *body = None;
                if matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
                    wire.write.extend_from_slice(b"content-length: 0\r\n");
                }
                Rest::Nothing
            }
            Some(length) => {
                wire.write.extend_from_slice(b"content-length: ");
                wire.write.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
                wire.write.extend_from_slice(b"\r\n");
                Rest::Length(length)
            }
            None => {
                wire.write.extend_from_slice(b"transfer-encoding: chunked\r\n");
                Rest::Chunks
            }
        };
        wire.write.extend_from_slice(b"\r\n");
        Self {
            rest,
            done: 0,
            piece: Bytes::new(),
            suffix: b"",
            written: 0,
            consumed: false,
            held: hold && rest != Rest::Nothing,
        }
    }

    /// Ends the wait for `100 Continue`.
    pub(super) fn proceed(&mut self) {
        self.held = false;
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Something waits for the transport to take it.
    pub(super) fn is_blocked(&self, wire: &Wire) -> bool {
        wire.write.len() > self.done || !self.piece.is_empty() || !self.suffix.is_empty()
    }

    /// Sends what can be sent; ready when the whole request is out.
    pub(super) fn poll<B>(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Wire,
        body: &mut Option<B>,
    ) -> Poll<Result<(), ExchangeError>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        loop {
            let gathered = self.gather(cx, wire, body)?;
            ready!(self.poll_write(cx, wire)).map_err(ExchangeError::io)?;
            match gathered {
                Gathered::All => return Poll::Ready(Ok(())),
                Gathered::Enough => {}
                Gathered::Blocked => return Poll::Pending,
            }
        }
    }

    /// Takes pieces from the body until there is enough to write.
    fn gather<B>(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Wire,
        body: &mut Option<B>,
    ) -> Result<Gathered, ExchangeError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        loop {
            if matches!(self.rest, Rest::Nothing | Rest::Length(0)) {
                self.rest = Rest::Nothing;
                *body = None;
                return Ok(Gathered::All);
            }
            if self.held {
                return Ok(Gathered::Blocked);
            }
            if !self.piece.is_empty() || wire.write.len() >= 2 * COPY {
                return Ok(Gathered::Enough);
            }
            let Some(source) = body.as_mut() else {
                return Err(ended_early());
            };
            match Pin::new(source).poll_frame(cx) {
                Poll::Pending => return Ok(Gathered::Blocked),
                Poll::Ready(None) if self.rest == Rest::Chunks => {
                    chunked::write_end(&mut wire.write, None);
                    self.rest = Rest::Nothing;
                }
                Poll::Ready(None) => return Err(ended_early()),
                Poll::Ready(Some(Err(error))) => {
                    self.consumed = true;
                    return Err(ExchangeError::because(ErrorKind::RequestBody, error));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    self.consumed = true;
                    match frame.into_data() {
                        Ok(data) if data.is_empty() => {}
                        Ok(data) => self.push(wire, data)?,
                        Err(frame) if self.rest == Rest::Chunks => {
                            chunked::write_end(&mut wire.write, frame.trailers_ref());
                            self.rest = Rest::Nothing;
                        }
                        Err(_) => return Err(ended_early()),
                    }
                }
            }
        }
    }

    fn push(&mut self, wire: &mut Wire, data: Bytes) -> Result<(), ExchangeError> {
        let chunks = self.rest == Rest::Chunks;
        if let Rest::Length(left) = &mut self.rest {
            let over = || ExchangeError::because(ErrorKind::RequestBody, "longer than its content-length");
            *left = left.checked_sub(data.len() as u64).ok_or_else(over)?;
        }
        if chunks {
            chunked::write_size(&mut wire.write, data.len());
        }
        if data.len() <= COPY {
            wire.write.extend_from_slice(&data);
            wire.write.extend_from_slice(if chunks { b"\r\n" } else { b"" });
        } else {
            self.piece = data;
            self.suffix = if chunks { b"\r\n" } else { b"" };
        }
        Ok(())
    }

    /// Takes what there is of the body: whether the whole request stands in the write buffer now.
    #[inline]
    pub(super) fn gathers_all<B>(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Wire,
        body: &mut Option<B>,
    ) -> Result<bool, ExchangeError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        Ok(matches!(self.gather(cx, wire, body)?, Gathered::All) && self.piece.is_empty())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, wire: &mut Wire) -> Poll<io::Result<()>> {
        if let Some(error) = wire.broken.take() {
            return Poll::Ready(Err(error));
        }
        loop {
            let Wire { stream, write, .. } = wire;
            let head = write.get(self.done..).unwrap_or_default();
            let stream = Pin::new(stream);
            let mut n = match (head.is_empty(), self.piece.is_empty() && self.suffix.is_empty()) {
                (true, true) => break,
                (false, true) => ready!(tokio::io::AsyncWrite::poll_write(stream, cx, head))?,
                (_, false) => {
                    let parts = [IoSlice::new(head), IoSlice::new(&self.piece), IoSlice::new(self.suffix)];
                    ready!(tokio::io::AsyncWrite::poll_write_vectored(stream, cx, &parts))?
                }
            };
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += n as u64;
            let part = n.min(head.len());
            self.done += part;
            n -= part;
            let part = n.min(self.piece.len());
            self.piece.advance(part);
            n -= part;
            self.suffix = self.suffix.get(n..).unwrap_or_default();
        }
        wire.write.clear();
        self.done = 0;
        if wire.stream.needs_flush() {
            return tokio::io::AsyncWrite::poll_flush(Pin::new(&mut wire.stream), cx);
        }
        Poll::Ready(Ok(()))
    }
}

fn ended_early() -> ExchangeError {
    ExchangeError::because(ErrorKind::RequestBody, "shorter than its content-length")
}
