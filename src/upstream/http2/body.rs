//! A response's body on a stream: the server may send more only when what it sent was asked for.

use super::failure;
use super::links::Lease;
use super::upload::Upload;
use crate::upstream::chunked;
use crate::upstream::error::{ErrorKind, ExchangeError};
use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};
use std::error::Error;
use std::task::{Context, Poll};
use std::time::Duration;

/// A body of which something may still come. Dropping it resets the stream, unless it has ended.
pub(in crate::upstream) struct Incoming<B> {
    recv: RecvStream,
    /// The request, where the response began before it was out.
    upload: Option<(Upload, Option<B>)>,
    /// What is still to come, if its length was said.
    left: Option<u64>,
    idle: Duration,
    /// The deadline is armed, and the upload had sent so much then.
    waiting: Option<u64>,
    lease: Lease,
}

impl<B> Incoming<B> {
    pub(super) fn new(
        lease: Lease,
        recv: RecvStream,
        upload: Option<(Upload, Option<B>)>,
        left: Option<u64>,
        idle: Duration,
    ) -> Self {
        Self { recv, upload, left, idle, waiting: None, lease }
    }

    /// The whole body has been handed on, and there are no trailers.
    pub(in crate::upstream) fn is_over(&self) -> bool {
        self.recv.is_end_stream()
    }

    pub(in crate::upstream) fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl<B> Incoming<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    /// The next frame; none at the end.
    pub(in crate::upstream) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, ExchangeError>> {
        self.poll_upload(cx)?;
        loop {
            match self.recv.poll_data(cx) {
                Poll::Pending => return self.poll_idle(cx),
                Poll::Ready(Some(Ok(data))) => {
                    self.rest();
                    let length = data.len();
                    self.recv.flow_control().release_capacity(length).map_err(failure)?;
                    self.left = self.left.map(|left| left.saturating_sub(length as u64));
                    if length > 0 {
                        return Poll::Ready(Ok(Some(Frame::data(data))));
                    }
                }
                // A whole answer, and no interest in the rest of the request (RFC 9113, 8.1).
                Poll::Ready(Some(Err(error))) if self.is_complete(&error) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(failure(error))),
                Poll::Ready(None) => break,
            }
        }
        let Poll::Ready(trailers) = self.recv.poll_trailers(cx) else {
            return self.poll_idle(cx);
        };
        let mut trailers = match trailers {
            Ok(trailers) => trailers.unwrap_or_default(),
            Err(error) if self.is_complete(&error) => return Poll::Ready(Ok(None)),
            Err(error) => return Poll::Ready(Err(failure(error))),
        };
        let forbidden: Vec<_> = trailers.keys().filter(|name| chunked::forbidden(name)).cloned().collect();
        forbidden.iter().for_each(|name| drop(trailers.remove(name)));
        Poll::Ready(Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers))))
    }

    fn is_complete(&self, error: &h2::Error) -> bool {
        let done = error.is_reset() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
        done && self.left.is_none_or(|left| left == 0)
    }

    /// Goes on sending the request. A server that takes no more of it may still answer.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), ExchangeError> {
        let Some((upload, body)) = &mut self.upload else {
            return Ok(());
        };
        match upload.poll(cx, body) {
            Poll::Pending => {}
            Poll::Ready(Err(error)) if error.kind == ErrorKind::RequestBody => return Err(error),
            Poll::Ready(_) => self.upload = None,
        }
        Ok(())
    }

    /// Nothing is waited for now.
    fn rest(&mut self) {
        if self.waiting.take().is_some()
            && let Some(deadline) = self.lease.deadline()
        {
            deadline.disarm();
        }
    }

    fn poll_idle<T>(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, ExchangeError>> {
        let Some(deadline) = self.lease.deadline() else {
            return Poll::Pending;
        };
        let sent = self.upload.as_ref().map_or(0, |(upload, _)| upload.written);
        if self.waiting != Some(sent) {
            self.waiting = Some(sent);
            deadline.arm(self.idle);
        }
        if deadline.poll_expired(cx) {
            self.lease.link.waited(self.idle);
            return Poll::Ready(Err(ExchangeError::new(ErrorKind::IdleTimeout)));
        }
        Poll::Pending
    }
}
