//! How filters are compiled, and where compiled code is kept.

use std::path::Path;

use wasmtime::{Cache, CacheConfig, Config, OptLevel, RegallocAlgorithm};

/// Whether time is spent on compiling, or on running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimization {
    /// Code that runs fast.
    #[default]
    Speed,
    /// It compiles in less than half the time, to code that runs slower: for tests, and where a filter runs shortly.
    None,
}

impl Optimization {
    /// Has an engine compile so.
    pub fn apply(self, config: &mut Config) {
        match self {
            Self::Speed => {}
            Self::None => {
                config.cranelift_opt_level(OptLevel::None);
                // Half of the time that is saved.
                config.cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
            }
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
