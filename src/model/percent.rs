//! Percent-encoding, taken off in one way (RFC 3986, 2.1).
//!
//! What `+` means, what is done about a `%` that encodes nothing, and whether the bytes must be text, is for those who ask.

/// A piece of a text in percent-encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Octet {
    /// Stands for itself.
    Plain(u8),
    /// Two hex digits stood for it.
    Encoded(u8),
    /// A `%` without two hex digits behind it.
    Stray,
}

impl Octet {
    /// The byte; a stray `%` is one.
    pub fn byte(self) -> u8 {
        match self {
            Octet::Plain(byte) | Octet::Encoded(byte) => byte,
            Octet::Stray => b'%',
        }
    }
}

/// The pieces of a text.
pub fn octets(text: &[u8]) -> impl Iterator<Item = Octet> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (octet, behind) = match rest {
            [b'%', high, low, behind @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (Octet::Encoded(hex(*high)? << 4 | hex(*low)?), behind)
            }
            [b'%', behind @ ..] => (Octet::Stray, behind),
            [byte, behind @ ..] => (Octet::Plain(*byte), behind),
            [] => return None,
        };
        rest = behind;
        Some(octet)
    })
}

/// The value of a hex digit.
pub fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// The bytes of a name or value as forms write them: `+` is a space.
pub fn form(text: &str) -> impl Iterator<Item = Octet> {
    octets(text.as_bytes()).map(|octet| if octet == Octet::Plain(b'+') { Octet::Plain(b' ') } else { octet })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces() {
        use Octet::{Encoded, Plain, Stray};
        let all = |text: &str| octets(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(all("a%2Fb"), [Plain(b'a'), Encoded(b'/'), Plain(b'b')]);
        assert_eq!(all("%%41%4"), [Stray, Encoded(b'A'), Stray, Plain(b'4')]);
        assert_eq!(all("%+1%"), [Stray, Plain(b'+'), Plain(b'1'), Stray]);
        assert_eq!(form("a+%2B").map(Octet::byte).collect::<Vec<_>>(), b"a +");
    }
}
