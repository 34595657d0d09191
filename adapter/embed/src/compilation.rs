//! How filters are compiled, and where compiled code is kept.

use std::path::Path;

use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig, Config, Engine, OptLevel, RegallocAlgorithm, Strategy};

use crate::allocation;

/// Whether time is spent on compiling, or on running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimization {
    /// Code that runs fast.
    #[default]
    Speed,
    /// It compiles in a fraction of the time, to code that runs slower: for tests, and where a filter runs shortly.
    None,
}

/// What compiles.
#[derive(Clone, Copy, Debug)]
enum Compiler {
    /// Cranelift, with all that makes code fast.
    Optimizing,
    /// Winch, in one pass. It has neither every processor nor every proposal: tail calls and exceptions are missing.
    Baseline,
    /// Cranelift, with nothing that takes it time.
    Fallback,
}

impl Compiler {
    fn of(optimization: Optimization) -> Self {
        match optimization {
            Optimization::Speed => Self::Optimizing,
            Optimization::None => Self::Baseline,
        }
    }

    /// What compiles where this one can't.
    fn next(self) -> Option<Self> {
        match self {
            Self::Baseline => Some(Self::Fallback),
            Self::Optimizing | Self::Fallback => None,
        }
    }

    fn apply(self, config: &mut Config) {
        match self {
            Self::Optimizing => {}
            Self::Baseline => {
                config.strategy(Strategy::Winch);
            }
            Self::Fallback => {
                config.cranelift_opt_level(OptLevel::None);
                // Half of the time that is saved.
                config.cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
            }
        }
    }
}

/// Compiles a component, in an engine with these settings; with a `pool`, its instances come from one with places for so many
/// requests at the same time, if that can be had.
///
/// # Errors
/// Wasmtime's: of the engine, or of the component.
pub fn compile(
    component: &[u8],
    optimization: Optimization,
    pool: Option<u32>,
    config: impl Fn() -> Config,
) -> wasmtime::Result<Component> {
    let mut compiler = Compiler::of(optimization);
    loop {
        let config = || {
            let mut config = config();
            compiler.apply(&mut config);
            config
        };
        let engine = match pool {
            Some(places) => allocation::engine(component, places, config),
            None => Engine::new(&config()),
        };
        let compiled = engine.and_then(|engine| Component::new(&engine, component));
        match (compiled, compiler.next()) {
            (Err(error), Some(next)) => {
                tracing::debug!(?compiler, "does not compile: {error:#}");
                compiler = next;
            }
            (Ok(component), _) => {
                make_images(&component);
                return Ok(component);
            }
            (Err(error), None) => return Err(error),
        }
    }
}

/// Makes what new instances map as their memory now, and not when the first one begins. Linux refuses it while it uses the
/// image's pages for something else (`EBUSY` of `F_ADD_SEALS`), which passes: an instance would begin in vain then.
fn make_images(component: &Component) {
    // The kernel itself waits in each attempt.
    for attempt in 1..=3 {
        match component.initialize_copy_on_write_image() {
            Ok(()) => return,
            // Each instance tries again.
            Err(error) => tracing::debug!(attempt, "no image of the memory: {error:#}"),
        }
    }
}

/// Compiled code by the component's bytes, the version of Wasmtime and the engine's settings. Wasmtime bounds its size,
/// compiles anew where it cannot read or write an entry, and deletes what it finds there and did not put there: so it gets a
/// directory of this name in the one that the user gave.
///
/// # Errors
/// The directory can't be made.
pub fn cache(directory: &Path, name: &str) -> wasmtime::Result<Cache> {
    let mut config = CacheConfig::new();
    config.with_directory(std::path::absolute(directory)?.join(name));
    Cache::new(config)
}
