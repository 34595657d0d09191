//! The bridge with both memories in one module.
//!
//! ```wat
//! (module $"proxy-wasm bridge"
//!   (import "shim" "memory" (memory $shim 0))
//!   (import "filter" "memory" (memory $filter 0))
//!   (import "filter" "malloc" (func $malloc (param i32) (result i32)))
//!   …
//!   (func (export "memory_read") (param $to i32) (param $from i32) (param $len i32)
//!     (memory.copy $shim $filter (local.get $to) (local.get $from) (local.get $len)))
//!   …
//!   (data $settings "…"))
//! ```

use proxy_wasm_abi::bridge::{FILTER, MODULE, SHIM};

use super::{NAME, calls, signature, sources};
use crate::abi::Abi;
use crate::builder::Builder;
use crate::link::Part;

pub(super) fn generate(abi: &Abi, settings: &[u8]) -> Vec<Part> {
    let mut builder = Builder::new(NAME);
    let shim = builder.import_memory(SHIM);
    let filter = builder.import_memory(FILTER);
    let imports = calls::import(&mut builder, abi);
    let size = i32::try_from(settings.len()).expect("settings of less than 2 GiB");
    builder.passive_data(settings.to_vec());
    builder.function("settings_read", &signature("settings_read"), |code| {
        code.local_get(0).i32_const(0).i32_const(size).memory_init(shim, 0);
    });
    builder.function("memory_pages", &signature("memory_pages"), |code| {
        code.memory_size(filter);
    });
    builder.function("memory_read", &signature("memory_read"), |code| {
        code.local_get(0).local_get(1).local_get(2).memory_copy(shim, filter);
    });
    builder.function("memory_write", &signature("memory_write"), |code| {
        code.local_get(0).local_get(1).local_get(2).memory_copy(filter, shim);
    });
    calls::export(&mut builder, abi, &imports, settings);
    vec![Part { name: MODULE.into(), bytes: builder.finish(), imports: sources(&[SHIM, FILTER]) }]
}
