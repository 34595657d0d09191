//! Everything that is wrong with a filter, at once.
//!
//! A module that does not validate has one problem; in one that does, all of them are found.

use proxy_wasm_abi::callbacks::{CALLBACKS, Family, TCP_CALLBACKS};
use proxy_wasm_abi::higress;
use proxy_wasm_abi::host_calls::HostCall;
use proxy_wasm_abi::limits::POOLED_TABLE_ELEMENTS;
use proxy_wasm_abi::settings::Profile;
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

use crate::abi::{Abi, signatures};
use crate::error::{ImportedFunction, Problem};
use crate::facts::{Facts, Item, Signature};
use crate::lookalike::{self, Lookalike};
use crate::other_world;
use crate::provenance::{Provenance, Unreadable};

/// What stands in a module that validates, or the one reason why it does not.
pub(crate) fn read(filter: &[u8]) -> Result<Facts, Problem> {
    let facts = open(filter)?;
    validate(filter)?;
    Ok(facts)
}

/// What stands in a module, valid or not, or why the file is none.
pub(crate) fn open(filter: &[u8]) -> Result<Facts, Problem> {
    if filter.is_empty() {
        return Err(Problem::Empty);
    }
    if !filter.starts_with(b"\0asm") {
        let Lookalike { what, remedy } = lookalike::of(filter);
        return Err(Problem::NotWasm { looks_like: what, remedy });
    }
    if let Some(damaged) = damage(filter) {
        return Err(damaged);
    }
    if is_component(filter) {
        return Err(match Provenance::find(filter) {
            Ok(Some(Provenance { version, .. })) | Err(Unreadable { version: Some(version) }) => {
                Problem::AlreadyAdapted { version }
            }
            _ => Problem::Component,
        });
    }
    Facts::read(filter).map_err(|error| {
        // The validator looks closer, so it has the first word.
        validate(filter).err().unwrap_or(Problem::Invalid { message: error.message().into(), offset: error.offset() })
    })
}

/// What is wrong with a module that validates, in the order in which a user would want to know.
pub(crate) fn check(facts: &Facts, abi: &Abi, stub_unknown_imports: bool, profile: Profile) -> Vec<Problem> {
    if let Some(problem) = other_world::other_world(facts, abi) {
        return vec![problem];
    }
    let mut problems = Vec::new();
    kind_of_filter(abi, facts, &mut problems);
    imports(facts, stub_unknown_imports, profile, &mut problems);
    memory_and_tables(facts, &mut problems);
    exports(abi, facts, &mut problems);
    problems
}

/// The one reason why a module does not validate.
pub(crate) fn validate(filter: &[u8]) -> Result<(), Problem> {
    // What the hosts at hand enable, and memory64 and threads for a message of their own.
    let Err(error) = Validator::new_with_features(WasmFeatures::WASM3).validate_all(filter) else { return Ok(()) };
    let (message, offset) = (error.message().to_owned(), error.offset());
    Err(match Validator::new_with_features(WasmFeatures::all()).validate_all(filter) {
        Ok(_) => Problem::Proposal { message, offset },
        Err(_) => Problem::Invalid { message, offset },
    })
}

/// Why a component can't be read to its end: mostly it was cut off. Nothing of core modules, which are read in full later.
pub fn damage(component: &[u8]) -> Option<Problem> {
    if !is_component(component) {
        return None;
    }
    let error = Parser::new(0).parse_all(component).find_map(Result::err)?;
    Some(Problem::Invalid { message: error.message().into(), offset: error.offset() })
}

/// Whether the bytes begin as a component does.
pub fn is_component(bytes: &[u8]) -> bool {
    matches!(Parser::new(0).parse_all(bytes).next(), Some(Ok(Payload::Version { encoding: Encoding::Component, .. })))
}

fn kind_of_filter(abi: &Abi, facts: &Facts, problems: &mut Vec<Problem>) {
    if abi.markers.is_empty() {
        problems.push(Problem::NoMarker);
    } else if abi.version.is_none() {
        problems.push(Problem::UnknownMarker { markers: abi.markers.clone() });
    }
    if let (Some(version), [_, _, ..]) = (abi.version, abi.markers.as_slice()) {
        problems.push(Problem::SeveralMarkers { markers: abi.markers.clone(), version: version.name() });
    }
    let http = CALLBACKS
        .iter()
        .zip(&abi.callbacks)
        .any(|(callback, found)| callback.family == Family::Http && found.is_some());
    let tcp: Vec<String> = TCP_CALLBACKS
        .iter()
        .filter(|name| facts.exported_function(name).is_some())
        .map(|name| (*name).to_owned())
        .collect();
    if !http && !tcp.is_empty() {
        problems.push(Problem::TcpOnly { callbacks: tcp });
    } else if !http && !abi.markers.is_empty() {
        problems.push(Problem::NoHttpCallback);
    }
}

fn imports(facts: &Facts, stub_unknown_imports: bool, profile: Profile, problems: &mut Vec<Problem>) {
    let mut unknown = Vec::new();
    for import in &facts.imports {
        let (module, name) = (import.module.clone(), import.name.clone());
        match &import.item {
            Item::Other(kind) => problems.push(Problem::NotAFunction { kind, module, name }),
            Item::Function(signature) => {
                let function = ImportedFunction { module, name, signature: signature.clone() };
                let of_higress =
                    || higress::HostCall::find(&import.module, &import.name, profile).map(Signature::of_higress_call);
                let known = HostCall::find(&import.module, &import.name).map(Signature::of_host_call);
                match known.or_else(of_higress) {
                    Some(expected) if expected == *signature => {}
                    Some(expected) => problems.push(Problem::ImportSignature { import: Box::new(function), expected }),
                    None if unknown.contains(&function) => {}
                    None if stub_unknown_imports && signature.is_numeric() => {}
                    None => unknown.push(function),
                }
            }
        }
    }
    if !unknown.is_empty() {
        problems.push(Problem::UnknownImports(unknown));
    }
}

fn memory_and_tables(facts: &Facts, problems: &mut Vec<Problem>) {
    if facts.memories.len() > 1 {
        problems.push(Problem::Memories { count: facts.memories.len() });
    }
    if facts.memories.iter().any(|memory| memory.memory64) {
        problems.push(Problem::Memory64);
    }
    if facts.memories.iter().any(|memory| memory.shared) {
        problems.push(Problem::SharedMemory);
    }
    if facts.memories.iter().any(|memory| memory.page_size_log2.is_some_and(|log2| log2 != 16)) {
        problems.push(Problem::PageSize);
    }
    if !facts.exports_memory("memory") {
        problems.push(Problem::NoMemory);
    }
    if let Some(elements) = facts.tables.iter().copied().max().filter(|elements| *elements > POOLED_TABLE_ELEMENTS) {
        problems.push(Problem::LargeTable { elements, limit: POOLED_TABLE_ELEMENTS });
    }
}

fn exports(abi: &Abi, facts: &Facts, problems: &mut Vec<Problem>) {
    if abi.allocator.is_none() {
        problems.push(Problem::NoAllocator);
    }
    let mut expect = |name: &str, expected: Vec<Signature>| match facts.exported_function(name) {
        Some(found) if !expected.contains(found) => {
            problems.push(Problem::ExportSignature { name: name.into(), found: found.clone(), expected });
        }
        _ => {}
    };
    if let Some(name) = abi.allocator {
        expect(name, vec![Signature::i32s(1, 1)]);
    }
    for name in abi.start.functions() {
        expect(
            name,
            vec![match *name {
                "main" => Signature::i32s(2, 1),
                "__main_void" => Signature::i32s(0, 1),
                _ => Signature::i32s(0, 0),
            }],
        );
    }
    for callback in CALLBACKS {
        expect(callback.name, signatures(callback));
    }
}
