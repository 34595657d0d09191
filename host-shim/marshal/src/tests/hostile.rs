//! Any arguments at all: no call reaches out of the filter's memory (the fake one panics where it does), and every
//! result is a status of the ABI.

use proptest::prelude::*;
use proxy_wasm_abi::callbacks::Id;

use super::{Allocator, MEMORY, Running, during};

/// One host call with these arguments.
fn make(f: &Running<'_>, which: u8, a: [u32; 7]) -> u32 {
    match which % 45 {
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
        20 => f.proxy(|c| c.send_local_response(a[0], [a[1], a[2]], [a[3], a[4]], [a[5], a[6]], a[0])),
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
        31 => f.proxy(|c| c.http_call([a[0], a[1]], [a[2], a[3]], [a[4], a[5]], [a[6], a[0]], a[1], a[2])),
        32 => f.proxy(|c| c.get_shared_data(a[0], a[1], a[2], a[3], a[4])),
        33 => f.proxy(|c| c.set_shared_data(a[0], a[1], a[2], a[3], a[4])),
        34 => f.proxy(|c| c.register_shared_queue(a[0], a[1], a[2])),
        35 => f.proxy(|c| c.resolve_shared_queue(a[0], a[1], a[2], a[3], a[4])),
        36 => f.proxy(|c| c.enqueue_shared_queue(a[0] % 3, a[1], a[2])),
        37 => f.proxy(|c| c.dequeue_shared_queue(a[0] % 3, a[1], a[2])),
        38 => f.proxy(|c| c.define_metric(a[0] % 4, a[1], a[2], a[3])),
        39 => f.proxy(|c| c.get_metric(a[0] % 13, a[1])),
        40 => f.proxy(|c| c.call_foreign_function([a[0], a[1]], [a[2], a[3]], a[4], a[5])),
        41 => {
            f.proxy(|c| c.grpc_call([[a[0], a[1]], [a[2], a[3]], [a[4], a[5]], [a[6], a[0]]], [a[1], a[2]], a[3], a[4]))
        }
        42 => f.proxy(|c| c.grpc_stream([[a[0], a[1]], [a[2], a[3]], [a[4], a[5]], [a[6], a[0]]], a[1])),
        43 => f.proxy(|c| c.grpc_send(a[0] % 8, [a[1], a[2]], a[3])),
        _ => f.wasi(|c| c.poll_oneoff(a[0])),
    }
}

/// Numbers that are often at an edge.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..80, 0u32..MEMORY, MEMORY - 8..MEMORY + 8, u32::MAX - 8..=u32::MAX, any::<u32>(),]
}

fn allocator() -> impl Strategy<Value = Allocator> {
    prop_oneof![
        4 => Just(Allocator::Works),
        1 => Just(Allocator::ReturnsZero),
        1 => Just(Allocator::EndsOutOfBounds),
        1 => Just(Allocator::ReturnsMax),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_arguments_give_a_status(
        calls in proptest::collection::vec((any::<u8>(), proptest::array::uniform7(number()), allocator()), 1..8),
        callback in prop_oneof![Just(Id::RequestHeaders), Just(Id::RequestBody), Just(Id::Configure), Just(Id::Log)],
    ) {
        during(callback, move |f| {
            for (which, arguments, allocator) in &calls {
                f.set_allocator(*allocator);
                let status = make(f, *which, *arguments);
                let known = [0, 1, 2, 3, 4, 6, 7, 8, 12, 20, 21, 28, 52, 58];
                assert!(known.contains(&status), "call {which}: {status}");
            }
        });
    }
}
