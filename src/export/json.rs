//! The compiled plan as JSON, whole: `docs/schema/plan-v1.json` describes it. It holds no secrets and no keys.
//!
//! Times are in milliseconds, sizes in bytes, shares in percent.

use super::chain::{Stated, stated, unrouted};
use super::routes::{auths, methods};
use crate::check::routes::RouteKey;
use crate::model::ast::{
    CredentialPlace, ForwardField, OauthCredentials, RetryOn, StatusMatch, TlsVersion, TrailingSlash, UpstreamProtocol,
};
use crate::plan::{
    ApiKeys, Auth, AuthKind, Balance, EjectWhen, Forward, HostHeader, JwtKeys, Limit, LimitAmount, LimitKind, Listener,
    Origin, Plan, Respond, RespondBody, RetryParts, Route, Server, Step, Table, Target, TimeoutParts, Upstream,
    UpstreamId, defaults,
};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::time::Duration;

/// The whole plan.
pub fn plan(plan: &Plan) -> Json {
    let every = |statements: Vec<Stated<'_>>| phases(plan, &statements);
    json!({
        "version": 1,
        "listeners": plan.listeners.iter().map(|l| listener(plan, l)).collect::<Vec<_>>(),
        "trust": plan.trust.as_ref().map(|trust| json!({
            "proxies": trust.proxies.iter().map(|net| net.to_string()).collect::<Vec<_>>(),
            "using": match trust.using {
                ForwardField::XForwardedFor => "x-forwarded-for",
                ForwardField::Forwarded => "forwarded",
                ForwardField::ProxyProtocol => "proxy-protocol",
            },
            "file": plan.file(&trust.origin),
            "line": trust.origin.line,
        })),
        "routes": (0..).zip(&plan.routes).map(|(id, r)| route(plan, id, r)).collect::<Vec<_>>(),
        "unrouted": every(unrouted(plan)),
        "upstreams": plan.upstreams.iter().map(|u| upstream(plan, u)).collect::<Vec<_>>(),
        "auths": plan.auths.iter().map(|a| auth(plan, a)).collect::<Vec<_>>(),
        "limits": plan.limits.iter().map(|l| limit(plan, l)).collect::<Vec<_>>(),
        "tables": plan.tables.iter().map(|t| table(plan, t)).collect::<Vec<_>>(),
        "files": plan.files.iter().map(|f| f.as_str()).collect::<Vec<_>>(),
    })
}

/// A statement with its place, phase and conditions.
pub(super) fn statement(plan: &Plan, stated: &Stated<'_>) -> Json {
    json!({
        "phase": stated.phase.name(),
        "statement": stated.origin.text.as_str(),
        "when": stated.guards.iter().map(|g| g.origin.text.as_str()).collect::<Vec<_>>(),
        "report_only": stated.report_only,
        "limit": stated.limit.map(|name| name.as_str()),
        "file": plan.file(stated.origin),
        "line": stated.origin.line,
    })
}

fn phases(plan: &Plan, statements: &[Stated<'_>]) -> Json {
    statements.iter().map(|s| statement(plan, s)).collect()
}

fn place(plan: &Plan, origin: &Origin) -> Json {
    json!({ "statement": origin.text.as_str(), "file": plan.file(origin), "line": origin.line })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn listener(plan: &Plan, listener: &Listener) -> Json {
    let routes =
        plan.routers.get(listener.router).map(|router| router.routes().iter().map(|r| r.id).collect::<Vec<_>>());
    json!({
        "name": listener.name.as_str(),
        "address": listener.address.to_string(),
        "scheme": listener.scheme(),
        "redirect_https": listener.redirect_https,
        "max_connections": listener.max_connections,
        "header_max": listener.header_max,
        "timeout_header_ms": millis(listener.timeout_header),
        "timeout_idle_ms": millis(listener.timeout_idle),
        "tls": listener.tls.as_ref().map(|tls| json!({
            "certificates": tls.certificates.iter().map(|pair| json!({
                "certificate": path(&pair.certificate),
                "key": path(&pair.key),
            })).collect::<Vec<_>>(),
            "min": match tls.min {
                TlsVersion::V1_2 => "1.2",
                TlsVersion::V1_3 => "1.3",
            },
            "client_certificates": tls.clients.as_ref().map(|clients| json!({
                "required": clients.required,
                "ca": path(&clients.ca),
            })),
        })),
        "acme": listener.acme.as_ref().map(|acme| json!({
            "directory": acme.issuer.directory.as_str(),
            "domains": acme.domains.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            "emails": acme.issuer.emails.iter().map(|email| email.as_str()).collect::<Vec<_>>(),
            "challenge": acme.issuer.challenge.name(),
            "store": acme.issuer.store.as_deref().map(path),
        })),
        "proxy_protocol": listener.proxy_protocol,
        "routes": if listener.redirect_https.is_some() { Vec::new() } else { routes.unwrap_or_default() },
        "file": plan.file(&listener.origin),
        "line": listener.origin.line,
    })
}

fn route(plan: &Plan, id: u32, route: &Route) -> Json {
    let key = plan.routers.iter().flat_map(|r| r.routes()).find(|r| r.id == id).map(|r| &r.key);
    json!({
        "id": id,
        "name": route.name.as_str(),
        "api": route.api.as_deref(),
        "hosts": route.hosts.iter().map(|h| h.as_str()).collect::<Vec<_>>(),
        "methods": methods(route),
        "pattern": route.pattern.as_str(),
        "paths_allow": key.map(allowed).unwrap_or_default(),
        "trailing_slash": match route.trailing_slash {
            TrailingSlash::Strict => "strict",
            TrailingSlash::Redirect => "redirect",
            TrailingSlash::Ignore => "ignore",
        },
        "when": route.when.as_ref().map(|guard| guard.origin.text.as_str()),
        "params": route.params.iter().map(|(name, ty)| json!({ "name": name.as_str(), "type": ty.to_string() })).collect::<Vec<_>>(),
        "auth": auths(plan, route),
        "auth_optional": route.inbound.auth.as_ref().is_some_and(|step| step.what.optional),
        "buffers_body": route.inbound.buffer_body.as_ref().map(|origin| place(plan, origin)),
        "statements": phases(plan, &stated(plan, route)),
        "target": target(plan, &route.target),
        "exchanges": exchanges(plan, route),
        "doc": route.docs.as_str(),
        "file": plan.file(&route.origin),
        "line": route.origin.line,
    })
}

fn allowed(key: &RouteKey) -> Vec<&'static str> {
    use crate::model::ast::PathAllow::{EmptySegments, EncodedSlash, Semicolon};
    let words = [(EncodedSlash, "encoded-slash"), (EmptySegments, "empty-segments"), (Semicolon, "semicolon")];
    words.into_iter().filter(|(flag, _)| key.allow.contains(*flag)).map(|(_, word)| word).collect()
}

fn target(plan: &Plan, of: &Target) -> Json {
    let (kind, origin, more) = match of {
        Target::Forward(forward) => ("forward", &forward.origin, forwarded(plan, forward)),
        Target::Choice { then, otherwise, origin, .. } => {
            ("choice", origin, json!({ "then": target(plan, then), "else": target(plan, otherwise) }))
        }
        Target::Respond(respond) => ("respond", &respond.origin, responded(respond)),
        Target::Redirect { status, origin, .. } => ("redirect", origin, json!({ "status": status })),
    };
    let mut all = json!({ "kind": kind });
    for part in [more, place(plan, origin)] {
        if let (Json::Object(all), Json::Object(part)) = (&mut all, part) {
            all.extend(part);
        }
    }
    all
}

fn forwarded(plan: &Plan, forward: &Forward) -> Json {
    let name = |id: UpstreamId| plan.upstream(id).map(|u| u.name.as_str()).unwrap_or_default();
    json!({
        "to": forward.to.iter().map(|(share, id)| json!({ "upstream": name(id), "percent": share })).collect::<Vec<_>>(),
        "at": forward.at.as_ref().map(|at| at.text.as_str()),
        "by_key": !forward.by.is_empty(),
    })
}

fn responded(respond: &Respond) -> Json {
    let body = match &respond.body {
        RespondBody::None => "none",
        RespondBody::Json(_) => "json",
        RespondBody::Text(_) => "text",
        RespondBody::Html(_) => "html",
        RespondBody::File(..) => "file",
        RespondBody::Problem(_) => "problem",
    };
    json!({ "status": respond.status, "body": body })
}

/// The upstreams that a target can reach, in the order written, with their shares where it has some.
pub(super) fn upstreams(target: &Target) -> Vec<UpstreamId> {
    match target {
        Target::Forward(forward) => forward.to.iter().map(|(_, id)| id).collect(),
        Target::Choice { then, otherwise, .. } => {
            let mut all = upstreams(then);
            all.extend(upstreams(otherwise));
            all
        }
        Target::Respond(_) | Target::Redirect { .. } => Vec::new(),
    }
}

/// With each upstream, the times and attempts that hold where no `when` says otherwise.
fn exchanges(plan: &Plan, route: &Route) -> Json {
    let mut ids = upstreams(&route.target);
    ids.sort_unstable();
    ids.dedup();
    let always = |guards: &[crate::plan::Guard]| guards.is_empty();
    let inbound = &route.inbound;
    let said = inbound.timeouts.iter().filter(|s| always(&s.guards)).fold(TimeoutParts::default(), |t, s| t.or(s.what));
    let retries =
        inbound.retries.iter().filter(|s| always(&s.guards)).fold(RetryParts::default(), |r, s| r.or(&s.what));
    let conditional =
        inbound.timeouts.iter().any(|s| !always(&s.guards)) || inbound.retries.iter().any(|s| !always(&s.guards));
    let with = ids.iter().filter_map(|id| plan.upstream(*id)).map(|upstream| {
        json!({
            "upstream": upstream.name.as_str(),
            "timeouts": timeouts(said.or_upstream(upstream.timeouts)),
            "retry": retry(&retries.or(&upstream.retry)),
            "conditional": conditional,
        })
    });
    with.collect()
}

fn timeouts(parts: TimeoutParts) -> Json {
    json!({
        "total_ms": parts.total.map(millis),
        "connect_ms": millis(parts.connect.unwrap_or(defaults::CONNECT)),
        "response_ms": millis(parts.response.unwrap_or(defaults::RESPONSE)),
        "idle_ms": millis(parts.idle.unwrap_or(defaults::IDLE)),
    })
}

fn retry(parts: &RetryParts) -> Json {
    let on = |on: &RetryOn| match on {
        RetryOn::Connect => "connect".to_owned(),
        RetryOn::Reset => "reset".to_owned(),
        RetryOn::Timeout => "timeout".to_owned(),
        RetryOn::Status(status) => status.to_string(),
        RetryOn::Class(hundred) => format!("{hundred}xx"),
    };
    let (shortest, longest) = parts.backoff.unwrap_or(defaults::BACKOFF);
    json!({
        "count": parts.count.unwrap_or(defaults::RETRIES),
        "on": parts.on.iter().flatten().map(on).collect::<Vec<_>>(),
        "budget_percent": parts.budget.unwrap_or(defaults::RETRY_BUDGET),
        "backoff_ms": [millis(shortest), millis(longest)],
    })
}

fn upstream(plan: &Plan, upstream: &Upstream) -> Json {
    let steps = |origin: &Origin| place(plan, origin);
    json!({
        "name": upstream.name.as_str(),
        "echo": upstream.echo,
        "servers": upstream.servers.iter().map(server).collect::<Vec<_>>(),
        "balance": match upstream.balance {
            Balance::P2c => "p2c",
            Balance::RoundRobin => "round-robin",
            Balance::Random => "random",
            Balance::LeastRequests => "least-requests",
            Balance::Hash(_) => "hash",
        },
        "pool_max": upstream.pool_max,
        "pool_idle_ms": millis(upstream.pool_idle.unwrap_or(defaults::POOL_IDLE)),
        "protocol": match upstream.protocol {
            None | Some(UpstreamProtocol::Auto) => "auto",
            Some(UpstreamProtocol::H1) => "h1",
            Some(UpstreamProtocol::H2) => "h2",
            Some(UpstreamProtocol::H2c) => "h2c",
        },
        "timeouts": timeouts(upstream.timeouts),
        "retry": retry(&upstream.retry),
        "max_requests": upstream.max_requests,
        "max_pending": upstream.max_pending,
        "health": upstream.health.as_ref().map(|h| json!({
            "method": h.method.as_str(),
            "path": h.path.as_str(),
            "every_ms": millis(h.every),
            "timeout_ms": millis(h.timeout),
            "healthy_after": h.healthy,
            "unhealthy_after": h.unhealthy,
            "expect": h.expect.iter().map(|s| match s {
                StatusMatch::Status(status) => status.to_string(),
                StatusMatch::Class(hundred) => format!("{hundred}xx"),
            }).collect::<Vec<_>>(),
            "host": h.host.as_deref(),
            "port": h.port,
        })),
        "eject": upstream.eject.map(|e| match e.when {
            EjectWhen::Failures(n) => json!({ "after_failures": n, "for_ms": millis(e.period) }),
            EjectWhen::Share(p) => json!({ "over_percent": p, "for_ms": millis(e.period) }),
        }),
        "oauth": upstream.oauth.as_ref().map(|o| json!({
            "token_endpoint": o.endpoint(),
            "client_id": o.client_id.as_str(),
            "credentials": match o.credentials {
                OauthCredentials::Basic => "basic",
                OauthCredentials::Body => "body",
            },
            "scopes": o.scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>(),
            "audience": o.audience.as_deref(),
        })),
        "sticky": upstream.sticky.as_ref().map(|s| json!({ "cookie": s.cookie.as_str(), "for_ms": s.period.map(millis) })),
        "limits": upstream.limits.iter().map(|s: &Step<_>| steps(&s.origin)).collect::<Vec<_>>(),
        "send": upstream.send.iter().map(|s| steps(&s.origin)).collect::<Vec<_>>(),
        "ca_file": upstream.tls.ca.as_deref().map(path),
        "certificate_file": upstream.tls.identity.as_ref().map(|(chain, _)| path(chain)),
        "key_file": upstream.tls.identity.as_ref().map(|(_, key)| path(key)),
        "server_name": upstream.tls.name.as_deref(),
        "host": match &upstream.host {
            HostHeader::Server => json!({ "kind": "server" }),
            HostHeader::Preserve => json!({ "kind": "preserve" }),
            HostHeader::Fixed(name) => json!({ "kind": "fixed", "name": name.as_str() }),
        },
        "doc": upstream.docs.as_str(),
        "file": plan.file(&upstream.origin),
        "line": upstream.origin.line,
    })
}

fn server(server: &Server) -> Json {
    json!({
        "scheme": if server.tls { "https" } else { "http" },
        "host": server.host.as_str(),
        "port": server.port,
        "prefix": server.prefix.as_str(),
        "weight": server.weight,
        "backup": server.backup,
        "srv": server.srv,
    })
}

fn auth(plan: &Plan, auth: &Auth) -> Json {
    let (place, name) = match &auth.from {
        CredentialPlace::Header(name) => ("header", name),
        CredentialPlace::Cookie(name) => ("cookie", name),
        CredentialPlace::Query(name) => ("query", name),
    };
    let texts = |list: &Option<Vec<smol_str::SmolStr>>| {
        list.as_ref()
            .map(|list| list.iter().map(|text| text.as_str()).collect::<Vec<_>>())
            .map_or(Json::Null, Json::from)
    };
    let (kind, settings) = match &auth.kind {
        AuthKind::Jwt { issuers, audiences, algorithms, leeway, keys } => (
            "jwt",
            json!({
                "issuers": texts(issuers),
                "audiences": texts(audiences),
                "algorithms": algorithms.iter().map(|a| format!("{a:?}")).collect::<Vec<_>>(),
                "leeway_ms": millis(*leeway),
                "keys": match keys {
                    JwtKeys::JwksFile(file) => json!({ "kind": "jwks", "file": path(file) }),
                    JwtKeys::KeyFile(file) => json!({ "kind": "pem", "file": path(file) }),
                    JwtKeys::Secret(_) => json!({ "kind": "secret" }),
                },
            }),
        ),
        AuthKind::ApiKey { keys } => (
            "api-key",
            json!({
                "keys": match keys {
                    ApiKeys::File(file) => json!({ "kind": "file", "file": path(file) }),
                    ApiKeys::Named(list) => {
                        json!({ "kind": "named", "names": list.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>() })
                    }
                },
            }),
        ),
    };
    json!({
        "name": auth.name.as_str(),
        "kind": kind,
        "from": { "place": place, "name": name.as_str() },
        "forward_credentials": auth.forward_credentials,
        "claims": auth.claims.iter().map(|(name, ty, from)| json!({
            "name": name.as_str(),
            "type": ty.to_string(),
            "from": from.iter().map(|part| part.as_str()).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "settings": settings,
        "doc": auth.docs.as_str(),
        "file": plan.file(&auth.origin),
        "line": auth.origin.line,
    })
}

fn limit(plan: &Plan, limit: &Limit) -> Json {
    let (kind, burst) = match limit.kind {
        LimitKind::Sliding => ("sliding", None),
        LimitKind::Bucket(burst) => ("bucket", Some(burst)),
        LimitKind::Fixed => ("fixed", None),
        LimitKind::Concurrent => ("concurrent", None),
    };
    json!({
        // A number of JSON does not hold 64 bits everywhere.
        "identity": format!("{:016x}", limit.identity),
        "name": limit.name.as_str(),
        "shared": limit.shared,
        "kind": kind,
        "burst": burst,
        "amount": limit.constant.map(|amount| match amount {
            LimitAmount::Rate(rate) => rate.to_string(),
            LimitAmount::Count(count) => count.to_string(),
        }),
        "key": (!limit.key.is_empty()).then_some(limit.key.as_str()),
        "statement": limit.origin.text.as_str(),
        "file": plan.file(&limit.origin),
        "line": limit.origin.line,
    })
}

fn table(plan: &Plan, table: &Table) -> Json {
    json!({
        "name": table.name.as_str(),
        "type": table.ty.to_string(),
        "source": table.file.as_deref().map(path),
        "entries": table.file.is_none().then(|| table.inline.to_json()),
        "every_ms": table.every.map(millis),
        "on_failure": if table.clear_on_failure { "clear" } else { "keep" },
        "file": plan.file(&table.origin),
        "line": table.origin.line,
    })
}
