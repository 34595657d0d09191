//! The test bed: a started plugin, its machine, and what arrives from both sides.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use proxy_wasm_abi::{
    bridge::AbiVersion,
    limits::{HEADER_ENTRY_BYTES, HEADERS_MAX_BYTES},
    settings::{Connection, Origin, Plugin as PluginSettings, Settings},
};
use proxy_wasm_semantics::{
    CallResult, Capabilities, Chain, ChainState, Direction, Effect, HeaderMap, Host, Kind, Request, SharedQueues,
};
use proxy_wasm_shared::{Member, Store};

use super::{
    filter::{Call, Id, ScriptedFilter, Trace},
    show,
};

pub(crate) const REQUEST: Direction = Direction::Request;
pub(crate) const RESPONSE: Direction = Direction::Response;

/// The machine's state that the test sets and sees.
#[derive(Default)]
struct Clocks {
    wall: Cell<u64>,
    monotonic: Cell<u64>,
    /// How often the monotonic clock was read.
    reads: Cell<u32>,
    seed: Cell<u8>,
    next_id_byte: Cell<u8>,
    log: RefCell<Vec<String>>,
    chain: RefCell<Weak<Chain<ScriptedFilter>>>,
    /// The queues that it keeps for all instances: this one is a member of them.
    queues: RefCell<Store>,
}

/// The instance, in the store of queues.
const MEMBER: Member = 1;

struct Machine(Rc<Clocks>, Capabilities);

/// Those of a host of `wasi:http`.
const WASI_HTTP: Capabilities = Capabilities {
    head_max_bytes: HEADERS_MAX_BYTES,
    header_entry_bytes: HEADER_ENTRY_BYTES,
    statuses: (200, 999),
    forbidden: &["connection"],
};

impl Host for Machine {
    fn capabilities(&self) -> Capabilities {
        self.1
    }

    fn wall_clock(&self) -> u64 {
        self.0.wall.get()
    }

    fn monotonic_clock(&self) -> u64 {
        self.0.reads.set(self.0.reads.get() + 1);
        self.0.monotonic.get()
    }

    fn random(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.seed.get();
            self.0.seed.set(self.0.seed.get().wrapping_add(1));
        }
    }

    fn shared_queues(&self) -> Option<&dyn SharedQueues> {
        Some(self)
    }

    fn log(&self, line: &str) {
        assert!(!line.contains('\n'), "a record is one line: {line:?}");
        // The state must not be borrowed while the log is written.
        if let Some(chain) = self.0.chain.borrow().upgrade() {
            drop(chain.state());
        }
        self.0.log.borrow_mut().push(line.into());
    }
}

impl SharedQueues for Machine {
    fn register(&self, vm_id: &[u8], name: &[u8]) -> u32 {
        self.0.queues.borrow_mut().register_queue(MEMBER, vm_id, name)
    }

    fn resolve(&self, vm_id: &[u8], name: &[u8]) -> CallResult<u32> {
        self.0.queues.borrow().resolve_queue(vm_id, name)
    }

    fn enqueue(&self, token: u32, item: &[u8]) -> CallResult {
        self.0.queues.borrow_mut().enqueue(token, item)
    }

    fn dequeue(&self, token: u32) -> CallResult<Vec<u8>> {
        self.0.queues.borrow_mut().dequeue(token)
    }

    fn take_ready(&self) -> Vec<u32> {
        self.0.queues.borrow_mut().take_ready(MEMBER).into()
    }
}

/// A chain of one plugin under test.
pub(crate) struct Bed {
    pub(crate) chain: Rc<Chain<ScriptedFilter>>,
    trace: Trace,
    clocks: Rc<Clocks>,
}

impl Bed {
    /// A started plugin with Envoy's defaults, except that nothing is added to the requests.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same with other settings.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::of(AbiVersion::V0_2_1, change)
    }

    /// The same with another version of the ABI.
    pub(crate) fn of(version: AbiVersion, change: impl FnOnce(&mut Settings)) -> Self {
        let bed = Self::unstarted(version, change);
        bed.chain.start().expect("it starts");
        bed.trace();
        bed
    }

    /// The same on a host of other limits.
    pub(crate) fn on_host(capabilities: Capabilities) -> Self {
        let bed = Self::machines_of(capabilities, &[""], AbiVersion::V0_2_1, |_| {});
        bed.chain.start().expect("it starts");
        bed
    }

    /// A plugin that has not started.
    pub(crate) fn unstarted(version: AbiVersion, change: impl FnOnce(&mut Settings)) -> Self {
        Self::machines(&[""], version, change)
    }

    /// The same, started.
    pub(crate) fn chain(prefixes: &[&'static str], plugins: &[u32], change: impl FnOnce(&mut Settings)) -> Self {
        let bed = Self::unstarted_chain(prefixes, plugins, change);
        bed.chain.start().expect("it starts");
        bed
    }

    /// A chain: for each prefix a virtual machine, whose filter's lines in the trace begin with it, and for each
    /// of these numbers a plugin of that virtual machine.
    pub(crate) fn unstarted_chain(
        prefixes: &[&'static str],
        plugins: &[u32],
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::machines(prefixes, AbiVersion::V0_2_1, |settings| {
            let plugin = settings.plugins[0].clone();
            let named =
                |(index, vm): (usize, &u32)| PluginSettings { vm: *vm, name: format!("p{index}"), ..plugin.clone() };
            settings.plugins = plugins.iter().enumerate().map(named).collect();
            change(settings);
        })
    }

    fn machines(prefixes: &[&'static str], version: AbiVersion, change: impl FnOnce(&mut Settings)) -> Self {
        Self::machines_of(WASI_HTTP, prefixes, version, change)
    }

    fn machines_of(
        capabilities: Capabilities,
        prefixes: &[&'static str],
        version: AbiVersion,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = Settings {
            plugins: vec![PluginSettings { name: "p".into(), log_level: 2, ..PluginSettings::default() }],
            connection: Connection { forwarded_proto: false, request_id: false, ..Connection::default() },
            ..Settings::default()
        };
        settings.set_upstream(Origin { tls: false, authority: "up".into() }, 15_000);
        change(&mut settings);
        let clocks = Rc::new(Clocks::default());
        let machine = Box::new(Machine(clocks.clone(), capabilities));
        let trace = Trace::default();
        let chain = Rc::new_cyclic(|chain| {
            let filter =
                |prefix: &&'static str| (version, ScriptedFilter::new(Weak::clone(chain), prefix, trace.clone()));
            Chain::new(settings, machine, prefixes.iter().map(filter).collect())
        });
        *clocks.chain.borrow_mut() = Rc::downgrade(&chain);
        Self { chain, trace, clocks }
    }

    // The script.

    /// Sets the filter's script for this callback, and its return value.
    pub(crate) fn on(&self, callback: Id, script: impl Fn(&Call<'_>) -> u32 + 'static) {
        self.on_vm(0, callback, script);
    }

    /// Sets the script of this virtual machine's filter for this callback, and its return value.
    pub(crate) fn on_vm(&self, vm: usize, callback: Id, script: impl Fn(&Call<'_>) -> u32 + 'static) {
        self.chain.guests()[vm].scripts.borrow_mut().insert(callback as usize, Rc::new(script));
    }

    /// Sets the return values of this callback: each value once, the last one from then on.
    pub(crate) fn returns<const N: usize>(&self, callback: Id, values: [u32; N]) {
        let next = Cell::new(0);
        self.on(callback, move |_| {
            let value = values[next.get()];
            next.set((next.get() + 1).min(N - 1));
            value
        });
    }

    /// The filter does not export this callback.
    pub(crate) fn lacks(&self, callback: Id) {
        self.filter().missing.borrow_mut().push(callback);
    }

    /// Sets the script of the module's start function.
    pub(crate) fn at_start(&self, script: impl Fn(&mut ChainState) + 'static) {
        *self.filter().start.borrow_mut() = Some(Box::new(script));
    }

    /// Runs this as the filter, for another stream: what a timer or a callout's answer would do. The other stream is
    /// opened and closed for it, and does not show in the trace.
    pub(crate) fn elsewhere(&self, script: impl Fn(&Call<'_>) + 'static) {
        const MUTED: [Id; 4] = [Id::RequestHeaders, Id::Log, Id::Done, Id::Delete];
        let before = self.trace();
        self.on(Id::ContextCreate, move |call| {
            script(call);
            0
        });
        self.filter().missing.borrow_mut().extend(MUTED);
        let other = self.chain.open(Request { path: b"/".into(), ..Request::default() }, false);
        self.chain.close(other);
        self.filter().scripts.borrow_mut().remove(&(Id::ContextCreate as usize));
        let kept = self.filter().missing.borrow().len() - MUTED.len();
        self.filter().missing.borrow_mut().truncate(kept);
        let after = self.trace();
        *self.trace.borrow_mut() = before.into_iter().chain(after.into_iter().skip(1)).collect();
    }

    // Events.

    /// A request of these header lines.
    pub(crate) fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], end: bool) -> u32 {
        self.chain.open(self.request(method, path, headers), end)
    }

    /// `POST /p` by HTTP/2, its body to come.
    pub(crate) fn post_http2(&self) -> u32 {
        self.chain.open(Request { http2: true, ..self.request("POST", "/p", &[]) }, false)
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Request<'static> {
        let owned = |text: &str| text.as_bytes().to_vec().into();
        Request {
            method: owned(method),
            path: owned(path),
            authority: b"h".into(),
            scheme: b"http".into(),
            headers: headers.iter().map(|(name, value)| (owned(name), owned(value))).collect(),
            id: std::array::from_fn(|_| {
                self.clocks.next_id_byte.replace(self.clocks.next_id_byte.get().wrapping_add(1))
            }),
            received: None,
            http2: false,
        }
    }

    /// `GET /p`
    pub(crate) fn get(&self) -> u32 {
        self.open("GET", "/p", &[], true)
    }

    /// `POST /p`, its body to come.
    pub(crate) fn post(&self) -> u32 {
        self.open("POST", "/p", &[], false)
    }

    /// The head of a 200 response.
    pub(crate) fn respond(&self, id: u32, headers: &[(&str, &str)], end: bool) {
        let pairs = [(":status", "200")].into_iter().chain(headers.iter().copied());
        self.chain.headers(id, RESPONSE, HeaderMap::from_pairs(Kind::Response, pairs), end);
    }

    pub(crate) fn data(&self, id: u32, direction: Direction, bytes: &str, end: bool) {
        self.chain.data(id, direction, bytes.into(), end);
    }

    /// The body as HTTP/1.1 brings it: these pieces, then the end.
    pub(crate) fn body(&self, id: u32, direction: Direction, pieces: &[&str]) {
        for piece in pieces {
            self.data(id, direction, piece, false);
        }
        self.data(id, direction, "", true);
    }

    pub(crate) fn trailers(&self, id: u32, direction: Direction, trailers: &[(&str, &str)]) {
        let trailers = HeaderMap::from_pairs(Kind::Trailers, trailers.iter().copied());
        self.chain.trailers(id, direction, trailers);
    }

    pub(crate) fn set_clocks(&self, wall: u64, monotonic: u64) {
        self.clocks.wall.set(wall);
        self.clocks.monotonic.set(monotonic);
        self.chain.time_passed();
    }

    /// Another instance puts an item into a queue that the machine keeps for all of them.
    pub(crate) fn enqueue_elsewhere(&self, token: u32, item: &[u8]) {
        self.clocks.queues.borrow_mut().enqueue(token, item).expect("there is such a queue");
    }

    // Effects.

    /// The callbacks and notes since the last look.
    pub(crate) fn trace(&self) -> Vec<String> {
        self.trace.take()
    }

    /// The same without the callbacks.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.trace().iter().filter_map(|line| line.strip_prefix("  ").map(str::to_string)).collect()
    }

    /// The same without the notes.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.trace().into_iter().filter(|line| !line.starts_with(' ')).collect()
    }

    /// The effects for the edge, since the last look.
    pub(crate) fn effects(&self, id: u32) -> Vec<String> {
        std::iter::from_fn(|| self.chain.next_effect(id)).map(|effect| show::effect(&effect)).collect()
    }

    /// The same as values.
    pub(crate) fn raw_effects(&self, id: u32) -> Vec<Effect> {
        std::iter::from_fn(|| self.chain.next_effect(id)).collect()
    }

    /// How often the monotonic clock was read since the last look.
    pub(crate) fn clock_reads(&self) -> u32 {
        self.clocks.reads.take()
    }

    /// The filter's log.
    pub(crate) fn log(&self) -> Vec<String> {
        self.clocks.log.take()
    }

    fn filter(&self) -> &ScriptedFilter {
        &self.chain.guests()[0]
    }
}
