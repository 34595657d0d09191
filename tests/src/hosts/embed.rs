//! The library for embedders, between a server and a client of hyper's: `src/bin/embed-host.rs`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Child, compiles_quickly};
use crate::fixtures;

/// `h2c`: an upstream that speaks HTTP/2.
pub(super) fn start(component: &Path, h2c: Option<&str>) -> Result<(Child, SocketAddr)> {
    let mut command = Command::new(fixtures::binary("embed-host")?);
    command.arg(component).arg("--cache").arg(fixtures::cache()?);
    if compiles_quickly() {
        command.arg("--quickly");
    }
    if let Some(upstream) = h2c {
        command.args(["--upstream-h2c", upstream]);
    }
    let mut child = Child::start(&mut command)?;
    let address = child
        .wait_for("address", |line| line.strip_prefix("Serving HTTP on http://")?.trim_end_matches('/').parse().ok());
    Ok((child, address.context("starts `embed-host`")?))
}
