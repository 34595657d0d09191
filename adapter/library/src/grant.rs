//! Grants plugins what the ABI of their filters promises, under `--profile permissive`.

use proxy_wasm_abi::settings::{Profile, Settings};

use crate::abi::Abi;
use crate::chain::Chain;
use crate::check;

/// Grants the plugins what their filters' ABI promises. Source: Higress, whose Envoy widens `StopIteration` for the markers
/// of proxy-wasm only.
pub(crate) fn grant(chain: &Chain<'_>, settings: &mut Settings) {
    let profile = settings.upkeep.profile;
    if profile != Profile::Permissive {
        return;
    }
    for vm in &chain.vms {
        let facts = chain.filters.get(vm.filter).and_then(|filter| check::open(filter.bytes).ok());
        if facts.is_some_and(|facts| Abi::of(&facts, profile).is_higress()) {
            for index in &vm.plugins {
                if let Some(plugin) = settings.plugins.get_mut(*index) {
                    plugin.allow_on_headers_stop_iteration = true;
                }
            }
        }
    }
}
