//! One request and its response: sending, waiting, and what came of it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Deserialize;

use super::{ClusterServer, Stage, transcript};
use crate::client::{self, Received, Reply, Then, Told};
use crate::hosts::{Host, Lines, wasi03};
use crate::http2::client::Request as Http2Request;
use crate::message::{self, Action, Awaited, Step, bytes, framed};
use crate::script::Script;
use crate::tcp;
use crate::upstream::{Behaviour, Waits};

/// How long a step of an exchange may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the probe has room for.
const MOST_SCRIPT: usize = 16_384;

/// One request and its response.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    #[serde(default)]
    http: Http,
    #[serde(default)]
    wire: bool,
    pseudo: Option<Vec<(String, String)>>,
    window: Option<u32>,
    #[serde(default = "message::get")]
    method: String,
    #[serde(default = "message::root")]
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
    #[serde(default)]
    upstream_then: Vec<Vec<Step>>,
    until: Option<String>,
    until_here: Option<String>,
    until_stock: Option<String>,
    #[serde(default)]
    script: Script,
    #[serde(default)]
    scripts: BTreeMap<String, Script>,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Http {
    #[default]
    #[serde(rename = "1.1")]
    One,
    #[serde(rename = "2")]
    Two,
}

impl Exchange {
    /// Whether a script of it makes this host call.
    pub(super) fn calls(&self, host_call: &str) -> bool {
        self.script.calls(host_call) || self.scripts.values().any(|script| script.calls(host_call))
    }

    /// Whether the client speaks HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.http == Http::Two
    }

    /// Does it; what came of it.
    pub(super) fn run(&self, stage: &Stage) -> Result<String> {
        let lines = &stage.host.child.lines;
        let from = lines.count();
        let (waiting, received) = (lines.clone(), Received::default());
        let awaited = received.clone();
        let waits: Waits = Arc::new(move |action| match action {
            Action::Await(text) => wait(&waiting, from, text),
            Action::AwaitClient(text) => awaited.wait_for(&bytes(text), PATIENCE),
            _ => true,
        });
        for cluster in &stage.clusters {
            cluster.server.behave(Behaviour { steps: cluster.answer.clone(), wait: Some(waits.clone()) });
            if let Some((server, steps)) = &cluster.grpc {
                server.behave(steps.clone(), waits.clone());
            }
        }
        let steps = self.upstream.clone().unwrap_or_else(message::ok);
        stage.upstream.behave(Behaviour { steps, wait: Some(waits) });
        stage.upstream.behave_then(self.upstream_then.clone());
        let differs = match stage.kind {
            Host::Envoy => None,
            // They are told of clients that leave.
            Host::Serve | Host::ServeByWasiHttp | Host::Serve03 | Host::Embed => self.until_here.as_ref(),
            _ => self.until_stock.as_ref().or(self.until_here.as_ref()),
        };
        let until = differs.or(self.until.as_ref()).unwrap_or(&stage.last_line);
        let mut ended = until.is_empty();
        // A client that leaves first would make a race of what the filter sees.
        let mut count = None;
        let stay = || {
            ended = ended || wait(lines, from, until);
            count = Some(lines.count());
        };
        let reply = self.send(stage, from, &received, stay)?;
        if !ended && !wait(lines, from, until) {
            bail!("the filter never logged `{until}`; the client got {reply:?}");
        }
        let of_cluster = |cluster: &ClusterServer| {
            let requests = match &cluster.grpc {
                Some((server, _)) => server.requests(PATIENCE),
                None => cluster.server.requests(PATIENCE),
            };
            (format!("cluster {}", cluster.name), requests)
        };
        let mut servers = vec![("upstream".to_string(), stage.upstream.requests(PATIENCE))];
        servers.extend(stage.clusters.iter().map(of_cluster));
        let mut lines_of_it = lines.since(from);
        if reply.then == Some(Then::GoesOn) {
            // What the filter saw of the request that asked whether it does.
            let count = count.unwrap_or(from);
            wait(lines, count, &stage.last_line);
            lines_of_it.truncate(count - from);
            servers.iter_mut().for_each(|(_, requests)| requests.retain(|request| !request.asks_on()));
        }
        Ok(transcript::exchange(&lines_of_it, &servers, &reply, self.wire))
    }

    fn send(&self, stage: &Stage, from: usize, received: &Received, stay: impl FnOnce()) -> Result<Reply> {
        let lines = &stage.host.child.lines;
        let wait = |action: &Action, finished: &AtomicBool| match action {
            Action::Await(text) => {
                let moment = Duration::from_millis(50);
                while !finished.load(Ordering::SeqCst) && !lines.wait(from, moment, |line| line.contains(text)) {}
            }
            Action::AwaitUpstream(Awaited::Head(_)) => {
                stage.upstream.wait_for_head(PATIENCE);
            }
            Action::AwaitUpstream(Awaited::Text(text)) => {
                stage.upstream.wait_for_text(&bytes(text), PATIENCE);
            }
            Action::AwaitClient(text) => {
                received.wait_for(&bytes(text), PATIENCE);
            }
            action => panic!("{action:?} is nothing that this client does"),
        };
        // Longer than the waits of what is sent, which may be in vain on some hosts.
        let patience = 3 * PATIENCE;
        if self.is_http2() {
            let request = self.http2();
            return Ok(request.exchange(stage.host.address, patience, received, wait, stay)?.into());
        }
        let mut steps = self.steps();
        if stage.kind.hides_authority() {
            carry_authority(&mut steps);
        }
        let write = |stream: &mut TcpStream, finished: &AtomicBool| {
            for step in &steps {
                match step {
                    Step::Text(text) => stream.write_all(&bytes(text))?,
                    Step::Other(Action::Fill(byte, count)) => stream.write_all(&vec![*byte; *count])?,
                    Step::Other(Action::Message(text)) => stream.write_all(&framed(text))?,
                    Step::Other(Action::Close(_)) => return stream.shutdown(Shutdown::Both),
                    Step::Other(Action::Reset(_)) => return reset(stream),
                    Step::Other(action) => wait(action, finished),
                }
            }
            Ok(())
        };
        let told = Told { to_head: self.method == "HEAD", looks_on: self.wire };
        Ok(client::exchange(stage.host.address, patience, told, received, write, stay)?)
    }

    /// The lines that tell the filter what to do.
    fn script_headers(&self) -> Vec<(String, String)> {
        let header = |name: String, script: &Script| match script.encode() {
            script if script.is_empty() => None,
            script if script.len() > MOST_SCRIPT => panic!("the script is longer than the probe has room for"),
            script => Some((name, script)),
        };
        let of_chain = self.scripts.iter().map(|(plugin, script)| header(format!("x-script-{plugin}"), script));
        [header("x-script".into(), &self.script)].into_iter().chain(of_chain).flatten().collect()
    }

    fn http2(&self) -> Http2Request {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        // In the order in which Envoy shows those that it makes of HTTP/1.1: hosts of components know no other.
        let usual =
            [(":authority", "example.test"), (":path", &self.path), (":method", &self.method), (":scheme", "http")];
        let usual = || usual.map(pair).into();
        let mut head: Vec<(String, String)> = self.pseudo.clone().unwrap_or_else(usual);
        head.extend(self.headers.iter().cloned().chain(self.script_headers()));
        let mut steps = self.body.clone();
        if !self.trailers.is_empty() {
            steps.push(Step::Other(Action::Trailers(self.trailers.clone())));
        }
        Http2Request { head: message::fields(&head), steps, window: self.window }
    }

    fn steps(&self) -> Vec<Step> {
        let line = |(name, script): &(String, String)| format!("{name}: {script}\r\n");
        let script: String = self.script_headers().iter().map(line).collect();
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
        if !self.chunked {
            steps.extend(self.body.iter().cloned());
        } else {
            steps.extend(self.body.iter().flat_map(chunk));
            let trailers: String = self.trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            steps.push(Step::Text(format!("0\r\n{trailers}\r\n")));
        }
        merge(steps)
    }
}

/// Repeats the host in the header from which components for WASI 0.3 take it.
fn carry_authority(steps: &mut [Step]) {
    let Some(Step::Text(text)) = steps.first_mut() else { return };
    // What stands in the target is told.
    if text.split(' ').nth(1).is_some_and(|target| target.contains("://")) {
        return;
    }
    let head = text.find("\r\n\r\n").map_or(text.len(), |end| end + 2);
    let mut end_of_line = None;
    let mut at = 0;
    for line in text[..head].split_inclusive("\r\n") {
        at += line.len();
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("host")
            && line.ends_with("\r\n")
        {
            end_of_line = Some((at, format!("{}:{value}", wasi03::AUTHORITY_HEADER)));
            break;
        }
    }
    if let Some((at, line)) = end_of_line {
        text.insert_str(at, &line);
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
        Step::Other(Action::Message(text)) => framed(text).len(),
        Step::Other(_) => 0,
    }
}

/// A piece of the body as a chunk.
fn chunk(step: &Step) -> Vec<Step> {
    match length(step) {
        0 => vec![step.clone()],
        size => vec![Step::Text(format!("{size:x}\r\n")), step.clone(), Step::Text("\r\n".into())],
    }
}

/// Ends the connection with a reset.
fn reset(stream: &TcpStream) -> io::Result<()> {
    tcp::reset(stream)?;
    stream.shutdown(Shutdown::Read)
}

fn wait(lines: &Lines, from: usize, text: &str) -> bool {
    lines.wait(from, PATIENCE, |line| line.contains(text))
}
