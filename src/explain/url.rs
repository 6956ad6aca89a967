//! The URL of an imagined request, and the listener it comes to.

use crate::plan::{Listener, Plan};

/// A URL taken apart.
pub(super) struct Url<'u> {
    /// Empty where only a path was given.
    scheme: &'u str,
    pub authority: &'u str,
    pub host: &'u str,
    port: Option<u16>,
    /// Path and query.
    pub target: &'u str,
}

pub(super) fn split(url: &str) -> Result<Url<'_>, String> {
    let (scheme, rest) = match url.split_once("://") {
        Some((s, rest)) if matches!(s, "http" | "https") => (s, rest),
        Some((s, _)) => return Err(format!("`{s}://` is not served: a URL begins with http:// or https://")),
        None if url.starts_with('/') => ("", url),
        None => return Err(format!("`{url}` is no URL: write http://HOST/PATH, or /PATH")),
    };
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(at);
    let authority = if authority.is_empty() { "localhost" } else { authority };
    let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| format!("`{port}` is no port"))?)),
        None => (authority, None),
    };
    Ok(Url { scheme, authority, host, port, target: if target.is_empty() { "/" } else { target } })
}

/// The listener that the URL's port chooses; without one the first that serves.
pub(super) fn listener<'p>(plan: &'p Plan, url: &Url<'_>) -> Result<(usize, &'p Listener), String> {
    let all = || plan.listeners.iter().enumerate();
    let by_port = |wanted: u16| all().find(|(_, l)| l.address.port() == wanted);
    let default = match url.scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    };
    let first = || all().find(|(_, l)| l.redirect_https.is_none()).or_else(|| all().next());
    let found = match url.port {
        Some(p) => by_port(p),
        None => default.and_then(by_port).or_else(first),
    };
    found.ok_or_else(|| {
        let addresses: Vec<String> = all().map(|(_, l)| l.address.to_string()).collect();
        match url.port {
            Some(p) => format!("nothing listens on port {p}; there is {}", addresses.join(", ")),
            None => "nothing listens".into(),
        }
    })
}
