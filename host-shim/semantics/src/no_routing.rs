//! No table of routes: what `routing/` is in the smaller shim, which reads none.

use proxy_wasm_abi::{enums::Status, settings::Settings};

use crate::{
    environment::{Capabilities, Host},
    headers::HeaderMap,
    local_reply::LocalReply,
    router::Destination,
    stream::Stream,
};

#[derive(Debug, Default)]
pub(crate) struct Routing {}

#[derive(Debug, Default)]
pub(crate) struct Choice {}

impl Choice {
    pub(crate) fn clear(&mut self) {}
}

impl Routing {
    pub(crate) fn choose(&self, _: &Settings, _: &Stream, _: &dyn Host) {}

    pub(crate) fn route(
        &self,
        _: &Settings,
        _: &mut Stream,
        _: &dyn Host,
        _: &mut HeaderMap,
        _: Capabilities,
    ) -> Option<Result<(Destination, u64), LocalReply>> {
        None
    }

    pub(crate) fn respond(&self, _: &Settings, _: &Stream, _: &mut HeaderMap) {}

    pub(crate) fn respond_locally(&self, _: &Settings, _: &Stream, _: &mut Vec<(Vec<u8>, Vec<u8>)>, _: &str) {}

    pub(crate) fn property(
        &self,
        _: &Settings,
        _: &Stream,
        _: &dyn Host,
        _: &[&str],
    ) -> Option<Result<Vec<u8>, Status>> {
        None
    }
}
