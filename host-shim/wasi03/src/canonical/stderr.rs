//! The log's stream.

use super::{BodyWriter, imports};

/// Where lines go. What the host does not take at once waits, and goes out with what comes later.
pub(crate) struct Stderr(BodyWriter);

impl Stderr {
    pub(crate) fn new() -> Self {
        let (writer, stream) = BodyWriter::new();
        imports::stderr_drop_outcome(imports::stderr_write_via_stream(stream));
        Self(writer)
    }

    /// Writes bytes.
    pub(crate) fn write(&mut self, bytes: Vec<u8>) {
        self.0.push(bytes);
        // A log that can't be written is no reason to fail an exchange.
        let _ = self.0.poll();
    }

    /// Writes what waits, in the task that runs.
    pub(crate) fn flush(&mut self) {
        if self.0.poll().is_pending() {
            self.0.wait_here();
        }
    }

    /// The task that runs is told of it no more: it ends.
    pub(crate) fn part(&mut self) {
        self.0.part();
    }
}
