//! Why an exchange with an upstream server failed, and whether it may be tried again.

use std::{error, fmt, io};

type Source = Box<dyn error::Error + Send + Sync>;

/// A failed exchange. The connection is closed.
#[derive(Debug)]
pub struct ExchangeError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The connection had served before and ended before the first byte of this response: most likely
    /// the server closed it as idle while the request was on its way.
    pub stale: bool,
    /// Something of the request body was taken from the caller, so it cannot be sent again.
    pub body_consumed: bool,
    source: Option<Source>,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The server's name did not resolve.
    Dns,
    /// The server refused the connection.
    Refused,
    /// No connection for another reason of the network.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// There may be no more connections: it is not the server that has failed.
    Overloaded,
    /// No server is in use: all are unhealthy.
    Unhealthy,
    /// The connection was reset.
    Reset,
    /// The server closed the connection before the response was complete.
    Closed,
    /// No response head in time.
    ResponseTimeout,
    /// A body stood still for too long.
    IdleTimeout,
    /// The response is not clean HTTP.
    Malformed(Malformed),
    /// The caller's request body failed, or was not as long as it said.
    RequestBody,
    /// The server says that it did nothing with the request (HTTP/2: a refused stream, or one beyond a GOAWAY):
    /// any method may be tried again.
    Unprocessed,
    /// The request asks for an upgrade, and the server is spoken to in HTTP/2 only.
    NoUpgrade,
    /// The request cannot be said in HTTP/2.
    Unsendable,
}

impl ErrorKind {
    /// No byte of the request left: any method may be tried again.
    #[must_use]
    pub fn is_connect(self) -> bool {
        matches!(self, Self::Dns | Self::Refused | Self::Connect | Self::ConnectTimeout | Self::Tls)
    }

    /// A wait ended.
    #[must_use]
    pub fn is_timeout(self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::ResponseTimeout | Self::IdleTimeout)
    }
}

impl ExchangeError {
    pub(super) fn new(kind: ErrorKind) -> Self {
        Self { kind, stale: false, body_consumed: false, source: None }
    }

    pub(super) fn because(kind: ErrorKind, source: impl Into<Source>) -> Self {
        Self { source: Some(source.into()), ..Self::new(kind) }
    }

    /// An error of the socket once it is connected.
    pub(super) fn io(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::UnexpectedEof => ErrorKind::Closed,
            io::ErrorKind::TimedOut => ErrorKind::IdleTimeout,
            _ => ErrorKind::Reset,
        };
        Self::because(kind, error)
    }

    /// What caused it, in words.
    pub(super) fn cause(&self) -> String {
        self.source.as_ref().map_or_else(String::new, ToString::to_string)
    }

    /// The connection ended, whatever the words for it.
    pub(super) fn is_ended(&self) -> bool {
        matches!(self.kind, ErrorKind::Reset | ErrorKind::Closed)
    }
}

impl From<Malformed> for ExchangeError {
    fn from(reason: Malformed) -> Self {
        Self::new(ErrorKind::Malformed(reason))
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) if !source.to_string().is_empty() => write!(f, "{}: {source}", self.kind),
            _ => self.kind.fmt(f),
        }
    }
}

impl error::Error for ExchangeError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as _)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "the name did not resolve",
            Self::Refused => "the connection was refused",
            Self::Connect => "no connection",
            Self::ConnectTimeout => "no connection in time",
            Self::Tls => "the TLS handshake failed",
            Self::Overloaded => "no connection is left for the request",
            Self::Unhealthy => "no server is usable",
            Self::Reset => "the connection was reset",
            Self::Closed => "the server closed the connection early",
            Self::ResponseTimeout => "no response in time",
            Self::IdleTimeout => "the body stood still for too long",
            Self::Malformed(reason) => return write!(f, "malformed response: {reason}"),
            Self::RequestBody => "the request body failed",
            Self::Unprocessed => "the server did not take the request",
            Self::NoUpgrade => "an upgrade needs HTTP/1.1, and only HTTP/2 is spoken to this upstream",
            Self::Unsendable => "the request cannot be sent in HTTP/2",
        })
    }
}

/// Why a response is not accepted. Each is a doubt about where a message ends or what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The first line is not `HTTP/1.x SSS reason`.
    StatusLine,
    /// A header line that is not `name: value`, is folded, or ends without CR LF.
    Header,
    /// More header fields than [`crate::upstream::head::MAX_HEADERS`].
    TooManyHeaders,
    /// The head is longer than the limit.
    HeadTooLarge,
    /// `Content-Length` is not one plain number.
    ContentLength,
    /// `Transfer-Encoding` is not exactly `chunked`, or stands in an HTTP/1.0 response.
    TransferEncoding,
    /// `Content-Length` beside `Transfer-Encoding`.
    TwoLengths,
    /// A chunk's size line or its end is wrong.
    Chunk,
    /// The trailer section is wrong or too large.
    Trailers,
    /// Too many interim (1xx) responses.
    TooManyInterim,
    /// 101 without an upgrade in the request.
    UnexpectedUpgrade,
    /// Frames that are not HTTP/2, or say what no response may say.
    Http2,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StatusLine => "bad status line",
            Self::Header => "bad header line",
            Self::TooManyHeaders => "too many header fields",
            Self::HeadTooLarge => "the head is too large",
            Self::ContentLength => "bad content-length",
            Self::TransferEncoding => "bad transfer-encoding",
            Self::TwoLengths => "both content-length and transfer-encoding",
            Self::Chunk => "bad chunk",
            Self::Trailers => "bad trailers",
            Self::TooManyInterim => "too many interim responses",
            Self::UnexpectedUpgrade => "an upgrade that nobody asked for",
            Self::Http2 => "not HTTP/2 as it should be",
        })
    }
}
