//! What nobody read: it goes into the report, as a known field that is left behind, or as an unknown one.

use std::collections::HashSet;

use crate::fields::Message;
use crate::node::{Node, Place, is_field};
use crate::report::Report;

/// What is to be done about a field that is left behind, by its name; where its name says nothing, that is said.
const HINTS: &[(&str, &str)] = &[
    (
        "bootstrap_extensions",
        "A Wasm service that runs beside the requests is not carried; what it does in ticks, a filter can do.",
    ),
    ("access_log", "Give `serve` an access log: `--access-log FILE`, with `--access-log-format`."),
    ("admin", "Give `serve` an address for it: `--admin ADDRESS`."),
    ("circuit_breakers", "The host says how many requests it has at once; see whether it limits them for an upstream."),
    ("close_connections_on_host_health_failure", NO_HEALTH),
    ("common_http_protocol_options", "The host keeps the connections; see whether it has the like."),
    ("common_lb_config", BALANCER),
    ("cors", "Answer CORS in front of the component."),
    ("dns_refresh_rate", "The host resolves names, and says how often."),
    ("dns_resolvers", "The host resolves names; tell it, or the platform, whom to ask."),
    (
        "dynamic_resources",
        "What it brings is not in the file: give it too, or the `/config_dump` of the running Envoy, which has all.",
    ),
    ("typed_dns_resolver_config", "The host resolves names; tell it, or the platform, whom to ask."),
    ("respect_dns_ttl", "The host resolves names, and says how often."),
    ("hash_policy", BALANCER),
    ("health_checks", NO_HEALTH),
    ("http2_protocol_options", "The host speaks HTTP/2 with options of its own."),
    ("ignore_health_on_host_removal", NO_HEALTH),
    ("internal_only_headers", "Let what stands in front of the component take those headers out."),
    (
        "layered_runtime",
        "Each value with a runtime key counts as the file says it; flags of Envoy's have no meaning here.",
    ),
    ("lb_subset_config", BALANCER),
    ("least_request_lb_config", BALANCER),
    ("load_balancing_policy", BALANCER),
    ("load_balancing_weight", BALANCER),
    ("locality", BALANCER),
    ("http_protocol_options", "See whether the host has the like."),
    ("listener_filters", "The host accepts the connections; see whether it has the like."),
    ("metadata", "A filter that reads it finds nothing: `[properties]` of the settings file can give it values."),
    ("merge_slashes", NORMAL),
    ("node", "A filter that reads `xds.node` finds nothing: `[properties]` of the settings file can give it values."),
    ("normalize_path", NORMAL),
    ("outlier_detection", NO_HEALTH),
    ("path_with_escaped_slashes_action", NORMAL),
    ("per_connection_buffer_limit_bytes", "The host holds what it sends to an upstream in buffers of its own."),
    ("rate_limits", "Limit in front of the component."),
    ("request_mirror_policies", "Mirror in front of the component."),
    (
        "scheme_header_transformation",
        "A filter that reads `:scheme` sees the client's; let what ends TLS say it in `x-forwarded-proto`.",
    ),
    ("stats_config", "`serve --admin` has the filters' own metrics, under the names that they give them."),
    ("tracing", "Trace in front of the component."),
    ("transport_socket", "End TLS in front of `serve`, which takes requests in clear."),
    (
        "typed_per_filter_config",
        "It belongs to a filter that is not carried: see whether the host, or what stands in front of it, does the same.",
    ),
    ("upgrade_configs", "`wasi:http` has no upgrades."),
    ("xff_num_trusted_hops", "See `[property_headers]` for who tells the client's address."),
    (
        "use_remote_address",
        "By it Envoy adds the client's address to `x-forwarded-for`, which a component does not: let what stands in front of it do that.",
    ),
];

const NORMAL: &str = "A filter, and routes, see paths as clients write them: let what stands in front of the component normalize them, above all where they decide who may do what.";
const NO_HEALTH: &str = "Let the host, or the platform, check the upstream.";
const BALANCER: &str =
    "A component asks the endpoints of a cluster in turn; put a balancer in front of them, if that matters.";

/// Writes all that was not read of this document into the report.
pub(crate) fn report(report: &Report, document: &Node) {
    if document.is_used() || document.message().is_some() {
        within(report, document, "the file");
    }
}

fn within(report: &Report, node: &Node, object: &str) {
    let named = node.message().and_then(|message| named(message, node));
    let object = named.as_deref().unwrap_or(object);
    let mut seen = HashSet::new();
    for entry in node.entries() {
        if !seen.insert(entry.key.as_str()) {
            let what = format!("`{}` stands there more than once; the last counts, as in Envoy", entry.key);
            report.differs(object, entry.place, what, "Take the others out.");
        }
        if entry.node.is_used() || entry.node.message().is_some() {
            within(report, &entry.node, object);
        } else if entry.key != "@type" && !entry.node.is_null() {
            unread(report, node, object, &entry.key, entry.place);
        }
    }
    for item in node.items() {
        if item.is_used() || item.message().is_some() {
            within(report, item, object);
        } else {
            report.lost(object, item.place(), "it is not read", "See whether anything depends on it.");
        }
    }
}

/// What messages call the object of this message; nothing, where it is only a part of one.
fn named(message: Message, node: &Node) -> Option<String> {
    let word = match message {
        Message::HttpConnectionManager => return Some("the connection manager".into()),
        Message::Route if node.peek("name").is_none() => return Some("a route without a name".into()),
        Message::Filter => "network filter",
        Message::HttpFilter => "filter",
        Message::PluginConfig => "plugin",
        Message::Listener => "listener",
        Message::Cluster => "cluster",
        Message::Route => "route",
        Message::RouteConfiguration => "route configuration",
        Message::VirtualHost => "virtual host",
        _ => return None,
    };
    Some(format!("{word} `{}`", node.peek_text("name").unwrap_or_default()))
}

fn unread(report: &Report, node: &Node, object: &str, key: &str, place: Place) {
    let Some(message) = node.message() else {
        report.lost(object, place, format!("`{key}` is not read"), "See whether anything depends on it.");
        return;
    };
    if message.fields().iter().any(|field| is_field(key, field)) {
        let hint = HINTS.iter().find(|(field, _)| is_field(key, field)).map(|(_, hint)| *hint);
        let remedy = hint.unwrap_or("See whether anything depends on it: the component does without.");
        report.lost(object, place, format!("`{key}` is not carried"), remedy);
    } else {
        report.unknown(
            object,
            place,
            format!("`{key}` is no field of Envoy's {message:?}"),
            "Is it a slip? Envoy refuses it.",
        );
    }
}
