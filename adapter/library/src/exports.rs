//! By which interfaces a component takes requests: what its shim exports besides, goes.
//!
//! The functions of an export are left out by `prune`; here its interface goes from the world that the shim says it has, so
//! that wit-component does not look for them.

use serde::{Deserialize, Serialize};
use wasm_encoder::{CustomSection, Module, RawSection};
use wasm_metadata::Producers;
use wasmparser::{Parser, Payload};
use wit_component::{StringEncoding, metadata};
use wit_parser::decoding::decode_world;

use crate::error::Internal;

/// The interfaces by which a component for WASI 0.2 takes requests, as options and settings name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exports {
    /// `wasi:http/incoming-handler`, for any host.
    #[default]
    Handler,
    /// `proxy-wasm:adapter/exchange`, for hosts that carry the bytes themselves: `proxy-wasm-adapter-embed`.
    Exchange,
    /// Both: 29 KB more than the first.
    Both,
}

const HANDLER: &str = "wasi:http/incoming-handler@0.2.0";
const EXCHANGE: &str = "proxy-wasm:adapter/exchange@0.1.0";

/// What the shim imports to take requests by the handler, and to send its own.
const FOR_HANDLER: [&str; 3] = ["wasi:http/types@0.2.0", "wasi:http/outgoing-handler@0.2.0", "wasi:io/poll@0.2.0"];

impl Exports {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Handler, Self::Exchange, Self::Both];

    /// Its name in options and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Exchange => "exchange",
            Self::Both => "both",
        }
    }

    /// The interface that goes.
    fn unwanted(self) -> Option<&'static str> {
        match self {
            Self::Handler => Some(EXCHANGE),
            Self::Exchange => Some(HANDLER),
            Self::Both => None,
        }
    }

    /// Whether this export of the shim, a function, stays.
    pub(crate) fn include(self, export: &str) -> bool {
        let export = export.strip_prefix("cabi_post_").unwrap_or(export);
        !self
            .unwanted()
            .is_some_and(|interface| export.strip_prefix(interface).is_some_and(|rest| rest.starts_with('#')))
    }

    /// The imports that nothing is left to call.
    pub(crate) fn unused_imports(self) -> &'static [&'static str] {
        if self == Self::Exchange { &FOR_HANDLER } else { &[] }
    }
}

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
