//! TLS: what `serve` does of that to a cluster, and what it does not; and clients that have to show who they are.

use crate::any;
use crate::node::{Node, Value};
use crate::read::Reader;

/// How a cluster is spoken to over TLS.
pub(crate) struct Tls {
    /// The name that it is asked for.
    pub(crate) sni: Option<String>,
}

/// Says where clients are let in without the certificate that Envoy asks them for.
pub(crate) fn of_clients(reader: Reader<'_>, chain: &Node) {
    let context = chain.peek("transport_socket").and_then(|socket| any::content(socket.peek("typed_config")?));
    let Some(asked) = context.and_then(|(_, context)| context.peek("require_client_certificate")) else { return };
    let is_asked = [Some(asked), asked.peek("value")].into_iter().flatten().any(|says| match says.value() {
        Value::Bool(is) => *is,
        says => matches!(says, Value::Text(text) if text == "true"),
    });
    if is_asked {
        let what = "Envoy lets in no client without a certificate, and a component all of them";
        reader.report.unguarded(
            reader.object,
            asked.place(),
            what,
            "Ask for it in what ends TLS in front of the component.",
        );
    }
}

/// What is said of TLS to a cluster; nothing, where it is spoken to without.
pub(crate) fn tls(reader: Reader<'_>, cluster: &Node) -> Option<Tls> {
    if let Some(context) = cluster.get("tls_context") {
        let what = "`tls_context` is of Envoy's API v2, which Envoy 1.40 refuses; it was read as TLS";
        reader.report.differs(reader.object, context.place(), what, "Write it as `transport_socket`.");
        return Some(context_of(reader, context));
    }
    let socket = cluster.get("transport_socket")?;
    socket.mark_all();
    match socket.peek("typed_config").and_then(any::content) {
        Some((name, content)) if name.ends_with(".UpstreamTlsContext") => Some(context_of(reader, content)),
        Some((name, _)) if name.ends_with(".RawBuffer") => None,
        _ => {
            let what = "its transport socket is no plain TLS";
            reader.report.lost(reader.object, socket.place(), what, "See that the host reaches it otherwise.");
            None
        }
    }
}

fn context_of(reader: Reader<'_>, context: &Node) -> Tls {
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
    let names = match &sni {
        Some(sni) => format!("`serve` asks for the name `{sni}`, most other hosts for that in the URL"),
        None => "the name in the URL is asked for".to_owned(),
    };
    let trust = match validation {
        Some(_) => "the certificate is checked against the host's authorities",
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
