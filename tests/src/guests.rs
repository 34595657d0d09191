//! Guests: filters that do what they are told at run time, so that hundreds of hostile ones need one module.
//!
//! A program is a list of host calls with their arguments for each callback. A request brings the filter's in a header;
//! those of the callbacks of the start stand in the configuration. In each callback the filter makes the calls, and logs
//! `@guest `, the callback's letter, and a character for each result: as far after `0` in ASCII as the result says.

mod filter;
mod generator;
mod random;

use std::fmt;

use proxy_wasm_abi::host_calls::HostCall;

pub use filter::filter;
pub use generator::{CALLBACKS_OF_START, program, start_program};
pub use random::Random;

/// The header that brings a program.
pub const HEADER: &str = "x-program";

/// The most arguments that a host call has.
const ARGUMENTS_MAX: usize = 12;

/// The callbacks that run programs, each with its letter.
pub const CALLBACKS: [(char, &str); 12] = [
    ('V', "proxy_on_vm_start"),
    ('C', "proxy_on_configure"),
    ('T', "proxy_on_tick"),
    ('h', "proxy_on_request_headers"),
    ('b', "proxy_on_request_body"),
    ('t', "proxy_on_request_trailers"),
    ('H', "proxy_on_response_headers"),
    ('B', "proxy_on_response_body"),
    ('R', "proxy_on_response_trailers"),
    ('L', "proxy_on_log"),
    ('D', "proxy_on_done"),
    ('X', "proxy_on_delete"),
];

/// The filter's allocator during a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocator {
    /// Gives memory.
    Good,
    /// Has none.
    Nothing,
    /// Gives what is out of bounds.
    OutOfBounds,
}

/// A host call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The filter's allocator while it is made.
    pub allocator: Allocator,
    /// Its number among those that the filter imports.
    pub number: usize,
    /// Its row.
    pub call: &'static HostCall,
    /// As many as it has parameters.
    pub arguments: Vec<u32>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:x?} ({:?})", self.call.name, self.arguments, self.allocator)
    }
}

/// The calls of each callback, by its letter.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// In the order in which they are made.
    pub sections: Vec<(char, Vec<Call>)>,
}

impl Program {
    /// As the filter reads it: letters from `a` to `p`, two for each byte.
    pub fn encoded(&self) -> String {
        let mut bytes = Vec::new();
        for (letter, calls) in &self.sections {
            let body: Vec<u8> = calls.iter().flat_map(encode).collect();
            let len = u16::try_from(body.len()).unwrap_or(u16::MAX).to_le_bytes();
            bytes.extend([*letter as u8, calls.len() as u8, len[0], len[1]]);
            bytes.extend(body);
        }
        bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(b'a' + nibble)).collect()
    }

    /// The calls that a callback makes.
    pub fn calls(&self, letter: char) -> &[Call] {
        self.sections.iter().find(|(of, _)| *of == letter).map_or(&[], |(_, calls)| calls)
    }
}

/// Always of the same length: the allocator, the call's number, and room for every argument.
fn encode(call: &Call) -> Vec<u8> {
    let mut bytes = vec![call.allocator as u8, call.number as u8];
    for place in 0..ARGUMENTS_MAX {
        bytes.extend(call.arguments.get(place).copied().unwrap_or_default().to_le_bytes());
    }
    bytes
}
