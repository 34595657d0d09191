//! The other side: a host with the adapted component.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use proxy_wasm_abi::settings::Plugin;
use proxy_wasm_adapter::composition::takes_exchanges;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::Instant;

use super::error::Error;
use super::output::{Line, ShimLines};
use super::process::Process;
use super::report::Side;
use super::running::{GLANCE, Output, Running, Started};

/// The exit code of `serve` for a plugin that does not start.
const REFUSED: i32 = 6;

/// What runs the adapted component.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Host {
    /// The embedded host: this program's `serve`.
    Embedded {
        /// The program `proxy-wasm-adapter`.
        program: PathBuf,
        /// Where it keeps compiled code.
        cache: Option<PathBuf>,
    },
    /// A command with `{component}`, and `{address}` or `{port}`, or with an address of its own.
    Command(String),
    /// What runs there already, with a component of the same filters.
    Endpoint(String),
}

/// What a component is there for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// It has the filters.
    Adapted,
    /// It answers behind Envoy, as it does linked behind the filters.
    Next,
}

impl Role {
    /// The files of its component and of what its host writes.
    fn files(self) -> [&'static str; 2] {
        match self {
            Self::Adapted => ["filter.component.wasm", "host.log"],
            Self::Next => ["next.wasm", "next.log"],
        }
    }
}

impl Host {
    /// Starts it.
    pub(super) async fn start(
        &self,
        role: Role,
        component: &[u8],
        plugins: &[Plugin],
        directory: &Arc<TempDir>,
        cpu_timeout: Duration,
        patience: Duration,
    ) -> Result<Started, Error> {
        let machine = |source| Error::Machine { doing: "write the component", source };
        let [file, log] = role.files().map(|name| directory.path().join(name));
        std::fs::write(&file, component).map_err(machine)?;
        let (command, name, address) = match self {
            Self::Embedded { program, cache } => {
                let mut command = Command::new(program);
                command.arg("serve").arg(&file).args(["--listen", "127.0.0.1:0", "--cpu-timeout"]);
                command.arg(format!("{}ms", cpu_timeout.as_millis()));
                match role {
                    Role::Next => command.arg("--no-date"),
                    // As Envoy has one worker here.
                    Role::Adapted if takes_exchanges(component) => command.args(["--vms", "1"]),
                    Role::Adapted => &mut command,
                };
                if let Some(cache) = cache {
                    command.arg("--cache").arg(cache);
                }
                // Each component runs shortly.
                command.args(["--optimize", "none"]);
                // The form of its messages depends on them.
                command.env_remove("RUST_LOG");
                (command, format!("proxy-wasm-adapter {} serve", env!("CARGO_PKG_VERSION")), None)
            }
            Self::Command(template) => {
                let (command, name, address) = from_template(template, &file).await?;
                (command, name, Some(address))
            }
            Self::Endpoint(url) => return endpoint(url, directory).await.map(Box::new).map(Started::Running),
        };
        let shown = command.as_std().get_program().to_string_lossy().into_owned();
        let failed = |source| Error::Start { command: shown, source };
        let process = Process::start(command, &log).map_err(failed)?;
        let side = Side { name, command: Some(process.command.clone()) };
        let lines = ShimLines::new(plugins);
        wait(side, process, lines, address, directory, patience).await
    }
}

/// Waits until the process listens or has ended. Without an address it announces its own.
async fn wait(
    side: Side,
    mut process: Process,
    mut lines: ShimLines,
    address: Option<SocketAddr>,
    directory: &Arc<TempDir>,
    patience: Duration,
) -> Result<Started, Error> {
    let machine = |source| Error::Machine { doing: "read what the host writes", source };
    let started = Instant::now();
    loop {
        let ended = process.ended();
        let output = process.all_output().map_err(machine)?;
        if let Some(status) = ended {
            if status.code() == Some(REFUSED) && address.is_none() {
                let lines = lines.read(output.as_bytes());
                return Ok(Started::Refused { side, words: words(&lines), lines });
            }
            let command = process.command.clone();
            return Err(Error::Ended { command, status: status.to_string(), output });
        }
        let listening = match address {
            Some(address) => TcpStream::connect(address).await.is_ok().then_some(address),
            None => announced(&output),
        };
        if let Some(address) = listening {
            let output = Output::Shim(process, lines);
            let (early, _directory) = (Vec::new(), directory.clone());
            return Ok(Started::Running(Box::new(Running { side, address, output, early, _directory })));
        }
        if started.elapsed() > patience {
            if address.is_none() {
                let words = format!("it has not started after {} s", patience.as_secs());
                return Ok(Started::Refused { side, words, lines: lines.read(output.as_bytes()) });
            }
            let command = process.command.clone();
            return Err(Error::Silent { command, address, time: started.elapsed(), output });
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// The address in `serve`'s line `listening on http://…`.
fn announced(output: &str) -> Option<SocketAddr> {
    output.lines().find_map(|line| line.strip_prefix("listening on http://")?.parse().ok())
}

/// What `serve` says of its failure.
fn words(lines: &[Line]) -> String {
    let own = lines.iter().filter_map(|line| match line {
        Line::Own { text, .. } if !text.trim().is_empty() => Some(text.trim().trim_start_matches("error: ")),
        _ => None,
    });
    own.collect::<Vec<_>>().join("; ")
}

/// The command that a template stands for, what reports call it, and where it listens.
async fn from_template(template: &str, component: &Path) -> Result<(Command, String, SocketAddr), Error> {
    let wrong = |reason| Error::Template { template: template.into(), reason };
    let words = shlex::split(template).ok_or_else(|| wrong("has a quote that does not end"))?;
    if words.is_empty() {
        return Err(wrong("is empty"));
    }
    if !template.contains("{component}") {
        return Err(wrong("does not say where the component goes: there is no `{component}`"));
    }
    let chosen = ["{address}", "{port}"].iter().any(|place| template.contains(place));
    let address = if chosen {
        free_address().await?
    } else {
        let reason = "does not say where it listens: there is neither `{address}` nor `{port}` nor an address in it";
        let address = words.iter().rev().find_map(|word| own_address(word)).ok_or_else(|| wrong(reason))?;
        if TcpStream::connect(address).await.is_ok() {
            return Err(Error::Taken { address });
        }
        address
    };
    let fill = |word: &String| {
        word.replace("{component}", &component.to_string_lossy())
            .replace("{address}", &address.to_string())
            .replace("{port}", &address.port().to_string())
    };
    let mut filled = words.iter().map(fill);
    let program = filled.next().unwrap_or_default();
    let mut command = Command::new(&program);
    command.args(filled);
    let name = Path::new(&program).file_name().map(|name| name.to_string_lossy().into_owned());
    Ok((command, name.unwrap_or(program), address))
}

/// The address at the end of a word, as in `--listen=127.0.0.1:8080`.
fn own_address(word: &str) -> Option<SocketAddr> {
    word.parse().ok().or_else(|| word.rsplit_once('=')?.1.parse().ok())
}

/// An address that is free now.
async fn free_address() -> Result<SocketAddr, Error> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listen = async { TcpListener::bind(any).await?.local_addr() };
    listen.await.map_err(|source| Error::Listen { address: any, source })
}

async fn endpoint(url: &str, directory: &Arc<TempDir>) -> Result<Running, Error> {
    let wrong = |reason: &str| Error::Endpoint { url: url.into(), reason: reason.into() };
    let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("its scheme is not `http`"));
    }
    let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
    if !matches!(uri.path_and_query().map_or("", |path| path.as_str()), "" | "/") {
        return Err(wrong("it has a path, and requests have their own"));
    }
    let found = tokio::net::lookup_host((authority.host(), authority.port_u16().unwrap_or(80))).await;
    let address = found.ok().and_then(|mut found| found.next()).ok_or_else(|| wrong("its host has no address"))?;
    if let Err(error) = TcpStream::connect(address).await {
        return Err(wrong(&format!("nothing answers there: {error}")));
    }
    Ok(Running {
        side: Side { name: url.into(), command: None },
        address,
        output: Output::Nothing,
        early: Vec::new(),
        _directory: directory.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn template(template: &str) -> Result<(String, SocketAddr), String> {
        let (command, name, address) =
            from_template(template, Path::new("/a b.wasm")).await.map_err(|error| error.to_string())?;
        assert!(command.as_std().get_program().to_string_lossy().ends_with(&name));
        let words = command.as_std().get_args().map(|word| word.to_string_lossy().into_owned());
        Ok((words.collect::<Vec<_>>().join("|"), address))
    }

    #[tokio::test]
    async fn templates() {
        let (words, address) = template("wasmtime serve --addr {address} {component}").await.unwrap();
        assert_eq!(words, format!("serve|--addr|{address}|/a b.wasm"));
        let (words, address) = template("x 'a b' --port={port} {component}").await.unwrap();
        assert_eq!(words, format!("a b|--port={}|/a b.wasm", address.port()));
        for (wrong, reason) in [
            ("", "is empty"),
            ("x 'y", "has a quote that does not end"),
            ("x {address}", "does not say where the component goes"),
            ("x {component}", "does not say where it listens"),
        ] {
            let error = template(wrong).await.unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[tokio::test]
    async fn taken_addresses_are_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = template(&format!("x --listen={address} {{component}}")).await.unwrap_err();
        assert_eq!(error, format!("another program listens on {address} already"));
    }
}
