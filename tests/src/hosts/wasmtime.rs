//! The stock `wasmtime serve`.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use super::{Child, compiles_quickly};
use crate::fixtures;

/// Whether an instance answers more than one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// The default.
    Never,
    /// As often as it can.
    Always,
}

pub(super) fn start(component: &Path, reuse: Reuse) -> Result<(Child, SocketAddr)> {
    match reuse {
        Reuse::Never => run(component, &[]),
        Reuse::Always => {
            run(component, &["--max-instance-reuse-count", "1000000000", "--idle-instance-timeout", "60s"])
        }
    }
}

/// With a component for WASI 0.3, which this version runs when it is told to.
pub(super) fn start_03(component: &Path) -> Result<(Child, SocketAddr)> {
    run(component, &["-S", "p3", "-W", "component-model-async"])
}

pub(super) fn run(component: &Path, options: &[&str]) -> Result<(Child, SocketAddr)> {
    let mut command = Command::new(fixtures::binary("wasmtime-serve")?);
    command.args(["--addr", "127.0.0.1:0"]);
    if compiles_quickly() {
        command.args(["-C", "compiler=winch"]);
        // Making an image of the memory fails at times where the machine is busy, and then a request does.
        command.args(["-O", "memory-init-cow=n"]);
    }
    let cache = cache_configuration()?;
    command.arg("-C").arg(format!("cache-config={}", cache.display()));
    let mut child = Child::start(command.args(options).arg(component))?;
    let address = child
        .wait_for("address", |line| line.strip_prefix("Serving HTTP on http://")?.trim_end_matches('/').parse().ok());
    Ok((child, address.context("starts `wasmtime serve`")?))
}

/// The file that says where it keeps compiled code; its default is the user's own directory.
fn cache_configuration() -> Result<PathBuf> {
    static WRITTEN: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*written {
        return Ok(path.clone());
    }
    let directory = fixtures::cache()?;
    let path = directory.join("wasmtime.toml");
    // One of its own: it deletes what it does not know.
    let own = directory.join("wasmtime");
    let text = toml::to_string(&BTreeMap::from([("cache", BTreeMap::from([("directory", &own)]))]))?;
    // Another suite may read it now.
    let mut file = tempfile::NamedTempFile::new_in(&directory)?;
    file.write_all(text.as_bytes())?;
    file.persist(&path)?;
    *written = Some(path.clone());
    Ok(path)
}
