//! A response body on its way through: read only when asked for, and its connection given back as soon as
//! its last byte is there.

use super::chunked::Event;
use super::conn::{Conn, HEAD_ROOM};
use super::decode::Decoder;
use super::error::{ErrorKind, ExchangeError};
use super::http2;
use super::upload::Upload;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The most that one read takes of a large body.
const MAX_ROOM: usize = 64 * 1024;
/// Chunks below this size are joined.
const JOIN: usize = 4 * 1024;
/// Room beyond the end of a body: a read that leaves room tells the event loop that nothing more is there.
pub(super) const SLACK: usize = 64;

/// The body of a response. Its errors: reset, closed early, idle, malformed chunks or trailers, and a
/// failure of the request body `B` where that is still being sent.
pub struct UpstreamBody<B> {
    ready: Option<Bytes>,
    trailers: Option<Box<HeaderMap>>,
    rest: Rest<B>,
}

/// What is still to come, and from where.
enum Rest<B> {
    Nothing,
    Http1(Box<Streaming<B>>),
    Http2(Box<http2::Incoming<B>>),
}

/// A body of which something is still to come.
pub(super) struct Streaming<B> {
    pub(super) conn: Conn,
    pub(super) decoder: Decoder,
    /// The request, where the response began before it was out.
    pub(super) upload: Option<(Upload, Option<B>)>,
    /// The server keeps the connection open after this.
    pub(super) keep: bool,
    pub(super) idle: Duration,
    /// Room for the next read.
    pub(super) room: usize,
    /// The deadline is armed, and the upload had sent so much then.
    pub(super) waiting: Option<u64>,
}

impl<B> UpstreamBody<B> {
    /// A body that is not there.
    pub(super) fn empty() -> Self {
        Self { ready: None, trailers: None, rest: Rest::Nothing }
    }

    /// The body on a stream.
    pub(super) fn http2(incoming: http2::Incoming<B>) -> Self {
        Self { ready: None, trailers: None, rest: Rest::Http2(Box::new(incoming)) }
    }

    /// The body that `decoder` finds on `conn`, whose read buffer is behind the head.
    pub(super) fn new(
        conn: Conn,
        mut decoder: Decoder,
        upload: Option<(Upload, Option<B>)>,
        keep: bool,
        idle: Duration,
    ) -> Result<Self, ExchangeError> {
        let mut ready = None;
        // The common case: a small body came with its head, and the connection is free again.
        if let Decoder::Length(length) = decoder {
            let read = &mut conn.wire().read;
            if (1..=read.len() as u64).contains(&length)
                && let Some(Event::Data(data)) = decoder.decode(read)?
            {
                ready = Some(data);
            }
        }
        let streaming = Streaming { conn, decoder, upload, keep, idle, room: HEAD_ROOM, waiting: None };
        let rest = match streaming.decoder {
            Decoder::Length(0) => {
                streaming.finish();
                Rest::Nothing
            }
            _ => Rest::Http1(Box::new(streaming)),
        };
        Ok(Self { ready, trailers: None, rest })
    }
}

impl<B> Streaming<B> {
    /// Gives the connection back if nothing speaks against it; closes it otherwise.
    fn finish(self) {
        if self.keep && self.upload.is_none() && self.conn.wire().read.is_empty() {
            self.conn.put_back();
        }
    }

    /// Adds to `data` what can be had without reading: the small chunks behind it, so that tiny chunks do
    /// not become tiny writes, and the end, so that the connection need not wait for the next call.
    fn with_next(&mut self, data: Bytes) -> Result<(Bytes, Option<Option<HeaderMap>>), ExchangeError> {
        let read = &mut self.conn.wire().read;
        let mut joined = BytesMut::new();
        let end = loop {
            let over = self.decoder.at_end(read)?;
            let large = data.len().max(joined.len()) >= JOIN;
            if !over && (large || self.decoder.expected() >= JOIN as u64) {
                break None;
            }
            match self.decoder.decode(read)? {
                None => break None,
                Some(Event::End(trailers)) => break Some(trailers),
                Some(Event::Data(next)) => {
                    if joined.is_empty() {
                        joined.extend_from_slice(&data);
                    }
                    joined.extend_from_slice(&next);
                }
            }
        };
        Ok((if joined.is_empty() { data } else { joined.freeze() }, end))
    }

    /// Bytes to make room for: what is expected if that is known, else more while reads fill their room.
    fn room(&self) -> usize {
        match self.decoder {
            Decoder::Length(left) => usize::try_from(left).unwrap_or(MAX_ROOM).min(MAX_ROOM) + SLACK,
            Decoder::Chunked(_) | Decoder::Close => {
                let expected = usize::try_from(self.decoder.expected()).unwrap_or(0);
                self.room.max(expected).min(MAX_ROOM)
            }
        }
    }
}

impl<B> Streaming<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    /// Goes on sending the request. A server that no longer listens may still answer.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), ExchangeError> {
        let Some((upload, body)) = &mut self.upload else {
            return Ok(());
        };
        match upload.poll(cx, &mut self.conn.wire(), body) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.upload = None,
            Poll::Ready(Err(error)) if error.is_ended() => {
                self.upload = None;
                self.keep = false;
            }
            Poll::Ready(Err(error)) => return Err(error),
        }
        Ok(())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, ExchangeError>> {
        self.poll_upload(cx)?;
        loop {
            let mut wire = self.conn.wire();
            if let Some(event) = self.decoder.decode(&mut wire.read)? {
                return Poll::Ready(Ok(event));
            }
            match wire.poll_fill(cx, self.room()) {
                Poll::Ready(Ok(0)) => {
                    self.decoder.end_of_stream()?;
                    self.keep = false;
                    return Poll::Ready(Ok(Event::End(None)));
                }
                Poll::Ready(Ok(n)) => {
                    if n >= self.room {
                        self.room = (self.room * 2).min(MAX_ROOM);
                    }
                    if self.waiting.take().is_some() {
                        wire.deadline.disarm();
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(ExchangeError::io(error))),
                Poll::Pending => {
                    let sent = self.upload.as_ref().map_or(0, |(upload, _)| upload.written);
                    if self.waiting != Some(sent) {
                        self.waiting = Some(sent);
                        wire.deadline.arm(self.idle);
                    }
                    if wire.deadline.poll_expired(cx) {
                        return Poll::Ready(Err(ExchangeError::new(ErrorKind::IdleTimeout)));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<B> Body for UpstreamBody<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        let this = self.get_mut();
        if let Some(data) = this.ready.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let rest = match &mut this.rest {
            Rest::Http1(rest) => rest,
            Rest::Http2(incoming) => {
                let frame = ready!(incoming.poll(cx));
                // What is over gives its stream back before anybody asks again.
                if !matches!(&frame, Ok(Some(frame)) if frame.is_data() && !incoming.is_over()) {
                    this.rest = Rest::Nothing;
                }
                return Poll::Ready(frame.transpose());
            }
            Rest::Nothing => return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(*trailers)))),
        };
        let step = ready!(rest.poll_event(cx)).and_then(|event| match event {
            Event::End(trailers) => Ok((None, Some(trailers))),
            Event::Data(data) => rest.with_next(data).map(|(data, end)| (Some(data), end)),
        });
        match step {
            Ok((data, end)) => {
                if let Some(trailers) = end {
                    this.trailers = trailers.map(Box::new);
                    if let Rest::Http1(rest) = std::mem::replace(&mut this.rest, Rest::Nothing) {
                        rest.finish();
                    }
                }
                let frame =
                    data.map(Frame::data).or_else(|| this.trailers.take().map(|trailers| Frame::trailers(*trailers)));
                Poll::Ready(frame.map(Ok))
            }
            Err(error) => {
                this.rest = Rest::Nothing;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_none() && self.trailers.is_none() && matches!(self.rest, Rest::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        let ready = self.ready.as_ref().map_or(0, |data| data.len() as u64);
        match &self.rest {
            Rest::Nothing => SizeHint::with_exact(ready),
            Rest::Http1(rest) => match rest.decoder {
                Decoder::Length(left) => SizeHint::with_exact(ready + left),
                Decoder::Chunked(_) | Decoder::Close => SizeHint::default(),
            },
            Rest::Http2(incoming) => incoming.size_hint(),
        }
    }
}
