//! Foreign functions. Each takes and gives bytes.

mod compression;
#[cfg(feature = "extra")]
mod expressions;
#[cfg(feature = "extra")]
mod filter_state;
mod properties;
#[cfg(feature = "extra")]
mod signatures;

use proxy_wasm_abi::enums::LogLevel;

use super::CallResult;
use crate::state::ChainState;

pub use compression::{compress, uncompress};
#[cfg(feature = "extra")]
pub use expressions::{expr_create, expr_delete, expr_evaluate};
#[cfg(feature = "extra")]
pub use filter_state::set_envoy_filter_state;
pub use properties::declare_property;
#[cfg(feature = "extra")]
pub use signatures::{sign, verify_signature};

/// `clear_route_cache`
pub fn clear_route_cache(state: &mut ChainState, _arguments: &[u8]) -> CallResult<Vec<u8>> {
    state.clear_route_cache();
    Ok(Vec::new())
}

/// A foreign function in progress: the shim calls it through the bridge, which passes no bytes.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    arguments: Vec<u8>,
    result: Option<CallResult<Vec<u8>>>,
    /// Those that were called and are not in the component.
    left_out: Vec<&'static str>,
}

impl ChainState {
    /// Keeps a foreign function's arguments for [`run_foreign`](Self::run_foreign).
    pub fn begin_foreign(&mut self, arguments: Vec<u8>) {
        self.foreign.arguments = arguments;
        self.foreign.result = None;
    }

    /// Runs a foreign function. (Not by a pointer: functions in a table can't be pruned.)
    pub fn run_foreign(&mut self, function: impl FnOnce(&mut Self, &[u8]) -> CallResult<Vec<u8>>) {
        let arguments = std::mem::take(&mut self.foreign.arguments);
        self.foreign.result = Some(function(self, &arguments));
    }

    /// Its result; `None` where the component does not have the function.
    pub fn end_foreign(&mut self) -> Option<CallResult<Vec<u8>>> {
        self.foreign.arguments = Vec::new();
        self.foreign.result.take()
    }

    /// Logs, once, that the component has no such foreign function: the filter makes its name up at run time, so the
    /// adapter did not see it.
    pub fn note_left_out(&mut self, name: &'static str) {
        if !self.foreign.left_out.contains(&name) {
            self.foreign.left_out.push(name);
            let text = format!(
                "the filter called the foreign function `{name}`, which this component does not have, and was told so \
                 (12): adapt it with `--foreign-function {name}`"
            );
            // The level is a valid one.
            let _ = self.log(LogLevel::Warn as u32, text.as_bytes());
        }
    }
}
