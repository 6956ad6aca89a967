//! Sending a request's body on a stream: as fast as the server takes it, never holding more than one piece.

use super::failure;
use crate::upstream::error::{ErrorKind, ExchangeError};
use bytes::Bytes;
use h2::SendStream;
use http_body::Body;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A body on its way out.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    piece: Bytes,
    /// What is still to come, if its length was said.
    left: Option<u64>,
    /// Bytes handed to the stream, to see progress.
    pub(super) written: u64,
    /// Something was taken from the body.
    pub(super) consumed: bool,
    /// The body is not touched until [`Upload::proceed`].
    held: bool,
}

impl Upload {
    pub(super) fn new(stream: SendStream<Bytes>, length: Option<u64>, hold: bool) -> Self {
        Self { stream, piece: Bytes::new(), left: length, written: 0, consumed: false, held: hold }
    }

    /// Ends the wait for `100 Continue`.
    pub(super) fn proceed(&mut self) {
        self.held = false;
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Something waits for the server to take it.
    pub(super) fn is_blocked(&self) -> bool {
        !self.piece.is_empty()
    }

    /// Sends what can be sent; ready when all is out, and `body` is empty then.
    pub(super) fn poll<B>(&mut self, cx: &mut Context<'_>, body: &mut Option<B>) -> Poll<Result<(), ExchangeError>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        while !self.held {
            if !self.piece.is_empty() {
                ready!(self.poll_piece(cx, body))?;
                continue;
            }
            let Some(source) = body.as_mut() else {
                return Poll::Ready(Ok(()));
            };
            let frame = ready!(Pin::new(source).poll_frame(cx)).transpose();
            self.consumed = true;
            let frame = frame.map_err(|error| ExchangeError::because(ErrorKind::RequestBody, error))?;
            match frame.map(http_body::Frame::into_data) {
                None => {
                    self.all_there()?;
                    *body = None;
                    self.stream.send_data(Bytes::new(), true).map_err(failure)?;
                }
                Some(Ok(data)) => {
                    if let Some(left) = &mut self.left {
                        let over = || ExchangeError::because(ErrorKind::RequestBody, "longer than its content-length");
                        *left = left.checked_sub(data.len() as u64).ok_or_else(over)?;
                    }
                    self.piece = data;
                }
                Some(Err(frame)) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.all_there()?;
                        *body = None;
                        self.stream.send_trailers(trailers).map_err(failure)?;
                    }
                }
            }
        }
        Poll::Pending
    }

    fn poll_piece<B: Body>(&mut self, cx: &mut Context<'_>, body: &mut Option<B>) -> Poll<Result<(), ExchangeError>> {
        while self.stream.capacity() == 0 {
            self.stream.reserve_capacity(self.piece.len());
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(failure(error))),
                None => return Poll::Ready(Err(ExchangeError::new(ErrorKind::Closed))),
            }
        }
        let n = self.stream.capacity().min(self.piece.len());
        let part = self.piece.split_to(n);
        let last = self.piece.is_empty()
            && self.left.is_none_or(|left| left == 0)
            && body.as_ref().is_none_or(Body::is_end_stream);
        if last {
            *body = None;
        }
        self.stream.send_data(part, last).map_err(failure)?;
        self.written += n as u64;
        Poll::Ready(Ok(()))
    }

    fn all_there(&self) -> Result<(), ExchangeError> {
        match self.left {
            None | Some(0) => Ok(()),
            Some(_) => Err(ExchangeError::because(ErrorKind::RequestBody, "shorter than its content-length")),
        }
    }
}
