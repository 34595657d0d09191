//! Recognises modules that look like proxy-wasm filters and are made for something else.

use crate::abi::Abi;
use crate::error::Problem;
use crate::facts::{Facts, Item};

/// What a module is made for that shares nothing with the ABI, so that one sentence says it all.
pub(crate) fn other_world(facts: &Facts, abi: &Abi) -> Option<Problem> {
    if !abi.markers.is_empty() {
        return None;
    }
    let functions = || facts.imports.iter().filter(|import| matches!(import.item, Item::Function(_)));
    if let Some(import) = functions().find(|import| import.module == "http_handler") {
        return Some(Problem::HttpWasm { import: format!("{}.{}", import.module, import.name) });
    }
    // Emscripten's older compiler put an underscore before every name.
    let imported = functions().map(|import| &import.name);
    let exported = facts.exports.iter().map(|export| &export.name);
    let early = imported.chain(exported).find(|name| name.starts_with("_proxy_"))?;
    Some(Problem::EarlyEnvoy { function: early.clone() })
}
