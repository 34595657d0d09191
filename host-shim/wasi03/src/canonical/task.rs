//! The tasks of the exports: what each waits for, and how it answers.

use std::cell::RefCell;

use super::{CURRENT, Waitable, imports, trailers::TERMINATED};
use crate::bindings::wasi::http::types::Response;

thread_local! {
    /// The sets of tasks that are over, for those to come: as many as there were tasks at once.
    static SPARE: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// The set of what a task waits for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Task {
    set: u32,
}

/// What the host is to do with a task.
pub(crate) enum Code {
    /// Call it when something has come that is in its set.
    Wait,
    /// Nothing: it is over.
    Exit,
}

impl Task {
    /// The task that the host has just begun, which is to be known by this number; it runs now.
    pub(crate) fn begin(number: u32) -> Self {
        imports::context_set(number);
        let set = SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| imports::waitable_set_new());
        CURRENT.set(set);
        Self { set }
    }

    /// The number of the task that runs.
    pub(crate) fn number() -> u32 {
        imports::context_get()
    }

    /// It runs now: what blocks from now on, it waits for.
    pub(crate) fn enter(&self) {
        CURRENT.set(self.set);
    }

    /// What the export returns.
    pub(crate) fn returned(&self, code: &Code) -> u32 {
        match code {
            Code::Wait => 2 | self.set << 4,
            Code::Exit => 0,
        }
    }

    /// No further task is begun in this instance, or more are.
    pub(crate) fn hold_others(held: bool) {
        if held {
            imports::backpressure_inc();
        } else {
            imports::backpressure_dec();
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        CURRENT.set(0);
        SPARE.with_borrow_mut(|spare| spare.push(self.set));
    }
}

/// The instance is written down: sets are the host's.
pub(crate) fn let_go() {
    SPARE.take().into_iter().for_each(|set| imports::waitable_set_drop(set));
}

/// A task's answer, which it owes until it has given it, or is let off. Only the task that runs can give its own.
#[derive(Debug)]
pub(crate) struct Answer(());

impl Answer {
    /// Of a task that has just begun.
    pub(crate) fn owed() -> Self {
        Self(())
    }

    /// Gives the response.
    pub(crate) fn give(self, response: Response) {
        imports::task_return(0, response.take_handle(), 0, 0, 0, 0, 0, 0);
    }

    /// Says that there is none.
    pub(crate) fn fail(self) {
        imports::task_return(1, TERMINATED, 0, 0, 0, 0, 0, 0);
    }

    /// Says what the plugins' start came to, to whoever called for that.
    pub(crate) fn started(self, outcome: Result<(), &str>) {
        let (error, text) = outcome.map_or_else(|reason| (1, reason), |()| (0, ""));
        // SAFETY: the host reads the text before this returns.
        unsafe { imports::start_return(error, text.as_ptr(), text.len()) };
    }

    /// Says in how many nanoseconds there is more to do between requests.
    pub(crate) fn idles(self, wake: Option<u64>) {
        imports::idle_return(u32::from(wake.is_some()), wake.unwrap_or(0));
    }

    /// Says that an exchange has ended.
    pub(crate) fn ends(self) {
        imports::ended_return();
    }

    /// Agrees that nobody wants it any more.
    pub(crate) fn cancel(self) {
        imports::task_cancel();
    }
}

/// Lets one task be woken by another: a stream within the instance, which carries nothing.
pub(crate) struct Wake {
    reader: Waitable,
    writer: u32,
    /// The task is woken, and has not run since.
    is_under_way: bool,
}

impl Wake {
    pub(crate) fn new() -> Self {
        let ends = imports::wake_new();
        Self { reader: Waitable::new(ends as u32), writer: (ends >> 32) as u32, is_under_way: false }
    }

    /// Has this task run: it is told that what it reads has come, which it need not have begun to read itself.
    pub(crate) fn wake(&mut self, task: &Task) {
        if self.is_under_way {
            return;
        }
        self.is_under_way = true;
        // SAFETY: an element takes no memory.
        unsafe { imports::wake_read(self.reader.handle, std::ptr::null_mut(), 1) };
        self.reader.wait_in(task.set);
        // SAFETY: as above.
        unsafe { imports::wake_write(self.writer, std::ptr::null(), 1) };
    }

    /// The task runs, perhaps because it was woken.
    pub(crate) fn runs(&mut self) {
        if self.reader.event().is_some() {
            self.is_under_way = false;
        }
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        self.reader.leave();
        if self.is_under_way {
            imports::wake_cancel_read(self.reader.handle);
        }
        imports::wake_drop_readable(self.reader.handle);
        imports::wake_drop_writable(self.writer);
    }
}
