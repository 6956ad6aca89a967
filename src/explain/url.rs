//! The URL of an imagined request, and the listener it comes to.

use crate::plan::{Listener, Plan};

/// A URL taken apart.
pub(super) struct Url<'u> {
    /// Empty where only a path was given.
    scheme: &'u str,
    pub authority: &'u str,
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
    if authority.contains('@') {
        return Err("clients send no user in a URL: say it with -H 'authorization: Basic …'".to_owned());
    }
    let port = port(authority)?;
    Ok(Url { scheme, authority, port, target: if target.is_empty() { "/" } else { target } })
}

fn port(authority: &str) -> Result<Option<u16>, String> {
    match authority.rsplit_once(':').filter(|(_, port)| !port.is_empty() && !port.contains(']')) {
        Some((_, port)) => port.parse().map(Some).map_err(|_| format!("`{port}` is no port")),
        None => Ok(None),
    }
}

/// The listener that the URL's scheme and port choose; without a port the first that serves.
pub(super) fn listener<'p>(plan: &'p Plan, url: &Url<'_>) -> Result<(usize, &'p Listener), String> {
    let speaks = |l: &Listener| url.scheme.is_empty() || l.scheme() == url.scheme;
    let all = || plan.listeners.iter().enumerate();
    let by_port = |wanted: u16| all().find(|(_, l)| l.address.port() == wanted);
    let default = match url.scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    };
    let first = || {
        let all = || all().filter(|(_, l)| speaks(l));
        all().find(|(_, l)| l.redirect_https.is_none()).or_else(|| all().next())
    };
    let addresses = || {
        let addresses: Vec<String> = all().map(|(_, l)| format!("{} {}", l.scheme(), l.address)).collect();
        addresses.join(", ")
    };
    match url.port {
        Some(port) => match by_port(port) {
            Some((_, l)) if !speaks(l) => {
                Err(format!("port {port} speaks {}, not {}: the request would be refused", l.scheme(), url.scheme))
            }
            Some(found) => Ok(found),
            None => Err(format!("nothing listens on port {port}; there is {}", addresses())),
        },
        None => default.and_then(by_port).filter(|(_, l)| speaks(l)).or_else(first).ok_or_else(|| {
            if plan.listeners.is_empty() {
                return "nothing listens".to_owned();
            }
            format!("no listener speaks {}; there is {}", url.scheme, addresses())
        }),
    }
}
