//! An HTTP filter: the plugin of it, if it is a Wasm filter.

use crate::any;
use crate::composite;
use crate::enabling;
use crate::fields::Message;
use crate::gather::Resources;
use crate::listener::Draft;
use crate::neighbours;
use crate::node::Node;
use crate::plugin::{self, Plugin, Version};
use crate::read::Reader;
use crate::report::Report;
use crate::section::Section;

/// The type of a Wasm HTTP filter.
const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";

/// The component of filters that came without a connection manager, and so without routes.
pub(crate) fn alone(report: &Report, resources: &Resources<'_>) -> Option<Draft> {
    let plugins: Vec<Plugin> =
        resources.filters.iter().filter_map(|filter| http_filter(report, filter, resources, None)).collect();
    let place = plugins.first()?.place;
    let top = Section { head: String::new(), origin: None, keys: Vec::new() };
    Some(Draft { name: "filters".into(), place, plugins, top, routes: Vec::new(), address: None, stat_prefix: None })
}

/// The plugin of an HTTP filter, if it is a Wasm filter.
pub(crate) fn http_filter(
    report: &Report,
    filter: &Node,
    resources: &Resources<'_>,
    table: Option<&Node>,
) -> Option<Plugin> {
    filter.of(Message::HttpFilter);
    let name = filter.get("name").and_then(Node::as_text).unwrap_or_default().to_owned();
    let object = format!("filter `{name}`");
    let reader = Reader { report, object: &object };
    filter.pass(&["is_optional"]);
    let is_disabled = reader.boolean(filter, "disabled") == Some(true);
    if let Some(old) = filter.get("config") {
        return old_filter(reader, old, name);
    }
    let config = match filter.get("config_discovery") {
        Some(discovery) => {
            discovery.mark_all();
            let named = resources.extensions.iter().find(|extension| extension.peek_text("name") == Some(&name));
            let Some(extension) = named else {
                report.wrong(
                    &object,
                    discovery.place(),
                    "its configuration comes by discovery (ECDS), and is not in the input",
                    "Give the TypedExtensionConfig of its name, or a config dump with an EcdsConfigDump.",
                );
                return None;
            };
            extension.mark().pass(&["name"]);
            extension.get("typed_config")
        }
        None => filter.get("typed_config"),
    };
    let Some(config) = config else {
        if matches!(name.as_str(), "envoy.router" | "envoy.filters.http.router") {
            report.differs(&object, filter.place(), "the router has no `typed_config`, and Envoy 1.40 refuses it; it was read as the router", "Give it `typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}`.");
        } else {
            report.wrong(
                &object,
                filter.place(),
                "it has no `typed_config`",
                "Give it one; Envoy refuses it as it is.",
            );
        }
        return None;
    };
    let Some((kind, content)) = any::content(config) else {
        config.mark_all();
        report.wrong(
            &object,
            config.place(),
            "its `typed_config` has no `@type` that Envoy reads",
            "Give it one, with a host part: `type.googleapis.com/…`.",
        );
        return None;
    };
    let picked = composite::always(kind, content).and_then(|picked| Some((picked, any::content(picked)?)));
    let (kind, content) = match picked {
        Some((picked, (WASM, found))) => {
            config.mark_all_but(picked);
            let what = "it is a composite filter that runs the same filter for every request, and became that one";
            report.differs(&object, config.place(), what, "");
            (WASM, found)
        }
        _ => (kind, content),
    };
    match kind {
        WASM => {
            if is_disabled && !table.is_some_and(|table| enabling::is_named(table, &name)) {
                config.mark_all();
                report.lost(
                    &object,
                    filter.place(),
                    "it is `disabled`, and no route enables it: it is left out",
                    "To have it for all requests, take `disabled` out.",
                );
                return None;
            }
            content.mark();
            content.pass(&["@type"]);
            let Some(inner) = content.get("config") else {
                report.wrong(&object, config.place(), "it has no `config`", "Give it a `config` with `vm_config`.");
                return None;
            };
            if plugin::is_native(inner) {
                filter.mark_all();
                config.mark_all();
                let what = "it is compiled into the proxy (its runtime is null): there is no WebAssembly to take along";
                report.lost(&object, filter.place(), what, "The host's own metrics and logs may do the same.");
                return None;
            }
            let plugin = Plugin { filter_name: name, is_disabled, ..plugin::read(reader, inner, Version::V3) };
            report.carried(&object, inner.place(), plugin.label());
            Some(plugin)
        }
        kind if kind.ends_with(".Router") => {
            // Its own filters are read behind those of the chain.
            match content.peek("upstream_http_filters") {
                Some(filters) => content.mark_all_but(filters.mark()),
                None => config.mark_all(),
            }
            None
        }
        kind if kind.ends_with(".UpstreamCodec") => {
            config.mark_all();
            None
        }
        kind if kind.to_ascii_lowercase().ends_with("wasm") => {
            config.mark_all();
            let what = format!("its type `{kind}` is none that Envoy 1.40 knows");
            report.wrong(&object, config.place(), what, format!("Write `type.googleapis.com/{WASM}`."));
            None
        }
        kind => {
            config.mark_all();
            let has_wasm = has_wasm(config);
            let (what, remedy) = match has_wasm {
                true => (
                    format!("an HTTP filter (`{kind}`) with a Wasm filter within: neither is carried"),
                    neighbours::remedy("Composite"),
                ),
                false => (format!("an HTTP filter that is no Wasm filter (`{kind}`)"), neighbours::remedy(kind)),
            };
            let is_off = is_disabled && !table.is_some_and(|table| enabling::is_named(table, &name));
            if neighbours::has_guard(config) && !is_off {
                report.unguarded(&object, config.place(), format!("{what}; what it refuses in Envoy passes"), remedy);
            } else {
                report.lost(&object, config.place(), what, remedy);
            }
            None
        }
    }
}

/// The plugin of a filter as Envoy's API v2 has it, where its meaning is certain by its name.
fn old_filter(reader: Reader<'_>, old: &Node, name: String) -> Option<Plugin> {
    let (report, object) = (reader.report, reader.object);
    if matches!(name.as_str(), "envoy.router" | "envoy.filters.http.router") {
        old.mark_all();
        report.differs(
            object,
            old.place(),
            "the router's `config` is of Envoy's API v2, and Envoy 1.40 refuses it; it was read as the router",
            "Give it `typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}`.",
        );
        return None;
    }
    // Nothing else has a virtual machine.
    let is_wasm = old.peek("config").unwrap_or(old).peek("vm_config").is_some();
    if !is_wasm && !matches!(name.as_str(), "envoy.wasm" | "envoy.filters.http.wasm") {
        old.mark_all();
        let what =
            "an HTTP filter that is no Wasm filter; its `config` is of Envoy's API v2, and Envoy 1.40 refuses it";
        report.lost(object, old.place(), what, "Write `typed_config` in its place, with the `@type` of the filter.");
        return None;
    }
    let what = "`config` is of Envoy's API v2, and Envoy 1.40 refuses it; it was read as `typed_config`";
    report.differs(
        object,
        old.place(),
        what,
        format!("Write `typed_config` in its place, with `\"@type\": type.googleapis.com/{WASM}`."),
    );
    let inner = old.mark().get("config").unwrap_or(old);
    if plugin::is_native(inner) {
        old.mark_all();
        let what = "it is compiled into the proxy (its runtime is null): there is no WebAssembly to take along";
        report.lost(object, inner.place(), what, "The host's own metrics and logs may do the same.");
        return None;
    }
    let plugin = Plugin { filter_name: name, ..plugin::read(reader, inner, Version::V2) };
    report.carried(object, inner.place(), plugin.label());
    Some(plugin)
}

/// Whether there is a Wasm filter anywhere within.
pub(crate) fn has_wasm(node: &Node) -> bool {
    let is = |field| node.peek_text(field).is_some_and(|url| url.ends_with("filters.http.wasm.v3.Wasm"));
    let is_wasm = is("@type") || is("type_url");
    is_wasm || node.items().iter().any(has_wasm) || node.entries().iter().any(|entry| has_wasm(&entry.node))
}
