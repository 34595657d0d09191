//! The bridge for hosts without multi-memory, in four modules.
//!
//! Only the first has two memories, and of WebAssembly's instructions on them it uses loads and stores:
//!
//! ```wat
//! (module $"proxy-wasm bridge: copy"
//!   (import "shim" "memory" (memory $shim 0))
//!   (import "filter" "memory" (memory $filter 0))
//!   (func (export "memory_read") (param $to i32) (param $from i32) (param $len i32)
//!     (block $words_done (loop $word            ;; four bytes at a time
//!       (br_if $words_done (i32.lt_u (local.get $len) (i32.const 4)))
//!       (i32.store $shim (local.get $to) (i32.load $filter (local.get $from)))
//!       … (br $word)))
//!     (block $done (loop $byte … )))            ;; then the rest
//!   …)
//! ```

use proxy_wasm_abi::bridge::{FILTER, MODULE, SHIM};
use wasm_encoder::{BlockType, InstructionSink, MemArg, MemArgTarget};

use super::{NAME, calls, signature, sources};
use crate::abi::Abi;
use crate::builder::Builder;
use crate::link::Part;

const COPY: &str = "bridge-copy";
const SETTINGS: &str = "bridge-settings";
const SIZE: &str = "bridge-size";

pub(super) fn generate(abi: &Abi, settings: &[u8]) -> Vec<Part> {
    vec![
        Part { name: COPY.into(), bytes: copy(), imports: sources(&[SHIM, FILTER]) },
        Part { name: SETTINGS.into(), bytes: self::settings(settings), imports: sources(&[SHIM]) },
        Part { name: SIZE.into(), bytes: size(), imports: sources(&[FILTER]) },
        Part {
            name: MODULE.into(),
            bytes: main(abi, settings),
            imports: sources(&[SHIM, FILTER, COPY, SETTINGS, SIZE]),
        },
    ]
}

fn copy() -> Vec<u8> {
    let mut builder = Builder::new("proxy-wasm bridge: copy");
    let shim = builder.import_memory(SHIM);
    let filter = builder.import_memory(FILTER);
    builder.function("memory_read", &signature("memory_read"), |code| copy_loops(code, shim, filter));
    builder.function("memory_write", &signature("memory_write"), |code| copy_loops(code, filter, shim));
    builder.finish()
}

/// Copies `local 2` bytes from `local 1` of one memory to `local 0` of another.
fn copy_loops(code: &mut InstructionSink<'_>, to: u32, from: u32) {
    const TO: u32 = 0;
    const FROM: u32 = 1;
    const LEN: u32 = 2;
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
    let filter = builder.import_memory(FILTER);
    builder.function("memory_pages", &signature("memory_pages"), |code| {
        code.memory_size(filter);
    });
    builder.finish()
}

fn main(abi: &Abi, settings: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new(NAME);
    let imports = calls::import(&mut builder, abi);
    let others = [(COPY, "memory_read"), (COPY, "memory_write"), (SETTINGS, "settings_read"), (SIZE, "memory_pages")];
    for (module, name) in others {
        let function = builder.import_function(module, name, &signature(name));
        builder.export(name, function);
    }
    calls::export(&mut builder, abi, &imports, settings);
    builder.finish()
}
