//! Turns unmodified proxy-wasm HTTP filters into a component of the `wasi:http` proxy world.
//!
//! [`adapt`] is the recipe; each stage is a file named after it.
//!
//! ```text
//! filter.wasm … ─► chain ─► check ─► filter ─► bridge ─► prune ─► link ─► provenance ─► validate ─► filter.component.wasm
//!                  each     every    no name   the glue  the      with    sha256 and
//!                  filter   problem  twice     module    shim     the     settings
//!                  once     at once                               shim
//! ```
//!
//! # Lexicon
//!
//! - *filter*: the core module that the user brings. *Plugin*: a filter with its settings.
//! - *chain*: the plugins of a component, in the order in which a request passes them.
//! - *VM*: an instance of a filter, with a memory of its own, for one plugin or more.
//! - *shim*: our core module with the host side of the ABI, the same for every filter.
//! - *bridge*: the core module generated for each component, which copies between the filters' memories and the shim's.
//! - *host*: what runs the component.
//!
//! Architecture invariant: the library does no I/O and prints nothing. Bytes and settings go in, bytes and a report come
//! out. (`serve` is a host, and `compare` runs two: they do both.)

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by it"))]

mod abi;
pub mod bridge;
mod builder;
mod chain;
mod check;
pub mod compare;
mod digest;
pub mod error;
mod extract;
mod facts;
mod filter;
pub mod inspect;
mod link;
mod named;
mod profile;
pub mod provenance;
mod prune;
mod relatives;
pub mod serve;
pub mod settings;
pub mod shim;
mod state;
mod stubs;
mod text;
pub mod values;

use std::collections::HashSet;

use proxy_wasm_abi::bridge::filter_module;
use proxy_wasm_abi::foreign_functions::{FOREIGN_FUNCTIONS, ForeignFunction};
use proxy_wasm_abi::host_calls::HOST_CALLS;
use proxy_wasm_abi::settings::{Profile, Settings};

pub use check::is_component;
pub use error::{Error, FilterProblem, Problem};
pub use extract::extract;
pub use facts::Signature;
pub use inspect::{inspect, inspect_as};
pub use text::assemble;

use chain::Chain;
use error::{Internal, Severity};
use filter::Embeddable;
use link::{Part, Source};
use provenance::Provenance;
use shim::Shim;

/// How to adapt filters.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What the plugins and the shim are told. The numbers of virtual machines in it are made anew.
    pub settings: Settings,
    /// How bytes get between the memories.
    pub bridge: bridge::Kind,
    /// Let imports that are no host calls become functions that trap.
    pub stub_unknown_imports: bool,
    /// Foreign functions that the component has besides those whose names stand in a filter.
    pub foreign_functions: Vec<String>,
    /// The host side of the ABI.
    pub shim: Shim,
}

impl Options {
    /// These settings, and the default of everything else.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            bridge: bridge::Kind::default(),
            stub_unknown_imports: false,
            foreign_functions: Vec::new(),
            shim: Shim::default(),
        }
    }
}

/// Adapted filters.
#[derive(Clone, Debug)]
pub struct Adapted {
    /// The component.
    pub component: Vec<u8>,
    /// How it was made, as it also stands in the component.
    pub provenance: Provenance,
    /// What the user should know.
    pub warnings: Vec<FilterProblem>,
}

/// Everything that is wrong with a filter, and what its user should know, with no settings needed.
pub fn check(filter: &[u8], stub_unknown_imports: bool, profile: Profile) -> Vec<Problem> {
    match check::read(filter) {
        Err(problem) => vec![problem],
        Ok(facts) => check::check(&facts, &abi::Abi::of(&facts, profile), stub_unknown_imports, profile),
    }
}

/// Turns the filters of a chain into a component: each is the filter of the plugin in its place. The same input gives the
/// same bytes.
///
/// # Errors
/// [`Error::Filter`] with every problem of every filter, [`Error::Settings`] where there are not as many plugins as filters,
/// or [`Error::Internal`].
pub fn adapt(filters: &[impl AsRef<[u8]>], options: &Options) -> Result<Adapted, Error> {
    let mut options = options.clone();
    let chain = Chain::of(filters, &mut options.settings.plugins).map_err(|problem| Error::Settings(vec![problem]))?;
    let profile = options.settings.upkeep.profile;
    profile::grant(&chain, profile, &mut options.settings.plugins);
    // Validating takes longest. Filters that pass are validated once, within their component; others here, so that
    // nothing else is said of a filter that is invalid.
    build(&chain, &options).map_err(|error| {
        let problems = chain.filters.iter().flat_map(|filter| {
            let errors = check(filter.bytes, options.stub_unknown_imports, profile).into_iter();
            errors.filter(|problem| problem.severity() == Severity::Error).map(|problem| chain.problem(filter, problem))
        });
        let problems: Vec<_> = problems.collect();
        if problems.is_empty() { error } else { Error::Filter(problems) }
    })
}

/// The recipe. Of what is wrong with filters, its error may tell a part.
fn build(chain: &Chain<'_>, options: &Options) -> Result<Adapted, Error> {
    let settings = &options.settings;
    let (mut warnings, mut parts) = (chain::same_names(&settings.plugins), Vec::new());
    let prepare = |filter| prepare(chain, filter, options, &mut warnings, &mut parts);
    let filters = chain.filters.iter().map(prepare).collect::<Result<Vec<_>, _>>()?;

    let vms = || chain.vms.iter().map(|vm| (vm, &filters[vm.filter])).enumerate();
    parts.extend(vms().map(|(number, (_, filter))| Part {
        name: filter_module(number),
        bytes: filter.embeddable.bytes.as_ref().into(),
        imports: filter.imports.clone(),
    }));
    let vms = vms().map(|(number, (vm, filter))| {
        let names = vm.plugins.iter().map(|plugin| settings.plugins[*plugin].name.as_str());
        let label = (chain.vms.len() > 1).then(|| bridge::names::label(number, names));
        bridge::Vm { abi: &filter.abi, label }
    });
    parts.extend(bridge::generate(options.bridge, &vms.collect::<Vec<_>>(), &settings.encode()));

    let whole = options.shim.with(filters.iter().flat_map(|filter| filter.foreign.iter().copied()));
    let shim = prune::prune(whole, |export| {
        let is_foreign = |function: &&ForeignFunction| function.export == export;
        filters.iter().any(|filter| filter.imported.contains(export) || filter.foreign.iter().any(&is_foreign))
            || (HOST_CALLS.iter().all(|call| call.name != export) && !FOREIGN_FUNCTIONS.iter().any(|f| is_foreign(&f)))
    })?;
    let shim = if settings.upkeep.host_state { shim } else { state::without_host(&shim)? };
    let linked = link::link(&shim, &parts)?;
    let changed = filters.into_iter().map(|filter| filter.embeddable.changed);
    let provenance = Provenance::new(chain, changed, whole, options);
    let component = provenance.add_to(linked)?;
    wasmparser::validate(&component).map_err(|error| Internal::new("validates the component", error))?;
    Ok(Adapted { component, provenance, warnings })
}

/// A filter that passed the checks, and what the stages after them need of it.
struct Prepared<'a> {
    abi: abi::Abi,
    /// The names of its imports.
    imported: HashSet<String>,
    foreign: Vec<&'static ForeignFunction>,
    embeddable: Embeddable<'a>,
    /// For each module name that it imports from: whose instance it gets.
    imports: Vec<(String, Source)>,
}

/// Checks a filter. Modules that stand in for imports of its are added to the parts.
fn prepare<'a>(
    chain: &Chain<'a>,
    filter: &chain::Filter<'a>,
    options: &Options,
    warnings: &mut Vec<FilterProblem>,
    parts: &mut Vec<Part<'_>>,
) -> Result<Prepared<'a>, Error> {
    let profile = options.settings.upkeep.profile;
    let told = |problem| chain.problem(filter, problem);
    let facts = check::open(filter.bytes).map_err(|problem| Error::Filter(vec![told(problem)]))?;
    let mut abi = abi::Abi::of(&facts, profile);
    let foreign = facts.foreign_functions(filter.bytes, &options.foreign_functions);
    abi.foreign_functions = foreign.iter().map(|function| function.name).collect();
    let problems = check::check(&facts, &abi, options.stub_unknown_imports, profile).into_iter().map(told);
    let (errors, more): (Vec<_>, Vec<_>) = problems.partition(|told| told.problem.severity() == Severity::Error);
    if !errors.is_empty() {
        return Err(Error::Filter(errors));
    }
    warnings.extend(more);
    let imported = facts.imports.iter().map(|import| import.name.clone()).collect();
    let embeddable = filter::embeddable(filter.bytes)?;
    let imports = stubs::wire(&embeddable.facts(facts)?, &embeddable.aliases, profile, parts);
    Ok(Prepared { abi, imported, foreign, embeddable, imports })
}
