//! Turns an unmodified proxy-wasm HTTP filter into a component of the `wasi:http` proxy world.
//!
//! [`adapt`] is the recipe; each stage is a file named after it.
//!
//! ```text
//! filter.wasm ─► check ─► filter ─► bridge ─► prune ─► link ─► provenance ─► validate ─► filter.component.wasm
//!                every    no name   the glue  the      with    sha256 and
//!                problem  twice     module    shim     the     settings
//!                at once                               shim
//! ```
//!
//! # Lexicon
//!
//! - *filter*: the core module that the user brings. *Plugin*: a filter with its settings.
//! - *shim*: our core module with the host side of the ABI, the same for every filter.
//! - *bridge*: the core module generated for each filter, which copies between its memory and the shim's.
//! - *host*: what runs the component.
//!
//! Architecture invariant: the library does no I/O and prints nothing. Bytes and settings go in, bytes and a report come
//! out. (`serve` is a host, and `compare` runs two: they do both.)

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by it"))]

mod abi;
pub mod bridge;
mod builder;
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
pub mod provenance;
mod prune;
mod relatives;
pub mod serve;
pub mod settings;
pub mod shim;
mod state;
mod stubs;
mod text;

use std::collections::HashSet;

use proxy_wasm_abi::bridge::FILTER;
use proxy_wasm_abi::foreign_functions::{FOREIGN_FUNCTIONS, ForeignFunction};
use proxy_wasm_abi::host_calls::HOST_CALLS;
use proxy_wasm_abi::settings::Settings;

pub use check::is_component;
pub use error::{Error, Problem};
pub use extract::extract;
pub use facts::Signature;
pub use inspect::inspect;
pub use text::assemble;

use error::{Internal, Severity};
use facts::Facts;
use link::Part;
use provenance::Provenance;
use shim::Shim;

/// How to adapt a filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What the plugin and the shim are told.
    pub settings: Settings,
    /// How bytes get between the memories.
    pub bridge: bridge::Kind,
    /// Let imports that are no host calls become functions that trap.
    pub stub_unknown_imports: bool,
    /// Foreign functions that the component has besides those whose names stand in the filter.
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

/// An adapted filter.
#[derive(Clone, Debug)]
pub struct Adapted {
    /// The component.
    pub component: Vec<u8>,
    /// How it was made, as it also stands in the component.
    pub provenance: Provenance,
    /// What the user should know.
    pub warnings: Vec<Problem>,
}

/// Everything that is wrong with a filter, and what its user should know, with no settings needed.
pub fn check(filter: &[u8], stub_unknown_imports: bool) -> Vec<Problem> {
    match check::read(filter) {
        Err(problem) => vec![problem],
        Ok(facts) => check::check(&facts, &abi::Abi::of(&facts), stub_unknown_imports),
    }
}

/// Turns a filter into a component. The same input gives the same bytes.
///
/// # Errors
/// [`Error::Filter`] with every problem of the filter, or [`Error::Internal`].
pub fn adapt(filter: &[u8], options: &Options) -> Result<Adapted, Error> {
    let invalid = |problem| Error::Filter(vec![problem]);
    let facts = check::open(filter).map_err(invalid)?;
    // Validating takes longest. A filter that passes is validated once, within its component; one that does not, here,
    // so that nothing else is said of a filter that is invalid.
    build(filter, facts, options).map_err(|error| check::validate(filter).map_err(invalid).err().unwrap_or(error))
}

/// The recipe.
fn build(filter: &[u8], facts: Facts, options: &Options) -> Result<Adapted, Error> {
    let mut abi = abi::Abi::of(&facts);
    let foreign = facts.foreign_functions(filter, &options.foreign_functions);
    abi.foreign_functions = foreign.iter().map(|function| function.name).collect();
    let problems = check::check(&facts, &abi, options.stub_unknown_imports);
    let (errors, warnings): (Vec<_>, _) =
        problems.into_iter().partition(|problem| problem.severity() == Severity::Error);
    if !errors.is_empty() {
        return Err(Error::Filter(errors));
    }

    let imported: HashSet<String> = facts.imports.iter().map(|import| import.name.clone()).collect();
    let embeddable = filter::embeddable(filter)?;
    let wiring = stubs::wire(&embeddable.facts(facts)?, &embeddable.aliases);
    let mut parts = wiring.stubs;
    parts.push(Part { name: FILTER.into(), bytes: embeddable.bytes.into_owned(), imports: wiring.filter_imports });
    parts.extend(bridge::generate(options.bridge, &abi, &options.settings.encode()));

    let whole = options.shim.with(foreign.iter().copied());
    let shim = prune::prune(whole, |export| {
        let is_foreign = |function: &&ForeignFunction| function.export == Some(export);
        imported.contains(export)
            || foreign.iter().any(&is_foreign)
            || (HOST_CALLS.iter().all(|call| call.name != export) && !FOREIGN_FUNCTIONS.iter().any(|f| is_foreign(&f)))
    })?;
    let shim = if options.settings.upkeep.host_state { shim } else { state::without_host(&shim)? };
    let linked = link::link(&shim, &parts)?;
    let provenance = Provenance::new(filter, embeddable.changed, whole, options);
    let component = provenance.add_to(linked)?;
    wasmparser::validate(&component).map_err(|error| Internal::new("validates the component", error))?;
    Ok(Adapted { component, provenance, warnings })
}
