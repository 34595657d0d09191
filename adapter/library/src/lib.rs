//! Turns unmodified proxy-wasm HTTP filters into a component of the `wasi:http` proxy world.
//!
//! [`adapt`] is the recipe; each stage is a file named after it. ARCHITECTURE.md, at the top of the repository, has the
//! picture.
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
//! out.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by it"))]

/// Its example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod abi;
pub mod bridge;
mod builder;
pub mod bundle;
mod chain;
mod check;
pub mod composition;
pub mod digest;
pub mod error;
pub mod exports;
mod extract;
mod facts;
mod filter;
mod grant;
pub mod inspect;
pub mod joined;
mod link;
mod lookalike;
mod named;
mod options;
mod originals;
mod other_world;
mod part;
pub mod preinit;
mod prepare;
pub mod provenance;
mod prune;
mod reachable;
mod relatives;
mod reopen;
pub mod settings;
pub mod shim;
mod stubs;
mod text;
mod unused_imports;
pub mod values;
pub mod wasi;
mod world;

use proxy_wasm_abi::settings::Profile;

pub use check::{damage, is_component};
pub use error::{Error, FilterProblem, Problem};
pub use extract::extract;
pub use facts::Signature;
pub use inspect::{inspect, inspect_as};
pub use options::Options;
pub use reopen::{Reopened, reopen};
pub use text::assemble;

use chain::Chain;
use error::{Internal, Severity};
use provenance::Provenance;
use reachable::Reachable;
use wasi::Wasi;

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
    grant::grant(&chain, &mut options.settings);
    // Hosts of 0.3, too, want to be told that a body is empty: it would be sent in chunks, of which there are none.
    options.settings.upkeep.opens_bodies = options.bridge == bridge::Kind::Portable || options.wasi == Wasi::V0_3;
    // Validating takes longest. Filters that pass are validated once, within their component; others here, so that
    // nothing else is said of a filter that is invalid.
    build(&chain, &options).map_err(|error| {
        let problems = chain.filters.iter().flat_map(|filter| {
            let errors = check(filter.bytes, options.stub_unknown_imports, options.settings.upkeep.profile).into_iter();
            errors.filter(|problem| problem.severity() == Severity::Error).map(|problem| chain.problem(filter, problem))
        });
        let problems: Vec<_> = problems.collect();
        if problems.is_empty() { error } else { Error::Filter(problems) }
    })
}

/// The recipe. Of what is wrong with filters, its error may tell a part.
fn build(chain: &Chain<'_>, options: &Options) -> Result<Adapted, Error> {
    let Options { settings, .. } = options;
    let prepared = prepare::prepare(chain, options)?;
    let bridge = bridge::generate(options.bridge, &prepared.vms(chain, &settings.plugins), &settings.encode());
    let shim = options.shim.with(prepared.foreign_functions(), !settings.routing.is_empty());
    let pruned = prune::prune(shim, &Reachable::by(&prepared.filters, options.exports))?;
    let pruned = world::restrict(pruned, options.exports)?;
    let pruned = unused_imports::remove(pruned, settings, options.exports)?;
    let parts = prepared.parts(chain, bridge);
    let joined = if options.joined { joined::join(&pruned, &parts)? } else { None };
    let linked = match &joined {
        Some(module) => link::link(module, &[])?,
        None => link::link(&pruned, &parts)?,
    };
    let mut provenance = Provenance::new(chain, prepared.changed(), shim, options);
    provenance.joined = joined.is_some();
    let component = provenance.add_to(linked)?;
    wasmparser::validate(&component).map_err(|error| Internal::new("validates the component", error))?;
    Ok(Adapted { component, provenance, warnings: prepared.warnings })
}
