//! The interpreter, as a module.
//!
//! It has one page of memory, as the filters of [`hostile`](crate::hostile) have, so that the same numbers are at its edges.

use std::fmt::Write as _;

use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_abi::callbacks::CALLBACKS as ALL_CALLBACKS;
use proxy_wasm_abi::host_calls::{HostCall, Type};

use super::{ARGUMENTS_MAX, CALLBACKS, HEADER};
use crate::hostile::import;
use crate::probe::host_calls;

/// Where programs may have results written.
pub(super) const OUT: u32 = 64;

/// Where what is good for something stands; it is put there anew for each call.
pub(super) const GOODS: u32 = 256;

/// As much as may be good.
const GOODS_SIZE: u32 = 1_024;

/// The bytes of each allocation, before each call from here on.
const HEAP: u32 = 8_192;

/// Beyond the heap: the arguments of a call, the program, the results, the goods to copy, the words of the log.
const ARGUMENTS: u32 = 49_152;
const PROGRAM: u32 = 49_408;
const RESULTS: u32 = 60_000;
const GOODS_KEPT: u32 = 62_000;
const WORDS: u32 = 64_000;

/// `@guest ` and the letter, before the results.
const PREFIX: &str = "@guest ?";

/// The host calls that the filter imports, by number.
pub(super) fn calls() -> Vec<&'static HostCall> {
    host_calls(AbiVersion::V0_2_1).filter(|call| call.result).collect()
}

/// The filter, with these bytes at [`GOODS`].
pub fn filter() -> Vec<u8> {
    let goods: String = super::generator::goods_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect();
    let mut imports = String::new();
    let mut functions = String::new();
    let mut table = String::new();
    for (number, call) in calls().into_iter().enumerate() {
        let _ = writeln!(imports, "{}", import(call));
        let argument = |(place, ty): (usize, Type)| {
            let load = if ty == Type::I64 { "i64.load32_u" } else { "i32.load" };
            format!(" ({load} (i32.const {}))", ARGUMENTS as usize + 4 * place)
        };
        let arguments: String = call.params().enumerate().map(argument).collect();
        let _ = writeln!(functions, "(func $do{number} (type $do) (call ${}{arguments}))", call.name);
        let _ = write!(table, " $do{number}");
    }
    let mut exports = String::new();
    for (letter, name) in CALLBACKS {
        let Some(row) = ALL_CALLBACKS.iter().find(|row| row.name == name) else { continue };
        let params = " i32".repeat(row.params);
        let result = if row.result { "(result i32)" } else { "" };
        let before = match name {
            "proxy_on_vm_start" => "(call $configured (i32.const 6))",
            "proxy_on_configure" => "(call $configured (i32.const 7))",
            "proxy_on_request_headers" => "(call $told)",
            _ => "",
        };
        let returned = match name {
            "proxy_on_vm_start" | "proxy_on_configure" | "proxy_on_done" => "(i32.const 1)",
            _ if row.result => "(i32.const 0)",
            _ => "",
        };
        let letter = u32::from(letter);
        let _ = writeln!(
            exports,
            r#"(func (export "{name}") (param{params}) {result} {before} (call $run (i32.const {letter})) {returned})"#
        );
    }
    let text = format!(
        r#"(module
  {imports}
  (memory (export "memory") 1 1)
  (type $do (func (result i32)))
  (table funcref (elem{table}))
  (global $allocator (mut i32) (i32.const 0))
  (global $next (mut i32) (i32.const {HEAP}))
  (global $len (mut i32) (i32.const 0))
  (data (i32.const {GOODS_KEPT}) "{goods}")
  (data (i32.const {WORDS}) "{HEADER}")
  (data (i32.const {prefix_at}) "{PREFIX}")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "malloc") (param $len i32) (result i32) (local $at i32)
    (if (i32.eq (global.get $allocator) (i32.const 1)) (then (return (i32.const 0))))
    (if (i32.eq (global.get $allocator) (i32.const 2)) (then (return (i32.const 0xfffffff0))))
    (local.set $at (global.get $next))
    (if (i32.gt_u (local.get $len) (i32.sub (i32.const {ARGUMENTS}) (local.get $at))) (then (return (i32.const 0))))
    (global.set $next (i32.add (local.get $at) (local.get $len)))
    (local.get $at))
  {functions}
  ;; Makes it all as it was, with this allocator.
  (func $prepare (param $allocator i32)
    (memory.fill (i32.const 0) (i32.const 0) (i32.const {GOODS}))
    (memory.copy (i32.const {GOODS}) (i32.const {GOODS_KEPT}) (i32.const {GOODS_SIZE}))
    (global.set $next (i32.const {HEAP}))
    (global.set $allocator (local.get $allocator)))
  ;; Reads the program that a call has just handed over, if it has: two letters are a byte.
  (func $read (param $status i32) (local $from i32) (local $at i32)
    (if (local.get $status) (then (return)))
    (local.set $from (i32.load (i32.const {OUT})))
    (global.set $len (i32.shr_u (i32.load (i32.const {out2})) (i32.const 1)))
    (block $done (loop $bytes
      (br_if $done (i32.eq (local.get $at) (global.get $len)))
      (i32.store8 (i32.add (i32.const {PROGRAM}) (local.get $at)) (i32.or
        (i32.shl (i32.sub (i32.load8_u (local.get $from)) (i32.const 97)) (i32.const 4))
        (i32.sub (i32.load8_u offset=1 (local.get $from)) (i32.const 97))))
      (local.set $from (i32.add (local.get $from) (i32.const 2)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $bytes))))
  (func $told
    (call $prepare (i32.const 0))
    (call $read (call $proxy_get_header_map_value
      (i32.const 0) (i32.const {WORDS}) (i32.const {header_len}) (i32.const {OUT}) (i32.const {out2}))))
  (func $configured (param $buffer i32)
    (call $prepare (i32.const 0))
    (call $read (call $proxy_get_buffer_bytes
      (local.get $buffer) (i32.const 0) (i32.const -1) (i32.const {OUT}) (i32.const {out2}))))
  ;; Makes the calls of this callback, once, and logs their results.
  (func $run (param $letter i32) (local $at i32) (local $end i32) (local $left i32) (local $result i32)
    (local.set $at (i32.const {PROGRAM}))
    (block $none (loop $sections
      (br_if $none (i32.ge_u (local.get $at) (i32.add (i32.const {PROGRAM}) (global.get $len))))
      (local.set $end (i32.add (i32.add (local.get $at) (i32.const 4)) (i32.load16_u offset=2 (local.get $at))))
      (if (i32.eq (i32.load8_u (local.get $at)) (local.get $letter)) (then
        (i32.store8 (local.get $at) (i32.const 0))
        (local.set $left (i32.load8_u offset=1 (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (local.set $result (i32.const {RESULTS}))
        (block $made (loop $calls
          (br_if $made (i32.eqz (local.get $left)))
          (call $prepare (i32.load8_u (local.get $at)))
          (memory.copy (i32.const {ARGUMENTS}) (i32.add (local.get $at) (i32.const 2)) (i32.const {arguments_size}))
          (i32.store8 (local.get $result) (i32.add (i32.const 48)
            (call_indirect (type $do) (i32.load8_u offset=1 (local.get $at)))))
          (local.set $result (i32.add (local.get $result) (i32.const 1)))
          (local.set $at (i32.add (local.get $at) (i32.const {call_size})))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br $calls)))
        (call $prepare (i32.const 0))
        (memory.copy (i32.const {before}) (i32.const {prefix_at}) (i32.const {prefix_len}))
        (i32.store8 (i32.const {letter_at}) (local.get $letter))
        (drop (call $proxy_log (i32.const 2) (i32.const {before})
          (i32.sub (local.get $result) (i32.const {before}))))
        (return)))
      (local.set $at (local.get $end))
      (br $sections))))
  {exports})"#,
        out2 = OUT + 4,
        prefix_at = WORDS + 100,
        header_len = HEADER.len(),
        arguments_size = 4 * ARGUMENTS_MAX,
        call_size = 2 + 4 * ARGUMENTS_MAX,
        before = RESULTS as usize - PREFIX.len(),
        prefix_len = PREFIX.len(),
        letter_at = RESULTS - 1,
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
