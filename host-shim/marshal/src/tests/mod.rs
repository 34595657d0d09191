//! The host calls on a memory that the test holds: what they read and write, in which order they check, and what they
//! return where a pointer, a length or the filter's allocator is bad.

mod beside;
mod buffers;
mod exchange;
mod general;
mod grpc;
mod hostile;
mod maps;
mod properties;
mod streams;
mod wasi;

use crate::testing::{Allocator, Bed, MEMORY, Running, make};
use exchange::{during, exchange};

/// Where results are written.
const OUT: u32 = 64;
/// A place for the second result.
const OUT2: u32 = 72;

/// Pointers at which four bytes are out of bounds.
const BAD_OUT: [u32; 4] = [MEMORY, MEMORY - 3, u32::MAX - 3, u32::MAX];

/// Pointers and lengths that are out of bounds.
const BAD_RANGES: [(u32, u32); 7] = [
    (MEMORY, 1),
    (MEMORY - 1, 2),
    (0, MEMORY + 1),
    (u32::MAX, 1),
    (1, u32::MAX),
    (u32::MAX, u32::MAX),
    (MEMORY + 1, 0),
];

/// Statuses, as the filter sees them.
const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
const BAD_MEMORY: u32 = 6;
