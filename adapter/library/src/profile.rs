//! What `--profile permissive` takes of filters that were made for Envoy's kin: Higress's marker counts as ABI 0.2.1, and
//! its host calls link.

use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_abi::higress::{self, HostCall};
use proxy_wasm_abi::settings::Profile;

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
