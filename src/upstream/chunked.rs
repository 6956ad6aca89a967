//! The chunked transfer coding (RFC 9112, 7.1), strictly: hexadecimal sizes without white space, CR LF and
//! nothing else, bounded extensions and trailers. Pure: bytes in, events out, at any split.

use super::error::Malformed;
use bytes::{Buf, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Bytes of extensions that one body may carry; they are skipped.
const MAX_EXTENSIONS: u32 = 16 * 1024;
/// Digits of a size, leading zeros included.
const MAX_DIGITS: u8 = 16;
/// Trailer fields that one body may carry.
const MAX_TRAILERS: usize = 100;

/// Decodes one body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// Bytes left of the chunk.
    left: u64,
    /// Digits of the current size.
    digits: u8,
    extensions: u32,
    trailers: Vec<u8>,
    max_trailers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    SizeStart,
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the begin of a trailer line or of the last, empty one.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

/// What a decoder finds next.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// Body bytes, never empty.
    Data(Bytes),
    /// The body is complete. Fields that may not stand in trailers are left out.
    End(Option<HeaderMap>),
}

impl Decoder {
    /// A decoder for one body whose trailer section has at most `max_trailers` bytes.
    #[must_use]
    pub fn new(max_trailers: usize) -> Self {
        Self { state: State::SizeStart, left: 0, digits: 0, extensions: 0, trailers: Vec::new(), max_trailers }
    }

    /// Takes the next event from the front of `buf`; `None` if more bytes are needed. After
    /// [`Event::End`], `buf` begins with what follows the body.
    ///
    /// # Errors
    /// Any departure from the grammar.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Event>, Malformed> {
        self.skip(buf)?;
        match self.state {
            State::Data if !buf.is_empty() => {
                let n = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= n as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                Ok(Some(Event::Data(buf.split_to(n).freeze())))
            }
            State::Done => {
                if self.trailers.is_empty() {
                    return Ok(Some(Event::End(None)));
                }
                let trailers = fields(&std::mem::take(&mut self.trailers))?;
                Ok(Some(Event::End((!trailers.is_empty()).then_some(trailers))))
            }
            _ => Ok(None),
        }
    }

    /// Whether the next event can be had from `buf` and is the end: then it need not be waited for.
    ///
    /// # Errors
    /// Any departure from the grammar.
    pub fn at_end(&mut self, buf: &mut BytesMut) -> Result<bool, Malformed> {
        self.skip(buf)?;
        Ok(self.state == State::Done)
    }

    /// Bytes of the current chunk that are still to come.
    #[must_use]
    pub fn expected(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    /// Consumes everything that is not data.
    fn skip(&mut self, buf: &mut BytesMut) -> Result<(), Malformed> {
        let mut taken = 0;
        for &byte in buf.iter() {
            if matches!(self.state, State::Data | State::Done) {
                break;
            }
            self.step(byte)?;
            taken += 1;
        }
        buf.advance(taken);
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::SizeStart, _) => {
                self.left = hex(byte).ok_or(Malformed::Chunk)?;
                self.digits = 1;
                State::Size
            }
            (State::Size, b'\r') | (State::Extension, b'\r') => State::SizeLf,
            (State::Size, b';') => State::Extension,
            (State::Size, _) => {
                let digit = hex(byte).ok_or(Malformed::Chunk)?;
                if self.left >> 56 != 0 || self.digits == MAX_DIGITS {
                    return Err(Malformed::Chunk);
                }
                self.digits += 1;
                self.left = self.left << 4 | digit;
                State::Size
            }
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extensions += 1;
                if self.extensions > MAX_EXTENSIONS {
                    return Err(Malformed::Chunk);
                }
                State::Extension
            }
            (State::SizeLf, b'\n') if self.left == 0 => State::TrailerStart,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::SizeStart,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::EndLf, b'\n') => State::Done,
            (State::TrailerStart | State::Trailer, _) => {
                self.trailer(byte)?;
                if byte == b'\r' { State::TrailerLf } else { State::Trailer }
            }
            (State::TrailerLf, b'\n') => {
                self.trailer(byte)?;
                State::TrailerStart
            }
            (State::TrailerLf | State::EndLf, _) => return Err(Malformed::Trailers),
            _ => return Err(Malformed::Chunk),
        };
        Ok(())
    }

    fn trailer(&mut self, byte: u8) -> Result<(), Malformed> {
        // A lone LF would end a line for httparse.
        if self.trailers.len() >= self.max_trailers || (byte == b'\n' && self.state != State::TrailerLf) {
            return Err(Malformed::Trailers);
        }
        self.trailers.push(byte);
        Ok(())
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

/// Parses trailer lines, each ended by CR LF. Fields for framing, routing and the connection are left
/// out (RFC 9110, 6.5.1).
fn fields(lines: &[u8]) -> Result<HeaderMap, Malformed> {
    let mut text = Vec::with_capacity(lines.len() + 2);
    text.extend_from_slice(lines);
    text.extend_from_slice(b"\r\n");
    let mut slots = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    let Ok(httparse::Status::Complete((end, parsed))) = httparse::parse_headers(&text, &mut slots) else {
        return Err(Malformed::Trailers);
    };
    if end != text.len() {
        return Err(Malformed::Trailers);
    }
    let mut fields = HeaderMap::with_capacity(parsed.len());
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed::Trailers)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| Malformed::Trailers)?;
        if !forbidden(&name) {
            fields.append(name, value);
        }
    }
    Ok(fields)
}

/// What frames, routes, authenticates or conditions a message, describes its content, or is written by gateways says
/// nothing behind it: a reader that joins trailers with the head would be deceived (RFC 9110, 6.5.1).
pub(super) fn forbidden(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 23] = [
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONNECTION,
        header::COOKIE,
        header::EXPECT,
        header::FORWARDED,
        header::HOST,
        header::LOCATION,
        header::MAX_FORWARDS,
        header::ORIGIN,
        header::RANGE,
        header::SET_COOKIE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::VIA,
        header::WWW_AUTHENTICATE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("traceparent"),
        HeaderName::from_static("true-client-ip"),
        HeaderName::from_static("x-client-ip"),
        HeaderName::from_static("x-real-ip"),
    ];
    const BEGINNINGS: [&str; 4] = ["content-", "if-", "proxy-", "x-forwarded-"];
    NAMES.contains(name) || name == "x-request-id" || BEGINNINGS.iter().any(|b| name.as_str().starts_with(b))
}

/// Writes the line before a chunk of `len` bytes. The chunk is followed by CR LF.
pub fn write_size(out: &mut Vec<u8>, len: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.extend(DIGITS.get(len >> (4 * place) & 0xf));
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk and the trailer section.
pub fn write_end(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten().filter(|(name, _)| !forbidden(name)) {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Decoded = Result<Option<(Vec<u8>, Option<HeaderMap>, Vec<u8>)>, Malformed>;

    /// Feeds `pieces` one after the other; `None` if the body did not end.
    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
        let (mut decoder, mut buf, mut body) = (Decoder::new(1024), BytesMut::new(), Vec::new());
        let mut end = None;
        for piece in pieces {
            buf.extend_from_slice(piece);
            while end.is_none() {
                match decoder.decode(&mut buf)? {
                    Some(Event::Data(data)) => body.extend_from_slice(&data),
                    Some(Event::End(trailers)) => end = Some(trailers),
                    None => break,
                }
            }
        }
        Ok(end.map(|trailers| (body, trailers, buf.to_vec())))
    }

    /// The grammar, read off the whole text at once.
    fn reference(mut text: &[u8]) -> Decoded {
        let mut body = Vec::new();
        let mut extensions = 0;
        loop {
            let Some(end) = text.iter().position(|b| !b.is_ascii_hexdigit()) else {
                return if too_big(text) { Err(Malformed::Chunk) } else { Ok(None) };
            };
            if end == 0 || too_big(&text[..end]) {
                return Err(Malformed::Chunk);
            }
            let size = u64::from_str_radix(std::str::from_utf8(&text[..end]).unwrap(), 16).unwrap();
            text = &text[end..];
            if text[0] == b';' {
                let len = text[1..].iter().position(|&b| b < b' ' && b != b'\t' || b == 0x7f);
                extensions += len.unwrap_or(text.len() - 1);
                if extensions > MAX_EXTENSIONS as usize {
                    return Err(Malformed::Chunk);
                }
                let Some(len) = len else { return Ok(None) };
                text = &text[1 + len..];
            }
            match text {
                [b'\r', b'\n', rest @ ..] => text = rest,
                [b'\r'] | [] => return Ok(None),
                _ => return Err(Malformed::Chunk),
            }
            if size == 0 {
                break;
            }
            if (text.len() as u64) < size {
                return Ok(None);
            }
            body.extend_from_slice(&text[..size as usize]);
            text = &text[size as usize..];
            match text {
                [b'\r', b'\n', rest @ ..] => text = rest,
                [b'\r'] | [] => return Ok(None),
                _ => return Err(Malformed::Chunk),
            }
        }
        let mut lines = Vec::new();
        loop {
            match text {
                [b'\r', b'\n', rest @ ..] => {
                    let trailers = if lines.is_empty() { HeaderMap::new() } else { fields(&lines)? };
                    return Ok(Some((body, (!trailers.is_empty()).then_some(trailers), rest.to_vec())));
                }
                [] | [b'\r'] => {
                    return if lines.len() > 1024 { Err(Malformed::Trailers) } else { Ok(None) };
                }
                _ => {}
            }
            let Some(end) = text.iter().position(|&b| b == b'\r' || b == b'\n') else {
                return if lines.len() + text.len() > 1024 { Err(Malformed::Trailers) } else { Ok(None) };
            };
            let line = match &text[end..] {
                [b'\r', b'\n', ..] => &text[..end + 2],
                [b'\r'] => {
                    return if lines.len() + end + 1 > 1024 { Err(Malformed::Trailers) } else { Ok(None) };
                }
                _ => return Err(Malformed::Trailers),
            };
            lines.extend_from_slice(line);
            if lines.len() > 1024 {
                return Err(Malformed::Trailers);
            }
            text = &text[end + 2..];
        }
    }

    fn too_big(digits: &[u8]) -> bool {
        digits.len() > 16 || digits.iter().skip_while(|&&b| b == b'0').count() > 15
    }

    #[test]
    fn a_body_with_everything() {
        let text = b"5\r\nhello\r\n00a;x=\"y\"\r\n, my world\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\nnext";
        let (body, trailers, rest) = decode([&text[..]]).unwrap().unwrap();
        assert_eq!(body, b"hello, my world");
        let trailers = trailers.unwrap();
        assert_eq!(trailers.len(), 1);
        assert_eq!(trailers["x-sum"], "1");
        assert_eq!(rest, b"next");
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\n",
            "1\ra",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\na\r0",
            "10000000000000000\r\n",
            "1000000000000000\r\n",
            "1;a\nb\r\n",
            "1;\x01\r\n",
            ";a\r\n",
            "0\r\na: b\n\r\n",
            "0\r\na\r\n\r\n",
            "0\r\n a: b\r\n\r\n",
            "0\r\na: b\rc\r\n\r\n",
            "0\r\n\n",
            "0\r\n\r\r",
        ] {
            assert!(decode([text.as_bytes()]).is_err(), "{text:?}");
            assert!(reference(text.as_bytes()).is_err(), "{text:?}");
        }
        let long = format!("1;{}", "x".repeat(MAX_EXTENSIONS as usize + 1));
        assert_eq!(decode([long.as_bytes()]), Err(Malformed::Chunk));
        let long = format!("0\r\na: {}", "x".repeat(1024));
        assert_eq!(decode([long.as_bytes()]), Err(Malformed::Trailers));
    }

    #[test]
    fn what_is_written_is_read() {
        for len in [1, 9, 10, 15, 16, 255, 256, 4095, 65536] {
            let data = vec![7; len];
            let mut text = Vec::new();
            write_size(&mut text, len);
            assert_eq!(text, format!("{len:x}\r\n").as_bytes());
            text.extend_from_slice(&data);
            text.extend_from_slice(b"\r\n");
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("1"));
            write_end(&mut text, Some(&trailers));
            assert_eq!(decode([&text[..]]), Ok(Some((data, Some(trailers), Vec::new()))));
        }
    }

    /// Texts near the grammar.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop_oneof![
            8 => prop::collection::vec(any::<u8>(), 1..40).prop_map(|data| {
                let mut text = Vec::new();
                write_size(&mut text, data.len());
                text.extend_from_slice(&data);
                text.extend_from_slice(b"\r\n");
                text
            }),
            2 => prop::sample::select(vec![
                "0\r\n", "\r\n", "a: b\r\n", "0\r\n\r\n", "1;x\r\na\r\n", "\n", "\r", "0", "f", "; ", "A\r\n0123456789\r\n",
                "fffffffffffffff", "te: x\r\n", ":",
            ]).prop_map(|text| text.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_split_decodes_like_the_reference(text in texts(), ended in any::<bool>(), cuts in prop::collection::vec(1usize..20, 0..40)) {
            let mut text = text;
            if ended {
                text.extend_from_slice(b"0\r\n\r\nrest");
            }
            let mut rest = &text[..];
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(decode(pieces), reference(&text));
        }
    }
}
