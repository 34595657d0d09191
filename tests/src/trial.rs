//! Trials, as `cargo test` shows them.

use anyhow::Result;
use libtest_mimic::{Failed, Trial};

/// A trial with this name; an error is printed with what caused it.
pub fn trial(name: impl Into<String>, run: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name.into(), move || {
        run().map_err(|error| {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            Failed::from(causes.join("\n\n"))
        })
    })
}
