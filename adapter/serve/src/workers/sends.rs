//! For which of its requests an instance sends one.
//!
//! `wasmtime-wasi-http` has this host send something, and does not say for whom. The component's call stack does: at its end
//! is the call of `handle`, whichever part of a composed component sends.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, GuestTaskId, Linker, Resource};
use wasmtime_wasi_http::p3::bindings::http::client::HostWithStore;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};

use crate::record::Record;
use crate::state::State;

/// The interface, as `wasmtime-wasi-http` names it.
const CLIENT: &str = "wasi:http/client@0.3.0";

/// The requests of an instance by the calls that they are.
#[derive(Debug, Default)]
pub(crate) struct Calls(BTreeMap<GuestTaskId, Weak<Record>>);

impl Calls {
    /// This call is for that request.
    pub(super) fn begin(&mut self, task: GuestTaskId, record: &Arc<Record>) {
        self.0.retain(|_, record| record.strong_count() > 0);
        self.0.insert(task, Arc::downgrade(record));
    }

    fn request(&self, task: GuestTaskId) -> Option<Arc<Record>> {
        self.0.get(&task)?.upgrade()
    }
}

/// Replaces the function that sends.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(CLIENT)?.func_wrap_concurrent("send", |store, (request,)| Box::pin(send(store, request)))?;
    linker.allow_shadowing(false);
    Ok(())
}

type Sent = Result<Resource<Response>, ErrorCode>;

async fn send(store: &Accessor<State>, request: Resource<Request>) -> wasmtime::Result<(Sent,)> {
    store.with(|mut store| -> wasmtime::Result<()> {
        let mut store = store.as_context_mut();
        let called = store.async_call_stack()?.last();
        let state = store.data_mut();
        let record = called.and_then(|task| state.calls.request(task));
        state.sends_for(record);
        Ok(())
    })?;
    // It is handed to the client before anybody else can send, or refused.
    let sent = HostWithStore::send(&store.with_getter::<WasiHttp>(State::http), request).await;
    store.with(|mut store| store.as_context_mut().data_mut().sends_for(None));
    match sent {
        Ok(response) => Ok((Ok(response),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}
