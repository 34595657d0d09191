//! Takes the filter out of an adapted component: the very bytes that went in, or an error.

use wasmparser::{Parser, Payload};

use crate::check::is_component;
use crate::digest::sha256;
use crate::error::{Error, NotExtractable};
use crate::filter;
use crate::provenance::Provenance;

/// The filter in a component that this program made, byte for byte as it went in.
///
/// # Errors
/// [`Error::Extract`] for every other file, and for a component in which the filter is no longer the same.
pub fn extract(component: &[u8]) -> Result<Vec<u8>, Error> {
    open(component).map(|(_, filter)| filter).map_err(Error::Extract)
}

/// The provenance and the filter.
pub(crate) fn open(component: &[u8]) -> Result<(Provenance, Vec<u8>), NotExtractable> {
    if !is_component(component) {
        let is_module = component.starts_with(b"\0asm");
        return Err(if is_module { NotExtractable::CoreModule } else { NotExtractable::NotAdapted });
    }
    let provenance = match Provenance::find(component) {
        Ok(Some(provenance)) => provenance,
        Ok(None) => return Err(NotExtractable::NotAdapted),
        Err(unreadable) => {
            return Err(unreadable
                .version
                .map_or(NotExtractable::NotAdapted, |version| NotExtractable::Newer { version }));
        }
    };
    let filter = modules(component)
        .filter(|module| module.len() == provenance.filter.size)
        .filter_map(|module| {
            let mut module = module.to_vec();
            filter::restore(&mut module, &provenance.filter.changed)?;
            Some(module)
        })
        .find(|module| sha256(module) == provenance.filter.sha256);
    match filter {
        Some(filter) => Ok((provenance, filter)),
        None => Err(NotExtractable::Changed { sha256: provenance.filter.sha256 }),
    }
}

/// The core modules in a component.
fn modules(component: &[u8]) -> impl Iterator<Item = &[u8]> {
    Parser::new(0).parse_all(component).map_while(Result::ok).filter_map(|payload| match payload {
        Payload::ModuleSection { unchecked_range, .. } => {
            let (start, end) = (unchecked_range.start.try_into().ok()?, unchecked_range.end.try_into().ok()?);
            component.get::<std::ops::Range<usize>>(start..end)
        }
        _ => None,
    })
}
