//! What becomes ready to be sent in one turn of the event loop goes out in one burst, when the other tasks of the turn have had theirs.
//!
//! A server, or a client, that is awake already need not be woken for each message: a tenth of the whole cost of a small request, and
//! more on the other side. Nor need the task run for it that made the message.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::AsyncWrite;

/// Something with a message that is about to go out.
pub trait Queued {
    /// Sends it, unless that has been done meanwhile.
    fn send_queued(&mut self);
}

/// Writes what stands in `out`, and takes out what was written.
#[inline]
pub fn poll_drain(
    out: &mut Vec<u8>,
    stream: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !out.is_empty() {
        match ready!(Pin::new(&mut *stream).poll_write(cx, out))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            n if n >= out.len() => out.clear(),
            n => drop(out.drain(..n)),
        }
    }
    Poll::Ready(Ok(()))
}

/// The messages of a kind in one worker that are about to go out.
pub struct Burst<T>(Rc<Queue<T>>);

struct Queue<T> {
    senders: RefCell<Vec<Rc<RefCell<T>>>>,
    /// The sending task, while it sleeps.
    task: Cell<Option<Waker>>,
}

impl<T: Queued + 'static> Burst<T> {
    /// Starts the sending task. It ends with the last handle.
    ///
    /// # Panics
    /// Outside a `LocalRuntime` or `LocalSet`.
    #[must_use]
    pub fn new() -> Self {
        let queue = Rc::new(Queue { senders: RefCell::default(), task: Cell::new(None) });
        tokio::task::spawn_local(send(Rc::downgrade(&queue)));
        Self(queue)
    }

    /// Its message goes out at the end of this turn.
    #[inline]
    pub fn add(&self, sender: &Rc<RefCell<T>>) {
        self.0.senders.borrow_mut().push(sender.clone());
        if let Some(task) = self.0.task.take() {
            task.wake();
        }
    }
}

impl<T: Queued + 'static> Default for Burst<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Burst<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

async fn send<T: Queued>(queue: Weak<Queue<T>>) {
    let mut senders = Vec::new();
    poll_fn(|cx| {
        let Some(queue) = queue.upgrade() else { return Poll::Ready(()) };
        std::mem::swap(&mut senders, &mut *queue.senders.borrow_mut());
        for sender in senders.drain(..) {
            // Nobody else waits for a connection that is only here.
            if Rc::strong_count(&sender) > 1 {
                sender.borrow_mut().send_queued();
            }
        }
        queue.task.set(Some(cx.waker().clone()));
        Poll::Pending
    })
    .await;
}
