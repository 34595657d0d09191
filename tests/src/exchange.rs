//! A case of `tests/cases`: what the client sends, what the filter and the upstream do; and the transcript of it.
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
//! [connection]                        # optional, as is every key in it
//! buffer_limit = 1024
//! stream_idle_timeout_ms = 300
//! upstream_timeout_ms = 300
//! request_id = false
//!
//! [route]                             # by default the upstream
//! direct_response = { status = 200, body = "text" }
//! refused = true                      # nobody listens there
//!
//! [[exchange]]                        # one after another, each on a new connection
//! method = "POST"                     # `GET` by default
//! path = "/"                          # by default
//! headers = [["name", "value"]]
//! body = ["text", { await = "request_body(4" }, "text"]   # steps, see `message`; `content-length` is added
//! chunked = true                      # each text of the body a chunk of its own
//! trailers = [["name", "value"]]      # ends the chunks
//! raw = ["bytes"]                     # instead of all of these, with `<script>` where the script's header line goes
//! upstream = ["HTTP/1.1 200 OK\r\n\r\n", { close = true }]  # steps; by default 200 with the body `ok`
//! until = "delete()"                  # the filter's last line, by default; "" where it isn't called
//!
//! [exchange.script]
//! request_headers = [["pairs", 0], ["add", 0, "x-a", "1"], ["return", 1]]
//! ```

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_abi::settings::{Connection, Origin, Plugin as Told, Route, Settings, Upkeep};
use serde::Deserialize;

use crate::client::{self, Received, Reply};
use crate::hosts::{Host, Lines, Plugin, Running};
use crate::message::{Action, Step, bytes, shown};
use crate::script::Script;
use crate::upstream::{Behaviour, Request, Upstream};
use crate::{fixtures, normal};

/// How long a step of an exchange may take.
const PATIENCE: Duration = Duration::from_secs(10);

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
}

/// What a host is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct Profile {
    abi: Option<String>,
    /// No other case shares the host.
    #[serde(default)]
    pub alone: bool,
    #[serde(default)]
    trailers: bool,
    #[serde(default)]
    plugin: PluginTable,
    #[serde(default)]
    connection: ConnectionTable,
    #[serde(default)]
    route: RouteTable,
    #[serde(default)]
    start: Script,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PluginTable {
    name: Option<String>,
    root_id: String,
    vm_id: String,
    configuration: Option<String>,
    vm_configuration: Option<String>,
    environment: std::collections::BTreeMap<String, String>,
    allow_on_headers_stop_iteration: bool,
    log_level: Option<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConnectionTable {
    buffer_limit: Option<u32>,
    stream_idle_timeout_ms: Option<u64>,
    upstream_timeout_ms: Option<u64>,
    request_id: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RouteTable {
    direct_response: Option<DirectResponse>,
    refused: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectResponse {
    status: u16,
    #[serde(default)]
    body: String,
}

/// One request and its response.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    #[serde(default = "get")]
    method: String,
    #[serde(default = "root")]
    path: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: Vec<Step>,
    #[serde(default)]
    chunked: bool,
    #[serde(default)]
    trailers: Vec<(String, String)>,
    raw: Option<Vec<Step>>,
    upstream: Option<Vec<Step>>,
    #[serde(default = "delete")]
    until: String,
    #[serde(default)]
    script: Script,
}

fn get() -> String {
    "GET".into()
}

fn root() -> String {
    "/".into()
}

fn delete() -> String {
    "@cb delete()".into()
}

/// A host that runs for cases, with its upstream.
#[derive(Debug)]
pub struct Stage {
    host: Running,
    upstream: Upstream,
}

impl Profile {
    /// Starts this host for it.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self, host: Host) -> Result<Stage> {
        let upstream = Upstream::start()?;
        let plugin = self.plugin(&upstream)?;
        Ok(Stage { host: host.start(&plugin)?, upstream })
    }

    fn plugin(&self, upstream: &Upstream) -> Result<Plugin> {
        let version = match self.abi.as_deref() {
            None => AbiVersion::V0_2_1,
            Some(name) => AbiVersion::ALL.into_iter().find(|abi| abi.name() == name).context("an ABI version")?,
        };
        let told = &self.plugin;
        let script = self.start.encode();
        let defaults = Connection::default();
        let settings = Settings {
            plugin: Told {
                name: told.name.clone().unwrap_or_else(|| "probe".into()),
                root_id: told.root_id.clone(),
                vm_id: told.vm_id.clone(),
                configuration: told.configuration.as_ref().unwrap_or(&script).clone().into_bytes(),
                vm_configuration: told.vm_configuration.as_ref().unwrap_or(&script).clone().into_bytes(),
                environment: told.environment.clone().into_iter().collect(),
                allow_on_headers_stop_iteration: told.allow_on_headers_stop_iteration,
                log_level: told.log_level.unwrap_or(2),
            },
            route: self.route(upstream)?,
            clusters: Vec::new(),
            properties: Vec::new(),
            property_headers: Vec::new(),
            connection: Connection {
                request_id: self.connection.request_id.unwrap_or(defaults.request_id),
                buffer_limit: self.connection.buffer_limit.unwrap_or(defaults.buffer_limit),
                stream_idle_timeout_ms: self
                    .connection
                    .stream_idle_timeout_ms
                    .unwrap_or(defaults.stream_idle_timeout_ms),
                ..defaults
            },
            upkeep: Upkeep::default(),
        };
        Ok(Plugin { filter: fixtures::probe(version)?, settings, trailers: self.trailers })
    }

    fn route(&self, upstream: &Upstream) -> Result<Route> {
        if let Some(DirectResponse { status, body }) = &self.route.direct_response {
            return Ok(Route::DirectResponse { status: *status, body: bytes(body) });
        }
        let authority = if self.route.refused {
            // Free a moment ago, and nobody takes it while this listener is the last to have had it.
            TcpListener::bind("127.0.0.1:0")?.local_addr()?
        } else {
            upstream.address
        };
        let timeout_ms = self.connection.upstream_timeout_ms.unwrap_or(proxy_wasm_abi::limits::UPSTREAM_TIMEOUT_MS);
        Ok(Route::Upstream { origin: Origin { tls: false, authority: authority.to_string() }, timeout_ms })
    }
}

impl Case {
    /// The transcript of this case on this stage.
    ///
    /// # Errors
    /// What was waited for never came; with the host's output.
    pub fn run(&self, stage: &Stage) -> Result<String> {
        let mut transcript = String::new();
        if !self.profile.start.is_empty() {
            transcript.push_str("start\n");
        }
        for exchange in &self.exchange {
            let text = exchange.run(stage).with_context(|| format!("the host wrote:\n{}", stage.host.child.lines))?;
            transcript.push_str(&text);
        }
        if !self.profile.start.is_empty() {
            // Now it has started for sure, on hosts that start it with the first request too.
            let lines = first_start(&stage.host.child.lines);
            transcript = transcript.replacen("start\n", &format!("start\n{}", section(&lines)), 1);
        }
        let ports = [(stage.upstream.address.port(), "upstream"), (stage.host.address.port(), "host")];
        Ok(transcript.lines().map(|line| normal::line(line, &ports) + "\n").collect())
    }
}

/// What the filter logged when it started the first time: Envoy starts it several times.
fn first_start(lines: &Lines) -> Vec<String> {
    let mut started = 0;
    let mut of_start = Vec::new();
    let mut in_start = false;
    for line in lines.since(0).iter().filter_map(|line| logged(line)) {
        if line.starts_with("@root context_create") {
            started += 1;
        }
        in_start = if line.starts_with("@root") { true } else { in_start && !line.starts_with("@cb") };
        if started == 1 && in_start {
            of_start.push(line);
        }
    }
    of_start
}

/// The part of a host's line that the probe wrote.
fn logged(line: &str) -> Option<String> {
    let begin = line.find("@cb ").or_else(|| line.find("@op ")).or_else(|| line.find("@root "))?;
    Some(line[begin..].to_string())
}

fn section(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

impl Exchange {
    fn run(&self, stage: &Stage) -> Result<String> {
        let lines = &stage.host.child.lines;
        let from = lines.count();
        let (waiting, received) = (lines.clone(), Received::default());
        let awaited = received.clone();
        stage.upstream.behave(Behaviour {
            steps: self
                .upstream
                .clone()
                .unwrap_or_else(|| vec![Step::Text("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".into())]),
            wait: Some(Arc::new(move |action| match action {
                Action::Await(text) => wait(&waiting, from, text),
                Action::AwaitClient(text) => awaited.wait_for(&bytes(text), PATIENCE),
                _ => true,
            })),
        });
        let reply = self.send(stage, from, &received)?;
        if !self.until.is_empty() && !wait(lines, from, &self.until) {
            bail!("the filter never logged `{}`; the client got {reply:?}", self.until);
        }
        let requests = stage.upstream.requests(PATIENCE);
        let mut in_start = false;
        let filter: Vec<String> = lines
            .since(from)
            .iter()
            .filter_map(|line| logged(line))
            .filter(|line| {
                // The plugin's start, which comes with the first request on hosts that know of no start.
                in_start = line.starts_with("@root") || (in_start && !line.starts_with("@cb"));
                !in_start
            })
            .collect();
        Ok(format!(
            "filter\n{}upstream\n{}client\n{}",
            section(&filter),
            requests.iter().map(of_request).collect::<String>(),
            of_reply(&reply)
        ))
    }

    fn send(&self, stage: &Stage, from: usize, received: &Received) -> Result<Reply> {
        let steps = self.steps();
        let lines = &stage.host.child.lines;
        let write = |stream: &mut TcpStream, finished: &AtomicBool| {
            for step in &steps {
                match step {
                    Step::Text(text) => stream.write_all(&bytes(text))?,
                    Step::Other(Action::Fill(byte, count)) => stream.write_all(&vec![*byte; *count])?,
                    Step::Other(Action::Await(text)) => {
                        let mut from = from;
                        while !finished.load(Ordering::SeqCst)
                            && lines.next(&mut from, Duration::from_millis(50), &contains(text)).is_none()
                        {
                        }
                    }
                    Step::Other(Action::AwaitUpstream(_)) => {
                        stage.upstream.wait_for_head(PATIENCE);
                    }
                    Step::Other(Action::Close(_)) => return stream.shutdown(std::net::Shutdown::Both),
                    Step::Other(_) => {}
                }
            }
            Ok(())
        };
        Ok(client::exchange(stage.host.address, PATIENCE, self.method == "HEAD", received, write)?)
    }

    fn steps(&self) -> Vec<Step> {
        let script = match self.script.is_empty() {
            true => String::new(),
            false => format!("x-script: {}\r\n", self.script.encode()),
        };
        if let Some(raw) = &self.raw {
            let place = |step: &Step| match step {
                Step::Text(text) => Step::Text(text.replace("<script>", &script)),
                other => other.clone(),
            };
            return raw.iter().map(place).collect();
        }
        let mut head = format!("{} {} HTTP/1.1\r\nhost: example.test\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.chunked {
            head.push_str("transfer-encoding: chunked\r\n");
        } else if !self.body.is_empty() {
            let length: usize = self.body.iter().map(length).sum();
            head.push_str(&format!("content-length: {length}\r\n"));
        }
        head.push_str(&script);
        head.push_str("\r\n");
        let mut steps = vec![Step::Text(head)];
        steps.extend(self.body.iter().map(|step| if self.chunked { chunk(step) } else { step.clone() }));
        if self.chunked {
            let trailers: String = self.trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            steps.push(Step::Text(format!("0\r\n{trailers}\r\n")));
        }
        merge(steps)
    }
}

/// Texts that follow each other go out in one write.
fn merge(steps: Vec<Step>) -> Vec<Step> {
    let mut merged: Vec<Step> = Vec::new();
    for step in steps {
        match (merged.last_mut(), step) {
            (Some(Step::Text(text)), Step::Text(more)) => text.push_str(&more),
            (_, step) => merged.push(step),
        }
    }
    merged
}

fn length(step: &Step) -> usize {
    match step {
        Step::Text(text) => bytes(text).len(),
        Step::Other(Action::Fill(_, count)) => *count,
        Step::Other(_) => 0,
    }
}

fn chunk(step: &Step) -> Step {
    match step {
        Step::Text(text) => Step::Text(format!("{:x}\r\n{text}\r\n", length(step))),
        other => other.clone(),
    }
}

fn contains(text: &str) -> impl Fn(&str) -> Option<()> {
    let text = text.to_string();
    move |line| line.contains(&text).then_some(())
}

fn wait(lines: &Lines, mut from: usize, text: &str) -> bool {
    lines.next(&mut from, PATIENCE, &contains(text)).is_some()
}

fn of_request(request: &Request) -> String {
    let mut text = format!("  {}\n{}", shown(&request.head.start), of_headers(&request.head.headers));
    if !request.body.bytes.is_empty() || request.head.get("transfer-encoding").is_some() {
        text.push_str(&format!("  body \"{}\"\n", shown(&request.body.bytes)));
    }
    text.push_str(&of_trailers(&request.body.trailers));
    if request.body.cut {
        text.push_str("  cut off\n");
    }
    text
}

fn of_reply(reply: &Reply) -> String {
    let mut text = String::new();
    if let Some(head) = &reply.head {
        text.push_str(&format!("  {}\n{}", shown(head.status()), of_headers(&head.headers)));
        text.push_str(&format!("  body \"{}\"\n", shown(&reply.body)));
        text.push_str(&of_trailers(&reply.trailers));
    }
    if let Some(end) = reply.end {
        text.push_str(&format!("  {end}\n"));
    }
    text
}

/// By name: only the order of headers of one name means anything.
fn of_headers(headers: &[(Vec<u8>, Vec<u8>)]) -> String {
    let mut headers: Vec<_> = headers.iter().filter(|(name, _)| normal::is_compared(name)).collect();
    headers.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    let line =
        |(name, value): &&(Vec<u8>, Vec<u8>)| format!("  {}: {}\n", shown(&name.to_ascii_lowercase()), shown(value));
    headers.iter().map(line).collect()
}

fn of_trailers(trailers: &[(Vec<u8>, Vec<u8>)]) -> String {
    trailers.iter().map(|(name, value)| format!("  trailer {}: {}\n", shown(name), shown(value))).collect()
}
