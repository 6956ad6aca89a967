//! One exchange on a stream: the request out and the response head in, both at once.

use super::body::Incoming;
use super::links::Lease;
use super::upload::{Kept, Upload};
use super::{Head, failure};
use crate::upstream::body::UpstreamBody;
use crate::upstream::error::{ErrorKind, ExchangeError, Malformed};
use crate::upstream::head::{decimal, has_no_body};
use crate::upstream::send::{Answer, CONTINUE_WAIT, MAX_INTERIM, Phase, Request, WriteHead};
use bytes::Bytes;
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Method, Response, StatusCode};
use http_body::Body;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Sends a request on a stream and waits for the head of its final response. What is taken of the body is in `kept`
/// after a failure: unless it was too much, the request can go out again with both.
///
/// # Errors
/// Any but those of connecting. The stream is reset; the connection goes on, unless it is what failed.
pub(in crate::upstream) async fn send<B>(
    lease: Lease,
    request: &mut Request<'_>,
    head: &impl WriteHead,
    body: &mut Option<B>,
    kept: &mut Kept,
) -> Result<Answer<B>, ExchangeError>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    let mut written = Head::default();
    head.http2(&mut written);
    let length = kept.length(body);
    // As in HTTP/1.1: the absence of a body says nothing of itself where one is usual.
    let usual = matches!(*request.method, Method::POST | Method::PUT | Method::PATCH);
    written.length(length.filter(|&length| length > 0 || usual));
    let head = written.finish(lease.link.is_tls())?;
    let reused = lease.link.was_used();
    let (response, stream) = lease.link.send(head, length == Some(0))?;
    let upload = (length != Some(0)).then(|| Upload::new(stream, std::mem::take(kept), request.expect_continue));
    let mut exchange = Exchange { response, upload, phase: Phase::Begin, interim: 0 };
    let found = poll_fn(|cx| exchange.poll(cx, &lease, request, body)).await;
    let found = found.and_then(|response| sound(response, request.method));
    let Exchange { upload, interim, .. } = exchange;
    let response = match found {
        Ok(response) => response,
        Err(mut error) => {
            error.stale = reused && interim == 0 && error.is_ended() && !lease.link.is_open();
            if let Some(upload) = upload {
                *kept = upload.into_kept();
            }
            match error.kind {
                ErrorKind::ResponseTimeout => lease.link.waited(request.timeouts.response),
                ErrorKind::IdleTimeout => lease.link.waited(request.timeouts.idle),
                _ => {}
            }
            return Err(error);
        }
    };
    lease.link.answered();
    if let Some(deadline) = lease.deadline() {
        deadline.disarm();
    }
    let (parts, recv) = response.into_parts();
    let unsent = upload.filter(|upload| !upload.done).map(|mut upload| {
        upload.settle();
        (upload, body.take())
    });
    if recv.is_end_stream() || has_no_body(request.method, parts.status) {
        return Ok(Answer::Response(Response::from_parts(parts, UpstreamBody::empty())));
    }
    let length = length_of(&parts.headers);
    let incoming = Incoming::new(lease, recv, unsent, length, request.timeouts.idle);
    Ok(Answer::Response(Response::from_parts(parts, UpstreamBody::http2(incoming))))
}

/// What h2 lets through and the other side might read in two ways.
fn sound(response: Response<RecvStream>, method: &Method) -> Result<Response<RecvStream>, ExchangeError> {
    let mut lengths = response.headers().get_all(CONTENT_LENGTH).iter();
    let clean = lengths.next().is_none_or(|length| decimal(length.as_bytes()).is_some());
    if !clean || lengths.next().is_some() {
        return Err(Malformed::ContentLength.into());
    }
    if response.status().is_informational() || (*method == Method::CONNECT && response.status().is_success()) {
        return Err(Malformed::UnexpectedUpgrade.into());
    }
    Ok(response)
}

fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH).and_then(|length| decimal(length.as_bytes()))
}

struct Exchange {
    response: ResponseFuture,
    upload: Option<Upload>,
    phase: Phase,
    interim: u32,
}

impl Exchange {
    fn poll<B>(
        &mut self,
        cx: &mut Context<'_>,
        lease: &Lease,
        request: &mut Request<'_>,
        body: &mut Option<B>,
    ) -> Poll<Result<Response<RecvStream>, ExchangeError>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        loop {
            if self.phase != Phase::Response {
                self.poll_upload(cx, lease, request, body)?;
            }
            if let Poll::Ready(response) = self.poll_head(cx, request)? {
                return Poll::Ready(Ok(response));
            }
            if self.phase == Phase::Continue && !self.is_held() {
                continue;
            }
            if !lease.deadline().is_some_and(|deadline| deadline.poll_expired(cx)) {
                return Poll::Pending;
            }
            match (self.phase, &mut self.upload) {
                (Phase::Continue, Some(upload)) => upload.proceed(),
                (Phase::Response, _) => return Poll::Ready(Err(ExchangeError::new(ErrorKind::ResponseTimeout))),
                _ => return Poll::Ready(Err(ExchangeError::new(ErrorKind::IdleTimeout))),
            }
        }
    }

    fn is_held(&self) -> bool {
        self.upload.as_ref().is_some_and(Upload::is_held)
    }

    fn poll_upload<B>(
        &mut self,
        cx: &mut Context<'_>,
        lease: &Lease,
        request: &Request<'_>,
        body: &mut Option<B>,
    ) -> Result<(), ExchangeError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        let next = match &mut self.upload {
            None => Phase::Response,
            Some(upload) => match upload.poll(cx, body) {
                Poll::Ready(Ok(())) => Phase::Response,
                Poll::Ready(Err(error)) if error.kind == ErrorKind::RequestBody => return Err(error),
                // What happened to the stream is told in place of its response, or there is one all the same.
                Poll::Ready(Err(_)) => Phase::Response,
                Poll::Pending if upload.is_blocked() => Phase::Write(upload.written),
                Poll::Pending if upload.is_held() => Phase::Continue,
                Poll::Pending => Phase::Body,
            },
        };
        if next != self.phase {
            self.phase = next;
            let Some(deadline) = lease.deadline() else { return Ok(()) };
            match next {
                Phase::Response => deadline.arm(request.timeouts.response),
                Phase::Write(_) => deadline.arm(request.timeouts.idle),
                Phase::Continue => deadline.arm(CONTINUE_WAIT),
                // The caller knows how patient it is with its own client.
                Phase::Begin | Phase::Body => deadline.disarm(),
            }
        }
        Ok(())
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<Poll<Response<RecvStream>>, ExchangeError> {
        loop {
            match self.response.poll_informational(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Some(Err(error))) => return Err(failure(error)),
                Poll::Ready(None) => {
                    return match Pin::new(&mut self.response).poll(cx) {
                        Poll::Pending => Ok(Poll::Pending),
                        Poll::Ready(Ok(response)) => Ok(Poll::Ready(response)),
                        Poll::Ready(Err(error)) => Err(failure(error)),
                    };
                }
                Poll::Ready(Some(Ok(response))) => {
                    self.interim += 1;
                    if self.interim > MAX_INTERIM {
                        return Err(Malformed::TooManyInterim.into());
                    }
                    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                        return Err(Malformed::UnexpectedUpgrade.into());
                    }
                    if response.status() == StatusCode::CONTINUE {
                        if let Some(upload) = &mut self.upload {
                            upload.proceed();
                        }
                    } else if let Some(interim) = &mut request.interim {
                        interim(response.status(), response.into_parts().0.headers);
                    }
                }
            }
        }
    }
}
