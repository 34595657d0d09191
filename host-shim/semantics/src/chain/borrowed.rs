//! The state while somebody holds it. What it wrote for the host's log meanwhile goes out when it is given back: a host's log
//! may be anything, so it is never called with the state borrowed.

use std::{
    cell::{RefCell, RefMut},
    ops::{Deref, DerefMut},
};

use crate::{environment::Host, state::ChainState};

/// The state, borrowed. Its lines for the host's log are written when it is given back.
pub struct Borrowed<'a> {
    // Given back before the log is written: fields are dropped in their order.
    state: RefMut<'a, ChainState>,
    _log: Log<'a>,
}

struct Log<'a> {
    state: &'a RefCell<ChainState>,
    host: &'a dyn Host,
}

impl<'a> Borrowed<'a> {
    /// Borrows it.
    ///
    /// # Panics
    /// If it is borrowed already.
    pub(super) fn new(state: &'a RefCell<ChainState>, host: &'a dyn Host) -> Self {
        Self { state: state.borrow_mut(), _log: Log { state, host } }
    }
}

impl Deref for Borrowed<'_> {
    type Target = ChainState;

    fn deref(&self) -> &ChainState {
        &self.state
    }
}

impl DerefMut for Borrowed<'_> {
    fn deref_mut(&mut self) -> &mut ChainState {
        &mut self.state
    }
}

impl Log<'_> {
    #[cold]
    fn write(&self) {
        let lines = self.state.borrow().take_lines();
        for line in lines {
            self.host.log(&line);
        }
    }
}

impl Drop for Log<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        if self.state.borrow().has_lines() {
            self.write();
        }
    }
}
