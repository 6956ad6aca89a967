//! The tasks that serve streams, each one stream after another: a task for each would be moved into its place, and with the room
//! for a request it has 6 kB.

use super::{Open, stream};
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

/// So many tasks of a worker wait for their next stream.
const IDLE: usize = 128;

/// A worker's tasks for streams.
#[derive(Default)]
pub struct Desks {
    idle: RefCell<Vec<Rc<Desk>>>,
}

type Job = (Open, Request<RecvStream>, SendResponse<Bytes>);

/// Where a task finds what to do.
#[derive(Default)]
struct Desk {
    job: Cell<Option<Job>>,
    task: OnceCell<Waker>,
}

impl Desks {
    /// Serves a stream, in a task of its own for as long as it lasts.
    pub(super) fn serve(self: &Rc<Desks>, job: Job) {
        let idle = self.idle.borrow_mut().pop();
        let desk = idle.unwrap_or_else(|| {
            let desk = Rc::new(Desk::default());
            tokio::task::spawn_local(work(Rc::downgrade(self), desk.clone()));
            desk
        });
        desk.job.set(Some(job));
        if let Some(task) = desk.task.get() {
            task.wake_by_ref();
        }
    }
}

async fn work(desks: Weak<Desks>, desk: Rc<Desk>) {
    loop {
        let job = poll_fn(|cx| {
            desk.task.get_or_init(|| cx.waker().clone());
            desk.job.take().map_or(Poll::Pending, Poll::Ready)
        });
        let (open, request, respond) = job.await;
        stream::serve(open, request, respond).await;
        let Some(desks) = desks.upgrade() else { return };
        let mut idle = desks.idle.borrow_mut();
        if idle.len() >= IDLE {
            return;
        }
        idle.push(desk.clone());
    }
}
