//! Names to resolve, which is Envoy's own addition to the ABI.
//!
//! The `wasi:http` proxy world has no DNS: an address is its own answer, and a name is told as one that has none.

use std::{collections::VecDeque, net::IpAddr};

use proxy_wasm_abi::callbacks::Id;

use crate::{
    chain::Chain,
    environment::Guest,
    state::{CallId, ChainState},
};

/// The token before the first one. Source: Envoy's `Wasm::nextDnsToken`, which counts from 1 on and adds first.
const BEFORE_FIRST: u32 = 1;

/// The names that a virtual machine asked for.
#[derive(Debug, Default)]
pub(crate) struct Dns {
    asked: u32,
    answers: VecDeque<(CallId, Vec<u8>)>,
    /// The bytes that the filter's callback can read.
    pub(crate) answer: Option<Vec<u8>>,
}

impl Dns {
    /// Whether the filter was not told of an answer.
    pub(crate) fn is_busy(&self) -> bool {
        !self.answers.is_empty()
    }
}

impl ChainState {
    /// `envoy_resolve_dns`: the token by which `envoy_on_resolve_dns` brings the answer.
    pub fn resolve_dns(&mut self, name: &[u8]) -> u32 {
        let plugin = self.plugin_index();
        let dns = &mut self.vm_mut().dns;
        dns.asked = dns.asked.wrapping_add(1);
        let token = dns.asked.wrapping_add(BEFORE_FIRST);
        dns.answers.push_back((CallId { plugin, token }, answer(name)));
        token
    }
}

/// A number of addresses, the seconds that each may be kept, and the addresses with a port, each ended by NUL. Source:
/// Envoy's `Context::onResolveDns`.
fn answer(name: &[u8]) -> Vec<u8> {
    const NONE: u32 = 0;
    const ONE: u32 = 1;
    const SECONDS: u32 = 0;
    let (before, after): (&[u8], &[u8]) = match std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()) {
        Some(IpAddr::V4(_)) => (b"", b":0\0"),
        Some(IpAddr::V6(_)) => (b"[", b"]:0\0"),
        None => return NONE.to_le_bytes().to_vec(),
    };
    [&ONE.to_le_bytes(), &SECONDS.to_le_bytes(), before, name, after].concat()
}

impl<G: Guest> Chain<G> {
    /// Hands filters the answers, but those to what they ask for in turn; tells whether there were any.
    pub fn answer_dns(&self) -> bool {
        let waiting: usize = self.state.borrow().vms.iter().map(|vm| vm.dns.answers.len()).sum();
        for _ in 0..waiting {
            let next = self.state.borrow_mut().vms.iter_mut().find_map(|vm| vm.dns.answers.pop_front());
            let Some((id, answer)) = next else { break };
            let size = answer.len() as u32;
            self.state.borrow_mut().vm_of(id).dns.answer = Some(answer);
            let actions = self.call_root(id.plugin, Id::ResolveDns, &[id.token, size]);
            self.state.borrow_mut().vm_of(id).dns.answer = None;
            self.act(actions);
        }
        waiting > 0
    }
}
