//! Host calls with any arguments.

use proxy_wasm_abi::enums::Errno;

use super::Running;

/// How many host calls [`make`] knows.
pub const CALLS: u8 = 54;

/// One host call with these arguments; its status. Types, kinds and tokens are often ones that there are.
///
/// # Panics
/// If the status is none that a host call has.
pub fn make(f: &Running<'_>, which: u8, a: [u32; 12]) -> u32 {
    let status = call(f, which, a);
    assert!(STATUSES.contains(&status), "call {which} with {a:?}: {status}");
    status
}

/// The statuses of the ABI, and the error numbers of WASI, that host calls give.
const STATUSES: [u32; 15] = [0, 1, 2, 3, 4, 6, 7, 8, 10, 12, 20, 21, 28, 52, 58];

fn call(f: &Running<'_>, which: u8, a: [u32; 12]) -> u32 {
    match which % CALLS {
        0 => f.proxy(|c| c.log(a[0] % 8, a[1], a[2])),
        1 => f.proxy(|c| c.get_log_level(a[0])),
        2 => f.proxy(|c| c.get_current_time_nanoseconds(a[0])),
        3 => f.proxy(|c| c.set_effective_context(a[0] % 4)),
        4 => f.proxy(|c| c.get_property(a[0], a[1], a[2], a[3])),
        5 => f.proxy(|c| c.set_property(a[0], a[1], a[2], a[3])),
        6 => f.proxy(|c| c.get_configuration(a[0], a[1])),
        7 => f.proxy(|c| c.get_status(a[0], a[1], a[2])),
        8 => f.proxy(|c| c.get_header_map_value(a[0] % 9, a[1], a[2], a[3], a[4])),
        9 => f.proxy(|c| c.get_header_map_pairs(a[0] % 9, a[1], a[2])),
        10 => f.proxy(|c| c.get_header_map_size(a[0] % 9, a[1])),
        11 => f.proxy(|c| c.add_header_map_value(a[0] % 9, a[1], a[2], a[3], a[4])),
        12 => f.proxy(|c| c.replace_header_map_value(a[0] % 9, a[1], a[2], a[3], a[4])),
        13 => f.proxy(|c| c.remove_header_map_value(a[0] % 9, a[1], a[2])),
        14 => f.proxy(|c| c.set_header_map_pairs(a[0] % 9, a[1], a[2])),
        15 => f.proxy(|c| c.get_buffer_bytes(a[0] % 10, a[1], a[2], a[3], a[4])),
        16 => f.proxy(|c| c.get_buffer_status(a[0] % 10, a[1], a[2])),
        17 => f.proxy(|c| c.set_buffer_bytes(a[0] % 10, a[1], a[2], a[3], a[4])),
        18 => f.proxy(|c| c.continue_stream(a[0] % 5)),
        19 => f.proxy(|c| c.close_stream(a[0] % 5)),
        20 => f.proxy(|c| c.send_local_response(a[0], [a[1], a[2]], [a[3], a[4]], [a[5], a[6]], a[7])),
        21 => f.wasi(|c| c.fd_write(a[0] % 4, a[1], a[2], a[3])),
        22 => f.wasi(|c| c.fd_fdstat_get(a[0] % 4, a[1])),
        23 => f.wasi(|c| c.fd_tell(a[0] % 4, a[1])),
        24 => f.wasi(|c| c.sock_recv(a[0], a[1])),
        25 => f.wasi(|c| c.args_sizes_get(a[0], a[1])),
        26 => f.wasi(|c| c.environ_sizes_get(a[0], a[1])),
        27 => f.wasi(|c| c.environ_get(a[0], a[1])),
        28 => f.wasi(|c| c.clock_time_get(a[0] % 3, a[1])),
        29 => f.wasi(|c| c.clock_res_get(a[0] % 3, a[1])),
        30 => f.wasi(|c| c.random_get(a[0], a[1])),
        31 => f.proxy(|c| c.http_call([a[0], a[1]], [a[2], a[3]], [a[4], a[5]], [a[6], a[7]], a[8], a[9])),
        32 => f.proxy(|c| c.get_shared_data(a[0], a[1], a[2], a[3], a[4])),
        33 => f.proxy(|c| c.set_shared_data(a[0], a[1], a[2], a[3], a[4])),
        34 => f.proxy(|c| c.register_shared_queue(a[0], a[1], a[2])),
        35 => f.proxy(|c| c.resolve_shared_queue(a[0], a[1], a[2], a[3], a[4])),
        36 => f.proxy(|c| c.enqueue_shared_queue(a[0] % 3, a[1], a[2])),
        37 => f.proxy(|c| c.dequeue_shared_queue(a[0] % 3, a[1], a[2])),
        38 => f.proxy(|c| c.define_metric(a[0] % 4, a[1], a[2], a[3])),
        39 => f.proxy(|c| c.get_metric(a[0] % 13, a[1])),
        40 => f.proxy(|c| c.call_foreign_function([a[0], a[1]], [a[2], a[3]], a[4], a[5])),
        41 => f.proxy(|c| {
            let target = [[a[0], a[1]], [a[2], a[3]], [a[4], a[5]], [a[6], a[7]]];
            c.grpc_call(target, [a[8], a[9]], a[10], a[11])
        }),
        42 => f.proxy(|c| c.grpc_stream([[a[0], a[1]], [a[2], a[3]], [a[4], a[5]], [a[6], a[7]]], a[8])),
        43 => f.proxy(|c| c.grpc_send(a[0] % 32, [a[1], a[2]], a[3])),
        44 => f.proxy(|c| c.state().grpc_close(a[0] % 32)),
        45 => f.proxy(|c| c.state().grpc_cancel(a[0] % 32)),
        46 => f.proxy(|c| c.done()),
        47 => f.proxy(|c| c.state().increment_metric(a[0] % 13, a[1].cast_signed().into())),
        48 => f.proxy(|c| c.state().record_metric(a[0] % 13, a[1].into())),
        49 => f.proxy(|c| {
            c.state().set_tick_period(a[0]);
            Ok(())
        }),
        50 => f.proxy(|c| c.resolve_dns(a[0], a[1], a[2])),
        51 => f.wasi(|c| c.sock_accept(a[0])),
        52 => f.wasi(|c| c.zero_and(a[0], Errno::Notsup)),
        _ => f.wasi(|c| c.poll_oneoff(a[0])),
    }
}
