//! What a trap says about the filter: which callback it was in, which host call, and where.
//!
//! A backtrace through an adapted component reads, innermost first:
//!
//! ```text
//! filter   alloc::raw_vec::…            the filter's allocator
//! bridge   allocate
//! shim     proxy_get_header_map_value   the host call
//! filter   my_filter::on_request        the filter's own frames
//! bridge   proxy_on_request_headers     the callback
//! shim     …
//! ```
//!
//! A component that is not built that way still gets its innermost frames shown.

use std::fmt;

use proxy_wasm_abi::bridge;
use proxy_wasm_abi::callbacks::CALLBACKS;
use proxy_wasm_abi::host_calls::HOST_CALLS;
use wasmtime::{Trap, WasmBacktrace};

/// The name of the bridge module in its name section.
const BRIDGE: &str = "proxy-wasm bridge";

/// How many of the filter's frames are shown.
const SHOWN_FRAMES: usize = 8;

/// Why and where a filter trapped.
#[derive(Debug)]
pub(super) struct Report {
    plugin: String,
    reason: String,
    callback: Option<String>,
    host_call: Option<String>,
    frames: Vec<Frame>,
    /// How many more frames there are.
    omitted: usize,
}

/// One frame of a backtrace.
#[derive(Clone, Debug, Default, PartialEq)]
struct Frame {
    module: String,
    function: String,
}

impl Report {
    /// Reads what an error from a component tells.
    pub(super) fn new(plugin: &str, error: &wasmtime::Error) -> Self {
        let reason = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => {
                String::from("it computed for longer than --cpu-timeout allows without waiting for anything")
            }
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or_default();
        let frames = frames.iter().map(|frame| Frame {
            module: frame.module().name().unwrap_or("?").to_owned(),
            function: match frame.func_name() {
                Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
                None => format!("function {}", frame.func_index()),
            },
        });
        Self::read(plugin, reason, frames.collect())
    }

    /// Reads a backtrace, innermost frame first.
    fn read(plugin: &str, reason: String, frames: Vec<Frame>) -> Self {
        let is_callback = |frame: &Frame| {
            CALLBACKS.iter().any(|callback| callback.name == frame.function)
                || (frame.module == BRIDGE && frame.function == "start")
        };
        let of_bridge = |frame: &Frame| frame.module == BRIDGE && is_callback(frame);
        let depth = frames.iter().position(of_bridge).or_else(|| frames.iter().position(is_callback));
        let callback = depth.and_then(|depth| frames.get(depth));
        let inside = frames.get(..depth.unwrap_or(frames.len())).unwrap_or_default();
        let host_call = inside.iter().find(|frame| HOST_CALLS.iter().any(|call| call.name == frame.function));

        let (callback, host_call) = (callback.map(spell), host_call.map(|frame| frame.function.clone()));
        let shown: Vec<_> =
            inside.iter().filter(|frame| !is_plumbing(frame)).take(SHOWN_FRAMES).cloned().collect();
        let omitted = frames.len() - shown.len();
        Self { plugin: plugin.to_owned(), reason, callback, host_call, frames: shown, omitted }
    }
}

/// What a callback's frame is called.
fn spell(frame: &Frame) -> String {
    if frame.function == "start" { String::from("its start function") } else { format!("`{}`", frame.function) }
}

/// The bridge's own functions tell a reader nothing.
fn is_plumbing(frame: &Frame) -> bool {
    frame.module == BRIDGE && bridge::FUNCTIONS.iter().any(|(name, ..)| *name == frame.function)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` trapped", self.plugin)?;
        if let Some(callback) = &self.callback {
            write!(f, " in {callback}")?;
        }
        if let Some(host_call) = &self.host_call {
            write!(f, ", in the host call `{host_call}`")?;
        }
        write!(f, ": {}", self.reason)?;
        for frame in &self.frames {
            write!(f, "\n    at {}!{}", frame.module, frame.function)?;
        }
        if self.omitted > 0 && !self.frames.is_empty() {
            write!(f, "\n    and {} more", self.omitted)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(frames: &[(&str, &str)]) -> String {
        let frames = frames.iter().map(|(module, function)| Frame {
            module: (*module).to_owned(),
            function: (*function).to_owned(),
        });
        Report::read("auth", String::from("wasm trap: out of bounds memory access"), frames.collect()).to_string()
    }

    #[test]
    fn names_callback_and_host_call() {
        let text = report(&[
            ("filter.wasm", "dlmalloc::malloc"),
            (BRIDGE, "allocate"),
            ("shim.wasm", "proxy_get_header_map_value"),
            ("filter.wasm", "auth::on_request"),
            (BRIDGE, "proxy_on_request_headers"),
            ("shim.wasm", "handle"),
        ]);
        assert_eq!(
            text,
            "`auth` trapped in `proxy_on_request_headers`, in the host call `proxy_get_header_map_value`: \
             wasm trap: out of bounds memory access\n    \
             at filter.wasm!dlmalloc::malloc\n    \
             at shim.wasm!proxy_get_header_map_value\n    \
             at filter.wasm!auth::on_request\n    \
             and 3 more"
        );
    }

    #[test]
    fn a_trap_in_the_filter_itself_names_no_host_call() {
        let text = report(&[("f", "on_log"), (BRIDGE, "proxy_on_log"), ("shim", "proxy_done")]);
        assert!(text.starts_with("`auth` trapped in `proxy_on_log`: wasm trap"), "{text}");
    }

    #[test]
    fn the_bridge_s_callback_wins_over_the_filter_s_own_name() {
        let text = report(&[("f", "proxy_on_delete"), ("f", "x"), (BRIDGE, "proxy_on_log")]);
        assert!(text.contains("in `proxy_on_log`"), "{text}");
        let text = report(&[("f", "x"), ("f", "proxy_on_delete")]);
        assert!(text.contains("in `proxy_on_delete`"), "{text}");
    }

    #[test]
    fn the_start_function_is_named_so() {
        let text = report(&[("f", "main"), (BRIDGE, "start"), ("shim", "start")]);
        assert!(text.starts_with("`auth` trapped in its start function:"), "{text}");
    }

    #[test]
    fn other_components_show_their_frames() {
        let text = report(&[("m", "f")]);
        assert_eq!(text, "`auth` trapped: wasm trap: out of bounds memory access\n    at m!f");
        assert_eq!(report(&[]), "`auth` trapped: wasm trap: out of bounds memory access");
    }
}
