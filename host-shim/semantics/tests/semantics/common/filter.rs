//! The filter: what each callback does is a closure.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
};

pub(crate) use proxy_wasm_abi::callbacks::Id;
use proxy_wasm_abi::{callbacks::CALLBACKS, enums::Status, pairs};
use proxy_wasm_semantics::{Borrowed, Chain, ChainState, Guest};

use super::text;

/// The calls of filters, and their notes.
pub(super) type Trace = Rc<RefCell<Vec<String>>>;

type Script = Rc<dyn Fn(&Call<'_>) -> u32>;
type StartScript = Box<dyn Fn(&mut ChainState)>;

/// A filter that records its callbacks and does what the test scripted.
pub(crate) struct ScriptedFilter {
    chain: Weak<Chain<Self>>,
    /// Begins its lines in the trace.
    prefix: &'static str,
    /// That of all filters.
    trace: Trace,
    pub(super) scripts: RefCell<HashMap<usize, Script>>,
    pub(super) start: RefCell<Option<StartScript>>,
    pub(super) missing: RefCell<Vec<Id>>,
}

impl ScriptedFilter {
    pub(super) fn new(chain: Weak<Chain<Self>>, prefix: &'static str, trace: Trace) -> Self {
        Self {
            chain,
            prefix,
            trace,
            scripts: RefCell::default(),
            start: RefCell::default(),
            missing: RefCell::default(),
        }
    }
}

impl Guest for ScriptedFilter {
    fn exports(&self, callback: Id) -> bool {
        !self.missing.borrow().contains(&callback)
    }

    fn reads_properties(&self) -> bool {
        true
    }

    fn call(&self, callback: Id, arguments: &[u32]) -> u32 {
        let declared = &CALLBACKS[callback as usize];
        assert_eq!(arguments.len(), declared.params, "arguments of {}", declared.name);
        let name = declared.name.trim_start_matches("proxy_on_");
        let shown: Vec<String> = arguments.iter().map(u32::to_string).collect();
        self.trace.borrow_mut().push(format!("{}{name}({})", self.prefix, shown.join(",")));
        let chain = self.chain.upgrade().expect("the chain calls");
        // The state must not be borrowed while the filter runs.
        drop(chain.state());
        let script = self.scripts.borrow().get(&(callback as usize)).cloned();
        match script {
            Some(script) => script(&Call { chain: &chain, arguments }),
            None => u32::from(matches!(callback, Id::VmStart | Id::Configure | Id::Done)),
        }
    }

    fn start(&self) {
        self.trace.borrow_mut().push(format!("{}start", self.prefix));
        let chain = self.chain.upgrade().expect("the chain calls");
        if let Some(start) = &*self.start.borrow() {
            start(&mut chain.state());
        }
    }
}

/// A callback in progress: makes host calls, and notes what they return in the trace.
pub(crate) struct Call<'a> {
    chain: &'a Chain<ScriptedFilter>,
    arguments: &'a [u32],
}

impl Call<'_> {
    /// The state, for host calls that have no helper here.
    pub(crate) fn state(&self) -> Borrowed<'_> {
        self.chain.state()
    }

    /// The chain, for host calls that are its methods.
    pub(crate) fn chain(&self) -> &Chain<ScriptedFilter> {
        self.chain
    }

    /// The context that the callback is for.
    pub(crate) fn context(&self) -> u32 {
        self.arguments[0]
    }

    /// The token of a callout's callback.
    pub(crate) fn token(&self) -> u32 {
        self.arguments[1]
    }

    /// A headers or body callback's `end_of_stream`.
    pub(crate) fn end(&self) -> bool {
        self.arguments[2] == 1
    }

    /// Adds a line to the trace.
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.chain.guest().trace.borrow_mut().push(format!("  {}", line.into()));
    }

    fn noted<T>(&self, what: String, result: Result<T, Status>, show: impl Fn(&T) -> String) -> Result<T, Status> {
        match &result {
            Ok(value) => self.note(format!("{what} 0{}", show(value))),
            Err(status) => self.note(format!("{what} {}", *status as u32)),
        }
        result
    }

    pub(crate) fn get(&self, map: u32, name: &str) {
        let value = self.state().get_header_map_value(map, name.as_bytes());
        let _ = self.noted(format!("get {map} {name}:"), value, |value| format!(" {:?}", text(value)));
    }

    /// Notes all pairs, on one line.
    pub(crate) fn pairs(&self, map: u32) {
        let bytes = self.state().get_header_map_pairs(map);
        let _ = self.noted(format!("pairs {map}:"), bytes, |bytes| {
            if bytes.is_empty() {
                return " EMPTY".into();
            }
            let pairs = pairs::decode(bytes).expect("the wire format");
            pairs.iter().map(|(name, value)| format!(" [{}: {}]", text(name), text(value))).collect()
        });
    }

    pub(crate) fn size(&self, map: u32) {
        let size = self.state().get_header_map_size(map);
        let _ = self.noted(format!("size {map}:"), size, |size| format!(" {size}"));
    }

    pub(crate) fn add(&self, map: u32, name: &str, value: &str) {
        let done = self.state().add_header_map_value(map, name.as_bytes(), value.as_bytes());
        let _ = self.noted(format!("add {map}:"), done, |()| String::new());
    }

    pub(crate) fn replace(&self, map: u32, name: &str, value: &str) {
        let done = self.state().replace_header_map_value(map, name.as_bytes(), value.as_bytes());
        let _ = self.noted(format!("replace {map}:"), done, |()| String::new());
    }

    pub(crate) fn remove(&self, map: u32, name: &str) {
        let done = self.state().remove_header_map_value(map, name.as_bytes());
        let _ = self.noted(format!("remove {map}:"), done, |()| String::new());
    }

    pub(crate) fn set_pairs(&self, map: u32, entries: &[(&str, &str)]) {
        let bytes = pairs::encode(entries.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let done = self.state().set_header_map_pairs(map, &bytes);
        let _ = self.noted(format!("set {map}:"), done, |()| String::new());
    }

    /// Notes a buffer's length and bytes.
    pub(crate) fn buffer(&self, buffer: u32) {
        let len = self.state().get_buffer_status(buffer);
        let blob = self.state().get_buffer_bytes(buffer, 0, u32::MAX);
        assert_eq!(len.is_ok(), blob.is_ok(), "both calls know the same buffers");
        let bytes = blob.map(|blob| {
            assert_eq!(Ok(blob.len), len);
            text(self.state().bytes(blob))
        });
        let _ = self.noted(format!("buffer {buffer}:"), bytes, |bytes| format!(" {bytes:?}"));
    }

    pub(crate) fn set_buffer(&self, buffer: u32, start: u32, len: u32, data: &str) {
        let done = self.state().set_buffer_bytes(buffer, start, len, data.as_bytes());
        let _ = self.noted(format!("set buffer {buffer}:"), done, |()| String::new());
    }

    pub(crate) fn resume(&self, stream: u32) {
        let done = self.state().continue_stream(stream);
        let _ = self.noted(format!("continue {stream}:"), done, |()| String::new());
    }

    pub(crate) fn close(&self, stream: u32) {
        let done = self.state().close_stream(stream);
        let _ = self.noted(format!("close {stream}:"), done, |()| String::new());
    }

    /// A local response without further headers.
    pub(crate) fn reply(&self, status: u32, body: &str) {
        self.reply_with(status, "d", body, &[], u32::MAX);
    }

    pub(crate) fn reply_with(&self, status: u32, details: &str, body: &str, headers: &[(&str, &str)], grpc: u32) {
        let headers = pairs::encode(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let done = self.state().send_local_response(status, details.as_bytes(), body.as_bytes(), &headers, grpc);
        assert_eq!(done, Ok(()), "it always returns OK");
    }

    /// Notes a property as text; segments are separated by `/`.
    pub(crate) fn property(&self, path: &str) {
        let value = self.state().get_property(path.replace('/', "\0").as_bytes());
        let _ = self.noted(format!("{path}:"), value, |value| format!(" {:?}", text(value)));
    }

    /// Notes a property that is a number of eight bytes.
    pub(crate) fn number(&self, path: &str) {
        let value = self.state().get_property(path.replace('/', "\0").as_bytes());
        let _ = self.noted(format!("{path}:"), value, |value| match <[u8; 8]>::try_from(value.as_slice()) {
            Ok(bytes) => format!(" {}", i64::from_le_bytes(bytes)),
            Err(_) => format!(" no number: {:?}", text(value)),
        });
    }

    pub(crate) fn set_property(&self, path: &str, value: &str) {
        let done = self.state().set_property(path.replace('/', "\0").as_bytes(), value.as_bytes());
        let _ = self.noted(format!("set {path}:"), done, |()| String::new());
    }

    pub(crate) fn effective(&self, context: u32) {
        let done = self.state().set_effective_context(context);
        let _ = self.noted(format!("effective {context}:"), done, |()| String::new());
    }

    pub(crate) fn done(&self) {
        let done = self.state().done();
        let _ = self.noted("done:".into(), done, |()| String::new());
    }
}
