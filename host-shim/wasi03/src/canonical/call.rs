//! What is asked of others and takes time: responses, and the clock.

use std::{cell::RefCell, task::Poll};

use super::{
    Waitable,
    imports::{self, Value},
    trailers::lift,
};
use crate::bindings::wasi::http::types::{ErrorCode, Request, Response};

/// How far a call is: the low bits of its code, and the code of its events.
const STATE: u32 = 0xf;
const RETURNED: u32 = 2;
const CANCELLED_BEFORE_STARTED: u32 = 3;
const CANCELLED: u32 = 4;
/// The number of the call is in the other bits.
const SUBTASK_SHIFT: u32 = 4;

/// A request that was sent.
pub(crate) struct Call {
    state: State,
    ends: Ends,
}

/// What becomes of a call that is given up.
#[derive(Clone, Copy)]
enum Ends {
    /// The host ends it: it does so at once.
    Cancelled,
    /// It is left to go on. Another component may be slow to let itself be cancelled, or never do, and the built-in that
    /// cancels waits for it, with all exchanges of this instance: the one that does not wait is none that components may use
    /// yet. The component learns of it by the ends of the bodies.
    Left,
}

enum State {
    /// The callee has got hold of the memory, for its response; and of the request, once it has started.
    UnderWay {
        subtask: Waitable,
        value: Box<Value>,
        request: u32,
    },
    Returned(Box<Value>),
    Over,
}

impl Call {
    /// Sends a request to where it says.
    pub(crate) fn send(request: Request) -> Self {
        // SAFETY: `new` keeps the memory where it is while the call is under way.
        Self::new(request, Ends::Cancelled, |request, value| unsafe { imports::client_send(request, value) })
    }

    /// Hands a request to the next component.
    pub(crate) fn next(request: Request) -> Self {
        // SAFETY: as above.
        Self::new(request, Ends::Left, |request, value| unsafe { imports::next_handle(request, value) })
    }

    fn new(request: Request, ends: Ends, call: impl FnOnce(u32, *mut Value) -> u32) -> Self {
        let request = request.take_handle();
        let mut value = Box::new(Value::default());
        let code = call(request, &raw mut *value);
        if code & STATE == RETURNED {
            return Self { state: State::Returned(value), ends };
        }
        let mut subtask = Waitable::new(code >> SUBTASK_SHIFT);
        subtask.wait_here();
        Self { state: State::UnderWay { subtask, value, request }, ends }
    }

    /// The response, when it is there. It comes once.
    pub(crate) fn poll(&mut self) -> Poll<Result<Response, ErrorCode>> {
        if let State::UnderWay { subtask, .. } = &mut self.state {
            if !has_returned(subtask) {
                return Poll::Pending;
            }
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::UnderWay { mut value, .. } | State::Returned(mut value) => Poll::Ready(response(&mut value)),
            State::Over => Poll::Pending,
        }
    }

    /// From now on the task that runs is told of the response.
    pub(crate) fn wait_here(&mut self) -> bool {
        let State::UnderWay { subtask, .. } = &mut self.state else { return false };
        subtask.wait_here();
        true
    }

    /// The task that runs is told of it no more: it ends.
    pub(crate) fn part(&mut self) {
        if let State::UnderWay { subtask, .. } = &mut self.state {
            subtask.part();
        }
    }
}

/// Whether a call is over, which then is let go of.
fn has_returned(subtask: &mut Waitable) -> bool {
    // That it has started is no news.
    let has_returned = std::iter::from_fn(|| subtask.event()).any(|code| code == RETURNED);
    if has_returned {
        subtask.leave();
        imports::subtask_drop(subtask.handle);
    }
    has_returned
}

thread_local! {
    /// The calls that were given up and go on, each with the memory for its response.
    static LEFT: RefCell<Vec<(Waitable, Box<Value>)>> = const { RefCell::new(Vec::new()) };
}

/// Drops the responses to calls that were given up. The task that runs is told of further ones, and waits for none of them.
pub(super) fn sweep() {
    LEFT.with_borrow_mut(|left| {
        left.retain_mut(|(subtask, value)| {
            let is_over = has_returned(subtask);
            if is_over {
                drop(response(value));
            } else {
                subtask.wait_here();
            }
            !is_over
        });
    });
}

/// The task that runs is told of them no more: it ends.
pub(super) fn part_from_left() {
    LEFT.with_borrow_mut(|left| left.iter_mut().for_each(|(subtask, _)| subtask.part()));
}

impl Drop for Call {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::UnderWay { mut subtask, mut value, .. } if matches!(self.ends, Ends::Left) => {
                if has_returned(&mut subtask) {
                    drop(response(&mut value));
                } else {
                    LEFT.with_borrow_mut(|left| left.push((subtask, value)));
                }
            }
            State::UnderWay { mut subtask, mut value, request } => match cancel(&mut subtask) {
                RETURNED => drop(response(&mut value)),
                // SAFETY: the callee never got the request, so it is ours again.
                CANCELLED_BEFORE_STARTED => drop(unsafe { Request::from_handle(request) }),
                _ => {}
            },
            State::Returned(mut value) => drop(response(&mut value)),
            State::Over => {}
        }
    }
}

/// Gives a call up, however far it is; tells how far it was.
fn cancel(subtask: &mut Waitable) -> u32 {
    let over = |code: &u32| matches!(*code, RETURNED | CANCELLED_BEFORE_STARTED | CANCELLED);
    let state = std::iter::from_fn(|| subtask.event()).find(over);
    let state = state.unwrap_or_else(|| {
        subtask.leave();
        imports::subtask_cancel(subtask.handle)
    });
    subtask.leave();
    imports::subtask_drop(subtask.handle);
    state
}

/// The result of a call that has returned.
fn response(value: &mut Value) -> Result<Response, ErrorCode> {
    if value[0] & 0xff == 0 {
        // SAFETY: the first case is the response, which is ours from now on: whoever calls this does so once.
        return Ok(unsafe { Response::from_handle(value[1] as u32) });
    }
    // SAFETY: the other case is that of a body's trailers, too, at the same place; read once, as above.
    match unsafe { lift(value) } {
        Err(code) => Err(code),
        Ok(_) => Err(ErrorCode::ConnectionTerminated),
    }
}

/// Fires at a time.
pub(crate) struct Timer {
    pub(crate) at: u64,
    subtask: Option<Waitable>,
}

impl Timer {
    /// One for this time, which is `on_host` by the host's monotonic clock.
    pub(crate) fn new(at: u64, on_host: u64) -> Self {
        let code = imports::wait_until(on_host);
        let subtask = (code & STATE != RETURNED).then(|| {
            let mut subtask = Waitable::new(code >> SUBTASK_SHIFT);
            subtask.wait_here();
            subtask
        });
        Self { at, subtask }
    }

    /// Whether its time had passed when it was made: nobody is told of it.
    pub(crate) fn is_past(&self) -> bool {
        self.subtask.is_none()
    }

    /// From now on the task that runs is told of it.
    pub(crate) fn wait_here(&mut self) {
        if let Some(subtask) = &mut self.subtask {
            subtask.wait_here();
        }
    }

    /// The task that waited for it is told of it no more.
    pub(crate) fn leave(&mut self) {
        if let Some(subtask) = &mut self.subtask {
            subtask.leave();
        }
    }

    /// Whether it has fired.
    pub(crate) fn poll(&mut self) -> Poll<()> {
        if let Some(subtask) = &mut self.subtask {
            if !has_returned(subtask) {
                return Poll::Pending;
            }
            self.subtask = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(subtask) = &mut self.subtask {
            cancel(subtask);
        }
    }
}
