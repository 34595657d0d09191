//! What a component writes to its stdout and stderr, line by line.
//!
//! Many instances write at the same time, and a component may write a line in several pieces: each line goes out
//! whole, in one write, and in the form of this host's own lines.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::log_format::{Form, LogFormat};
use super::sink::Sink;

/// The longest line that is held back for its end; of a longer one each piece is a line.
const LINE_LIMIT_BYTES: usize = 256 * 1024;

/// What one write to a log stream may carry.
const WRITE_BYTES: usize = 64 * 1024;

/// Where the lines go.
#[derive(Clone, Debug)]
pub enum Output {
    /// To the process's own stdout and stderr; lines that nobody reads in time are lost.
    Process,
    /// Into memory, both alike, for tests.
    Captured(Arc<Mutex<Vec<u8>>>),
}

/// Which of the two streams.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Output {
    /// What lines look like there.
    pub(super) fn form(&self, format: LogFormat) -> Form {
        match self {
            Self::Process => Form::of_process(format),
            Self::Captured(_) => Form::plain(format),
        }
    }

    fn write(&self, stream: Stream, bytes: &[u8]) {
        match (self, stream) {
            (Self::Captured(lines), _) => lock(lines).extend_from_slice(bytes),
            (Self::Process, Stream::Stdout) => Sink::stdout().push(bytes),
            (Self::Process, Stream::Stderr) => Sink::stderr().push(bytes),
        }
    }
}

/// One stream of one instance.
#[derive(Clone)]
pub(super) struct Lines {
    output: Output,
    form: Form,
    stream: Stream,
    /// The beginning of a line whose end has not come yet.
    partial: Arc<Mutex<Vec<u8>>>,
}

impl Lines {
    pub(super) fn new(output: Output, form: Form, stream: Stream) -> Self {
        Self { output, form, stream, partial: Arc::default() }
    }

    /// Writes what is left of a line that was never ended.
    pub(super) fn flush(&self) {
        let mut partial = lock(&self.partial);
        if !partial.is_empty() {
            self.write(&partial);
            partial.clear();
        }
    }

    /// Writes lines that are whole.
    pub(super) fn write(&self, lines: &[u8]) {
        let lines = lines.strip_suffix(b"\n").unwrap_or(lines).split(|byte| *byte == b'\n');
        let formed: String = lines.map(|line| self.form.of_component(line)).collect();
        self.output.write(self.stream, formed.as_bytes());
    }

    fn push(&self, bytes: &[u8]) {
        let mut partial = lock(&self.partial);
        partial.extend_from_slice(bytes);
        let ready = if partial.len() > LINE_LIMIT_BYTES {
            partial.len()
        } else {
            memchr::memrchr(b'\n', &partial).map_or(0, |last| last + 1)
        };
        if ready > 0 {
            self.write(&partial[..ready]);
            partial.drain(..ready);
        }
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StdoutStream for Lines {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Lines {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_format::within;
    use super::*;

    fn lines() -> (Lines, Arc<Mutex<Vec<u8>>>) {
        let captured = Arc::new(Mutex::new(Vec::new()));
        let output = Output::Captured(captured.clone());
        let form = output.form(LogFormat::Text);
        (Lines::new(output, form, Stream::Stderr), captured)
    }

    /// The lines without their times.
    fn said(captured: &Mutex<Vec<u8>>) -> Vec<String> {
        let text = String::from_utf8(lock(captured).clone()).unwrap();
        text.lines().map(|line| line.split_once("Z ").unwrap().1.into()).collect()
    }

    #[test]
    fn lines_go_out_whole() {
        let (lines, captured) = lines();
        lines.push(b"one");
        assert!(lock(&captured).is_empty());
        within(Some(5), || lines.push(b" line\n[warn] p #2: two\n[error] and a"));
        assert_eq!(said(&captured), ["[info] request 5: one line", "[warn] request 5: p #2: two"]);
        lines.flush();
        lines.flush();
        assert_eq!(said(&captured)[2..], ["[error] and a"]);
    }

    #[test]
    fn a_line_without_end_is_not_held_forever() {
        let (lines, captured) = lines();
        lines.push(&vec![b'x'; LINE_LIMIT_BYTES + 1]);
        let said = said(&captured);
        assert_eq!((said.len(), said[0].len()), (1, "[info] ".len() + LINE_LIMIT_BYTES + 1));
    }
}
