//! From clusters as they were written to those that the shim knows.

use proxy_wasm_abi::clusters::{ClusterDetails, Endpoint};
use proxy_wasm_abi::settings::{Cluster, UPSTREAM};

use super::{keep, metadata};
use crate::settings::{ClusterInput, EndpointInput, Entries, Problem, origin};

/// The clusters, one of which is short for the upstream; and those of which there is more to know.
pub(super) fn clusters(
    upstream: Option<String>,
    clusters: Entries<ClusterInput>,
    problems: &mut Vec<Problem>,
) -> (Vec<Cluster>, Vec<ClusterDetails>) {
    let mut all = Vec::new();
    let mut details = Vec::new();
    if let Some(url) = upstream {
        if clusters.has(UPSTREAM) {
            problems.push(Problem::ClusterNamedUpstream);
        }
        let origin = keep(origin::parse("the upstream", &url), problems);
        all.extend(origin.map(|origin| Cluster { name: UPSTREAM.into(), origin }));
    }
    for (name, cluster) in clusters.0 {
        if name.is_empty() {
            problems.push(Problem::ClusterName);
            continue;
        }
        let (first, more) = one(&name, cluster, problems);
        all.extend(first);
        details.extend(more);
    }
    (all, details)
}

/// A cluster with its first endpoint, and all that there is to know of it, where that is more.
fn one(
    name: &str,
    ClusterInput(told): ClusterInput,
    problems: &mut Vec<Problem>,
) -> (Option<Cluster>, Option<ClusterDetails>) {
    let of = format!("the cluster `{name}`");
    let written = match (told.url, told.endpoints) {
        (Some(url), endpoints) if endpoints.is_empty() => vec![url.into()],
        (None, endpoints) if !endpoints.is_empty() => endpoints,
        _ => {
            problems.push(Problem::ClusterPlace { cluster: name.into() });
            return (None, None);
        }
    };
    let total: u64 = written.iter().map(|EndpointInput(endpoint)| u64::from(endpoint.weight.unwrap_or(1))).sum();
    if total > u32::MAX.into() || written.iter().any(|EndpointInput(endpoint)| endpoint.weight == Some(0)) {
        problems.push(Problem::EndpointWeight { cluster: name.into() });
    }
    let endpoint = |EndpointInput(told): EndpointInput| {
        let origin = keep(origin::parse(of.clone(), &told.url.unwrap_or_default()), problems)?;
        Some(Endpoint { origin, weight: told.weight.unwrap_or(1), hostname: told.hostname })
    };
    let mut endpoints: Vec<_> = written.into_iter().filter_map(endpoint).collect();
    let first = endpoints.first().map(|first| Cluster { name: name.into(), origin: first.origin.clone() });
    if endpoints.len() < 2 && endpoints.iter().all(|endpoint| endpoint.hostname.is_none()) {
        endpoints.clear();
    }
    let details = ClusterDetails {
        name: name.into(),
        endpoints,
        balancing: told.lb_policy.unwrap_or_default(),
        http2: told.http2.unwrap_or(false),
        metadata: metadata::metadata(&told.metadata),
    };
    let plain = ClusterDetails::named(name);
    // How the one endpoint is chosen says nothing.
    let is_plain = ClusterDetails { balancing: plain.balancing, ..details.clone() } == plain;
    (first, (!is_plain).then_some(details))
}

#[cfg(test)]
mod tests {
    use proxy_wasm_abi::clusters::Balancing;
    use proxy_wasm_abi::routing::RouteTable;

    use super::*;
    use crate::settings::parse;

    fn resolve(text: &str) -> Result<Vec<ClusterDetails>, Vec<String>> {
        let input =
            parse("t", &format!("upstream = 'http://u'\n{text}")).map_err(|problem| vec![problem.to_string()])?;
        let resolved = input.resolve(1, &|_| Err("no files".into()));
        let settings = resolved.map_err(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())?.settings;
        let table = RouteTable::decode(&settings.routing).unwrap_or_default();
        assert!(table.virtual_hosts.is_empty() && settings.default_route().is_some());
        Ok(table.clusters)
    }

    #[test]
    fn one_place_is_nothing_more_to_know() {
        for text in [
            "clusters.a = 'http://a'",
            "[clusters.a]\nurl = 'http://a'\nlb_policy = 'random'",
            "[clusters.a]\nendpoints = ['http://a']",
        ] {
            assert_eq!(resolve(text), Ok(Vec::new()), "{text}");
        }
    }

    #[test]
    fn several_places_with_weights() {
        let text = "[clusters.a]\nendpoints = ['http://a', { url = 'https://b', weight = 3 }]\nlb_policy = 'random'";
        let [details] = resolve(text).unwrap().try_into().unwrap();
        let places: Vec<_> =
            details.endpoints.iter().map(|one| (one.origin.tls, one.origin.authority.as_str(), one.weight)).collect();
        assert_eq!(places, [(false, "a", 1), (true, "b", 3)]);
        assert_eq!((details.balancing, details.http2), (Balancing::Random, false));
        let [details] =
            resolve("[clusters.a]\nendpoints = [{ url = 'http://a:1', hostname = 'b' }]").unwrap().try_into().unwrap();
        assert_eq!(details.endpoints[0].name(), Some("b"));
        let [details] = resolve("[clusters.a]\nurl = 'http://a'\nhttp2 = true").unwrap().try_into().unwrap();
        assert!(details.http2 && details.endpoints.is_empty());
    }

    #[test]
    fn what_is_wrong() {
        for (text, problem) in [
            ("[clusters.a]", "the cluster `a` has not exactly one of `url` and `endpoints`"),
            (
                "[clusters.a]\nurl = 'http://a'\nendpoints = ['http://b']",
                "the cluster `a` has not exactly one of `url` and `endpoints`",
            ),
            (
                "[clusters.a]\nendpoints = ['http://a', { url = 'http://b', weight = 0 }]",
                "the cluster `a` has endpoints whose weights are 0 or too large together",
            ),
            ("[clusters.a]\nendpoints = ['a:80']", "the cluster `a` cannot be at `a:80`: it has no scheme"),
        ] {
            assert_eq!(resolve(text), Err(vec![problem.to_owned()]), "{text}");
        }
        let unknown = resolve("[clusters.a]\nurl = 'http://a'\nweight = 1").unwrap_err().remove(0);
        assert!(unknown.contains("unknown field `weight`"), "{unknown}");
    }
}
