//! The head of the request that an upstream gets: the same for `serve`, which sends it, and `explain`, which shows it.

use super::target::Forward;
use super::{Context, Decided};
use crate::model::ast::{CredentialPlace, ForwardField};
use crate::plan::{AuthKind, HostHeader, Server};
use crate::policy::cookies;
use http::header::{self, HeaderName, ValueIter};
use http::{HeaderMap, HeaderValue, Version};
use smol_str::SmolStr;
use std::fmt::Write;
use std::net::IpAddr;

/// Takes a request head line by line.
pub trait HeadWriter {
    /// The request line: method, then the target in pieces (prefix, path, query).
    fn line(&mut self, method: &str, prefix: &str, path: &str, query: Option<&str>);
    /// A field.
    fn field(&mut self, name: &str, value: &[u8]);
    /// A field whose value `write` puts behind what stands in the text it is given.
    fn built(&mut self, name: &str, write: impl FnOnce(&mut Text)) {
        let mut text = Text(Vec::with_capacity(128));
        write(&mut text);
        self.field(name, &text.0);
    }
}

/// HTTP/1.1, without the final empty line and without framing fields.
impl HeadWriter for Vec<u8> {
    #[inline]
    fn line(&mut self, method: &str, prefix: &str, path: &str, query: Option<&str>) {
        self.extend_from_slice(method.as_bytes());
        self.push(b' ');
        self.extend_from_slice(prefix.as_bytes());
        self.extend_from_slice(path.as_bytes());
        if let Some(q) = query {
            self.push(b'?');
            self.extend_from_slice(q.as_bytes());
        }
        self.extend_from_slice(b" HTTP/1.1\r\n");
    }

    #[inline]
    fn field(&mut self, name: &str, value: &[u8]) {
        self.extend_from_slice(name.as_bytes());
        self.extend_from_slice(b": ");
        self.extend_from_slice(value);
        self.extend_from_slice(b"\r\n");
    }

    /// In place.
    #[inline]
    fn built(&mut self, name: &str, write: impl FnOnce(&mut Text)) {
        self.extend_from_slice(name.as_bytes());
        self.extend_from_slice(b": ");
        let mut text = Text(std::mem::take(self));
        write(&mut text);
        *self = text.0;
        self.extend_from_slice(b"\r\n");
    }
}

/// What is done to the client's header fields. Empty for most requests.
#[derive(Debug, Default)]
pub struct Fields {
    dropped: Vec<HeaderName>,
    added: Vec<(HeaderName, HeaderValue)>,
    /// Cookies that are set (`Some`) or removed.
    cookies: Vec<(SmolStr, Option<String>)>,
}

impl Fields {
    /// `set`: one field of this value, or none.
    pub(super) fn set(&mut self, name: &HeaderName, value: Option<&str>) {
        self.added.retain(|(n, _)| n != name);
        if !self.dropped.contains(name) {
            self.dropped.push(name.clone());
        }
        self.add(name, value);
    }

    /// `add`: one more field. What no field may hold is left out.
    pub(super) fn add(&mut self, name: &HeaderName, value: Option<&str>) {
        self.added.extend(value.and_then(field_value).map(|v| (name.clone(), v)));
    }

    /// The token of an upstream's `oauth`, over what is there.
    pub(super) fn authorize(&mut self, value: HeaderValue) {
        self.set(&header::AUTHORIZATION, None);
        self.added.push((header::AUTHORIZATION, value));
    }

    /// The Authorization field that is written here.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.added.iter().find(|(name, _)| *name == header::AUTHORIZATION).map(|(_, value)| value)
    }

    /// `set cookie` or `remove cookie`.
    pub(super) fn cookie(&mut self, name: &SmolStr, value: Option<&str>) {
        self.cookies.retain(|(n, _)| n != name);
        self.cookies.push((name.clone(), value.map(str::to_owned)));
    }

    /// API keys go no further unless their auth says so; bearer tokens pass.
    pub(super) fn remove_credentials(&mut self, cx: &Context<'_>) {
        for place in removed_places(cx) {
            match place {
                CredentialPlace::Header(name) => {
                    if let Ok(name) = HeaderName::try_from(name.as_str()) {
                        self.set(&name, None);
                    }
                }
                CredentialPlace::Cookie(name) => self.cookie(name, None),
                CredentialPlace::Query(_) => {}
            }
        }
    }

    /// The query without API keys, if there is one in it.
    pub(super) fn query_without_credentials(&self, cx: &Context<'_>) -> Option<String> {
        let query = cx.head.query?;
        let names: Vec<&SmolStr> = removed_places(cx)
            .filter_map(|p| match p {
                CredentialPlace::Query(name) => Some(name),
                _ => None,
            })
            .collect();
        if names.is_empty() {
            return None;
        }
        let own = |pair: &&str| {
            let key = pair.split('=').next().unwrap_or_default();
            names.iter().any(|n| super::facts::decode(key) == n.as_str())
        };
        Some(query.split('&').filter(|p| !own(p)).collect::<Vec<_>>().join("&"))
    }

    /// The Cookie field after removals and additions.
    fn cookie_field(&self, headers: &HeaderMap) -> Option<Vec<u8>> {
        let changed = |pair: &&[u8]| self.cookies.iter().any(|(n, _)| n.as_bytes() == cookies::name(pair));
        let kept = cookies::pairs(headers).filter(|pair| !changed(pair)).map(<[u8]>::to_vec);
        let set = self.cookies.iter().filter_map(|(n, v)| Some(format!("{n}={}", v.as_ref()?).into_bytes()));
        let all: Vec<Vec<u8>> = kept.chain(set).collect();
        (!all.is_empty()).then(|| all.join(&b"; "[..]))
    }
}

fn removed_places<'c>(cx: &'c Context<'_>) -> impl Iterator<Item = &'c CredentialPlace> {
    let auth = cx.route.and_then(|(_, r)| r.inbound.auth.as_ref());
    let plan = cx.plan;
    auth.into_iter()
        .flat_map(|a| a.what.alternatives.iter())
        .filter_map(move |id| plan.auths.get(id.index()))
        .filter(|a| matches!(a.kind, AuthKind::ApiKey { .. }) && !a.forward_credentials)
        .map(|a| &a.from)
}

/// A text as a field value; control characters but tab have no place in one.
pub(super) fn field_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

/// Belongs to the connection, or is written anew: not copied from the client.
#[inline]
fn skipped(name: &HeaderName, forwarded: bool) -> bool {
    // The names that `http` knows compare as one byte each.
    *name == header::CONNECTION
        || *name == header::HOST
        || *name == header::TE
        || *name == header::TRAILER
        || *name == header::TRANSFER_ENCODING
        || *name == header::UPGRADE
        || *name == header::CONTENT_LENGTH
        || *name == header::EXPECT
        || *name == header::PROXY_AUTHENTICATE
        || *name == header::PROXY_AUTHORIZATION
        || *name == header::FORWARDED
        || *name == header::VIA
        || (forwarded && is_written_anew(name.as_str()))
}

/// Fields without a constant in `http` that the gateway writes or that no client may say.
fn is_written_anew(name: &str) -> bool {
    match name.len() {
        9 => name == "x-real-ip",
        10 => name == "keep-alive" || name == "tracestate",
        11 => name == "traceparent" || name == "x-client-ip",
        12 => name == "x-request-id",
        15 => name == "x-forwarded-for",
        16 => name == "proxy-connection" || name == "x-forwarded-host" || name == "x-forwarded-port",
        17 => name == "x-forwarded-proto",
        18 => name == "x-forwarded-prefix",
        14 => name == "true-client-ip" || name == "http2-settings",
        _ => false,
    }
}

impl Decided<'_> {
    /// Writes the head of the request that `server` gets; `entropy` makes the span's id.
    pub fn outgoing(&self, forward: &Forward, server: &Server, entropy: u128, out: &mut impl HeadWriter) {
        let head = self.cx.head;
        let method = forward.method.as_ref().unwrap_or(head.method);
        let query = forward.query.as_ref().map_or(head.query, Option::as_deref);
        let path = forward.path.as_deref().unwrap_or(head.path);
        // `OPTIONS *` stays what it is.
        let prefix = if path == "*" { "" } else { server.prefix.as_str() };
        out.line(method.as_str(), prefix, path, query);
        let host = match (&forward.host, self.cx.plan.upstream(forward.upstream).map(|u| &u.host)) {
            (Some(h), _) => h.as_str(),
            (None, Some(HostHeader::Preserve)) => head.authority,
            (None, Some(HostHeader::Fixed(h))) => h.as_str(),
            (None, _) => server.authority.as_str(),
        };
        out.field("host", host.as_bytes());
        let fields = &forward.fields;
        let plain = fields.dropped.is_empty() && fields.cookies.is_empty();
        let special = Special::of(head.headers);
        let listed = if special.connection { connection_options(head.headers) } else { Vec::new() };
        for (name, value) in head.headers {
            if skipped(name, true) || listed.iter().any(|l| l.eq_ignore_ascii_case(name.as_str())) {
                continue;
            }
            if !plain && (fields.dropped.contains(name) || (!fields.cookies.is_empty() && *name == header::COOKIE)) {
                continue;
            }
            out.field(name.as_str(), value.as_bytes());
        }
        if !fields.cookies.is_empty()
            && let Some(cookie) = fields.cookie_field(head.headers)
        {
            out.field("cookie", &cookie);
        }
        for (name, value) in &fields.added {
            out.field(name.as_str(), value.as_bytes());
        }
        self.forwarding(special.via, entropy, out);
        if let Some(protocol) = head.upgrade {
            out.field("connection", b"upgrade");
            out.field("upgrade", protocol.as_bytes());
        } else if special.te && takes_trailers(head.headers) {
            out.field("connection", b"te");
            out.field("te", b"trailers");
        }
    }

    /// X-Forwarded-*, Forwarded (RFC 7239), Via (RFC 9110), X-Request-Id, traceparent and tracestate (W3C Trace Context).
    ///
    /// Written by hand: formatting machinery would be a tenth of the gateway's own work on a plain request.
    fn forwarding(&self, via: bool, entropy: u128, out: &mut impl HeadWriter) {
        let head = self.cx.head;
        // Only a trusted proxy's word is passed on, and of the two forms the one that it is trusted in: in the other it might hand on
        // what a stranger wrote.
        let earlier = |name: &HeaderName| head.trusted.then(|| head.headers.get_all(name).iter());
        let using = self.cx.plan.trust.as_ref().map(|trust| trust.using);
        let by = |field: ForwardField, name: &HeaderName| if using == Some(field) { earlier(name) } else { None };
        // In the other form stands what is known of its client.
        let behind = |field: ForwardField| (using != Some(field) && head.client != head.peer).then_some(head.client);
        let own = |name: &HeaderName| self.is_set(name);
        let said = |name: &HeaderName| {
            by(ForwardField::XForwardedFor, name).and_then(Iterator::last).map(HeaderValue::as_bytes)
        };
        if !own(&XFF) {
            out.built("x-forwarded-for", |text| {
                text.join(by(ForwardField::XForwardedFor, &XFF));
                if let Some(client) = behind(ForwardField::XForwardedFor) {
                    text.ip(client);
                    text.put(", ");
                }
                text.ip(head.peer);
            });
        }
        if !own(&XFP) {
            let said = said(&XFP).filter(|proto| matches!(*proto, b"http" | b"https"));
            out.field("x-forwarded-proto", said.unwrap_or(head.scheme.as_bytes()));
        }
        if !own(&XFH) {
            let said = said(&XFH).filter(|host| !host.is_empty());
            out.field("x-forwarded-host", said.unwrap_or(head.authority.as_bytes()));
        }
        if !own(&header::FORWARDED) {
            out.built("forwarded", |text| {
                text.join(by(ForwardField::Forwarded, &header::FORWARDED));
                if let Some(client) = behind(ForwardField::Forwarded) {
                    text.node(client);
                    text.put(", ");
                }
                text.node(head.peer);
                text.put(";host=");
                let quote = if head.authority.bytes().any(|b| b == b':' || b == b'[') { "\"" } else { "" };
                [quote, head.authority, quote, ";proto=", head.scheme].iter().for_each(|t| text.put(t));
            });
        }
        if !own(&header::VIA) {
            out.built("via", |text| {
                if via {
                    text.join(Some(head.headers.get_all(header::VIA).iter()));
                }
                // The protocol is the one that it was received in (RFC 9110, 7.6.3).
                text.put(match head.version {
                    Version::HTTP_2 => "2 gw",
                    Version::HTTP_10 => "1.0 gw",
                    _ => "1.1 gw",
                });
            });
        }
        if !own(&XID) {
            out.field("x-request-id", head.id.as_bytes());
        }
        if !own(&TRACEPARENT) {
            let known = earlier(&TRACEPARENT).and_then(|mut said| said.next()).and_then(|v| trace_id(v.as_bytes()));
            out.built("traceparent", |text| {
                text.put("00-");
                match known {
                    Some((trace, _)) => text.put(trace),
                    None => text.0.extend_from_slice(&hex(entropy | 1)),
                }
                text.put("-");
                let span = entropy as u64 | 1;
                text.0.extend_from_slice(hex(u128::from(span)).get(16..).unwrap_or_default());
                text.put("-");
                text.put(known.map_or("00", |(_, flags)| flags));
            });
            // It belongs to the trace that goes on.
            if known.is_some() && !own(&TRACESTATE) {
                let states = earlier(&TRACESTATE).into_iter().flatten();
                states.for_each(|state| out.field("tracestate", state.as_bytes()));
            }
        }
    }

    /// A `request` block writes this field itself.
    fn is_set(&self, name: &HeaderName) -> bool {
        match &self.outcome {
            super::Outcome::Forward(f) => f.fields.dropped.contains(name),
            _ => false,
        }
    }
}

static XFF: HeaderName = HeaderName::from_static("x-forwarded-for");
static XFP: HeaderName = HeaderName::from_static("x-forwarded-proto");
static XFH: HeaderName = HeaderName::from_static("x-forwarded-host");
static XID: HeaderName = HeaderName::from_static("x-request-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Fields that ask for more work where they are there, found in one pass.
#[derive(Default)]
struct Special {
    connection: bool,
    te: bool,
    via: bool,
}

impl Special {
    fn of(headers: &HeaderMap) -> Special {
        headers.keys().fold(Special::default(), |found, name| Special {
            connection: found.connection | (*name == header::CONNECTION),
            te: found.te | (*name == header::TE),
            via: found.via | (*name == header::VIA),
        })
    }
}

/// The fields that `Connection` lists, which end at this hop. Mostly none.
fn connection_options(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(header::CONNECTION).iter().filter_map(|v| v.to_str().ok());
    let known = |o: &&str| !o.eq_ignore_ascii_case("keep-alive") && !o.eq_ignore_ascii_case("close") && !o.is_empty();
    lines.flat_map(|l| l.split(',')).map(str::trim).filter(known).collect()
}

/// `TE: trailers`: this hop passes them on (RFC 9110, 10.1.4).
fn takes_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::TE).iter().filter_map(|v| v.to_str().ok());
    lines.flat_map(|l| l.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// The trace-id and flags of a version 00 `traceparent`.
fn trace_id(value: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |s: &str, n: usize| s.len() == n && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let sound = version == "00" && parts.next().is_none() && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    (sound && trace.bytes().any(|b| b != b'0')).then_some((trace, flags))
}

/// 32 hexadecimal digits.
pub(crate) fn hex(number: u128) -> [u8; 32] {
    const PAIRS: [[u8; 2]; 256] = {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut pairs = [[0; 2]; 256];
        let mut byte = 0;
        while byte < 256 {
            #[allow(clippy::indexing_slicing, reason = "constant, and in range")]
            {
                pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
            }
            byte += 1;
        }
        pairs
    };
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair.copy_from_slice(&PAIRS.get(usize::from(byte)).copied().unwrap_or_default());
    }
    digits
}

/// A field's value while it is put together.
pub struct Text(Vec<u8>);

impl Text {
    fn put(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// The values, each followed by `, `.
    fn join(&mut self, values: Option<ValueIter<'_, HeaderValue>>) {
        if let Some(values) = values {
            for v in values {
                self.0.extend_from_slice(v.as_bytes());
                self.put(", ");
            }
        }
    }

    /// `for=` an address (RFC 7239, 6).
    fn node(&mut self, ip: IpAddr) {
        self.put(if ip.is_ipv4() { "for=" } else { "for=\"[" });
        self.ip(ip);
        self.put(if ip.is_ipv4() { "" } else { "]\"" });
    }

    fn ip(&mut self, ip: IpAddr) {
        let IpAddr::V4(ip) = ip else {
            let _ = write!(self, "{ip}");
            return;
        };
        for (i, octet) in ip.octets().into_iter().enumerate() {
            if i > 0 {
                self.0.push(b'.');
            }
            if octet >= 100 {
                self.0.push(b'0' + octet / 100);
            }
            if octet >= 10 {
                self.0.push(b'0' + octet / 10 % 10);
            }
            self.0.push(b'0' + octet % 10);
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        self.put(s);
        Ok(())
    }
}
