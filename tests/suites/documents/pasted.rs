//! README.md, pasted command by command: into one shell, in a copy of the repository in which nothing was built, on a machine
//! where the adapter is not installed until the README says so.
//!
//! What takes long to build or is downloaded is there: the tools, what the examples' compilers keep, and the adapter, which
//! `cargo install` would build.

use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use proxy_wasm_adapter_tests::fixtures;
use proxy_wasm_adapter_tests::trial;

use crate::Document;
use crate::commands::{Session, adapters, path};
use crate::markdown::{Block, files};

const INSTALL: &str = "cargo install --locked --path adapter";

pub(crate) fn trial(documents: &[Document]) -> Option<Trial> {
    let readme = documents.iter().find(|document| document.name == "README.md")?;
    let blocks = readme.blocks.clone();
    Some(trial::trial("pasted::README.md", move || paste(&blocks)))
}

fn paste(blocks: &[Block]) -> Result<()> {
    let machine = tempfile::tempdir()?;
    let (clone, installed) = (machine.path().join("clone"), machine.path().join("bin"));
    copy(&clone)?;
    std::fs::create_dir(&installed)?;
    symlink(adapters()?.join("proxy-wasm-adapter"), installed.join("proxy-wasm-adapter"))?;

    let mut session = Session::new(&clone, &path(None)?);
    let mut is_installed = false;
    for block in blocks {
        match block.language.as_str() {
            "console" => session.console(block)?,
            "sh" => {
                for line in &block.lines {
                    match line.split_once(" #").map_or(line.as_str(), |(command, _)| command).trim() {
                        INSTALL => {
                            session.set_path(path(Some(installed.clone()))?);
                            is_installed = true;
                        }
                        // It runs this test.
                        "tests/run --install" => {}
                        other => bail!("`{other}` stands in a `sh` block, whose commands this does not run"),
                    }
                }
            }
            _ => {}
        }
    }
    ensure!(is_installed, "README.md does not say `{INSTALL}`");
    Ok(())
}

/// The repository as it is cloned, with what others keep below `target/`.
fn copy(clone: &Path) -> Result<()> {
    for file in files() {
        let (from, to) = (fixtures::root().join(&file), clone.join(&file));
        let directory = to.parent().context("a file stands in a directory")?;
        std::fs::create_dir_all(directory)?;
        // A file may be removed, and not committed yet.
        if from.exists() {
            std::fs::copy(&from, &to).with_context(|| format!("copies {file}"))?;
        }
    }
    std::fs::create_dir_all(clone.join("target/examples"))?;
    for kept in ["target/tools", "target/examples/build"] {
        symlink(fixtures::root().join(kept), clone.join(kept))?;
    }
    Ok(())
}
