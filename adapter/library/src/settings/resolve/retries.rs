//! When a request is sent once more.

use proxy_wasm_abi::retries::{RetryOn, RetryPolicy};

use super::routing::Reader;
use crate::settings::{RetryInput, RoutingProblem};

impl Reader<'_> {
    pub(super) fn retry(&mut self, told: &RetryInput) -> RetryPolicy {
        let on = |name: &String| {
            let found = RetryOn::named(name);
            if found.is_none() {
                self.problem(RoutingProblem::RetryOn(name.clone()));
            }
            found
        };
        let on = told.retry_on.iter().filter_map(on).collect();
        let base = told.base_interval.unwrap_or(RetryPolicy::BASE_INTERVAL_MS);
        let max = told.max_interval.unwrap_or(base.saturating_mul(RetryPolicy::MAX_INTERVAL_BASES));
        if base == 0 || max < base {
            self.problem(RoutingProblem::BackOff { base, max });
        }
        RetryPolicy {
            on,
            retries: told.num_retries.unwrap_or(1),
            per_try_timeout_ms: told.per_try_timeout.unwrap_or(0),
            statuses: told.retriable_status_codes.clone(),
            headers: told.retriable_headers.iter().map(|one| self.header_match(one)).collect(),
            base_interval_ms: base,
            max_interval_ms: max,
        }
    }
}

#[cfg(test)]
mod tests {
    use proxy_wasm_abi::routing::{Action, RouteTable};

    use super::*;
    use crate::settings::parse;

    fn resolve(text: &str) -> Result<RetryPolicy, Vec<String>> {
        let input = parse("t", text).map_err(|problem| vec![problem.to_string()])?;
        let resolved = input.resolve(1, &|_| Err("no files".into()));
        let settings = resolved.map_err(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())?.settings;
        let table = RouteTable::decode(&settings.routing).unwrap();
        let Action::Forward(forward) = &table.virtual_hosts[0].routes[0].action else { panic!("no cluster") };
        Ok(forward.retry.clone().unwrap())
    }

    #[test]
    fn a_route_says_when_it_retries_or_its_virtual_host() {
        let end = "\n[clusters]\na = 'http://a'\n";
        let route = "[[route]]\ncluster = 'a'\nretry_policy = { retry_on = ['5xx', 'reset'], num_retries = 3, per_try_timeout = '1s', base_interval = 5 }";
        let policy = resolve(&format!("{route}{end}")).unwrap();
        assert_eq!(policy.on, [RetryOn::ServerError, RetryOn::Reset]);
        assert_eq!((policy.retries, policy.per_try_timeout_ms), (3, 1000));
        assert_eq!((policy.base_interval_ms, policy.max_interval_ms), (5, 50));
        let host = "[[virtual_host]]\nname = 'v'\ndomains = ['*']\nretry_policy = { retry_on = ['reset'] }\n[[virtual_host.route]]\ncluster = 'a'";
        let policy = resolve(&format!("{host}{end}")).unwrap();
        assert_eq!(policy, RetryPolicy { on: vec![RetryOn::Reset], ..RetryPolicy::default() });
    }

    #[test]
    fn what_is_wrong() {
        let wrong = |policy: &str| {
            resolve(&format!("[[route]]\ncluster = 'a'\nretry_policy = {policy}\n[clusters]\na = 'http://a'\n"))
        };
        assert_eq!(
            wrong("{ retry_on = ['4xx'], base_interval = 10, max_interval = 9 }"),
            Err(vec![
                "route 1 has `4xx` in `retry_on`, which is no outcome".into(),
                "route 1 has a back-off of 10 milliseconds at first and 9 at most, which cannot be".into(),
            ])
        );
    }
}
