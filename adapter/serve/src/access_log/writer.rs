//! The file, which nobody waits for: a thread writes what requests leave for it, and what it cannot keep up with is given
//! up and counted.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Place;
use crate::counters::Counters;

/// How many bytes wait to be written at the most.
const WAITING_BYTES: usize = 1 << 20;

/// How long the end waits for what is still to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Writes whole lines.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do, or everything is done.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// The thread writes what it took.
    is_writing: bool,
    reopen: bool,
    is_over: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Opens the file.
    pub(super) fn open(place: &Place, counters: &Arc<Counters>) -> std::io::Result<Self> {
        let mut sink = Sink::open(place)?;
        let shared = Arc::<Shared>::default();
        let (ours, place) = (shared.clone(), place.clone());
        let thread = std::thread::Builder::new().name("access log".into()).spawn(move || {
            let mut bytes = Vec::new();
            while let Some(reopen) = next(&ours, &mut bytes) {
                if reopen {
                    match Sink::open(&place) {
                        Ok(opened) => sink = opened,
                        Err(error) => {
                            tracing::error!(%error, "cannot reopen the access log: it goes on in the old file")
                        }
                    }
                }
                sink.write(&bytes);
            }
        })?;
        Ok(Self { shared, thread: Some(thread), counters: counters.clone() })
    }

    /// Leaves a line to be written, or gives it up.
    pub(super) fn write(&self, line: &[u8]) {
        let mut state = self.shared.state();
        if state.waiting.len() + line.len() > WAITING_BYTES {
            drop(state);
            self.counters.dropped_access_lines.add();
            return;
        }
        state.waiting.extend_from_slice(line);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Lines go to a new file under the same name from now on.
    pub(super) fn reopen(&self) {
        self.shared.state().reopen = true;
        self.shared.changed.notify_all();
    }
}

/// Waits for work, and takes it: the bytes, and whether the file is another from now on.
fn next(shared: &Shared, bytes: &mut Vec<u8>) -> Option<bool> {
    bytes.clear();
    let mut state = shared.state();
    state.is_writing = false;
    shared.changed.notify_all();
    while state.waiting.is_empty() && !state.reopen {
        if state.is_over {
            return None;
        }
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    std::mem::swap(bytes, &mut state.waiting);
    state.is_writing = true;
    Some(std::mem::take(&mut state.reopen))
}

impl Drop for Writer {
    fn drop(&mut self) {
        let end = Instant::now() + LAST_WORDS;
        let mut state = self.shared.state();
        state.is_over = true;
        self.shared.changed.notify_all();
        while !state.waiting.is_empty() || state.is_writing {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // The thread hangs in a write, and ends with the process.
                return;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and there is nothing to do if it did.
            let _ = thread.join();
        }
    }
}

/// Where the bytes end up.
enum Sink {
    Stdout,
    File(File),
}

impl Sink {
    fn open(place: &Place) -> std::io::Result<Self> {
        match place {
            Place::Stdout => Ok(Self::Stdout),
            Place::File(path) => append(path).map(Self::File),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let written = match self {
            Self::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }
            Self::File(file) => file.write_all(bytes),
        };
        if let Err(error) = written {
            tracing::debug!(%error, "cannot write the access log");
        }
    }
}

fn append(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clusters::Clusters;

    #[test]
    fn lines_are_written_and_the_file_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("log"), directory.path().join("old"));
        let counters = Arc::new(Counters::new(Clusters::none(), []));
        let writer = Writer::open(&Place::File(path.clone()), &counters).unwrap();
        writer.write(b"one\n");
        while std::fs::read(&path).unwrap() != b"one\n" {
            std::thread::yield_now();
        }
        std::fs::rename(&path, &moved).unwrap();
        writer.reopen();
        while !path.exists() {
            std::thread::yield_now();
        }
        writer.write(b"two\n");
        drop(writer);
        assert_eq!((std::fs::read(&moved).unwrap(), std::fs::read(&path).unwrap()), (b"one\n".into(), b"two\n".into()));
    }

    #[test]
    fn what_does_not_fit_is_given_up_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let counters = Arc::new(Counters::new(Clusters::none(), []));
        let writer = Writer::open(&Place::File(directory.path().join("log")), &counters).unwrap();
        writer.write(&vec![b'x'; WAITING_BYTES + 1]);
        assert_eq!(counters.dropped_access_lines.get(), 1);
    }
}
