//! Additions to the ABI by Higress, a gateway made of Envoy. Filters made for it are taken with [`Profile::Permissive`] only,
//! and these host calls of theirs return `UNIMPLEMENTED` (12).
//!
//! [`Profile::Permissive`]: crate::settings::Profile::Permissive

use crate::bridge::AbiVersion;
use crate::settings::Profile;

/// The export that marks a filter of Higress's: ABI 0.2.1, but `StopIteration` holds the headers alone.
pub const MARKER: &str = "proxy_abi_version_0_2_100";

/// A host call of Higress's, imported from `env`. Its parameters and its result are of type `i32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCall {
    /// Its import name.
    pub name: &'static str,
    /// How many parameters it has.
    pub params: usize,
    /// Its purpose.
    pub about: &'static str,
}

impl HostCall {
    /// The host call that an import of this module and name means, where such are taken.
    pub fn find(module: &str, name: &str, profile: Profile) -> Option<&'static Self> {
        let known = HOST_CALLS.iter().find(|call| module == "env" && call.name == name);
        known.filter(|_| profile == Profile::Permissive)
    }
}

/// The version of the ABI that a filter's marker stands for, where filters of this profile are taken.
pub fn version(marker: &str, profile: Profile) -> Option<AbiVersion> {
    let known = AbiVersion::ALL.into_iter().find(|known| known.marker() == marker);
    known.or((profile == Profile::Permissive && marker == MARKER).then_some(AbiVersion::V0_2_1))
}

/// All of them.
pub const HOST_CALLS: &[HostCall] = &[
    HostCall { name: "proxy_redis_init", params: 7, about: "calls to Redis" },
    HostCall { name: "proxy_redis_call", params: 5, about: "calls to Redis" },
    HostCall { name: "proxy_inject_encoded_data_to_filter_chain", params: 3, about: "responses in pieces" },
    HostCall { name: "proxy_get_upstream_hosts", params: 2, about: "the upstream's hosts" },
    HostCall { name: "proxy_set_upstream_override_host", params: 2, about: "the upstream's hosts" },
];

/// The callbacks that Higress adds. They are never called.
pub const CALLBACKS: &[&str] = &["proxy_on_redis_call_response"];
