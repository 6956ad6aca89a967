//! One exchange: a request out, a response head in, both at once where the server answers early.

use super::body::{SLACK, UpstreamBody};
use super::config::{Limits, Timeouts};
use super::conn::{Conn, HEAD_ROOM, Wire};
use super::decode::Decoder;
use super::error::{ErrorKind, ExchangeError, Malformed};
use super::head::{Framing, Head, HeadReader};
use super::http2;
use super::upgrade::Upgraded;
use super::upload::Upload;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::Body;
use std::error::Error;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

/// Interim responses before a final one.
pub(super) const MAX_INTERIM: u32 = 16;
/// How long a body is held back for `100 Continue`; servers need not send it (RFC 9110, 10.1.1).
pub(super) const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// What the client must know of a request besides its head and body.
pub struct Request<'a> {
    /// The method, as it stands in the head.
    pub method: &'a Method,
    /// The head has `Expect: 100-continue`: the body is not touched before 100, a final response, or a
    /// second.
    pub expect_continue: bool,
    /// The head has `Upgrade`: 101 is welcome.
    pub upgrade: bool,
    /// How long everything may take.
    pub timeouts: Timeouts,
    /// What the server may send at most.
    pub limits: Limits,
    /// Called with each interim response but 100.
    pub interim: Option<&'a mut dyn FnMut(StatusCode, HeaderMap)>,
}

impl<'a> Request<'a> {
    /// A plain request with default times and limits.
    #[must_use]
    pub fn new(method: &'a Method) -> Self {
        Self {
            method,
            expect_continue: false,
            upgrade: false,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            interim: None,
        }
    }
}

/// Writes the head of a request, in whichever version of HTTP it goes out. A function that writes HTTP/1.1 is one.
pub trait WriteHead {
    /// The request line and the header lines, each with its CR LF; see [`send`].
    fn http1(&self, out: &mut Vec<u8>);

    /// The same in HTTP/2.
    fn http2(&self, out: &mut http2::Head);
}

impl<F: Fn(&mut Vec<u8>)> WriteHead for F {
    #[inline]
    fn http1(&self, out: &mut Vec<u8>) {
        self(out);
    }

    fn http2(&self, out: &mut http2::Head) {
        let mut text = Vec::with_capacity(512);
        self(&mut text);
        out.read(&text);
    }
}

/// What came back.
pub enum Answer<B> {
    /// A final response.
    Response(Response<UpstreamBody<B>>),
    /// 101, and the connection as a tunnel.
    Upgrade(Response<Upgraded>),
}

/// Sends a request on `conn` and waits for the head of its final response.
///
/// `head` writes the request line and the header lines, each with its CR LF, without `Content-Length`,
/// `Transfer-Encoding` and the empty line; those follow from `body`. The body is taken out of `body` when
/// it was sent, or moves into the response's body where that begins before; after an error without
/// [`ExchangeError::body_consumed`] it is still there, and the request can be sent again.
///
/// # Errors
/// Any but those of connecting. The connection is closed.
pub async fn send<B>(
    conn: Conn,
    request: &mut Request<'_>,
    head: impl FnOnce(&mut Vec<u8>),
    body: &mut Option<B>,
) -> Result<Answer<B>, ExchangeError>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    let (mut exchange, reused) = {
        let wire = &mut *conn.wire();
        let upload = Upload::start(wire, request.method, head, body, request.expect_continue);
        let heard = !wire.read.is_empty();
        (
            Exchange { upload, phase: Phase::Begin, broken: None, reader: HeadReader::default(), heard, interim: 0 },
            wire.reused,
        )
    };
    let found = poll_fn(|cx| exchange.poll(cx, &conn, request, body)).await;
    let Exchange { upload, phase, broken, heard, .. } = exchange;
    let head = match found {
        Ok(head) => head,
        Err(mut error) => {
            error.stale = reused && !heard && error.is_ended();
            error.body_consumed = upload.consumed;
            return Err(error);
        }
    };
    {
        let wire = conn.wire();
        wire.deadline.disarm();
        if wire.queued {
            // It says goodbye: nothing was asked yet.
            let mut error = ExchangeError::new(ErrorKind::Closed);
            (error.stale, error.body_consumed) = (true, upload.consumed);
            return Err(error);
        }
    }
    let sent = matches!(phase, Phase::Response);
    let tunnel = *request.method == Method::CONNECT && head.status.is_success();
    if head.status == StatusCode::SWITCHING_PROTOCOLS || tunnel {
        if !request.upgrade || !sent || tunnel || !head.changes_over() {
            return Err(Malformed::UnexpectedUpgrade.into());
        }
        return Ok(Answer::Upgrade(respond(head, Upgraded::new(conn))));
    }
    let decoder = Decoder::new(head.body(request.method), request.limits.trailers);
    let keep = head.keep_alive && broken.is_none();
    let unsent = if sent { None } else { Some((upload, body.take())) };
    let body = UpstreamBody::new(conn, decoder, unsent, keep, request.timeouts.idle)?;
    Ok(Answer::Response(respond(head, body)))
}

fn respond<T>(head: Head, body: T) -> Response<T> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.version_mut() = head.version;
    *response.headers_mut() = head.headers;
    response
}

/// What the exchange waits for, besides a response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing yet.
    Begin,
    /// 100, or the end of the wait for it.
    Continue,
    /// The server, to take bytes; so many were taken.
    Write(u64),
    /// The caller's body.
    Body,
    /// The request is out.
    Response,
}

struct Exchange {
    upload: Upload,
    phase: Phase,
    /// The server stopped listening; its answer may have come before.
    broken: Option<ExchangeError>,
    reader: HeadReader,
    /// A byte of the response came.
    heard: bool,
    interim: u32,
}

impl Exchange {
    fn poll<B>(
        &mut self,
        cx: &mut Context<'_>,
        conn: &Conn,
        request: &mut Request<'_>,
        body: &mut Option<B>,
    ) -> Poll<Result<Head, ExchangeError>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        let wire = &mut *conn.wire();
        if self.phase == Phase::Begin && wire.reused && self.upload.gathers_all(cx, wire, body)? {
            self.phase = Phase::Response;
            wire.deadline.arm(request.timeouts.response);
            wire.queued = true;
            conn.send_in_burst();
        }
        loop {
            if std::mem::take(&mut wire.stuck) {
                self.phase = Phase::Begin;
            }
            if self.phase != Phase::Response {
                self.poll_upload(cx, wire, request, body)?;
            }
            if let Poll::Ready(head) = self.poll_head(cx, wire, request)? {
                self.look_on(cx, wire, head.body(request.method))?;
                return Poll::Ready(Ok(head));
            }
            if self.phase == Phase::Continue && !self.upload.is_held() {
                continue;
            }
            if !wire.deadline.poll_expired(cx) {
                return Poll::Pending;
            }
            match self.phase {
                Phase::Continue => self.upload.proceed(),
                Phase::Response => {
                    return Poll::Ready(Err(ExchangeError::new(ErrorKind::ResponseTimeout)));
                }
                _ => return Poll::Ready(Err(ExchangeError::new(ErrorKind::IdleTimeout))),
            }
        }
    }

    fn poll_upload<B>(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Wire,
        request: &Request<'_>,
        body: &mut Option<B>,
    ) -> Result<(), ExchangeError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        let next = match self.upload.poll(cx, wire, body) {
            Poll::Ready(Ok(())) => Phase::Response,
            Poll::Ready(Err(error)) if error.is_ended() => {
                self.broken = Some(error);
                Phase::Response
            }
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending if self.upload.is_blocked(wire) => Phase::Write(self.upload.written),
            Poll::Pending if self.upload.is_held() => Phase::Continue,
            Poll::Pending => Phase::Body,
        };
        if next != self.phase {
            self.phase = next;
            let deadline = &wire.deadline;
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
        wire: &mut Wire,
        request: &mut Request<'_>,
    ) -> Result<Poll<Head>, ExchangeError> {
        loop {
            while !wire.read.is_empty()
                && let Some(head) = self.reader.read(&mut wire.read, request.limits.head)?
            {
                if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                    return Ok(Poll::Ready(head));
                }
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Err(Malformed::TooManyInterim.into());
                }
                if head.status == StatusCode::CONTINUE {
                    self.upload.proceed();
                } else if let Some(interim) = &mut request.interim {
                    interim(head.status, head.headers);
                }
            }
            match wire.poll_fill(cx, HEAD_ROOM) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(0)) => return Err(self.ended(ExchangeError::new(ErrorKind::Closed))),
                Poll::Ready(Ok(_)) => self.heard = true,
                Poll::Ready(Err(error)) => return Err(self.ended(ExchangeError::io(error))),
            }
        }
    }

    /// A server that broke off within its body may have done so by now: nothing of its answer has gone on yet, so that the request
    /// can still be repeated, or its client told.
    fn look_on(&mut self, cx: &mut Context<'_>, wire: &mut Wire, framing: Framing) -> Result<(), ExchangeError> {
        let left = match framing {
            Framing::Length(length) => length.saturating_sub(wire.read.len() as u64),
            // Whether chunks are complete is not known here.
            Framing::Chunked => 0,
            Framing::Close => u64::MAX,
        };
        // Where much has come, more is on its way, and the body's own reads have the room for it.
        if left == 0 || wire.read.len() > HEAD_ROOM / 2 {
            return Ok(());
        }
        match wire.poll_fill(cx, SLACK) {
            Poll::Ready(Ok(0)) if framing != Framing::Close => Err(self.ended(ExchangeError::new(ErrorKind::Closed))),
            Poll::Ready(Err(error)) => Err(self.ended(ExchangeError::io(error))),
            Poll::Ready(Ok(_)) | Poll::Pending => Ok(()),
        }
    }

    /// The first sign of the end says most.
    fn ended(&mut self, error: ExchangeError) -> ExchangeError {
        self.broken.take().unwrap_or(error)
    }
}
