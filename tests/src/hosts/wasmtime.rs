//! The stock `wasmtime serve`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Child;
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
    let mut command = Command::new(fixtures::binary("wasmtime-serve")?);
    command.args(["--addr", "127.0.0.1:0"]);
    if reuse == Reuse::Always {
        command.args(["--max-instance-reuse-count", "1000000000", "--idle-instance-timeout", "60s"]);
    }
    let mut child = Child::start(command.arg(component))?;
    let address = child
        .wait_for("address", |line| line.strip_prefix("Serving HTTP on http://")?.trim_end_matches('/').parse().ok());
    Ok((child, address.context("starts `wasmtime serve`")?))
}
