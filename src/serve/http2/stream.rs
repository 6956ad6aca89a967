//! A stream: one request and its answer.

use super::super::body::{RequestBody, ResponseBody, TotalOver};
use super::super::client::Interim;
use super::super::connection::LINGER;
use super::super::pace::Patience;
use super::super::request::{self, Asked, Source};
use super::super::stream::STEP;
use super::{Open, STREAM_WINDOW, Session, head, tunnel};
use crate::policy::grpc;
use crate::upstream::ExchangeError;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

/// Pieces that a client's window cuts below this size are no reason for it to send more.
const CRUMB: usize = 256;
/// The protocol that Extended CONNECT asks for.
static WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Answers a request.
pub async fn serve(open: Open, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    let session = &open.0;
    let client = &session.client;
    let (mut parts, recv) = request.into_parts();
    let is_trusted = || client.port.current().0.generation.trusts_fields_of(client.ip());
    let (accept, refused) = match head::websocket(&mut parts) {
        Ok(accept) => (accept, head::check(&mut parts, client.scheme(), is_trusted).err()),
        Err(refused) => (None, Some(refused)),
    };
    let is_head = parts.method == Method::HEAD;
    let is_call = grpc::is_call(&parts.method, &parts.headers);
    let is_tunnel = accept.is_some();
    let body_length = if recv.is_end_stream() || is_tunnel { Some(0) } else { length(&parts.headers) };
    let mut wanted = None;
    let mut rest = None;
    let (body, recv) = match body_length {
        Some(0) => (None, Some(recv)),
        _ => {
            if parts.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
                wanted = Some(Rc::new(Cell::new(false)));
            }
            let recv = Rc::new(RefCell::new(recv));
            rest = Some(recv.clone());
            (Some(RequestBody::stream(recv, body_length, is_call, wanted.clone(), client.clone())), None)
        }
    };
    let respond = RefCell::new(respond);
    let ready = {
        let asked = Asked {
            client,
            parts: &parts,
            body,
            body_length,
            upgrade: is_tunnel.then_some(&WEBSOCKET),
            accept,
            interim: Interim::Http2(&respond),
            refused,
        };
        let mut answer = pin!(request::serve(asked));
        poll_fn(|cx| {
            if let Poll::Ready(ready) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(ready));
            }
            if wanted.as_ref().is_some_and(|wanted| wanted.take()) {
                Interim::Http2(&respond).send(StatusCode::CONTINUE, HeaderMap::new());
            }
            // A client that has given up needs no answer.
            respond.borrow_mut().poll_reset(cx).map(|_| None)
        })
        .await
    };
    let Some(ready) = ready else { return };
    let mut respond = respond.into_inner();
    let (mut parts, mut end) = (ready.parts, ready.end);
    if !parts.headers.contains_key(DATE) {
        parts.headers.insert(DATE, client.worker.date(ready.now));
    }
    let body = match ready.body {
        Source::Whole(bytes) => {
            let is_failed_call = parts.headers.contains_key(grpc::STATUS);
            if !is_failed_call && !matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
                parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
            }
            ResponseBody::whole(bytes, end)
        }
        Source::Upstream(streaming) => {
            rest = None;
            ResponseBody::upstream(streaming, end)
        }
        Source::Tunnel(upstream, idle) => {
            parts.status = StatusCode::OK;
            for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT, CONTENT_LENGTH] {
                parts.headers.remove(name);
            }
            if let (Ok(send), Some(recv)) = (respond.send_response(Response::from_parts(parts, ()), false), recv) {
                tunnel::run(session, send, recv, *upstream, idle, &mut end).await;
            }
            return;
        }
    };
    drop(recv);
    let bodiless = is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let is_end = bodiless || body.is_end_stream();
    let Ok(send) = respond.send_response(Response::from_parts(parts, ()), is_end) else { return };
    session.wire.borrow_mut().scan.answered();
    if !is_end {
        pump(session, send, body, is_call).await;
    }
    if let Some(recv) = rest.and_then(Rc::into_inner).map(RefCell::into_inner)
        && !recv.is_end_stream()
    {
        tokio::task::spawn_local(discard(recv));
    }
}

/// Takes what is left of a body that was refused, for a moment: then `h2` resets the stream (RFC 9113, 8.1). A client that was
/// still sending might lose its answer to an earlier one, as curl 7.88 does.
async fn discard(mut recv: RecvStream) {
    let taken = async {
        let mut room = STREAM_WINDOW as usize;
        while let Some(Ok(data)) = recv.data().await {
            let Some(left) = room.checked_sub(data.len()) else { return };
            room = left;
            if recv.flow_control().release_capacity(data.len()).is_err() {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, taken).await;
}

/// What `Content-Length` says; `h2` has checked it.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Why a body did not go out to its end.
enum Stopped {
    /// The stream is over.
    Gone,
    /// The client does not take it.
    Slow,
    /// There is no more of it.
    Failed(Box<dyn Error + Send + Sync>),
}

/// Sends a body as fast as the client takes it.
async fn pump(session: &Session, mut send: SendStream<Bytes>, mut body: ResponseBody, is_call: bool) {
    match copy(session, &mut send, &mut body).await {
        Ok(()) | Err(Stopped::Gone) => {}
        Err(Stopped::Slow) => {
            body.broke_off(&"the client took nothing for too long");
            send.send_reset(Reason::CANCEL);
        }
        Err(Stopped::Failed(error)) if is_call => {
            // A call can be told what happened, whatever it got so far.
            let (status, why) = match error.downcast_ref::<ExchangeError>() {
                Some(error) if !error.kind.is_timeout() => (grpc::UNAVAILABLE, "Upstream failed"),
                _ => (grpc::DEADLINE_EXCEEDED, "Upstream took too long"),
            };
            let _ = send.send_trailers(HeaderMap::from_iter(grpc::fields(status, why)));
        }
        Err(Stopped::Failed(_)) => send.send_reset(Reason::INTERNAL_ERROR),
    }
}

async fn copy(session: &Session, send: &mut SendStream<Bytes>, body: &mut ResponseBody) -> Result<(), Stopped> {
    let mut patience = Patience::default();
    loop {
        let next = poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => send.poll_reset(cx).map(|_| Err(Stopped::Gone)),
        });
        let sent = match next.await?.transpose().map_err(Stopped::Failed)?.map(Frame::into_data) {
            None => send.send_data(Bytes::new(), true),
            Some(Err(frame)) => send.send_trailers(frame.into_trailers().unwrap_or_default()),
            Some(Ok(data)) => {
                let last = body.is_end_stream();
                if last || !data.is_empty() {
                    put(session, send, data, last, &mut patience, body).await?;
                }
                if last {
                    return Ok(());
                }
                continue;
            }
        };
        return sent.map_err(|_| Stopped::Gone);
    }
}

/// Sends data within the client's windows, never more: what waits, waits here.
async fn put(
    session: &Session,
    send: &mut SendStream<Bytes>,
    mut data: Bytes,
    last: bool,
    patience: &mut Patience,
    body: &ResponseBody,
) -> Result<(), Stopped> {
    let timer = &session.client.worker.patience;
    loop {
        send.reserve_capacity(data.len());
        let mut room = send.capacity();
        if room == 0 && !data.is_empty() {
            let more = poll_fn(|cx| match send.poll_capacity(cx) {
                Poll::Ready(Some(Ok(room))) => Poll::Ready(Ok(room)),
                Poll::Ready(_) => Poll::Ready(Err(Stopped::Gone)),
                Poll::Pending if patience.is_over(cx, timer, session.client.port.patience().idle) => {
                    Poll::Ready(Err(Stopped::Slow))
                }
                Poll::Pending if body.is_overdue(cx) => Poll::Ready(Err(Stopped::Failed(TotalOver.into()))),
                Poll::Pending => Poll::Pending,
            });
            room = more.await?;
        }
        let piece = data.split_to(room.min(data.len()));
        let done = data.is_empty();
        patience.came(timer, piece.len(), STEP);
        if done || piece.len() >= CRUMB {
            // A client may open both windows again, Go's does for every 4 KiB, and measure.
            let frames = u32::try_from(piece.len() / 2048).unwrap_or(0).saturating_add(3);
            session.wire.borrow_mut().scan.earn(frames);
        }
        send.send_data(piece, last && done).map_err(|_| Stopped::Gone)?;
        if done {
            return Ok(());
        }
    }
}
