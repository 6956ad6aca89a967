//! Which server a request goes to. Pure: what is up, how busy servers are and the dice are given.

use super::config::{Balance, Server};
use std::cell::RefCell;

/// Chooses among the servers of one upstream; a worker has its own.
#[derive(Debug)]
pub struct Balancer {
    kind: Balance,
    servers: Vec<Candidate>,
    /// Smooth weighted round-robin: what each server has saved up.
    credit: RefCell<Vec<i64>>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    weight: u32,
    backup: bool,
    seed: u64,
}

/// The servers that a request has tried.
#[derive(Clone, Debug, Default)]
pub struct Tried(Vec<usize>);

impl Tried {
    /// Notes an attempt.
    pub fn add(&mut self, server: usize) {
        self.0.push(server);
    }

    fn has(&self, server: usize) -> bool {
        self.0.contains(&server)
    }
}

/// What a choice depends on.
pub struct Facts<'a> {
    /// Whether a server may be used at all.
    pub up: &'a dyn Fn(usize) -> bool,
    /// Requests that a server is answering now.
    pub load: &'a dyn Fn(usize) -> u32,
    /// The key of `hash`; see [`hash_key`].
    pub key: u64,
    /// Servers that are asked again only if no other is up.
    pub tried: &'a Tried,
}

impl Balancer {
    /// A balancer over `servers`, which it names by their places.
    #[must_use]
    pub fn new(kind: Balance, servers: &[Server]) -> Self {
        let candidate = |server: &Server| Candidate {
            weight: server.weight.max(1),
            backup: server.backup,
            seed: hash_key(server.identity().as_bytes()),
        };
        Self { kind, servers: servers.iter().map(candidate).collect(), credit: RefCell::new(vec![0; servers.len()]) }
    }

    /// Whether choices depend on how busy servers are.
    #[must_use]
    pub fn needs_load(&self) -> bool {
        self.servers.len() > 1 && matches!(self.kind, Balance::P2c | Balance::LeastRequests)
    }

    /// The server for a request: of those that are up, primaries before backups and, before both, what
    /// was not tried before what was. `None` if none is up.
    pub fn pick(&self, facts: &Facts<'_>, rng: &mut fastrand::Rng) -> Option<usize> {
        if let [_] = self.servers.as_slice() {
            return (facts.up)(0).then_some(0);
        }
        [(false, false), (false, true), (true, false), (true, true)].into_iter().find_map(|(tried, backup)| {
            let usable = |&(at, server): &(usize, &Candidate)| {
                server.backup == backup && facts.tried.has(at) == tried && (facts.up)(at)
            };
            let among = || self.servers.iter().enumerate().filter(usable);
            match self.kind {
                Balance::Random => draw(among(), rng),
                Balance::P2c => {
                    let first = draw(among(), rng)?;
                    let second = draw(among().filter(|&(at, _)| at != first), rng);
                    Some(second.map_or(first, |second| self.less_busy(first, second, facts)))
                }
                Balance::LeastRequests => {
                    // Ties are common at low load and must not all go to the first: begin anywhere.
                    let begin = rng.usize(..self.servers.len());
                    let (before, after) =
                        (among().filter(|&(at, _)| at < begin), among().filter(|&(at, _)| at >= begin));
                    let order = after.chain(before).map(|(at, _)| at);
                    order.reduce(|best, at| self.less_busy(best, at, facts))
                }
                Balance::RoundRobin => self.next_in_turn(among()),
                Balance::Hash => among()
                    .map(|(at, server)| (at, rendezvous(facts.key, server)))
                    .max_by(|(_, a), (_, b)| a.total_cmp(b))
                    .map(|(at, _)| at),
            }
        })
    }

    /// The one with fewer requests for its weight; `a` if equal.
    fn less_busy(&self, a: usize, b: usize, facts: &Facts<'_>) -> usize {
        let weight = |at: usize| self.servers.get(at).map_or(1, |server| u64::from(server.weight));
        let busy = |at: usize| u64::from((facts.load)(at)) + 1;
        if busy(b) * weight(a) < busy(a) * weight(b) { b } else { a }
    }

    /// Smooth weighted round-robin (nginx): all save their weight, the richest pays the total.
    fn next_in_turn<'a>(&self, among: impl Iterator<Item = (usize, &'a Candidate)>) -> Option<usize> {
        let mut credit = self.credit.borrow_mut();
        let (mut total, mut best) = (0, None);
        for (at, server) in among {
            let saved = credit.get_mut(at)?;
            *saved += i64::from(server.weight);
            total += i64::from(server.weight);
            if best.is_none_or(|(_, most)| *saved > most) {
                best = Some((at, *saved));
            }
        }
        let (at, _) = best?;
        *credit.get_mut(at)? -= total;
        Some(at)
    }
}

/// One of `among`, by weight.
fn draw<'a>(among: impl Iterator<Item = (usize, &'a Candidate)> + Clone, rng: &mut fastrand::Rng) -> Option<usize> {
    let total: u64 = among.clone().map(|(_, server)| u64::from(server.weight)).sum();
    if total == 0 {
        return None;
    }
    let mut left = rng.u64(..total);
    for (at, server) in among {
        let weight = u64::from(server.weight);
        if left < weight {
            return Some(at);
        }
        left -= weight;
    }
    None
}

/// The weighted rendezvous score: a server that goes away gives its keys to the others and moves no other.
fn rendezvous(key: u64, server: &Candidate) -> f64 {
    let hash = mix(key ^ server.seed);
    // 53 bits, in the open interval (0, 1)
    let unit = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    f64::from(server.weight) / -unit.ln()
}

/// A hash of a key that is the same in every process and version: FNV-1a, then mixed.
#[must_use]
pub fn hash_key(key: &[u8]) -> u64 {
    mix(key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// The finaliser of splitmix64.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::config::{Host, Scheme};

    fn servers(weights: &[i32]) -> Vec<Server> {
        let server = |(at, &weight): (usize, &i32)| Server {
            scheme: Scheme::Http,
            host: Host::Name(format!("s{at}")),
            port: 80,
            prefix: String::new(),
            weight: weight.unsigned_abs(),
            backup: weight < 0,
        };
        weights.iter().enumerate().map(server).collect()
    }

    /// How often each of `weights` (negative: backup) is picked in 10,000 requests.
    fn shares(kind: Balance, weights: &[i32], down: &[usize], tried: &[usize], load: &[u32]) -> Vec<u32> {
        let balancer = Balancer::new(kind, &servers(weights));
        let mut rng = fastrand::Rng::with_seed(7);
        let mut counts = vec![0; weights.len()];
        for n in 0..10_000u64 {
            let facts = Facts {
                up: &|at| !down.contains(&at),
                load: &|at| load.get(at).copied().unwrap_or(0),
                key: hash_key(&n.to_be_bytes()),
                tried: &Tried(tried.to_vec()),
            };
            if let Some(at) = balancer.pick(&facts, &mut rng) {
                counts[at] += 1;
            }
        }
        counts
    }

    const ALL: [Balance; 5] =
        [Balance::P2c, Balance::RoundRobin, Balance::Random, Balance::LeastRequests, Balance::Hash];

    #[test]
    fn weights_are_kept() {
        for kind in [Balance::Random, Balance::RoundRobin, Balance::Hash] {
            let counts = shares(kind, &[1, 2, 5], &[], &[], &[]);
            for (count, expected) in counts.iter().zip([1250, 2500, 6250]) {
                assert!(count.abs_diff(expected) < 200, "{kind:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn round_robin_is_smooth() {
        let balancer = Balancer::new(Balance::RoundRobin, &servers(&[5, 1, 1]));
        let facts = Facts { up: &|_| true, load: &|_| 0, key: 0, tried: &Tried::default() };
        let order: Vec<_> = (0..7).filter_map(|_| balancer.pick(&facts, &mut fastrand::Rng::with_seed(1))).collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn backups_wait_and_what_was_tried_is_left_alone() {
        for kind in ALL {
            let picked = |down: &[usize], tried: &[usize]| -> Vec<usize> {
                let counts = shares(kind, &[1, 1, -1], down, tried, &[]);
                (0..3).filter(|&at| counts[at] > 0).collect()
            };
            assert_eq!(picked(&[], &[]), [0, 1], "{kind:?}");
            assert_eq!(picked(&[0], &[]), [1], "{kind:?}");
            assert_eq!(picked(&[0, 1], &[]), [2], "{kind:?}");
            assert_eq!(picked(&[], &[0]), [1], "{kind:?}");
            assert_eq!(picked(&[], &[0, 1]), [2], "{kind:?}");
            assert_eq!(picked(&[2], &[0, 1]), [0, 1], "{kind:?}: tried ones again when nothing else is up");
            assert_eq!(picked(&[0, 1, 2], &[]), [] as [usize; 0], "{kind:?}");
            assert_eq!(shares(kind, &[1], &[], &[0], &[]), [10_000]);
        }
    }

    #[test]
    fn load_decides() {
        assert_eq!(shares(Balance::LeastRequests, &[1, 1, 1], &[], &[], &[3, 2, 9]), [0, 10_000, 0]);
        assert_eq!(shares(Balance::LeastRequests, &[10, 1], &[], &[], &[5, 2]), [10_000, 0]);
        assert_eq!(shares(Balance::P2c, &[1, 1], &[], &[], &[4, 3]), [0, 10_000]);
        let even = shares(Balance::LeastRequests, &[1, 1, 1, 1], &[], &[], &[]);
        assert!(even.iter().all(|count| count.abs_diff(2500) < 250), "{even:?}");
        let busy = shares(Balance::P2c, &[1, 1, 1, 1], &[], &[], &[9, 1, 1, 1]);
        assert_eq!(busy[0], 0, "the busiest of four is never the better of two");
    }

    #[test]
    fn a_server_that_goes_away_moves_only_its_own_keys() {
        for kept in [&[1, 1, 1, 1, 1][..], &[3, 1, 2, 1, 5][..]] {
            let all = Balancer::new(Balance::Hash, &servers(kept));
            let mut fewer = servers(kept);
            fewer.remove(2);
            let fewer = Balancer::new(Balance::Hash, &fewer);
            let mut rng = fastrand::Rng::with_seed(1);
            let mut moved = 0;
            for n in 0..5000u32 {
                let key = hash_key(&n.to_be_bytes());
                let facts = Facts { up: &|_| true, load: &|_| 0, key, tried: &Tried::default() };
                let (before, after) = (all.pick(&facts, &mut rng).unwrap(), fewer.pick(&facts, &mut rng).unwrap());
                match before {
                    2 => moved += 1,
                    _ => assert_eq!(after, if before > 2 { before - 1 } else { before }),
                }
            }
            assert!(moved > 500 && moved < 1500, "{moved}");
        }
    }

    #[test]
    fn the_hash_of_a_key_never_changes() {
        assert_eq!(hash_key(b""), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(hash_key(b"caller-1"), hash_key(b"caller-1"));
        assert_ne!(hash_key(b"caller-1"), hash_key(b"caller-2"));
    }
}
