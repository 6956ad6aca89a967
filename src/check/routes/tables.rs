//! The routes of a listener, by host.

use super::RouteKey;
use super::hosts::Hosts;
use super::trie::Trie;

/// A trie for each host pattern, and one of the routes without a host, which come after.
#[derive(Debug)]
pub struct Tables {
    /// By host pattern.
    pub hosts: Hosts<Trie>,
    /// Without a host.
    pub any_host: Trie,
}

impl Tables {
    /// From routes with the numbers they shall have.
    pub fn new<'k>(keys: impl IntoIterator<Item = (u32, &'k RouteKey)>) -> Tables {
        let mut hosts: Hosts<Vec<(u32, &RouteKey)>> = Hosts::default();
        let mut any_host = Vec::new();
        for entry @ (number, key) in keys {
            for host in &key.hosts {
                let list = hosts.entry(host);
                // A route may name hosts that differ in the names of their parameters alone.
                if list.last().is_none_or(|(last, _)| *last != number) {
                    list.push(entry);
                }
            }
            if key.hosts.is_empty() {
                any_host.push(entry);
            }
        }
        Tables { hosts: hosts.map(Trie::new), any_host: Trie::new(any_host) }
    }
}
