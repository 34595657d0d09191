//! An instance that is written down once its plugins are started, for others to begin from.
//!
//! Nothing that belongs to one instance alone may be in it: nothing is under way, and times go on where they stopped,
//! whatever the clock of the instance that begins from it shows.

use proxy_wasm_abi::freeze::Readiness;
use proxy_wasm_semantics::Guest;

use crate::turn::Turn;

impl<G: Guest> Turn<'_, '_, G> {
    /// Starts the plugins, with the ticks that the settings ask for, and tells whether the instance may be written down now.
    /// It can't wait: what the plugins ask for is not sent.
    pub fn freeze(&mut self) -> Readiness {
        if let Err(reason) = self.start(true) {
            self.chain().log(&format!("[critical] {reason}"));
            return Readiness::Refused;
        }
        loop {
            let moved = self.work();
            if self.poll_calls().is_some() {
                return Readiness::Unfinished;
            }
            if self.stays() && !moved {
                return Readiness::Unfinished;
            }
            if !moved {
                break;
            }
        }
        if self.chain().has_work() || self.has_calls() {
            return Readiness::Unfinished;
        }
        self.chain().freeze();
        Readiness::Ready
    }
}
