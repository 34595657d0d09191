//! The canonical ABI's asynchronous side: the one module with unsafe code.
//!
//! wit-bindgen would bring an executor of its own for it, which is a third of a small component. What is under way is asked
//! instead, whenever the host has said that something is over: each operation knows whether it is its own.
//!
//! ```text
//!             begin: the host has a result at once ─────────────► over
//!               │ it has none                                      ▲
//!               ▼                                                  │ poll
//!            blocked: joined to the set of the task that runs ──► arrived: `note` has the event
//! ```

#![allow(unsafe_code, reason = "the canonical built-ins read and write this instance's memory")]

mod body;
mod call;
mod imports;
mod message;
mod stderr;
mod task;
mod trailers;

use std::cell::{Cell, RefCell};

pub(crate) use body::{BodyReader, BodyWriter};
pub(crate) use call::{Call, Timer};
pub(crate) use message::{
    Incoming, consume_request, consume_response, new_fields, new_request, new_response, pass_request, pass_response,
    received_request,
};
pub(crate) use stderr::Stderr;
pub(crate) use task::{Answer, Code, Task, Wake, let_go};
pub(crate) use trailers::{Sent, TrailersReader, TrailersWriter};

/// The code of what is not over yet.
const BLOCKED: u32 = u32::MAX;

thread_local! {
    /// The events that came for what is under way, each with its waitable and its code.
    static ARRIVED: RefCell<Vec<(u32, u32)>> = const { RefCell::new(Vec::new()) };
    /// The set of the task that runs.
    static CURRENT: Cell<u32> = const { Cell::new(0) };
}

/// Lets go of what was given up, and that others need no more.
pub(crate) fn sweep() {
    trailers::sweep();
    call::sweep();
}

/// The task that runs is told of what was given up no more: it ends.
pub(crate) fn part_from_left() {
    trailers::part_from_left();
    call::part_from_left();
}

/// The host says that something is over, or further.
pub(crate) fn note(waitable: u32, code: u32) {
    ARRIVED.with_borrow_mut(|arrived| arrived.push((waitable, code)));
}

/// Something that the host tells of.
#[derive(Debug, PartialEq, Eq)]
struct Waitable {
    handle: u32,
    /// The set that it is in.
    set: u32,
}

impl Waitable {
    /// One that the host has just given.
    fn new(handle: u32) -> Self {
        let new = Self { handle, set: 0 };
        new.forget();
        new
    }

    /// What came before counts no more. Wasmtime tells an end that rests in a set that its peer was dropped, though nothing is
    /// under way there; and another waitable may have the handle by then.
    fn forget(&self) {
        ARRIVED.with_borrow_mut(|arrived| arrived.retain(|(waitable, _)| *waitable != self.handle));
    }

    /// The event that came for it, once.
    fn event(&self) -> Option<u32> {
        ARRIVED.with_borrow_mut(|arrived| {
            let at = arrived.iter().position(|(waitable, _)| *waitable == self.handle)?;
            Some(arrived.remove(at).1)
        })
    }

    /// The code, unless it says that it is to be waited for: then this is done in the task that runs.
    fn unless_blocked(&mut self, code: u32) -> Option<u32> {
        if code == BLOCKED {
            self.forget();
            self.wait_here();
            return None;
        }
        Some(code)
    }

    /// The task that runs is told of it, unless another one is: whichever is told, all that look see what came. Taken out of
    /// the set of a task that the host is about to call for it, it would leave the host with nothing to tell.
    fn wait_here(&mut self) {
        if self.set == 0 {
            self.wait_in(CURRENT.get());
        }
    }

    /// From now on the task with this set is told of it.
    fn wait_in(&mut self, set: u32) {
        if self.set != set {
            self.set = set;
            imports::waitable_join(self.handle, set);
        }
    }

    /// The task that runs is told of it no more: it ends.
    fn part(&mut self) {
        if self.set == CURRENT.get() {
            self.leave();
        }
    }

    /// Nobody is told of it any more. To cancel what is in a set is an error.
    fn leave(&mut self) {
        if self.set != 0 {
            self.set = 0;
            imports::waitable_join(self.handle, 0);
        }
    }
}
