//! Which of the shim's exports a component needs: the host calls that its filters import, the foreign functions that they
//! name, and whatever is neither of these.

use proxy_wasm_abi::foreign_functions::FOREIGN_FUNCTIONS;
use proxy_wasm_abi::host_calls::HOST_CALLS;

use crate::exports::Exports;
use crate::prepare::PreparedFilter;

/// The exports that some filter of a component can reach.
pub(crate) struct Reachable<'a> {
    filters: &'a [PreparedFilter<'a>],
    exports: Exports,
}

impl<'a> Reachable<'a> {
    /// Those that these filters can reach, and a host by these interfaces.
    pub(crate) fn by(filters: &'a [PreparedFilter<'a>], exports: Exports) -> Self {
        Self { filters, exports }
    }

    /// Whether an export is one of them.
    pub(crate) fn contains(&self, export: &str) -> bool {
        let is_host_call = HOST_CALLS.iter().any(|call| call.name == export);
        let is_foreign_function = FOREIGN_FUNCTIONS.iter().any(|function| function.export == export);
        let is_asked_for = |filter: &PreparedFilter<'_>| {
            filter.imported.contains(export) || filter.foreign.iter().any(|function| function.export == export)
        };
        let is_call = is_host_call || is_foreign_function;
        !is_call && self.exports.include(export) || self.filters.iter().any(is_asked_for)
    }
}
