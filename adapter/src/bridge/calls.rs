//! The part of a bridge that calls the filter: callbacks, allocator, start.
//!
//! Each callback is a function of the bridge, even where it only calls the filter's: so a host's backtrace names it, however
//! the filter's own function is called or stripped. One with the parameters of ABI 0.1.0 is called without the last
//! argument. One that the filter lacks is a stub that returns 0: Continue, or no.

use proxy_wasm_abi::bridge::{ALLOCATORS, FILTER, START_FUNCTIONS};
use proxy_wasm_abi::callbacks::CALLBACKS;

use wasm_encoder::BlockType;

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
    Imports { callbacks, allocator, start }
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
    for ((callback, shape), import) in CALLBACKS.iter().zip(&abi.callbacks).zip(&imports.callbacks) {
        let signature = Signature::i32s(callback.params, usize::from(callback.result));
        let passed = match shape {
            Some(Shape::Old) => callback.params_0_1_0.unwrap_or(callback.params),
            _ => callback.params,
        };
        builder.function(callback.name, &signature, |code| match import {
            Some(function) => {
                for param in (0..).take(passed) {
                    code.local_get(param);
                }
                code.call(*function);
            }
            None if callback.result => {
                code.i32_const(0);
            }
            None => {}
        });
    }
}
