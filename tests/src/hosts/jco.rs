//! `jco serve` on Node.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Child;
use crate::fixtures;

pub(super) fn start(component: &Path, directory: &Path) -> Result<(Child, SocketAddr)> {
    // It takes no port 0: this one was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr())?;
    let mut command = Command::new(fixtures::tool("jco", "JCO")?);
    command.arg("serve").arg(component).args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
    command.arg("--jco-dir").arg(directory.join("jco"));
    // It runs the server in a process of its own.
    command.process_group(0);
    let mut child = Child::start_group(&mut command)?;
    let listening = child.wait_for("address", |line| line.starts_with("Server listening").then_some(()));
    listening.context("starts `jco serve`")?;
    Ok((child, address))
}
