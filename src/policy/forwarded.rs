//! The client's address, from the peer's and what trusted proxies said: `trust proxies … using …`.
//!
//! Each proxy adds the address that it saw to the right. So the list is walked from the right as long as
//! the address reached is a trusted proxy's; the first that is not is the client. What stands to the left
//! of it anyone may have written, and is not looked at. Something that cannot be read ends the walk at the
//! proxy that let it through.

use crate::model::ast::ForwardField;
use crate::plan;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The one field that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `X-Forwarded-For`: addresses, with or without a port.
    XForwardedFor,
    /// `Forwarded` (RFC 7239): its `for` parameters.
    Forwarded,
    /// None: the PROXY protocol's header came before the connection, and the peer's address is what it says.
    ProxyProtocol,
}

/// `trust proxies CIDR, … using FIELD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Whose word counts.
    pub proxies: Vec<IpNet>,
    /// Where it stands.
    pub field: Field,
}

impl From<&plan::Trust> for Trust {
    fn from(trust: &plan::Trust) -> Trust {
        let field = match trust.using {
            ForwardField::XForwardedFor => Field::XForwardedFor,
            ForwardField::Forwarded => Field::Forwarded,
            ForwardField::ProxyProtocol => Field::ProxyProtocol,
        };
        Trust { proxies: trust.proxies.clone(), field }
    }
}

impl Trust {
    /// The address is one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&address))
    }

    /// What a peer's requests say of who they come from counts. A balancer that writes the PROXY header passes on
    /// what clients wrote, so it never does there.
    pub fn trusts_fields_of(&self, peer: IpAddr) -> bool {
        self.field != Field::ProxyProtocol && self.trusts(peer)
    }
}

/// The client's address. IPv4 addresses in IPv6 form are given as IPv4.
pub fn client(peer: IpAddr, trust: Option<&Trust>, headers: &HeaderMap) -> IpAddr {
    let mut address = peer.to_canonical();
    let Some(trust) = trust.filter(|trust| trust.trusts_fields_of(address)) else { return address };
    let name = match trust.field {
        Field::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        Field::Forwarded => http::header::FORWARDED,
        Field::ProxyProtocol => return address,
    };
    for line in headers.get_all(name).iter().rev() {
        let mut rest = Some(line.as_bytes());
        while let Some(list) = rest {
            let (left, entry) = split_last(list, trust.field);
            let parsed = match trust.field {
                Field::XForwardedFor => std::str::from_utf8(entry).ok().and_then(|text| node(text.trim(), true)),
                Field::Forwarded => forwarded_for(entry),
                Field::ProxyProtocol => None,
            };
            let Some(reported) = parsed else { return address };
            address = reported.to_canonical();
            if !trust.trusts(address) {
                return address;
            }
            rest = left;
        }
    }
    address
}

/// The id that a proxy has given the request, if it can be one.
pub fn request_id(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get("x-request-id")?.to_str().ok()?;
    let sound = !given.is_empty() && given.len() <= 128 && given.bytes().all(|b| b.is_ascii_graphic());
    sound.then_some(given)
}

/// Splits off what stands after the last comma outside quotes. Quotes are counted from the right, so that
/// one left open by a client cannot swallow what a proxy added.
fn split_last(list: &[u8], field: Field) -> (Option<&[u8]>, &[u8]) {
    let mut quoted = false;
    for (at, byte) in list.iter().enumerate().rev() {
        match byte {
            b'"' if field == Field::Forwarded => quoted = !quoted,
            b',' if !quoted => {
                let (left, right) = list.split_at_checked(at).unwrap_or((list, b""));
                return (Some(left), right.get(1..).unwrap_or_default());
            }
            _ => {}
        }
    }
    (None, list)
}

/// The `for` of one element of `Forwarded`; `None` for `unknown`, hidden names, and what is not one.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let element = std::str::from_utf8(element).ok()?;
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") {
            let value = value.trim();
            let bare = value.strip_prefix('"').map(|value| value.strip_suffix('"'));
            let address = node(bare.unwrap_or(Some(value))?, false)?;
            if found.replace(address).is_some() {
                return None;
            }
        }
    }
    found
}

/// An address with or without a port. IPv6 needs its brackets, unless `bare`.
fn node(text: &str, bare: bool) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let port = port.strip_prefix(':').map_or(port.is_empty(), is_port);
        return address.parse::<Ipv6Addr>().ok().filter(|_| port).map(IpAddr::V6);
    }
    if bare && let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(IpAddr::V6(address));
    }
    let (address, port) = text.split_once(':').unwrap_or((text, "0"));
    address.parse::<Ipv4Addr>().ok().filter(|_| is_port(port)).map(IpAddr::V4)
}

/// A number, or a hidden one (RFC 7239, section 6).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(hidden) => !hidden.is_empty() && hidden.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)),
        None => !text.is_empty() && text.len() <= 5 && text.parse::<u16>().is_ok() && !text.starts_with('+'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn trust(field: Field) -> Trust {
        Trust { proxies: ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()).to_vec(), field }
    }

    fn walk(field: Field, peer: &str, lines: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            let name = if field == Field::XForwardedFor { "x-forwarded-for" } else { "forwarded" };
            headers.append(name, HeaderValue::from_bytes(line).unwrap());
        }
        client(peer.parse().unwrap(), Some(&trust(field)), &headers).to_string()
    }

    fn xff(peer: &str, lines: &[&str]) -> String {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        walk(Field::XForwardedFor, peer, &lines)
    }

    fn forwarded(line: &str) -> String {
        walk(Field::Forwarded, "10.0.0.1", &[line.as_bytes()])
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says() {
        assert_eq!(xff("192.0.2.7", &["1.2.3.4"]), "192.0.2.7");
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("1.2.3.4"));
        assert_eq!(client("10.0.0.1".parse().unwrap(), None, &headers).to_string(), "10.0.0.1");
    }

    #[test]
    fn the_walk_ends_at_the_first_untrusted_from_the_right() {
        assert_eq!(xff("10.0.0.1", &["6.6.6.6, 203.0.113.9, 10.1.1.1"]), "203.0.113.9");
        assert_eq!(xff("10.0.0.1", &["10.9.9.9, 10.1.1.1"]), "10.9.9.9");
        assert_eq!(xff("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(xff("10.0.0.1", &["6.6.6.6", "203.0.113.9", "10.1.1.1"]), "203.0.113.9");
        assert_eq!(xff("::ffff:10.0.0.1", &["::ffff:203.0.113.9"]), "203.0.113.9");
        assert_eq!(xff("fd00::1", &["2001:db8::1"]), "2001:db8::1");
    }

    #[test]
    fn ports_and_brackets() {
        assert_eq!(xff("10.0.0.1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(xff("10.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(xff("10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
    }

    #[test]
    fn what_cannot_be_read_ends_the_walk_where_it_is() {
        for bad in [
            "unknown",
            "",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "[::1",
            "::1]",
            "1.2.3.4:",
            "1.2.3.4:x",
            "1.2.3.4:99999",
            "[::1]x",
            "1.2.3.4 5",
            "localhost",
            "01.2.3.4",
            "fe80::1%eth0",
            "1.2.3.4:+80",
            "\"1.2.3.4\"",
        ] {
            assert_eq!(xff("10.0.0.1", &[&format!("6.6.6.6, {bad}, 10.1.1.1")]), "10.1.1.1", "{bad}");
            assert_eq!(xff("10.0.0.1", &[bad]), "10.0.0.1", "{bad}");
        }
        // Rubbish on the left does no harm to what a proxy added on the right.
        assert_eq!(walk(Field::XForwardedFor, "10.0.0.1", &[b"\xff\xfe\", 203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn forwarded_elements() {
        assert_eq!(forwarded("for=192.0.2.60;proto=http;by=203.0.113.43"), "192.0.2.60");
        assert_eq!(forwarded("For=\"[2001:db8:cafe::17]:4711\""), "2001:db8:cafe::17");
        assert_eq!(forwarded("for=6.6.6.6, for=192.0.2.43 , for=10.2.2.2"), "192.0.2.43");
        assert_eq!(forwarded("for=\"192.0.2.43:_a1\""), "192.0.2.43");
        for ends in [
            "for=unknown",
            "for=_hidden",
            "proto=https",
            "for=[::1",
            "for=2001:db8::1",
            "for=",
            "",
            "for",
            "for=1.2.3.4;for=1.2.3.4",
        ] {
            assert_eq!(forwarded(&format!("for=6.6.6.6, {ends}")), "10.0.0.1", "{ends}");
        }
    }

    #[test]
    fn an_open_quote_swallows_nothing() {
        assert_eq!(forwarded("for=\"6.6.6.6, for=203.0.113.9"), "203.0.113.9");
        assert_eq!(forwarded("for=\"6.6.6.6, for=\"203.0.113.9\""), "203.0.113.9");
        assert_eq!(forwarded("for=\"a,b\", for=10.2.2.2"), "10.2.2.2");
        assert_eq!(walk(Field::Forwarded, "10.0.0.1", &[b"for=\"\xff, for=203.0.113.9"]), "203.0.113.9");
    }

    proptest! {
        /// Whatever a client sends, behind one proxy that adds its address it is seen under that address.
        #[test]
        fn a_client_cannot_choose_its_address(
            sent in prop::collection::vec(any::<u8>().prop_filter("field", |b| *b >= 32 && *b != 127), 0..80),
        ) {
            let with = |added: &[u8]| [&sent[..], b", ", added].concat();
            prop_assert_eq!(walk(Field::XForwardedFor, "10.0.0.1", &[&with(b"203.0.113.9")]), "203.0.113.9");
            prop_assert_eq!(walk(Field::Forwarded, "10.0.0.1", &[&with(b"for=203.0.113.9")]), "203.0.113.9");
            let quoted = with(b"proto=http;for=\"[2001:db8::7]:80\"");
            prop_assert_eq!(walk(Field::Forwarded, "10.0.0.1", &[&quoted]), "2001:db8::7");
        }
    }
}
