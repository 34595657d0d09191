//! Filters that give host calls every wrong argument.
//!
//! The filter has one page of memory. For each request it calls the host call whose number is the length of the request's
//! body, with one set of arguments after the other, and logs `@hostile ` with a character for each result: as far after
//! `0` in ASCII as the result says. It is started with `allow_on_headers_stop_iteration`, so that the header map is
//! there too.

use std::fmt::Write;

use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_abi::host_calls::{HostCall, Type};

use crate::probe::host_calls;

/// Values for pointers, sizes and everything else: null, one that is good for everything, the last word of the memory,
/// its last byte, its end, and far beyond.
const VALUES: [u32; 8] = [0, GOOD, 65_532, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/// As a pointer and as a size within memory; as anything else mostly not.
const GOOD: u32 = 8;

/// Where the results stand.
const RESULTS: u32 = 32_768;

/// The host calls that a filter of this version can import and that take arguments.
pub fn calls(version: AbiVersion) -> Vec<&'static HostCall> {
    host_calls(version).filter(|call| call.params().next().is_some()).collect()
}

/// Every set of arguments for this host call: all alike, and each value in each place with good ones around it.
pub fn arguments(call: &HostCall) -> Vec<Vec<u32>> {
    let count = call.params().count();
    let mut sets: Vec<Vec<u32>> = VALUES.iter().map(|value| vec![*value; count]).collect();
    for place in 0..count {
        for value in VALUES.into_iter().filter(|value| *value != GOOD) {
            let mut set = vec![GOOD; count];
            set[0] = good_first(call);
            set[place] = value;
            sets.push(set);
        }
    }
    sets.retain(|set| is_without_effect(call, set));
    sets
}

/// Calls about a body or a map begin with its type: the request's.
fn good_first(call: &HostCall) -> u32 {
    let has_type = call.name.contains("_buffer_") || call.name.contains("_header_map_");
    if has_type && call.name != "proxy_set_header_map_pairs" { 0 } else { GOOD }
}

/// Whether the stream goes on after it: what these calls do when they are called rightly is tested elsewhere.
pub(crate) fn is_without_effect(call: &HostCall, arguments: &[u32]) -> bool {
    match call.name {
        "proxy_close_stream" | "proxy_continue_stream" => arguments[0] > 3,
        // One of its three ranges is out of bounds.
        "proxy_send_local_response" => {
            (1..=5).step_by(2).any(|i| u64::from(arguments[i]) + u64::from(arguments[i + 1]) > 65_536)
        }
        // Bytes that name no target end Envoy.
        "proxy_grpc_call" | "proxy_grpc_stream" => u64::from(arguments[0]) + u64::from(arguments[1]) > 65_536,
        // What stands in the call data, Envoy's callouts of earlier requests left there.
        "proxy_get_buffer_bytes" | "proxy_get_buffer_status" | "proxy_set_buffer_bytes" => arguments[0] != GOOD,
        // It would empty the map of the request.
        "proxy_set_header_map_pairs" => arguments[0] != 0,
        _ => true,
    }
}

/// A filter that makes these calls, with this expression for what its allocator returns.
pub fn filter(version: AbiVersion, allocator: &str) -> Vec<u8> {
    let calls = calls(version);
    let mut imports = String::new();
    let mut functions = String::new();
    let mut table = String::new();
    for (number, call) in calls.iter().enumerate() {
        let _ = writeln!(imports, "{}", import(call));
        let mut body = String::new();
        for (i, set) in arguments(call).iter().enumerate() {
            let arguments: String = call.params().zip(set).map(|(ty, value)| constant(ty, *value)).collect();
            let result = if call.result { format!("(call ${}{arguments})", call.name) } else { "(i32.const 0)".into() };
            if !call.result {
                let _ = writeln!(body, "(call ${}{arguments})", call.name);
            }
            let _ =
                writeln!(body, "(i32.store8 (i32.const {}) (i32.add (i32.const 48) {result}))", RESULTS as usize + i);
        }
        let count = arguments(call).len();
        let _ = writeln!(functions, "(func $try{number} (result i32) {body} (i32.const {count}))");
        let _ = write!(table, " $try{number}");
    }
    let headers = if version == AbiVersion::V0_1_0 { "(param i32 i32)" } else { "(param i32 i32 i32)" };
    let text = format!(
        r#"(module
  {imports}
  (memory (export "memory") 1 1)
  (table funcref (elem{table}))
  (type $try (func (result i32)))
  ;; What good pointers point to, put there anew for each call: a header's name.
  (data (i32.const 50000) "xxxxxxxxxxxxxxxx")
  (data (i32.const 50100) "@hostile ")
  (func (export "{marker}"))
  (func (export "_initialize"))
  (func (export "malloc") (param i32) (result i32) {allocator})
  {functions}
  (func (export "proxy_on_request_headers") {headers} (result i32) (i32.const 1))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (local $count i32)
    (if (i32.eqz (local.get 1)) (then (return (i32.const 0))))
    (memory.copy (i32.const 0) (i32.const 50000) (i32.const 16))
    (memory.copy (i32.const 65520) (i32.const 50000) (i32.const 16))
    (local.set $count (call_indirect (type $try) (i32.sub (local.get 1) (i32.const 1))))
    (memory.copy (i32.const {before}) (i32.const 50100) (i32.const 9))
    (drop (call $proxy_log (i32.const 2) (i32.const {before}) (i32.add (local.get $count) (i32.const 9))))
    (i32.const 0)))"#,
        marker = version.marker(),
        before = RESULTS - 9,
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Its import, under its own name.
pub(crate) fn import(call: &HostCall) -> String {
    let params: String = call.params().map(|ty| if ty == Type::I64 { " i64" } else { " i32" }).collect();
    let result = if call.result { " (result i32)" } else { "" };
    let module = call.module.names()[0];
    format!(r#"(import "{module}" "{0}" (func ${0} (param{params}){result}))"#, call.name)
}

fn constant(ty: Type, value: u32) -> String {
    if ty == Type::I64 { format!(" (i64.const {value})") } else { format!(" (i32.const {value})") }
}
