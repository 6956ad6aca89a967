//! Headers of the PROXY protocol, over a real socket: reading ends, the pieces in which they come change nothing, no byte
//! behind a header is taken, and an address that is believed is the one that the `ppp` crate reads.
//!
//! The first byte says how large the pieces are, and whether the signature of version 2 is put before the rest.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ppp::{HeaderResult, v1, v2};
use std::cell::LazyCell;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

#[path = "../../src/serve/proxy_protocol.rs"]
mod proxy_protocol;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

thread_local! {
    static WORLD: LazyCell<(Runtime, TcpListener)> = LazyCell::new(|| {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        (runtime, listener)
    });
}

/// What a header says, and what stands behind it; nothing where it is refused.
fn read(text: &[u8], step: usize) -> Option<(Option<SocketAddr>, Vec<u8>)> {
    WORLD.with(|world| {
        let (runtime, listener) = &**world;
        runtime.block_on(async {
            let connect = async { TcpStream::connect(listener.local_addr()?).await };
            let (client, served) = tokio::join!(connect, listener.accept());
            let (mut client, (mut served, _)) = (client.expect("connected"), served.expect("accepted"));
            client.set_nodelay(true).expect("no delay");
            let send = async {
                for piece in text.chunks(step) {
                    client.write_all(piece).await.expect("sent");
                    tokio::task::yield_now().await;
                }
                client.shutdown().await.expect("ended");
            };
            let receive = async {
                let read = proxy_protocol::read(&mut served).await;
                let mut rest = Vec::new();
                served.read_to_end(&mut rest).await.expect("the rest");
                read.map(|address| (address, rest))
            };
            let ((), read) = tokio::join!(send, receive);
            // No port is left in TIME_WAIT.
            served.set_zero_linger().expect("no linger");
            match read {
                Ok(read) => Some(read),
                Err(bad) => {
                    assert!(!bad.to_string().is_empty());
                    assert!(matches!(bad, proxy_protocol::Bad::Header(_)), "{bad}");
                    None
                }
            }
        })
    })
}

/// The source of a client's TCP connection, and the length of the header, as `ppp` reads them.
fn theirs(text: &[u8]) -> Option<(SocketAddr, usize)> {
    match HeaderResult::parse(text) {
        HeaderResult::V1(Ok(header)) => {
            let source = match header.addresses {
                v1::Addresses::Tcp4(ip) => (ip.source_address, ip.source_port).into(),
                v1::Addresses::Tcp6(ip) => (ip.source_address, ip.source_port).into(),
                v1::Addresses::Unknown => return None,
            };
            Some((source, header.header.len()))
        }
        HeaderResult::V2(Ok(header)) => {
            let source = match (header.addresses, header.command, header.protocol) {
                (v2::Addresses::IPv4(ip), v2::Command::Proxy, v2::Protocol::Stream) => {
                    (ip.source_address, ip.source_port).into()
                }
                (v2::Addresses::IPv6(ip), v2::Command::Proxy, v2::Protocol::Stream) => {
                    (ip.source_address, ip.source_port).into()
                }
                _ => return None,
            };
            Some((source, header.header.len()))
        }
        _ => None,
    }
}

fuzz_target!(|input: &[u8]| {
    let [first, text @ ..] = input else { return };
    let text = if first & 128 == 0 { text.to_vec() } else { [SIGNATURE, text].concat() };
    let ours = read(&text, text.len().max(1));
    assert_eq!(ours, read(&text, usize::from(first % 32) + 1), "pieces change the outcome");
    if let Some((address, rest)) = &ours {
        let taken = text.len() - rest.len();
        assert_eq!(&text[taken..], rest);
        if let Some(address) = address {
            assert_eq!(theirs(&text), Some((*address, taken)));
        }
    } else if text.starts_with(SIGNATURE)
        && let Some((address, length)) = theirs(&text)
    {
        assert!(length > 4096, "{address} is refused");
    }
});
