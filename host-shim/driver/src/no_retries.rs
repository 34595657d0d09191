//! No retries: what `retries.rs` is in the smaller shim, which has no table of routes to ask for them.

use proxy_wasm_semantics::{Guest, HeaderMap, UpstreamFailure};

use crate::turn::Driver;

#[derive(Default)]
pub(crate) struct Tries {}

pub(crate) enum Outcome<'a> {
    Head(#[allow(dead_code, reason = "nobody looks")] &'a HeaderMap),
    Failed(#[allow(dead_code, reason = "nobody looks")] UpstreamFailure),
}

impl Tries {
    pub(crate) fn deadline(&self) -> Option<u64> {
        None
    }

    pub(crate) fn is_waiting(&self) -> bool {
        false
    }

    pub(crate) fn is_kept(&self) -> bool {
        false
    }

    pub(crate) fn settle(&mut self) {}

    pub(crate) fn keep_end(&mut self, _: Option<&HeaderMap>) {}
}

impl<G: Guest> Driver<'_, G> {
    pub(crate) fn keep_head(&mut self, _: u32, _: &HeaderMap, _: bool) {}

    pub(crate) fn keep_data(&mut self, _: u32, _: &[u8]) {}

    pub(crate) fn start_try_timer(&mut self, _: u32) {}

    pub(crate) fn tries_again(&mut self, _: u32, _: Outcome<'_>) -> bool {
        false
    }

    pub(crate) fn expire_try(&mut self, _: u32, _: u64) -> bool {
        false
    }
}
