//! Cross-origin requests, as the Fetch standard has them (https://fetch.spec.whatwg.org/#http-cors-protocol).

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::time::Duration;

/// What a `cors` statement says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `origins`.
    pub origins: Origins,
    /// `methods`; where there are none, those of the routes at the path.
    pub methods: Vec<Method>,
    /// `headers`: what a request may carry beyond what any may.
    pub headers: Headers,
    /// `expose`: what scripts may read of a response beyond what they always may.
    pub expose: Vec<HeaderName>,
    /// `credentials`: cookies and `Authorization` may come along.
    pub credentials: bool,
    /// `max-age`: how long a browser may remember a preflight's answer.
    pub max_age: Option<Duration>,
}

/// Who may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// `origins any`.
    Any,
    /// These.
    Listed(Vec<Origin>),
}

impl Default for Origins {
    fn default() -> Origins {
        Origins::Listed(Vec::new())
    }
}

/// Which request headers are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Headers {
    /// `headers any`: those that the preflight names.
    Any,
    /// These.
    Listed(Vec<HeaderName>),
}

impl Default for Headers {
    fn default() -> Headers {
        Headers::Listed(Vec::new())
    }
}

/// An origin, `https://shop.example`, or all below a domain, `https://*.shop.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `https://`
    scheme: String,
    /// All labels before the rest may be any: then the rest begins with a dot.
    wildcard: bool,
    rest: String,
}

impl Origin {
    /// Reads an origin as browsers write it; says how to write it otherwise.
    pub fn parse(text: &str) -> Result<Origin, String> {
        if text == "*" {
            return Err("every origin is written `origins any`".into());
        }
        let lower = text.to_ascii_lowercase();
        let Some((scheme, authority)) = lower.split_once("://") else {
            return Err(format!("an origin has a scheme: `https://{lower}`"));
        };
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if scheme.is_empty() || !scheme.chars().all(valid) {
            return Err(format!("`{scheme}` is not a scheme such as `https`"));
        }
        if let Some((authority, _)) = authority.split_once(['/', '?', '#']) {
            return Err(format!("an origin ends after the host and port: `{scheme}://{authority}`"));
        }
        let default = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => "\n",
        };
        // Browsers leave the default port out.
        let authority = authority.strip_suffix(default).unwrap_or(authority);
        let (wildcard, rest) = match authority.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') => (true, rest),
            Some(_) => return Err("`*` stands for whole labels: `https://*.shop.example`".into()),
            None => (false, authority),
        };
        let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']' | '_');
        if rest.trim_start_matches('.').is_empty() || !rest.chars().all(host) {
            return Err(format!("`{authority}` is not a host with an optional port"));
        }
        Ok(Origin { scheme: format!("{scheme}://"), wildcard, rest: rest.to_owned() })
    }

    fn allows(&self, origin: &str) -> bool {
        let Some(authority) = origin.strip_prefix(self.scheme.as_str()) else { return false };
        if !self.wildcard {
            return authority == self.rest;
        }
        let label = |label: &str| {
            !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        };
        authority.strip_suffix(self.rest.as_str()).is_some_and(|labels| labels.split('.').all(label))
    }
}

/// Why browsers would refuse what `config` allows: a sentence for a diagnostic.
pub fn problem(config: &Config) -> Option<&'static str> {
    match &config.origins {
        Origins::Any if config.credentials => {
            Some("`credentials` with `origins any` would let every site act as the user; name the origins")
        }
        Origins::Listed(origins) if origins.is_empty() => Some("no origin is allowed; name one, or say `origins any`"),
        _ => None,
    }
}

/// The method that a CORS preflight asks for: an `OPTIONS` request with an origin and a method.
pub fn preflight_method(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    Method::from_bytes(headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

/// A `cors` statement with its constant values made.
#[derive(Clone, Debug)]
pub struct Cors {
    config: Config,
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

impl Cors {
    /// Of a configuration without a [`problem`].
    pub fn new(config: Config) -> Cors {
        let listed = match &config.headers {
            Headers::Any => &[][..],
            Headers::Listed(names) => names,
        };
        Cors {
            methods: joined(config.methods.iter().map(Method::as_str)),
            headers: joined(listed.iter().map(HeaderName::as_str)),
            expose: joined(config.expose.iter().map(HeaderName::as_str)),
            max_age: config.max_age.map(|age| HeaderValue::from(age.as_secs())),
            config,
        }
    }

    /// The fields of the 204 that answers a preflight. `routes` are the methods of the routes at the path;
    /// the asked one, which a route was found for, is added where it is not among them (`ANY`). An origin
    /// that is not allowed gets no permission.
    pub fn preflight<'m>(&self, request: &HeaderMap, routes: impl IntoIterator<Item = &'m Method>) -> HeaderMap {
        let mut fields = HeaderMap::with_capacity(6);
        let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        fields.insert(VARY, HeaderValue::from_static(vary));
        let Some(origin) = self.allowed(request) else { return fields };
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let methods = self.methods.clone().or_else(|| {
            let asked = preflight_method(&Method::OPTIONS, request);
            let mut methods: Vec<&str> = routes.into_iter().map(Method::as_str).collect();
            if let Some(asked) = asked.as_ref().map(Method::as_str).filter(|asked| !methods.contains(asked)) {
                methods.push(asked);
            }
            joined(methods.into_iter())
        });
        let headers = match self.config.headers {
            // `*` would not cover `Authorization`, and nothing where there are credentials.
            Headers::Any => request.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
            Headers::Listed(_) => self.headers.clone(),
        };
        let credentials = self.config.credentials.then(|| HeaderValue::from_static("true"));
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_METHODS, methods),
            (ACCESS_CONTROL_ALLOW_HEADERS, headers),
            (ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials),
            (ACCESS_CONTROL_MAX_AGE, self.max_age.clone()),
        ] {
            if let Some(value) = value {
                fields.insert(name, value);
            }
        }
        fields
    }

    /// Sets the fields of any other response, in place of the upstream's own.
    pub fn apply(&self, request: &HeaderMap, response: &mut HeaderMap) {
        for name in [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_EXPOSE_HEADERS] {
            response.remove(name);
        }
        if self.depends_on_origin() {
            vary_on_origin(response);
        }
        let Some(origin) = self.allowed(request) else { return };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.config.credentials {
            response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(expose) = &self.expose {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }

    /// Responses differ by origin, also those to requests without one: caches must know.
    fn depends_on_origin(&self) -> bool {
        self.config.origins != Origins::Any
    }

    /// The value of `Access-Control-Allow-Origin`.
    fn allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let mut lines = request.get_all(ORIGIN).iter();
        let (Some(origin), None) = (lines.next(), lines.next()) else { return None };
        match &self.config.origins {
            Origins::Any => Some(HeaderValue::from_static("*")),
            Origins::Listed(origins) => {
                let text = origin.to_str().ok()?;
                origins.iter().any(|allowed| allowed.allows(text)).then(|| origin.clone())
            }
        }
    }
}

fn joined<'t>(texts: impl Iterator<Item = &'t str>) -> Option<HeaderValue> {
    let text = texts.collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())
}

fn vary_on_origin(response: &mut HeaderMap) {
    let has = |value: &HeaderValue| {
        value.as_bytes().split(|b| *b == b',').any(|name| {
            let name = name.trim_ascii();
            name.eq_ignore_ascii_case(b"origin") || name == b"*"
        })
    };
    if !response.get_all(VARY).iter().any(has) {
        response.append(VARY, HeaderValue::from_static("Origin"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(origins: &[&str]) -> Config {
        let origins = origins.iter().map(|origin| Origin::parse(origin).unwrap()).collect();
        Config { origins: Origins::Listed(origins), ..Config::default() }
    }

    fn request(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
        headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn origins_match_exactly_and_wildcards_by_label() {
        let cors =
            Cors::new(config(&["https://shop.example", "https://*.shop.example:8443", "HTTPS://Big.example:443"]));
        let allowed = |origin| cors.allowed(&request(&[("origin", origin)])).is_some();
        for origin in [
            "https://shop.example",
            "https://a.shop.example:8443",
            "https://a.b.shop.example:8443",
            "https://big.example",
        ] {
            assert!(allowed(origin), "{origin}");
        }
        for origin in [
            "http://shop.example",
            "https://shop.example:8443",
            "https://shop.example.evil.test",
            "https://evilshop.example",
            "https://shop.example/",
            "https://.shop.example:8443",
            "https://shop.example:8443",
            "https://evil.test#.shop.example:8443",
            "https://evil.test/.shop.example:8443",
            "https://evil.test:1@a.shop.example:8443",
            "null",
            "",
        ] {
            assert!(!allowed(origin), "{origin}");
        }
        assert!(
            cors.allowed(&request(&[("origin", "https://shop.example"), ("origin", "https://shop.example")])).is_none()
        );
    }

    #[test]
    fn what_is_not_an_origin_is_refused() {
        for text in [
            "shop.example",
            "https://",
            "https://a/b",
            "https://a/",
            "https://*",
            "https://*shop.example",
            "https://a b",
            "null",
            "*",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_preflight_is_answered() {
        let cors = Cors::new(Config {
            headers: Headers::Listed(vec![HeaderName::from_static("x-a"), HeaderName::from_static("content-type")]),
            credentials: true,
            max_age: Some(Duration::from_secs(600)),
            ..config(&["https://shop.example"])
        });
        let asked = request(&[("origin", "https://shop.example"), ("access-control-request-method", "PUT")]);
        assert_eq!(preflight_method(&Method::OPTIONS, &asked), Some(Method::PUT));
        assert_eq!(preflight_method(&Method::GET, &asked), None);
        assert_eq!(preflight_method(&Method::OPTIONS, &request(&[("origin", "https://shop.example")])), None);
        assert_eq!(preflight_method(&Method::OPTIONS, &request(&[("access-control-request-method", "PUT")])), None);

        let fields = cors.preflight(&asked, [&Method::GET, &Method::PUT]);
        assert_eq!(text(&fields, ACCESS_CONTROL_ALLOW_ORIGIN), Some("https://shop.example"));
        assert_eq!(text(&fields, ACCESS_CONTROL_ALLOW_METHODS), Some("GET, PUT"));
        assert_eq!(text(&fields, ACCESS_CONTROL_ALLOW_HEADERS), Some("x-a, content-type"));
        assert_eq!(text(&fields, ACCESS_CONTROL_ALLOW_CREDENTIALS), Some("true"));
        assert_eq!(text(&fields, ACCESS_CONTROL_MAX_AGE), Some("600"));
        assert!(text(&fields, VARY).unwrap().starts_with("Origin"));

        let any = cors.preflight(&asked, []);
        assert_eq!(text(&any, ACCESS_CONTROL_ALLOW_METHODS), Some("PUT"));

        let stranger = request(&[("origin", "https://evil.test"), ("access-control-request-method", "PUT")]);
        let fields = cors.preflight(&stranger, [&Method::PUT]);
        assert_eq!(fields.keys().collect::<Vec<_>>(), [VARY]);
    }

    #[test]
    fn any_headers_are_those_asked_for() {
        let cors = Cors::new(Config { headers: Headers::Any, origins: Origins::Any, ..Config::default() });
        let asked = request(&[
            ("origin", "https://a.test"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization,x-b"),
        ]);
        let fields = cors.preflight(&asked, [&Method::GET]);
        assert_eq!(text(&fields, ACCESS_CONTROL_ALLOW_HEADERS), Some("authorization,x-b"));
        assert_eq!(text(&fields, ACCESS_CONTROL_ALLOW_ORIGIN), Some("*"));
    }

    #[test]
    fn a_response_says_who_may_read_it_and_that_it_differs() {
        let cors =
            Cors::new(Config { expose: vec![HeaderName::from_static("x-total")], ..config(&["https://shop.example"]) });
        let mut response = request(&[("access-control-allow-origin", "*"), ("vary", "Accept-Encoding")]);
        cors.apply(&request(&[("origin", "https://shop.example")]), &mut response);
        assert_eq!(response.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().collect::<Vec<_>>(), ["https://shop.example"]);
        assert_eq!(text(&response, ACCESS_CONTROL_EXPOSE_HEADERS), Some("x-total"));
        assert_eq!(response.get_all(VARY).iter().collect::<Vec<_>>(), ["Accept-Encoding", "Origin"]);

        for other in [request(&[]), request(&[("origin", "https://evil.test")])] {
            let mut response = request(&[("access-control-allow-origin", "*"), ("vary", "accept, ORIGIN")]);
            cors.apply(&other, &mut response);
            assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_ORIGIN), None);
            assert_eq!(response.get_all(VARY).iter().count(), 1);
        }
    }

    #[test]
    fn a_response_for_anyone_does_not_vary() {
        let cors = Cors::new(Config { origins: Origins::Any, ..Config::default() });
        let mut response = HeaderMap::new();
        cors.apply(&request(&[("origin", "https://a.test")]), &mut response);
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_ORIGIN), Some("*"));
        assert!(!response.contains_key(VARY));
    }

    #[test]
    fn credentials_for_anyone_are_a_problem() {
        assert!(problem(&Config { origins: Origins::Any, credentials: true, ..Config::default() }).is_some());
        assert!(problem(&Config::default()).is_some());
        assert!(problem(&config(&["https://a.test"])).is_none());
    }
}
