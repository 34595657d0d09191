//! Finds the resources in whatever a file is: a bootstrap, single resources, what the admin or a control plane's tool prints.

use crate::any;
use crate::envoy_filter;
use crate::fields::Message;
use crate::node::{Node, Value};
use crate::report::Report;

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
    /// Kubernetes objects, and Consul's, which have a kind too.
    pub(crate) objects: Vec<&'n Node>,
}

impl<'n> Resources<'n> {
    /// Takes up what a document is; says so, if it is nothing that is known.
    pub(crate) fn take(&mut self, report: &Report, document: &'n Node) {
        if !self.any(report, document) {
            report.wrong(
                "the file",
                document.place(),
                "it is no configuration that is known here",
                "Give a bootstrap, a listener, a connection manager, a resource with `@type`, a config dump, or an object of Istio, Envoy Gateway or Higress.",
            );
        }
    }

    fn any(&mut self, report: &Report, node: &'n Node) -> bool {
        if let Value::List(items) = node.value() {
            node.mark();
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
        } else if let Some(xds) = node.peek("xds") {
            node.mark();
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
        } else {
            return self.by_namespace(report, node);
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
        if dumps.is_empty() || !dumps.iter().all(|dump| dump.peek("configs").is_some()) {
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

impl Node {
    /// Marks all within this as read, except one of its values.
    pub(crate) fn mark_all_but(&self, kept: &Self) {
        self.mark();
        for entry in self.entries() {
            if !std::ptr::eq(&raw const entry.node, kept) {
                entry.node.mark_all();
            }
        }
    }
}
