//! Health checks: each endpoint is asked by one task of the process, over the upstream's own protocol and TLS.

use super::endpoint::Endpoint;
use super::shared::Shared;
use super::timer::Timer;
use super::{Answer, ErrorKind, Picked, Request, Timeouts, Upstream, pool_of};
use crate::model::ast::StatusMatch;
use crate::plan::Health;
use bytes::Bytes;
use http_body::Body;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// What is read of an answer's body.
const BODY: usize = 64 * 1024;

/// Asks the endpoints of an upstream for ever, those that come included.
pub(super) async fn watch(shared: Arc<Shared>, timer: Timer) {
    let Some(health) = shared.config.health.clone().map(Rc::new) else { return };
    let upstream = Rc::new(Upstream::new(shared.clone(), &timer));
    let mut changes = shared.watch();
    let mut probers: Vec<Prober> = Vec::new();
    loop {
        let set = changes.borrow_and_update().clone();
        let endpoints = || set.members.iter().map(|member| &member.endpoint);
        probers.retain(|prober| endpoints().any(|endpoint| Arc::ptr_eq(endpoint, &prober.endpoint)));
        for endpoint in endpoints() {
            if !probers.iter().any(|prober| Arc::ptr_eq(&prober.endpoint, endpoint)) {
                let probing = probe(upstream.clone(), endpoint.clone(), health.clone(), timer.clone());
                probers.push(Prober { endpoint: endpoint.clone(), task: tokio::task::spawn_local(probing) });
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Ends with this.
struct Prober {
    endpoint: Arc<Endpoint>,
    task: JoinHandle<()>,
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn probe(upstream: Rc<Upstream>, endpoint: Arc<Endpoint>, health: Rc<Health>, timer: Timer) {
    let name = upstream.shared().config.name.clone();
    let (server, address) = (endpoint.target.authority.as_str(), endpoint.address);
    let mut streak = 0u32;
    // Not all at one moment.
    tokio::time::sleep(health.every.min(Duration::from_millis(200)).mul_f64(fastrand::f64())).await;
    loop {
        let pause = health.every.mul_f64(0.9 + fastrand::f64() / 5.0);
        let Some(outcome) = ask(&upstream, &endpoint, &health, &timer).await else {
            tokio::time::sleep(pause).await;
            continue;
        };
        let healthy = endpoint.is_healthy();
        // The first answer decides alone.
        let needed = match (endpoint.was_probed(), healthy) {
            (false, _) => 1,
            (true, true) => health.unhealthy,
            (true, false) => health.healthy,
        };
        streak = if outcome.is_ok() == healthy { 0 } else { streak.saturating_add(1) };
        if streak >= needed {
            streak = 0;
            endpoint.set_healthy(!healthy);
            match outcome {
                Ok(()) => tracing::info!(upstream = name, server, %address, "a server is healthy again"),
                Err(why) => {
                    tracing::warn!(upstream = name, server, %address, "a server is unhealthy: {why}");
                    upstream.shared().readmit();
                }
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Asks once, on a connection of its own: whether a server takes connections is part of the question. None where this process
/// can make none.
async fn ask(
    upstream: &Upstream,
    endpoint: &Arc<Endpoint>,
    health: &Health,
    timer: &Timer,
) -> Option<Result<(), String>> {
    let shared = upstream.shared();
    let asked = match health.port {
        None => endpoint.clone(),
        Some(port) => {
            let address = SocketAddr::new(endpoint.address.ip(), port);
            match Endpoint::new(endpoint.server.clone(), address) {
                Ok(other) => Arc::new(other),
                Err(error) => return Some(Err(error.to_string())),
            }
        }
    };
    let picked = Picked::new(pool_of(shared, asked.clone(), timer, &upstream.burst));
    let (connect, response, idle) = (health.timeout, health.timeout, health.timeout);
    let mut request = Request { timeouts: Timeouts { connect, response, idle }, ..Request::new(&health.method) };
    let host = health.host.as_deref().unwrap_or(&asked.target.authority);
    let (prefix, path) = (&asked.target.prefix, &health.path);
    let head = |out: &mut Vec<u8>| {
        let line = format!("{} {prefix}{path} HTTP/1.1\r\nhost: {host}\r\n", health.method);
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"user-agent: gw health check\r\naccept: */*\r\n");
    };
    let answer = async {
        let response = match upstream.exchange(&picked, &mut request, head, &mut None::<String>).await {
            Ok(Answer::Response(response)) => response,
            Ok(Answer::Upgrade(_)) => return Err(Some("it answered with 101".to_owned())),
            Err(error) if error.kind == ErrorKind::Overloaded => return Err(None),
            Err(error) => return Err(Some(error.to_string())),
        };
        let status = response.status().as_u16();
        let fits = |expected: &StatusMatch| match expected {
            StatusMatch::Status(one) => *one == status,
            StatusMatch::Class(hundred) => u16::from(*hundred) == status / 100,
        };
        if !health.expect.iter().any(fits) {
            return Err(Some(format!("it answered with {status}")));
        }
        let mut body = pin!(response.into_body());
        let mut read = 0;
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let frame = frame.map_err(|error| Some(error.to_string()))?;
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > BODY {
                break;
            }
        }
        Ok(())
    };
    match tokio::time::timeout(health.timeout, answer).await {
        Ok(Ok(())) => Some(Ok(())),
        Ok(Err(why)) => why.map(Err),
        Err(_) => Some(Err(format!("no answer within {}", crate::model::value::duration_text(health.timeout)))),
    }
}
