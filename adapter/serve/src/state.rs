//! What a store holds: WASI, HTTP, limits.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::HeaderName;
use http_body_util::BodyExt;
use proxy_wasm_adapter_embed::memory::MemoryLimit;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{
    Error as HttpError, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use super::departure::Notice;
use super::logs::Lines;
use super::options::FIELDS_LIMIT_BYTES;
use super::outgoing::{Client, Purpose, Sender};
use super::record::Record;
use super::shared::Member;
use super::target::{RawTarget, Targets};
use super::workers::Calls;
use super::{fields, http2};

/// The data of one store.
pub(super) struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    pub(super) shared: Member,
    pub(super) notice: Notice,
    pub(super) targets: Targets,
    /// Of an instance that has several requests at once.
    pub(super) calls: Calls,
    pub(super) memory: MemoryLimit,
}

impl State {
    pub(super) fn new(
        client: Arc<Client>,
        abandoned: Arc<AtomicBool>,
        logs: [Lines; 2],
        shared: Member,
        memory: MemoryLimit,
    ) -> Self {
        let [stdout, stderr] = logs;
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS_LIMIT_BYTES);
        Self {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().stdout(stdout).stderr(stderr).build(),
            http,
            hooks: Hooks {
                client,
                sender: Sender { abandoned, depth: 0, record: None, purpose: Purpose::Unsaid },
                target: None,
                caller: None,
            },
            shared,
            notice: Notice::default(),
            targets: Targets::default(),
            calls: Calls::default(),
            memory,
        }
    }
}

impl State {
    /// What is sent from now on is sent during a request of this depth.
    pub(super) fn set_depth(&mut self, depth: u32) {
        self.hooks.sender.depth = depth;
    }

    /// What is sent from now on is sent for this request.
    pub(super) fn set_record(&mut self, record: Option<Arc<Record>>) {
        self.hooks.sender.record = record;
    }

    /// The request that is sent next is sent for this one.
    pub(super) fn sends_for(&mut self, record: Option<Arc<Record>>) {
        self.hooks.caller = record;
    }

    /// The request that is sent next has this target, and not the one in it.
    pub(super) fn sends(&mut self, target: Option<RawTarget>) {
        self.hooks.target = target;
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// Where `wasi:http` asks this host.
struct Hooks {
    client: Arc<Client>,
    sender: Sender,
    /// Of the request that is being sent, where it has no place for it.
    target: Option<RawTarget>,
    /// The request that it is sent for, where an instance has several.
    caller: Option<Arc<Record>>,
}

type Sent = wasmtime_wasi_http::Result<(http::Response<WasiBody>, Box<dyn Future<Output = Done> + Send>)>;
type Done = wasmtime_wasi_http::Result<()>;

impl WasiHttpHooks for Hooks {
    fn set_host_header(&mut self) -> bool {
        // The client knows whether the connection is HTTP/1, which alone has one.
        false
    }

    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let mut sender = self.sender.clone();
        sender.record = self.caller.take().or(sender.record);
        if let Some(target) = self.target.take() {
            request.extensions_mut().insert(target);
        }
        // Its place among others is that of this call.
        let sent = self.client.send(request, options.unwrap_or_default(), sender);
        Box::new(async move {
            let response = sent.await?.map(BodyExt::boxed_unsync);
            // The client's connections are driven by tasks of their own.
            Ok((response, Box::new(std::future::ready(Ok(()))) as _))
        })
    }

    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        // Only the client's side comes here: the upstream's errors were classified by `outgoing`.
        tracing::debug!(%error, "reading the request");
        if error.is_parse() { ErrorCode::HttpProtocolError } else { ErrorCode::ConnectionTerminated }
    }
}

/// Whether a component may not have this header in its own messages.
fn is_forbidden(name: &HeaderName) -> bool {
    *name != http2::HTTP2 && fields::is_forbidden(name)
}
