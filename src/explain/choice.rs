//! Which server a request goes to, as far as the program says it.

use crate::plan::{Balance, Server, Upstream};

/// Among which servers of an upstream, and how; none where there is nothing to choose from.
pub(super) fn among(upstream: &Upstream, sticky: bool) -> Option<String> {
    let is_name = |server: &Server| server.srv || server.host.parse::<std::net::IpAddr>().is_err();
    let names = upstream.servers.iter().filter(|server| is_name(server)).count();
    if upstream.servers.len() < 2 && !upstream.servers.iter().any(|server| server.srv) {
        return None;
    }
    let total: u64 = upstream.servers.iter().filter(|s| !s.backup).map(|s| u64::from(s.weight)).sum();
    let shown = |server: &Server| match server.srv {
        true => format!("those of {} (SRV)", server.authority),
        false if upstream.servers.iter().any(|other| other.weight != server.weight) => {
            format!("{} ({} of {total})", server.authority, server.weight)
        }
        false => server.authority.to_string(),
    };
    let list = |backup| {
        let servers = upstream.servers.iter().filter(|s| s.backup == backup);
        servers.map(|s| if backup { s.authority.to_string() } else { shown(s) }).collect::<Vec<_>>().join(", ")
    };
    let how = match &upstream.balance {
        Balance::P2c => "the less busy of two at random",
        Balance::RoundRobin => "the next in turn",
        Balance::Random => "one at random",
        Balance::LeastRequests => "the least busy",
        Balance::Hash(_) => "the one of its key",
    };
    let mut text = if sticky { "the one that its cookie names; else ".to_owned() } else { String::new() };
    text.push_str(&format!("{how} of {}", list(false)));
    let backups = list(true);
    if !backups.is_empty() {
        text.push_str(&format!("; {backups} when none of them can be used"));
    }
    if names > 0 {
        text.push_str("; each address of a name is a server");
    }
    Some(text)
}
