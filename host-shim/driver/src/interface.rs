//! The parts of `proxy-wasm:adapter` that are the same on every edge. Every edge has types of its own for them, with the same
//! fields: so they stand here, as macros over these types. And what hosts of `wasi:http` let a component send.

use proxy_wasm_abi::{
    http2,
    limits::{HEADER_ENTRY_BYTES, HEADERS_MAX_BYTES},
};
use proxy_wasm_semantics::Capabilities;

/// The limits of hosts of `wasi:http`, whatever its version.
pub const CAPABILITIES: Capabilities = Capabilities {
    head_max_bytes: HEADERS_MAX_BYTES,
    header_entry_bytes: HEADER_ENTRY_BYTES,
    statuses: (200, 999),
    // Those that all hosts forbid. Wasmtime forbids more, jco does not.
    forbidden: &["connection", "host", "keep-alive", http2::FIELD],
};

/// Implements `SharedData` and `SharedQueues` for a `Host`, by an edge's bindings of the interface `shared`.
#[macro_export]
macro_rules! shared {
    ($Host:ident, $($shared:ident)::+) => {
        fn shared_status(error: $($shared)::+::Error) -> proxy_wasm_abi::enums::Status {
            use proxy_wasm_abi::enums::Status;
            use $($shared)::+::Error;
            match error {
                Error::NotFound => Status::NotFound,
                Error::CasMismatch => Status::CasMismatch,
                Error::Empty => Status::Empty,
                Error::Full => Status::InternalFailure,
            }
        }

        impl proxy_wasm_semantics::SharedData for $Host {
            fn get(&self, vm_id: &[u8], key: &[u8]) -> proxy_wasm_semantics::CallResult<(Vec<u8>, u32)> {
                $($shared)::+::get(vm_id, key).ok_or(proxy_wasm_abi::enums::Status::NotFound)
            }

            fn set(&self, vm_id: &[u8], key: &[u8], value: &[u8], expected: u32) -> proxy_wasm_semantics::CallResult {
                $($shared)::+::set(vm_id, key, value, expected).map_err(shared_status)
            }
        }

        impl proxy_wasm_semantics::SharedQueues for $Host {
            fn register(&self, vm_id: &[u8], name: &[u8]) -> u32 {
                $($shared)::+::register_queue(vm_id, name)
            }

            fn resolve(&self, vm_id: &[u8], name: &[u8]) -> proxy_wasm_semantics::CallResult<u32> {
                $($shared)::+::resolve_queue(vm_id, name).ok_or(proxy_wasm_abi::enums::Status::NotFound)
            }

            fn enqueue(&self, token: u32, item: &[u8]) -> proxy_wasm_semantics::CallResult {
                $($shared)::+::enqueue(token, item).map_err(shared_status)
            }

            fn dequeue(&self, token: u32) -> proxy_wasm_semantics::CallResult<Vec<u8>> {
                $($shared)::+::dequeue(token).map_err(shared_status)
            }

            fn take_ready(&self) -> Vec<u32> {
                $($shared)::+::ready_queues()
            }
        }
    };
}

/// Defines `stats` and `remains`, from what the chain has of a filter's metrics and of an exchange that ended to the types of
/// an edge's interface `plugin`.
#[macro_export]
macro_rules! reports {
    ($($plugin:ident)::+) => {
        pub(crate) fn stats(changes: Vec<proxy_wasm_semantics::Change>) -> Vec<$($plugin)::+::Stat> {
            use proxy_wasm_semantics::ChangeKind;
            use $($plugin)::+::{HistogramChange, Stat, StatChange};
            let stat = |change: proxy_wasm_semantics::Change| Stat {
                name: change.name,
                change: match change.kind {
                    ChangeKind::Counter(increase) => StatChange::Counter(increase),
                    ChangeKind::Gauge(value) => StatChange::Gauge(value),
                    ChangeKind::Histogram { buckets, sum } => StatChange::Histogram(HistogramChange { buckets, sum }),
                },
            };
            changes.into_iter().map(stat).collect()
        }

        pub(crate) fn remains(remains: proxy_wasm_semantics::Remains) -> $($plugin)::+::Remains {
            let request = remains.request.iter().flat_map(proxy_wasm_semantics::HeaderMap::iter);
            $($plugin)::+::Remains {
                request: request.map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
                details: remains.details,
                response_flags: remains.flags,
                properties: remains.properties,
            }
        }
    };
}
