//! Sending a request's body on a stream: as fast as the server takes it, never holding more than one piece, and
//! remembering a small one until it is clear that the server took the request.

use super::failure;
use crate::upstream::error::{ErrorKind, ExchangeError};
use bytes::Bytes;
use h2::SendStream;
use http::HeaderMap;
use http_body::Body;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// How much of a body is remembered. What it holds is mostly shared with the stream.
const KEEP: usize = 64 * 1024;

/// What was taken of a body, so that it can go out again on another stream.
#[derive(Default)]
pub(in crate::upstream) struct Kept {
    /// The length that the body said before anything was taken: none before the first stream.
    said: Option<Option<u64>>,
    pieces: Vec<Bytes>,
    size: usize,
    /// It has ended, with these trailers.
    end: Option<Option<HeaderMap>>,
    /// Something was taken.
    taken: bool,
    /// It was too much to be remembered.
    lost: bool,
}

impl Kept {
    /// How long the body is; 0 if there is none.
    pub(super) fn length<B: Body>(&mut self, body: &mut Option<B>) -> Option<u64> {
        if let Some(said) = self.said {
            return said;
        }
        let length =
            body.as_ref().map_or(Some(0), |body| if body.is_end_stream() { Some(0) } else { body.size_hint().exact() });
        if length == Some(0) {
            *body = None;
        }
        *self.said.insert(length)
    }

    /// Something of the body is no longer where it came from.
    pub(in crate::upstream) fn taken(&self) -> bool {
        self.taken
    }

    /// The whole body can go out again.
    pub(in crate::upstream) fn is_whole(&self) -> bool {
        !self.lost
    }

    fn keep(&mut self, data: &Bytes) {
        self.size = self.size.saturating_add(data.len());
        if self.lost || self.size > KEEP {
            self.lost = true;
            self.pieces = Vec::new();
        } else {
            self.pieces.push(data.clone());
        }
    }
}

/// A body on its way out.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    piece: Bytes,
    /// What is still to come, if its length was said.
    left: Option<u64>,
    kept: Kept,
    /// Kept pieces that have gone out on this stream.
    again: usize,
    /// Everything is out.
    pub(super) done: bool,
    /// Bytes handed to the stream, to see progress.
    pub(super) written: u64,
    /// The body is not touched until [`Upload::proceed`].
    held: bool,
}

/// What comes next of a body.
enum Next {
    Data(Bytes),
    End(Option<HeaderMap>),
}

impl Upload {
    pub(super) fn new(stream: SendStream<Bytes>, kept: Kept, hold: bool) -> Self {
        let left = kept.said.flatten();
        Self { stream, piece: Bytes::new(), left, kept, again: 0, done: false, written: 0, held: hold }
    }

    /// What was taken, for another stream.
    pub(super) fn into_kept(self) -> Kept {
        self.kept
    }

    /// The server took the request: nothing will go out again.
    pub(super) fn settle(&mut self) {
        self.kept.lost = true;
        if self.again >= self.kept.pieces.len() {
            self.kept.pieces = Vec::new();
            self.again = 0;
        }
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

    /// Sends what can be sent; ready when all is out.
    pub(super) fn poll<B>(&mut self, cx: &mut Context<'_>, body: &mut Option<B>) -> Poll<Result<(), ExchangeError>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        while !self.done {
            if self.held {
                return Poll::Pending;
            }
            if !self.piece.is_empty() {
                ready!(self.poll_piece(cx, body))?;
                continue;
            }
            match ready!(self.poll_next(cx, body))? {
                Next::Data(data) => {
                    if let Some(left) = &mut self.left {
                        let over = || ExchangeError::because(ErrorKind::RequestBody, "longer than its content-length");
                        *left = left.checked_sub(data.len() as u64).ok_or_else(over)?;
                    }
                    self.piece = data;
                }
                Next::End(trailers) => {
                    if self.left.is_some_and(|left| left > 0) {
                        let short = "shorter than its content-length";
                        return Poll::Ready(Err(ExchangeError::because(ErrorKind::RequestBody, short)));
                    }
                    self.done = true;
                    match trailers {
                        Some(trailers) => self.stream.send_trailers(trailers),
                        None => self.stream.send_data(Bytes::new(), true),
                    }
                    .map_err(failure)?;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What was kept of an earlier stream, then what the body has.
    fn poll_next<B>(&mut self, cx: &mut Context<'_>, body: &mut Option<B>) -> Poll<Result<Next, ExchangeError>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        if let Some(data) = self.kept.pieces.get(self.again) {
            self.again += 1;
            return Poll::Ready(Ok(Next::Data(data.clone())));
        }
        loop {
            if let Some(trailers) = &self.kept.end {
                return Poll::Ready(Ok(Next::End(trailers.clone())));
            }
            let frame = match body.as_mut() {
                Some(body) => ready!(Pin::new(body).poll_frame(cx)).transpose(),
                None => Ok(None),
            };
            self.kept.taken = true;
            let frame = frame.map_err(|error| ExchangeError::because(ErrorKind::RequestBody, error))?;
            match frame.map(http_body::Frame::into_data) {
                None => self.kept.end = Some(None),
                Some(Ok(data)) => {
                    self.kept.keep(&data);
                    self.again = self.kept.pieces.len();
                    return Poll::Ready(Ok(Next::Data(data)));
                }
                Some(Err(frame)) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.kept.end = Some(Some(trailers));
                    }
                }
            }
            if self.kept.end.is_some() {
                *body = None;
            }
        }
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
        let nothing_left = self.piece.is_empty()
            && self.left.is_none_or(|left| left == 0)
            && self.again >= self.kept.pieces.len()
            && self.kept.end.as_ref().is_none_or(Option::is_none);
        let last = nothing_left && body.as_ref().is_none_or(Body::is_end_stream);
        if last {
            *body = None;
            self.kept.end = Some(None);
            self.done = true;
        }
        self.stream.send_data(part, last).map_err(failure)?;
        self.written += n as u64;
        Poll::Ready(Ok(()))
    }
}
