//! Listeners as a worker has them.

use super::generation::Local;
use crate::plan::{Plan, Protocols};
use smol_str::SmolStr;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
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
        };
        port.renew(local, index);
        port
    }

    /// Serves another generation from now on.
    pub fn renew(&self, local: Rc<Local>, index: usize) {
        if let Some(listener) = local.plan().listeners.get(index) {
            self.patience.set(Patience { header: listener.timeout_header, idle: listener.timeout_idle });
            self.max.set(listener.max_connections.unwrap_or(usize::MAX));
            self.header_max.set(listener.header_max);
            self.protocols.set(listener.protocols);
            self.name.replace(listener.name.clone());
        }
        self.current.replace((local, index));
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

/// The addresses of a plan's listeners with their names.
pub fn addresses(plan: &Plan) -> impl Iterator<Item = (&SmolStr, SocketAddr)> {
    plan.listeners.iter().map(|listener| (&listener.name, listener.address))
}
