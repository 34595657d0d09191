//! What a component whose plugins were started before says of it.

use wasm_encoder::{Component, RawSection};
use wasmparser::{Parser, Payload};

use crate::error::Internal;
use crate::extract;
use crate::originals;
pub use crate::originals::{Original, Piece, SECTION};
pub use crate::provenance::Preinit;
use crate::provenance::{self, Provenance};

/// The core modules of a component that are filters, by their number.
pub fn filters(component: &[u8]) -> Vec<usize> {
    let Some(provenance) = Provenance::read(component) else { return Vec::new() };
    let is_filter = |module| provenance.filters.iter().any(|record| extract::restored(module, record).is_some());
    originals::modules(component).enumerate().filter(|(_, module)| is_filter(module)).map(|(index, _)| index).collect()
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
                sealed.section(&originals::section(originals));
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
