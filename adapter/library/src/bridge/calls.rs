//! The part of a bridge that calls the filters: callbacks, allocators, start functions; and what it tells about them.
//!
//! All callbacks are called through one export, as each import and export costs every new instance some time. Yet each is a
//! function of the bridge, even where it only calls the filter's: so a host's backtrace names it, however the filter's own
//! function is called or stripped. One with the parameters of ABI 0.1.0 is called without the last argument.

use proxy_wasm_abi::bridge::{ALLOCATORS, Fact, SHIM, START_FUNCTIONS, filter_module};
use proxy_wasm_abi::callbacks::CALLBACKS;
use proxy_wasm_abi::foreign_functions::FOREIGN_FUNCTIONS;
use wasm_encoder::InstructionSink;

use super::select::{per_vm, select};
use super::{BridgedVm, names, signature};
use crate::abi::{Abi, Shape, signatures};
use crate::builder::Builder;
use crate::facts::Signature;

/// The functions that a bridge imports, by their indices.
pub(super) struct Imports {
    vms: Vec<OfFilter>,
    /// One for each foreign function of the table that a filter names.
    foreign: Vec<Option<u32>>,
}

/// Those of one filter.
struct OfFilter {
    /// One for each callback of the table that it exports.
    callbacks: Vec<Option<u32>>,
    allocator: Option<u32>,
    /// One for each of the table that is called.
    start: Vec<Option<u32>>,
}

/// Imports what is called of the filters.
pub(super) fn import(builder: &mut Builder, vms: &[BridgedVm<'_>]) -> Imports {
    let of_filters =
        vms.iter().enumerate().map(|(vm, of)| import_filter(builder, &filter_module(vm), &of.abi)).collect();
    let foreign = FOREIGN_FUNCTIONS
        .iter()
        .map(|function| {
            let is_named = vms.iter().any(|vm| vm.abi.foreign_functions.contains(&function.name));
            is_named.then(|| builder.import_function(SHIM, function.export, &Signature::i32s(0, 0)))
        })
        .collect();
    Imports { vms: of_filters, foreign }
}

fn import_filter(builder: &mut Builder, module: &str, abi: &Abi) -> OfFilter {
    let callbacks = CALLBACKS
        .iter()
        .zip(&abi.callbacks)
        .map(|(callback, shape)| {
            let signatures = signatures(callback);
            let signature = match (*shape)? {
                Shape::Current => signatures.first(),
                Shape::Old => signatures.last(),
            };
            Some(builder.import_function(module, callback.name, signature?))
        })
        .collect();
    let allocator = abi.allocator.map(|name| builder.import_function(module, name, &Signature::i32s(1, 1)));
    let mut start = Vec::new();
    for &(name, params, result) in START_FUNCTIONS {
        if !abi.start.functions().contains(&name) {
            start.push(None);
            continue;
        }
        start.push(Some(builder.import_function(module, name, &Signature::i32s(params, usize::from(result)))));
    }
    OfFilter { callbacks, allocator, start }
}

/// Exports what the shim calls of the filters, and what it asks about them.
pub(super) fn export(builder: &mut Builder, vms: &[BridgedVm<'_>], imports: &Imports, settings: &[u8]) {
    let facts: Vec<_> = vms.iter().zip(&imports.vms).map(|(vm, of)| facts(&vm.abi, of, settings)).collect();
    builder.function("fact", &signature("fact"), |code| {
        per_vm(code, &facts, |code, facts| {
            select(code, 1, facts, |code, fact| {
                code.i64_const(*fact);
            });
            code.i64_const(0);
        });
    });
    builder.function("allocate", &signature("allocate"), |code| {
        per_vm(code, &imports.vms, |code, of| {
            match of.allocator {
                Some(allocator) => code.local_get(1).call(allocator),
                None => code.i32_const(0),
            };
        });
    });
    builder.function("foreign", &signature("foreign"), |code| {
        select(code, 0, &imports.foreign, |code, function| {
            code.call(*function);
        });
    });
    start(builder, vms, imports);
    let functions: Vec<_> = vms.iter().zip(&imports.vms).map(|(vm, of)| callbacks(builder, vm, of)).collect();
    builder.function("call", &signature("call"), |code| {
        per_vm(code, &functions, |code, functions| {
            select(code, 1, functions, |code, (callback, function)| {
                for param in (2..).take(callback.params) {
                    code.local_get(param);
                }
                code.call(*function);
                if !callback.result {
                    code.i32_const(0);
                }
            });
            code.i32_const(0);
        });
    });
}

/// Each [`Fact`] at the place of its number.
fn facts(abi: &Abi, imports: &OfFilter, settings: &[u8]) -> Vec<Option<i64>> {
    let bits =
        |bits: &mut dyn Iterator<Item = bool>| (0..).zip(bits).fold(0, |sum, (i, bit)| sum | i64::from(bit) << i);
    let is_there = |import: &Option<u32>| import.is_some();
    let fact = |fact| match fact {
        Fact::SettingsSize => settings.len() as i64,
        Fact::AbiVersion => abi.version.map_or(0, |version| version as i64),
        Fact::Callbacks => bits(&mut imports.callbacks.iter().map(is_there)),
        Fact::CallbacksOf010 => bits(&mut abi.callbacks.iter().map(|shape| *shape == Some(Shape::Old))),
        Fact::ReadsProperties => abi.reads_properties.into(),
        Fact::Allocator => {
            ALLOCATORS.iter().position(|name| abi.allocator == Some(name)).unwrap_or(ALLOCATORS.len()) as i64
        }
        Fact::StartFunctions => bits(&mut imports.start.iter().map(is_there)),
    };
    Fact::ALL.into_iter().map(|of| Some(fact(of))).collect()
}

/// Exports what calls the start functions. Of several filters, each has a function of its own, for backtraces.
fn start(builder: &mut Builder, vms: &[BridgedVm<'_>], imports: &Imports) {
    let body = |code: &mut InstructionSink<'_>, which: u32, of: &OfFilter| {
        let functions = START_FUNCTIONS.iter().zip(&of.start);
        let functions: Vec<_> = functions.map(|(row, function)| Some((*row, (*function)?))).collect();
        select(code, which, &functions, |code, ((_, params, result), function)| {
            for _ in 0..*params {
                code.i32_const(0);
            }
            code.call(*function);
            if !result {
                code.i32_const(0);
            }
        });
        code.i32_const(0);
    };
    if let [only] = imports.vms.as_slice() {
        builder.function("start", &signature("start"), |code| body(code, 1, only));
        return;
    }
    let functions = vms.iter().zip(&imports.vms).map(|(vm, of)| {
        let name = names::name("start", vm.label.as_deref());
        builder.local_function(&name, &Signature::i32s(1, 1), |code| body(code, 0, of))
    });
    let functions: Vec<u32> = functions.collect();
    builder.function("start", &signature("start"), |code| {
        per_vm(code, &functions, |code, function| {
            code.local_get(1).call(*function);
        });
    });
}

/// A callback and the bridge's function for it.
type Called = (&'static proxy_wasm_abi::callbacks::Callback, u32);

/// The functions for the callbacks that a filter exports.
fn callbacks(builder: &mut Builder, vm: &BridgedVm<'_>, imports: &OfFilter) -> Vec<Option<Called>> {
    CALLBACKS
        .iter()
        .zip(&vm.abi.callbacks)
        .zip(&imports.callbacks)
        .map(|((callback, shape), import)| {
            let function = (*import)?;
            let passed = match shape {
                Some(Shape::Old) => callback.params_0_1_0.unwrap_or(callback.params),
                _ => callback.params,
            };
            let signature = Signature::i32s(callback.params, usize::from(callback.result));
            let name = names::name(callback.name, vm.label.as_deref());
            let index = builder.local_function(&name, &signature, |code| {
                for param in (0..).take(passed) {
                    code.local_get(param);
                }
                code.call(function);
            });
            Some((callback, index))
        })
        .collect()
}
