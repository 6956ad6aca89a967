//! Shaking hands with a client.

use super::{Challenges, Endpoint};
use crate::serve::transport::{Socket, Transport};
use rustls::server::Acceptor;
use std::{fmt, io};
use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;

/// How much is read of a client's greeting at once: most are shorter, also with post-quantum keys.
const GREETING: usize = 4 * 1024;

/// Why there is no TLS.
pub enum Failed {
    /// The client speaks HTTP without TLS: what it said is read, and can be answered.
    Plain(TcpStream),
    /// It went away.
    Gone,
    /// It asked for a challenge's certificate, and has it.
    Challenge,
    /// What it said is not understood or not agreed upon; it has been told so.
    Refused(String, Option<TcpStream>),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted => Failed::Gone,
            _ => Failed::Refused(error.to_string(), None),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Plain(_) => f.write_str("it speaks HTTP without TLS"),
            Failed::Gone => f.write_str("it went away"),
            Failed::Challenge => f.write_str("a challenge was answered"),
            Failed::Refused(why, _) => f.write_str(why),
        }
    }
}

/// Shakes hands as a server.
pub async fn accept(tcp: TcpStream, endpoint: &Endpoint, challenges: &Challenges) -> Result<Transport, Failed> {
    let mut acceptor = Acceptor::default();
    let mut begun = false;
    let accepted = loop {
        tcp.readable().await?;
        let mut scratch = [0; GREETING];
        let came = match tcp.try_read(&mut scratch) {
            Ok(0) => return Err(Failed::Gone),
            Ok(n) => scratch.get(..n).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        };
        if !std::mem::replace(&mut begun, true) && is_http(came) {
            return Err(Failed::Plain(tcp));
        }
        let mut rest = came;
        while !rest.is_empty() {
            acceptor.read_tls(&mut rest)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => break accepted,
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                if alert.write_all(&mut bytes).is_ok() {
                    // Best effort: the client may be gone.
                    let _ = tcp.try_write(&bytes);
                }
                return Err(Failed::Refused(error.to_string(), Some(tcp)));
            }
        }
    };
    if let Some(challenge) = challenges.config(&accepted.client_hello()) {
        StartHandshake::from_parts(accepted, Socket::new(tcp)).into_stream(challenge).await?;
        return Err(Failed::Challenge);
    }
    let handshake = StartHandshake::from_parts(accepted, Socket::new(tcp)).into_stream(endpoint.config.clone());
    match handshake.into_fallible().await {
        Ok(tls) => Ok(Transport::Tls(Box::new(tls))),
        Err((error, socket)) => match Failed::from(error) {
            Failed::Refused(why, _) => Err(Failed::Refused(why, Some(socket.into_tcp()))),
            failed => Err(failed),
        },
    }
}

/// The first bytes are the begin of a request line; a TLS record begins with 22.
fn is_http(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_uppercase)
}
