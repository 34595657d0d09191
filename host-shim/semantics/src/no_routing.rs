//! No table of routes: what `routing/` is in the smaller shim, which reads none.

use proxy_wasm_abi::{
    enums::Status,
    settings::{Cluster, Origin, Settings},
};

use crate::{
    environment::{Capabilities, Host},
    headers::HeaderMap,
    local_reply::LocalReply,
    router::{ChainEnd, Destination},
    stream::Stream,
};

#[derive(Debug, Default)]
pub(crate) struct Routing {}

#[derive(Debug, Default)]
pub(crate) struct Choice {}

impl Choice {
    pub(crate) fn clear(&mut self) {}

    pub(crate) fn tell_client_of_failure(&self, _: &mut Vec<(Vec<u8>, Vec<u8>)>) {}

    pub(crate) fn attempts(&self) -> Option<u32> {
        None
    }
}

impl Routing {
    pub(crate) const ANSWERS_PREFLIGHTS: bool = false;

    pub(crate) fn endpoint(&self, _: &Settings, cluster: &Cluster, _: &dyn Host) -> Origin {
        cluster.origin.clone()
    }

    pub(crate) fn speaks_http2(&self, _: &Settings, _: &Origin) -> bool {
        false
    }

    pub(crate) fn choose(&self, _: &Settings, _: &HeaderMap, _: &dyn Host) -> Choice {
        Choice::default()
    }

    pub(crate) fn leaves_out(&self, _: &Settings, _: &Choice, _: usize) -> bool {
        false
    }

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

    pub(crate) fn ask(&self, _: &Settings, _: &mut Stream, _: &dyn Host, _: ChainEnd) -> Option<HeaderMap> {
        None
    }

    pub(crate) fn tell(&self, _: &Settings, _: &mut Stream, _: ChainEnd) {}

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
