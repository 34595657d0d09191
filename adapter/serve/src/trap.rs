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
//! Between the shim and a callback is a frame of the bridge, which also tells the virtual machine where there are several:
//! `proxy_on_log of VM 2 (auth)`. A component that is not built that way still gets its innermost frames shown.

use std::fmt;

use proxy_wasm_abi::bridge;
use proxy_wasm_abi::callbacks::CALLBACKS;
use proxy_wasm_abi::host_calls::HOST_CALLS;
use wasmtime::{FrameInfo, Trap, WasmBacktrace};

use super::filters::Filters;
use proxy_wasm_adapter::bridge::{NAME as BRIDGE, names};
use proxy_wasm_adapter::joined::{self, FunctionName};

/// How many frames are shown.
const SHOWN_FRAMES: usize = 8;

fn start_functions() -> impl Iterator<Item = &'static str> {
    bridge::START_FUNCTIONS.iter().map(|(name, ..)| *name)
}

/// The callback of this name, or the part of the start function.
pub(super) fn callback(name: &str) -> Option<&'static str> {
    let callbacks = CALLBACKS.iter().map(|callback| callback.name);
    callbacks.chain(start_functions()).find(|known| *known == name)
}

/// Why and where a filter trapped.
#[derive(Debug)]
pub(super) struct Report {
    /// Whose plugins: those of the virtual machine, if it is known.
    plugins: String,
    /// The number of the virtual machine.
    pub(super) vm: Option<u32>,
    reason: String,
    callback: Option<&'static str>,
    host_call: Option<String>,
    /// With how many times each stands there: a function that calls itself does so often.
    frames: Vec<(Frame, usize)>,
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
    /// The number of the virtual machine that a frame of the bridge tells.
    vm: Option<u32>,
}

impl Frame {
    /// `vm` is the virtual machine, as far as it is known.
    fn new(frame: &FrameInfo, filters: &Filters, vm: Option<u32>) -> Self {
        let module = frame.module();
        if module.name() == Some(joined::NAME) {
            return frame.func_name().and_then(FunctionName::parse).map(Self::of_joined).unwrap_or_default();
        }
        let of_filter = filters.include(module);
        let function = frame.func_name().map(demangled);
        let name = module.name().map(str::to_owned);
        if of_filter {
            let callback = vm.and_then(|vm| filters.callback(vm, frame.func_index()));
            return Self { module: name, function, of_filter, callback, vm: None };
        }
        Self::of_ours(name, function)
    }

    /// A frame of a module that is shim and filters in one.
    fn of_joined(name: FunctionName<'_>) -> Self {
        let (module, function) = (name.module.map(str::to_owned), name.own.map(demangled));
        match name.of_filter {
            true => Self { module, function, of_filter: true, callback: name.callback.and_then(callback), vm: None },
            false => Self::of_ours(module, function),
        }
    }

    /// A frame of the shim or of the bridge.
    fn of_ours(module: Option<String>, function: Option<String>) -> Self {
        let (callback, vm) = match function.as_deref().filter(|_| module.as_deref() == Some(BRIDGE)) {
            Some(name) => match names::parse(name) {
                ("start", vm) => (start_functions().next(), vm),
                (name, vm) => (CALLBACKS.iter().map(|callback| callback.name).find(|known| *known == name), vm),
            },
            None => (None, None),
        };
        Self { module, function, of_filter: false, callback, vm }
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

    /// Whether another one is of the same function.
    fn is_same(&self, other: &Self) -> bool {
        self.module == other.module && self.function == other.function && self.callback == other.callback
    }

    /// What it is called. In a filter that was stripped only callbacks have names.
    fn name(&self) -> Option<&str> {
        self.function.as_deref().or(self.callback)
    }
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
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
    pub(super) fn new(filters: &Filters, error: &wasmtime::Error) -> Self {
        let reason = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => {
                String::from("it computed for longer than --cpu-timeout allows without waiting for anything")
            }
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or_default();
        let told = frames.iter().rev().find_map(|frame| Frame::new(frame, filters, None).vm);
        let vm = filters.only_vm().or(told);
        let frames = frames.iter().map(|frame| Frame::new(frame, filters, vm));
        Self::read(filters.plugins(vm), vm, reason, frames.collect())
    }

    /// Reads a backtrace, innermost frame first.
    fn read(plugins: String, vm: Option<u32>, reason: String, frames: Vec<Frame>) -> Self {
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
        let mut runs: Vec<(Frame, usize)> = Vec::new();
        for frame in named {
            match runs.last_mut() {
                Some((last, times)) if last.is_same(frame) => *times += 1,
                _ => runs.push((frame.clone(), 1)),
            }
        }
        let omitted = runs.split_off(SHOWN_FRAMES.min(runs.len())).iter().map(|(_, times)| times).sum();
        let frames = runs;
        Self { plugins, vm, reason, callback, host_call, frames, omitted, nameless: nameless.len() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} trapped", self.plugins)?;
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
        for (frame, times) in &self.frames {
            write!(f, "\n    at {frame}")?;
            if *times > 1 {
                write!(f, " ({times} times)")?;
            }
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
        let name = |name: &str| (name != "?").then(|| name.to_owned());
        let frames = frames.iter().map(|(module, function)| match *module {
            FILTER => Frame {
                module: name(module),
                function: name(function),
                of_filter: true,
                callback: callback(function),
                vm: None,
            },
            module => Frame::of_ours(name(module), name(function)),
        });
        read(frames.collect())
    }

    fn read(frames: Vec<Frame>) -> String {
        let reason = String::from("wasm trap: out of bounds memory access");
        Report::read(String::from("`auth`"), Some(0), reason, frames).to_string()
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
        let text = read(vec![nameless.clone(), nameless, callback]);
        assert!(text.ends_with("access\n    at filter!proxy_on_log\n    and 2 without a name"), "{text}");
    }

    #[test]
    fn the_start_function_is_named_so() {
        let text = report(&[(FILTER, "x"), (FILTER, "_start"), ("shim", "start")]);
        assert!(text.starts_with("`auth` trapped in its start function:"), "{text}");
    }

    #[test]
    fn the_bridge_tells_the_vm() {
        let frame = Frame::of_ours(Some(BRIDGE.into()), Some("proxy_on_log of VM 3 (auth)".into()));
        assert_eq!((frame.callback, frame.vm), (Some("proxy_on_log"), Some(2)));
        let text = report(&[(FILTER, "x"), (BRIDGE, "proxy_on_log of VM 3 (auth)"), (BRIDGE, "call"), ("shim", "run")]);
        assert!(
            text.starts_with("`auth` trapped in `proxy_on_log`: ") && text.ends_with("access\n    at filter!x"),
            "{text}"
        );
        let text = report(&[(FILTER, "x"), (BRIDGE, "start of VM 3 (auth)"), (BRIDGE, "start"), ("shim", "run")]);
        assert!(text.starts_with("`auth` trapped in its start function: "), "{text}");
    }

    #[test]
    fn a_joined_module_tells_whose_its_functions_are() {
        let frame = |name| Frame::of_joined(FunctionName::parse(name).unwrap());
        let names = [
            "filter!my_filter!!_ZN3log5write17h0123456789abcdefE",
            "filter!my_filter!proxy_on_log!",
            "shim!proxy-wasm bridge!!proxy_on_log of VM 1 (auth)",
            "shim!shim!!run",
        ];
        let text = read(names.map(frame).into());
        assert!(text.starts_with("`auth` trapped in `proxy_on_log`: wasm trap"), "{text}");
        assert!(text.ends_with("\n    at my_filter!log::write\n    at my_filter!proxy_on_log"), "{text}");
        assert_eq!(frame(names[2]).vm, Some(0));
    }

    #[test]
    fn other_components_show_their_frames() {
        let text = report(&[("m", "f"), ("m", "proxy_on_log")]);
        assert_eq!(text, "`auth` trapped: wasm trap: out of bounds memory access\n    at m!f\n    at m!proxy_on_log");
        assert_eq!(report(&[]), "`auth` trapped: wasm trap: out of bounds memory access");
        let frames: Vec<String> = (0..10).map(|number| format!("f{number}")).collect();
        let frames: Vec<(&str, &str)> = frames.iter().map(|name| ("m", name.as_str())).collect();
        assert!(report(&frames).ends_with("\n    at m!f7\n    and 2 more"));
    }

    #[test]
    fn a_recursion_is_told_in_a_line_with_the_callback_that_began_it() {
        let mut frames = vec![(FILTER, "visit"); 10_000];
        frames.extend([(FILTER, "auth::on_request"), (FILTER, "proxy_on_request_headers"), ("shim", "handle")]);
        let text = report(&frames);
        assert!(text.starts_with("`auth` trapped in `proxy_on_request_headers`: "), "{text}");
        let shown = "\n    at filter!visit (10000 times)\n    at filter!auth::on_request\n    at filter!proxy_on_request_headers";
        assert!(text.ends_with(shown), "{text}");
    }
}
