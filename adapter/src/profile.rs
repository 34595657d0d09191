//! What `--profile permissive` takes of filters that were made for Envoy's kin: Higress's marker counts as ABI 0.2.1, and
//! its host calls link.

use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_abi::higress::{self, HostCall};
use proxy_wasm_abi::settings::{Plugin, Profile};

use crate::abi::Abi;
use crate::chain::Chain;
use crate::check;
use crate::facts::Signature;

/// The version that a marker stands for.
pub(crate) fn version(marker: &str, profile: Profile) -> Option<AbiVersion> {
    let known = AbiVersion::ALL.into_iter().find(|known| known.marker() == marker);
    known.or((profile == Profile::Permissive && marker == higress::MARKER).then_some(AbiVersion::V0_2_1))
}

/// The type of a host call of Higress's.
pub(crate) fn signature(call: &HostCall) -> Signature {
    Signature::i32s(call.params, 1)
}

/// The host call of Higress's that an import means, where such are taken.
pub(crate) fn host_call(module: &str, name: &str, profile: Profile) -> Option<&'static HostCall> {
    HostCall::find(module, name).filter(|_| profile == Profile::Permissive)
}

/// Grants the plugins what their filters' ABI promises. Source: Higress, whose Envoy widens `StopIteration` for the markers
/// of proxy-wasm only.
pub(crate) fn grant(chain: &Chain<'_>, profile: Profile, plugins: &mut [Plugin]) {
    if profile != Profile::Permissive {
        return;
    }
    for vm in &chain.vms {
        let facts = chain.filters.get(vm.filter).and_then(|filter| check::open(filter.bytes).ok());
        if facts.is_some_and(|facts| Abi::of(&facts, profile).is_higress()) {
            for index in &vm.plugins {
                if let Some(plugin) = plugins.get_mut(*index) {
                    plugin.allow_on_headers_stop_iteration = true;
                }
            }
        }
    }
}
