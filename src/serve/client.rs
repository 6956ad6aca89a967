//! What the parts of a client's connection share: the guard that reads it, the requests that it carries and
//! the task that drives it are all on one thread.

use super::body::strip_hop_by_hop;
use super::connection::{REST, SOON};
use super::listen::Port;
use super::refused::Traces;
use super::worker::Worker;
use crate::policy::heads::Refused;
use crate::upstream::Upgraded;
use crate::upstream::timer::Deadline;
use bytes::Bytes;
use h2::server::SendResponse;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use std::cell::{Cell, OnceCell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

/// A client's connection.
pub struct Client {
    /// The other end; behind a trusted balancer that says so, the one behind it.
    pub peer: Cell<SocketAddr>,
    /// It came over TLS.
    pub secure: Cell<bool>,
    /// The subject of its certificate.
    pub certificate: OnceCell<Box<str>>,
    /// Where it came in.
    pub port: Rc<Port>,
    /// Whose it is.
    pub worker: Rc<Worker>,
    deadline: Deadline,
    /// When it is put to rest: a finer one.
    rest: Deadline,
    /// How long it is idle before that.
    awake: Cell<Duration>,
    waits: Cell<Waits>,
    /// A request is being answered.
    in_flight: Cell<bool>,
    /// The end of `timeout total`, while its answer is on its way.
    total: RefCell<Option<Rc<Deadline>>>,
    /// Heads that passed the guard, and requests that hyper made of them.
    heads: Cell<u64>,
    requests: Cell<u64>,
    /// The last head stands in for one that was refused.
    refused: Cell<Option<Refused>>,
    /// What is known of that one.
    traces: Cell<Option<Box<Traces>>>,
    /// The server's side of a tunnel, once the client is told of it.
    pub tunnel: RefCell<Option<Tunnel>>,
    closing: Cell<bool>,
    task: RefCell<Option<Waker>>,
    /// Interim responses, which go out before anything that hyper writes.
    interim: RefCell<Vec<u8>>,
    /// hyper has begun to write something and has not said that it is all written.
    writing: Cell<bool>,
    /// Who is to be woken when the request has its answer.
    held: Cell<Option<Waker>>,
}

/// An upstream connection after 101.
pub struct Tunnel {
    /// The connection.
    pub upstream: Upgraded,
    /// How long nothing may move.
    pub idle: Duration,
    /// Its log line is written when this goes.
    pub end: super::body::End,
}

/// How interim responses (RFC 9110, 15.2) get to a client.
pub enum Interim<'a> {
    /// It does not know them.
    Unknown,
    /// Beside hyper.
    Http1(&'a Client),
    /// On the request's stream.
    Http2(&'a RefCell<SendResponse<Bytes>>),
}

impl Interim<'_> {
    /// The client understands them.
    pub fn is_welcome(&self) -> bool {
        !matches!(self, Interim::Unknown)
    }

    /// Sends one, if that is possible now.
    pub fn send(&self, status: StatusCode, mut headers: HeaderMap) {
        match self {
            Interim::Unknown => {}
            Interim::Http1(client) => client.send_interim(status, headers),
            Interim::Http2(stream) => {
                strip_hop_by_hop(&mut headers);
                headers.remove(CONTENT_LENGTH);
                let mut response = http::Response::new(());
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                // A stream that is gone needs none.
                let _ = stream.borrow_mut().send_informational(response);
            }
        }
    }
}

/// What a connection's deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// For nothing of the client's.
    Nothing,
    /// For a request to begin.
    Request,
    /// For a request to begin, until the connection is put to rest.
    Rest,
    /// For the rest of a request's head.
    Head,
    /// For the request's body.
    Body,
    /// For the client to take what is written.
    Write,
}

impl Client {
    /// A connection that has just been accepted.
    pub fn new(peer: SocketAddr, port: Rc<Port>, worker: Rc<Worker>) -> Client {
        Client {
            peer: Cell::new(peer),
            secure: Cell::new(false),
            certificate: OnceCell::new(),
            port,
            deadline: worker.patience.deadline(),
            rest: worker.timer.deadline(),
            awake: Cell::new(REST),
            worker,
            waits: Cell::new(Waits::Nothing),
            in_flight: Cell::new(false),
            total: RefCell::new(None),
            heads: Cell::new(0),
            requests: Cell::new(0),
            refused: Cell::new(None),
            traces: Cell::new(None),
            tunnel: RefCell::new(None),
            closing: Cell::new(false),
            task: RefCell::new(None),
            interim: RefCell::default(),
            writing: Cell::new(false),
            held: Cell::new(None),
        }
    }

    /// The peer's address; IPv4 as IPv4.
    pub fn ip(&self) -> IpAddr {
        self.peer.get().ip().to_canonical()
    }

    /// `http` or `https`.
    #[inline]
    pub fn scheme(&self) -> &'static str {
        if self.secure.get() { "https" } else { "http" }
    }

    /// Waits for something from now on, for `patience` at most.
    #[inline]
    pub fn wait(&self, what: Waits, patience: Duration) {
        self.rest.disarm();
        self.waits.set(what);
        self.deadline.arm(patience);
    }

    /// Waits for the next request, until it is time to rest.
    #[inline]
    pub fn wait_awake(&self) {
        self.waits.set(Waits::Rest);
        self.rest.arm(self.awake.get());
    }

    /// How long it is idle before it rests.
    #[inline]
    pub fn awake(&self) -> Duration {
        self.awake.get()
    }

    /// It has rested for so long. Whose requests come again and again is better awake in between.
    pub fn rested(&self, time: Duration) {
        self.awake.set(if time < SOON { SOON } else { REST });
    }

    /// What is waited for is another thing now, no longer than before.
    pub fn wait_on(&self, what: Waits) {
        self.waits.set(what);
    }

    /// What was waited for came.
    #[inline]
    pub fn came(&self, what: Waits) {
        if self.waits.get() == what {
            self.waits.set(Waits::Nothing);
            self.deadline_for(what).disarm();
        }
    }

    #[inline]
    fn deadline_for(&self, what: Waits) -> &Deadline {
        if what == Waits::Rest { &self.rest } else { &self.deadline }
    }

    /// A head came, whole.
    #[inline]
    pub fn head_came(&self) {
        if matches!(self.waits.get(), Waits::Request | Waits::Rest | Waits::Head) {
            self.came(self.waits.get());
        }
    }

    /// What is waited for now.
    #[inline]
    pub fn waits(&self) -> Waits {
        self.waits.get()
    }

    /// The wait took too long; if not yet, the task is woken when it does.
    #[inline]
    pub fn is_late(&self, cx: &Context<'_>) -> bool {
        let what = self.waits.get();
        what != Waits::Nothing && self.deadline_for(what).poll_expired(cx)
    }

    /// The answer on its way must have gone by then.
    pub fn answer_within(&self, total: Option<Rc<Deadline>>) {
        self.total.replace(total);
    }

    /// It has not, because the client does not take it: hyper asks for no more of it then.
    #[inline]
    pub fn is_overdue(&self, cx: &Context<'_>) -> bool {
        self.total.borrow().as_ref().is_some_and(|total| total.poll_expired(cx))
    }

    /// The guard let heads through; the last one stands in for a refused one if `refused` says so.
    pub fn heads_passed(&self, heads: u64, refused: Option<Refused>) {
        self.heads.set(self.heads.get().saturating_add(heads));
        if refused.is_some() {
            self.refused.set(refused);
        }
    }

    /// What is known of the request that was refused.
    pub fn leave_traces(&self, traces: Traces) {
        self.traces.set(Some(Box::new(traces)));
    }

    /// The same, for its line in the log.
    pub fn traces(&self) -> Option<Box<Traces>> {
        self.traces.take()
    }

    /// hyper hands over the next request: why it must be refused, if it must be.
    pub fn next_request(&self) -> Option<Refused> {
        self.in_flight.set(true);
        let number = self.requests.get().saturating_add(1);
        self.requests.set(number);
        self.refused.get().filter(|_| number == self.heads.get())
    }

    /// The answer to the last request has gone to hyper, or never will.
    pub fn request_ended(&self) {
        self.in_flight.set(false);
        self.total.replace(None);
        if let Some(task) = self.held.take() {
            task.wake();
        }
    }

    /// Nothing is read before the request has its answer.
    pub fn hold(&self, cx: &Context<'_>) {
        self.held.set(Some(cx.waker().clone()));
    }

    /// A request that has come is not yet answered, or was answered with 101.
    pub fn is_answering(&self) -> bool {
        self.in_flight.get() || self.is_ahead() || self.tunnel.borrow().is_some()
    }

    /// It has sent more requests than the one that is being answered.
    #[inline]
    pub fn is_ahead(&self) -> bool {
        self.heads.get() != self.requests.get()
    }

    /// A request is being answered.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.in_flight.get()
    }

    /// No request came yet.
    pub fn is_new(&self) -> bool {
        self.heads.get() == 0
    }

    /// Sends an interim response (RFC 9110, 15.2). hyper cannot; so it goes out beside it, unless the end of an earlier
    /// response is still on its way: then it is left out.
    pub fn send_interim(&self, status: StatusCode, mut headers: HeaderMap) {
        if self.writing.get() {
            return;
        }
        strip_hop_by_hop(&mut headers);
        let mut out = self.interim.borrow_mut();
        let reason = status.canonical_reason().unwrap_or_default();
        out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
        for (name, value) in headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH) {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// What must be written first.
    pub fn interim(&self) -> &RefCell<Vec<u8>> {
        &self.interim
    }

    /// hyper writes, or has written everything.
    #[inline]
    pub fn set_writing(&self, writing: bool) {
        self.writing.set(writing);
    }

    /// Ends the connection after the request in flight.
    pub fn close(&self) {
        self.closing.set(true);
        self.wake();
    }

    /// Wakes the connection's task.
    pub fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }

    /// The connection is to end.
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// The connection is to end: the task is woken when this changes.
    #[inline]
    pub fn poll_closing(&self, cx: &Context<'_>) -> bool {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
        self.closing.get()
    }
}
