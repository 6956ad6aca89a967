//! Requests that become ready in one turn of the event loop go out in one burst, when the other tasks of the turn have had theirs.
//!
//! A server that is awake already need not be woken for each request: a tenth of the whole cost of a small one, and more on the
//! server's side. The request's own task need not run for it: it waits for the response.

use super::conn::Wire;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

/// The requests of one upstream in one worker that are about to go out.
#[derive(Clone)]
pub(super) struct Burst(Rc<Queue>);

#[derive(Default)]
struct Queue {
    wires: RefCell<Vec<Rc<RefCell<Wire>>>>,
    /// The sending task, while it sleeps.
    task: Cell<Option<Waker>>,
}

impl Burst {
    /// Starts the sending task. It ends with the last handle.
    ///
    /// # Panics
    /// Outside a `LocalRuntime` or `LocalSet`.
    pub(super) fn new() -> Self {
        let queue = Rc::new(Queue::default());
        tokio::task::spawn_local(send(Rc::downgrade(&queue)));
        Self(queue)
    }

    /// What stands in the write buffer goes out at the end of this turn, if it is still `queued` then.
    #[inline]
    pub(super) fn add(&self, wire: &Rc<RefCell<Wire>>) {
        self.0.wires.borrow_mut().push(wire.clone());
        if let Some(task) = self.0.task.take() {
            task.wake();
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

async fn send(queue: Weak<Queue>) {
    let mut wires = Vec::new();
    poll_fn(|cx| {
        let Some(queue) = queue.upgrade() else { return Poll::Ready(()) };
        std::mem::swap(&mut wires, &mut *queue.wires.borrow_mut());
        for wire in wires.drain(..) {
            // Nobody else waits for a connection that is only here.
            if Rc::strong_count(&wire) > 1 {
                wire.borrow_mut().send_queued();
            }
        }
        queue.task.set(Some(cx.waker().clone()));
        Poll::Pending
    })
    .await;
}
