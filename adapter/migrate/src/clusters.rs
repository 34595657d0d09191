//! Clusters: the address that each stands for.

use std::collections::HashMap;

use crate::any;
use crate::fields::Message;
use crate::node::{Node, Place};
use crate::read::Reader;
use crate::report::Report;

/// A cluster with an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
}

impl Cluster {
    pub(crate) fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port)
    }
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Cluster(Cluster),
    /// It is in the input, but has no address that can be carried; the report says why.
    Without {
        name: String,
    },
}

impl Known {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Cluster(Cluster { name, .. }) | Self::Without { name } => name,
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

fn read(report: &Report, node: &Node) -> Known {
    node.of(Message::Cluster);
    let name = node.get("name").and_then(Node::as_text).unwrap_or_default().to_owned();
    let object = format!("cluster `{name}`");
    let reader = Reader { report, object: &object };
    node.pass(&["alt_stat_name", "lb_policy", "connect_timeout", "dns_lookup_family"]);
    let kinds = ["STATIC", "STRICT_DNS", "LOGICAL_DNS", "EDS", "ORIGINAL_DST"];
    let kind = reader.choice(node, "type", &kinds).unwrap_or(0);
    let is_tls = tls(reader, node);
    http2(reader, node);
    let mut addresses = Vec::new();
    if let Some(assignment) = node.get("load_assignment") {
        assignment.of(Message::ClusterLoadAssignment).pass(&["cluster_name"]);
        for locality in reader.list(assignment, "endpoints") {
            locality.of(Message::LocalityLbEndpoints);
            for endpoint in reader.list(locality, "lb_endpoints") {
                let address = endpoint
                    .of(Message::LbEndpoint)
                    .get("endpoint")
                    .and_then(|endpoint| endpoint.of(Message::Endpoint).get("address"));
                addresses.extend(address.map(|address| (address.place(), socket(reader, address))));
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
        addresses.push((address.place(), socket(reader, address)));
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
    let more = addresses.len().saturating_sub(1);
    let Some((place, Some((host, port)))) = addresses.into_iter().next() else {
        return without("it has no address with a host and a port".into(), remedy);
    };
    if more > 0 {
        let what =
            format!("the first of its {} endpoints is carried; there is no balancing, and no failover", more + 1);
        report.lost(&object, place, what, "Put a balancer in front of them, and name that as the `url`.");
    }
    report.carried(&object, node.place(), format!("a cluster at {host}:{port}"));
    Known::Cluster(Cluster { name, place: node.place(), host, port, is_tls })
}

/// Host and port of an address.
pub(crate) fn socket(reader: Reader<'_>, address: &Node) -> Option<(String, u16)> {
    let socket = address.of(Message::Address).get("socket_address")?.of(Message::SocketAddress);
    socket.pass(&["protocol", "ipv4_compat"]);
    let host = reader.text(socket, "address")?;
    let port = reader.number(socket, "port_value").unwrap_or(0);
    let port = u16::try_from(port).ok()?;
    (!host.is_empty()).then_some((host, port))
}

fn tls(reader: Reader<'_>, node: &Node) -> bool {
    if let Some(context) = node.get("tls_context") {
        context.mark_all();
        let what = "`tls_context` is of Envoy's API v2, which Envoy 1.40 refuses; it was read as TLS";
        reader.report.differs(reader.object, context.place(), what, "Write it as `transport_socket`.");
        return true;
    }
    let Some(socket) = node.get("transport_socket") else { return false };
    socket.mark_all();
    let typed = socket.peek("typed_config").and_then(any::content);
    match typed {
        Some((name, content)) if name.ends_with(".UpstreamTlsContext") => {
            content.mark_all();
            let what = "TLS is the host's: it checks the name in the URL against its own authorities, whatever `sni`, certificates and validation say here";
            reader.report.differs(
                reader.object,
                socket.place(),
                what,
                "Give the host the authority's certificate, and the cluster a name that the certificate has.",
            );
            true
        }
        Some((name, _)) if name.ends_with(".RawBuffer") => false,
        _ => {
            reader.report.lost(
                reader.object,
                socket.place(),
                "its transport socket is no plain TLS",
                "See that the host reaches it otherwise.",
            );
            false
        }
    }
}

fn http2(reader: Reader<'_>, node: &Node) {
    let options = node.peek("http2_protocol_options").or_else(|| node.peek("typed_extension_protocol_options"));
    if let Some(options) = options {
        node.pass(&["http2_protocol_options", "typed_extension_protocol_options"]);
        let what = "which version of HTTP it is spoken to with, and that version's options, are the host's to say";
        reader.report.differs(
            reader.object,
            options.place(),
            what,
            "For a gRPC server without TLS: `serve --upstream-h2c`.",
        );
    }
}
