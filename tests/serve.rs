//! `gw serve` as a process: the real binary on free ports, real servers behind it.

#[path = "serve/support.rs"]
mod support;

#[path = "serve/answers.rs"]
mod answers;
#[path = "serve/backend.rs"]
mod backend;
#[path = "serve/certificates.rs"]
mod certificates;
#[path = "serve/faults.rs"]
mod faults;
#[path = "serve/grpc.rs"]
mod grpc;
#[path = "serve/http2.rs"]
mod http2;
#[path = "serve/http2_attacks.rs"]
mod http2_attacks;
#[path = "serve/http2_websocket.rs"]
mod http2_websocket;
#[path = "serve/life.rs"]
mod life;
#[path = "serve/oauth.rs"]
mod oauth;
#[path = "serve/paths.rs"]
mod paths;
#[path = "serve/policies.rs"]
mod policies;
#[path = "serve/proxy.rs"]
mod proxy;
#[path = "serve/reload.rs"]
mod reload;
#[path = "serve/slow.rs"]
mod slow;
#[path = "serve/tls.rs"]
mod tls;
#[path = "serve/torture.rs"]
mod torture;
#[path = "serve/upstream_h2.rs"]
mod upstream_h2;
#[path = "serve/upstreams.rs"]
mod upstreams;
#[path = "serve/websocket.rs"]
mod websocket;
