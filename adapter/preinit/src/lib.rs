//! Pre-initialises adapted components: starts their plugins once, and writes memories and globals into the component as they
//! then are. Its instances begin configured.
//!
//! ```text
//! component ─► outline ─► instrument ─► run ─► rewrite ─► sealed
//!              a module   a copy whose  start, each       the filters' own bytes,
//!              for each   state can be  within module     and what the start did,
//!              instance   read          limits            as custom sections
//! ```
//!
//! Each stage is a file of that name; `segments` are what is left of a memory without its zeros.
//!
//! Restrictions:
//! - What is written is made of the component as it was and of the state that was read; nothing of the copy is in it.
//! - The same component gives the same bytes, unless its start looks what day it is: random bytes follow from the component,
//!   the monotonic clock from how often it is looked at, and the limit of time is one of instructions.
//! - What a start asks of its host that an instance may not share with others is refused, each with its [`Refusal`].

mod host;
mod instrument;
mod module;
mod outline;
mod refusal;
mod rewrite;
mod run;
mod segments;

use proxy_wasm_abi::freeze;
use proxy_wasm_adapter::preinit::{Original, Preinit, filters, seal};
use proxy_wasm_adapter::provenance::Provenance;
use sha2::{Digest, Sha256};

pub use refusal::{Internal, Refusal};

use module::Module;
use outline::Outline;

/// What a start may do.
#[derive(Clone, Debug)]
pub struct Options {
    /// It may ask for random bytes, though each instance has the same, and whoever has the file can read them.
    pub allow_random: bool,
    /// WebAssembly instructions that it may take, about a second for each thousand million.
    pub instructions_max: u64,
    /// Bytes that all memories may have together.
    pub memory_max: usize,
    /// What random bytes follow from, with the component's own.
    pub seed: [u8; 32],
}

impl Default for Options {
    fn default() -> Self {
        Self { allow_random: false, instructions_max: 20_000_000_000, memory_max: 1 << 30, seed: [0; 32] }
    }
}

/// What a start did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The lines that it logged.
    pub log: Vec<String>,
    /// How many random bytes it asked for.
    pub random_bytes: u64,
    /// It looked what day it is: what it made of that is as old as the component.
    pub reads_wall_clock: bool,
}

/// A component whose instances begin with their plugins started.
#[derive(Clone, Debug)]
pub struct Preinitialised {
    /// The component.
    pub component: Vec<u8>,
    /// What the start did.
    pub report: Report,
}

/// A component that was not pre-initialised.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{refusal}")]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// What the start did until then.
    pub report: Report,
}

/// Starts the plugins of an adapted component, and lets its instances begin so. It takes as long as the start does, and the
/// compiler; in a program with an asynchronous runtime it belongs on a thread of its own.
///
/// # Errors
/// [`Refused`] where the start did what can't be shared, or failed; the report has its log.
pub fn preinitialise(component: &[u8], options: &Options) -> Result<Preinitialised, Refused> {
    let mut report = Report::default();
    match make(component, options, &mut report) {
        Ok(component) => Ok(Preinitialised { component, report }),
        Err(refusal) => Err(Refused { refusal, report }),
    }
}

/// The recipe.
fn make(component: &[u8], options: &Options, report: &mut Report) -> Result<Vec<u8>, Refusal> {
    if !proxy_wasm_adapter::is_component(component) {
        return Err(Refusal::NotAdapted);
    }
    let outline = Outline::read(component)?;
    check(component, &outline)?;
    let modules = outline.copies.iter().map(|copy| {
        let bytes = outline.modules.get(copy.module).copied();
        Module::read(bytes.ok_or_else(|| Internal::new("a copy of no module"))?)
    });
    let modules = modules.collect::<Result<Vec<_>, _>>()?;
    let instrumented = instrument::instrument(&outline, &modules)?;
    let seed = Sha256::new().chain_update(options.seed).chain_update(component).finalize().into();
    let options = Options { seed, ..options.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Internal::new)?;
    let states = runtime.block_on(run::run(&instrumented, modules.len(), &options, report))?;

    let filters = filters(component);
    let mut originals = Vec::new();
    let mut bytes = Vec::new();
    for (at, (module, state)) in modules.iter().zip(&states).enumerate() {
        let copy = outline.copies[at];
        if copy.instance.is_none() || module.is_stateless() {
            bytes.push(module.bytes.to_vec());
            continue;
        }
        let rewritten = rewrite::rewrite(module, state)?;
        if filters.contains(&copy.module) && outline.copies[..at].iter().all(|other| other.module != copy.module) {
            originals.push(Original { module: at, pieces: rewritten.original });
        }
        bytes.push(rewritten.bytes);
    }
    let record = Preinit { random_bytes: report.random_bytes, reads_wall_clock: report.reads_wall_clock };
    let written = outline.with(&bytes)?.finish();
    let sealed = seal(&written, record, &originals).map_err(Internal::new)?;
    wasmparser::validate(&sealed).map_err(Internal::reads)?;
    Ok(sealed)
}

/// Whether it is a component that can be started: the shim is the first module.
fn check(component: &[u8], outline: &Outline<'_>) -> Result<(), Refusal> {
    if Provenance::read(component).is_some_and(|provenance| provenance.preinit.is_some()) {
        return Err(Refusal::Already);
    }
    match outline.modules.first() {
        Some(shim) if Module::exports(shim, freeze::EXPORT) => Ok(()),
        _ => Err(Refusal::NotAdapted),
    }
}
