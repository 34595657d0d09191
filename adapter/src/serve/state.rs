//! What a store holds: WASI, HTTP, limits.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::logs::Lines;
use super::options::FIELDS_LIMIT_BYTES;
use super::outgoing::Client;
use super::shared::Member;

/// The data of one store.
pub(super) struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    pub(super) shared: Member,
    pub(super) memory: MemoryLimit,
}

impl State {
    pub(super) fn new(
        client: Arc<Client>,
        abandoned: Arc<AtomicBool>,
        logs: [Lines; 2],
        shared: Member,
        memory: Option<usize>,
    ) -> Self {
        let [stdout, stderr] = logs;
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS_LIMIT_BYTES);
        Self {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().stdout(stdout).stderr(stderr).build(),
            http,
            hooks: Hooks { client, abandoned, depth: 0 },
            shared,
            memory: MemoryLimit { used: 0, limit: memory.unwrap_or(usize::MAX) },
        }
    }
}

impl State {
    /// What is sent from now on is sent during a request of this depth.
    pub(super) fn set_depth(&mut self, depth: u32) {
        self.hooks.depth = depth;
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
    /// Set when the instance is given up, so that an unfinished request is not taken for a finished one.
    abandoned: Arc<AtomicBool>,
    /// Of the request that is being served.
    depth: u32,
}

type Sent = wasmtime_wasi_http::Result<(http::Response<WasiBody>, Box<dyn Future<Output = Done> + Send>)>;
type Done = wasmtime_wasi_http::Result<()>;

impl WasiHttpHooks for Hooks {
    fn set_host_header(&mut self) -> bool {
        // The client knows whether the connection is HTTP/1, which alone has one.
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let client = self.client.clone();
        let abandoned = self.abandoned.clone();
        let depth = self.depth;
        Box::new(async move {
            let response = client.send(request, options.unwrap_or_default(), abandoned, depth).await?;
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

/// Bounds the memory of one instance, over all its core modules.
pub(super) struct MemoryLimit {
    used: usize,
    limit: usize,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let granted = used <= self.limit;
        if granted {
            self.used = used;
        } else {
            tracing::warn!(wanted = used, limit = self.limit, "an instance asked for more memory than --max-memory");
        }
        Ok(granted)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}
