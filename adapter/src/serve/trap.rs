//! What a trap says about the filter: which callback it was in, which host call, and where.
//!
//! A backtrace through an adapted component reads, innermost first:
//!
//! ```text
//! filter   alloc::raw_vec::…            the filter's allocator
//! shim     …
//! shim     proxy_get_header_map_value   the host call
//! filter   my_filter::on_request        the filter's own frames
//! filter   whatever it is called        the callback: a function that the filter exports as one
//! shim     …
//! ```
//!
//! The bridge has frames of its own only where it adds something to a callback. A component that is not built that way
//! still gets its innermost frames shown.

use std::collections::HashMap;
use std::fmt;

use proxy_wasm_abi::bridge;
use proxy_wasm_abi::callbacks::CALLBACKS;
use proxy_wasm_abi::host_calls::HOST_CALLS;
use wasmparser::{ExternalKind, Parser, Payload};
use wasmtime::{FrameInfo, Module, Trap, WasmBacktrace};

/// The name of the bridge module in its name section.
const BRIDGE: &str = "proxy-wasm bridge";

/// How many frames are shown.
const SHOWN_FRAMES: usize = 8;

/// The functions that the filter in a component exports as callbacks, by their indices.
#[derive(Debug, Default)]
pub(super) struct Callbacks(HashMap<u32, &'static str>);

impl Callbacks {
    /// Finds the filter in a component. There is none in a component that was not adapted.
    pub(super) fn of(component: &[u8]) -> Self {
        let mut exports: Vec<Vec<(&str, u32)>> = Vec::new();
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            if let Payload::ExportSection(section) = payload {
                let functions = section.into_iter().filter_map(Result::ok);
                let functions = functions.filter(|export| export.kind == ExternalKind::Func);
                exports.push(functions.map(|export| (export.name, export.index)).collect());
            }
        }
        let filter = exports.iter().find(|exports| exports.iter().any(|(name, _)| is_of_filter(name)));
        let functions = filter.into_iter().flatten();
        Self(functions.filter_map(|(name, index)| Some((*index, callback(name)?))).collect())
    }

    /// Whether a module is the filter.
    fn of_filter(&self, module: &Module) -> bool {
        let exports = |name: &str| module.get_export(name).is_some();
        !self.0.is_empty() && self.0.values().all(|name| exports(name))
    }
}

/// Whether only a filter exports this.
fn is_of_filter(name: &str) -> bool {
    CALLBACKS.iter().any(|callback| callback.name == name)
}

fn start_functions() -> impl Iterator<Item = &'static str> {
    bridge::START_FUNCTIONS.iter().map(|(name, ..)| *name)
}

/// The callback of this name, or the part of the start function.
fn callback(name: &str) -> Option<&'static str> {
    let callbacks = CALLBACKS.iter().map(|callback| callback.name);
    callbacks.chain(start_functions()).find(|known| *known == name)
}

/// Why and where a filter trapped.
#[derive(Debug)]
pub(super) struct Report {
    plugin: String,
    reason: String,
    callback: Option<&'static str>,
    host_call: Option<String>,
    frames: Vec<Frame>,
    /// How many more frames there are.
    omitted: usize,
    /// How many frames have no name.
    nameless: usize,
}

/// One frame of a backtrace.
#[derive(Clone, Debug, Default)]
struct Frame {
    module: Option<String>,
    function: Option<String>,
    of_filter: bool,
    callback: Option<&'static str>,
}

impl Frame {
    fn new(frame: &FrameInfo, callbacks: &Callbacks) -> Self {
        let module = frame.module();
        let of_filter = callbacks.of_filter(module);
        let function = frame.func_name().map(|name| format!("{:#}", rustc_demangle::demangle(name)));
        let is_named = |known: &&'static str| function.as_deref() == Some(*known);
        let of_bridge = || match module.name() == Some(BRIDGE) {
            true if function.as_deref() == Some("start") => start_functions().next(),
            true => CALLBACKS.iter().map(|callback| callback.name).find(is_named),
            false => None,
        };
        let callback = if of_filter { callbacks.0.get(&frame.func_index()).copied() } else { of_bridge() };
        Self { module: module.name().map(str::to_owned), function, of_filter, callback }
    }

    fn is_named(&self, name: &str) -> bool {
        self.function.as_deref() == Some(name)
    }

    fn is_host_call(&self) -> bool {
        !self.of_filter && HOST_CALLS.iter().any(|call| self.is_named(call.name))
    }

    /// A frame that tells a reader nothing: the bridge's, or a trampoline of the encoder's.
    fn is_plumbing(&self) -> bool {
        let of_bridge = self.module.as_deref() == Some(BRIDGE);
        of_bridge && bridge::FUNCTIONS.iter().any(|(name, ..)| self.is_named(name))
            || !self.of_filter && self.name().is_none()
    }

    /// What it is called. In a filter that was stripped only callbacks have names.
    fn name(&self) -> Option<&str> {
        self.function.as_deref().or(self.callback)
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let module = match &self.module {
            Some(module) => module,
            None if self.of_filter => "filter",
            None => "?",
        };
        write!(f, "{module}!{}", self.name().unwrap_or("?"))
    }
}

impl Report {
    /// Reads what an error from a component tells.
    pub(super) fn new(plugin: &str, callbacks: &Callbacks, error: &wasmtime::Error) -> Self {
        let reason = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => {
                String::from("it computed for longer than --cpu-timeout allows without waiting for anything")
            }
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or_default();
        Self::read(plugin, reason, frames.iter().map(|frame| Frame::new(frame, callbacks)).collect())
    }

    /// Reads a backtrace, innermost frame first.
    fn read(plugin: &str, reason: String, frames: Vec<Frame>) -> Self {
        // A filter may call its own callbacks: the outermost is the one that was called.
        let depth = frames.iter().rposition(|frame| frame.callback.is_some());
        let callback = depth.and_then(|depth| frames.get(depth)).and_then(|frame| frame.callback);
        let inside = frames.get(..depth.map_or(frames.len(), |depth| depth + 1)).unwrap_or_default();
        let host_call = inside.iter().find(|frame| frame.is_host_call()).and_then(|frame| frame.function.clone());

        // Of what is not the filter's, only where it trapped, if it trapped there, and the host calls.
        let first_of_filter = inside.iter().position(|frame| frame.of_filter).unwrap_or(inside.len());
        let shown: Vec<_> = inside
            .iter()
            .enumerate()
            .filter(|(depth, frame)| frame.of_filter || frame.is_host_call() || *depth < first_of_filter)
            .map(|(_, frame)| frame)
            .filter(|frame| !frame.is_plumbing())
            .collect();
        let (named, nameless): (Vec<_>, Vec<_>) = shown.into_iter().partition(|frame| frame.name().is_some());
        let omitted = named.len().saturating_sub(SHOWN_FRAMES);
        let frames = named.into_iter().take(SHOWN_FRAMES).cloned().collect();
        Self { plugin: plugin.to_owned(), reason, callback, host_call, frames, omitted, nameless: nameless.len() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` trapped", self.plugin)?;
        match self.callback {
            Some(callback) if start_functions().any(|name| name == callback) => {
                f.write_str(" in its start function")?
            }
            Some(callback) => write!(f, " in `{callback}`")?,
            None => {}
        }
        if let Some(host_call) = &self.host_call {
            let comma = if self.callback.is_some() { "," } else { "" };
            write!(f, "{comma} in the host call `{host_call}`")?;
        }
        write!(f, ": {}", self.reason)?;
        for frame in &self.frames {
            write!(f, "\n    at {frame}")?;
        }
        if self.omitted > 0 {
            write!(f, "\n    and {} more", self.omitted)?;
        }
        if self.nameless > 0 {
            write!(f, "\n    and {} without a name", self.nameless)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTER: &str = "filter";

    /// Frames as module and function. In the filter, a function named as a callback is exported as that.
    fn report(frames: &[(&str, &str)]) -> String {
        let frames = frames.iter().map(|(module, function)| Frame {
            module: (*module != "?").then(|| (*module).to_owned()),
            function: (*function != "?").then(|| (*function).to_owned()),
            of_filter: *module == FILTER,
            callback: if [FILTER, BRIDGE].contains(module) { callback(function) } else { None },
        });
        Report::read("auth", String::from("wasm trap: out of bounds memory access"), frames.collect()).to_string()
    }

    #[test]
    fn names_callback_and_host_call() {
        let text = report(&[
            (FILTER, "dlmalloc::malloc"),
            ("?", "?"),
            ("shim", "give"),
            ("shim", "proxy_get_header_map_value"),
            (FILTER, "auth::on_request"),
            (FILTER, "proxy_on_request_headers"),
            ("?", "?"),
            ("shim", "handle"),
        ]);
        assert_eq!(
            text,
            "`auth` trapped in `proxy_on_request_headers`, in the host call `proxy_get_header_map_value`: \
             wasm trap: out of bounds memory access\n    \
             at filter!dlmalloc::malloc\n    \
             at shim!proxy_get_header_map_value\n    \
             at filter!auth::on_request\n    \
             at filter!proxy_on_request_headers"
        );
    }

    #[test]
    fn a_trap_in_the_filter_itself_names_no_host_call() {
        let text = report(&[(FILTER, "on_log"), (BRIDGE, "proxy_on_log"), ("shim", "proxy_done")]);
        assert!(text.starts_with("`auth` trapped in `proxy_on_log`: wasm trap"), "{text}");
    }

    #[test]
    fn a_trap_in_the_shim_shows_where() {
        let text = report(&[("shim", "broken"), ("shim", "proxy_log"), (FILTER, "proxy_on_log"), ("shim", "run")]);
        assert!(text.starts_with("`auth` trapped in `proxy_on_log`, in the host call `proxy_log`: "), "{text}");
        assert!(text.ends_with("\n    at shim!broken\n    at shim!proxy_log\n    at filter!proxy_on_log"), "{text}");
    }

    #[test]
    fn the_callback_that_was_called_wins_over_what_it_calls() {
        let text = report(&[(FILTER, "proxy_on_delete"), (FILTER, "proxy_on_done")]);
        assert!(text.contains("in `proxy_on_done`"), "{text}");
    }

    #[test]
    fn frames_without_a_name_are_counted() {
        let nameless = Frame { of_filter: true, ..Frame::default() };
        let callback = Frame { callback: Some("proxy_on_log"), ..nameless.clone() };
        let text = Report::read("auth", String::from("out"), vec![nameless.clone(), nameless, callback]).to_string();
        let expected = "`auth` trapped in `proxy_on_log`: out\n    at filter!proxy_on_log\n    and 2 without a name";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_start_function_is_named_so() {
        let text = report(&[(FILTER, "x"), (FILTER, "_start"), ("shim", "start")]);
        assert!(text.starts_with("`auth` trapped in its start function:"), "{text}");
    }

    #[test]
    fn other_components_show_their_frames() {
        let text = report(&[("m", "f"), ("m", "proxy_on_log")]);
        assert_eq!(text, "`auth` trapped: wasm trap: out of bounds memory access\n    at m!f\n    at m!proxy_on_log");
        assert_eq!(report(&[]), "`auth` trapped: wasm trap: out of bounds memory access");
        assert!(report(&[("m", "f"); 10]).ends_with("\n    and 2 more"));
    }

    #[test]
    fn the_filter_is_found_in_a_component() {
        let component = wat::parse_str(
            r#"(component
              (core module (func $f) (export "call" (func $f)) (export "settings_size" (func $f)))
              (core module (func $i) (export "_initialize" (func $i)))
              (core module (func) (func $g) (export "proxy_on_log" (func $g)) (export "x" (func 0))))"#,
        );
        let callbacks = Callbacks::of(&component.unwrap());
        assert_eq!(callbacks.0, HashMap::from([(1, "proxy_on_log")]));
        assert!(Callbacks::of(b"no component").0.is_empty());
    }
}
