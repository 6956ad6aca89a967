//! Which worker serves a connection. The kernel spreads connections over the workers' sockets by their addresses, so a
//! few that live long may all be one worker's: then it hands new ones to a colleague.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

/// How many connections more than a colleague a worker takes in any case; and a share of its own besides.
const SLACK: usize = 2;
const SHARE: usize = 16;
/// How many colleagues are looked at.
const LOOKS: usize = 8;
/// The count of a worker that takes no more connections.
const CLOSED: usize = usize::MAX / 2;

/// The connections of each worker, which all of them see.
pub struct Loads {
    workers: Box<[Load]>,
    total: AtomicUsize,
    most: usize,
}

/// Alone on its cache line.
#[derive(Default)]
#[repr(align(64))]
struct Load(AtomicUsize);

impl Loads {
    /// Of so many workers, which together take `most` connections.
    pub fn new(workers: usize, most: usize) -> Loads {
        Loads { workers: (0..workers).map(|_| Load::default()).collect(), total: AtomicUsize::new(0), most }
    }

    fn of(&self, worker: usize) -> usize {
        self.workers.get(worker).map_or(CLOSED, |load| load.0.load(Relaxed))
    }

    fn enter(&self, worker: usize) -> bool {
        let Some(load) = self.workers.get(worker) else { return false };
        let open = load.0.fetch_add(1, AcqRel) < CLOSED;
        if !open {
            load.0.fetch_sub(1, AcqRel);
        }
        open
    }

    /// A colleague with clearly less to do, if there is one.
    fn less_busy(&self, worker: usize) -> Option<usize> {
        let own = self.of(worker);
        let much = own.saturating_sub(SLACK.saturating_add(own / SHARE));
        if own < SLACK {
            return None;
        }
        let workers = self.workers.len();
        let first = fastrand::usize(..workers.max(1));
        let colleagues = (first..first.saturating_add(LOOKS.min(workers))).filter_map(|at| at.checked_rem(workers));
        colleagues.filter(|at| *at != worker).min_by_key(|at| self.of(*at)).filter(|at| self.of(*at) <= much)
    }

    /// The connections of a worker.
    #[cfg(test)]
    pub fn open(&self, worker: usize) -> usize {
        self.of(worker)
    }

    /// A worker ends: true if it has no connection, and then it gets none.
    pub fn close(&self, worker: usize) -> bool {
        self.workers.get(worker).is_none_or(|load| load.0.compare_exchange(0, CLOSED, AcqRel, Acquire).is_ok())
    }
}

/// A connection's place: it counts until this is dropped, also by a panic.
pub struct Seat {
    loads: Arc<Loads>,
    /// Who serves it.
    pub worker: usize,
    listener: Arc<AtomicUsize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The listener has its `max connections`.
    Listener,
    /// The process has as many as its open files allow.
    Process,
}

impl Seat {
    /// A place for a connection that `worker` accepted on a listener that may have `max` of them: with it, or with a
    /// colleague.
    pub fn find(loads: &Arc<Loads>, worker: usize, listener: &Arc<AtomicUsize>, max: usize) -> Result<Seat, Full> {
        if listener.fetch_add(1, Relaxed) >= max {
            listener.fetch_sub(1, Relaxed);
            return Err(Full::Listener);
        }
        if loads.total.fetch_add(1, Relaxed) >= loads.most {
            loads.total.fetch_sub(1, Relaxed);
            listener.fetch_sub(1, Relaxed);
            return Err(Full::Process);
        }
        let colleague = loads.less_busy(worker).filter(|colleague| loads.enter(*colleague));
        if colleague.is_none() {
            loads.enter(worker);
        }
        Ok(Seat { loads: loads.clone(), worker: colleague.unwrap_or(worker), listener: listener.clone() })
    }

    /// The same with another worker.
    pub fn with(mut self, worker: usize) -> Seat {
        self.loads.enter(worker);
        leave(&self.loads, self.worker);
        self.worker = worker;
        self
    }
}

fn leave(loads: &Loads, worker: usize) {
    if let Some(load) = loads.workers.get(worker) {
        load.0.fetch_sub(1, AcqRel);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        leave(&self.loads, self.worker);
        self.loads.total.fetch_sub(1, Relaxed);
        self.listener.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_on_the_first(workers: usize, connections: usize) -> (Arc<Loads>, Vec<Seat>) {
        let (loads, listener) = (Arc::new(Loads::new(workers, usize::MAX)), Arc::default());
        let seats = (0..connections).map(|_| Seat::find(&loads, 0, &listener, usize::MAX).ok().unwrap());
        let seats = seats.collect();
        (loads, seats)
    }

    #[test]
    fn no_worker_has_much_more_than_another() {
        for (workers, connections, most) in [(1, 8, 8), (2, 8, 5), (2, 2, 2), (4, 100, 31), (64, 6400, 130)] {
            let (loads, seats) = all_on_the_first(workers, connections);
            let counts: Vec<_> = (0..workers).map(|worker| loads.open(worker)).collect();
            assert!(counts.iter().all(|count| *count <= most), "{counts:?}");
            assert_eq!(counts.iter().sum::<usize>(), connections);
            drop(seats);
            assert!((0..workers).all(|worker| loads.open(worker) == 0));
        }
    }

    #[test]
    fn who_has_ended_gets_nothing() {
        let (loads, seats) = all_on_the_first(2, 1);
        assert!(loads.close(1) && !loads.close(0));
        let listener = Arc::default();
        let more: Vec<_> = (0..8).map(|_| Seat::find(&loads, 0, &listener, usize::MAX).ok().unwrap()).collect();
        assert!(more.iter().all(|seat| seat.worker == 0));
        drop((seats, more));
        assert!(loads.close(0));
    }

    #[test]
    fn listeners_and_the_process_are_full_at_their_limits() {
        let (loads, one, other) = (Arc::new(Loads::new(2, 3)), Arc::default(), Arc::default());
        let find = |listener| Seat::find(&loads, 0, listener, 2);
        let seats = [find(&one), find(&one)];
        assert!(seats.iter().all(Result::is_ok));
        assert_eq!(find(&one).err(), Some(Full::Listener));
        let third = find(&other);
        assert_eq!((third.is_ok(), find(&other).err()), (true, Some(Full::Process)));
        drop(third);
        assert!(find(&other).is_ok());
    }
}
