//! The documents say what is so.
//!
//! ```text
//! support.rs       SUPPORT.md is what the tables of the ABI give
//! differences.rs   DIFFERENCES.md is what `known-differences.toml` and `unchecked-differences.toml` give
//! asked.rs         what a filter gets that asks for every WASI function and every documented property
//! commands.rs      the commands in the documents print what stands there
//! pasted.rs        those of README.md do so in their order, on a machine that has nothing of this yet
//! help.rs          so do the examples of `--help`
//! references.rs    links, file names, options and packages exist
//! sources.rs       the sources that comments in the shim name exist
//! markdown.rs      reads Markdown
//! ```
//!
//! `BLESS=1` writes the generated documents.

mod asked;
mod commands;
mod differences;
mod help;
mod limits;
mod markdown;
mod pasted;
mod references;
mod sources;
mod support;

use anyhow::{Context, Result, bail};
use libtest_mimic::Arguments;
use proxy_wasm_adapter_peers::lines::difference;
use proxy_wasm_adapter_tests::fixtures;

use markdown::Document;

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let documents = markdown::documents()?;
    let mut trials = vec![support::trial(), differences::trial()];
    trials.extend(asked::trials());
    trials.extend(commands::trials(&documents));
    trials.extend(pasted::trial(&documents));
    trials.extend(help::trials());
    trials.extend(references::trials(&documents));
    trials.extend(sources::trials());
    libtest_mimic::run(&arguments, trials).exit()
}

/// Whether this document says so; with `BLESS=1` it is made to.
fn says(name: &str, text: &str) -> Result<()> {
    let path = fixtures::root().join(name);
    if std::env::var_os("BLESS").is_some() {
        return std::fs::write(&path, text).with_context(|| format!("writes {name}"));
    }
    let written = std::fs::read_to_string(&path).with_context(|| format!("reads {name}: write it with BLESS=1"))?;
    match difference(text, &written) {
        None => Ok(()),
        Some(difference) => bail!("{name} is not what it is generated from; BLESS=1 writes it\n{difference}"),
    }
}
