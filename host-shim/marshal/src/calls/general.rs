//! Log, time and contexts.

use proxy_wasm_abi::{
    enums::{LogLevel, Status},
    limits::LOG_MAX_BYTES,
};
use proxy_wasm_semantics::Guest;

use crate::caller::{Caller, Memory, Outcome};

impl<G: Guest + Memory> Caller<'_, G> {
    pub(crate) fn log(&self, level: u32, text: u32, len: u32) -> Outcome {
        if LogLevel::from_u32(level).is_none() {
            return Err(Status::BadArgument);
        }
        self.check(text, len)?;
        let text = self.text(text, len.min(LOG_MAX_BYTES))?;
        self.state().log(level, &text)
    }

    pub(crate) fn get_log_level(&self, level: u32) -> Outcome {
        let number = self.state().get_log_level();
        self.put_u32(level, number)
    }

    pub(crate) fn get_current_time_nanoseconds(&self, time: u32) -> Outcome {
        let now = self.state().wall_clock();
        self.put_u64(time, now)
    }

    pub(crate) fn set_effective_context(&self, context: u32) -> Outcome {
        self.state().set_effective_context(context)
    }

    pub(crate) fn done(&self) -> Outcome {
        self.state().done()
    }
}
