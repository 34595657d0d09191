//! A case of `tests/conformance`: what the client sends, what the filter and the upstream do; and the transcript of it.
//!
//! ```toml
//! about = "what the case shows"
//! abi = "0.2.0"                       # by default 0.2.1
//! alone = true                        # a host of its own, with no connection left over from another case
//! trailers = true                     # let Envoy pass on the trailers of HTTP/1
//!
//! [plugin]                            # optional, as is every key in it
//! name = "probe"
//! root_id = ""
//! vm_id = ""
//! configuration = "text"              # by default the script's `configure`
//! environment = { KEY = "value" }
//! allow_on_headers_stop_iteration = true
//!
//! [[chain]]                           # instead of `[plugin]`: several plugins, in the order a request passes them
//! name = "a"                          # and the other keys of `[plugin]`; its lines begin with its name
//! vm_id = "v"                         # by default its name: a VM of its own
//! abi = "0.2.0"                       # by default 0.2.1
//! start = { tick = [["log", 2, "a tick"]] } # its own script
//!
//! [connection]                        # optional, as is every key in it
//! buffer_limit = 1024
//! stream_idle_timeout_ms = 300
//! upstream_timeout_ms = 300
//! request_id = false
//!
//! [route]                             # by default the upstream
//! direct_response = { status = 200, body = "text" }
//! refused = true                      # nobody listens there
//! http2 = true                        # the upstream speaks HTTP/2, known before
//!
//! routes = '''…'''                     # instead: a table of routes as in a settings file, with the clusters of this case
//!                                     # and `upstream`
//!
//! [clusters.auth]                     # where callouts go
//! answer = ["HTTP/1.1 200 OK\r\n\r\n"] # steps; by default as the upstream's
//! refused = true                      # nobody listens there
//! endpoints = [["upstream", 1], ["refused", 2]] # instead: other servers of this case, `localhost`, or nobody, with weights
//! http2 = true                        # these speak HTTP/2, known before
//!
//! [clusters.grpc]                     # gRPC, where the name begins with it
//! grpc = [{ head = [] }, { message = "text" }, { trailers = [["grpc-status", "0"]] }] # steps, see `grpc`
//!
//! [start]                             # the plugin's script: what it does at start, in ticks, and when callouts are back
//! tick = [["log", 2, "a tick"]]
//!
//! [[exchange]]                        # one after another, each on a new connection
//! http = "2"                          # the client speaks HTTP/2, known before; by default "1.1"
//! pseudo = [[":path", "/"]]           # instead of the four of HTTP/2 in their usual order
//! window = 10                         # of HTTP/2: so much of the response is taken, and more when a step gives it
//! wire = true                         # show each line of heads in its order, and what becomes of the connection
//! method = "POST"                     # `GET` by default
//! path = "/"                          # by default
//! headers = [["name", "value"]]
//! body = ["text", { await = "request_body(4" }, "text"]   # steps, see `message`; `content-length` is added
//! chunked = true                      # each text of the body a chunk of its own
//! trailers = [["name", "value"]]      # ends the chunks
//! raw = ["bytes"]                     # instead of all of these, with `<script>` where the script's header line goes
//! upstream = ["HTTP/1.1 200 OK\r\n\r\n", { close = true }]  # steps; by default 200 with the body `ok`
//! upstream_then = [["HTTP/1.1 503 No\r\n\r\n"]] # what requests after the first get, each in turn; the last one all that follow
//! until = "@cb delete()"              # the (last) filter's last line, by default; "" where it isn't called
//! until_here = "log()"                # the same on hosts of components, where that is a known difference
//! until_stock = "log()"               # the same on stock hosts only
//!
//! [exchange.script]
//! request_headers = [["pairs", 0], ["add", 0, "x-a", "1"], ["return", 1]]
//!
//! [exchange.scripts.a]                # in a chain: of the plugin with this name
//! request_headers = [["return", 1]]
//! ```

mod exchange;
mod profile;
mod stages;
mod transcript;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::grpc::{GrpcServer, GrpcStep};
use crate::hosts::{Host, Running};
use crate::message::Step;
use crate::probe::ForeignFunctions;
use crate::upstream::Upstream;
use crate::{fixtures, normal};

pub use exchange::Exchange;
pub use profile::Profile;
pub use stages::{Stages, golden};

/// A case file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub about: String,
    /// What the host is started with; equal ones share a host.
    #[serde(flatten)]
    pub profile: Profile,
    /// The exchanges.
    pub exchange: Vec<Exchange>,
    /// The hosts whose HTTP library refuses the requests before any filter sees them.
    #[serde(default)]
    pub refused_by: Vec<String>,
}

/// A host that runs for cases, with its upstream.
#[derive(Debug)]
pub struct Stage {
    kind: Host,
    host: Running,
    upstream: Upstream,
    clusters: Vec<ClusterServer>,
    is_chain: bool,
    /// What the filter logs last in an exchange; in a chain, the last one.
    last_line: String,
}

/// Where callouts go.
#[derive(Debug)]
struct ClusterServer {
    name: String,
    server: Upstream,
    /// By gRPC, and what it does.
    grpc: Option<(GrpcServer, Vec<GrpcStep>)>,
    /// The server's, unless nobody is to be there.
    address: SocketAddr,
    answer: Vec<Step>,
}

impl Case {
    /// Whether it needs a host that speaks HTTP/2 on either side.
    pub fn needs_http2(&self) -> bool {
        self.profile.needs_http2() || self.exchange.iter().any(Exchange::is_http2)
    }

    /// Each case with its name, `family/name`, and its file.
    ///
    /// # Errors
    /// A file can't be read, or is no case.
    pub fn all() -> Result<Vec<(String, PathBuf, Self)>> {
        let directory = fixtures::root().join("tests/conformance");
        let mut cases = Vec::new();
        for family in sorted(&directory)? {
            for path in sorted(&family)?.into_iter().filter(|path| path.extension().is_some_and(|is| is == "toml")) {
                let text = std::fs::read_to_string(&path)?;
                let mut case: Self = toml::from_str(&text).with_context(|| format!("reads {}", path.display()))?;
                let call = "proxy_call_foreign_function";
                if case.exchange.iter().any(|exchange| exchange.calls(call)) || case.profile.calls(call) {
                    case.profile.foreign_functions = ForeignFunctions::Named;
                }
                let name = path.with_extension("").strip_prefix(&directory)?.to_string_lossy().into_owned();
                cases.push((name, path, case));
            }
        }
        Ok(cases)
    }

    /// The transcript of this case on this stage.
    ///
    /// # Errors
    /// What was waited for never came; with the host's output.
    pub fn run(&self, stage: &Stage) -> Result<String> {
        let mut transcript = String::new();
        if self.profile.has_start() {
            transcript.push_str("start\n");
        }
        for exchange in &self.exchange {
            let text = exchange.run(stage).with_context(|| format!("the host wrote:\n{}", stage.host.child.lines))?;
            transcript.push_str(&text);
        }
        if self.profile.has_start() {
            // Now it has started for sure, on hosts that start it with the first request too.
            let lines = transcript::start(&stage.host.child.lines, stage.starts_before(), self.profile.roots());
            transcript = transcript.replacen("start\n", &format!("start\n{}", transcript::section(&lines)), 1);
        }
        ensure!(
            !transcript.contains(" -> no such operation"),
            "a script has an operation that there is not:\n{transcript}"
        );
        let mut ports = vec![(stage.upstream.address.port(), "upstream"), (stage.host.address.port(), "host")];
        ports.extend(stage.clusters.iter().map(|cluster| (cluster.address.port(), "cluster")));
        Ok(transcript.lines().map(|line| normal::line(line, &ports) + "\n").collect())
    }
}

impl Stage {
    /// How often its plugins have started when they start for the worker, whose start shows how they share a VM.
    fn starts_before(&self) -> usize {
        if self.is_chain && self.kind == Host::Envoy { 2 } else { 0 }
    }
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("reads {}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
