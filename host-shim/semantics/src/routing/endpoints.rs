//! Which of a cluster's endpoints a request goes to. Source: Envoy's `RoundRobinLoadBalancer` and `RandomLoadBalancer`.
//!
//! No endpoint is left out because it failed: Envoy does that where health is checked, which a component can't.

use std::{cell::RefCell, collections::BTreeMap};

use proxy_wasm_abi::clusters::{Balancing, ClusterDetails, Endpoint};

use crate::environment::Host;

use super::random;

/// How far an endpoint of weight 1 goes with each request that it gets.
const STRIDE: u64 = 1 << 32;

/// The most requests that count as past when an instance is new. It begins somewhere in the turn, as a worker of Envoy's
/// does: else all short-lived instances would ask the first endpoint.
const PAST_MAX: u64 = 1024;

/// The turns of all clusters of several endpoints, by name, as far as they were asked.
#[derive(Debug, Default)]
pub(super) struct Turns {
    turns: RefCell<BTreeMap<String, Turn>>,
}

/// Whose turn it is: the endpoint's that has come least far. One that weighs twice as much goes half as far each time.
#[derive(Debug)]
struct Turn {
    reached: Vec<u64>,
}

impl Turn {
    fn new(endpoints: &[Endpoint], past: u64) -> Self {
        let mut turn = Self { reached: endpoints.iter().map(stride).collect() };
        for _ in 0..past {
            turn.next(endpoints);
        }
        turn
    }

    fn next(&mut self, endpoints: &[Endpoint]) -> usize {
        let least = (0..endpoints.len()).min_by_key(|at| self.reached[*at]).unwrap_or(0);
        if let Some(reached) = self.reached.get_mut(least) {
            *reached = reached.saturating_add(stride(&endpoints[least]));
        }
        least
    }
}

fn stride(endpoint: &Endpoint) -> u64 {
    STRIDE / u64::from(endpoint.weight).max(1)
}

impl Turns {
    /// The endpoint for the next request, or none where the cluster has but the one that the settings know.
    pub(super) fn next<'a>(&self, cluster: &'a ClusterDetails, host: &dyn Host) -> Option<&'a Endpoint> {
        let endpoints = cluster.endpoints.as_slice();
        let all: u64 = endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
        let at = match cluster.balancing {
            _ if endpoints.is_empty() => return None,
            Balancing::Random => usize::try_from(random(host) % endpoints.len() as u64).unwrap_or(0),
            Balancing::RoundRobin => {
                let mut turns = self.turns.borrow_mut();
                if !turns.contains_key(&cluster.name) {
                    let past = random(host) % all.clamp(1, PAST_MAX);
                    turns.insert(cluster.name.clone(), Turn::new(endpoints, past));
                }
                turns.get_mut(&cluster.name)?.next(endpoints)
            }
        };
        endpoints.get(at)
    }
}

#[cfg(test)]
mod tests {
    use proxy_wasm_abi::settings::Origin;

    use super::*;

    fn endpoints(weights: &[u32]) -> Vec<Endpoint> {
        let endpoint = |(at, weight): (usize, &u32)| Endpoint {
            origin: Origin { tls: false, authority: at.to_string() },
            weight: *weight,
            hostname: None,
        };
        weights.iter().enumerate().map(endpoint).collect()
    }

    fn picks(weights: &[u32], past: u64, count: usize) -> Vec<usize> {
        let endpoints = endpoints(weights);
        let mut turn = Turn::new(&endpoints, past);
        (0..count).map(|_| turn.next(&endpoints)).collect()
    }

    #[test]
    fn one_after_the_other() {
        assert_eq!(picks(&[1, 1, 1], 0, 5), [0, 1, 2, 0, 1]);
        assert_eq!(picks(&[1, 1, 1], 2, 3), [2, 0, 1]);
        assert_eq!(picks(&[5, 5], 0, 4), [0, 1, 0, 1]);
        assert_eq!(picks(&[9], 3, 2), [0, 0]);
    }

    #[test]
    fn by_weight_wherever_it_begins() {
        for past in 0..5 {
            let mut counts = [0; 3];
            for at in picks(&[1, 3, 2], past, 60) {
                counts[at] += 1;
            }
            assert_eq!(counts, [10, 30, 20], "{past}");
        }
        // Over all that an instance may have behind it, its first pick is as its weight says.
        let first: Vec<_> = (0..4).map(|past| picks(&[1, 3], past, 1)[0]).collect();
        assert_eq!(first.iter().filter(|at| **at == 0).count(), 1);
    }
}
