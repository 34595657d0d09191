//! Generates the bridge: the module, or the few modules, between the shim and the filters. What it exports is written down
//! in [`proxy_wasm_abi::bridge`].
//!
//! Two kinds do the same:
//!
//! ```text
//! memory-copy   filters ◄── bridge ──► shim          one module, all memories, `memory.copy`
//!
//! portable      filter ◄── bridge-copy ──► shim      for each filter: both memories, plain loads and stores, no segments
//!               filter ◄── bridge-size               for each filter: one memory
//!                          bridge-settings ──► shim  one memory, and a data segment
//!               filters ◄── bridge                   no memory: the calls, and the exports of the others
//! ```
//!
//! With one filter nothing is chosen, and nothing is paid for that there could be several.
//!
//! Restriction: a host without multi-memory may play the second memory of a module by its own means, as jco does, only
//! where that module has no segments, no tables and no instructions on memories but loads and stores.
//!
//! Architecture invariant: a bridge has no state. Whatever a plugin keeps is in the shim's memory or in its filter's.

mod calls;
pub(crate) mod kind;
mod memory_copy;
pub mod names;
mod portable;
mod select;

use std::borrow::Cow;

use proxy_wasm_abi::bridge::{FUNCTIONS, SHIM};

use crate::abi::Abi;
use crate::facts::Signature;
use crate::part::{Part, Source};

pub use kind::Kind;

/// What backtraces call the module with the callbacks.
pub const NAME: &str = "proxy-wasm bridge";

/// A filter's instance, as a bridge sees it.
pub(crate) struct BridgedVm<'a> {
    pub(crate) abi: Cow<'a, Abi>,
    /// What backtraces call it, unless it is the only one: see [`names::label`].
    pub(crate) label: Option<String>,
}

/// The modules of the bridge, in the order of their instantiation. The last is the one that the shim imports.
pub(crate) fn generate(kind: Kind, vms: &[BridgedVm<'_>], settings: &[u8]) -> Vec<Part<'static>> {
    match kind {
        Kind::MemoryCopy => memory_copy::generate(vms, settings),
        Kind::Portable => portable::generate(vms, settings),
    }
}

/// The signature of one of the bridge's own functions.
///
/// # Panics
/// For a name that the contract does not have: a mistake of ours that every test would meet.
fn signature(name: &str) -> Signature {
    let (_, params, results) = FUNCTIONS.iter().find(|(known, ..)| *known == name).expect("a function of the contract");
    Signature::of(params.iter().copied(), results.iter().copied())
}

/// What a module of the bridge imports from.
fn sources(names: &[&str]) -> Vec<(String, Source)> {
    let source = |name: &&str| match *name {
        SHIM => Source::Shim,
        part => Source::Part(part.to_owned()),
    };
    names.iter().map(|name| ((*name).to_owned(), source(name))).collect()
}

#[cfg(test)]
mod tests {
    use proxy_wasm_abi::bridge::MODULE;

    use super::*;
    use crate::facts::Facts;

    /// A filter with a callback of either shape.
    fn filter() -> Abi {
        let filter = wat::parse_str(
            r#"(module
                 (memory (export "memory") 1)
                 (func (export "_initialize"))
                 (func (export "main") (param i32 i32) (result i32) i32.const 0)
                 (func (export "malloc") (param i32) (result i32) local.get 0)
                 (func (export "proxy_abi_version_0_2_1"))
                 (func (export "proxy_on_log") (param i32))
                 (func (export "proxy_on_request_headers") (param i32 i32) (result i32) i32.const 0))"#,
        )
        .unwrap();
        Abi::of(&Facts::read(&filter).unwrap(), proxy_wasm_abi::settings::Profile::Envoy)
    }

    /// So many filters.
    fn parts(kind: Kind, filters: usize) -> Vec<Part<'static>> {
        let abi = filter();
        let label = |vm| (filters > 1).then(|| names::label(vm, ["a"]));
        let vms: Vec<_> = (0..filters).map(|vm| BridgedVm { abi: Cow::Borrowed(&abi), label: label(vm) }).collect();
        generate(kind, &vms, b"settings")
    }

    #[test]
    fn bridges_export_the_contract() {
        for (kind, filters) in Kind::ALL.into_iter().flat_map(|kind| [1, 2, 20].map(|filters| (kind, filters))) {
            let parts = parts(kind, filters);
            for part in &parts {
                wasmparser::validate(&part.bytes).unwrap();
            }
            let bridge = parts.last().unwrap();
            assert_eq!(bridge.name, MODULE);
            let facts = Facts::read(&bridge.bytes).unwrap();
            for (name, ..) in FUNCTIONS {
                assert_eq!(facts.exported_function(name), Some(&signature(name)), "{name} of {kind:?}");
            }
            assert_eq!(facts.exports.len(), FUNCTIONS.len());
        }
    }

    /// `BLESS=1` writes them.
    #[test]
    fn bridges_are_as_written_down() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bridge");
        for (kind, filters) in [(Kind::MemoryCopy, 1), (Kind::Portable, 1), (Kind::MemoryCopy, 2), (Kind::Portable, 2)]
        {
            for part in parts(kind, filters) {
                let text = wasmprinter::print_bytes(&part.bytes).unwrap();
                let name = part.name.strip_prefix("bridge").unwrap();
                let several = if filters > 1 { "-of-two" } else { "" };
                let file = format!("{directory}/{}{several}{name}.wat", kind.name());
                // Only the calls are other ones for several filters.
                if kind == Kind::Portable && filters > 1 && part.name != MODULE {
                    continue;
                }
                if std::env::var_os("BLESS").is_some() {
                    std::fs::write(&file, &text).unwrap();
                }
                let expected = std::fs::read_to_string(&file).unwrap();
                assert!(expected == text, "{file} is otherwise:\n{text}");
            }
        }
    }

    /// What jco takes on a Node without multi-memory: see the restriction above.
    #[test]
    fn portable_modules_with_two_memories_only_load_and_store() {
        for part in parts(Kind::Portable, 2) {
            let facts = Facts::read(&part.bytes).unwrap();
            if facts.memories.len() < 2 {
                continue;
            }
            assert!(facts.tables.is_empty());
            for payload in wasmparser::Parser::new(0).parse_all(&part.bytes) {
                match payload.unwrap() {
                    wasmparser::Payload::DataSection(_) | wasmparser::Payload::ElementSection(_) => {
                        panic!("`{}` has segments", part.name)
                    }
                    wasmparser::Payload::CodeSectionEntry(body) => {
                        for operator in body.get_operators_reader().unwrap() {
                            let operator = format!("{:?}", operator.unwrap());
                            let name = operator.split(' ').next().unwrap();
                            let on_memory = ["Memory", "Data", "Table"].iter().any(|prefix| name.starts_with(prefix));
                            assert!(!on_memory, "`{}` has {operator}", part.name);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}
