//! Envoy's filter for CORS, and its policies on every level of a table of routes.
//!
//! Where a policy counts was measured on Envoy 1.40: `tests/migrations/cors`, `tests/migrations/cors-of-old`.

use toml::Value as Toml;

use crate::any;
use crate::fields::Message;
use crate::matching;
use crate::neighbours;
use crate::node::{Node, Place};
use crate::read::Reader;
use crate::section::{Section, table};

const FILTER: &str = "envoy.extensions.filters.http.cors.v3.Cors";
const POLICY: &str = "envoy.extensions.filters.http.cors.v3.CorsPolicy";
const FILTER_CONFIG: &str = "envoy.config.route.v3.FilterConfig";

/// The filter for CORS of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cors {
    /// There is none, so policies say nothing, as in Envoy.
    #[default]
    Absent,
    /// It stands where the component has none.
    NotCarried,
    /// It becomes a part of the routes.
    Carried(Carried),
}

/// A filter for CORS that becomes a part of the routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The name by which routes know it.
    name: String,
    /// It runs only where a level of the routes speaks of it.
    is_disabled: bool,
    behind_plugins: bool,
}

/// Whether this filter of a chain is one for CORS.
pub(crate) fn is_filter(filter: &Node) -> bool {
    let config = filter.peek("typed_config");
    let url = config.and_then(|config| config.peek_text("type_url").or_else(|| config.peek_text("@type")));
    url.and_then(|url| url.rsplit_once('/')).is_some_and(|(_, name)| name == FILTER)
}

/// The one of a chain that is carried, of those at these places; the plugins stand at those, and perhaps behind the router.
pub(crate) fn of_chain(reader: Reader<'_>, filters: &[Node], plugins: &[usize], is_plugin_behind_router: bool) -> Cors {
    let mut found = Cors::Absent;
    for (at, filter) in filters.iter().enumerate().filter(|(_, filter)| is_filter(filter)) {
        filter.of(Message::HttpFilter).pass(&["is_optional", "typed_config"]);
        let name = reader.text(filter, "name").unwrap_or_default();
        let is_disabled = reader.boolean(filter, "disabled") == Some(true);
        let object = format!("filter `{name}`");
        let lost = |what: &str, remedy: &str| reader.report.lost(&object, filter.place(), what, remedy);
        let is_first = plugins.iter().all(|plugin| at < *plugin);
        let is_last = plugins.iter().all(|plugin| *plugin < at) && !is_plugin_behind_router;
        if matches!(found, Cors::Carried(_)) {
            lost("a second filter for CORS", "Leave one: its policies say what it does for which route.");
        } else if is_first || is_last {
            let what = if is_first { "CORS, before the plugins" } else { "CORS, behind the plugins" };
            reader.report.carried(&object, filter.place(), what);
            found = Cors::Carried(Carried { name, is_disabled, behind_plugins: !is_first });
        } else {
            let what = "it stands between Wasm filters, and a component has CORS before the first or behind the last";
            lost(what, &format!("Let it be the first of the `http_filters`. {}", neighbours::remedy(FILTER)));
            found = Cors::NotCarried;
        }
    }
    found
}

impl Cors {
    /// Reads the policy of a level of the routes, into its section.
    pub(crate) fn read(&self, reader: Reader<'_>, node: &Node, section: &mut Section) {
        if let Some(policy) = self.policy(reader, node) {
            section.set("cors", policy);
        }
    }

    /// Says where in the chain it stands, in the section of all routes.
    pub(crate) fn place(&self, section: &mut Section) {
        if matches!(self, Self::Carried(carried) if carried.behind_plugins) {
            section.set("cors_behind_plugins", true);
        }
    }

    /// The policy of a level, as the settings have it.
    pub(crate) fn policy(&self, reader: Reader<'_>, node: &Node) -> Option<Toml> {
        let configs = node.peek("typed_per_filter_config")?;
        let is_policy = |node: &Node| node.peek_text("@type").is_some_and(|url| url.ends_with(POLICY));
        match self {
            Self::NotCarried => None,
            Self::Absent => {
                for entry in configs.entries().iter().filter(|entry| is_policy(&entry.node)) {
                    node.get("typed_per_filter_config");
                    entry.node.mark_all();
                    without_filter(reader, entry.place);
                }
                None
            }
            Self::Carried(carried) => {
                let entry = configs.entries().iter().rfind(|entry| entry.key == carried.name)?;
                node.get("typed_per_filter_config");
                said(reader, &carried.name, &entry.node)
            }
        }
    }

    /// Whether a level speaks of the filter.
    fn is_named(&self, node: &Node) -> bool {
        let Self::Carried(carried) = self else { return false };
        let configs = node.peek("typed_per_filter_config").map(Node::entries).unwrap_or_default();
        configs.iter().any(|entry| entry.key == carried.name)
    }

    /// The field `cors` of a virtual host, which counts for routes where no level speaks of the filter by its name.
    pub(crate) fn old_of_host(&self, reader: Reader<'_>, table: &Node, host: &Node) -> Option<Toml> {
        self.old(reader, host, &[table, host])
    }

    /// What holds for a route by the fields `cors` of its action and of its virtual host.
    pub(crate) fn old_of_route(
        &self,
        reader: Reader<'_>,
        levels: [&Node; 3],
        action: &Node,
        host: Option<&Toml>,
    ) -> Option<Toml> {
        let weighted = action.peek("weighted_clusters").and_then(|weighted| weighted.peek("clusters"));
        let clusters = weighted.map(Node::many).unwrap_or_default();
        let levels: Vec<&Node> = levels.into_iter().chain(clusters).collect();
        let own = self.old(reader, action, &levels);
        if levels.iter().any(|level| self.is_named(level)) {
            return None;
        }
        match (own, host) {
            (Some(Toml::Table(own)), Some(Toml::Table(host))) => {
                // The nearest alone says whether it counts.
                let below = host.iter().filter(|(key, _)| *key != "enabled");
                let mut all: toml::Table = below.map(|(key, value)| (key.clone(), value.clone())).collect();
                all.extend(own);
                Some(Toml::Table(all))
            }
            (own, host) => own.or_else(|| host.cloned()),
        }
    }

    fn old(&self, reader: Reader<'_>, node: &Node, levels: &[&Node]) -> Option<Toml> {
        let old = node.peek("cors")?;
        let Self::Carried(carried) = self else {
            if *self == Self::Absent {
                node.pass(&["cors"]);
                without_filter(reader, old.place());
            }
            return None;
        };
        if carried.is_disabled || levels.iter().any(|level| self.is_named(level)) {
            node.pass(&["cors"]);
            let what = "its `cors` says nothing, in Envoy neither: the filter is disabled, or `typed_per_filter_config` speaks of it";
            reader.report.differs(reader.object, old.place(), what, "Take it out.");
            return None;
        }
        node.get("cors").map(|old| policy(reader, old))
    }
}

fn without_filter(reader: Reader<'_>, place: Place) {
    let what = "its policy for CORS says nothing, in Envoy neither: the chain has no filter for it";
    reader.report.differs(reader.object, place, what, "Take it out, or put the filter into the chain.");
}

/// What a level says of the filter by its name: a policy, or whether it runs.
fn said(reader: Reader<'_>, name: &str, node: &Node) -> Option<Toml> {
    match any::content(node) {
        Some((POLICY, content)) => Some(policy(reader, content)),
        Some((FILTER_CONFIG, content)) => {
            content.of(Message::FilterConfig).pass(&["@type", "is_optional"]);
            if reader.boolean(content, "disabled") == Some(true) {
                content.pass(&["config"]);
                return Some(table([("enabled", Some(false.into()))]));
            }
            let inner = content.get("config").filter(|config| !config.entries().is_empty())?;
            said(reader, name, inner)
        }
        _ => {
            node.mark_all();
            let what =
                format!("the filter `{name}` has a configuration here that is none of its own; Envoy refuses it");
            reader.report.wrong(reader.object, node.place(), what, format!("Write `type.googleapis.com/{POLICY}`."));
            None
        }
    }
}

fn policy(reader: Reader<'_>, node: &Node) -> Toml {
    node.of(Message::CorsPolicy).pass(&["@type"]);
    let origins: Vec<Toml> = reader
        .list(node, "allow_origin_string_match")
        .iter()
        .filter_map(|origin| self::origin(reader, origin))
        .collect();
    let text = |field: &str| reader.text(node, field).filter(|text| !text.is_empty()).map(Toml::from);
    let boolean = |field: &str| reader.boolean(node, field).map(Toml::from);
    if let Some(shadow) = node.peek("shadow_enabled") {
        node.pass(&["shadow_enabled"]);
        let what = "`shadow_enabled` only counts requests; the component does not";
        reader.report.differs(reader.object, shadow.place(), what, "");
    }
    table([
        ("enabled", is_off(reader, node).then(|| false.into())),
        ("allow_origins", (!origins.is_empty()).then(|| origins.into())),
        ("allow_methods", text("allow_methods")),
        ("allow_headers", text("allow_headers")),
        ("expose_headers", text("expose_headers")),
        ("max_age", text("max_age")),
        ("allow_credentials", boolean("allow_credentials")),
        ("allow_private_network", boolean("allow_private_network_access")),
        ("forward_not_matching_preflights", boolean("forward_not_matching_preflights")),
    ])
}

fn origin(reader: Reader<'_>, node: &Node) -> Option<Toml> {
    match matching::string_matcher(reader, node) {
        Ok(said) => Some(Toml::Table(said.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
        Err(unsayable) => {
            let what = format!("pages of an origin are not allowed: it is matched by `{}`", unsayable.field);
            reader.report.lost(reader.object, node.place(), what, "Say it in another way.");
            None
        }
    }
}

/// Whether `filter_enabled` is no request's; a share of them is said as all.
fn is_off(reader: Reader<'_>, node: &Node) -> bool {
    let Some(enabled) = node.get("filter_enabled") else { return false };
    enabled.mark_all();
    let (numerator, whole) = enabled.peek("default_value").and_then(matching::share).unwrap_or((0, 100));
    if numerator > 0 && numerator < whole {
        let what = "`filter_enabled` is for a share of the requests; the policy counts for all";
        reader.report.lost(reader.object, enabled.place(), what, "Write 0 or 100.");
    }
    numerator == 0
}
