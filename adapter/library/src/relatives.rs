//! Names of the ABI's relatives: host calls and markers that proxy-wasm does not have, and whose they are.

use proxy_wasm_abi::higress;
use proxy_wasm_abi::settings::Profile;

/// Host calls that proxy-wasm has not, with whose they are.
const HOST_CALLS: &[(&str, &str)] = &[
    ("proxy_context_finalize", DRAFT),
    ("proxy_create_timer", DRAFT),
    ("proxy_delete_timer", DRAFT),
    ("proxy_get_buffer", DRAFT),
    ("proxy_set_buffer", DRAFT),
    ("proxy_get_map_values", DRAFT),
    ("proxy_set_map_values", DRAFT),
    ("proxy_resume_stream", DRAFT),
    ("proxy_resume_http_stream", DRAFT),
    ("proxy_send_http_response", DRAFT),
    ("proxy_dispatch_http_call", DRAFT),
    ("proxy_dispatch_grpc_call", DRAFT),
    ("proxy_open_grpc_stream", DRAFT),
    ("proxy_open_shared_kvstore", DRAFT),
    ("proxy_open_shared_queue", DRAFT),
    ("proxy_create_metric", DRAFT),
    ("proxy_call_custom_function", DRAFT),
];

const HIGRESS: &str = "Higress's";

/// Names of a next ABI that was drafted and never released.
const DRAFT: &str = "of a draft of the ABI, as in Kong";

/// Whose a host call is that proxy-wasm has not.
pub(crate) fn owner_of_host_call(module: &str, name: &str) -> Option<&'static str> {
    if higress::HostCall::find(module, name, Profile::Permissive).is_some() {
        return Some(HIGRESS);
    }
    let (_, owner) = HOST_CALLS.iter().find(|(known, _)| module == "env" && *known == name)?;
    Some(owner)
}

/// Whose ABI a marker stands for.
pub(crate) fn owner_of_marker(marker: &str) -> Option<&'static str> {
    if marker == higress::MARKER {
        Some(HIGRESS)
    } else if marker.starts_with("proxy_abi_mosn_version_") {
        Some("MOSN's")
    } else {
        None
    }
}
