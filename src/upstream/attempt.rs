//! One attempt at a request, in the version of HTTP that the server speaks.

use super::conn::Conn;
use super::error::{ErrorKind, ExchangeError};
use super::http2::{self, Kept, Leased};
use super::pool::{Pool, Want};
use super::send::{Answer, Request, WriteHead, send};
use bytes::Bytes;
use http_body::Body;
use std::error::Error;
use std::rc::Rc;

/// How often a request that a server did not process goes out again within the same attempt.
const AGAIN: u32 = 2;

impl Pool {
    /// Takes a connection or a stream and sends. What the server surely did not look at is sent again: on an idle
    /// connection that it had closed, a stream that it refused, or one beyond its GOAWAY.
    pub(super) async fn exchange<B>(
        self: &Rc<Self>,
        request: &mut Request<'_>,
        head: &impl WriteHead,
        body: &mut Option<B>,
    ) -> Result<Answer<B>, ExchangeError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        if !self.is_http1() {
            // Boxed: HTTP/1.1 would carry the room for it.
            if let Some(outcome) = Box::pin(self.exchange_http2(request, head, body)).await {
                return outcome;
            }
        }
        let repeatable = request.method.is_idempotent() && body.as_ref().is_none_or(Body::is_end_stream);
        let mut want = if repeatable { Want::Any } else { Want::Sure };
        loop {
            let conn = self.http1(want, request).await?;
            match send(conn, request, |out: &mut Vec<u8>| head.http1(out), body).await {
                Err(error) if error.stale && !error.body_consumed && request.method.is_idempotent() => {
                    want = Want::Fresh;
                }
                outcome => return outcome,
            }
        }
    }

    #[inline]
    async fn http1(self: &Rc<Self>, want: Want, request: &Request<'_>) -> Result<Conn, ExchangeError> {
        let conn = self.checkout(want, request.timeouts.connect).await;
        if let Err(error) = &conn
            && error.kind == ErrorKind::Tls
        {
            // It may speak HTTP/2 only by now.
            self.set_http1(false);
        }
        conn
    }

    /// None where the request must go by HTTP/1.1.
    async fn exchange_http2<B>(
        self: &Rc<Self>,
        request: &mut Request<'_>,
        head: &impl WriteHead,
        body: &mut Option<B>,
    ) -> Option<Result<Answer<B>, ExchangeError>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        if request.upgrade {
            // Extended CONNECT is not spoken to servers.
            return self.is_strictly_http2().then(|| Err(ExchangeError::new(ErrorKind::NoUpgrade)));
        }
        let mut left = AGAIN;
        let mut kept = Kept::default();
        loop {
            let outcome = match self.lease(request.timeouts.connect).await {
                Ok(Leased::Stream(lease)) => http2::send(lease, request, head, body, &mut kept).await,
                Ok(Leased::Http1) if !kept.taken() => return None,
                // What was taken of the body is for streams only.
                Ok(Leased::Http1) => Err(ExchangeError::new(ErrorKind::Unprocessed)),
                Err(error) => Err(error),
            };
            match outcome {
                Err(error)
                    if left > 0
                        && kept.is_whole()
                        && (error.kind == ErrorKind::Unprocessed
                            || (error.stale && request.method.is_idempotent())) =>
                {
                    left -= 1;
                }
                Err(mut error) => {
                    error.body_consumed = kept.taken();
                    return Some(Err(error));
                }
                answer => return Some(answer),
            }
        }
    }
}
