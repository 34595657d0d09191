//! The part of a bridge that calls the filter: callbacks, allocator, start.
//!
//! All callbacks are called through one export, as each import and export costs every new instance some time. Yet each is a
//! function of the bridge, even where it only calls the filter's: so a host's backtrace names it, however the filter's own
//! function is called or stripped. One with the parameters of ABI 0.1.0 is called without the last argument.

use proxy_wasm_abi::bridge::{ALLOCATORS, FILTER, SHIM, START_FUNCTIONS};
use proxy_wasm_abi::callbacks::CALLBACKS;
use proxy_wasm_abi::foreign_functions::FOREIGN_FUNCTIONS;

use wasm_encoder::{BlockType, InstructionSink};

use super::signature;
use crate::abi::{Abi, Shape, signatures};
use crate::builder::Builder;
use crate::facts::Signature;

/// The filter's functions that a bridge imports, by their indices.
pub(super) struct Imports {
    /// One for each callback of the table that the filter exports.
    callbacks: Vec<Option<u32>>,
    allocator: Option<u32>,
    /// One for each of the table that is called.
    start: Vec<Option<u32>>,
    /// One for each foreign function of the table that the filter names.
    foreign: Vec<Option<u32>>,
}

/// Imports what is called of the filter.
pub(super) fn import(builder: &mut Builder, abi: &Abi) -> Imports {
    let callbacks = CALLBACKS
        .iter()
        .zip(&abi.callbacks)
        .map(|(callback, shape)| {
            let signatures = signatures(callback);
            let signature = match (*shape)? {
                Shape::Current => signatures.first(),
                Shape::Old => signatures.last(),
            };
            Some(builder.import_function(FILTER, callback.name, signature?))
        })
        .collect();
    let allocator = abi.allocator.map(|name| builder.import_function(FILTER, name, &Signature::i32s(1, 1)));
    let mut start = Vec::new();
    for &(name, params, result) in START_FUNCTIONS {
        if !abi.start.functions().contains(&name) {
            start.push(None);
            continue;
        }
        start.push(Some(builder.import_function(FILTER, name, &Signature::i32s(params, usize::from(result)))));
    }
    let foreign = FOREIGN_FUNCTIONS
        .iter()
        .map(|function| {
            let export = function.export.filter(|_| abi.foreign_functions.contains(&function.name))?;
            Some(builder.import_function(SHIM, export, &Signature::i32s(0, 0)))
        })
        .collect();
    Imports { callbacks, allocator, start, foreign }
}

/// Exports what the shim calls of the filter, and what it asks about it.
pub(super) fn export(builder: &mut Builder, abi: &Abi, imports: &Imports, settings: &[u8]) {
    let size = i32::try_from(settings.len()).expect("settings of less than 2 GiB");
    builder.function("settings_size", &signature("settings_size"), |code| {
        code.i32_const(size);
    });
    let version = abi.version.map_or(0, |version| version as i32);
    builder.function("abi_version", &signature("abi_version"), |code| {
        code.i32_const(version);
    });
    let bits =
        imports.callbacks.iter().enumerate().fold(0, |bits, (i, import)| bits | i64::from(import.is_some()) << i);
    builder.function("callbacks", &signature("callbacks"), |code| {
        code.i64_const(bits);
    });
    let old =
        abi.callbacks.iter().enumerate().fold(0, |bits, (i, shape)| bits | i64::from(*shape == Some(Shape::Old)) << i);
    builder.function("callbacks_of_0_1_0", &signature("callbacks_of_0_1_0"), |code| {
        code.i64_const(old);
    });
    builder.function("reads_properties", &signature("reads_properties"), |code| {
        code.i32_const(abi.reads_properties.into());
    });
    let allocator = ALLOCATORS.iter().position(|name| abi.allocator == Some(name)).unwrap_or(ALLOCATORS.len());
    builder.function("allocator", &signature("allocator"), |code| {
        code.i32_const(allocator as i32);
    });
    builder.function("allocate", &signature("allocate"), |code| {
        match imports.allocator {
            Some(allocator) => code.local_get(0).call(allocator),
            None => code.i32_const(0),
        };
    });
    builder.function("foreign", &signature("foreign"), |code| {
        for (index, function) in (0..).zip(&imports.foreign) {
            if let Some(function) = function {
                code.local_get(0).i32_const(index).i32_eq().if_(BlockType::Empty).call(*function).end();
            }
        }
    });
    let called = imports.start.iter().enumerate().fold(0, |bits, (i, import)| bits | i32::from(import.is_some()) << i);
    builder.function("start_functions", &signature("start_functions"), |code| {
        code.i32_const(called);
    });
    builder.function("start", &signature("start"), |code| {
        for (index, (&(_, params, result), function)) in (0..).zip(START_FUNCTIONS.iter().zip(&imports.start)) {
            let Some(function) = function else { continue };
            code.local_get(0).i32_const(index).i32_eq().if_(BlockType::Empty);
            for _ in 0..params {
                code.i32_const(0);
            }
            code.call(*function);
            if !result {
                code.i32_const(0);
            }
            code.return_().end();
        }
        code.i32_const(0);
    });
    let callbacks: Vec<Option<u32>> = CALLBACKS
        .iter()
        .zip(&abi.callbacks)
        .zip(&imports.callbacks)
        .map(|((callback, shape), import)| {
            let function = (*import)?;
            let passed = match shape {
                Some(Shape::Old) => callback.params_0_1_0.unwrap_or(callback.params),
                _ => callback.params,
            };
            let signature = Signature::i32s(callback.params, usize::from(callback.result));
            Some(builder.local_function(callback.name, &signature, |code| {
                for param in (0..).take(passed) {
                    code.local_get(param);
                }
                code.call(function);
            }))
        })
        .collect();
    builder.function("call", &signature("call"), |code| dispatch(code, &callbacks));
}

/// Calls the callback that the first argument numbers, with as many of the others as it has parameters.
fn dispatch(code: &mut InstructionSink<'_>, callbacks: &[Option<u32>]) {
    // One block for each callback that there is, the first innermost, in one for those that there are not.
    let there: Vec<_> =
        CALLBACKS.iter().zip(callbacks).filter_map(|(row, function)| Some((row, (*function)?))).collect();
    let depth = there.len() as u32;
    let labels: Vec<u32> = callbacks
        .iter()
        .scan(0, |next, function| {
            let label = *next;
            *next += u32::from(function.is_some());
            Some(if function.is_some() { label } else { depth })
        })
        .collect();
    for _ in 0..=depth {
        code.block(BlockType::Empty);
    }
    code.local_get(0).br_table(labels, depth);
    for (callback, function) in there {
        code.end();
        for param in (1..).take(callback.params) {
            code.local_get(param);
        }
        code.call(function);
        if !callback.result {
            code.i32_const(0);
        }
        code.return_();
    }
    code.end().i32_const(0);
}
