//! Which pages of other origins may ask: what the levels of a table say, as one policy for each route.

use proxy_wasm_abi::cors::{Cors, CorsPolicy};
use proxy_wasm_abi::routing::TextMatch;

use super::routing::Reader;
use crate::settings::keys::Keys;
use crate::settings::{CorsInput, OriginInput, RoutingProblem};

/// What was said so far: the policies, and what holds for the routes that follow.
#[derive(Debug, Default)]
pub(super) struct Levels {
    policies: Vec<CorsPolicy>,
    table: Option<Level>,
    host: Option<Level>,
    route: Option<Level>,
}

/// What one table says, with its origins.
#[derive(Clone, Debug)]
struct Level(CorsInput, Vec<TextMatch>);

impl Levels {
    pub(super) fn into_cors(self, behind_plugins: bool) -> Cors {
        Cors { policies: self.policies, behind_plugins }
    }
}

impl Reader<'_> {
    pub(super) fn cors_of_table(&mut self, told: Option<&CorsInput>) {
        self.cors.table = told.map(|told| self.level(told));
    }

    pub(super) fn cors_of_host(&mut self, told: Option<&CorsInput>) {
        self.cors.host = told.map(|told| self.level(told));
    }

    /// The place of the policy of a route to clusters.
    pub(super) fn cors_of_route(&mut self, told: Option<&CorsInput>) -> Option<u32> {
        self.cors.route = told.map(|told| self.level(told));
        self.policy(None)
    }

    /// The same of one of the route's weighted clusters.
    pub(super) fn cors_of_cluster(&mut self, told: Option<&CorsInput>) -> Option<u32> {
        let level = told.map(|told| self.level(told));
        self.policy(level)
    }

    /// The nearest level says whether there is a policy. Source: Envoy's `CorsFilter::enabled`.
    fn policy(&mut self, nearest: Option<Level>) -> Option<u32> {
        let Levels { table, host, route, .. } = &self.cors;
        let mut levels = nearest.into_iter().chain([route, host, table].into_iter().flatten().cloned());
        let Level(nearest, origins) = levels.next()?;
        let is_enabled = nearest.enabled.unwrap_or(true);
        let (told, origins) = levels.fold((nearest, origins), |(told, origins), Level(below, others)| {
            (told.merged(below), if origins.is_empty() { others } else { origins })
        });
        let policy = CorsPolicy {
            origins,
            methods: told.allow_methods.unwrap_or_default(),
            headers: told.allow_headers.unwrap_or_default(),
            expose: told.expose_headers.unwrap_or_default(),
            max_age: told.max_age.unwrap_or_default(),
            credentials: told.allow_credentials.unwrap_or(false),
            private_network: told.allow_private_network.unwrap_or(false),
            forward_others: told.forward_not_matching_preflights.unwrap_or(true),
        };
        if !is_enabled {
            return None;
        }
        let policies = &mut self.cors.policies;
        let place = policies.iter().position(|known| *known == policy).unwrap_or_else(|| {
            policies.push(policy);
            policies.len() - 1
        });
        u32::try_from(place).ok()
    }

    fn level(&mut self, told: &CorsInput) -> Level {
        for (name, value) in [
            ("allow_methods", &told.allow_methods),
            ("allow_headers", &told.allow_headers),
            ("expose_headers", &told.expose_headers),
            ("max_age", &told.max_age),
        ] {
            if value.as_ref().is_some_and(|value| http::HeaderValue::from_str(value).is_err()) {
                self.problem(RoutingProblem::Value(name));
            }
        }
        Level(told.clone(), told.allow_origins.iter().map(|origin| self.origin(origin)).collect())
    }

    fn origin(&mut self, told: &OriginInput) -> TextMatch {
        const KEYS: &[&str] = &["exact", "prefix", "suffix", "contains", "regex"];
        let texts = [&told.exact, &told.prefix, &told.suffix, &told.contains, &told.regex];
        if texts.iter().all(|text| text.is_none()) {
            self.problem(RoutingProblem::OneOf(KEYS));
        }
        self.text(texts, told.ignore_case, KEYS)
    }
}

#[cfg(test)]
mod tests {
    use proxy_wasm_abi::routing::{Action, Forward, RouteTable, Target};

    use crate::settings::parse;

    fn resolve(text: &str) -> Result<RouteTable, Vec<String>> {
        let text = format!("{text}\n[clusters]\na = 'http://a'\n");
        let input = parse("t", &text).map_err(|problem| vec![problem.to_string()])?;
        let resolved = input.resolve(1, &|_| Err("no files".into()));
        let settings = resolved.map_err(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())?.settings;
        Ok(RouteTable::decode(&settings.routing).unwrap())
    }

    const HOST: &str = "[[virtual_host]]\nname = 'v'\ndomains = ['*']\n";

    #[test]
    fn the_nearest_level_that_says_a_key_counts() {
        let table = resolve(&format!(
            "[routes]\ncors = {{ allow_headers = 'x-table', max_age = '1' }}\ncors_behind_plugins = true\n{HOST}
             cors = {{ allow_origins = [{{ exact = 'http://a' }}], max_age = '2', allow_credentials = true }}
             [[virtual_host.route]]\ncluster = 'a'\ncors = {{ allow_methods = 'GET', allow_credentials = false }}
             [[virtual_host.route]]\ncluster = 'a'\ncors = {{ enabled = false }}
             [[virtual_host.route]]\nweighted_clusters = [
               {{ cluster = 'a', weight = 1, cors = {{ max_age = '3' }} }}, {{ cluster = 'a', weight = 1 }}]
             [[virtual_host.route]]\nredirect = {{ path = '/' }}"
        ))
        .unwrap();
        let routes = &table.virtual_hosts[0].routes;
        assert_eq!(routes.iter().map(|route| route.cors).collect::<Vec<_>>(), [Some(0), None, Some(1), None]);
        let Action::Forward(Forward { target: Target::Weighted(all), .. }) = &routes[2].action else { panic!() };
        assert_eq!([all[0].cors, all[1].cors], [Some(2), Some(1)]);
        assert!(table.cors.behind_plugins);
        let [first, second, third] = table.cors.policies.try_into().unwrap();
        assert_eq!((first.origins.len(), first.methods.as_str(), first.credentials), (1, "GET", false));
        assert_eq!((first.headers.as_str(), first.max_age.as_str()), ("x-table", "2"));
        assert_eq!((second.max_age.as_str(), third.max_age.as_str(), third.credentials), ("2", "3", true));
        assert!(third.forward_others && !third.private_network);
    }

    #[test]
    fn no_policy_costs_nothing() {
        let table = resolve(&format!("{HOST}[[virtual_host.route]]\ncluster = 'a'")).unwrap();
        assert_eq!(table.cors, Default::default());
        assert_eq!(table.virtual_hosts[0].routes[0].cors, None);
    }

    #[test]
    fn all_that_is_wrong_is_said_once() {
        let wrong = resolve(&format!(
            "{HOST}cors = {{ allow_origins = [{{ regex = '(' }}, {{}}], max_age = \"a\\nb\" }}
             [[virtual_host.route]]\ncluster = 'a'
             [[virtual_host.route]]\nredirect = {{ path = '/' }}\ncors = {{ allow_methods = 'GET' }}"
        ))
        .unwrap_err();
        assert_eq!(wrong.len(), 4, "{wrong:#?}");
        assert!(wrong[0].contains("`max_age` of `cors`"), "{wrong:#?}");
        assert!(wrong[1].contains("expression `(`"), "{wrong:#?}");
        assert!(wrong[2].contains("not exactly one of `exact`"), "{wrong:#?}");
        assert!(wrong[3].contains("`cors`, but leads to no cluster"), "{wrong:#?}");
    }
}
