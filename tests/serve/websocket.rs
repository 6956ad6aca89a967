//! WebSockets through the gateway (RFC 6455), and what a client sends before it knows whether there will be one.

use super::support::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{self, Error, Message, WebSocket, protocol::WebSocketConfig};

fn to(server: &Server) -> Gateway {
    Gateway::serve(&format!("listen http LISTEN\nroute ANY /{{rest...}} -> {}\n", server.url()))
}

fn large() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(64 << 20)).max_frame_size(Some(64 << 20))
}

/// Says what comes to it again, and tells how each connection ended.
fn echo() -> (Server, mpsc::Receiver<Result<Option<CloseFrame>, Error>>) {
    let (ends, ended) = mpsc::channel();
    let server = Server::raw(move |stream, _| {
        let mut socket = tungstenite::accept_with_config(stream, Some(large())).unwrap();
        let end = loop {
            match socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => match message.to_text() {
                    Ok("close me") => {
                        let frame = CloseFrame { code: CloseCode::Library(4001), reason: "as you wish".into() };
                        socket.close(Some(frame)).unwrap();
                    }
                    Ok("drop me") => return,
                    _ => socket.send(message).unwrap(),
                },
                Ok(Message::Close(frame)) => {
                    while socket.read().is_ok() {}
                    break Ok(frame);
                }
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        let _ = ends.send(end);
    });
    (server, ended)
}

fn connect(gateway: &Gateway) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (socket, answer) = tungstenite::client::client_with_config("ws://test/chat", stream, Some(large())).unwrap();
    assert_eq!(answer.status(), 101);
    socket
}

#[test]
fn messages_of_every_kind_come_back_as_they_went() {
    let (server, ended) = echo();
    let gateway = to(&server);
    let mut socket = connect(&gateway);
    for text in ["", "a", "κόσμε", "\0\u{7f}\u{10ffff}"] {
        socket.send(Message::text(text)).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text(text));
    }
    // Around the lengths at which frames are written in another way.
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, 1 << 20, 16 << 20] {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        socket.send(Message::binary(bytes.clone())).unwrap();
        assert!(socket.read().unwrap() == Message::binary(bytes), "{length} bytes");
    }
    // In fragments, with a ping between them.
    let piece =
        |text: &str, code, last| Message::Frame(Frame::message(text.as_bytes().to_vec(), OpCode::Data(code), last));
    socket.send(piece("one ", Data::Text, false)).unwrap();
    socket.send(piece("two ", Data::Continue, false)).unwrap();
    socket.send(Message::Ping(b"between".to_vec().into())).unwrap();
    socket.send(piece("three", Data::Continue, true)).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(b"between".to_vec().into()));
    assert_eq!(socket.read().unwrap(), Message::text("one two three"));
    for payload in [vec![], vec![0xff; 125]] {
        socket.send(Message::Ping(payload.clone().into())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong(payload.into()));
    }
    // Many, one behind the other and all at once.
    for n in 0..1_000 {
        socket.send(Message::text(n.to_string())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text(n.to_string()));
    }
    (0..1_000).for_each(|n| socket.write(Message::text(n.to_string())).unwrap());
    socket.flush().unwrap();
    (0..1_000).for_each(|n| assert_eq!(socket.read().unwrap(), Message::text(n.to_string())));
    socket.close(None).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Close(None));
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap().unwrap(), None);
}

#[test]
fn closing_comes_through_both_ways() {
    let (server, ended) = echo();
    let gateway = to(&server);
    for code in [1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let mut socket = connect(&gateway);
        let frame = CloseFrame { code: code.into(), reason: "so long".into() };
        socket.close(Some(frame.clone())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Close(Some(frame.clone())), "{code}");
        assert_eq!(ended.recv_timeout(PATIENCE).unwrap().unwrap(), Some(frame));
        // The server ends the connection, and the gateway does, too.
        assert!(matches!(socket.read(), Err(Error::ConnectionClosed)), "{code}");
    }
    let mut socket = connect(&gateway);
    socket.send(Message::text("close me")).unwrap();
    let frame = CloseFrame { code: CloseCode::Library(4001), reason: "as you wish".into() };
    assert_eq!(socket.read().unwrap(), Message::Close(Some(frame)));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    assert!(ended.recv_timeout(PATIENCE).unwrap().is_ok());
}

#[test]
fn an_end_without_a_word_comes_through_both_ways() {
    let (server, ended) = echo();
    let gateway = to(&server);
    let mut socket = connect(&gateway);
    socket.send(Message::text("hello")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("hello"));
    drop(socket);
    assert!(ended.recv_timeout(PATIENCE).unwrap().is_err());

    let mut socket = connect(&gateway);
    socket.send(Message::text("drop me")).unwrap();
    assert!(socket.read().is_err());
    drop(socket);
    gateway.await_log_times("\"status\":101", 2);
}

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// Accepts, when it is told to, and gives what came behind the head.
fn slow_to_accept(early: usize) -> (Server, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
    let (go, told) = mpsc::channel();
    let (got, heard) = mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let server = Server::raw(move |mut stream, mut reader| {
        read_head(&mut reader).unwrap();
        told.lock().unwrap().recv().unwrap();
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
            .unwrap();
        let mut bytes = vec![0; early];
        reader.read_exact(&mut bytes).unwrap();
        got.send(bytes).unwrap();
        stream.write_all(b"done").unwrap();
    });
    (server, go, heard)
}

#[test]
fn what_comes_before_the_101_is_no_request() {
    // It looks like requests, good and bad, and is more than the gateway keeps of it.
    let early =
        [b"GET /smuggled HTTP/1.1\r\nhost: test\r\n\r\n\x81\x05hello\nX : y\r\n\r\n".to_vec(), vec![7; 300_000]]
            .concat();
    let (server, go, heard) = slow_to_accept(early.len());
    let gateway = to(&server);
    let mut client = gateway.connect();
    client.send(UPGRADE.as_bytes());
    let mut sender = client.stream.try_clone().unwrap();
    let sent = early.clone();
    let sending = std::thread::spawn(move || sender.write_all(&sent).unwrap());
    std::thread::sleep(std::time::Duration::from_millis(100));
    go.send(()).unwrap();
    assert_eq!(client.try_answer(true).unwrap().status, 101);
    assert!(heard.recv_timeout(PATIENCE).unwrap() == early, "the bytes are not those that were sent");
    sending.join().unwrap();
    let mut done = Vec::new();
    client.reader.read_to_end(&mut done).unwrap();
    assert_eq!(done, b"done");
    assert!(!gateway.log().contains("smuggled"));
}

#[test]
fn what_comes_behind_a_refused_upgrade_is_checked_like_any_request() {
    let server = Server::answering(|got| match got.head.starts_with("GET /chat ") {
        true => b"HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\ncontent-length: 0\r\n\r\n".to_vec(),
        false => panic!("the server got {}", got.head),
    });
    let gateway = Gateway::serve(&format!(
        "listen http LISTEN\nroute ANY /chat -> {0}\nroute ANY /{{rest...}} -> {0} {{ require \"no\" == \"yes\" }}\n",
        server.url()
    ));
    for (early, status) in [("GET /admin HTTP/1.1\r\nhost: test\r\n\r\n", 403), ("\u{81}\u{5}hello\n", 400)] {
        let mut client = gateway.connect();
        client.send(&[UPGRADE.as_bytes(), early.as_bytes()].concat());
        assert_eq!(client.answer().status, 426);
        assert_eq!(client.answer().status, status, "{early:?}");
    }
}

#[test]
fn each_side_may_end_before_the_other() {
    let server = Server::raw(|mut stream, mut reader| {
        read_head(&mut reader).unwrap();
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
            .unwrap();
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        // The client has ended, and hears everything all the same.
        stream.write_all(&all.repeat(1_000)).unwrap();
    });
    let gateway = to(&server);
    let mut client = gateway.connect();
    client.send(UPGRADE.as_bytes());
    assert_eq!(client.try_answer(true).unwrap().status, 101);
    client.send(b"last words");
    client.stream.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    client.reader.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"last words".repeat(1_000));

    // The other way round.
    let (got, all) = mpsc::channel();
    let server = Server::raw(move |mut stream, mut reader| {
        read_head(&mut reader).unwrap();
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nbye")
            .unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        got.send(bytes).unwrap();
    });
    let gateway = to(&server);
    let mut client = gateway.connect();
    client.send(UPGRADE.as_bytes());
    assert_eq!(client.try_answer(true).unwrap().status, 101);
    let mut heard = Vec::new();
    client.reader.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"bye");
    client.send(b"still here");
    drop(client);
    assert_eq!(all.recv_timeout(PATIENCE).unwrap(), b"still here");
}
