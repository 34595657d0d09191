//! TLS to a cluster: what `serve` does of it, and what it does not.

use crate::any;
use crate::node::{Node, Value};
use crate::read::Reader;

/// How a cluster is spoken to over TLS.
pub(crate) struct Tls {
    /// The name that it is asked for.
    pub(crate) sni: Option<String>,
}

/// Whether it is `true`, or a message whose `value` is.
pub(crate) fn is_set(node: &Node) -> bool {
    [Some(node), node.peek("value")].into_iter().flatten().any(|says| match says.value() {
        Value::Bool(is) => *is,
        says => matches!(says, Value::Text(text) if text == "true"),
    })
}

/// What is said of TLS to a cluster; nothing, where it is spoken to without.
pub(crate) fn tls(reader: Reader<'_>, cluster: &Node) -> Option<Tls> {
    if let Some(context) = cluster.get("tls_context") {
        let what = "`tls_context` is of Envoy's API v2, which Envoy 1.40 refuses; it was read as TLS";
        reader.report.differs(reader.object, context.place(), what, "Write it as `transport_socket`.");
        return Some(context_of(reader, cluster, context));
    }
    let socket = cluster.get("transport_socket")?;
    socket.mark_all();
    match socket.peek("typed_config").and_then(any::content) {
        Some((name, content)) if name.ends_with(".UpstreamTlsContext") => Some(context_of(reader, cluster, content)),
        Some((name, _)) if name.ends_with(".RawBuffer") => None,
        _ => {
            let what = "its transport socket is no plain TLS";
            reader.report.lost(reader.object, socket.place(), what, "See that the host reaches it otherwise.");
            None
        }
    }
}

fn context_of(reader: Reader<'_>, cluster: &Node, context: &Node) -> Tls {
    let (report, object) = (reader.report, reader.object);
    context.mark_all();
    let common = context.peek("common_tls_context");
    let has = |field: &str| common.is_some_and(|common| common.peek(field).is_some());
    if ["tls_certificates", "tls_certificate_sds_secret_configs", "tls_certificate_provider_instance"]
        .iter()
        .any(|field| has(field))
    {
        let what = "it is shown a client's certificate, which no host of components shows: one that asks for it refuses the connection";
        report.lost(object, context.place(), what, "Put a proxy in front of it that shows the certificate.");
    }
    let validation = common.and_then(|common| {
        let combined = common.peek("combined_validation_context");
        common.peek("validation_context").or_else(|| combined?.peek("default_validation_context"))
    });
    let file = validation.and_then(|validation| validation.peek("trusted_ca")?.peek_text("filename"));
    let sni = context.peek_text("sni").filter(|name| !name.is_empty()).map(str::to_owned);
    let options = http_options(cluster);
    let automatic = |field: &str, own: &str| {
        let found = [options.and_then(|options| options.peek(field)), context.peek(own)];
        found.into_iter().flatten().find(|node| is_set(node))
    };
    if let Some(validation) = validation {
        checks(reader, validation, sni.as_deref());
    }
    if let Some(place) = automatic("auto_sni", "auto_host_sni").filter(|_| sni.is_none()).map(Node::place) {
        let what = "Envoy asks for the name in each request's `host`, and a host of components for that in the URL: where the \
                    certificate is for another one, requests are answered 503";
        report.lost(
            object,
            place,
            what,
            "Write the name in the certificate as its `sni`, or the endpoint by that name.",
        );
    }
    let names = match &sni {
        Some(sni) => format!("`serve` asks for the name `{sni}`, most other hosts for that in the URL"),
        None => "the name in the URL is asked for".to_owned(),
    };
    let has_names =
        validation.is_some_and(|validation| SAN_MATCHERS.iter().any(|field| validation.peek(field).is_some()));
    let checks_name = has_names || automatic("auto_san_validation", "auto_sni_san_validation").is_some();
    let trust = match validation {
        Some(_) if checks_name => "the certificate is checked against the host's authorities",
        Some(_) => {
            "the certificate is checked against the host's authorities, and has to be for that name, which Envoy does not check \
             here"
        }
        None => "the certificate is checked, which Envoy does not do without a `validation_context`",
    };
    let remedy = match file {
        Some(file) => {
            format!("Give `serve` the authority's certificate: `--upstream-ca FILE`, of which the input says `{file}`.")
        }
        None => "Where it is of an authority of your own, give `serve` that: `--upstream-ca FILE`.".to_owned(),
    };
    report.differs(object, context.place(), format!("TLS is the host's: {names}; {trust}"), remedy);
    Tls { sni }
}

/// Where a certificate's names are said.
const SAN_MATCHERS: [&str; 2] = ["match_typed_subject_alt_names", "match_subject_alt_names"];

/// What Envoy refuses besides, of certificates that are of a known authority.
const PINS: [(&str, &str); 3] = [
    ("verify_certificate_spki", "Envoy takes certificates with these keys alone"),
    ("verify_certificate_hash", "Envoy takes these certificates alone"),
    ("crl", "Envoy takes no certificate that is on this list"),
];

/// What Envoy takes besides.
const LAXITIES: [(&str, &str); 2] = [
    ("trust_chain_verification", "Envoy takes certificates of any authority"),
    ("allow_expired_certificate", "Envoy takes certificates that are over"),
];

/// Says which of Envoy's checks of a server's certificate no host of components makes, and which it makes besides.
fn checks(reader: Reader<'_>, validation: &Node, sni: Option<&str>) {
    let (report, object) = (reader.report, reader.object);
    let unguarded = |place, what: &str| {
        let what =
            format!("{what}, and a host all that are of its authorities: requests go to servers that Envoy refuses");
        let remedy = "Have a proxy in front of them check it, or give `serve` an authority that signs no others: \
                      `--upstream-ca FILE`.";
        report.unguarded(object, place, what, remedy);
    };
    for (field, what) in PINS {
        if let Some(node) = validation.peek(field) {
            unguarded(node.place(), what);
        }
    }
    let matchers: Vec<&Node> = SAN_MATCHERS.iter().filter_map(|field| validation.peek(field)).collect();
    let is_asked = |matcher: &Node| {
        let text = matcher.peek("matcher").unwrap_or(matcher);
        sni.is_some() && text.peek_text("exact") == sni
    };
    let items = matchers.iter().flat_map(|list| list.items());
    if let Some(list) = matchers.first()
        && !items.into_iter().any(is_asked)
    {
        unguarded(list.place(), "Envoy takes certificates for these names alone");
    }
    for (field, what) in LAXITIES {
        let is_lax = |node: &&Node| is_set(node) || node.as_text() == Some("ACCEPT_UNTRUSTED");
        if let Some(node) = validation.peek(field).filter(is_lax) {
            let what = format!("{what}, and a host refuses them: requests are answered 503");
            let remedy =
                "Give the server a certificate that can be checked, and `serve` its authority: `--upstream-ca FILE`.";
            report.lost(object, node.place(), what, remedy);
        }
    }
    if let Some(node) = validation.peek("custom_validator_config") {
        let what = "an extension checks the server's certificate, and a host does that by its own authorities";
        report.lost(object, node.place(), what, "See what it refuses, and whether the host does.");
    }
}

/// The options of HTTP to a cluster.
fn http_options(cluster: &Node) -> Option<&Node> {
    let extensions = cluster.peek("typed_extension_protocol_options").map(Node::entries).unwrap_or_default();
    let options = extensions.iter().find_map(|entry| {
        let (name, content) = any::content(&entry.node)?;
        content.peek("upstream_http_protocol_options").filter(|_| name.ends_with(".HttpProtocolOptions"))
    });
    options.or_else(|| cluster.peek("upstream_http_protocol_options"))
}
