//! Which endpoint a request goes to. Pure: what is up, how busy endpoints are and the dice are given.

use super::config::Balance;
use super::endpoint::{Member, State};
use std::cell::RefCell;

/// Chooses among the endpoints of one upstream; a worker has its own.
#[derive(Debug)]
pub struct Balancer {
    kind: Balance,
    candidates: Vec<Candidate>,
    /// Who is asked first: each tier that there is, once, in order.
    tiers: Vec<u32>,
    /// Smooth weighted round-robin: what each endpoint has saved up.
    credit: RefCell<Vec<i64>>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    weight: u32,
    tier: u32,
    id: u64,
}

/// The endpoints that a request has tried, by their ids.
#[derive(Clone, Debug, Default)]
pub struct Tried(Vec<u64>);

impl Tried {
    /// Notes an attempt.
    pub fn add(&mut self, id: u64) {
        self.0.push(id);
    }

    /// Whether it was tried.
    #[must_use]
    pub fn has(&self, id: u64) -> bool {
        self.0.contains(&id)
    }
}

/// What a choice depends on.
pub struct Facts<'a> {
    /// Whether an endpoint may be used.
    pub state: &'a dyn Fn(usize) -> State,
    /// Requests that an endpoint is answering now.
    pub load: &'a dyn Fn(usize) -> u32,
    /// The key of `hash`; see [`hash_key`].
    pub key: u64,
    /// Endpoints that are asked again only if no other is up.
    pub tried: &'a Tried,
}

impl Balancer {
    /// A balancer over `members`, which it names by their places.
    #[must_use]
    pub fn new(kind: Balance, members: &[Member]) -> Self {
        let candidate =
            |member: &Member| Candidate { weight: member.weight.max(1), tier: member.tier, id: member.endpoint.id };
        let mut tiers: Vec<u32> = members.iter().map(|member| member.tier).collect();
        tiers.sort_unstable();
        tiers.dedup();
        let candidates = members.iter().map(candidate).collect();
        Self { kind, candidates, tiers, credit: RefCell::new(vec![0; members.len()]) }
    }

    /// Whether choices depend on how busy endpoints are.
    #[must_use]
    pub fn needs_load(&self) -> bool {
        self.candidates.len() > 1 && matches!(self.kind, Balance::P2c | Balance::LeastRequests)
    }

    /// The endpoint for a request, `None` if none is up. What was not tried goes before what was, then what is well before
    /// what is suspect, then the first tier before the next.
    pub fn pick(&self, facts: &Facts<'_>, rng: &mut fastrand::Rng) -> Option<usize> {
        if let [_] = self.candidates.as_slice() {
            return ((facts.state)(0) != State::Down).then_some(0);
        }
        let orders = [(false, State::Up), (false, State::Suspect), (true, State::Up), (true, State::Suspect)];
        let groups = orders.into_iter().flat_map(|order| self.tiers.iter().map(move |tier| (order, *tier)));
        groups.into_iter().find_map(|((tried, state), tier)| {
            let usable = |&(at, candidate): &(usize, &Candidate)| {
                candidate.tier == tier && facts.tried.has(candidate.id) == tried && (facts.state)(at) == state
            };
            let among = || self.candidates.iter().enumerate().filter(usable);
            match self.kind {
                Balance::Random => draw(among(), rng),
                Balance::P2c => {
                    let first = draw(among(), rng)?;
                    let second = draw(among().filter(|&(at, _)| at != first), rng);
                    Some(second.map_or(first, |second| self.less_busy(first, second, facts)))
                }
                Balance::LeastRequests => {
                    let least = among().map(|(at, _)| at).reduce(|best, at| self.less_busy(best, at, facts))?;
                    // Ties are common at low load.
                    draw(among().filter(|&(at, _)| self.less_busy(at, least, facts) == at), rng)
                }
                Balance::RoundRobin => self.next_in_turn(among()),
                Balance::Hash => among()
                    .map(|(at, candidate)| (at, rendezvous(facts.key, candidate)))
                    .max_by(|(_, a), (_, b)| a.total_cmp(b))
                    .map(|(at, _)| at),
            }
        })
    }

    /// The one with fewer requests for its weight; `a` if equal, as where nothing is under way: there the dice decide, by weight.
    fn less_busy(&self, a: usize, b: usize, facts: &Facts<'_>) -> usize {
        let weight = |at: usize| self.candidates.get(at).map_or(1, |candidate| u64::from(candidate.weight));
        let busy = |at: usize| u64::from((facts.load)(at));
        if busy(b) * weight(a) < busy(a) * weight(b) { b } else { a }
    }

    /// Smooth weighted round-robin (nginx): all save their weight, the richest pays the total.
    fn next_in_turn<'a>(&self, among: impl Iterator<Item = (usize, &'a Candidate)>) -> Option<usize> {
        let mut credit = self.credit.borrow_mut();
        let (mut total, mut best) = (0, None);
        for (at, candidate) in among {
            let saved = credit.get_mut(at)?;
            *saved += i64::from(candidate.weight);
            total += i64::from(candidate.weight);
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
    let total: u64 = among.clone().map(|(_, candidate)| u64::from(candidate.weight)).sum();
    if total == 0 {
        return None;
    }
    let mut left = rng.u64(..total);
    for (at, candidate) in among {
        let weight = u64::from(candidate.weight);
        if left < weight {
            return Some(at);
        }
        left -= weight;
    }
    None
}

/// The weighted rendezvous score: an endpoint that goes away gives its keys to the others and moves no other.
fn rendezvous(key: u64, candidate: &Candidate) -> f64 {
    let hash = mix(key ^ candidate.id);
    // 53 bits, in the open interval (0, 1)
    let unit = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    f64::from(candidate.weight) / -unit.ln()
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
    use crate::upstream::config::{Host, Scheme, Server};
    use crate::upstream::endpoint::Endpoint;
    use std::net::SocketAddr;

    /// Endpoints of these weights; negative: backup.
    fn members(weights: &[i32]) -> Vec<Member> {
        weights.iter().enumerate().map(|(at, weight)| member(&format!("10.0.0.{at}"), *weight)).collect()
    }

    fn member(ip: &str, weight: i32) -> Member {
        let server = Server {
            scheme: Scheme::Http,
            host: Host::Name("s.internal".into()),
            port: 80,
            prefix: String::new(),
            weight: 1,
            backup: false,
        };
        let endpoint = Endpoint::new(server, SocketAddr::new(ip.parse().unwrap(), 80)).unwrap().into();
        let tier = if weight < 0 { Member::BACKUP } else { 0 };
        Member { endpoint, server: 0, weight: weight.unsigned_abs(), tier }
    }

    fn id(at: usize) -> u64 {
        members(&vec![1; at + 1])[at].endpoint.id
    }

    /// How often each of `weights` (negative: backup) is picked in 10,000 requests.
    fn shares(kind: Balance, weights: &[i32], down: &[usize], tried: &[usize], load: &[u32]) -> Vec<u32> {
        let balancer = Balancer::new(kind, &members(weights));
        let mut rng = fastrand::Rng::with_seed(7);
        let mut counts = vec![0; weights.len()];
        for n in 0..10_000u64 {
            let facts = Facts {
                state: &|at| if down.contains(&at) { State::Down } else { State::Up },
                load: &|at| load.get(at).copied().unwrap_or(0),
                key: hash_key(&n.to_be_bytes()),
                tried: &Tried(tried.iter().map(|at| id(*at)).collect()),
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
        for kind in ALL {
            let counts = shares(kind, &[1, 2, 5], &[], &[], &[]);
            for (count, expected) in counts.iter().zip([1250, 2500, 6250]) {
                assert!(count.abs_diff(expected) < 200, "{kind:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn round_robin_is_smooth() {
        let balancer = Balancer::new(Balance::RoundRobin, &members(&[5, 1, 1]));
        let facts = Facts { state: &|_| State::Up, load: &|_| 0, key: 0, tried: &Tried::default() };
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
    fn who_is_under_suspicion_is_asked_last() {
        for kind in ALL {
            let balancer = Balancer::new(kind, &members(&[1, 1, -1]));
            let picked = |suspect: &[usize], tried: &[usize]| -> Option<usize> {
                let state = |at| if suspect.contains(&at) { State::Suspect } else { State::Up };
                let tried = Tried(tried.iter().map(|at| id(*at)).collect());
                let facts = Facts { state: &state, load: &|_| 0, key: 1, tried: &tried };
                balancer.pick(&facts, &mut fastrand::Rng::with_seed(1))
            };
            assert_eq!(picked(&[0], &[]), Some(1), "{kind:?}");
            assert_eq!(picked(&[0, 1], &[]), Some(2), "{kind:?}: a backup first");
            assert_eq!(picked(&[0], &[1, 2]), Some(0), "{kind:?}: rather than what was tried");
            assert!(picked(&[0, 1, 2], &[]).is_some_and(|at| at < 2), "{kind:?}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        /// Endpoints of one name, as DNS has them: whichever goes, and in whatever order the others come.
        #[test]
        fn an_endpoint_that_goes_moves_only_its_own_keys(
            weights in proptest::collection::vec(1i32..6, 2..12),
            goes in 0usize..12,
            turned in 0usize..12,
        ) {
            let before = members(&weights);
            let goes = goes % before.len();
            let mut after = before.clone();
            let gone = after.remove(goes).endpoint.id;
            let turn = turned % after.len();
            after.rotate_left(turn);
            let balancers = (Balancer::new(Balance::Hash, &before), Balancer::new(Balance::Hash, &after));
            let mut rng = fastrand::Rng::with_seed(1);
            let (total, mut moved) = (2000u32, 0u32);
            for n in 0..total {
                let key = hash_key(&n.to_be_bytes());
                let facts = Facts { state: &|_| State::Up, load: &|_| 0, key, tried: &Tried::default() };
                let old = before[balancers.0.pick(&facts, &mut rng).unwrap()].endpoint.id;
                let new = after[balancers.1.pick(&facts, &mut rng).unwrap()].endpoint.id;
                match old == gone {
                    true => moved += 1,
                    false => proptest::prop_assert_eq!(old, new),
                }
            }
            let share = f64::from(weights[goes]) / f64::from(weights.iter().sum::<i32>());
            proptest::prop_assert!((f64::from(moved) / f64::from(total) - share).abs() < 0.06);
        }

        /// Whatever is up and untried is chosen before all else, by every kind.
        #[test]
        fn never_what_was_tried_while_another_is_up(
            states in proptest::collection::vec((0u8..3, proptest::bool::ANY, 1i32..4, proptest::bool::ANY), 1..8),
            key in proptest::num::u64::ANY,
        ) {
            let weights: Vec<i32> = states.iter().map(|(_, backup, weight, _)| if *backup { -weight } else { *weight }).collect();
            let state = |at: usize| match states[at].0 {
                0 => State::Up,
                1 => State::Suspect,
                _ => State::Down,
            };
            let tried = Tried((0..states.len()).filter(|at| states[*at].3).map(id).collect());
            for kind in ALL {
                let facts = Facts { state: &state, load: &|_| 0, key, tried: &tried };
                let picked = Balancer::new(kind, &members(&weights)).pick(&facts, &mut fastrand::Rng::with_seed(key));
                let usable = |at: &usize| state(*at) != State::Down;
                let rank = |at: usize| (states[at].3, state(at) == State::Suspect, states[at].1);
                let single = states.len() == 1;
                match picked {
                    None => proptest::prop_assert!(!(0..states.len()).any(|at| usable(&at))),
                    Some(at) => {
                        proptest::prop_assert!(usable(&at));
                        let best = (0..states.len()).filter(usable).map(rank).min().unwrap();
                        proptest::prop_assert!(single || rank(at) == best);
                    }
                }
            }
        }
    }

    #[test]
    fn the_hash_of_a_key_never_changes() {
        assert_eq!(hash_key(b""), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(hash_key(b"caller-1"), hash_key(b"caller-1"));
        assert_ne!(hash_key(b"caller-1"), hash_key(b"caller-2"));
    }
}
