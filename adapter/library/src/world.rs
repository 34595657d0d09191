//! The world that a shim says it has, without the interface by which its component takes no requests: so wit-component does
//! not look for functions that are not there.

use wasm_encoder::{CustomSection, Module, RawSection};
use wasm_metadata::Producers;
use wasmparser::{Parser, Payload};
use wit_component::{StringEncoding, metadata};
use wit_parser::decoding::decode_world;

use crate::error::Internal;
use crate::exports::Exports;

/// Takes the interface that goes out of the shim's world. A shim that has none of that name stays as it is.
pub(crate) fn restrict(shim: Vec<u8>, exports: Exports) -> Result<Vec<u8>, Internal> {
    let failed =
        |error: &dyn std::fmt::Display| Internal::new("takes an export out of the shim's world", error.to_string());
    let Some(unwanted) = exports.unwanted() else { return Ok(shim) };
    let mut restricted = Module::new();
    for payload in Parser::new(0).parse_all(&shim) {
        let payload = payload.map_err(|error| failed(&error))?;
        match &payload {
            Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                let data = without(section.data(), unwanted).map_err(|error| failed(&error))?;
                restricted.section(&CustomSection { name: section.name().into(), data: data.into() });
            }
            _ => {
                let Some((id, range)) = payload.as_section() else { continue };
                let range = range.start.try_into().ok().zip(range.end.try_into().ok());
                let data = range.and_then(|(start, end): (usize, usize)| shim.get(start..end));
                restricted.section(&RawSection { id, data: data.ok_or_else(|| failed(&"a section past the end"))? });
            }
        }
    }
    Ok(restricted.finish())
}

/// A world as wit-bindgen writes it into a module, without this export.
fn without(world: &[u8], unwanted: &str) -> Result<Vec<u8>, String> {
    let (mut resolve, id) = decode_world(world).map_err(|error| format!("{error:#}"))?;
    let key = resolve.worlds[id].exports.keys().find(|key| resolve.name_world_key(key) == unwanted).cloned();
    let Some(key) = key else { return Ok(world.to_vec()) };
    resolve.worlds[id].exports.shift_remove(&key);
    let producers = Producers::from_wasm(world).map_err(|error| format!("{error:#}"))?;
    metadata::encode(&resolve, id, StringEncoding::UTF8, producers.as_ref(), false)
        .map_err(|error| format!("{error:#}"))
}
