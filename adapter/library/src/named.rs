//! Whether a filter names a foreign function.

use std::collections::HashSet;

use memchr::memmem;
use wasmparser::{DataKind, Operator, Parser, Payload};

/// Bytes of a name that is so short that it stands in many a module, as a part of words: `sign`, of `unsigned`.
const SHORT: usize = 4;

/// Whether a module has this name in it; of a short one, whether something points to it.
pub(crate) fn names(module: &[u8], name: &str) -> bool {
    memmem::find(module, name.as_bytes()).is_some()
        // What can't be read is refused elsewhere.
        && (name.len() > SHORT || is_pointed_to(module, name.as_bytes()).unwrap_or(false))
}

/// Whether the address of such a text is a constant of the code, or stands in the data.
fn is_pointed_to(module: &[u8], text: &[u8]) -> wasmparser::Result<bool> {
    let (mut addresses, mut segments) = (HashSet::new(), Vec::new());
    let payloads = Parser::new(0).parse_all(module).collect::<wasmparser::Result<Vec<_>>>()?;
    for payload in &payloads {
        let Payload::DataSection(section) = payload else { continue };
        for segment in section.clone() {
            let segment = segment?;
            let DataKind::Active { offset_expr, .. } = segment.kind else { continue };
            let Operator::I32Const { value } = offset_expr.get_operators_reader().read()? else { continue };
            addresses.extend(memmem::find_iter(segment.data, text).map(|at| (value as u32).wrapping_add(at as u32)));
            segments.push((value as u32, segment.data));
        }
    }
    for (start, data) in segments {
        // Pointers are aligned.
        let words = data.get((start.wrapping_neg() % 4) as usize..).unwrap_or_default().chunks_exact(4);
        let mut words = words.map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        if words.any(|word| addresses.contains(&word)) {
            return Ok(true);
        }
    }
    for payload in &payloads {
        let Payload::CodeSectionEntry(body) = payload else { continue };
        for operator in body.get_operators_reader()? {
            let address = match operator? {
                Operator::I32Const { value } => value as u32,
                // Go counts with these.
                Operator::I64Const { value } => value as u32,
                _ => continue,
            };
            if addresses.contains(&address) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_module(text: &str, name: &str) -> bool {
        names(&wat::parse_str(format!("(module (memory 1) {text})")).unwrap(), name)
    }

    #[test]
    fn a_long_name_is_enough() {
        assert!(in_module(r#"(data (i32.const 8) "decompressed")"#, "compress"));
        assert!(!in_module(r#"(data (i32.const 8) "decompose")"#, "compress"));
    }

    #[test]
    fn a_short_name_is_pointed_to() {
        let data = r#"(data (i32.const 8) "unsigned sign")"#;
        let with = |code: &str| in_module(&format!("{data} {code}"), "sign");
        assert!(!with(""));
        assert!(!with("(func (drop (i32.const 8)))"), "at the word around it");
        assert!(with("(func (drop (i32.const 17)))"));
        assert!(with("(func (drop (i64.const 17)))"));
        assert!(with(r#"(data (i32.const 42) "..\11\00\00\00")"#));
        assert!(!with(r#"(data (i32.const 43) "..\11\00\00\00")"#), "no pointer: it is not aligned");
    }
}
