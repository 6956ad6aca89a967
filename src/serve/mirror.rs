//! Copies of requests for other upstreams: sent beside the original, which they neither delay nor fail, and their answers
//! discarded. A body is copied while the original goes by, and the copy is sent when it is complete.

use super::body::RequestBody;
use super::client::Client;
use super::generation::Local;
use super::worker::Worker;
use crate::decide::{Decided, Forward};
use crate::plan::defaults;
use crate::upstream::balance::Tried;
use crate::upstream::config::Timeouts;
use crate::upstream::{Answer, ExchangeError, Picked, Request, Upstream};
use bytes::{Bytes, BytesMut};
use http::Method;
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// The longest body that is copied; a longer request is not mirrored.
pub const BODY_MAX: usize = 1024 * 1024;
/// Copies of one worker at once; what is more is not mirrored.
const AT_ONCE: usize = 64;
/// What is read of an answer, so that its connection can be used again.
const DISCARDED: usize = 1024 * 1024;

/// Sends the copies of a request; `body` is what the original takes.
pub fn begin(
    decided: &Decided<'_>,
    forward: &Forward,
    local: &Local,
    client: &Rc<Client>,
    body: &mut Option<RequestBody>,
) {
    let mut receivers = Vec::new();
    for copy in &forward.mirrors {
        // `echo` has nothing to say to a copy.
        let Some(upstream) = local.upstream(copy.upstream) else { continue };
        let Some(counted) = Counted::new(&client.worker) else {
            tracing::debug!("not mirrored: {AT_ONCE} copies are under way");
            continue;
        };
        let permit = match local.generation.gate(copy.upstream) {
            None => None,
            Some(gate) => match gate.try_enter() {
                Some(permit) => Some(permit),
                None => continue,
            },
        };
        let Some(picked) = upstream.pick(copy.hash.unwrap_or(0), None, &Tried::default()) else { continue };
        let mut head = Vec::with_capacity(512);
        decided.outgoing(copy, &picked.endpoint().target, fastrand::u128(..), &mut head);
        let (bytes, coming) = match (&forward.body, &body) {
            (Some(bytes), _) => (Some(bytes.clone()), None),
            (None, Some(body)) if !body.is_end_stream() => {
                let (sender, receiver) = oneshot::channel();
                receivers.push(sender);
                (None, Some(receiver))
            }
            _ => (None, None),
        };
        let timeouts = Timeouts {
            connect: copy.timeouts.connect.unwrap_or(defaults::CONNECT),
            response: copy.timeouts.response.unwrap_or(defaults::RESPONSE),
            idle: copy.timeouts.idle.unwrap_or(defaults::IDLE),
        };
        let method = copy.method.as_ref().unwrap_or(decided.cx.head.method).clone();
        let sent = Sent { upstream: upstream.clone(), picked, method, head, timeouts, held: (counted, permit) };
        tokio::task::spawn_local(sent.run(bytes, coming));
    }
    if let (false, Some(body)) = (receivers.is_empty(), body) {
        body.copy_to(Copier { receivers, copied: BytesMut::new() });
    }
}

/// A copy on its way.
struct Sent {
    upstream: Rc<Upstream>,
    picked: Picked,
    method: Method,
    head: Vec<u8>,
    timeouts: Timeouts,
    held: (Counted, Option<OwnedSemaphorePermit>),
}

impl Sent {
    async fn run(self, bytes: Option<Bytes>, coming: Option<oneshot::Receiver<Bytes>>) {
        let body = match coming {
            None => bytes,
            // Too long, or broken off.
            Some(coming) => match coming.await {
                Ok(bytes) => Some(bytes),
                Err(_) => return,
            },
        };
        let longest = self.timeouts.connect + self.timeouts.response + self.timeouts.idle;
        let outcome = tokio::time::timeout(longest.max(Duration::from_secs(1)), self.exchange(body)).await;
        let failed = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the answer does not end".to_owned()),
        };
        if let Some(why) = failed {
            tracing::debug!(upstream = self.upstream.shared().config.name, "a copy failed: {why}");
        }
        drop(self.held);
    }

    async fn exchange(&self, body: Option<Bytes>) -> Result<(), ExchangeError> {
        let mut body = body.filter(|bytes| !bytes.is_empty()).map(Whole);
        let mut request = Request { timeouts: self.timeouts, ..Request::new(&self.method) };
        let head = |out: &mut Vec<u8>| out.extend_from_slice(&self.head);
        match self.upstream.exchange(&self.picked, &mut request, head, &mut body).await? {
            Answer::Upgrade(_) => {}
            Answer::Response(response) => {
                let mut answer = pin!(response.into_body());
                let mut read = 0usize;
                while let Some(frame) = poll_fn(|cx| answer.as_mut().poll_frame(cx)).await {
                    read = read.saturating_add(frame?.data_ref().map_or(0, Bytes::len));
                    if read > DISCARDED {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A body that is there.
struct Whole(Bytes);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready(Some(bytes).filter(|bytes| !bytes.is_empty()).map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// Copies a body that goes by. Whoever waits for it hears nothing more when it is dropped before the end.
pub struct Copier {
    receivers: Vec<oneshot::Sender<Bytes>>,
    copied: BytesMut,
}

impl Copier {
    /// A piece went by.
    pub fn data(&mut self, data: &[u8]) {
        if self.copied.len().saturating_add(data.len()) > BODY_MAX {
            self.receivers.clear();
            self.copied = BytesMut::new();
        } else if !self.receivers.is_empty() {
            self.copied.extend_from_slice(data);
        }
    }

    /// That was all.
    pub fn end(&mut self) {
        let whole = std::mem::take(&mut self.copied).freeze();
        for receiver in self.receivers.drain(..) {
            // Who is gone needs it no more.
            let _ = receiver.send(whole.clone());
        }
    }
}

/// A copy that is under way.
struct Counted(Rc<Worker>);

impl Counted {
    fn new(worker: &Rc<Worker>) -> Option<Counted> {
        let copies = worker.copies.get();
        if copies >= AT_ONCE {
            return None;
        }
        worker.copies.set(copies.saturating_add(1));
        Some(Counted(worker.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.copies.set(self.0.copies.get().saturating_sub(1));
    }
}
