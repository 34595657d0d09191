//! The bridge with all memories in one module.
//!
//! ```wat
//! (module $"proxy-wasm bridge"
//!   (import "shim" "memory" (memory $shim 0))
//!   (import "filter" "memory" (memory $filter 0))
//!   (import "filter" "malloc" (func $malloc (param i32) (result i32)))
//!   …
//!   (func (export "memory_read") (param $vm i32) (param $to i32) (param $from i32) (param $len i32)
//!     (memory.copy $shim $filter (local.get $to) (local.get $from) (local.get $len)))
//!   …
//!   (data $settings "…"))
//! ```

use proxy_wasm_abi::bridge::{MODULE, SHIM, filter_module};

use super::select::per_vm;
use super::{BridgedVm, NAME, calls, signature, sources};
use crate::builder::Builder;
use crate::part::Part;

pub(super) fn generate(vms: &[BridgedVm<'_>], settings: &[u8]) -> Vec<Part<'static>> {
    let mut builder = Builder::new(NAME);
    let shim = builder.import_memory(SHIM);
    let modules: Vec<String> = (0..vms.len()).map(filter_module).collect();
    let filters: Vec<u32> = modules.iter().map(|module| builder.import_memory(module)).collect();
    let imports = calls::import(&mut builder, vms);
    let size = i32::try_from(settings.len()).expect("settings of less than 2 GiB");
    builder.passive_data(settings.to_vec());
    builder.function("settings_read", &signature("settings_read"), |code| {
        code.local_get(0).i32_const(0).i32_const(size).memory_init(shim, 0);
    });
    builder.function("memory_pages", &signature("memory_pages"), |code| {
        per_vm(code, &filters, |code, filter| {
            code.memory_size(*filter);
        });
    });
    builder.function("memory_read", &signature("memory_read"), |code| {
        per_vm(code, &filters, |code, filter| {
            code.local_get(1).local_get(2).local_get(3).memory_copy(shim, *filter);
        });
    });
    builder.function("memory_write", &signature("memory_write"), |code| {
        per_vm(code, &filters, |code, filter| {
            code.local_get(1).local_get(2).local_get(3).memory_copy(*filter, shim);
        });
    });
    calls::export(&mut builder, vms, &imports, settings);
    let mut names = vec![SHIM];
    names.extend(modules.iter().map(String::as_str));
    vec![Part { name: MODULE.into(), bytes: builder.finish().into(), imports: sources(&names) }]
}
