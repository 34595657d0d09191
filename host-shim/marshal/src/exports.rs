//! The functions that a filter imports, under their own names: `env` and WASI side by side.

#![allow(unsafe_code, reason = "an exported name is an unsafe attribute; nothing here is unsafe")]

use proxy_wasm_abi::enums::{Errno, Status};

use crate::{
    bridge::{self, BridgedFilter},
    caller::{Caller, Outcome},
    trace,
    wasi::{Done, on_log_only},
};

/// The host calls that the filter's allocator may make. Source: Envoy's `WasmBase::allocMemory`.
const ALLOWED_IN_ALLOCATOR: &[&str] = &["proxy_log", "fd_write", "clock_time_get", "poll_oneoff"];

/// The module that filters import WASI from; those that know its older name are traced as if they used this one.
const WASI: &str = "wasi_snapshot_preview1";

/// The caller, if this call may be made now.
#[inline(never)]
fn enter(name: &str) -> Option<Caller<'static, BridgedFilter>> {
    let chain = bridge::current()?;
    let is_allowed = match chain.guest().is_allocating() {
        true => ALLOWED_IN_ALLOCATOR.contains(&name) && chain.state().grants(name),
        false => chain.state().allows(name),
    };
    is_allowed.then(|| Caller::new(chain))
}

/// The answer to a call of WASI that may not be made.
#[cold]
fn refusal(name: &str) -> Errno {
    let is_restricted = bridge::current().is_some_and(|chain| chain.state().is_restricted(name));
    if is_restricted { Errno::Notcapable } else { Errno::Nosys }
}

fn proxy(name: &str, arguments: &[u64], call: impl FnOnce(&Caller<'static, BridgedFilter>) -> Outcome) -> u32 {
    trace::host_call(bridge::trace(), "env", name, arguments, || {
        let status = match enter(name) {
            Some(caller) => call(&caller).err().unwrap_or(Status::Ok),
            None => Status::InternalFailure,
        };
        status as u32
    })
}

fn wasi(name: &str, arguments: &[u64], call: impl FnOnce(&Caller<'static, BridgedFilter>) -> Done) -> u32 {
    trace::host_call(bridge::trace(), WASI, name, arguments, || {
        let errno = match enter(name) {
            Some(caller) => call(&caller).err().unwrap_or(Errno::Success),
            None => refusal(name),
        };
        errno as u32
    })
}

macro_rules! exports {
    ($kind:ident, $caller:pat, $($name:ident($($arg:ident: $type:ty),*) $body:expr;)*) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $name($($arg: $type),*) -> u32 {
            $kind(stringify!($name), &[$($arg as u64),*], |$caller| $body)
        })*
    };
}

exports! { proxy, c,
    proxy_log(level: u32, text: u32, len: u32) c.log(level, text, len);
    proxy_get_log_level(level: u32) c.get_log_level(level);
    proxy_get_current_time_nanoseconds(time: u32) c.get_current_time_nanoseconds(time);
    proxy_set_effective_context(context: u32) c.set_effective_context(context);
    proxy_done() c.done();
    proxy_get_property(path: u32, path_len: u32, ptr: u32, size: u32) c.get_property(path, path_len, ptr, size);
    proxy_set_property(path: u32, path_len: u32, value: u32, value_len: u32)
        c.set_property(path, path_len, value, value_len);
    proxy_get_configuration(ptr: u32, size: u32) c.get_configuration(ptr, size);
    proxy_get_status(code: u32, ptr: u32, size: u32) c.get_status(code, ptr, size);
    proxy_get_header_map_value(map: u32, key: u32, key_len: u32, ptr: u32, size: u32)
        c.get_header_map_value(map, key, key_len, ptr, size);
    proxy_get_header_map_pairs(map: u32, ptr: u32, size: u32) c.get_header_map_pairs(map, ptr, size);
    proxy_get_header_map_size(map: u32, size: u32) c.get_header_map_size(map, size);
    proxy_add_header_map_value(map: u32, key: u32, key_len: u32, value: u32, value_len: u32)
        c.add_header_map_value(map, key, key_len, value, value_len);
    proxy_replace_header_map_value(map: u32, key: u32, key_len: u32, value: u32, value_len: u32)
        c.replace_header_map_value(map, key, key_len, value, value_len);
    proxy_remove_header_map_value(map: u32, key: u32, key_len: u32) c.remove_header_map_value(map, key, key_len);
    proxy_set_header_map_pairs(map: u32, pairs: u32, len: u32) c.set_header_map_pairs(map, pairs, len);
    proxy_get_buffer_bytes(buffer: u32, start: u32, len: u32, ptr: u32, size: u32)
        c.get_buffer_bytes(buffer, start, len, ptr, size);
    proxy_get_buffer_status(buffer: u32, len: u32, flags: u32) c.get_buffer_status(buffer, len, flags);
    proxy_set_buffer_bytes(buffer: u32, start: u32, len: u32, data: u32, data_len: u32)
        c.set_buffer_bytes(buffer, start, len, data, data_len);
    proxy_continue_stream(stream: u32) c.continue_stream(stream);
    proxy_close_stream(stream: u32) c.close_stream(stream);
    proxy_continue_request() c.continue_stream(0);
    proxy_continue_response() c.continue_stream(1);
    proxy_send_local_response(
        status: u32, details: u32, details_len: u32, body: u32, body_len: u32, headers: u32, headers_len: u32, grpc: u32
    ) c.send_local_response(status, [details, details_len], [body, body_len], [headers, headers_len], grpc);
}

exports! { proxy, c,
    proxy_http_call(
        cluster: u32, cluster_len: u32, headers: u32, headers_len: u32, body: u32, body_len: u32, trailers: u32,
        trailers_len: u32, timeout_ms: u32, token: u32
    ) c.http_call(
        [cluster, cluster_len], [headers, headers_len], [body, body_len], [trailers, trailers_len], timeout_ms, token
    );
    proxy_grpc_call(
        service: u32, service_len: u32, name: u32, name_len: u32, method: u32, method_len: u32, metadata: u32,
        metadata_len: u32, request: u32, request_len: u32, timeout_ms: u32, token: u32
    ) c.grpc_call(
        [[service, service_len], [name, name_len], [method, method_len], [metadata, metadata_len]],
        [request, request_len], timeout_ms, token
    );
    proxy_grpc_stream(
        service: u32, service_len: u32, name: u32, name_len: u32, method: u32, method_len: u32, metadata: u32,
        metadata_len: u32, token: u32
    ) c.grpc_stream([[service, service_len], [name, name_len], [method, method_len], [metadata, metadata_len]], token);
    proxy_grpc_send(token: u32, message: u32, message_len: u32, end: u32) c.grpc_send(token, [message, message_len], end);
    proxy_grpc_close(token: u32) c.state().grpc_close(token);
    proxy_grpc_cancel(token: u32) c.state().grpc_cancel(token);
    proxy_set_tick_period_milliseconds(period: u32) { c.state().set_tick_period(period); Ok(()) };
    proxy_get_shared_data(key: u32, key_len: u32, ptr: u32, size: u32, change: u32)
        c.get_shared_data(key, key_len, ptr, size, change);
    proxy_set_shared_data(key: u32, key_len: u32, value: u32, value_len: u32, change: u32)
        c.set_shared_data(key, key_len, value, value_len, change);
    proxy_register_shared_queue(name: u32, name_len: u32, token: u32) c.register_shared_queue(name, name_len, token);
    proxy_resolve_shared_queue(vm: u32, vm_len: u32, name: u32, name_len: u32, token: u32)
        c.resolve_shared_queue(vm, vm_len, name, name_len, token);
    proxy_enqueue_shared_queue(token: u32, item: u32, item_len: u32) c.enqueue_shared_queue(token, item, item_len);
    proxy_dequeue_shared_queue(token: u32, ptr: u32, size: u32) c.dequeue_shared_queue(token, ptr, size);
    envoy_resolve_dns(name: u32, len: u32, token: u32) c.resolve_dns(name, len, token);
    proxy_call_foreign_function(
        name: u32, name_len: u32, arguments: u32, arguments_len: u32, ptr: u32, size: u32
    ) c.call_foreign_function([name, name_len], [arguments, arguments_len], ptr, size);
    proxy_define_metric(kind: u32, name: u32, name_len: u32, id: u32) c.define_metric(kind, name, name_len, id);
    proxy_increment_metric(id: u32, by: i64) c.state().increment_metric(id, by);
    proxy_record_metric(id: u32, value: u64) c.state().record_metric(id, value);
    proxy_get_metric(id: u32, value: u32) c.get_metric(id, value);
}

exports! { proxy, c,
    proxy_clear_route_cache() { c.state().clear_route_cache(); Ok(()) };
}

exports! { wasi, c,
    args_sizes_get(count: u32, size: u32) c.args_sizes_get(count, size);
    environ_get(pointers: u32, text: u32) c.environ_get(pointers, text);
    environ_sizes_get(count: u32, size: u32) c.environ_sizes_get(count, size);
    clock_res_get(clock: u32, resolution: u32) c.clock_res_get(clock, resolution);
    clock_time_get(clock: u32, _precision: u64, time: u32) c.clock_time_get(clock, time);
    fd_fdstat_get(fd: u32, stat: u32) c.fd_fdstat_get(fd, stat);
    fd_pwrite(fd: u32, vectors: u32, count: u32, _offset: u64, written: u32) c.fd_write(fd, vectors, count, written);
    fd_readdir(_fd: u32, _buf: u32, _len: u32, _cookie: u64, used: u32) c.zero_and(used, Errno::Notdir);
    fd_tell(fd: u32, position: u32) c.fd_tell(fd, position);
    fd_write(fd: u32, vectors: u32, count: u32, written: u32) c.fd_write(fd, vectors, count, written);
    path_readlink(_fd: u32, _path: u32, _len: u32, _buf: u32, _buf_len: u32, used: u32) c.zero_and(used, Errno::Notsup);
    poll_oneoff(_subscriptions: u32, _events: u32, _count: u32, events: u32) c.poll_oneoff(events);
    random_get(at: u32, len: u32) c.random_get(at, len);
    sock_accept(_fd: u32, _flags: u32, accepted: u32) c.sock_accept(accepted);
    sock_recv(_fd: u32, _vectors: u32, _count: u32, _flags: u32, received: u32, flags: u32) c.sock_recv(received, flags);
    sock_send(_fd: u32, _vectors: u32, _count: u32, _flags: u32, sent: u32) c.zero_and(sent, Errno::Notsup);
}

exports! { wasi, _,
    args_get(_argv: u32, _text: u32) Ok(());
    fd_advise(_fd: u32, _offset: u64, _len: u64, _advice: u32) Ok(());
    fd_allocate(fd: u32, _offset: u64, _len: u64) on_log_only(fd);
    fd_close(_fd: u32) Ok(());
    fd_datasync(fd: u32) on_log_only(fd);
    fd_fdstat_set_flags(_fd: u32, _flags: u32) Err(Errno::Nosys);
    fd_fdstat_set_rights(fd: u32, _base: u64, _inheriting: u64) on_log_only(fd);
    fd_filestat_get(_fd: u32, _stat: u32) Err(Errno::Badf);
    fd_filestat_set_size(fd: u32, _size: u64) on_log_only(fd);
    fd_filestat_set_times(fd: u32, _access: u64, _modification: u64, _flags: u32) on_log_only(fd);
    fd_pread(_fd: u32, _vectors: u32, _count: u32, _offset: u64, _read: u32) Err(Errno::Nosys);
    fd_prestat_get(_fd: u32, _stat: u32) Err(Errno::Badf);
    fd_prestat_dir_name(_fd: u32, _path: u32, _len: u32) Err(Errno::Nosys);
    fd_read(_fd: u32, _vectors: u32, _count: u32, _read: u32) Err(Errno::Nosys);
    fd_renumber(fd: u32, to: u32) on_log_only(fd).and(on_log_only(to)).and(Err(Errno::Notsup));
    fd_seek(_fd: u32, _offset: i64, _whence: u32, _position: u32) Ok(());
    fd_sync(fd: u32) on_log_only(fd);
    path_create_directory(_fd: u32, _path: u32, _len: u32) Err(Errno::Notsup);
    path_filestat_get(_fd: u32, _flags: u32, _path: u32, _len: u32, _stat: u32) Err(Errno::Notsup);
    path_filestat_set_times(_fd: u32, _f: u32, _path: u32, _len: u32, _access: u64, _modification: u64, _flags: u32) Err(Errno::Notsup);
    path_link(_fd: u32, _f: u32, _path: u32, _len: u32, _to: u32, _to_path: u32, _to_len: u32) Err(Errno::Notsup);
    path_open(
        _fd: u32, _f: u32, _path: u32, _len: u32, _o: u32, _base: u64, _inheriting: u64, _flags: u32, _opened: u32
    ) Err(Errno::Noent);
    path_remove_directory(_fd: u32, _path: u32, _len: u32) Err(Errno::Notsup);
    path_rename(_fd: u32, _path: u32, _len: u32, _to: u32, _to_path: u32, _to_len: u32) Err(Errno::Notsup);
    path_symlink(_old: u32, _old_len: u32, _fd: u32, _new: u32, _new_len: u32) Err(Errno::Notsup);
    path_unlink_file(_fd: u32, _path: u32, _len: u32) Err(Errno::Notsup);
    sched_yield() Ok(());
    sock_shutdown(_fd: u32, _how: u32) Err(Errno::Notsup);
}

/// Envoy returns to the filter from it, and so do we.
#[unsafe(no_mangle)]
extern "C" fn proc_exit(code: u32) {
    trace::host_call(bridge::trace(), WASI, "proc_exit", &[code.into()], || {
        let _ = enter("proc_exit");
        None
    });
}

#[unsafe(no_mangle)]
extern "C" fn pthread_equal(left: u32, right: u32) -> u32 {
    trace::host_call(bridge::trace(), "env", "pthread_equal", &[left.into(), right.into()], || (left == right).into())
}

#[unsafe(no_mangle)]
extern "C" fn emscripten_notify_memory_growth(memory: u32) {
    trace::host_call(bridge::trace(), "env", "emscripten_notify_memory_growth", &[memory.into()], || None);
}

/// The foreign functions, which only the bridge calls.
macro_rules! foreign_functions {
    ($($export:ident $function:ident;)*) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $export() {
            if let Some(chain) = bridge::current() {
                chain.state().run_foreign(proxy_wasm_semantics::foreign::$function);
            }
        })*
    };
}

foreign_functions! {
    foreign_clear_route_cache clear_route_cache;
    foreign_compress compress;
    foreign_uncompress uncompress;
    foreign_declare_property declare_property;
}

#[cfg(feature = "extra")]
foreign_functions! {
    foreign_verify_signature verify_signature;
    foreign_sign sign;
    foreign_expr_create expr_create;
    foreign_expr_evaluate expr_evaluate;
    foreign_expr_delete expr_delete;
    foreign_set_envoy_filter_state set_envoy_filter_state;
}
