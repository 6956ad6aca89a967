//! The answers of one HTTP/1.1 connection, one after another.

use super::body::ResponseBody;
use super::client::Client;
use super::request;
use http::{Request, Response};
use hyper::body::Incoming;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Answers requests in one future that stays where it is. A future for each request would be moved, empty, into its place: with
/// its 5 kB that costs more than many a step of answering.
pub struct Answers {
    /// Asked by whoever waits for an answer; it never ends.
    answering: RefCell<Pin<Box<dyn Future<Output = Infallible>>>>,
    desk: Rc<Desk>,
}

#[derive(Default)]
struct Desk {
    request: Cell<Option<Request<Incoming>>>,
    response: Cell<Option<Response<ResponseBody>>>,
}

impl Answers {
    /// For the requests of a client.
    pub fn new(client: Rc<Client>) -> Rc<Answers> {
        let desk = Rc::new(Desk::default());
        let answering = {
            let desk = desk.clone();
            async move {
                loop {
                    let next = poll_fn(|_| desk.request.take().map_or(Poll::Pending, Poll::Ready));
                    let response = request::answer(&client, next.await).await;
                    desk.response.set(Some(response));
                }
            }
        };
        Rc::new(Answers { answering: RefCell::new(Box::pin(answering)), desk })
    }

    /// Answers a request. There is one at a time.
    pub fn to(self: &Rc<Answers>, request: Request<Incoming>) -> Answer {
        self.desk.request.set(Some(request));
        Answer(self.clone())
    }
}

/// An answer that is being made.
pub struct Answer(Rc<Answers>);

impl Future for Answer {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Answers { answering, desk } = &*self.0;
        match answering.borrow_mut().as_mut().poll(cx) {
            Poll::Ready(never) => match never {},
            Poll::Pending => desk.response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
        }
    }
}
