//! A request's chunked body, followed to where the next head begins (RFC 9112, 7.1).

use crate::policy::heads::{MAX_FIELDS, Refused, bad, is_token};

/// The most bytes of a trailer section, and of all extensions of a body.
const MAX_TRAILERS: usize = 8 * 1024;

/// Where in a chunked body the next byte belongs (RFC 9112, 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Size,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    /// The begin of a trailer line.
    Line,
    TrailerName,
    Trailer,
    TrailerLf,
    LastLf,
    Done,
}

/// Follows one body.
#[derive(Debug, Default)]
pub struct ChunkScan {
    place: Place,
    left: u64,
    digits: u8,
    extra: usize,
    /// Trailer lines that have begun.
    trailers: u8,
}

impl ChunkScan {
    /// The body is complete.
    pub fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    /// How many bytes belong to the body.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<usize, Refused> {
        let mut at = 0usize;
        while self.place != Place::Done
            && let Some(&b) = bytes.get(at)
        {
            if self.place == Place::Data {
                let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len().saturating_sub(at));
                self.left = self.left.saturating_sub(n as u64);
                at = at.saturating_add(n);
                if self.left == 0 {
                    self.place = Place::DataCr;
                }
                continue;
            }
            self.place = self.step(b)?;
            at = at.saturating_add(1);
        }
        Ok(at)
    }

    fn step(&mut self, b: u8) -> Result<Place, Refused> {
        Ok(match (self.place, b) {
            (Place::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.digits = self.digits.saturating_add(1);
                if self.digits > 15 {
                    return bad("a chunk's size is too large");
                }
                let digit = char::from(b).to_digit(16).unwrap_or_default();
                self.left = self.left << 4 | u64::from(digit);
                Place::Size
            }
            (Place::Size, b';') if self.digits > 0 => self.count(Place::Extension)?,
            (Place::Size, b'\r') if self.digits > 0 => Place::SizeEnd,
            (Place::Extension, b'\r') => Place::SizeEnd,
            (Place::Extension, b'\t' | b' '..=b'~') => self.count(Place::Extension)?,
            (Place::SizeEnd, b'\n') => {
                self.digits = 0;
                if self.left == 0 { Place::Line } else { Place::Data }
            }
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size,
            (Place::Line, b'\r') => Place::LastLf,
            (Place::Line | Place::TrailerName, b) if is_token(b) && b != b'_' => {
                self.trailers = self.trailers.saturating_add(u8::from(self.place == Place::Line));
                if usize::from(self.trailers) > MAX_FIELDS {
                    return bad("more than 100 trailers");
                }
                self.count(Place::TrailerName)?
            }
            (Place::TrailerName, b':') => self.count(Place::Trailer)?,
            (Place::Trailer, b'\r') => Place::TrailerLf,
            (Place::Trailer, b'\t' | b' '..=b'~' | 0x80..) => self.count(Place::Trailer)?,
            (Place::TrailerLf, b'\n') => Place::Line,
            (Place::LastLf, b'\n') => Place::Done,
            (Place::Line | Place::TrailerName | Place::Trailer | Place::TrailerLf | Place::LastLf, _) => {
                return bad("bad trailers");
            }
            _ => return bad("a bad chunk"),
        })
    }

    fn count(&mut self, place: Place) -> Result<Place, Refused> {
        self.extra = self.extra.saturating_add(1);
        if self.extra > MAX_TRAILERS { bad("chunk extensions or trailers are too long") } else { Ok(place) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::guard::{Broken, Guard};

    #[test]
    fn chunks_are_followed_strictly() {
        let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let trailers = |n| format!("0\r\n{}\r\n", "x: y\r\n".repeat(n));
        let passed = Guard::new(1024).pass(format!("{head}{}", trailers(100)).as_bytes());
        assert_eq!(passed.refused, None, "as many as hyper takes");
        for body in [
            &trailers(101),
            "\r\n",
            "g\r\n",
            "1\nab\r\n",
            "1\r\nabc\r\n",
            "1 \r\na\r\n",
            "-1\r\n",
            "0x1\r\na\r\n",
            "1\r\na\n",
            "0\r\n x: 1\r\n\r\n",
            "0\r\nx\n\r\n",
            "0\r\nx\r\n\r\n",
            "0\r\nx_y: 1\r\n\r\n",
            "0\r\nx : 1\r\n\r\n",
            "10000000000000000\r\n",
        ] {
            let passed = Guard::new(1024).pass(format!("{head}{body}").as_bytes());
            assert!(matches!(passed.refused, Some(Broken::Body(_))), "{body:?}: {passed:?}");
            assert_eq!(passed.heads, 1);
        }
    }
}
