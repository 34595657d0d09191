//! gRPC callouts to a server made with tonic (`tests/fixtures/grpc-server`): the same on Envoy and on `serve`.
//!
//! What the probe sees of frames that no such server sends stands in `tests/conformance/proxy_grpc_*`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Arguments;
use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_abi::settings::{Cluster, Origin};
use proxy_wasm_adapter_peers::lines::difference;
use proxy_wasm_adapter_tests::hosts::{Chain, Child, Host};
use proxy_wasm_adapter_tests::message::shown;
use proxy_wasm_adapter_tests::script::Script;
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::{client, fixtures, probe, settings};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A case: what the probe does, and what it must see among all else that it sees.
struct Case {
    name: &'static str,
    /// By what the cluster is named: its name, or a `GrpcService` of this name that the crate `envoy-types` made.
    service: Service,
    /// What the stream's head has.
    metadata: &'static str,
    /// What is sent at once; the `type_url` of each message.
    sent: &'static [&'static str],
    /// Whether the requests end with the last one.
    ends: bool,
    /// What else is done, in other callbacks.
    then: &'static str,
    seen: &'static [&'static str],
}

enum Service {
    Cluster,
    Made(&'static str),
}

const CASES: &[Case] = &[
    Case {
        name: "messages go both ways, and the trailers come",
        service: Service::Cluster,
        metadata: "[['x-caller', 'the probe']]",
        sent: &["a", "again", "b"],
        ends: true,
        then: "",
        seen: &[
            "[x-hello: the probe] [x-names: content-type te x-caller x-envoy-internal]",
            r#"grpc_receive(6, 6) of 6 0 "\x0a\x011"\x01a""#,
            r#"grpc_receive(6, 10) of 10 0 "\x0a\x012"\x05again""#,
            r#"grpc_receive(6, 6) of 6 0 "\x0a\x013"\x01b""#,
            r#"grpc_receive(6, 7) of 7 0 "\x0a\x05all 3""#,
            "[x-count: 3]",
            "grpc_close(6, 0)",
        ],
    },
    Case {
        name: "the last request goes when the response has begun",
        service: Service::Cluster,
        metadata: "[]",
        sent: &["a"],
        ends: false,
        then: "grpc_receive_initial_metadata = [['call', 'proxy_grpc_send', 6, \"\\\"\\u0003two\", 1]]",
        seen: &["\"\\x0a\\x011\"\\x01a\"", "\"\\x0a\\x012\"\\x03two\"", "\"\\x0a\\x05all 2\"", "grpc_close(6, 0)"],
    },
    Case {
        name: "a response is larger than a window",
        service: Service::Cluster,
        metadata: "[]",
        sent: &["large", "a"],
        ends: true,
        then: "",
        seen: &["grpc_receive(6, 307212) of 307212", "\"\\x0a\\x05all 2\"", "grpc_close(6, 0)"],
    },
    Case {
        name: "the server ends the stream while it is open",
        service: Service::Cluster,
        metadata: "[]",
        sent: &["a", "refuse"],
        ends: false,
        then: "",
        seen: &["[x-count: 2] [grpc-status: 9] [grpc-message: as%20it%20was%20asked%20to]", "grpc_close(6, 9)"],
    },
    Case {
        name: "the filter closes the stream while it is open",
        service: Service::Cluster,
        metadata: "[]",
        sent: &["a"],
        ends: false,
        then: "grpc_receive = [['call', 'proxy_grpc_close', 6], ['context', 2], ['continue', 0]]",
        seen: &["\"\\x0a\\x011\"\\x01a\"", "proxy_grpc_close 6 -> 0"],
    },
    Case {
        name: "the filter cancels the stream while it is open",
        service: Service::Cluster,
        metadata: "[]",
        sent: &["a"],
        ends: false,
        then: "grpc_receive = [['call', 'proxy_grpc_cancel', 6], ['context', 2], ['continue', 0]]",
        seen: &["\"\\x0a\\x011\"\\x01a\"", "proxy_grpc_cancel 6 -> 0"],
    },
    made("plain", &["[x-names: content-type te x-envoy-internal]", "grpc_close(6, 0)"]),
    made("authority", &["grpc_close(6, 0)"]),
    made("skip-headers", &["[x-names: content-type te]", "grpc_close(6, 0)"]),
    made(
        "everything",
        &["[x-hello: envoy-types] [x-names: content-type te x-caller x-envoy-internal x-more]", "grpc_close(6, 0)"],
    ),
    made("unknown", &[]),
];

const fn made(name: &'static str, seen: &'static [&'static str]) -> Case {
    Case { name, service: Service::Made(name), metadata: "[]", sent: &["a"], ends: true, then: "", seen }
}

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let trials = CASES.iter().map(|case| {
        let name = match case.service {
            Service::Cluster => case.name.to_owned(),
            Service::Made(_) => format!("a service by the message `{}` of envoy-types", case.name),
        };
        trial(name, || run(case))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit()
}

fn run(case: &Case) -> Result<()> {
    let script = case.script()?;
    let expected = on(Host::Envoy, case, &script).context("on Envoy")?;
    for seen in case.seen {
        ensure!(expected.contains(seen), "`{seen}` is not among what the filter sees on Envoy:\n{expected}");
    }
    let actual = on(Host::Serve, case, &script).context("on serve")?;
    match difference(&expected, &actual) {
        Some(difference) => bail!("it is not the same on Envoy and on serve:\n{difference}"),
        None => Ok(()),
    }
}

/// What the filter sees and does on this host.
fn on(host: Host, case: &Case, script: &Script) -> Result<String> {
    let (_server, address) = server()?;
    let mut settings = settings::direct();
    // Envoy speaks HTTP/2 to clusters that are called so.
    let origin = Origin { tls: false, authority: address.to_string() };
    settings.clusters = vec![Cluster { name: "grpc".into(), origin }].into();
    let then = if case.then.contains("grpc_receive =") {
        case.then.to_owned()
    } else {
        format!("{}\ngrpc_close = [['context', 2], ['continue', 0]]", case.then)
    };
    settings.plugins[0].configuration = toml::from_str::<Script>(&then)?.encode().into_bytes();
    let running =
        host.start(&Chain::one(probe::probe(AbiVersion::V0_2_1, probe::ForeignFunctions::Unnamed)?, settings))?;
    let lines = &running.child.lines;
    let request = format!("GET / HTTP/1.1\r\nhost: example.test\r\nx-script: {}\r\n\r\n", script.encode());
    let reply = client::send(running.address, request.as_bytes(), PATIENCE)?;
    let status = reply.head.as_ref().map(|head| String::from_utf8_lossy(head.status()).into_owned());
    ensure!(status.as_deref() == Some("200"), "the answer is {status:?}; the host wrote:\n{lines}");
    ensure!(lines.wait(0, PATIENCE, |line| line.contains("@cb test: delete")), "the exchange does not end:\n{lines}");
    let mut text = String::new();
    for line in lines.since(0) {
        // Without the plugin's name.
        let Some(seen) = line.find('@').map(|at| line[at..].replacen(" test: ", " ", 1)) else { continue };
        if seen.starts_with("@root") || seen.starts_with("@cb request_headers") {
            continue;
        }
        if seen.starts_with("@cb delete") {
            // What the server says to a filter that has gone on comes at any time.
            break;
        }
        // Both add the times of day and of the call, the latter only where the requests ended before.
        let head = seen.strip_prefix("@cb grpc_receive_initial_metadata(6, ").and_then(|rest| rest.split_once(')'));
        match head {
            Some((_, head)) => {
                let fields = head.split_once(" [date: ").map_or(head, |(before, _)| before);
                writeln!(text, "@cb grpc_receive_initial_metadata{fields}")?;
            }
            None => writeln!(text, "{seen}")?,
        }
    }
    Ok(text)
}

impl Case {
    fn script(&self) -> Result<Script> {
        const METHOD: &str = "'envoy.service.discovery.v3.AggregatedDiscoveryService', 'StreamAggregatedResources'";
        let service = match self.service {
            Service::Cluster => b"grpc".to_vec(),
            Service::Made(name) => {
                services()?.iter().find(|it| it.0 == name).context("there is such a message")?.1.clone()
            }
        };
        let mut operations = format!(
            "['call', 'proxy_grpc_stream', {}, {METHOD}, {{map = {}}}, {{out = 'word'}}]",
            text(&service),
            self.metadata
        );
        for (place, url) in self.sent.iter().enumerate() {
            let last = u8::from(self.ends && place + 1 == self.sent.len());
            let message = [b"\"", &[u8::try_from(url.len())?] as &[u8], url.as_bytes()].concat();
            write!(operations, ", ['call', 'proxy_grpc_send', 6, {}, {last}]", text(&message))?;
        }
        // Who is waited for comes, unless the stream does not even begin.
        let pause = if self.seen.is_empty() { 0 } else { 1 };
        Ok(toml::from_str(&format!("request_headers = [{operations}, ['return', {pause}]]"))?)
    }
}

/// Bytes as TOML has them in a case.
fn text(bytes: &[u8]) -> String {
    let characters: String = bytes.iter().map(|byte| format!("\\u{byte:04x}")).collect();
    format!("\"{characters}\"")
}

/// The server, which ends with the child.
fn server() -> Result<(Child, SocketAddr)> {
    let mut child = Child::start(&mut Command::new(built()?))?;
    let address = child.wait_for("address", |line| line.strip_prefix("listening on http://")?.parse().ok())?;
    Ok((child, address))
}

/// The messages that name a service, serialized.
fn services() -> Result<Vec<(String, Vec<u8>)>> {
    let output = Command::new(built()?).arg("services").output().context("runs the server")?;
    let lines = String::from_utf8(output.stdout)?;
    let pairs = lines.lines().map(|line| {
        let (name, digits) = line.split_once(' ').context("a name and a message")?;
        let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
        Ok((name.to_owned(), bytes.with_context(|| shown(digits.as_bytes()))?))
    });
    pairs.collect()
}

/// The server, built.
fn built() -> Result<PathBuf> {
    static BUILT: LazyLock<Result<PathBuf, String>> =
        LazyLock::new(|| fixtures::grpc_program("grpc-server").map_err(|error| format!("{error:#}")));
    BUILT.clone().map_err(anyhow::Error::msg)
}
