//! Which host patterns of a program a host name meets.

use crate::model::ast::{HostHead, HostPattern};
use ahash::RandomState;
use std::borrow::Cow;
use std::collections::HashMap;

/// The name in a `Host` field or an authority: without port and final dot, in lower case.
pub fn host_name(host: &str) -> Cow<'_, str> {
    let name = match host.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(close) => host.get(..close + 2).unwrap_or(host),
        None => host.get(..memchr::memchr(b':', host.as_bytes()).unwrap_or(host.len())).unwrap_or(host),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// A value for each host pattern.
#[derive(Debug)]
pub struct Hosts<T> {
    exact: HashMap<Box<str>, T, RandomState>,
    below: HashMap<Box<str>, Below<T>, RandomState>,
}

/// What stands before a suffix.
#[derive(Debug)]
struct Below<T> {
    one: Option<T>,
    many: Option<T>,
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Hosts { exact: HashMap::default(), below: HashMap::default() }
    }
}

impl<T: Default> Hosts<T> {
    /// The value of a pattern, made where it is not there yet. The names of parameters make no difference.
    pub fn entry(&mut self, pattern: &HostPattern) -> &mut T {
        let suffix = host_name(&pattern.suffix);
        match pattern.head {
            HostHead::Exact => self.exact.entry(suffix.as_ref().into()).or_default(),
            HostHead::Param(_) => self.below(&suffix).one.get_or_insert_default(),
            HostHead::Wildcard => self.below(&suffix).many.get_or_insert_default(),
        }
    }

    fn below(&mut self, suffix: &str) -> &mut Below<T> {
        self.below.entry(suffix.into()).or_insert(Below { one: None, many: None })
    }
}

impl<T> Hosts<T> {
    /// There is no pattern.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }

    /// The value of the most specific pattern that fits, and the label that a `{name}` takes.
    /// `host` comes from [`host_name`].
    pub fn find<'h>(&self, host: &'h str) -> Option<(&T, Option<&'h str>)> {
        if let Some(found) = self.exact.get(host) {
            return Some((found, None));
        }
        if self.below.is_empty() {
            return None;
        }
        // The longest suffix first.
        for (dot, _) in host.bytes().enumerate().filter(|(at, b)| *b == b'.' && *at > 0) {
            let (Some(before), Some(suffix)) = (host.get(..dot), host.get(dot + 1..)) else { continue };
            let Some(below) = self.below.get(suffix) else { continue };
            if let Some(one) = &below.one
                && !before.contains('.')
            {
                return Some((one, Some(before)));
            }
            if let Some(many) = &below.many {
                return Some((many, None));
            }
        }
        None
    }

    /// The same patterns with other values.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Hosts<U> {
        let exact = self.exact.into_iter().map(|(k, v)| (k, f(v))).collect();
        let below =
            self.below.into_iter().map(|(k, b)| (k, Below { one: b.one.map(&mut f), many: b.many.map(&mut f) }));
        Hosts { exact, below: below.collect() }
    }

    /// The value of this very pattern.
    pub fn get(&self, pattern: &HostPattern) -> Option<&T> {
        let suffix = host_name(&pattern.suffix);
        let below = || self.below.get(suffix.as_ref());
        match pattern.head {
            HostHead::Exact => self.exact.get(suffix.as_ref()),
            HostHead::Param(_) => below()?.one.as_ref(),
            HostHead::Wildcard => below()?.many.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Span;

    fn pattern(text: &str) -> HostPattern {
        let (head, suffix) = match text.split_once('.') {
            Some(("*", suffix)) => (HostHead::Wildcard, suffix),
            Some((name, suffix)) if name.starts_with('{') => {
                (HostHead::Param(name.trim_matches(['{', '}']).into()), suffix)
            }
            _ => (HostHead::Exact, text),
        };
        HostPattern { head, suffix: suffix.into(), span: Span::default() }
    }

    #[test]
    fn names_lose_port_case_and_final_dot() {
        for (host, name) in [
            ("API.Shop.example:8443", "api.shop.example"),
            ("api.shop.example.", "api.shop.example"),
            ("api.shop.example.:80", "api.shop.example"),
            ("[::1]:80", "[::1]"),
            ("[FE80::1]", "[fe80::1]"),
            ("10.0.0.1:9000", "10.0.0.1"),
            ("", ""),
        ] {
            assert_eq!(host_name(host), name);
        }
    }

    #[test]
    fn the_most_specific_host_decides() {
        let patterns = ["api.x.example", "*.x.example", "{t}.x.example", "*.example", "*.b.x.example", "[::1]"];
        let mut hosts: Hosts<Option<&str>> = Hosts::default();
        for p in patterns {
            *hosts.entry(&pattern(p)) = Some(p);
        }
        for (host, expected) in [
            ("api.x.example", Some("api.x.example")),
            ("a.x.example", Some("{t}.x.example")),
            ("a.c.x.example", Some("*.x.example")),
            ("a.b.x.example", Some("*.b.x.example")),
            ("b.x.example", Some("{t}.x.example")),
            ("x.example", Some("*.example")),
            ("a.b.c.example", Some("*.example")),
            ("example", None),
            (".x.example", Some("*.example")),
            ("other", None),
            ("[::1]", Some("[::1]")),
        ] {
            assert_eq!(hosts.find(host).and_then(|(p, _)| *p), expected, "{host}");
        }
        assert_eq!(hosts.find("acme.x.example").and_then(|(_, label)| label), Some("acme"));
    }
}
