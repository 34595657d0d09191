//! The programs: a server and a client in two languages.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use proxy_wasm_adapter_tests::hosts::{Child, Host};
use proxy_wasm_adapter_tests::{fixtures, port};

/// What a peer is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Language {
    /// tonic.
    Rust,
    /// grpcio.
    Python,
}

impl Language {
    pub(crate) const ALL: [Self; 2] = [Self::Rust, Self::Python];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rust => "tonic",
            Self::Python => "grpcio",
        }
    }

    /// The program, without arguments.
    pub(crate) fn command(self) -> Result<Command> {
        match self {
            Self::Rust => Ok(Command::new(built()?)),
            Self::Python => {
                let mut command = Command::new("python3");
                command.env("PYTHONPATH", modules()?).env("PYTHONDONTWRITEBYTECODE", "1");
                command.arg(fixtures::root().join("tests/fixtures/grpc-peers/peers.py"));
                Ok(command)
            }
        }
    }
}

/// A server, which ends with this.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts one for these calls. It has its own port again in the next run: see [`port`].
    pub(crate) fn start(client: Language, server: Language, host: Host) -> Result<Self> {
        let name = format!("grpc peers: {} to {} through {}", client.name(), server.name(), host.name());
        let port = port::listen(&name)?.local_addr()?.port();
        let mut child = Child::start(server.command()?.args(["serve", &port.to_string()]))?;
        let address = child.wait_for("address", |line| line.strip_prefix("listening on http://")?.parse().ok())?;
        Ok(Self { child, address })
    }
}

/// The program made with tonic.
fn built() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    // With the example's server, most of whose dependencies are the same.
    let target = fixtures::root().join("target/examples/build/ext-authz/server");
    let build = || {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["build", "--quiet", "--locked", "--target-dir"]).arg(&target).arg("--manifest-path");
        command.arg(fixtures::root().join("tests/fixtures/grpc-peers/Cargo.toml"));
        fixtures::forget_package(&mut command);
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    if let Err(error) = BUILT.get_or_init(build) {
        bail!("cargo build: {error}");
    }
    Ok(target.join("debug/grpc-peers"))
}

/// Where Python finds grpcio.
fn modules() -> Result<&'static str> {
    static MODULES: OnceLock<Result<String, String>> = OnceLock::new();
    let find = || -> Result<String> {
        let output = Command::new(fixtures::root().join("tests/tools.sh")).arg("grpcio").output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let modules = MODULES.get_or_init(|| find().context("finds grpcio").map_err(|error| format!("{error:#}")));
    modules.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}
