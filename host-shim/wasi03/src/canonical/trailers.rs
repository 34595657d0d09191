//! What follows the bytes of a body, as `future<result<option<trailers>, error-code>>`.

use std::{cell::RefCell, task::Poll};

use super::{
    Waitable,
    imports::{self, Value},
    message,
};
use crate::bindings::{
    wasi::http::types::{ErrorCode, Trailers},
    wit_future::FuturePayload,
};

/// The case of `connection-terminated` in `error-code`.
pub(super) const TERMINATED: u32 = 7;

/// The trailers, or why there are none.
pub(crate) type Outcome = Result<Option<Trailers>, ErrorCode>;

/// Reads the value of such a future, or that of a result with another first case if it is not that one.
///
/// # Safety
/// The host wrote it, and nobody has read it before: it owns what it holds.
pub(super) unsafe fn lift(value: &mut Value) -> Outcome {
    // SAFETY: the memory is as large as the type says, and aligned.
    unsafe { (<Outcome as FuturePayload>::VTABLE.lift)(value.as_mut_ptr().cast()) }
}

/// The end of the future that trailers come from.
pub(crate) struct TrailersReader {
    future: Waitable,
    state: Reading,
}

/// What became of a message with a body that goes on unread: it is told when all of it was taken, or is not wanted.
pub(crate) struct Sent {
    future: Waitable,
    state: Reading,
    /// Whoever sent the body is told then, too.
    _source: Option<message::Receipt>,
}

enum Reading {
    Idle,
    /// The host has got hold of this memory.
    UnderWay(Box<Value>),
    Over,
}

impl TrailersReader {
    pub(super) fn new(handle: u32) -> Self {
        Self { future: Waitable::new(handle), state: Reading::Idle }
    }

    /// The future, for another to read: nobody has asked it yet.
    pub(super) fn into_handle(self) -> u32 {
        std::mem::ManuallyDrop::new(self).future.handle
    }

    /// Asks for them, or for what became of that. They come once.
    pub(crate) fn poll(&mut self) -> Poll<Outcome> {
        // SAFETY: `poll` keeps the memory where it is while the read is under way.
        self.state.poll(&mut self.future, |future, value| unsafe { imports::trailers_read(future, value) })
    }

    /// From now on the task that runs is told of what comes.
    pub(crate) fn wait_here(&mut self) -> bool {
        self.state.wait_here(&mut self.future)
    }

    /// The task that runs is told of it no more: it ends.
    pub(crate) fn part(&mut self) {
        self.future.part();
    }
}

impl Drop for TrailersReader {
    fn drop(&mut self) {
        self.state.give_up(&mut self.future, imports::trailers_cancel_read);
        imports::trailers_drop_readable(self.future.handle);
    }
}

impl Sent {
    pub(super) fn new(handle: u32, source: Option<message::Receipt>) -> Self {
        Self { future: Waitable::new(handle), state: Reading::Idle, _source: source }
    }

    /// Whether it was sent. It is told once.
    pub(crate) fn poll(&mut self) -> Poll<bool> {
        // SAFETY: as above.
        let read = |future, value| unsafe { imports::outcome_read(future, value) };
        // Its first case is empty, and looks like no trailers.
        self.state.poll(&mut self.future, read).map(|outcome| outcome.is_ok())
    }

    /// From now on the task that runs is told of it.
    pub(crate) fn wait_here(&mut self) -> bool {
        self.state.wait_here(&mut self.future)
    }

    /// The task that runs is told of it no more: it ends.
    pub(crate) fn part(&mut self) {
        self.future.part();
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.state.give_up(&mut self.future, imports::outcome_cancel_read);
        imports::outcome_drop_readable(self.future.handle);
    }
}

impl Reading {
    fn poll(&mut self, future: &mut Waitable, read: impl FnOnce(u32, *mut Value) -> u32) -> Poll<Outcome> {
        let code = match self {
            Self::Over => return Poll::Pending,
            Self::UnderWay(_) => future.event(),
            Self::Idle => {
                let mut value = Box::new(Value::default());
                // The memory is large enough for the value, and stays where it is while the read is under way.
                let code = read(future.handle, &raw mut *value);
                *self = Self::UnderWay(value);
                future.unless_blocked(code)
            }
        };
        let Some(code) = code else { return Poll::Pending };
        match std::mem::replace(self, Self::Over) {
            // SAFETY: the read is over and was not cancelled, so the value is there.
            Self::UnderWay(mut value) if code == 0 => Poll::Ready(unsafe { lift(&mut value) }),
            _ => Poll::Ready(Err(ErrorCode::ConnectionTerminated)),
        }
    }

    fn wait_here(&self, future: &mut Waitable) -> bool {
        let is_under_way = matches!(self, Self::UnderWay(_));
        if is_under_way {
            future.wait_here();
        }
        is_under_way
    }

    fn give_up(&mut self, future: &mut Waitable, cancel: extern "C" fn(u32) -> u32) {
        let Self::UnderWay(value) = self else { return };
        let code = future.event().unwrap_or_else(|| {
            future.leave();
            cancel(future.handle)
        });
        if code == 0 {
            // SAFETY: the read was over before it could be cancelled.
            drop(unsafe { lift(value) });
        }
    }
}

/// The end of the future that trailers go into. It has to be written, and not only dropped.
pub(crate) struct TrailersWriter {
    future: Waitable,
    state: Writing,
}

enum Writing {
    Idle,
    /// The host has got hold of this memory.
    UnderWay(Box<Value>),
    Over,
}

impl TrailersWriter {
    /// A future: this end, and the handle of the other one.
    pub(super) fn new() -> (Self, u32) {
        let ends = imports::trailers_new();
        (Self { future: Waitable::new((ends >> 32) as u32), state: Writing::Idle }, ends as u32)
    }

    /// Writes the trailers, or that the body breaks off. Once.
    pub(crate) fn write(&mut self, outcome: Result<Option<Trailers>, ()>) {
        if !matches!(self.state, Writing::Idle) {
            return;
        }
        // The first byte says which case it is, the one at 8 begins what is in it: that of an option, whose handle is at 12,
        // or of an error.
        let value = match outcome {
            Ok(None) => Value::default(),
            Ok(Some(trailers)) => value(0, 1, trailers.take_handle()),
            Err(()) => value(1, TERMINATED, 0),
        };
        let value = Box::new(value);
        // SAFETY: the value is as its type is laid out, and stays where it is while the write is under way.
        let code = unsafe { imports::trailers_write(self.future.handle, &raw const *value) };
        self.state = if self.future.unless_blocked(code).is_some() { Writing::Over } else { Writing::UnderWay(value) };
    }

    /// Whether the peer has got them, or wants none.
    pub(crate) fn poll(&mut self) -> Poll<()> {
        match self.state {
            Writing::Idle => return Poll::Pending,
            Writing::UnderWay(_) if self.future.event().is_none() => return Poll::Pending,
            Writing::UnderWay(_) | Writing::Over => {}
        }
        self.state = Writing::Over;
        Poll::Ready(())
    }

    /// From now on the task that runs is told of it.
    pub(crate) fn wait_here(&mut self) -> bool {
        let is_under_way = matches!(self.state, Writing::UnderWay(_));
        if is_under_way {
            self.future.wait_here();
        }
        is_under_way
    }

    /// The task that runs is told of it no more: it ends.
    pub(crate) fn part(&mut self) {
        self.future.part();
    }
}

impl Drop for TrailersWriter {
    fn drop(&mut self) {
        self.write(Err(()));
        if self.poll().is_ready() {
            imports::trailers_drop_writable(self.future.handle);
        } else if let Writing::UnderWay(value) = std::mem::replace(&mut self.state, Writing::Over) {
            // The host may still read it, and a future that nobody has read cannot be dropped.
            let future = std::mem::replace(&mut self.future, Waitable::new(0));
            LEFT.with_borrow_mut(|left| left.push((future, value)));
        }
    }
}

thread_local! {
    /// The futures that were let go before the host read them or let them go, each with the value that it may still read.
    static LEFT: RefCell<Vec<(Waitable, Box<Value>)>> = const { RefCell::new(Vec::new()) };
}

/// Drops what was let go and the host needs no more. The task that runs is told of the others, and waits for none of them.
pub(super) fn sweep() {
    LEFT.with_borrow_mut(|left| {
        left.retain_mut(|(future, _)| {
            let is_over = future.event().is_some();
            if is_over {
                future.leave();
                imports::trailers_drop_writable(future.handle);
            } else {
                future.wait_here();
            }
            !is_over
        });
    });
}

/// The task that runs is told of them no more: it ends.
pub(super) fn part_from_left() {
    LEFT.with_borrow_mut(|left| left.iter_mut().for_each(|(future, _)| future.part()));
}

/// A result in memory: its case, then 8 bytes on the case within that, and 4 bytes further what this one holds.
fn value(case: u8, inner: u32, held: u32) -> Value {
    [u64::from(case), u64::from(inner) | u64::from(held) << 32, 0, 0, 0, 0, 0, 0]
}
