//! Every limit, with its unit, reason and source.

/// Bytes of a serialized map that a filter hands over; a larger one counts as empty. Source: Envoy's
/// `PROXY_WASM_HOST_PAIRS_MAX_BYTES`.
pub const PAIRS_MAX_BYTES: usize = 1024 * 1024;

/// Pairs in a serialized map that a filter hands over; more count as an empty map. Source: Envoy's
/// `PROXY_WASM_HOST_PAIRS_MAX_COUNT`.
pub const PAIRS_MAX_COUNT: usize = 1024;

/// Bytes of one `random_get`; more is `EINVAL`. Source: Envoy's `PROXY_WASM_HOST_WASI_RANDOM_GET_MAX_SIZE_BYTES`.
pub const RANDOM_MAX_BYTES: u32 = 64 * 1024;

/// Bytes of one body that are held for a filter that asked to buffer, unless the settings say otherwise; past it the
/// answer is 413 (request) or 500 (response). Source: Envoy's `per_connection_buffer_limit_bytes`.
pub const BUFFER_LIMIT_BYTES: u32 = 1024 * 1024;

/// Bytes of one body of an exchange by HTTP/2 that are held, whatever the settings say of bodies. Source: Envoy's
/// `initial_stream_window_size`, by default; measured. Only a host that says by what a request came makes the difference.
pub const HTTP2_BUFFER_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of bodies that filters hold at once, by whichever value, over all exchanges of an instance; past it the answers are 413
/// and 500. Reason: Envoy has no limit, and clients of HTTP/2 could take all memory that an instance has, which ends all of its
/// exchanges.
pub const HELD_MAX_BYTES: usize = 256 * 1024 * 1024;

/// Milliseconds without any progress on a stream until it is answered 408 or 504. Source: Envoy's
/// `stream_idle_timeout`.
pub const STREAM_IDLE_TIMEOUT_MS: u64 = 300_000;

/// Milliseconds from the end of the request to the end of the upstream's response. Source: Envoy's route `timeout`.
pub const UPSTREAM_TIMEOUT_MS: u64 = 15_000;

/// Bytes of a head that a filter sends on; past it the answer is 500. Reason: Wasmtime traps a component whose `fields`
/// pass 128 KiB by its count, which is that of [`HEADER_ENTRY_BYTES`].
pub const HEADERS_MAX_BYTES: usize = 120 * 1024;

/// Bytes that each header counts on top of its name and value.
pub const HEADER_ENTRY_BYTES: usize = 80;

/// Bytes of a callout's response; a larger one comes back as none. Source: Envoy's `http.async_response_buffer_limit`.
pub const CALLOUT_RESPONSE_MAX_BYTES: usize = 32 * 1024 * 1024;

/// Callouts of one VM that have not come back; more are answered 503. Source: the `max_requests` of Envoy's circuit
/// breaker, which counts each cluster by itself.
pub const CALLOUTS_MAX: usize = 1024;

/// Answers to callouts that a stream gets while it waits for nothing else and stands where it stood; then it is given up as
/// after the idle timeout. Reason: Envoy has no limit, and a filter that answers each callout with another one keeps its host
/// busy.
pub const CALLOUT_ROUNDS_MAX: u32 = 100_000;

/// Bytes of one message that comes back from a gRPC callout; a larger one ends it with `INTERNAL` (13). Reason: Envoy has
/// no limit, and a server could end the host.
pub const GRPC_MESSAGE_MAX_BYTES: usize = 32 * 1024 * 1024;

/// Requests that an instance of a component for WASI 0.3 has at once, unless `instance_concurrency` says otherwise: more go to
/// other instances, or wait. Reason: a trap ends all of an instance.
pub const INSTANCE_CONCURRENCY: u32 = 16;

/// Digits of a `grpc-timeout`. Source: `TimeoutValue` of gRPC over HTTP/2.
pub const GRPC_TIMEOUT_DIGITS_MAX: usize = 8;

/// Milliseconds that an instance stays for callouts which outlive the request that it was started for. A callout that
/// is not back by then goes on with the next request, where the host sends it one. Reason: Envoy's workers stay.
pub const CALLOUT_LINGER_MS: u64 = 15_000;

/// Bytes that the foreign function `uncompress` makes; more is `INTERNAL_FAILURE`. Reason: Envoy has no limit, and a few
/// bytes can stand for gigabytes.
pub const UNCOMPRESSED_MAX_BYTES: usize = 32 * 1024 * 1024;

/// Milliseconds that the start of a plugin waits for callouts: those of its `proxy_on_configure` and those of the ticks
/// that run at once, all together. A callout that is not back by then goes on with the first
/// request.
pub const START_WAIT_MS: u64 = 15_000;

/// Bytes of shared data and of the items in shared queues, keys included, that a VM keeps; past it the answer is
/// `INTERNAL_FAILURE`. Reason: Envoy has no limit, and a filter that only adds would end the host.
pub const SHARED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Metrics of an instance, by name and type; past it the answer is `INTERNAL_FAILURE`. After so many definitions of one VM, a
/// metric that is defined once more keeps its id. Reason: Envoy has no limit, and each costs memory.
pub const METRICS_MAX: usize = 100_000;

/// Upper bounds of a histogram's buckets, each within its bucket. Source: Envoy's, as its `/stats/prometheus` shows them.
pub const HISTOGRAM_BOUNDS: [f64; 19] =
    [0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 1.8e6, 3.6e6];

/// Entries of a filter's function table that Wasmtime's pooling allocator takes at its defaults.
pub const POOLED_TABLE_ELEMENTS: u64 = 20_000;

/// Bytes of one log record; the rest of a longer one is left out. Reason: a filter can log its whole memory.
pub const LOG_MAX_BYTES: u32 = 64 * 1024;

/// Vectors of one `fd_write`; more is `EINVAL`. Reason: POSIX's `IOV_MAX`, and a bound on one call's work.
pub const IOVECS_MAX_COUNT: u32 = 1024;

/// Bytes of an expression in CEL; a longer one is none (`BAD_ARGUMENT`). Reason: what its parser makes of it is as deep as
/// it is long. Envoy takes 100,000 code points.
pub const EXPRESSION_MAX_BYTES: usize = 8 * 1024;

/// Levels of an expression; a deeper one is none. Source: Envoy's parser, whose `max_recursion_depth`
/// counts a few of them otherwise.
pub const EXPRESSION_DEPTH_MAX: usize = 32;

/// Bytes of all expressions that a plugin keeps; past it the answer is `INTERNAL_FAILURE`. Reason: Envoy has no limit, and
/// each byte costs some hundred.
pub const EXPRESSIONS_MAX_BYTES: usize = 1024 * 1024;

/// Times that all loops of an expression go round; past it the answer is `INTERNAL_FAILURE`. Source: Envoy's
/// `comprehension_max_iterations`.
pub const EXPRESSION_ITERATIONS_MAX: usize = 10_000;

/// Steps of an evaluation: parts of the expression that are evaluated, elements that are compared or copied, and some
/// bytes each; past it the answer is `INTERNAL_FAILURE`. Reason: Envoy has no limit, and strings can be doubled.
pub const EXPRESSION_STEPS_MAX: usize = 1_000_000;
