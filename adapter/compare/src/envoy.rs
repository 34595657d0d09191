//! The real Envoy, as a child process.
//!
//! It starts a plugin three times: once to check the configuration and once more on the main thread, then on its worker.
//! The start that is compared is the worker's, as that one serves the requests; where Envoy refuses the plugin, it is the
//! last one there was.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proxy_wasm_abi::settings::{Plugin, Settings};
use proxy_wasm_adapter_peers::envoy::{self, Peers};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::Instant;

use super::NamedFilter;
use super::error::Error;
use super::http1::{self, Reader};
use super::message::Message;
use super::output::{EnvoyLines, Line};
use super::process::Process;
use super::report::Side;
use super::running::{GLANCE, Output, Running, Started};
use proxy_wasm_adapter::digest;

/// How long `envoy --version` may take.
const VERSION_PATIENCE: Duration = Duration::from_secs(20);

/// Envoy's program.
#[derive(Clone, Debug)]
pub struct Envoy {
    path: PathBuf,
    version: String,
}

impl Envoy {
    /// Envoy at this path, or on `PATH`.
    ///
    /// # Errors
    /// There is none, or it is something else.
    pub async fn find(path: Option<&Path>) -> Result<Self, Error> {
        let none = || Error::NoEnvoy { path: path.map(Path::to_owned) };
        let path = path.map_or_else(|| PathBuf::from("envoy"), Path::to_owned);
        let mut command = Command::new(&path);
        let output = command.arg("--version").kill_on_drop(true).output();
        let output = match tokio::time::timeout(VERSION_PATIENCE, output).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => return Err(none()),
            Ok(Err(source)) => return Err(Error::Start { command: path.display().to_string(), source }),
            Err(_) => return Err(Error::NotEnvoy { path, output: "it does not end".into() }),
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // envoy  version: 9e55…/1.40.0/Clean/RELEASE/BoringSSL
        let version = text.split_once("version: ").and_then(|(_, rest)| rest.split('/').nth(1)).map(str::to_owned);
        match version {
            Some(version) if text.contains("envoy") => Ok(Self { path, version }),
            _ => {
                let output = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
                Err(Error::NotEnvoy { path, output })
            }
        }
    }

    /// What reports call it.
    pub fn name(&self) -> String {
        format!("Envoy {}", self.version)
    }

    /// Starts it with these filters before the router.
    pub(super) async fn start(
        &self,
        filters: &[NamedFilter],
        settings: &Settings,
        directory: &Arc<TempDir>,
        patience: Duration,
    ) -> Result<Started, Error> {
        let machine = |source| Error::Machine { doing: "write a file for Envoy", source };
        let mut files = Vec::new();
        for (index, filter) in filters.iter().enumerate() {
            files.push(directory.path().join(format!("filter-{}.wasm", index + 1)));
            std::fs::write(&files[index], filter).map_err(machine)?;
        }
        let peers = Peers { no_server_header: true, trailers: true, ..Peers::default() };
        let configuration = envoy::configuration(settings, &files, peers);
        self.run(&configuration, None, &settings.plugins, directory, patience).await
    }

    /// Starts it with a configuration. Where the listener is not known, its admin is asked.
    pub(super) async fn run(
        &self,
        configuration: &Value,
        listener: Option<SocketAddr>,
        plugins: &[Plugin],
        directory: &Arc<TempDir>,
        patience: Duration,
    ) -> Result<Started, Error> {
        let machine = |source| Error::Machine { doing: "write a file for Envoy", source };
        let file = |name: &str| directory.path().join(name);
        std::fs::write(file("envoy.json"), configuration.to_string()).map_err(machine)?;

        let mark = mark(directory.path());
        let mut command = Command::new(&self.path);
        command.arg("-c").arg(file("envoy.json")).arg("--admin-address-path").arg(file("admin"));
        command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "info"]);
        command.args(["--component-log-level", "wasm:trace", "--log-format"]).arg(EnvoyLines::format(&mark));
        let failed = |source| Error::Start { command: self.path.display().to_string(), source };
        let process = Process::start(command, &file("envoy.log")).map_err(failed)?;
        let side = Side { name: self.name(), command: Some(process.command.clone()) };
        let lines = EnvoyLines::new(plugins, mark);
        self.wait(side, process, lines, listener, directory, patience).await
    }

    /// Waits until its worker runs, or it has ended.
    async fn wait(
        &self,
        side: Side,
        mut process: Process,
        mut lines: EnvoyLines,
        address: Option<SocketAddr>,
        directory: &Arc<TempDir>,
        patience: Duration,
    ) -> Result<Started, Error> {
        let machine = |source| Error::Machine { doing: "read what Envoy writes", source };
        let begin = Instant::now();
        let (mut written, mut early) = (Vec::new(), Vec::new());
        loop {
            let ended = process.ended();
            let (more, of_workers) = lines.read(&process.output().map_err(machine)?);
            let ready =
                more.iter().any(|line| matches!(line, Line::Own { text, .. } if text.contains("starting workers")));
            written.extend(more);
            early.extend(of_workers);
            if ready {
                break;
            }
            if let Some(status) = ended {
                written.extend(lines.rest());
                if let Some(words) = refusal(&written) {
                    return Err(Error::Configuration { words });
                }
                return Ok(Started::Refused {
                    side,
                    words: words(&written, &status.to_string()),
                    lines: last_start(written),
                });
            }
            if begin.elapsed() > patience {
                let words = format!("it has not started after {} s", patience.as_secs());
                return Ok(Started::Refused { side, words, lines: last_start(written) });
            }
            tokio::time::sleep(GLANCE).await;
        }
        let address = match address {
            Some(address) => Some(address),
            None => {
                let admin = std::fs::read_to_string(directory.path().join("admin")).map_err(machine)?;
                match admin.trim().parse() {
                    Ok(admin) => listener(admin).await,
                    Err(_) => None,
                }
            }
        };
        let Some(address) = address else {
            let (command, output) = (process.command.clone(), String::new());
            return Err(Error::Silent { command, address: None, time: begin.elapsed(), output });
        };
        let (output, _directory) = (Output::Envoy(process, lines), directory.clone());
        Ok(Started::Running(Box::new(Running { side, address, output, early, _directory })))
    }
}

/// A text that no filter can guess.
fn mark(directory: &Path) -> String {
    let seed = format!("{:?} {} {}", std::time::SystemTime::now(), std::process::id(), directory.display());
    digest::sha256(seed.as_bytes()).chars().take(16).collect()
}

/// The address that the listener got.
async fn listener(admin: SocketAddr) -> Option<SocketAddr> {
    let mut connection = TcpStream::connect(admin).await.ok()?;
    let (from, mut to) = connection.split();
    let headers = vec![("host".to_owned(), b"admin".to_vec())];
    let head = http1::request_head("GET", "/listeners", &headers);
    http1::write(&mut to, head, &headers, &Default::default(), &Vec::new(), None).await.ok()?;
    let mut message = Message::default();
    let mut reader = Reader::new(from);
    let length = reader.response("GET", &mut message).await.ok()?;
    reader.body(length, &mut message).await.ok()?;
    envoy::listener(&String::from_utf8(message.body).ok()?)
}

/// What stands between a reason and the configuration that Envoy refuses for it.
const INITIALIZING: &str = " initializing config '";

/// Why Envoy refuses its configuration, where that is no plugin of it.
fn refusal(written: &[Line]) -> Option<String> {
    written.iter().find_map(|line| {
        let Line::Own { text, .. } = line else { return None };
        let (reason, _) = text.split_once(INITIALIZING)?;
        let reason = reason.trim().trim_start_matches("error ").trim_matches('`').lines().next()?;
        (!reason.contains("create Wasm plugin")).then(|| reason.to_owned())
    })
}

/// What Envoy says of its failure.
fn words(written: &[Line], status: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for line in written {
        let Line::Own { level, text } = line else { continue };
        if !matches!(level.as_str(), "" | "error" | "critical") {
            continue;
        }
        // It quotes its whole configuration, and a backtrace without names.
        let text = text.split(INITIALIZING).next().unwrap_or(text).trim();
        let is_frame = text.starts_with('#') || text.starts_with("Backtrace (") || text.starts_with("Address mapping");
        if !is_frame && !text.is_empty() && words.last().is_none_or(|last| last != text) {
            words.push(text.lines().next().unwrap_or(text).into());
        }
    }
    if words.is_empty() {
        words.push(status.into());
    }
    words.join("; ")
}

/// The lines of the last start of the plugin.
fn last_start(written: Vec<Line>) -> Vec<Line> {
    let begins = |line: &Line| matches!(line, Line::Own { text, .. } if text.contains("Wasm created"));
    let from = written.iter().rposition(begins).unwrap_or(0);
    written.into_iter().skip(from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Envoy 1.40 says it.
    #[test]
    fn what_is_refused_for_a_plugin_is_told_from_the_rest() {
        let said = |reason: &str| {
            let text = format!("error `{reason}` initializing config '  /tmp/envoy.json'\nmore");
            refusal(&[Line::Own { level: "critical".into(), text }])
        };
        assert_eq!(said("Unable to create Wasm plugin p"), None);
        assert_eq!(said("no such field: 'rooot_id'"), Some("no such field: 'rooot_id'".into()));
        assert_eq!(refusal(&[]), None);
    }
}
