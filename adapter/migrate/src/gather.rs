//! Finds the resources in whatever a file is: a bootstrap, single resources, what the admin or a control plane's tool prints.

use crate::any;
use crate::envoy_filter;
use crate::fields::Message;
use crate::filter::has_wasm;
use crate::kind::Kind;
use crate::node::{Entry, Node, Value};
use crate::report::Report;

/// The dump that a part of one is by its fields, where it has lost its type on the way, as in `istioctl proxy-config ecds -o json`.
const UNTYPED: &[(&str, &str)] = &[
    ("static_listeners", "ListenersConfigDump"),
    ("dynamic_listeners", "ListenersConfigDump"),
    ("static_clusters", "ClustersConfigDump"),
    ("dynamic_active_clusters", "ClustersConfigDump"),
    ("static_route_configs", "RoutesConfigDump"),
    ("dynamic_route_configs", "RoutesConfigDump"),
    ("ecds_filters", "EcdsConfigDump"),
    ("bootstrap", "BootstrapConfigDump"),
];

/// The resources of all files.
#[derive(Debug, Default)]
pub(crate) struct Resources<'n> {
    pub(crate) listeners: Vec<&'n Node>,
    /// Connection managers that came without a listener.
    pub(crate) managers: Vec<&'n Node>,
    pub(crate) clusters: Vec<&'n Node>,
    pub(crate) tables: Vec<&'n Node>,
    /// `TypedExtensionConfig`s, which filters name.
    pub(crate) extensions: Vec<&'n Node>,
    /// HTTP filters that came without a connection manager.
    pub(crate) filters: Vec<&'n Node>,
    /// Kubernetes objects, and Consul's, which have a kind too.
    pub(crate) objects: Vec<&'n Node>,
}

impl<'n> Resources<'n> {
    /// Takes up what a document is, which `from` may say; says so, if it is nothing that is known.
    pub(crate) fn take(&mut self, report: &Report, document: &'n Node, from: Option<Kind>) {
        let is_known = match from {
            Some(kind) => self.kind(report, document, kind),
            None => self.any(report, document),
        };
        if !is_known {
            let remedy = match from {
                Some(_) => "Say another kind by `--from`, or let it be recognized.",
                None => {
                    "Give a bootstrap, a listener, a connection manager, a resource with `@type`, a config dump, or an object of Istio, Envoy Gateway or Higress; or say by `--from` what it is."
                }
            };
            let what = from.map_or_else(
                || "it is no configuration that is known here".to_owned(),
                |kind| format!("it is no {}", kind.name()),
            );
            // Nothing of it is read, and that is said of the whole.
            document.mark_all();
            report.wrong("the file", document.place(), what, remedy);
        }
    }

    /// Takes up a document, or each item of a list, as what it is said to be.
    fn kind(&mut self, report: &Report, node: &'n Node, kind: Kind) -> bool {
        if !node.items().is_empty() {
            node.mark();
            // Each is looked at, whatever the one before was.
            let known: Vec<bool> = node.items().iter().map(|item| self.kind(report, item, kind)).collect();
            return !known.contains(&false);
        }
        if !node.is_map() {
            return false;
        }
        // With a type it says itself what it is; another one is a mistake.
        let content = match any::content(node) {
            Some((name, content)) if name.rsplit('.').next() == Some(kind.message()) => content,
            Some(_) => return false,
            None => node,
        };
        match kind {
            Kind::Filter => self.filters.push(content),
            kind => return self.typed(report, kind.message(), content.mark()),
        }
        true
    }

    fn any(&mut self, report: &Report, node: &'n Node) -> bool {
        if let Value::List(items) = node.value() {
            node.mark();
            let is_filter = |item: &Node| {
                let has = |field| item.peek(field).is_some();
                has("name") && (has("typed_config") || has("config") || has("config_discovery"))
            };
            if items.iter().all(is_filter) && items.iter().any(|item| has_wasm(item) || is_old_wasm(item)) {
                items.iter().for_each(|item| self.filter(item));
                return true;
            }
            // Each is looked at, whatever the one before was.
            return items.iter().fold(!items.is_empty(), |known, item| self.any(report, item) && known);
        }
        if !node.is_map() {
            return false;
        }
        if node.peek("@type").is_some() {
            let Some((name, content)) = any::content(node) else { return false };
            let last = name.rsplit('.').next().unwrap_or_default();
            return self.typed(report, last, content.mark());
        }
        if node.peek("apiVersion").is_some()
            || node
                .peek("kind")
                .and_then(Node::as_text)
                .is_some_and(|kind| kind.contains("ervice-defaults") || kind == "ServiceDefaults")
            || node.peek("Kind").is_some()
        {
            node.mark();
            if node.peek_text("kind") == Some("List") {
                return node.get("items").is_some_and(|items| self.any(report, items));
            }
            if node.peek_text("kind") == Some("ConfigMap") {
                return self.config_map(report, node);
            }
            if node.peek_text("kind") == Some("EnvoyFilter") {
                envoy_filter::gather(self, node);
            }
            self.objects.push(node);
            return true;
        }
        // One of the kinds has the name of a field of Envoy's. What was made from all stands beside them, where it does.
        let has_made = node.peek("xds").is_some_and(|xds| !xds.entries().is_empty());
        if !has_made && self.by_kind(report, node) {
            return true;
        }
        if ["static_resources", "dynamic_resources", "bootstrap_extensions"]
            .iter()
            .any(|field| node.peek(field).is_some())
        {
            self.bootstrap(node);
        } else if let Some(configs) = node.peek("configs") {
            node.mark_all_but(configs);
            self.dump(report, configs.mark());
        } else if let Some(resources) = node.peek("resources") {
            node.mark_all_but(resources);
            return self.any(report, resources);
        } else if ["filter_chains", "default_filter_chain", "listener_filters"]
            .iter()
            .any(|field| node.peek(field).is_some())
            || (node.peek("address").is_some() && node.peek("name").is_some())
        {
            self.listeners.push(node);
        } else if node.peek("http_filters").is_some() {
            self.managers.push(node);
        } else if node.peek("virtual_hosts").is_some() {
            self.tables.push(node);
        } else if let Some(xds) = node.peek("xds").filter(|xds| !xds.entries().is_empty()) {
            // What it was made from stands beside it.
            node.mark_all_but(xds);
            xds.mark();
            let mut known = true;
            // Each is looked at, whatever the one before was.
            for entry in xds.entries() {
                known &= self.any(report, &entry.node);
            }
            return known;
        } else if node.peek("listeners").is_some() || node.peek("clusters").is_some() {
            self.statics(node);
        } else if node.peek("name").is_some()
            && ["load_assignment", "eds_cluster_config", "cluster_type", "connect_timeout"]
                .iter()
                .any(|field| node.peek(field).is_some())
        {
            self.clusters.push(node);
        } else if let Some((_, name)) = UNTYPED.iter().find(|(field, _)| node.peek(field).is_some()) {
            self.part(report, name, node, false);
        } else if node.peek("name").is_some() && (has_wasm(node) || is_old_wasm(node)) {
            self.filter(node);
        } else {
            return self.by_namespace(report, node);
        }
        true
    }

    /// A filter by itself, as documents show it: of HTTP, or one with a connection manager in it.
    fn filter(&mut self, node: &'n Node) {
        match node.peek("typed_config").and_then(any::content) {
            Some((name, content)) if name.ends_with(".HttpConnectionManager") => {
                node.mark_all_but(content);
                self.managers.push(content.mark());
            }
            _ => self.filters.push(node),
        }
    }

    /// Objects of Kubernetes in a list for each kind, as `egctl x translate --to gateway-api` prints them.
    fn by_kind(&mut self, report: &Report, node: &'n Node) -> bool {
        let is_object = |item: &Node| item.peek("apiVersion").is_some() && item.peek("kind").is_some();
        let is = |entry: &Entry| entry.node.many().iter().any(is_object);
        if !node.entries().iter().any(is) {
            return false;
        }
        node.mark();
        for entry in node.entries() {
            if is(entry) {
                entry.node.mark();
                // Each is looked at, whatever the one before was.
                entry.node.many().iter().filter(|item| is_object(item)).for_each(|item| {
                    self.any(report, item);
                });
            } else {
                entry.node.mark_all();
            }
        }
        true
    }

    /// A config map without an Envoy's configuration as text in it: what has one was unfolded.
    fn config_map(&mut self, report: &Report, node: &'n Node) -> bool {
        node.mark_all();
        report.lost(
            "the ConfigMap",
            node.place(),
            "it holds no configuration of Envoy's that is read here",
            "Take it out, or give the configuration that it stands for as a file of its own.",
        );
        true
    }

    /// Dumps by namespace and pod, as `egctl config envoy-proxy` prints them.
    fn by_namespace(&mut self, report: &Report, node: &'n Node) -> bool {
        let dumps: Vec<&Node> =
            node.entries().iter().flat_map(|entry| entry.node.entries()).map(|pod| &pod.node).collect();
        let is_dump = |dump: &&Node| dump.peek("configs").is_some() || dump.peek("@type").is_some();
        if dumps.is_empty() || !dumps.iter().all(is_dump) {
            return false;
        }
        node.mark().entries().iter().for_each(|entry| {
            entry.node.mark();
        });
        let mut known = true;
        // Each is looked at, whatever the one before was.
        for dump in dumps {
            known &= self.any(report, dump.mark());
        }
        known
    }

    fn typed(&mut self, report: &Report, last: &str, node: &'n Node) -> bool {
        match last {
            "Listener" => self.listeners.push(node),
            "Cluster" => self.clusters.push(node),
            "RouteConfiguration" => self.tables.push(node),
            "TypedExtensionConfig" => self.extensions.push(node),
            "HttpConnectionManager" => self.managers.push(node),
            "Bootstrap" => self.bootstrap(node),
            "ConfigDump" => match node.get("configs") {
                Some(configs) => self.dump(report, configs),
                None => return false,
            },
            "DiscoveryResponse" => return node.get("resources").is_some_and(|resources| self.any(report, resources)),
            "BootstrapConfigDump"
            | "ListenersConfigDump"
            | "ClustersConfigDump"
            | "RoutesConfigDump"
            | "EcdsConfigDump" => {
                self.part(report, last, node, false);
            }
            // Istio's and the gateways' dumps have keys and endpoints beside.
            "SecretsConfigDump"
            | "EndpointsConfigDump"
            | "ScopedRoutesConfigDump"
            | "ClusterLoadAssignment"
            | "Secret" => node.mark_all(),
            _ => return false,
        }
        true
    }

    fn bootstrap(&mut self, node: &'n Node) {
        node.of(Message::Bootstrap);
        if let Some(statics) = node.get("static_resources") {
            self.statics(statics.of(Message::StaticResources));
        }
    }

    fn statics(&mut self, node: &'n Node) {
        node.of(Message::StaticResources);
        let lists = [("listeners", &mut self.listeners), ("clusters", &mut self.clusters)];
        for (field, list) in lists {
            list.extend(node.get(field).map(Node::many).unwrap_or_default());
        }
    }

    /// What stands in a dump: static resources are in it twice, and are taken once.
    fn dump(&mut self, report: &Report, configs: &'n Node) {
        let name = |node: &'n Node| node.peek_text("@type").and_then(|url| url.rsplit('.').next()).unwrap_or_default();
        let has_listeners = configs.many().iter().any(|config| name(config) == "ListenersConfigDump");
        for config in configs.many() {
            self.part(report, name(config), config, has_listeners);
        }
    }

    fn part(&mut self, report: &Report, name: &str, node: &'n Node, has_listeners: bool) {
        // Versions and times of the dump, and what was refused, are no configuration.
        match name {
            "BootstrapConfigDump" if !has_listeners => {
                node.mark();
                node.pass(&["@type", "last_updated"]);
                if let Some(bootstrap) = node.get("bootstrap") {
                    self.bootstrap(bootstrap);
                }
            }
            "ListenersConfigDump" => {
                for item in within(node, &["static_listeners", "dynamic_listeners"]) {
                    let path: &[&str] =
                        if item.peek("active_state").is_some() { &["active_state", "listener"] } else { &["listener"] };
                    self.listeners.extend(only(item, path));
                }
            }
            "ClustersConfigDump" => {
                for item in within(node, &["static_clusters", "dynamic_active_clusters"]) {
                    self.clusters.extend(only(item, &["cluster"]));
                }
            }
            "RoutesConfigDump" => {
                // Those are the tables that stand within the listeners, once more.
                node.peek("static_route_configs").into_iter().for_each(Node::mark_all);
                for item in within(node, &["static_route_configs", "dynamic_route_configs"]) {
                    self.tables.extend(only(item, &["route_config"]));
                }
            }
            "EcdsConfigDump" => {
                for item in within(node, &["ecds_filters"]) {
                    self.extensions.extend(only(item, &["ecds_filter"]));
                }
            }
            "BootstrapConfigDump" | "SecretsConfigDump" | "EndpointsConfigDump" | "ScopedRoutesConfigDump" => {
                node.mark_all()
            }
            _ => {
                node.mark_all();
                let remedy = "Take it out, if it is of no use here.";
                report.unknown(
                    "the config dump",
                    node.place(),
                    "a part of the dump is of a type that is not known here",
                    remedy,
                );
            }
        }
    }
}

/// Whether it is a Wasm filter of Envoy's API v2.
fn is_old_wasm(node: &Node) -> bool {
    let is_named = matches!(node.peek_text("name"), Some("envoy.wasm" | "envoy.filters.http.wasm"));
    is_named && node.peek("config").is_some()
}

/// The items of these lists; all else of the node counts as read.
fn within<'n>(node: &'n Node, fields: &[&str]) -> Vec<&'n Node> {
    node.mark();
    let lists: Vec<&Node> = fields.iter().filter_map(|field| node.get(field)).collect();
    for entry in node.entries() {
        if !lists.iter().any(|list| std::ptr::eq(*list, &raw const entry.node)) {
            entry.node.mark_all();
        }
    }
    lists.into_iter().flat_map(Node::many).collect()
}

/// A field within fields; all beside them counts as read.
fn only<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    let mut node = node;
    for field in path {
        node.mark();
        let inner = node.get(field)?;
        node.mark_all_but(inner);
        node = inner;
    }
    Some(node)
}
