//! The filter as it stands in the component: byte for byte, except where a component cannot hold that.
//!
//! WebAssembly lets a module import the same name twice, and Go's linker does (`fd_write`, `random_get`). A module inside a
//! component may not. Of such an import the last byte of the *module* name is changed in the second and each later
//! place: the length stays, so no offset in the file moves, and the component passes the same instance under the new name.
//! The places are written down in the provenance, and [`restore`] undoes it.
//!
//! ```text
//! before   (import "wasi_snapshot_preview1" "fd_write" …) (import "wasi_snapshot_preview1" "fd_write" …)
//! after    (import "wasi_snapshot_preview1" "fd_write" …) (import "wasi_snapshot_preview0" "fd_write" …)
//! ```

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use wasmparser::{Parser, Payload};

use crate::error::Internal;
use crate::facts::Facts;

/// A byte of the filter that had to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedByte {
    /// Where, in bytes from the start of the filter.
    pub offset: usize,
    /// The byte that the filter has there.
    pub was: u8,
}

/// A filter that a component can hold.
#[derive(Clone, Debug)]
pub(crate) struct Embeddable<'a> {
    pub(crate) bytes: Cow<'a, [u8]>,
    pub(crate) changed: Vec<ChangedByte>,
    /// Module names that imports have now, and the names that they stand for.
    pub(crate) aliases: Vec<(String, String)>,
}

impl Embeddable<'_> {
    /// What stands in it, given what stands in the filter.
    pub(crate) fn facts(&self, filter: Facts) -> Result<Facts, Internal> {
        match self.bytes {
            Cow::Borrowed(_) => Ok(filter),
            Cow::Owned(ref bytes) => {
                Facts::read(bytes).map_err(|error| Internal::new("renames an import that stands twice", error))
            }
        }
    }
}

/// Gives imports that stand twice names of their own.
pub(crate) fn embeddable(filter: &[u8]) -> Result<Embeddable<'_>, Internal> {
    let failed = |message: &str| Internal::new("renames an import that stands twice", message);
    let imports = imports(filter).map_err(|error| failed(error.message()))?;
    let mut result = Embeddable { bytes: Cow::Borrowed(filter), changed: Vec::new(), aliases: Vec::new() };
    // Names that no import may get, because another has them.
    let mut modules: HashSet<String> = imports.iter().map(|import| import.module.clone()).collect();
    let mut seen: HashSet<(String, &str)> = HashSet::new();
    for import in &imports {
        if seen.insert((import.module.clone(), import.name)) {
            continue;
        }
        // An alias made for an earlier import serves this one too, unless that was of the same name.
        let made = result
            .aliases
            .iter()
            .find(|(alias, of)| *of == import.module && !seen.contains(&(alias.clone(), import.name)));
        let alias = match made {
            Some((alias, _)) => alias.clone(),
            None => {
                let alias = unused(&import.module, &modules).ok_or_else(|| failed("no name of its length is left"))?;
                modules.insert(alias.clone());
                result.aliases.push((alias.clone(), import.module.clone()));
                alias
            }
        };
        let last = |name: &str| name.bytes().last();
        let (Some(was), Some(now)) = (last(&import.module), last(&alias)) else {
            return Err(failed("its module has no name"));
        };
        let offset = import.module_end - 1;
        match result.bytes.to_mut().get_mut(offset) {
            Some(byte) if *byte == was => *byte = now,
            _ => return Err(failed("its name is not where the parser found it")),
        }
        result.changed.push(ChangedByte { offset, was });
        seen.insert((alias, import.name));
    }
    Ok(result)
}

/// Gives an embedded filter its own bytes back.
pub(crate) fn restore(filter: &mut [u8], changed: &[ChangedByte]) -> Option<()> {
    for change in changed {
        *filter.get_mut(change.offset)? = change.was;
    }
    Some(())
}

struct Import<'a> {
    module: String,
    name: &'a str,
    /// Just past the module name's last byte.
    module_end: usize,
}

fn imports(filter: &[u8]) -> wasmparser::Result<Vec<Import<'_>>> {
    let mut all = Vec::new();
    for payload in Parser::new(0).parse_all(filter) {
        let Payload::ImportSection(section) = payload? else { continue };
        for import in section.into_imports() {
            let import = import?;
            // The parser lends the name out of the file, so where it lies in memory says where it lies in the file.
            let module_end = import.module.as_bytes().as_ptr_range().end.addr() - filter.as_ptr().addr();
            all.push(Import { module: import.module.to_owned(), name: import.name, module_end });
        }
    }
    Ok(all)
}

/// A name like this one but for its last byte, that none of these is.
fn unused(name: &str, taken: &HashSet<String>) -> Option<String> {
    let stem = name.get(..name.len().checked_sub(1)?)?;
    ('0'..='9')
        .chain('a'..='z')
        .chain('A'..='Z')
        .map(|last| format!("{stem}{last}"))
        .find(|alias| !taken.contains(alias))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn leaves_other_filters_alone() {
        let filter = module(r#"(module (import "env" "a" (func)) (import "env" "b" (func)))"#);
        let embeddable = embeddable(&filter).unwrap();
        assert!(matches!(embeddable.bytes, Cow::Borrowed(_)));
        assert_eq!(embeddable.changed, []);
    }

    #[test]
    fn renames_and_restores() {
        let filter = module(
            r#"(module (import "env" "a" (func)) (import "env" "b" (func)) (import "env" "a" (func))
                       (import "en0" "c" (func)) (import "env" "b" (func)) (import "env" "a" (func (param i32))))"#,
        );
        let embeddable = embeddable(&filter).unwrap();
        let aliases = [("en1", "env"), ("en2", "env")].map(|(alias, of)| (alias.to_owned(), of.to_owned()));
        assert_eq!(embeddable.aliases, aliases);
        assert_eq!(embeddable.changed.len(), 3);
        let names: HashSet<_> =
            imports(&embeddable.bytes).unwrap().into_iter().map(|import| (import.module, import.name)).collect();
        assert_eq!(names.len(), 6, "every import has a name of its own");
        let mut bytes = embeddable.bytes.into_owned();
        assert_ne!(bytes, filter);
        restore(&mut bytes, &embeddable.changed).unwrap();
        assert_eq!(bytes, filter);
    }
}
