//! What a component whose plugins were started before says of it, and the filters as they went in.
//!
//! The section [`SECTION`] has, for each filter, the pieces that its module was made of: for those that are in the module
//! still, where; the others as they were. All of it is deflated, and numbers are in LEB128.
//!
//! ```text
//! originals:  count, then for each: number of the core module, count of pieces, pieces
//! piece:      0, offset, length              of the module as it is
//!             1, length, bytes
//! ```

use std::ops::Range;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use serde::{Deserialize, Serialize};
use wasm_encoder::{Component, CustomSection, Encode, RawSection};
use wasmparser::{BinaryReader, Parser, Payload};

use crate::error::Internal;
use crate::extract;
use crate::provenance::{self, Provenance};

/// The name of the custom section.
pub const SECTION: &str = "proxy-wasm-adapter-originals";

/// Bytes that it may have: more than all filters of a chain have.
const SECTION_MAX_BYTES: usize = 1 << 28;

/// How hard to look for what is shorter: the most, as it takes a tenth of a second for the largest filters.
const DEFLATE_LEVEL: u8 = 9;

/// What the start of the plugins did, which was before any instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preinit {
    /// How many random bytes it asked for: all instances have the same.
    pub random_bytes: u64,
    /// It looked what day it is.
    pub reads_wall_clock: bool,
}

/// What a module was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// Its number among the core modules of the component, as it is.
    pub module: usize,
    /// What it was made of, in this order.
    pub pieces: Vec<Piece>,
}

/// A piece of what a module was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes that are in the module still.
    Kept(Range<usize>),
    /// Bytes that are not.
    Other(Vec<u8>),
}

/// The core modules of a component that are filters, by their number.
pub fn filters(component: &[u8]) -> Vec<usize> {
    let Some(provenance) = Provenance::read(component) else { return Vec::new() };
    let is_filter = |module| provenance.filters.iter().any(|record| extract::restored(module, record).is_some());
    extract::modules(component).enumerate().filter(|(_, module)| is_filter(module)).map(|(index, _)| index).collect()
}

/// Lets a component say that its instances begin with their plugins started.
///
/// # Errors
/// [`Internal`] where it has no provenance, or cannot be read.
pub fn seal(component: &[u8], record: Preinit, originals: &[Original]) -> Result<Vec<u8>, Internal> {
    let failed = |message: String| Internal::new("writes what the filters were", message);
    let provenance = Provenance::read(component).ok_or_else(|| failed("no provenance".into()))?;
    let provenance = Provenance { preinit: Some(record), ..provenance };
    let mut sealed = Component::new();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|error| failed(error.to_string()))?;
        let is_own = depth == 1;
        match &payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
        let Some((id, range)) = payload.as_section().filter(|_| is_own) else { continue };
        match &payload {
            Payload::CustomSection(section) if section.name() == provenance::SECTION => {
                let deflated = compress_to_vec(&encode(originals), DEFLATE_LEVEL);
                sealed.section(&CustomSection { name: SECTION.into(), data: deflated.into() });
                sealed.section(&provenance.section()?);
            }
            _ => {
                let range = range.start.try_into().ok().zip(range.end.try_into().ok());
                let data = range.and_then(|(start, end): (usize, usize)| component.get(start..end));
                let data = data.ok_or_else(|| failed("a section past the end".into()))?;
                sealed.section(&RawSection { id, data });
            }
        }
    }
    Ok(sealed.finish())
}

fn encode(originals: &[Original]) -> Vec<u8> {
    let mut out = Vec::new();
    originals.len().encode(&mut out);
    for original in originals {
        original.module.encode(&mut out);
        original.pieces.len().encode(&mut out);
        for piece in &original.pieces {
            match piece {
                Piece::Kept(range) => {
                    out.push(0);
                    range.start.encode(&mut out);
                    range.len().encode(&mut out);
                }
                Piece::Other(bytes) => {
                    out.push(1);
                    bytes.as_slice().encode(&mut out);
                }
            }
        }
    }
    out
}

/// The modules that filters of this component were, as far as its section can be read.
pub(crate) fn originals(component: &[u8]) -> Vec<Vec<u8>> {
    let modules: Vec<&[u8]> = extract::modules(component).collect();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        match payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 1 && section.name() == SECTION => {
                let inflated = decompress_to_vec_with_limit(section.data(), SECTION_MAX_BYTES).unwrap_or_default();
                return decode(&inflated, &modules).unwrap_or_default();
            }
            _ => {}
        }
    }
    Vec::new()
}

fn decode(section: &[u8], modules: &[&[u8]]) -> wasmparser::Result<Vec<Vec<u8>>> {
    let mut reader = BinaryReader::new(section, 0);
    let mut originals = Vec::new();
    for _ in 0..reader.read_var_u32()? {
        let module = modules.get(reader.read_var_u32()? as usize).copied().unwrap_or_default();
        let mut original = Vec::new();
        // A small section may name a large piece any number of times.
        let most = module.len().saturating_add(section.len());
        for _ in 0..reader.read_var_u32()? {
            let piece = match reader.read_u8()? {
                0 => {
                    let (start, len) = (reader.read_var_u32()? as usize, reader.read_var_u32()? as usize);
                    start.checked_add(len).and_then(|end| module.get(start..end)).unwrap_or_default()
                }
                _ => {
                    let len = reader.read_var_u32()? as usize;
                    reader.read_bytes(len)?
                }
            };
            if original.len().saturating_add(piece.len()) <= most {
                original.extend_from_slice(piece);
            }
        }
        originals.push(original);
    }
    Ok(originals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn originals_are_read_as_they_were_written() {
        let original =
            Original { module: 1, pieces: vec![Piece::Kept(0..3), Piece::Other(vec![9; 200]), Piece::Kept(3..5)] };
        let section = encode(&[original]);
        let modules: [&[u8]; 2] = [b"", b"abcde"];
        let expected = [b"abc".as_slice(), &[9; 200], b"de"].concat();
        assert_eq!(decode(&section, &modules).unwrap(), [expected]);
        // Hostile ones end.
        for end in 0..section.len() {
            let _ = decode(&section[..end], &modules);
        }
        let many = [1, 1, 200, 1, 0, 0, 5, 0, 0, 5];
        assert!(decode(&many, &modules).is_err());
    }
}
