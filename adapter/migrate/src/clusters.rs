//! Clusters: the address that each stands for.

use std::collections::HashMap;

use toml::Value as Toml;

use crate::any;
use crate::fields::Message;
use crate::metadata;
use crate::node::{Node, Place};
use crate::read::Reader;
use crate::report::Report;
use crate::section::{Section, table};
use crate::tls::tls;

/// A cluster with an address.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
    /// What the first one is called, if that is said.
    pub(crate) hostname: Option<String>,
    /// The name that it has to prove over TLS, if that is said.
    pub(crate) sni: Option<String>,
    /// Its further endpoints.
    pub(crate) further: Vec<Endpoint>,
    /// The first one's.
    pub(crate) weight: i64,
    pub(crate) is_random: bool,
    pub(crate) is_http2: bool,
    /// The keys of its section that say what it is, and not where.
    pub(crate) more: Vec<(String, Toml)>,
}

/// A place where a cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) weight: i64,
    pub(crate) hostname: Option<String>,
}

impl Cluster {
    fn url_of(&self, host: &str, port: u16) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{scheme}://{host}:{port}")
    }

    /// Where it is: of several endpoints, the first.
    pub(crate) fn url(&self) -> String {
        self.url_of(&self.host, self.port)
    }

    /// Where it is, each place once.
    pub(crate) fn urls(&self) -> Vec<String> {
        let further = self.further.iter().map(|endpoint| self.url_of(&endpoint.host, endpoint.port));
        [self.url()].into_iter().chain(further).collect()
    }

    /// The options of `serve` by which each of its places proves another name than that in its URL.
    pub(crate) fn serve_options(&self) -> Vec<String> {
        let Some(sni) = self.sni.as_deref().filter(|_| self.is_tls) else { return Vec::new() };
        let further = self.further.iter().map(|endpoint| (&endpoint.host, endpoint.port));
        let places = [(&self.host, self.port)].into_iter().chain(further).filter(|(host, _)| host.as_str() != sni);
        let option = |(host, port): (&String, u16)| {
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_ascii_lowercase() };
            ["--upstream-sni".to_owned(), format!("{host}:{port}={sni}")]
        };
        places.flat_map(option).collect()
    }

    /// The keys of its section.
    pub(crate) fn write(&self, section: &mut Section) {
        section.keys.extend(self.more.iter().cloned());
        if self.is_http2 {
            section.set("http2", true);
        }
        if self.further.is_empty() && self.hostname.is_none() {
            section.set("url", self.url());
            return;
        }
        let further = self.further.iter().map(|endpoint| (endpoint.weight, &endpoint.hostname));
        let more = [(self.weight, &self.hostname)].into_iter().chain(further);
        let endpoint = |(url, (weight, hostname)): (String, (i64, &Option<String>))| match (weight, hostname) {
            (1, None) => Toml::from(url),
            _ => table([
                ("url", Some(url.into())),
                ("weight", (weight != 1).then(|| weight.into())),
                ("hostname", hostname.clone().map(Toml::from)),
            ]),
        };
        section.set("endpoints", self.urls().into_iter().zip(more).map(endpoint).collect::<Vec<_>>());
        if self.is_random {
            section.set("lb_policy", "random");
        }
    }
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Known {
    Cluster(Cluster),
    /// It is in the input, but has no address that can be carried; the report says why.
    Without {
        name: String,
    },
    /// It has no endpoint, for Envoy neither.
    Empty {
        name: String,
    },
}

impl Known {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Cluster(Cluster { name, .. }) | Self::Without { name } | Self::Empty { name } => name,
        }
    }
}

/// All clusters, each name once: a dump has the static ones twice.
pub(crate) fn read_all(report: &Report, nodes: &[&Node]) -> Vec<Known> {
    let mut all: Vec<(&Node, Known)> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for &node in nodes {
        let known = read(report, node);
        match by_name.get(known.name()).and_then(|index| all.get(*index)) {
            None => {
                by_name.insert(known.name().to_owned(), all.len());
                all.push((node, known));
            }
            Some((other, _)) if *other == node => {}
            Some(_) => report.wrong(
                &format!("cluster `{}`", known.name()),
                node.place(),
                "another cluster has the name, and says something else",
                "Take one out.",
            ),
        }
    }
    // A dump has them in an order that changes from start to start.
    all.sort_by(|(_, one), (_, other)| one.name().cmp(other.name()));
    all.into_iter().map(|(_, known)| known).collect()
}

/// How Envoy comes to a connection: here the host does.
fn connecting(reader: Reader<'_>, node: &Node) {
    let differs = |field: &str, what: &str, remedy: &str| {
        let place = node.get(field).map_or(node.place(), Node::place);
        reader.report.differs(reader.object, place, what, remedy);
    };
    if reader.duration(node, "connect_timeout").is_some_and(|timeout| timeout != ENVOYS_CONNECT_TIMEOUT_MS) {
        let what = "its `connect_timeout` is the host's: `serve` gives up after 5 s";
        differs("connect_timeout", what, "Where that is too long, let a proxy near the upstream refuse sooner.");
    }
    let families = ["AUTO", "V4_ONLY", "V6_ONLY", "V4_PREFERRED", "ALL"];
    if let Some(1 | 2) = reader.choice(node, "dns_lookup_family", &families) {
        let what = "its `dns_lookup_family` is the host's: names stand for addresses of both families";
        differs("dns_lookup_family", what, "Write an address of the family, or a name that has none of the other.");
    }
}

/// What Envoy takes where a cluster says nothing, and `serve` always.
const ENVOYS_CONNECT_TIMEOUT_MS: u64 = 5_000;

fn read(report: &Report, node: &Node) -> Known {
    node.of(Message::Cluster);
    let name = node.get("name").and_then(Node::as_text).unwrap_or_default().to_owned();
    let object = format!("cluster `{name}`");
    let reader = Reader { report, object: &object };
    node.pass(&["alt_stat_name"]);
    connecting(reader, node);
    let balancing = reader.choice(node, "lb_policy", BALANCINGS).unwrap_or(0);
    let kinds = ["STATIC", "STRICT_DNS", "LOGICAL_DNS", "EDS", "ORIGINAL_DST"];
    let kind = reader.choice(node, "type", &kinds).unwrap_or(0);
    extension(reader, node);
    let tls = tls(reader, node);
    let (is_tls, sni) = (tls.is_some(), tls.and_then(|tls| tls.sni));
    let is_http2 = http2(reader, node);
    let mut addresses = Vec::new();
    if let Some(assignment) = node.get("load_assignment") {
        assignment.of(Message::ClusterLoadAssignment).pass(&["cluster_name"]);
        for locality in reader.list(assignment, "endpoints") {
            locality.of(Message::LocalityLbEndpoints);
            let is_spare = reader.number(locality, "priority").is_some_and(|priority| priority > 0);
            for endpoint in reader.list(locality, "lb_endpoints") {
                let weight = reader.number(endpoint.of(Message::LbEndpoint), "load_balancing_weight").unwrap_or(1);
                let address =
                    endpoint.get("endpoint").and_then(|endpoint| endpoint.of(Message::Endpoint).get("address"));
                let Some(address) = address else { continue };
                let found = endpoint_of(reader, address);
                let hostname = endpoint.get("endpoint").and_then(|endpoint| reader.text(endpoint, "hostname"));
                let hostname = hostname.filter(|name| !name.is_empty());
                if is_spare {
                    spare(reader, node, address);
                } else {
                    let endpoint = |(host, port)| Endpoint { host, port, weight: weight.max(1), hostname };
                    addresses.push((address.place(), found.map(endpoint)));
                }
            }
        }
    }
    for address in reader.list(node, "hosts") {
        report.differs(
            &object,
            address.place(),
            "`hosts` is of Envoy's API v2, which Envoy 1.40 refuses; it was read as an endpoint",
            "Write it as `load_assignment`.",
        );
        let endpoint = |(host, port)| Endpoint { host, port, weight: 1, hostname: None };
        addresses.push((address.place(), endpoint_of(reader, address).map(endpoint)));
    }
    let without = |what: String, remedy: &str| {
        report.lost(&object, node.place(), what, remedy);
        Known::Without { name: name.clone() }
    };
    let remedy = "Write its address into the settings file, as the `url` of this cluster.";
    if kind >= 3 {
        let kind = kinds.get(kind).copied().unwrap_or_default();
        return without(format!("a cluster of type {kind} has its addresses from elsewhere"), remedy);
    }
    if addresses.is_empty() && node.peek("cluster_type").is_none() {
        let what = "it has no endpoint: requests that go there are answered 503, as in Envoy";
        report.differs(&object, node.place(), what, "Give it one, if requests are to go there.");
        return Known::Empty { name };
    }
    let is_name = |(_, endpoint): &&(Place, Option<Endpoint>)| {
        endpoint.as_ref().is_some_and(|endpoint| endpoint.host.parse::<std::net::IpAddr>().is_err())
    };
    let is_static = kind == 0 && node.peek("cluster_type").is_none();
    if let Some((place, ..)) = addresses.iter().find(is_name).filter(|_| is_static) {
        let what =
            "its address is a name, and Envoy refuses that of a cluster of type STATIC; it was read as STRICT_DNS";
        report.differs(&object, *place, what, "Write `type: STRICT_DNS`.");
    }
    let count = addresses.len();
    let mut endpoints = addresses.into_iter().filter_map(|(_, endpoint)| endpoint);
    let Some(Endpoint { host, port, weight, hostname }) = endpoints.next() else {
        return without("it has no address with a host and a port".into(), remedy);
    };
    let further: Vec<_> = endpoints.collect();
    if further.len() + 1 < count {
        let what = "an endpoint without a host and a port is left out".to_owned();
        report.lost(&object, node.place(), what, "Give it a `socket_address`.");
    }
    let is_random = BALANCINGS.get(balancing) == Some(&"RANDOM");
    if !further.is_empty() && balancing > 0 && !is_random {
        let what = format!(
            "its endpoints are asked in turn, and not as `{}` says",
            BALANCINGS.get(balancing).copied().unwrap_or_default()
        );
        report.differs(&object, node.place(), what, "Put a balancer in front of them, if that matters.");
    }
    let places = if further.is_empty() { String::new() } else { format!(", and {} more", further.len()) };
    report.carried(&object, node.place(), format!("a cluster at {host}:{port}{places}"));
    let mut more = Section::new("", node.place());
    metadata::read(reader, node, &mut more);
    let (place, more) = (node.place(), more.keys);
    Known::Cluster(Cluster {
        name,
        place,
        host,
        port,
        hostname,
        is_tls,
        sni,
        further,
        weight,
        is_random,
        is_http2,
        more,
    })
}

/// An endpoint of a later priority. Envoy asks it where it knows that those before it are ill: where nothing tells it so, never,
/// by a retry neither (measured on Envoy 1.40).
fn spare(reader: Reader<'_>, cluster: &Node, address: &Node) {
    let knows = ["health_checks", "outlier_detection"].iter().any(|field| cluster.peek(field).is_some());
    if knows {
        let what = "an endpoint of a later priority is left out: a component does not know which are ill";
        let remedy = "Put a balancer in front of them, and name that.";
        reader.report.lost(reader.object, address.place(), what, remedy);
    } else {
        let what = "an endpoint of a later priority is left out: without health checks Envoy never asks it";
        reader.report.differs(reader.object, address.place(), what, "Give it the priority 0, if it is to be asked.");
    }
}

/// Envoy's ways to choose an endpoint.
const BALANCINGS: &[&str] = &[
    "ROUND_ROBIN",
    "LEAST_REQUEST",
    "RING_HASH",
    "RANDOM",
    "ORIGINAL_DST_LB",
    "MAGLEV",
    "CLUSTER_PROVIDED",
    "LOAD_BALANCING_POLICY_CONFIG",
];

/// A type that an extension has: that of names is as `STRICT_DNS`.
fn extension(reader: Reader<'_>, node: &Node) {
    let Some(extension) = node.get("cluster_type") else { return };
    let name = extension.peek_text("name").unwrap_or_default();
    extension.mark_all();
    if !matches!(name, "envoy.cluster.dns" | "envoy.clusters.dns" | "envoy.cluster.strict_dns" | "envoy.cluster.static")
    {
        let what = format!("a cluster of the type `{name}`, of which only its endpoints are read");
        let remedy = "See whether it has its addresses from elsewhere: then write them as the `url` of this cluster.";
        reader.report.lost(reader.object, extension.place(), what, remedy);
    }
}

/// Host and port of an endpoint, which has one.
fn endpoint_of(reader: Reader<'_>, address: &Node) -> Option<(String, u16)> {
    let found = socket(reader, address);
    if let Some((host, 0)) = &found {
        let what = format!("the endpoint `{host}` has no port, or 0: it is left out");
        reader.report.lost(reader.object, address.place(), what, "Say it as its `port_value`.");
    }
    found.filter(|(_, port)| *port != 0)
}

/// Host and port of an address.
pub(crate) fn socket(reader: Reader<'_>, address: &Node) -> Option<(String, u16)> {
    let socket = address.of(Message::Address).get("socket_address")?.of(Message::SocketAddress);
    socket.pass(&["protocol", "ipv4_compat"]);
    let host = reader.text(socket, "address")?;
    let port = reader.number(socket, "port_value").unwrap_or(0);
    let Ok(port) = u16::try_from(port) else {
        let remedy = "Write a number up to 65535; Envoy refuses anything else.";
        reader.report.wrong(reader.object, socket.place(), "its `port_value` is no port", remedy);
        return None;
    };
    (!host.is_empty()).then_some((host, port))
}

/// Whether it is spoken to with HTTP/2.
fn http2(reader: Reader<'_>, node: &Node) -> bool {
    let old = node.peek("http2_protocol_options").filter(|options| !options.is_null());
    let extensions = node.peek("typed_extension_protocol_options");
    let explicit = extensions.map(Node::entries).unwrap_or_default().iter().find_map(|entry| {
        let (name, content) = any::content(&entry.node)?;
        content.peek("explicit_http_config").filter(|_| name.ends_with(".HttpProtocolOptions"))
    });
    let is_http2 = old.is_some() || explicit.is_some_and(|explicit| explicit.peek("http2_protocol_options").is_some());
    if let Some(options) = old.or(extensions) {
        node.pass(&["http2_protocol_options", "typed_extension_protocol_options"]);
        let what = if is_http2 {
            "`serve` speaks HTTP/2 to it, without that version's options; most other hosts speak what they choose"
        } else {
            "which version of HTTP it is spoken to with, and that version's options, are the host's to say"
        };
        let remedy = if is_http2 { "See how the host is told to speak HTTP/2 to it." } else { "" };
        reader.report.differs(reader.object, options.place(), what, remedy);
    }
    is_http2
}
