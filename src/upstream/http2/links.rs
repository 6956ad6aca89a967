//! The HTTP/2 connections of one worker to one server: one, until its streams are all in use.

use super::link::Link;
use crate::upstream::config::Protocol;
use crate::upstream::conn::Wire;
use crate::upstream::error::{ErrorKind, ExchangeError};
use crate::upstream::pool::{Counted, LINE_FULL, NONE_FREE, Place, Pool};
use crate::upstream::stream::Stream;
use crate::upstream::timer::Deadline;
use crate::upstream::tls::Offer;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The connections to one server, oldest first, and the line of those who wait for a stream.
#[derive(Default)]
pub(in crate::upstream) struct Links {
    list: RefCell<Vec<(Rc<Link>, Place)>>,
    /// One is being made.
    connecting: Cell<bool>,
    waiting: RefCell<VecDeque<oneshot::Sender<Grant>>>,
}

/// What one who waited gets.
enum Grant {
    Stream(Lease),
    /// The server speaks HTTP/1.1 only.
    Http1,
    Failed(ErrorKind, String),
}

/// What one who asks for a stream gets.
pub(in crate::upstream) enum Leased {
    /// A stream.
    Stream(Lease),
    /// The server chose HTTP/1.1.
    Http1,
}

/// The right to one stream. Dropping it gives it to the next.
pub(in crate::upstream) struct Lease {
    pub(super) link: Rc<Link>,
    deadline: Option<Deadline>,
    counted: Counted,
}

impl Lease {
    fn new(link: &Rc<Link>, pool: &Rc<Pool>) -> Lease {
        Lease { deadline: Some(link.enter()), link: link.clone(), counted: Counted::new(pool) }
    }

    /// The deadline of this exchange.
    pub(super) fn deadline(&self) -> Option<&Deadline> {
        self.deadline.as_ref()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(deadline) = self.deadline.take() {
            self.link.leave(deadline);
        }
        self.counted.pool().grant_streams();
    }
}

impl Pool {
    /// A stream on an open connection, within `connect` if it must be waited for.
    pub(in crate::upstream) async fn lease(self: &Rc<Self>, connect: Duration) -> Result<Leased, ExchangeError> {
        // Who waits goes first.
        if self.links.waiting.borrow().is_empty()
            && let Some(lease) = self.free_stream()
        {
            return Ok(Leased::Stream(lease));
        }
        let receiver = {
            let mut waiting = self.links.waiting.borrow_mut();
            waiting.retain(|sender| !sender.is_closed());
            // Those for whom the connection that is being made has room do not count.
            let room = if self.links.connecting.get() { self.limits.http2.streams } else { 0 };
            if waiting.len() >= self.limits.pending.saturating_add(room) {
                return Err(ExchangeError::because(ErrorKind::Overloaded, LINE_FULL));
            }
            let (sender, receiver) = oneshot::channel();
            waiting.push_back(sender);
            receiver
        };
        let _counted = Counted::new(self);
        // Those before may have given up.
        self.grant_streams();
        self.serve_waiting(connect);
        match self.connector.timer.deadline().timeout(connect, receiver).await {
            Some(Ok(Grant::Stream(lease))) => Ok(Leased::Stream(lease)),
            Some(Ok(Grant::Http1)) => Ok(Leased::Http1),
            Some(Ok(Grant::Failed(kind, why))) => Err(ExchangeError::because(kind, why)),
            // The server has done nothing wrong where all that it may have is in use.
            None if !self.links.connecting.get() => Err(ExchangeError::because(ErrorKind::Overloaded, NONE_FREE)),
            Some(Err(_)) | None => Err(ExchangeError::new(ErrorKind::ConnectTimeout)),
        }
    }

    fn free_stream(self: &Rc<Self>) -> Option<Lease> {
        // A place that comes free is given on when nothing is borrowed any more.
        let mut closed = Vec::new();
        let link = {
            let mut list = self.links.list.borrow_mut();
            list.extract_if(.., |(link, _)| !link.is_open()).for_each(|gone| closed.push(gone));
            list.iter().map(|(link, _)| link).find(|link| link.has_room()).cloned()
        };
        drop(closed);
        link.map(|link| Lease::new(&link, self))
    }

    /// Gives free streams to those who wait, in order.
    pub(in crate::upstream) fn grant_streams(self: &Rc<Self>) {
        loop {
            let next = {
                let mut waiting = self.links.waiting.borrow_mut();
                while waiting.front().is_some_and(oneshot::Sender::is_closed) {
                    waiting.pop_front();
                }
                waiting.front().is_some()
            };
            let lease = if next { self.free_stream() } else { None };
            let Some(lease) = lease else { return };
            let sender = self.links.waiting.borrow_mut().pop_front();
            if let Some(sender) = sender {
                // Not refused: the receiver lives on this thread and was there a line ago.
                drop(sender.send(Grant::Stream(lease)));
            }
        }
    }

    /// Makes a connection, unless one is being made or there may be no more.
    fn grow(self: &Rc<Self>, connect: Duration) {
        if self.links.connecting.get() {
            return;
        }
        let Some(place) = Place::take(self) else { return };
        self.links.connecting.set(true);
        let pool = self.clone();
        tokio::task::spawn_local(async move {
            let made = pool.connect_either(connect, place).await;
            pool.links.connecting.set(false);
            match made {
                Ok(()) => pool.grant_streams(),
                Err(error) if error.kind == ErrorKind::ConnectTimeout => {}
                // Where there are connections it is worth waiting for one of their streams.
                Err(_) if !pool.links.list.borrow().is_empty() => return,
                Err(error) => pool.tell_all(|| Grant::Failed(error.kind, error.cause())),
            }
            // Some may be more patient than the one who began, or more than one connection can carry.
            pool.serve_waiting(connect);
        });
    }

    /// Makes a connection if somebody waits for one.
    pub(in crate::upstream) fn serve_waiting(self: &Rc<Self>, connect: Duration) {
        if !self.links.waiting.borrow().is_empty() {
            self.grow(connect);
        }
    }

    /// Connects, and takes note of what the server speaks.
    async fn connect_either(self: &Rc<Self>, connect: Duration, place: Place) -> Result<(), ExchangeError> {
        let (offer, tls) = match self.limits.protocol {
            Protocol::Auto => (Offer::Either, true),
            _ => (Offer::Http2, self.connector.is_tls()),
        };
        let end = Instant::now() + connect;
        let (stream, deadline) = self.connector.connect(end, offer).await?;
        if tls && !speaks_http2(&stream) {
            if self.limits.protocol != Protocol::Auto {
                return Err(ExchangeError::because(ErrorKind::Tls, "the server does not offer HTTP/2"));
            }
            self.set_http1(true);
            // It stays for the next request.
            place.into_slot(self).put_back(Rc::new(RefCell::new(Wire::new(stream, deadline))));
            self.tell_all(|| Grant::Http1);
            return Ok(());
        }
        stream.keep_alive();
        let left = end.saturating_duration_since(Instant::now());
        let begun = deadline.timeout(left, Link::begin(stream, &self.connector.timer, &self.limits.http2)).await;
        let (link, task) = begun.unwrap_or_else(|| Err(ExchangeError::new(ErrorKind::ConnectTimeout)))?;
        self.links.list.borrow_mut().push((link, place));
        let pool = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            task.await;
            // Who waits for a stream of it would wait for nothing.
            if let Some(pool) = pool.upgrade() {
                pool.grant_streams();
                pool.serve_waiting(connect);
            }
        });
        Ok(())
    }

    fn tell_all(&self, grant: impl Fn() -> Grant) {
        let waiting = std::mem::take(&mut *self.links.waiting.borrow_mut());
        for sender in waiting {
            // Who no longer waits need not know.
            drop(sender.send(grant()));
        }
    }

    /// Closes what was idle for too long, and forgets what has ended.
    pub(in crate::upstream) fn reap_links(&self, now: Duration) {
        let idle = self.limits.http2.idle;
        let gone = |link: &Link| {
            let idle = link.is_idle() && now.saturating_sub(link.since.get()) >= idle;
            idle || !link.is_open()
        };
        let closed: Vec<_> = self.links.list.borrow_mut().extract_if(.., |(link, _)| gone(link)).collect();
        drop(closed);
    }
}

fn speaks_http2(stream: &Stream) -> bool {
    stream.protocol() == Some(b"h2")
}
