//! The bytes of bodies, as `stream<u8>`.

use std::task::Poll;

use proxy_wasm_driver::Gone;

use super::{Waitable, imports};

/// How a read or a write ended: in the low bits of its code, the number of bytes being in the others.
const STATUS: u32 = 0xf;
const DROPPED: u32 = 1;
const COUNT_SHIFT: u32 = 4;

/// The first read's room for bytes: most bodies are small, and memory costs a new instance time.
const FIRST_BYTES: usize = 4 * 1024;

/// The end of a stream that bytes come from.
pub(crate) struct BodyReader {
    stream: Waitable,
    /// The room for bytes, of which the host has got hold while a read is under way.
    buffer: Vec<u8>,
    /// How many bytes the next read has room for.
    room: usize,
    state: Reading,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Nothing was asked of it.
    Unread,
    Idle,
    UnderWay,
    Ended,
}

impl BodyReader {
    pub(super) fn new(handle: u32) -> Self {
        Self { stream: Waitable::new(handle), buffer: Vec::new(), room: FIRST_BYTES, state: Reading::Unread }
    }

    /// Whether nothing was read of it, and nothing is being read.
    pub(crate) fn is_unread(&self) -> bool {
        self.state == Reading::Unread
    }

    /// The stream, for another to read.
    pub(super) fn into_handle(self) -> u32 {
        std::mem::ManuallyDrop::new(self).stream.handle
    }

    /// The bytes that have come, `most` of them at the most, or nothing where there are no more.
    pub(crate) fn poll(&mut self, most: usize) -> Poll<Option<Vec<u8>>> {
        let code = match self.state {
            Reading::Ended => return Poll::Ready(None),
            Reading::UnderWay => self.stream.event(),
            Reading::Unread | Reading::Idle => {
                let room = self.room.min(most);
                self.buffer.reserve_exact(room);
                self.state = Reading::UnderWay;
                // SAFETY: there is room for as many bytes behind the buffer's start, and the buffer is neither moved nor
                // freed while the read is under way: only `poll` and `drop` touch it.
                let code = unsafe { imports::stream_read(self.stream.handle, self.buffer.as_mut_ptr(), room) };
                self.stream.unless_blocked(code)
            }
        };
        let Some(code) = code else { return Poll::Pending };
        let count = (code >> COUNT_SHIFT) as usize;
        self.state = if code & STATUS == DROPPED { Reading::Ended } else { Reading::Idle };
        if count == 0 && self.state == Reading::Ended {
            return Poll::Ready(None);
        }
        // SAFETY: the host has written as many bytes there, for which there was room.
        unsafe { self.buffer.set_len(count) };
        if count == self.buffer.capacity() {
            self.room = usize::MAX;
        }
        // What is small is copied, so that it takes no more memory than it needs.
        let bytes = if count < self.buffer.capacity() / 2 {
            let bytes = self.buffer.clone();
            self.buffer.clear();
            bytes
        } else {
            std::mem::take(&mut self.buffer)
        };
        Poll::Ready(Some(bytes))
    }

    /// From now on the task that runs is told of what comes.
    pub(crate) fn wait_here(&mut self) -> bool {
        let is_under_way = self.state == Reading::UnderWay;
        if is_under_way {
            self.stream.wait_here();
        }
        is_under_way
    }

    /// The task that runs is told of it no more: it ends.
    pub(crate) fn part(&mut self) {
        self.stream.part();
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        if self.state == Reading::UnderWay && self.stream.event().is_none() {
            self.stream.leave();
            imports::stream_cancel_read(self.stream.handle);
        }
        imports::stream_drop_readable(self.stream.handle);
    }
}

/// The end of a stream that bytes go into.
pub(crate) struct BodyWriter {
    stream: Waitable,
    /// The bytes that are written next, of which the host has got hold while a write is under way.
    buffer: Vec<u8>,
    written: usize,
    /// The bytes that come after them.
    queue: Vec<u8>,
    is_under_way: bool,
}

impl BodyWriter {
    /// A stream: this end, and the handle of the other one.
    pub(super) fn new() -> (Self, u32) {
        let ends = imports::stream_new();
        let stream = Waitable::new((ends >> 32) as u32);
        let writer = Self { stream, buffer: Vec::new(), written: 0, queue: Vec::new(), is_under_way: false };
        (writer, ends as u32)
    }

    /// Queues bytes.
    pub(crate) fn push(&mut self, bytes: Vec<u8>) {
        if self.queue.is_empty() {
            self.queue = bytes;
        } else {
            self.queue.extend_from_slice(&bytes);
        }
    }

    /// Whether no bytes wait to be written.
    pub(crate) fn is_idle(&self) -> bool {
        self.written == self.buffer.len() && self.queue.is_empty()
    }

    /// Writes what the peer takes now; ready when all of it is written.
    pub(crate) fn poll(&mut self) -> Poll<Result<(), Gone>> {
        loop {
            let code = if self.is_under_way {
                self.stream.event()
            } else {
                if self.written == self.buffer.len() {
                    self.buffer = std::mem::take(&mut self.queue);
                    self.written = 0;
                    if self.buffer.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                }
                let rest = &self.buffer[self.written..];
                self.is_under_way = true;
                // SAFETY: the bytes are there, and the buffer is neither moved, changed nor freed while the write is under
                // way: only `poll` and `drop` touch it.
                let code = unsafe { imports::stream_write(self.stream.handle, rest.as_ptr(), rest.len()) };
                self.stream.unless_blocked(code)
            };
            let Some(code) = code else { return Poll::Pending };
            self.is_under_way = false;
            self.written += (code >> COUNT_SHIFT) as usize;
            if code & STATUS == DROPPED {
                return Poll::Ready(Err(Gone));
            }
        }
    }

    /// From now on the task that runs is told of the room for bytes.
    pub(crate) fn wait_here(&mut self) -> bool {
        if self.is_under_way {
            self.stream.wait_here();
        }
        self.is_under_way
    }

    /// The task that runs is told of it no more: it ends.
    pub(crate) fn part(&mut self) {
        self.stream.part();
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if self.is_under_way && self.stream.event().is_none() {
            self.stream.leave();
            imports::stream_cancel_write(self.stream.handle);
        }
        imports::stream_drop_writable(self.stream.handle);
    }
}
