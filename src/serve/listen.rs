//! Listeners as a worker has them.

use super::generation::Local;
use super::tls::Endpoint;
use crate::plan::{Listener, Plan, Protocols};
use smol_str::SmolStr;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// A listener in one worker.
pub struct Port {
    /// Where it is bound.
    pub address: SocketAddr,
    /// The newest generation that has this listener, and which of the plan's it is.
    current: RefCell<(Rc<Local>, usize)>,
    patience: Cell<Patience>,
    /// Connections of all workers together.
    pub open: Arc<AtomicUsize>,
    max: Cell<usize>,
    header_max: Cell<usize>,
    protocols: Cell<Protocols>,
    name: RefCell<SmolStr>,
    closed: Cell<bool>,
    proxy_protocol: Cell<bool>,
    speaks: RefCell<Speaks>,
}

/// What a listener expects of a new connection.
#[derive(Clone)]
pub enum Speaks {
    /// HTTP at once.
    Http,
    /// A handshake first.
    Tls(Arc<Endpoint>),
    /// TLS, for which it has nothing.
    Nothing,
}

/// How long a listener waits for its clients.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the end of a request's head.
    pub header: Duration,
    /// For the next request, and for bytes to be taken.
    pub idle: Duration,
}

impl Port {
    /// The listener at `index` of the plan.
    pub fn new(bound: (SocketAddr, Arc<AtomicUsize>), local: Rc<Local>, index: usize) -> Port {
        let port = Port {
            address: bound.0,
            current: RefCell::new((local.clone(), index)),
            patience: Cell::new(Patience { header: Duration::MAX, idle: Duration::MAX }),
            open: bound.1,
            max: Cell::new(usize::MAX),
            header_max: Cell::new(usize::MAX),
            protocols: Cell::new(Protocols { h1: true, h2: false }),
            name: RefCell::default(),
            closed: Cell::new(false),
            proxy_protocol: Cell::new(false),
            speaks: RefCell::new(Speaks::Nothing),
        };
        port.renew(local, index);
        port
    }

    /// Serves another generation from now on. True if its connections came in otherwise than new ones will.
    pub fn renew(&self, local: Rc<Local>, index: usize) -> bool {
        let differs = {
            let (old, at) = &*self.current.borrow();
            let before = old.plan().listeners.get(*at).map(admission);
            before != local.plan().listeners.get(index).map(admission)
        };
        if let Some(listener) = local.plan().listeners.get(index) {
            self.patience.set(Patience { header: listener.timeout_header, idle: listener.timeout_idle });
            self.max.set(listener.max_connections.unwrap_or(usize::MAX));
            self.header_max.set(listener.header_max);
            self.protocols.set(listener.protocols);
            self.name.replace(listener.name.clone());
            self.proxy_protocol.set(listener.proxy_protocol);
            self.speaks.replace(match (&listener.tls, local.generation.endpoint(index)) {
                (None, _) => Speaks::Http,
                (Some(_), Some(endpoint)) => Speaks::Tls(endpoint.clone()),
                (Some(_), None) => Speaks::Nothing,
            });
        }
        self.current.replace((local, index));
        differs
    }

    /// What serves now, and which listener of its plan this is.
    #[inline]
    pub fn current(&self) -> (Rc<Local>, usize) {
        self.current.borrow().clone()
    }

    /// How long it waits.
    #[inline]
    pub fn patience(&self) -> Patience {
        self.patience.get()
    }

    /// The PROXY protocol's header comes first.
    pub fn expects_proxy_header(&self) -> bool {
        self.proxy_protocol.get()
    }

    /// What it expects then.
    pub fn speaks(&self) -> Speaks {
        self.speaks.borrow().clone()
    }

    /// Requests come without anything before them.
    #[inline]
    pub fn is_plain(&self) -> bool {
        !self.proxy_protocol.get() && matches!(*self.speaks.borrow(), Speaks::Http)
    }

    /// What a connection is told that is one too many.
    pub fn refusal(&self) -> &'static [u8] {
        match *self.speaks.borrow() {
            Speaks::Http => b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            // A fatal alert: `internal_error`, the one for what has nothing to do with the client (RFC 8446, 6.2).
            Speaks::Tls(_) | Speaks::Nothing => &[21, 3, 3, 0, 2, 2, 80],
        }
    }

    /// Most bytes of a head.
    pub fn header_max(&self) -> usize {
        self.header_max.get()
    }

    /// Which versions of HTTP it speaks.
    pub fn protocols(&self) -> Protocols {
        self.protocols.get()
    }

    /// Most connections at once.
    pub fn max(&self) -> usize {
        self.max.get()
    }

    /// It accepts no more, and its connections end as soon as they can.
    pub fn close(&self) {
        self.closed.set(true);
    }

    /// See [`Port::close`].
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Its name, or its address.
    pub fn name(&self) -> SmolStr {
        self.name.borrow().clone()
    }
}

/// What a connection goes through before its first request.
fn admission(listener: &Listener) -> (bool, bool, Option<(bool, &Path)>) {
    let clients = listener.tls.as_ref().and_then(|tls| tls.clients.as_ref());
    (listener.proxy_protocol, listener.tls.is_some(), clients.map(|clients| (clients.required, &*clients.ca)))
}

/// The addresses of a plan's listeners with their names.
pub fn addresses(plan: &Plan) -> impl Iterator<Item = (&SmolStr, SocketAddr)> {
    plan.listeners.iter().map(|listener| (&listener.name, listener.address))
}
