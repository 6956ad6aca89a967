//! Lines on their way to standard output.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

/// Bytes that may wait to be written.
const ROOM: usize = 4 * 1024 * 1024;
/// What comes within this time is written at once.
const GATHER: Duration = Duration::from_millis(5);
/// How long the end of the process waits for the last lines to be written.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// Where lines wait for the writing thread.
#[derive(Default)]
pub(super) struct Sink {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    ended: bool,
}

impl Sink {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, its end included; never waits for the reader of standard output.
    pub(super) fn add(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.bytes.len().saturating_add(line.len()) > ROOM {
            waiting.dropped = waiting.dropped.saturating_add(1);
            return;
        }
        let first = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        if first {
            self.came.notify_one();
        }
    }

    /// Writes until [`Flush`] ends it.
    fn write_to(&self, mut out: impl Write) {
        let (mut bytes, mut lost) = (Vec::new(), false);
        loop {
            let waiting = self.lock();
            let waiting = self.came.wait_while(waiting, |w| w.bytes.is_empty() && !w.ended);
            let ended = waiting.unwrap_or_else(PoisonError::into_inner).ended;
            if !ended {
                std::thread::sleep(GATHER);
            }
            let dropped = {
                let mut waiting = self.lock();
                std::mem::swap(&mut bytes, &mut waiting.bytes);
                std::mem::take(&mut waiting.dropped)
            };
            match out.write_all(&bytes).and_then(|()| out.flush()) {
                Ok(()) => lost = false,
                // Said once, where it may be read; the gateway goes on. (`eprint` would panic.)
                Err(error) if !lost => {
                    lost = true;
                    let _ =
                        writeln!(io::stderr(), "gw: log lines are lost: standard output cannot be written: {error}");
                }
                Err(_) => {}
            }
            bytes.clear();
            if dropped > 0 {
                tracing::warn!(lines = dropped, "log lines were dropped: standard output is read too slowly");
            }
            if ended && self.lock().bytes.is_empty() {
                return;
            }
        }
    }
}

/// Starts the writing thread.
pub(super) fn spawn(sink: Arc<Sink>, out: impl Write + Send + 'static) -> io::Result<Flush> {
    let (writer, (writes, ended)) = (sink.clone(), mpsc::channel());
    std::thread::Builder::new().name("gw-log".into()).spawn(move || {
        let _writes: mpsc::Sender<()> = writes;
        writer.write_to(out);
    })?;
    Ok(Flush { sink, ended })
}

/// Writes what still waits when it is dropped, if that can be done soon.
pub struct Flush {
    sink: Arc<Sink>,
    ended: mpsc::Receiver<()>,
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.sink.lock().ended = true;
        self.sink.came.notify_one();
        // Who does not read must not keep the process from ending.
        let _ = self.ended.recv_timeout(LAST_CHANCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<Vec<u8>>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_waits_is_written_at_the_end() {
        let (sink, out) = (Arc::new(Sink::default()), Out::default());
        let flush = spawn(sink.clone(), out.clone()).unwrap();
        (0..1000).for_each(|n| sink.add(format!("{n}\n").as_bytes()));
        drop(flush);
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1000);
        assert_eq!(text.lines().last(), Some("999"));
    }

    #[test]
    fn a_full_sink_counts_what_it_drops() {
        let sink = Sink::default();
        let line = vec![b'x'; ROOM / 2];
        (0..3).for_each(|_| sink.add(&line));
        let waiting = sink.lock();
        assert_eq!((waiting.bytes.len(), waiting.dropped), (ROOM, 1));
    }
}
