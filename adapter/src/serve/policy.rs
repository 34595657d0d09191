//! What becomes of requests after a plugin failed: Envoy's failure policies.
//!
//! Under each of them the request that failed is answered 503, and a plugin that can't start at first is never served.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What to do with requests after a plugin failed, by a trap or in the start of a further instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum FailurePolicy {
    /// Answer them 503, as Envoy's `FAIL_CLOSED`
    Closed,
    /// Let them pass without the filter, as Envoy's `FAIL_OPEN`
    Open,
    /// Give them other instances, as Envoy's `FAIL_RELOAD`
    #[default]
    Reload,
}

/// The policy, and what happened so far.
#[derive(Debug)]
pub(super) struct Policy {
    policy: FailurePolicy,
    backoff: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failed: bool,
    /// Until when no instance is made.
    pause: Option<Instant>,
}

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// The filter, in an instance that is there or a new one.
    Filter,
    /// The filter, in an instance that is there.
    Present,
    /// What is behind the filter.
    Bypass,
    /// 503.
    Nothing,
}

impl Policy {
    pub(super) fn new(policy: FailurePolicy, backoff: Duration) -> Self {
        Self { policy, backoff, state: Mutex::default() }
    }

    /// What a request gets now.
    pub(super) fn service(&self, now: Instant) -> Service {
        let state = self.state();
        match self.policy {
            FailurePolicy::Closed if state.failed => Service::Nothing,
            FailurePolicy::Open if state.failed => Service::Bypass,
            FailurePolicy::Reload if state.pause.is_some_and(|pause| now < pause) => Service::Present,
            _ => Service::Filter,
        }
    }

    /// Whether requests get the filter no more.
    pub(super) fn has_given_up(&self) -> bool {
        self.policy != FailurePolicy::Reload && self.state().failed
    }

    /// An instance failed that was made then.
    pub(super) fn fail(&self, loaded: Instant) {
        let first = {
            let mut state = self.state();
            // Source: Envoy, which counts from when the virtual machine was made, not from its failure.
            state.pause = state.pause.max(loaded.checked_add(self.backoff));
            !std::mem::replace(&mut state.failed, true)
        };
        match self.policy {
            FailurePolicy::Closed if first => tracing::error!("all requests are answered 503 from now on"),
            FailurePolicy::Open if first => tracing::error!("all requests pass without the filter from now on"),
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_and_open_are_for_good() {
        for (policy, then) in [(FailurePolicy::Closed, Service::Nothing), (FailurePolicy::Open, Service::Bypass)] {
            let policy = Policy::new(policy, Duration::from_secs(1));
            let now = Instant::now();
            assert_eq!((policy.service(now), policy.has_given_up()), (Service::Filter, false));
            policy.fail(now);
            assert_eq!((policy.service(now + Duration::from_secs(9)), policy.has_given_up()), (then, true));
        }
    }

    #[test]
    fn reload_pauses_from_when_the_instance_was_made() {
        let policy = Policy::new(FailurePolicy::Reload, Duration::from_secs(1));
        let (then, now) = (Instant::now(), Instant::now() + Duration::from_secs(2));
        policy.fail(then);
        assert_eq!(policy.service(now), Service::Filter);
        policy.fail(now);
        policy.fail(then);
        assert_eq!(policy.service(now), Service::Present);
        assert_eq!(policy.service(now + Duration::from_secs(1)), Service::Filter);
        assert!(!policy.has_given_up());
    }
}
