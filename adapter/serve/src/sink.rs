//! The process's stdout and stderr.
//!
//! Whoever reads them may stop reading, and then a write never returns: that must not hold up requests. So what can't be
//! written at once waits in a bounded queue for a thread that writes it, and where that is full, lines are lost, counted,
//! and told of once the reader goes on.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

use super::log_format::Form;

/// Bytes that wait; as many again may be on their way.
const QUEUE_BYTES: usize = 8 << 20;

/// How long the end of the process waits for what is still queued.
const FLUSH_WAIT: Duration = Duration::from_secs(2);

/// What a pipe takes in one piece where it takes anything: POSIX's least `PIPE_BUF` is less, Linux's is this.
const AT_ONCE_BYTES: usize = 4096;

static STDOUT: LazyLock<Sink> = LazyLock::new(|| Sink::of(duplicate(&io::stdout()), io::stdout()));
static STDERR: LazyLock<Sink> = LazyLock::new(|| Sink::of(duplicate(&io::stderr()), io::stderr()));

/// The same file without the lock of std, in which a stuck write would hold up whoever else has something to say.
#[cfg(unix)]
fn duplicate(stream: &impl std::os::fd::AsFd) -> Option<File> {
    stream.as_fd().try_clone_to_owned().ok().map(File::from)
}

#[cfg(not(unix))]
fn duplicate<T>(_: &T) -> Option<File> {
    None
}

/// Writes a piece of at most [`AT_ONCE_BYTES`] if that takes no waiting.
#[cfg(unix)]
fn write_now(mut file: &File, bytes: &[u8]) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let is_ready = poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&at_once)).is_ok_and(|ready| ready > 0);
    if is_ready {
        // A log that nobody can read is no reason to fail requests.
        let _ = file.write_all(bytes);
    }
    is_ready
}

#[cfg(not(unix))]
fn write_now(_: &File, _: &[u8]) -> bool {
    false
}

/// Takes lines, and never waits.
#[derive(Clone)]
pub(super) struct Sink(Arc<Inner>);

struct Inner {
    /// Where what takes no waiting goes.
    file: Option<File>,
    queue: Mutex<Queue>,
    /// Something is queued.
    filled: Condvar,
    /// Everything is written.
    emptied: Condvar,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Lines that were lost since what is queued, or written, came.
    lost: u64,
    lost_ever: u64,
    is_writing: bool,
    /// Of what the sink itself has to say.
    form: Form,
}

impl Sink {
    /// The process's stdout.
    pub(super) fn stdout() -> &'static Self {
        &STDOUT
    }

    /// The process's stderr.
    pub(super) fn stderr() -> &'static Self {
        &STDERR
    }

    fn of(file: Option<File>, stream: impl Write + Send + 'static) -> Self {
        match file.as_ref().and_then(|file| file.try_clone().ok()) {
            Some(again) => Self::spawn(file, again),
            None => Self::spawn(None, stream),
        }
    }

    fn spawn(file: Option<File>, mut stream: impl Write + Send + 'static) -> Self {
        let (filled, emptied) = (Condvar::new(), Condvar::new());
        let sink = Self(Arc::new(Inner { file, queue: Mutex::default(), filled, emptied }));
        let writer = sink.clone();
        // Without threads nothing else would work either.
        let _ = std::thread::Builder::new().name(String::from("log")).spawn(move || writer.write_to(&mut stream));
        sink
    }

    /// Says in this form from now on that lines were lost.
    pub(super) fn set_form(&self, form: Form) {
        self.queue().form = form;
    }

    /// Writes or queues whole lines, or loses them.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut queue = self.queue();
        let is_idle = queue.bytes.is_empty() && queue.lost == 0 && !queue.is_writing;
        let small = is_idle && lines.len() <= AT_ONCE_BYTES;
        if small && self.0.file.as_ref().is_some_and(|file| write_now(file, lines)) {
            return;
        }
        if queue.lost > 0 || queue.bytes.len() + lines.len() > QUEUE_BYTES {
            let lost = memchr::memchr_iter(b'\n', lines).count() as u64;
            queue.lost += lost;
            queue.lost_ever += lost;
        } else {
            queue.bytes.extend_from_slice(lines);
        }
        self.0.filled.notify_one();
    }

    /// Lines that were ever lost.
    pub(super) fn lost_ever(&self) -> u64 {
        self.queue().lost_ever
    }

    /// Waits until everything is written, for a while.
    pub(super) fn flush(&self) {
        let end = Instant::now() + FLUSH_WAIT;
        let mut queue = self.queue();
        while !queue.bytes.is_empty() || queue.lost > 0 || queue.is_writing {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.emptied.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn write_to(&self, file: &mut dyn Write) {
        let mut bytes = Vec::new();
        loop {
            let (lost, form) = {
                let mut queue = self.queue();
                queue.is_writing = false;
                while queue.bytes.is_empty() && queue.lost == 0 {
                    self.0.emptied.notify_all();
                    queue = self.0.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                queue.is_writing = true;
                std::mem::swap(&mut bytes, &mut queue.bytes);
                (std::mem::take(&mut queue.lost), queue.form)
            };
            if lost > 0 {
                let told = format!("{lost} lines of the log were lost here: whoever reads it took too long");
                bytes.extend_from_slice(form.own("warn", &told).as_bytes());
            }
            // A log that nobody can read is no reason to fail requests.
            let _ = file.write_all(&bytes).and_then(|()| file.flush());
            bytes.clear();
            bytes.shrink_to(64 * 1024);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each write is a line, or several.
impl Write for &Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for &'static Sink {
    type Writer = &'static Sink;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A file that takes a write when the test says so, and shows it.
    struct Slow {
        go: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.go.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_nobody_reads_is_lost_and_counted() {
        let (told, go) = mpsc::channel();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let sink = Sink::spawn(None, Slow { go, written: written.clone() });
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        // Some are on their way, some wait, and the rest is lost: at once.
        for _ in 0..3 * QUEUE_BYTES / line.len() {
            sink.push(&line);
        }
        let lost = sink.lost_ever();
        assert!(lost >= (QUEUE_BYTES / line.len()) as u64, "{lost}");
        drop(told);
        sink.flush();
        sink.push(b"after\n");
        sink.flush();
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let kept = written.lines().filter(|line| line.starts_with('x')).count() as u64;
        assert_eq!(kept + lost, (3 * QUEUE_BYTES / line.len()) as u64);
        let told: Vec<_> = written.lines().filter(|line| !line.starts_with('x')).collect();
        assert_eq!(told.last(), Some(&"after"));
        let counted = told.iter().filter_map(|line| line.split_once("[warn] ")?.1.split_once(' '));
        assert_eq!(counted.map(|(lost, _)| lost.parse::<u64>().unwrap()).sum::<u64>(), lost);
    }
}
