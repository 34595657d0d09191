//! The adapter's own host.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use proxy_wasm_adapter::composition::takes_exchanges;

use super::{Child, compiles_quickly};
use crate::fixtures;

/// `h2c`: an upstream that speaks HTTP/2.
pub(super) fn start(component: &Path, h2c: Option<&str>) -> Result<(Child, SocketAddr)> {
    // As Envoy in the tests, with one worker: by `wasi:http` there is no such number.
    let vms: &[&str] = if takes_exchanges(&std::fs::read(component)?) { &["--vms", "1"] } else { &[] };
    let upstream: Vec<&str> = h2c.map(|upstream| ["--upstream-h2c", upstream]).into_iter().flatten().collect();
    start_with(component, &[vms, &upstream].concat())
}

pub(super) fn start_with(component: &Path, options: &[&str]) -> Result<(Child, SocketAddr)> {
    let mut command = Command::new(fixtures::binary("proxy-wasm-adapter")?);
    command.arg("serve").arg(component).args(["--listen", "127.0.0.1:0"]).arg("--cache").arg(fixtures::cache()?);
    if compiles_quickly() {
        command.args(["--optimize", "none"]);
    }
    let mut child = Child::start(command.args(options))?;
    let address = child.wait_for("address", |line| {
        let (_, address) = line.split_once("http://")?;
        address.split(['/', ' ']).next()?.parse().ok()
    });
    Ok((child, address.context("starts `serve`")?))
}
