//! The bridge for hosts without multi-memory, in two modules, and two more for each filter.
//!
//! Only those that copy have two memories, and of WebAssembly's instructions on them they use loads and stores:
//!
//! ```wat
//! (module $"proxy-wasm bridge: copy"
//!   (import "shim" "memory" (memory $shim 0))
//!   (import "filter" "memory" (memory $filter 0))
//!   (func (export "memory_read") (param $vm i32) (param $to i32) (param $from i32) (param $len i32)
//!     (block $words_done (loop $word            ;; four bytes at a time
//!       (br_if $words_done (i32.lt_u (local.get $len) (i32.const 4)))
//!       (i32.store $shim (local.get $to) (i32.load $filter (local.get $from)))
//!       … (br $word)))
//!     (block $done (loop $byte … )))            ;; then the rest
//!   …)
//! ```
//!
//! They are the same for every filter, and so stand in a component once.

use proxy_wasm_abi::bridge::{MODULE, SHIM, filter_module};
use wasm_encoder::{BlockType, InstructionSink, MemArg, MemArgTarget};

use super::select::per_vm;
use super::{BridgedVm, NAME, calls, signature, sources};
use crate::builder::Builder;
use crate::part::{Part, Source};

const COPY: &str = "bridge-copy";
const SETTINGS: &str = "bridge-settings";
const SIZE: &str = "bridge-size";

pub(super) fn generate(vms: &[BridgedVm<'_>], settings: &[u8]) -> Vec<Part<'static>> {
    let (copy, size) = (copy(), size());
    let mut parts = Vec::new();
    let mut names = vec![String::from(SHIM), String::from(SETTINGS)];
    for vm in 0..vms.len() {
        // They know the one filter, whichever it is, by the name of the first.
        let filter = || (filter_module(0), Source::Part(filter_module(vm)));
        let imports = vec![(String::from(SHIM), Source::Shim), filter()];
        parts.push(Part { name: numbered(COPY, vm), bytes: copy.clone().into(), imports });
        parts.push(Part { name: numbered(SIZE, vm), bytes: size.clone().into(), imports: vec![filter()] });
        names.extend([filter_module(vm), numbered(COPY, vm), numbered(SIZE, vm)]);
    }
    parts.push(Part { name: SETTINGS.into(), bytes: self::settings(settings).into(), imports: sources(&[SHIM]) });
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    parts.push(Part { name: MODULE.into(), bytes: main(vms, settings).into(), imports: sources(&names) });
    parts
}

/// The name of the module for a filter.
fn numbered(name: &str, vm: usize) -> String {
    if vm == 0 { name.to_owned() } else { format!("{name}-{}", vm + 1) }
}

fn copy() -> Vec<u8> {
    let mut builder = Builder::new("proxy-wasm bridge: copy");
    let shim = builder.import_memory(SHIM);
    let filter = builder.import_memory(&filter_module(0));
    builder.function("memory_read", &signature("memory_read"), |code| copy_loops(code, shim, filter));
    builder.function("memory_write", &signature("memory_write"), |code| copy_loops(code, filter, shim));
    builder.finish()
}

/// Copies `local 3` bytes from `local 2` of one memory to `local 1` of another.
fn copy_loops(code: &mut InstructionSink<'_>, to: u32, from: u32) {
    const TO: u32 = 1;
    const FROM: u32 = 2;
    const LEN: u32 = 3;
    // No address is known to be aligned.
    let at = |memory| MemArg { offset: 0, align: 0, target: MemArgTarget::Memory(memory), ordering: None };
    for step in [4, 1] {
        code.block(BlockType::Empty).loop_(BlockType::Empty);
        code.local_get(LEN).i32_const(step).i32_lt_u().br_if(1);
        code.local_get(TO).local_get(FROM);
        match step {
            4 => code.i32_load(at(from)).i32_store(at(to)),
            _ => code.i32_load8_u(at(from)).i32_store8(at(to)),
        };
        for (local, sign) in [(TO, 1), (FROM, 1), (LEN, -1)] {
            code.local_get(local).i32_const(sign * step).i32_add().local_set(local);
        }
        code.br(0).end().end();
    }
}

fn settings(settings: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new("proxy-wasm bridge: settings");
    let shim = builder.import_memory(SHIM);
    let size = i32::try_from(settings.len()).expect("settings of less than 2 GiB");
    builder.passive_data(settings.to_vec());
    builder.function("settings_read", &signature("settings_read"), |code| {
        code.local_get(0).i32_const(0).i32_const(size).memory_init(shim, 0);
    });
    builder.finish()
}

fn size() -> Vec<u8> {
    let mut builder = Builder::new("proxy-wasm bridge: size");
    let filter = builder.import_memory(&filter_module(0));
    builder.function("memory_pages", &signature("memory_pages"), |code| {
        code.memory_size(filter);
    });
    builder.finish()
}

fn main(vms: &[BridgedVm<'_>], settings: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new(NAME);
    let imports = calls::import(&mut builder, vms);
    let others = [(COPY, "memory_read"), (COPY, "memory_write"), (SIZE, "memory_pages")].map(|(module, name)| {
        let signature = signature(name);
        let of_vm = |vm| builder.import_function(&numbered(module, vm), name, &signature);
        (name, (0..vms.len()).map(of_vm).collect::<Vec<u32>>())
    });
    let settings_read = builder.import_function(SETTINGS, "settings_read", &signature("settings_read"));
    builder.export("settings_read", settings_read);
    for (name, functions) in others {
        if let [only] = functions.as_slice() {
            builder.export(name, *only);
            continue;
        }
        let signature = signature(name);
        builder.function(name, &signature, |code| {
            per_vm(code, &functions, |code, function| {
                for param in (0..).take(signature.params.len()) {
                    code.local_get(param);
                }
                code.call(*function);
            });
        });
    }
    calls::export(&mut builder, vms, &imports, settings);
    builder.finish()
}
