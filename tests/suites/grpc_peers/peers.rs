//! The programs: a server and a client in two languages.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use anyhow::{Context, Result, ensure};
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
    static BUILT: LazyLock<Result<PathBuf, String>> =
        LazyLock::new(|| fixtures::grpc_program("grpc-peers").map_err(|error| format!("{error:#}")));
    BUILT.clone().map_err(anyhow::Error::msg)
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
