//! The library for embedders, between a server and a client of hyper's: `src/bin/embed-host.rs`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use proxy_wasm_adapter::bridge;
use proxy_wasm_adapter::exports::Exports;
use proxy_wasm_adapter::wasi::Wasi;

use super::{Chain, Child, adapt_for};
use crate::fixtures;

/// The component of this chain, without `wasi:http`.
pub(super) fn component(chain: &Chain) -> Result<Vec<u8>> {
    adapt_for(Wasi::V0_2, chain, bridge::Kind::default(), Exports::Exchange)
}

/// `h2c`: an upstream that speaks HTTP/2.
pub(super) fn start(component: &Path, h2c: Option<&str>) -> Result<(Child, SocketAddr)> {
    let mut command = Command::new(fixtures::binary("embed-host")?);
    command.arg(component).arg("--cache").arg(fixtures::cache()?);
    if let Some(upstream) = h2c {
        command.args(["--upstream-h2c", upstream]);
    }
    let mut child = Child::start(&mut command)?;
    let address = child
        .wait_for("address", |line| line.strip_prefix("Serving HTTP on http://")?.trim_end_matches('/').parse().ok());
    Ok((child, address.context("starts `embed-host`")?))
}
