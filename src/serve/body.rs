//! Bodies on their way through: the client's to the upstream, and the answer's to the client.

use super::client::{Client, Waits};
use super::exchange::{self, Streaming};
use super::mirror::Copier;
use super::pace::{Pace, Patience};
use crate::decide::BodyFailure;
use crate::observe::access::Record;
use crate::policy::heads::is_token;
use crate::policy::limit::Hold;
use crate::policy::problem::FailureKind;
use crate::upstream::eject;
use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// The bytes of a body with a length that must come for `timeout idle` to begin anew: it is there to be sent.
const STEP: usize = 1024;
/// The same without a length: it may be made as it goes.
const DRIP: usize = 64;

/// A request's body. Its errors are [`ClientFailure`].
pub struct RequestBody {
    source: Source,
    client: Rc<Client>,
    /// How long the client may be silent.
    idle: Duration,
    /// How many more bytes it may send.
    left: u64,
    /// The bytes that must come for its patience to begin anew.
    step: usize,
    /// Copies it for mirrors.
    copier: Option<Box<Copier>>,
}

enum Source {
    Whole(Option<Bytes>, Option<Box<HeaderMap>>),
    Client(Incoming, Pace),
    Stream(Stream),
}

/// The body of a request on a stream of an HTTP/2 connection.
struct Stream {
    recv: Rc<RefCell<RecvStream>>,
    length: Option<u64>,
    /// All data has come.
    ended: bool,
    patience: Patience,
    /// Set when the body is wanted, if the client waits for that.
    wanted: Option<Rc<Cell<bool>>>,
}

impl Stream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if let Some(wanted) = self.wanted.take() {
            wanted.set(true);
        }
        let mut recv = self.recv.borrow_mut();
        if !self.ended {
            match ready!(recv.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Whoever takes this asks for more when it has gone on.
                    recv.flow_control().release_capacity(data.len())?;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.ended = true,
            }
        }
        recv.poll_trailers(cx).map(|trailers| trailers.map(|trailers| trailers.map(Frame::trailers)).transpose())
    }
}

/// The client did not send its body as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientFailure(pub BodyFailure);

impl fmt::Display for ClientFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            BodyFailure::TooLarge => "the request body is longer than `body max`",
            BodyFailure::Broken => "the client broke off",
            BodyFailure::Timeout => "the client was too slow with its body",
        })
    }
}

impl std::error::Error for ClientFailure {}

impl RequestBody {
    /// What the client sends, as it comes.
    pub fn streaming(incoming: Incoming, client: Rc<Client>) -> RequestBody {
        let step = if incoming.size_hint().exact().is_some() { STEP } else { DRIP };
        RequestBody::new(Source::Client(incoming, Pace::default()), step, client)
    }

    /// What the client sends on a stream. `wanted` is set when the body is asked for. The messages of a call may be small and far
    /// between.
    pub fn stream(
        recv: Rc<RefCell<RecvStream>>,
        length: Option<u64>,
        is_call: bool,
        wanted: Option<Rc<Cell<bool>>>,
        client: Rc<Client>,
    ) -> RequestBody {
        let step = match length {
            Some(_) => STEP,
            None if is_call => 1,
            None => DRIP,
        };
        let stream = Stream { recv, length, ended: false, patience: Patience::default(), wanted };
        RequestBody::new(Source::Stream(stream), step, client)
    }

    /// A body that is there, with its trailers.
    pub fn whole(bytes: Bytes, trailers: Option<Box<HeaderMap>>, client: Rc<Client>) -> RequestBody {
        RequestBody::new(Source::Whole(Some(bytes), trailers), STEP, client)
    }

    fn new(source: Source, step: usize, client: Rc<Client>) -> RequestBody {
        let idle = client.port.patience().idle;
        RequestBody { source, client, idle, left: u64::MAX, step, copier: None }
    }

    /// At most `max` more bytes, each within `idle` of the one before.
    pub fn limit(&mut self, max: u64, idle: Duration) {
        (self.left, self.idle) = (max, idle);
    }

    /// Copies what goes by.
    pub fn copy_to(&mut self, copier: Copier) {
        self.copier = Some(Box::new(copier));
    }

    /// All of it, if it is no longer than `max`. Its trailers stay here.
    pub async fn collect(&mut self, max: u64) -> Result<Bytes, BodyFailure> {
        self.left = max;
        let mut trailers = None;
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await {
            let data = match frame.map_err(|failure| failure.0)?.into_data() {
                Ok(data) => data,
                Err(other) => {
                    trailers = other.into_trailers().ok().map(Box::new);
                    continue;
                }
            };
            if first.is_empty() && all.is_empty() {
                first = data;
            } else {
                if all.is_empty() {
                    all.extend_from_slice(&std::mem::take(&mut first));
                }
                all.extend_from_slice(&data);
            }
        }
        self.source = Source::Whole(None, trailers);
        Ok(if all.is_empty() { first } else { all.freeze() })
    }

    /// The trailers of a body that is there.
    pub fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        match &mut self.source {
            Source::Whole(_, trailers) => trailers.take(),
            Source::Client(..) | Source::Stream(_) => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = ClientFailure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientFailure>>> {
        let this = self.get_mut();
        let late = || Poll::Ready(Some(Err(ClientFailure(BodyFailure::Timeout))));
        let frame = match &mut this.source {
            Source::Whole(bytes, trailers) => {
                let data = bytes.take().map(Frame::data);
                let frame = data.or_else(|| trailers.take().map(|trailers| Frame::trailers(*trailers)));
                return Poll::Ready(frame.map(Ok));
            }
            Source::Client(incoming, pace) => {
                let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else {
                    let waits = this.client.waits();
                    let over = match waits {
                        Waits::Nothing => !pace.wait(&this.client, Waits::Body, this.idle),
                        _ => waits == Waits::Body && this.client.is_late(cx),
                    };
                    if over {
                        this.client.came(Waits::Body);
                        return late();
                    }
                    // The connection's task looks at its deadline, too.
                    return Poll::Pending;
                };
                pace.came(&this.client, Waits::Body, size(&frame), this.step);
                frame.map(|frame| frame.map_err(drop))
            }
            Source::Stream(stream) => {
                let Poll::Ready(frame) = stream.poll_frame(cx) else {
                    let over = stream.patience.is_over(cx, &this.client.worker.patience, this.idle);
                    return if over { late() } else { Poll::Pending };
                };
                stream.patience.came(&this.client.worker.patience, size(&frame), this.step);
                frame.map(|frame| frame.map_err(drop))
            }
        };
        Poll::Ready(match frame {
            None => {
                this.copier.take().into_iter().for_each(|mut copier| copier.end());
                None
            }
            Some(Err(())) => Some(Err(ClientFailure(BodyFailure::Broken))),
            Some(Ok(frame)) if frame.trailers_ref().is_some_and(has_odd_names) => {
                Some(Err(ClientFailure(BodyFailure::Broken)))
            }
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match this.left.checked_sub(length) {
                    Some(left) => {
                        this.left = left;
                        if let Some(copier) = &mut this.copier {
                            frame.data_ref().into_iter().for_each(|data| copier.data(data));
                            // Who knows its length, or has the trailers, may not ask again.
                            if frame.is_trailers() || this.is_end_stream() {
                                this.copier.take().into_iter().for_each(|mut copier| copier.end());
                            }
                        }
                        Some(Ok(frame))
                    }
                    None => Some(Err(ClientFailure(BodyFailure::TooLarge))),
                }
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(bytes, trailers) => trailers.is_none() && bytes.as_ref().is_none_or(Bytes::is_empty),
            Source::Client(incoming, _) => incoming.is_end_stream(),
            Source::Stream(stream) => stream.recv.borrow().is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            // Trailers need a body without a length.
            Source::Whole(_, Some(_)) => SizeHint::default(),
            Source::Whole(bytes, None) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Client(incoming, _) => incoming.size_hint(),
            Source::Stream(stream) => stream.length.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

fn size<E>(frame: &Option<Result<Frame<Bytes>, E>>) -> usize {
    frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len)
}

/// Servers that join trailers with the head might take a name with an underscore for another; `http` takes a quotation mark for
/// part of one.
fn has_odd_names(trailers: &HeaderMap) -> bool {
    trailers.keys().any(|name| !name.as_str().bytes().all(|b| is_token(b) && b != b'_'))
}

/// The body of an answer. With it the request ends.
pub struct ResponseBody {
    kind: Kind,
    end: End,
}

enum Kind {
    Whole(Option<Bytes>),
    Upstream(Streaming),
}

impl ResponseBody {
    /// A body that is there.
    pub fn whole(bytes: Bytes, end: End) -> ResponseBody {
        ResponseBody { kind: Kind::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())), end }
    }

    /// The client did not take it to its end.
    pub fn broke_off(&mut self, why: &dyn fmt::Display) {
        self.end.broke_off(None, why);
    }

    /// `timeout total` is over before the body is; if not yet, the task is woken when it is.
    pub fn is_overdue(&self, cx: &Context<'_>) -> bool {
        match &self.kind {
            Kind::Upstream(Streaming { body, total: Some(total), .. }) => {
                !body.is_end_stream() && total.poll_expired(cx)
            }
            _ => false,
        }
    }

    /// What the upstream sends, as it comes.
    pub fn upstream(body: Streaming, end: End) -> ResponseBody {
        ResponseBody { kind: Kind::Upstream(body), end }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Kind::Upstream(Streaming { body, total: Some(total), .. }) = &self.kind
            && total.is_over()
            && !body.is_end_stream()
        {
            self.end.broke_off(Some(FailureKind::UpstreamTimeout), &TotalOver);
        }
    }
}

/// The answer took longer than `timeout total`.
#[derive(Debug)]
pub struct TotalOver;

impl fmt::Display for TotalOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`timeout total` is over")
    }
}

impl std::error::Error for TotalOver {}

fn total_over() -> (FailureKind, Box<dyn std::error::Error + Send + Sync>) {
    (FailureKind::UpstreamTimeout, TotalOver.into())
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let frame = match &mut this.kind {
            Kind::Whole(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Kind::Upstream(Streaming { body, total, verdict }) => {
                let over = total.as_ref().is_some_and(|total| total.poll_expired(cx));
                match Pin::new(&mut *body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(_))) if over && !body.is_end_stream() => Some(Err(total_over())),
                    Poll::Ready(Some(Err(error))) => {
                        if let Some(verdict) = verdict
                            && eject::is_servers(error.kind)
                        {
                            verdict.failed();
                        }
                        Some(Err((exchange::kind(&error), error.into())))
                    }
                    Poll::Ready(frame) => {
                        frame.map(|frame| frame.map_err(|error| (exchange::kind(&error), error.into())))
                    }
                    Poll::Pending if over => {
                        verdict.iter_mut().for_each(|verdict| verdict.late());
                        Some(Err(total_over()))
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
        };
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => {
                if let (Some(record), Some(data)) = (&mut this.end.record, frame.data_ref()) {
                    record.sent = record.sent.saturating_add(data.len() as u64);
                }
                Ok(frame)
            }
            Err((kind, error)) => {
                this.end.broke_off(Some(kind), &error);
                Err(error)
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Upstream(streaming) => streaming.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Upstream(streaming) => streaming.body.size_hint(),
        }
    }
}

/// What a request holds until its answer is over, whichever way it ends. Then its line is logged.
pub struct End {
    client: Rc<Client>,
    /// Concurrent limits.
    pub holds: Vec<Hold>,
    /// One of the upstream's `max requests`.
    pub permit: Option<OwnedSemaphorePermit>,
    /// The line of the access log.
    pub record: Option<Box<Record>>,
}

impl End {
    /// A request of this client that holds nothing yet.
    pub fn new(client: Rc<Client>) -> End {
        End { client, holds: Vec::new(), permit: None, record: None }
    }

    /// The answer ends before its end; without a kind it was the client's doing.
    pub fn broke_off(&mut self, kind: Option<FailureKind>, why: &dyn fmt::Display) {
        if let Some(record) = &mut self.record {
            record.broke_off(kind.map(FailureKind::name), why);
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.client.request_ended();
        if let Some(mut record) = self.record.take() {
            if self.client.worker.is_cutting_off() {
                record.cut_off();
            }
            record.write();
        }
    }
}

/// Takes out what belongs to the connection (RFC 9110, 7.6.1), `Alt-Svc` with it: a server's other ways to itself lead past the
/// gateway. `Trailer` stays: hyper sends the trailers that it names.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    use http::header::{ALT_SVC, CONNECTION, PROXY_AUTHENTICATE, TE, TRANSFER_ENCODING, UPGRADE};
    if headers.contains_key(CONNECTION) {
        let lines = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
        let names = lines.flat_map(|line| line.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
        // What frames or routes a message never depends on the hop.
        let named: Vec<_> = names
            .filter(|name| !name.eq_ignore_ascii_case(b"close") && !name.eq_ignore_ascii_case(b"content-length"))
            .filter_map(|name| http::HeaderName::from_bytes(name).ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    let belongs = |name: &http::HeaderName| {
        *name == TRANSFER_ENCODING
            || *name == UPGRADE
            || *name == TE
            || *name == PROXY_AUTHENTICATE
            || *name == ALT_SVC
            || matches!(name.as_str(), "keep-alive" | "proxy-connection")
    };
    if headers.keys().any(belongs) {
        for name in [TRANSFER_ENCODING, UPGRADE, TE, PROXY_AUTHENTICATE, ALT_SVC] {
            headers.remove(name);
        }
        headers.remove("keep-alive");
        headers.remove("proxy-connection");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_connection_goes() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("trailer", "x-sum"),
            ("alt-svc", "h3=\":443\""),
            ("x-end", "1"),
        ] {
            headers.append(http::HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "trailer", "x-end"]);
    }
}
