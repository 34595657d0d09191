//! What a component says about its making, in custom sections.
//!
//! | section | for | holds |
//! |---|---|---|
//! | `producers` | every tool: `wasm-tools metadata show` | `processed-by proxy-wasm-adapter VERSION` |
//! | `proxy-wasm-adapter` | [`inspect`](crate::inspect()) and [`extract`](crate::extract()) | [`Provenance`], as JSON |
//! | `proxy-wasm-adapter-originals` | `extract`, of a component that is [pre-initialised](crate::preinit) | what its filters were |

use serde::{Deserialize, Serialize};
use wasm_encoder::{CustomSection, ProducersField, ProducersSection};
use wasmparser::{Parser, Payload};

use crate::bridge::kind::Kind;
use crate::chain::Chain;
use crate::digest::sha256;
use crate::error::Internal;
use crate::exports::Exports;
use crate::filter::ChangedByte;
use crate::link::Linked;
use crate::options::Options;
use crate::settings::{Shown, ShownPlugin, is_default, title};
use crate::shim::Flavour;
use crate::wasi::Wasi;

/// The name of the custom section.
pub const SECTION: &str = "proxy-wasm-adapter";

/// The form of what stands in the section; it rises when an older reader would misread it.
const FORM: u32 = 1;

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a component was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The form of this record.
    pub form: u32,
    /// The version of the program.
    pub version: String,
    /// The filters that went in, each once.
    pub filters: Vec<FilterRecord>,
    /// The shim's SHA-256, in hexadecimal.
    pub shim_sha256: String,
    /// The version of WASI that it is for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wasi: Wasi,
    /// By which interfaces it takes requests, on WASI 0.2.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exports: Exports,
    /// The kind of bridge.
    pub bridge: Kind,
    /// Whether every call across the ABI is written to stderr.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trace: bool,
    /// Whether imports that are no host calls became functions that trap.
    pub stub_unknown_imports: bool,
    /// Shim and filters are one core module.
    #[serde(default, skip_serializing_if = "is_default")]
    pub joined: bool,
    /// Its instances begin with their plugins started; with what their start did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preinit: Option<Preinit>,
    /// The foreign functions that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_functions: Vec<String>,
    /// The plugins, in the order in which a request passes them.
    pub plugins: Vec<PluginRecord>,
    /// The settings that are not a plugin's own.
    pub settings: Shown,
}

/// A plugin of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRecord {
    /// Which of the filters it runs, counted from 0.
    pub filter: usize,
    /// The number of its virtual machine, counted from 0, which it may share with others.
    pub vm: u32,
    /// Its settings.
    #[serde(flatten)]
    pub settings: ShownPlugin,
}

impl PluginRecord {
    /// What messages call it, by its place in the chain: ``plugin 2 (`auth`)``.
    pub fn title(&self, index: usize) -> String {
        title(index, &self.settings.name)
    }
}

/// A filter that went into a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterRecord {
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Its bytes.
    pub size: usize,
    /// The bytes that had to change; with what they were, so that the filter can be taken out again as it went in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<ChangedByte>,
}

/// A section of this name that cannot be read, and the version that its writer states.
pub(crate) struct Unreadable {
    pub(crate) version: Option<String>,
}

impl Provenance {
    /// `changed`: for each filter, the bytes that had to change; `shim`: which of its builds it was.
    pub(crate) fn new(chain: &Chain<'_>, changed: Vec<Vec<ChangedByte>>, shim: &[u8], options: &Options) -> Self {
        let filters = chain.filters.iter().zip(changed);
        let plugins = &options.settings.plugins;
        let record = |vm: u32, settings| {
            let filter = chain.vms.get(vm as usize).map_or(0, |vm| vm.filter);
            PluginRecord { filter, vm, settings }
        };
        Self {
            form: FORM,
            version: VERSION.into(),
            filters: filters
                .map(|(filter, changed)| {
                    let bytes = filter.bytes;
                    FilterRecord { sha256: sha256(bytes), size: bytes.len(), changed }
                })
                .collect(),
            shim_sha256: sha256(shim),
            wasi: options.wasi,
            exports: options.exports,
            bridge: options.bridge,
            trace: options.shim.flavour() == Flavour::Tracing,
            stub_unknown_imports: options.stub_unknown_imports,
            joined: false,
            preinit: None,
            foreign_functions: options.foreign_functions.clone(),
            plugins: plugins.iter().map(|plugin| record(plugin.vm, ShownPlugin::of(plugin))).collect(),
            settings: Shown::of(&options.settings),
        }
    }

    /// Writes both sections into a component, and finishes it.
    pub(crate) fn add_to(&self, linked: Linked) -> Result<Vec<u8>, Internal> {
        let Linked { mut component, mut producers } = linked;
        component.section(&self.section()?);
        producers.add("processed-by", "proxy-wasm-adapter", VERSION);
        let mut section = ProducersSection::new();
        for (name, values) in producers.iter() {
            let mut field = ProducersField::new();
            for (value, version) in values.iter() {
                field.value(value, version);
            }
            section.field(name, &field);
        }
        component.section(&section);
        Ok(component.finish())
    }

    /// The section that it stands in.
    pub(crate) fn section(&self) -> Result<CustomSection<'static>, Internal> {
        let json = serde_json::to_vec(self).map_err(|error| Internal::new("writes the provenance", error))?;
        Ok(CustomSection { name: SECTION.into(), data: json.into() })
    }

    /// The provenance that stands in a component, if there is one that can be read.
    pub fn read(component: &[u8]) -> Option<Self> {
        Self::find(component).ok().flatten()
    }

    /// The provenance that stands in a component, if any does.
    pub(crate) fn find(component: &[u8]) -> Result<Option<Self>, Unreadable> {
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(component) {
            match payload {
                Ok(Payload::Version { .. }) => depth += 1,
                Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
                Ok(Payload::CustomSection(section)) if depth == 1 && section.name() == SECTION => {
                    return Self::parse(section.data()).map(Some);
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Ok(None)
    }

    fn parse(json: &[u8]) -> Result<Self, Unreadable> {
        /// What every form has.
        #[derive(Deserialize)]
        struct Header {
            form: u32,
            version: String,
        }
        let header: Header = serde_json::from_slice(json).map_err(|_| Unreadable { version: None })?;
        match serde_json::from_slice(json) {
            Ok(provenance) if header.form == FORM => Ok(provenance),
            _ => Err(Unreadable { version: Some(header.version) }),
        }
    }
}

/// What the start of the plugins did, which was before any instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preinit {
    /// How many random bytes it asked for: all instances have the same.
    pub random_bytes: u64,
    /// It looked what day it is.
    pub reads_wall_clock: bool,
}
