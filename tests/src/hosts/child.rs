//! A child process, its output kept line by line.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long anything that a test waits for may take. Nothing takes it that long unless it never comes.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends when this is dropped.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    /// It leads a process group, which ends with it.
    group: bool,
    readers: Vec<thread::JoinHandle<()>>,
    /// What it wrote to stdout and stderr.
    pub lines: Lines,
}

impl Child {
    /// Starts it; both outputs are read from now on, so it never blocks on them.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("starts {command:?}"))?;
        let lines = Lines::default();
        let readers = vec![
            lines.follow(process.stdout.take().context("stdout is piped")?),
            lines.follow(process.stderr.take().context("stderr is piped")?),
        ];
        Ok(Self { process, group: false, readers, lines })
    }

    /// Starts a process that leads its own process group and starts others.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start_group(command: &mut Command) -> Result<Self> {
        let mut child = Self::start(command)?;
        child.group = true;
        Ok(child)
    }

    /// What `find` makes of the first line that it takes.
    ///
    /// # Errors
    /// The process ended, or [`PATIENCE`] did; with all it wrote.
    pub fn wait_for<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut from = 0;
        loop {
            let ended = self.process.try_wait()?;
            if let Some(found) = self.lines.next(&mut from, Duration::from_millis(100), &find) {
                return Ok(found);
            }
            if let Some(status) = ended {
                bail!("the host ended with {status} before {what}; it wrote:\n{}", self.lines);
            }
            if Instant::now() > deadline {
                bail!("no {what}; the host wrote:\n{}", self.lines);
            }
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It does not within [`PATIENCE`].
    pub fn wait(&mut self) -> Result<std::process::ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the host still runs; it wrote:\n{}", self.lines);
            }
            // Its pipes close when it ends, which wakes this.
            self.lines.next(&mut usize::MAX.clone(), Duration::from_millis(50), &|_| None::<()>);
        }
    }

    /// All that it writes until it ends by itself. It must not leave its output to another process.
    ///
    /// # Errors
    /// It does not end within [`PATIENCE`], or not well; with what it wrote.
    pub fn output(mut self) -> Result<String> {
        let status = self.wait()?;
        for reader in self.readers.drain(..) {
            // What a reader has it has kept, even where it ended badly.
            let _ = reader.join();
        }
        ensure!(status.success(), "it ended with {status}; it wrote:\n{}", self.lines);
        Ok(self.lines.since(0).iter().fold(String::new(), |text, line| text + line + "\n"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.group {
            let group = format!("-{}", self.process.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        }
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The lines that a process wrote so far.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Lines {
    fn follow(&self, output: impl Read + Send + 'static) -> thread::JoinHandle<()> {
        let lines = self.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            // A read error is the end of the process.
            while reader.read_until(b'\n', &mut line).is_ok_and(|size| size > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_string();
                line.clear();
                lines.lock().push(text);
                lines.0.1.notify_all();
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts lines before all that the process wrote, as if it had.
    pub(super) fn put_first(&self, first: Vec<String>) {
        self.lock().splice(0..0, first);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Those after the first `from`.
    pub fn since(&self, from: usize) -> Vec<String> {
        self.lock().get(from..).unwrap_or_default().to_vec()
    }

    /// Whether a line after the first `from` is it, within this time.
    pub fn wait(&self, mut from: usize, time: Duration, is_it: impl Fn(&str) -> bool) -> bool {
        self.next(&mut from, time, &|line| is_it(line).then_some(())).is_some()
    }

    /// What `find` makes of the first line from `from` on that it takes, within this time; `from` moves past what was
    /// looked at.
    pub fn next<T>(&self, from: &mut usize, time: Duration, find: &impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + time;
        let mut lines = self.lock();
        loop {
            while let Some(line) = lines.get(*from) {
                *from += 1;
                if let Some(found) = find(line) {
                    return Some(found);
                }
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            lines = self.0.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl std::fmt::Display for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.lock();
        // The end tells what happened.
        for line in &lines[lines.len().saturating_sub(200)..] {
            f.write_str("  | ")?;
            f.write_str(line)?;
            f.write_char('\n')?;
        }
        Ok(())
    }
}
