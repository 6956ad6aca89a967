//! The PROXY protocol, versions 1 and 2 (haproxy.org/download/3.2/doc/proxy-protocol.txt): who the client is, said by a
//! balancer before the connection's own first byte.
//!
//! The header is required where it is configured, and read strictly: who may write it may say anything, but who only
//! can make it ambiguous may not. No byte behind it is taken.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What both versions have at least: `PROXY UNKNOWN` with its line end. Version 2 has one more.
const LEAST: usize = 15;
/// The longest line of version 1, with its line end.
const LINE: usize = 107;
/// The longest version 2 that is read: addresses and what else a balancer knows, a client certificate's name, say.
const LONGEST: usize = 4 * 1024;

/// Why a header is refused, or how reading ended.
#[derive(Debug)]
pub enum Bad {
    /// What is wrong with it.
    Header(&'static str),
    /// The connection broke off.
    Io(io::Error),
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Bad {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Bad::Header("the connection ended within the header"),
            _ => Bad::Io(error),
        }
    }
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bad::Header(why) => f.write_str(why),
            Bad::Io(error) => error.fmt(f),
        }
    }
}

fn bad<T>(why: &'static str) -> Result<T, Bad> {
    Err(Bad::Header(why))
}

/// Reads the header: the address that it says, none for a connection of the balancer's own (`LOCAL`, `UNKNOWN`).
pub async fn read(tcp: &mut TcpStream) -> Result<Option<SocketAddr>, Bad> {
    let mut begin = [0; LEAST];
    tcp.read_exact(&mut begin).await?;
    if begin.starts_with(&SIGNATURE) {
        let mut last = [0; 1];
        tcp.read_exact(&mut last).await?;
        let [.., command, family, high] = begin;
        let [low] = last;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > LONGEST {
            return bad("the header is too long");
        }
        let mut rest = vec![0; length];
        tcp.read_exact(&mut rest).await?;
        return version2(command, family, &rest);
    }
    if !begin.starts_with(b"PROXY ") {
        return bad("there is no PROXY header");
    }
    let mut line = begin.to_vec();
    let mut scratch = [0; LINE];
    while !line.ends_with(b"\n") {
        let n = tcp.peek(&mut scratch).await?;
        let seen = scratch.get(..n).unwrap_or_default();
        let take = seen.iter().position(|byte| *byte == b'\n').map_or(n, |end| end.saturating_add(1));
        if n == 0 || line.len().saturating_add(take) > LINE {
            return bad("the line does not end");
        }
        let from = line.len();
        line.resize(from.saturating_add(take), 0);
        tcp.read_exact(line.get_mut(from..).unwrap_or_default()).await?;
    }
    version1(&line)
}

/// A line with its end.
fn version1(line: &[u8]) -> Result<Option<SocketAddr>, Bad> {
    let line = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
    let Some(line) = line.filter(|line| !line.contains(['\r', '\n'])) else {
        return bad("the line does not end as it must");
    };
    let mut words = line.split(' ').skip(1);
    match words.next() {
        // What follows is to be ignored.
        Some("UNKNOWN") => return Ok(None),
        Some("TCP4" | "TCP6") => {}
        _ => return bad("neither TCP4, TCP6 nor UNKNOWN"),
    }
    let is_4 = line.starts_with("PROXY TCP4 ");
    let address = |text: Option<&str>| {
        let text = text?;
        if is_4 { text.parse::<Ipv4Addr>().ok().map(IpAddr::V4) } else { text.parse::<Ipv6Addr>().ok().map(IpAddr::V6) }
    };
    let port = |text: Option<&str>| {
        let text = text?;
        let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse::<u16>().ok().filter(|_| canonical)
    };
    let (source, to) = (address(words.next()), address(words.next()));
    let (from_port, to_port) = (port(words.next()), port(words.next()));
    match (source, to, from_port, to_port, words.next()) {
        (Some(source), Some(_), Some(port), Some(_), None) => Ok(Some(SocketAddr::new(source, port))),
        _ => bad("not two addresses and two ports"),
    }
}

/// The two bytes behind the signature, and what the length counts.
fn version2(command: u8, family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, Bad> {
    match command {
        // A check of the balancer's own: whatever else it says is not about a client.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return bad("neither LOCAL nor PROXY of version 2"),
    }
    let short = Bad::Header("shorter than its addresses");
    match family {
        0x11 => match rest.get(..12) {
            Some(&[a, b, c, d, _, _, _, _, high, low, ..]) => {
                Ok(Some(SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))))
            }
            _ => Err(short),
        },
        0x21 => {
            let source = rest.first_chunk::<16>().filter(|_| rest.len() >= 36).ok_or(short)?;
            let Some(&[high, low]) = rest.get(32..34) else { return bad("shorter than its addresses") };
            Ok(Some(SocketAddr::from((Ipv6Addr::from(*source), u16::from_be_bytes([high, low])))))
        }
        // Unspecified, or sockets of one machine.
        0x00 | 0x31 | 0x32 => Ok(None),
        _ => bad("an address family that no TCP connection has"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    fn one(line: &str) -> Result<Option<String>, String> {
        version1(line.as_bytes()).map(|a| a.map(|a| a.to_string())).map_err(|e| e.to_string())
    }

    #[test]
    fn version_1() {
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(one("PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n"), some("192.0.2.7:56324"));
        assert_eq!(one("PROXY TCP6 2001:db8::7 ::1 0 65535\r\n"), some("[2001:db8::7]:0"));
        assert_eq!(one("PROXY UNKNOWN\r\n"), Ok(None));
        assert_eq!(one("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), Ok(None));
        for wrong in [
            "PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 56324 443 1\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 56324 443 \r\n",
            "PROXY TCP4  192.0.2.7 10.0.0.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.07 10.0.0.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 056324 443\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 +5 443\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
            "PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
            "PROXY tcp4 192.0.2.7 10.0.0.1 1 2\r\n",
        ] {
            assert!(one(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn version_2() {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0xdc, 0x04, 0x01, 0xbb];
        let two = |command, family, rest: &[u8]| version2(command, family, rest).map(|a| a.map(|a| a.to_string())).ok();
        assert_eq!(two(0x21, 0x11, &four), Some(Some("192.0.2.7:56324".into())));
        let more = [&four[..], &[0x20, 0, 1, 7]].concat();
        assert_eq!(two(0x21, 0x11, &more), Some(Some("192.0.2.7:56324".into())), "with more behind it");
        assert_eq!(two(0x21, 0x11, &four[..11]), None);
        let mut six = [0; 36];
        six[15] = 7;
        six[33] = 80;
        assert_eq!(two(0x21, 0x21, &six), Some(Some("[::7]:80".into())));
        assert_eq!(two(0x21, 0x21, &six[..35]), None);
        assert_eq!(two(0x20, 0x11, &four), Some(None), "LOCAL keeps the peer");
        assert_eq!(two(0x20, 0, &[]), Some(None));
        assert_eq!(two(0x21, 0, &[]), Some(None));
        assert_eq!(two(0x21, 0x12, &four), None, "UDP");
        assert_eq!(two(0x11, 0x11, &four), None, "version 1");
        assert_eq!(two(0x22, 0x11, &four), None, "a command that is none");
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// Sends the pieces one by one; what was read, and what is left.
    async fn through(pieces: Vec<Vec<u8>>) -> (Result<Option<SocketAddr>, Bad>, Vec<u8>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let send = async {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.set_nodelay(true).unwrap();
            for piece in pieces {
                client.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let receive = async {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let read = read(&mut tcp).await;
            let mut rest = Vec::new();
            let _ = tcp.read_to_end(&mut rest).await;
            (read, rest)
        };
        tokio::join!(send, receive).1
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_behind_the_header_is_taken(cut in 1usize..60, second in any::<bool>(), more in ".{0,40}") {
            let mut bytes = match second {
                true => [&SIGNATURE[..], &[0x21, 0x11, 0, 12, 192, 0, 2, 7, 10, 0, 0, 1, 0, 9, 0, 80]].concat(),
                false => b"PROXY TCP4 192.0.2.7 10.0.0.1 9 80\r\n".to_vec(),
            };
            bytes.extend_from_slice(more.as_bytes());
            let pieces = bytes.chunks(cut).map(<[u8]>::to_vec).collect();
            let (read, rest) = runtime().block_on(through(pieces));
            prop_assert_eq!(read.unwrap().unwrap().to_string(), "192.0.2.7:9");
            prop_assert_eq!(rest, more.as_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), valid in any::<bool>()) {
            let head = if valid { SIGNATURE.to_vec() } else { b"PROXY TCP4 ".to_vec() };
            let _ = runtime().block_on(through(vec![head, bytes]));
        }
    }
}
