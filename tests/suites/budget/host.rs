//! The least host of `wasi:http` 0.2 that counts instructions: it has no sockets, and an upstream that always answers the same.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::oneshot;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

/// A component, compiled so that its instructions are counted.
pub(crate) struct Counted {
    pre: ProxyPre<State>,
}

/// One instance of it.
pub(crate) struct Instance {
    store: Store<State>,
    proxy: Proxy,
}

/// What a request cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) instructions: u64,
}

impl Counted {
    pub(crate) fn new(component: &[u8]) -> Result<Self> {
        let mut config = Config::new();
        config.consume_fuel(true);
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, component)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi_http::p2::add_to_linker_async(&mut linker)?;
        Ok(Self { pre: ProxyPre::new(linker.instantiate_pre(&component)?)? })
    }

    /// A new instance, and what it took to make it.
    pub(crate) async fn instance(&self, upstream: &Bytes) -> Result<(Instance, Cost)> {
        let mut store = Store::new(self.pre.engine(), State::new(upstream.clone()));
        store.set_fuel(u64::MAX)?;
        let proxy = self.pre.instantiate_async(&mut store).await?;
        let cost = Cost { instructions: u64::MAX - store.get_fuel()? };
        Ok((Instance { store, proxy }, cost))
    }
}

impl Instance {
    /// Has it answer a request.
    pub(crate) async fn answer(&mut self, request: Request<Bytes>) -> Result<(Response<Bytes>, Cost)> {
        self.store.set_fuel(u64::MAX)?;
        let request = request.map(Full::new);
        let (to, mut answer) = oneshot::channel();
        let mut http = self.store.data_mut().http();
        let request = http.new_incoming_request(Scheme::Http, request)?;
        let out = http.new_response_outparam(to)?;
        let handler = self.proxy.wasi_http_incoming_handler();
        let called = handler.call_handle(&mut self.store, request, out);
        let read = async {
            let response = (&mut answer).await.context("no answer")?;
            let (head, body) = response.map_err(|code| anyhow::anyhow!("{code:?}"))?.into_parts();
            let body = body.collect().await.map_err(|error| anyhow::anyhow!("{error:?}"))?.to_bytes();
            anyhow::Ok(Response::from_parts(head, body))
        };
        let (called, response) = tokio::join!(called, read);
        called?;
        Ok((response?, Cost { instructions: u64::MAX - self.store.get_fuel()? }))
    }
}

pub(crate) struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Upstream,
}

impl State {
    fn new(upstream: Bytes) -> Self {
        Self {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            hooks: Upstream(upstream),
        }
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

/// Answers every request with this body, when it has read the request's.
struct Upstream(Bytes);

type Sent = wasmtime_wasi_http::Result<(Response<WasiBody>, Box<dyn Future<Output = Done> + Send>)>;
type Done = wasmtime_wasi_http::Result<()>;

impl WasiHttpHooks for Upstream {
    fn is_forbidden_header(&mut self, _: &HeaderName) -> bool {
        false
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|_| false)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let body = self.0.clone();
        Box::new(async move {
            request.into_body().collect().await?;
            let response = Response::builder().header("content-length", body.len()).header("server", "upstream");
            let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
            let response = response.body(body).map_err(|_| Error::HttpProtocolError)?;
            Ok((response, Box::new(std::future::ready(Ok(()))) as _))
        })
    }
}
