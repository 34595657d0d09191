//! Trials, as `cargo test` shows them.

use std::num::NonZero;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

/// The arguments of a suite whose trials wait, for clocks and for the hosts of each other, more than they compute: four run
/// for each processor.
pub fn arguments_of_waiting_trials() -> Arguments {
    let mut arguments = Arguments::from_args();
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads.get_or_insert(4 * processors);
    arguments
}

/// A trial with this name; an error is printed with what caused it.
pub fn trial(name: impl Into<String>, run: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name.into(), move || {
        run().map_err(|error| {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            Failed::from(causes.join("\n\n"))
        })
    })
}
