//! The canonical built-ins, and the functions whose arguments are futures or streams, as core functions.

/// Memory for a result of any of them. The largest is `result<response, error-code>`, of 40 bytes; none needs to be aligned to
/// more than 8.
pub(super) type Value = [u64; 8];

/// A string, or bytes, in memory.
#[repr(C)]
pub(super) struct Text {
    pub(super) start: *const u8,
    pub(super) length: usize,
}

/// What became of a list of fields: a case, and a handle in the first; in the other the case of the error, and in the last of
/// these whether there is a text, and that.
pub(super) type MadeFields = [u32; 5];

// SAFETY: these are the core signatures that the canonical ABI gives to the functions of `wit/wasi03`; wit-component
// refuses a module that imports them otherwise.
#[link(wasm_import_module = "$root")]
unsafe extern "C" {
    #[link_name = "[waitable-set-new]"]
    pub(super) safe fn waitable_set_new() -> u32;
    #[link_name = "[waitable-set-drop]"]
    pub(super) safe fn waitable_set_drop(set: u32);
    #[link_name = "[waitable-join]"]
    pub(super) safe fn waitable_join(waitable: u32, set: u32);
    #[link_name = "[context-get-0]"]
    pub(super) safe fn context_get() -> u32;
    #[link_name = "[context-set-0]"]
    pub(super) safe fn context_set(value: u32);
    #[link_name = "[backpressure-inc]"]
    pub(super) safe fn backpressure_inc();
    #[link_name = "[backpressure-dec]"]
    pub(super) safe fn backpressure_dec();
    #[link_name = "[subtask-cancel]"]
    pub(super) safe fn subtask_cancel(subtask: u32) -> u32;
    #[link_name = "[subtask-drop]"]
    pub(super) safe fn subtask_drop(subtask: u32);
    #[link_name = "[stream-new-unit]"]
    pub(super) safe fn wake_new() -> u64;
    #[link_name = "[async-lower][stream-read-unit]"]
    pub(super) fn wake_read(stream: u32, into: *mut u8, len: usize) -> u32;
    #[link_name = "[async-lower][stream-write-unit]"]
    pub(super) fn wake_write(stream: u32, from: *const u8, len: usize) -> u32;
    #[link_name = "[stream-cancel-read-unit]"]
    pub(super) safe fn wake_cancel_read(stream: u32) -> u32;
    #[link_name = "[stream-drop-readable-unit]"]
    pub(super) safe fn wake_drop_readable(stream: u32);
    #[link_name = "[stream-drop-writable-unit]"]
    pub(super) safe fn wake_drop_writable(stream: u32);
}

// SAFETY: as above.
#[link(wasm_import_module = "[export]$root")]
unsafe extern "C" {
    #[link_name = "[task-cancel]"]
    pub(super) safe fn task_cancel();
}

// SAFETY: as above.
#[link(wasm_import_module = "[export]wasi:http/handler@0.3.0")]
unsafe extern "C" {
    #[link_name = "[task-return]handle"]
    pub(super) safe fn task_return(error: u32, it: u32, a: u32, b: u64, c: u32, d: u32, e: u32, f: u32);
}

// SAFETY: as above.
#[link(wasm_import_module = "[export]proxy-wasm:adapter/upkeep@0.2.0")]
unsafe extern "C" {
    #[link_name = "[task-return]start"]
    pub(super) fn start_return(error: u32, text: *const u8, length: usize);
    #[link_name = "[task-return]idle"]
    pub(super) safe fn idle_return(is_some: u32, nanoseconds: u64);
    #[link_name = "[task-return]ended"]
    pub(super) safe fn ended_return();
}

// SAFETY: as above.
#[link(wasm_import_module = "wasi:http/types@0.3.0")]
unsafe extern "C" {
    #[link_name = "[stream-new-0][static]request.new"]
    pub(super) safe fn stream_new() -> u64;
    #[link_name = "[async-lower][stream-read-0][static]request.new"]
    pub(super) fn stream_read(stream: u32, into: *mut u8, len: usize) -> u32;
    #[link_name = "[async-lower][stream-write-0][static]request.new"]
    pub(super) fn stream_write(stream: u32, from: *const u8, len: usize) -> u32;
    #[link_name = "[stream-cancel-read-0][static]request.new"]
    pub(super) safe fn stream_cancel_read(stream: u32) -> u32;
    #[link_name = "[stream-cancel-write-0][static]request.new"]
    pub(super) safe fn stream_cancel_write(stream: u32) -> u32;
    #[link_name = "[stream-drop-readable-0][static]request.new"]
    pub(super) safe fn stream_drop_readable(stream: u32);
    #[link_name = "[stream-drop-writable-0][static]request.new"]
    pub(super) safe fn stream_drop_writable(stream: u32);

    #[link_name = "[future-new-1][static]request.new"]
    pub(super) safe fn trailers_new() -> u64;
    #[link_name = "[async-lower][future-read-1][static]request.new"]
    pub(super) fn trailers_read(future: u32, into: *mut Value) -> u32;
    #[link_name = "[async-lower][future-write-1][static]request.new"]
    pub(super) fn trailers_write(future: u32, from: *const Value) -> u32;
    #[link_name = "[future-cancel-read-1][static]request.new"]
    pub(super) safe fn trailers_cancel_read(future: u32) -> u32;
    #[link_name = "[future-drop-readable-1][static]request.new"]
    pub(super) safe fn trailers_drop_readable(future: u32);
    #[link_name = "[future-drop-writable-1][static]request.new"]
    pub(super) safe fn trailers_drop_writable(future: u32);

    #[link_name = "[future-new-2][static]request.new"]
    pub(super) safe fn outcome_new() -> u64;
    #[link_name = "[async-lower][future-write-2][static]request.new"]
    pub(super) fn outcome_write(future: u32, from: *const Value) -> u32;
    #[link_name = "[async-lower][future-read-2][static]request.new"]
    pub(super) fn outcome_read(future: u32, into: *mut Value) -> u32;
    #[link_name = "[future-cancel-read-2][static]request.new"]
    pub(super) safe fn outcome_cancel_read(future: u32) -> u32;
    #[link_name = "[future-drop-readable-2][static]request.new"]
    pub(super) safe fn outcome_drop_readable(future: u32);
    #[link_name = "[future-drop-writable-2][static]request.new"]
    pub(super) safe fn outcome_drop_writable(future: u32);

    #[link_name = "[static]fields.from-list"]
    pub(super) fn fields_from_list(entries: *const [Text; 2], len: usize, into: *mut MadeFields);
    #[link_name = "[static]request.new"]
    pub(super) fn request_new(
        fields: u32,
        is_some: u32,
        stream: u32,
        trailers: u32,
        has_options: u32,
        options: u32,
        into: *mut [u32; 2],
    );
    #[link_name = "[static]request.consume-body"]
    pub(super) fn request_consume_body(request: u32, outcome: u32, into: *mut [u32; 2]);
    #[link_name = "[static]response.new"]
    pub(super) fn response_new(fields: u32, is_some: u32, stream: u32, trailers: u32, into: *mut [u32; 2]);
    #[link_name = "[static]response.consume-body"]
    pub(super) fn response_consume_body(response: u32, outcome: u32, into: *mut [u32; 2]);
}

// SAFETY: as above.
#[link(wasm_import_module = "wasi:http/client@0.3.0")]
unsafe extern "C" {
    #[link_name = "[async-lower]send"]
    pub(super) fn client_send(request: u32, into: *mut Value) -> u32;
}

// SAFETY: as above.
#[link(wasm_import_module = "wasi:http/handler@0.3.0")]
unsafe extern "C" {
    #[link_name = "[async-lower]handle"]
    pub(super) fn next_handle(request: u32, into: *mut Value) -> u32;
}

// SAFETY: as above.
#[link(wasm_import_module = "wasi:clocks/monotonic-clock@0.3.0")]
unsafe extern "C" {
    #[link_name = "[async-lower]wait-until"]
    pub(super) safe fn wait_until(when: u64) -> u32;
}

// SAFETY: as above.
#[link(wasm_import_module = "wasi:cli/stderr@0.3.0")]
unsafe extern "C" {
    #[link_name = "write-via-stream"]
    pub(super) safe fn stderr_write_via_stream(stream: u32) -> u32;
    #[link_name = "[future-drop-readable-1]write-via-stream"]
    pub(super) safe fn stderr_drop_outcome(future: u32);
}
