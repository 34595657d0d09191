//! `examples/*/expected.toml`, as `examples/README.md` describes it, and what is asserted of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proxy_wasm_abi::settings::{Cluster, GrpcTransport, Origin, Plugin as Told, Settings};
use serde::Deserialize;

use crate::client::{self, Reply};
use crate::hosts::{Chain, Child, Host, Lines};
use crate::message::{self, Step};
use crate::upstream::{Behaviour, Request, Upstream, Version};
use crate::{fixtures, log};

/// How long an answer or a log record may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An example.
#[derive(Clone, Debug)]
pub struct Example {
    /// Its directory's name.
    pub name: String,
    expected: Arc<Expected>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    #[serde(default)]
    plugin: PluginTable,
    #[serde(default)]
    start: Start,
    /// The programs behind the clusters that it calls, by gRPC.
    #[serde(default)]
    servers: BTreeMap<String, String>,
    route: RouteTable,
    exchange: Vec<Exchange>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PluginTable {
    name: Option<String>,
    root_id: String,
    vm_id: String,
    configuration: String,
    vm_configuration: String,
    environment: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    #[serde(default)]
    log: Vec<Record>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteTable {
    direct_response: Option<Answer>,
    upstream: Option<Answer>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    name: String,
    /// The servers that end before it.
    #[serde(default)]
    down: Vec<String>,
    request: RequestTable,
    upstream: Option<Reached>,
    response: Message,
    #[serde(default)]
    log: Vec<Record>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestTable {
    #[serde(default = "message::get")]
    method: String,
    #[serde(default = "message::root")]
    path: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Reached {
    #[serde(default = "yes")]
    reached: bool,
    #[serde(flatten)]
    message: Message,
}

#[derive(Debug, Deserialize)]
struct Message {
    status: Option<u16>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    absent: Vec<String>,
    body: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    level: String,
    text: String,
}

fn yes() -> bool {
    true
}

impl Example {
    /// All of them.
    ///
    /// # Errors
    /// One's `expected.toml` is malformed.
    pub fn all() -> Result<Vec<Self>> {
        let directory = fixtures::root().join("examples");
        let mut examples = Vec::new();
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path().join("expected.toml");
            if let Some(example) = Self::read(&path)? {
                examples.push(example);
            }
        }
        ensure!(!examples.is_empty(), "no examples in {}", directory.display());
        examples.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(examples)
    }

    fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let expected = toml::from_str(&std::fs::read_to_string(path)?);
        let expected = Arc::new(expected.with_context(|| format!("reads {}", path.display()))?);
        let name = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        Ok(Some(Self { name, expected }))
    }

    /// The filter, built if it is not there.
    ///
    /// # Errors
    /// It can't be built.
    pub fn filter(&self) -> Result<Vec<u8>> {
        static BUILDING: Mutex<()> = Mutex::new(());
        let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path();
        if !path.exists() {
            let script = fixtures::root().join("examples/build.sh");
            let output = Command::new(script).arg(&self.name).output().context("runs examples/build.sh")?;
            ensure!(output.status.success(), "examples/build.sh:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        std::fs::read(&path).with_context(|| format!("reads {}", path.display()))
    }

    fn path(&self) -> PathBuf {
        fixtures::root().join("target/examples").join(&self.name).with_extension("wasm")
    }

    /// The filter with its settings, in front of this upstream.
    ///
    /// # Errors
    /// The filter can't be built.
    pub fn chain(&self, upstream: &Upstream) -> Result<Chain> {
        let told = &self.expected.plugin;
        let mut settings = Settings {
            plugins: vec![Told {
                vm: 0,
                name: told.name.clone().unwrap_or_else(|| self.name.clone()),
                root_id: told.root_id.clone(),
                vm_id: told.vm_id.clone(),
                configuration: told.configuration.clone().into(),
                vm_configuration: told.vm_configuration.clone().into(),
                environment: told.environment.clone().into_iter().collect(),
                allow_on_headers_stop_iteration: false,
                allowed_capabilities: Vec::new(),
                log_level: 1,
            }],
            ..Settings::default()
        };
        match &self.expected.route.direct_response {
            Some(answer) => settings.set_direct_response(answer.status, answer.body.clone()),
            None => {
                let origin = Origin { tls: false, authority: upstream.address.to_string() };
                settings.set_upstream(origin, proxy_wasm_abi::limits::UPSTREAM_TIMEOUT_MS);
            }
        }
        Ok(Chain::one(self.filter()?, settings))
    }

    /// All its exchanges on this host.
    ///
    /// # Errors
    /// What was not as expected.
    pub fn run(&self, host: Host) -> Result<()> {
        let upstream = Upstream::start_named(&format!("{} {}", self.name, host.name()), Version::Http1)?;
        // The filter first: its server is built with it.
        let mut plugin = self.chain(&upstream)?;
        let mut servers = self.servers()?;
        plugin.settings.clusters.extend(servers.iter().map(|(name, server)| server.cluster(name)));
        if !matches!(host, Host::Envoy | Host::Serve | Host::ServeByWasiHttp) {
            // The others send HTTP/1.1.
            plugin.settings.upkeep.grpc_transport = GrpcTransport::GrpcWeb;
        }
        let running = host.start(&plugin)?;
        let lines = &running.child.lines;
        let result = self.exchanges(running.address, &upstream, &mut servers, lines);
        result.with_context(|| format!("the host wrote:\n{lines}"))
    }

    fn servers(&self) -> Result<BTreeMap<String, Server>> {
        self.expected.servers.iter().map(|(name, program)| Ok((name.clone(), Server::start(program)?))).collect()
    }

    fn exchanges(
        &self,
        address: SocketAddr,
        upstream: &Upstream,
        servers: &mut BTreeMap<String, Server>,
        lines: &Lines,
    ) -> Result<()> {
        let steps = self.expected.route.upstream.iter().map(|answer| Step::Text(answer.text())).collect();
        for exchange in &self.expected.exchange {
            servers.retain(|name, _| !exchange.down.contains(name));
            let from = lines.count();
            upstream.behave(Behaviour { steps: Clone::clone(&steps), wait: None });
            exchange.run(address, upstream, lines, from).with_context(|| exchange.name.clone())?;
        }
        for record in &self.expected.start.log {
            record.expect(lines, 0)?;
        }
        Ok(())
    }
}

/// The server behind a cluster; it ends when this is dropped.
struct Server {
    address: SocketAddr,
    _child: Child,
}

impl Server {
    fn start(program: &str) -> Result<Self> {
        let mut child = Child::start(&mut Command::new(fixtures::root().join("target/examples").join(program)))?;
        let address = child.wait_for("address", |line| line.strip_prefix("listening on http://")?.parse().ok())?;
        Ok(Self { address, _child: child })
    }

    fn cluster(&self, name: &str) -> Cluster {
        Cluster { name: name.into(), origin: Origin { tls: false, authority: self.address.to_string() } }
    }
}

impl Answer {
    fn text(&self) -> String {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = self.body.len();
        format!("HTTP/1.1 {} Answer\r\n{headers}content-length: {length}\r\n\r\n{}", self.status, self.body)
    }
}

impl Exchange {
    fn run(&self, address: SocketAddr, upstream: &Upstream, lines: &Lines, from: usize) -> Result<()> {
        let reply = client::send(address, self.request.text().as_bytes(), PATIENCE)?;
        self.response.expect_reply(&reply).context("the response")?;
        if let Some(expected) = &self.upstream {
            let requests = upstream.requests(PATIENCE);
            ensure!(
                requests.len() == usize::from(expected.reached),
                "{} requests came to the upstream",
                requests.len()
            );
            if let Some(request) = requests.first() {
                expected.message.expect_request(request, &self.request).context("the request to the upstream")?;
            }
        }
        self.log.iter().try_for_each(|record| record.expect(lines, from))
    }
}

impl RequestTable {
    fn text(&self) -> String {
        let mut text = format!("{} {} HTTP/1.1\r\nhost: example.test\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        } else {
            text.push_str("\r\n");
        }
        text
    }
}

impl Message {
    fn expect_reply(&self, reply: &Reply) -> Result<()> {
        let head = reply.head.as_ref().with_context(|| format!("no response: {:?}", reply.end))?;
        ensure!(reply.end.is_none(), "it is {:?}", reply.end);
        if let Some(status) = self.status {
            let actual = String::from_utf8_lossy(head.status());
            ensure!(actual == status.to_string(), "the status is {actual}, not {status}; {head:?}");
        }
        self.expect(&head.headers, &reply.body)
    }

    fn expect_request(&self, request: &Request, sent: &RequestTable) -> Result<()> {
        let start = String::from_utf8_lossy(&request.head.start);
        ensure!(start == format!("{} {} HTTP/1.1", sent.method, sent.path), "it begins with `{start}`");
        self.expect(&request.head.headers, &request.body.bytes)
    }

    fn expect(&self, headers: &[(Vec<u8>, Vec<u8>)], body: &[u8]) -> Result<()> {
        let find = |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
        for (name, value) in &self.headers {
            let (_, actual) = find(name).with_context(|| format!("no header `{name}`"))?;
            let actual = String::from_utf8_lossy(actual);
            ensure!(actual == *value, "`{name}` is `{actual}`, not `{value}`");
        }
        for name in &self.absent {
            ensure!(find(name).is_none(), "there is a header `{name}`");
        }
        if let Some(expected) = &self.body {
            let actual = String::from_utf8_lossy(body);
            ensure!(actual == *expected, "the body is {actual:?}, not {expected:?}");
        }
        Ok(())
    }
}

impl Record {
    fn expect(&self, lines: &Lines, from: usize) -> Result<()> {
        let found = lines.wait(from, PATIENCE, |line| log::is_record(line, &self.level, &self.text));
        ensure!(found, "no log record `[{}] {}`", self.level, self.text);
        Ok(())
    }
}
