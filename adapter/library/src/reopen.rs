//! An adapted component taken apart again: its filters, and how they were adapted, so that they can be once more.

use proxy_wasm_abi::settings::Settings;
use wasmparser::{DataKind, ExternalKind, Parser, Payload};

use crate::error::NotExtractable;
use crate::extract::open;
use crate::options::Options;
use crate::originals::modules;
use crate::provenance::VERSION;
use crate::shim::{Flavour, Shim};

/// What a component was made of.
#[derive(Clone, Debug)]
pub struct Reopened {
    /// The filters, one for each plugin, in the order of the chain.
    pub filters: Vec<Vec<u8>>,
    /// How they were adapted, with a shim that was built in.
    pub options: Options,
}

/// What a component was made of; nothing, where another version made it, which may have written its settings in another form.
///
/// # Errors
/// What keeps [`extract`](crate::extract()) from taking a filter out.
pub fn reopen(component: &[u8]) -> Result<Option<Reopened>, NotExtractable> {
    let (provenance, filters) = open(component)?;
    if provenance.version != VERSION {
        return Ok(None);
    }
    let is_its = |settings: &Settings| {
        let names = settings.plugins.iter().map(|plugin| plugin.name.as_str());
        names.eq(provenance.plugins.iter().map(|plugin| plugin.settings.name.as_str()))
    };
    let settings = modules(component).filter_map(settings_bytes).filter_map(Settings::decode).find(is_its);
    let chosen = provenance.plugins.iter().map(|plugin| filters.get(plugin.filter).cloned());
    let Some((settings, filters)) = settings.zip(chosen.collect()) else { return Ok(None) };
    let mut options = Options::new(settings);
    options.shim = Shim::built_in(provenance.wasi, Flavour::Plain);
    (options.wasi, options.exports, options.bridge) = (provenance.wasi, provenance.exports, provenance.bridge);
    options.stub_unknown_imports = provenance.stub_unknown_imports;
    options.foreign_functions = provenance.foreign_functions;
    Ok(Some(Reopened { filters, options }))
}

/// What the bridge copies into the shim, where a module is that part of it.
fn settings_bytes(module: &[u8]) -> Option<&[u8]> {
    let mut gives_settings = false;
    for payload in Parser::new(0).parse_all(module) {
        match payload.ok()? {
            Payload::ExportSection(section) => {
                let mut exports = section.into_iter().map_while(Result::ok);
                gives_settings =
                    exports.any(|export| export.name == "settings_read" && export.kind == ExternalKind::Func);
            }
            Payload::DataSection(section) if gives_settings => {
                let mut segments = section.into_iter().map_while(Result::ok);
                return segments.find(|data| matches!(data.kind, DataKind::Passive)).map(|data| data.data);
            }
            _ => {}
        }
    }
    None
}
