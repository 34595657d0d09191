//! The filters of a component whose plugins were started before, as they went in.
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
use wasm_encoder::{CustomSection, Encode};
use wasmparser::{BinaryReader, Parser, Payload};

/// The name of the custom section.
pub const SECTION: &str = "proxy-wasm-adapter-originals";

/// Bytes that it, and the filters in it, may have: more than all filters of a chain have.
const SECTION_MAX_BYTES: usize = 1 << 28;

/// How hard to look for what is shorter: the most, as it takes a tenth of a second for the largest filters.
const DEFLATE_LEVEL: u8 = 9;

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

/// The section.
pub(crate) fn section(originals: &[Original]) -> CustomSection<'static> {
    CustomSection { name: SECTION.into(), data: compress_to_vec(&encode(originals), DEFLATE_LEVEL).into() }
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
pub(crate) fn of(component: &[u8]) -> Vec<Vec<u8>> {
    let modules: Vec<&[u8]> = modules(component).collect();
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
    let mut left = SECTION_MAX_BYTES;
    for _ in 0..reader.read_var_u32()? {
        let module = modules.get(reader.read_var_u32()? as usize).copied().unwrap_or_default();
        let mut original = Vec::new();
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
            // A small section may name a large piece any number of times.
            let Some(rest) = left.checked_sub(piece.len()) else { return Ok(originals) };
            left = rest;
            original.extend_from_slice(piece);
        }
        originals.push(original);
    }
    Ok(originals)
}

/// The core modules in a component.
pub(crate) fn modules(component: &[u8]) -> impl Iterator<Item = &[u8]> {
    Parser::new(0).parse_all(component).map_while(Result::ok).filter_map(|payload| match payload {
        Payload::ModuleSection { unchecked_range, .. } => {
            let (start, end) = (unchecked_range.start.try_into().ok()?, unchecked_range.end.try_into().ok()?);
            component.get::<std::ops::Range<usize>>(start..end)
        }
        _ => None,
    })
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
        // One original of 300 pieces, each of which is the whole of a module of a megabyte.
        let mut bomb = vec![1, 0, 0xac, 2];
        (0..300).for_each(|_| bomb.extend([0, 0, 0x80, 0x80, 0x40]));
        let large = vec![0; 1 << 20];
        assert!(decode(&bomb, &[large.as_slice()]).unwrap().is_empty());
    }
}
