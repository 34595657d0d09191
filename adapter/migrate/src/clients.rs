//! Which clients a filter chain lets in, where a component lets in all of them.

use crate::any;
use crate::node::Node;
use crate::read::Reader;
use crate::tls::is_set;

/// What of a connection says where it comes from: one that no filter chain matches is closed. Source: measured.
const SOURCES: [&str; 4] = ["source_prefix_ranges", "direct_source_prefix_ranges", "source_type", "source_ports"];

/// Says which clients Envoy lets in alone.
pub(crate) fn let_in(reader: Reader<'_>, chain: &Node) {
    certified(reader, chain);
    from(reader, chain);
}

/// Those with a certificate.
fn certified(reader: Reader<'_>, chain: &Node) {
    let context = chain.peek("transport_socket").and_then(|socket| any::content(socket.peek("typed_config")?));
    let Some(asked) = context.and_then(|(_, context)| context.peek("require_client_certificate")) else { return };
    if is_set(asked) {
        let what = "Envoy lets in no client without a certificate, and a component all of them";
        reader.report.unguarded(
            reader.object,
            asked.place(),
            what,
            "Ask for it in what ends TLS in front of the component.",
        );
    }
}

/// Those from some addresses.
fn from(reader: Reader<'_>, chain: &Node) {
    let Some(found) = chain.peek("filter_chain_match") else { return };
    let limits = |says: &Node| says.as_text() != Some("ANY") && !says.is_null();
    if let Some(field) = SOURCES.into_iter().find(|field| found.peek(field).is_some_and(limits)) {
        found.mark_all();
        let what =
            format!("Envoy lets in connections from some addresses alone (`{field}`), and a component all of them");
        let remedy = "Let these alone reach it: by its network, or by what stands in front of it.";
        reader.report.unguarded(reader.object, found.place(), what, remedy);
    }
}
