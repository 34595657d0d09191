//! What can be said of a file without running it.

mod sdk;

pub use sdk::Toolchain;

use proxy_wasm_abi::callbacks::{CALLBACKS, TCP_CALLBACKS};
use proxy_wasm_abi::higress;
use proxy_wasm_abi::host_calls::{HostCall, Support};
use proxy_wasm_abi::settings::Profile;
use serde::Serialize;

use crate::abi::{Abi, Shape, Start};
use crate::check;
use crate::composition::{self, Hop};
use crate::digest::sha256;
use crate::error::{NotExtractable, Problem, Severity};
use crate::extract;
use crate::facts::{Facts, Item};
use crate::provenance::Provenance;

/// What can be said of a filter, or of an adapted component and the filters in it.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Bytes of the file.
    pub size: usize,
    /// The file's SHA-256, in hexadecimal.
    pub sha256: String,
    /// For an adapted component: how it was made. All that follows is about the filters in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapted: Option<Provenance>,
    /// Of a component that handles requests: what it is on their way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop: Option<Hop>,
    /// Of a component that was composed: its parts, in the order in which a request passes them. Then all that follows is
    /// about them, and empty here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Self>,
    /// The filter that the file is, or those that it holds, in the order of [`Provenance::filters`]; as far as they are
    /// valid core modules.
    pub filters: Vec<InspectedFilter>,
    /// What would stop it from running, and what its user should know.
    pub problems: Vec<Finding>,
}

impl Inspection {
    /// How many problems stop it from running.
    pub fn errors(&self) -> usize {
        let own = self.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        own + self.parts.iter().map(Self::errors).sum::<usize>()
    }
}

/// A problem, for people and for programs.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Which filter of a component it is about, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<usize>,
    /// How much it weighs.
    pub severity: Severity,
    /// A name for programs.
    pub code: &'static str,
    /// What is wrong, as what stands after "the filter".
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Self {
        Self {
            filter: None,
            severity: problem.severity(),
            code: problem.code(),
            message: problem.to_string(),
            remedy: problem.remedy(),
        }
    }
}

impl From<&NotExtractable> for Finding {
    fn from(problem: &NotExtractable) -> Self {
        Self {
            filter: None,
            severity: Severity::Error,
            code: "not-extractable",
            message: problem.to_string(),
            remedy: problem.remedy(),
        }
    }
}

/// What stands in a filter.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedFilter {
    /// Bytes of the module.
    pub size: usize,
    /// The module's SHA-256, in hexadecimal.
    pub sha256: String,
    /// The version of the ABI.
    pub abi: AbiFacts,
    /// What it was made with, as far as it shows.
    pub toolchain: Toolchain,
    /// The callbacks that it exports, in the specification's order.
    pub callbacks: Vec<CallbackFacts>,
    /// The functions that it imports, in its order, each once.
    pub imports: Vec<ImportFacts>,
    /// Whether it imports from WASI.
    pub wasi: bool,
    /// What runs before the first callback, in this order. `(start section)` runs at instantiation.
    pub start: Vec<&'static str>,
    /// The function that allocates in its memory.
    pub allocator: Option<&'static str>,
    /// Its memory.
    pub memory: Option<MemoryFacts>,
    /// The entries of its largest table.
    pub table_elements: u64,
}

impl InspectedFilter {
    /// The host calls that it imports and that return `UNIMPLEMENTED`.
    pub fn unimplemented(&self) -> impl Iterator<Item = &ImportFacts> {
        self.imports.iter().filter(|import| import.support == UNIMPLEMENTED)
    }
}

/// How [`ImportFacts::support`] says that a host call links and returns `UNIMPLEMENTED`.
const UNIMPLEMENTED: &str = "unimplemented";

/// The version of the ABI that a filter speaks.
#[derive(Clone, Debug, Serialize)]
pub struct AbiFacts {
    /// The exports that mark it.
    pub markers: Vec<String>,
    /// The version that the marker stands for; without one, what signatures and imports suggest.
    pub version: Option<&'static str>,
    /// Whether the version is a guess from signatures and imports.
    pub inferred: bool,
}

/// A callback that a filter exports.
#[derive(Clone, Debug, Serialize)]
pub struct CallbackFacts {
    /// Its name.
    pub name: &'static str,
    /// Set where it has the parameters of ABI 0.1.0.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub old_signature: bool,
    /// Set where an HTTP host never calls it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub never_called: bool,
}

/// A function that a filter imports.
#[derive(Clone, Debug, Serialize)]
pub struct ImportFacts {
    /// The module part of its name.
    pub module: String,
    /// The field part of its name.
    pub name: String,
    /// `full`, `partial`, `unimplemented`, or `unknown` where it is no host call.
    pub support: &'static str,
    /// What is partial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// A filter's memory.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryFacts {
    /// Pages of 64 KiB at the start.
    pub initial_pages: u64,
    /// The most pages that it may grow to.
    pub maximum_pages: Option<u64>,
}

/// What can be said of a file without running it.
pub fn inspect(file: &[u8]) -> Inspection {
    inspect_as(file, Profile::default())
}

/// The same of a filter that is to be adapted with this profile; a component has its own.
pub fn inspect_as(file: &[u8], profile: Profile) -> Inspection {
    let mut inspection = Inspection {
        size: file.len(),
        sha256: sha256(file),
        adapted: Provenance::read(file),
        hop: Hop::of(file),
        parts: Vec::new(),
        filters: Vec::new(),
        problems: Vec::new(),
    };
    let parts = composition::parts(file);
    if !parts.is_empty() {
        inspection.parts = parts.into_iter().map(|part| inspect_part(part, profile)).collect();
        return inspection;
    }
    let extracted;
    let modules: Vec<&[u8]> = match extract::open(file) {
        Ok((_, filters)) => {
            extracted = filters;
            extracted.iter().map(Vec::as_slice).collect()
        }
        Err(problem @ (NotExtractable::Newer { .. } | NotExtractable::Changed { .. })) => {
            inspection.problems.push(Finding::from(&problem));
            return inspection;
        }
        Err(_) => vec![file],
    };
    let stubs = inspection.adapted.as_ref().is_some_and(|provenance| provenance.stub_unknown_imports);
    let profile = inspection.adapted.as_ref().map_or(profile, |provenance| provenance.settings.profile);
    for (index, module) in modules.iter().enumerate() {
        let which = (modules.len() > 1).then_some(index);
        let mut found =
            |problem: &Problem| inspection.problems.push(Finding { filter: which, ..Finding::from(problem) });
        match check::read(module) {
            Err(problem) => found(&problem),
            Ok(facts) => {
                let abi = Abi::of(&facts, profile);
                check::check(&facts, &abi, stubs, profile).iter().for_each(found);
                inspection.filters.push(filter(module, &facts, &abi, profile));
            }
        }
    }
    inspection
}

/// The same of a part of a composed component: that others made it is no fault.
fn inspect_part(part: &[u8], profile: Profile) -> Inspection {
    let mut inspection = inspect_as(part, profile);
    if inspection.adapted.is_none() {
        inspection.problems.clear();
    }
    inspection
}

fn filter(module: &[u8], facts: &Facts, abi: &Abi, profile: Profile) -> InspectedFilter {
    let start_section = facts.has_start_section.then_some("(start section)");
    let guess = if abi.version.is_none() { abi.inferred(facts) } else { None };
    let main = match abi.start {
        Start::None => &[],
        start => start.functions(),
    };
    InspectedFilter {
        size: module.len(),
        sha256: sha256(module),
        abi: AbiFacts {
            markers: abi.markers.clone(),
            version: abi.version.or(guess).map(|version| version.name()),
            inferred: guess.is_some(),
        },
        toolchain: Toolchain::of(module, facts),
        callbacks: callbacks(facts, abi),
        imports: imports(facts, profile),
        wasi: facts.imports.iter().any(|import| import.module.starts_with("wasi_")),
        start: start_section.into_iter().chain(main.iter().copied()).collect(),
        allocator: abi.allocator,
        memory: facts
            .memories
            .first()
            .map(|memory| MemoryFacts { initial_pages: memory.initial, maximum_pages: memory.maximum }),
        table_elements: facts.tables.iter().copied().max().unwrap_or(0),
    }
}

fn callbacks(facts: &Facts, abi: &Abi) -> Vec<CallbackFacts> {
    let known = CALLBACKS.iter().zip(&abi.callbacks).filter_map(|(callback, shape)| {
        shape.map(|shape| CallbackFacts {
            name: callback.name,
            old_signature: shape == Shape::Old,
            never_called: false,
        })
    });
    let tcp = TCP_CALLBACKS.iter().filter(|name| facts.exported_function(name).is_some()).map(|name| CallbackFacts {
        name,
        old_signature: false,
        never_called: true,
    });
    known.chain(tcp).collect()
}

fn imports(facts: &Facts, profile: Profile) -> Vec<ImportFacts> {
    let mut all: Vec<ImportFacts> = Vec::new();
    for import in &facts.imports {
        let Item::Function(_) = import.item else { continue };
        if all.iter().any(|earlier| earlier.module == import.module && earlier.name == import.name) {
            continue;
        }
        let (support, note) = match HostCall::find(&import.module, &import.name).map(|call| call.support) {
            Some(Support::Full) => ("full", None),
            Some(Support::Partial(note)) => ("partial", Some(note)),
            Some(Support::Unimplemented) => (UNIMPLEMENTED, None),
            None if higress::HostCall::find(&import.module, &import.name, profile).is_some() => {
                (UNIMPLEMENTED, Some("it is Higress's"))
            }
            None => ("unknown", None),
        };
        all.push(ImportFacts { module: import.module.clone(), name: import.name.clone(), support, note });
    }
    all
}
