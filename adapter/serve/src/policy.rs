//! What becomes of requests after a plugin failed: Envoy's failure policies.
//!
//! Under each of them the request that failed is answered 503, and a plugin that can't start at first is never served.
//! Plugins fail with their virtual machine, as there. Where it can't be told which one failed, nothing passes any more.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What to do with requests after a plugin failed, by a trap or in the start of a further instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum FailurePolicy {
    /// Answer them 503, as Envoy's `FAIL_CLOSED`
    Closed,
    /// Let them pass by the plugins that failed, as Envoy's `FAIL_OPEN`
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
    /// All is over.
    closed: bool,
    /// The virtual machines whose plugins are passed by.
    bypassed: BTreeSet<u32>,
    /// Until when no instance is made.
    pause: Option<Instant>,
}

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// An instance that is there, or a new one.
    Instance,
    /// An instance that is there.
    Present,
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
            _ if state.closed => Service::Nothing,
            FailurePolicy::Reload if state.pause.is_some_and(|pause| now < pause) => Service::Present,
            _ => Service::Instance,
        }
    }

    /// The virtual machines whose plugins are passed by from now on.
    pub(super) fn bypassed(&self) -> BTreeSet<u32> {
        self.state().bypassed.clone()
    }

    /// An instance failed that was made then: by this virtual machine, if that is known, which runs these plugins.
    pub(super) fn fail(&self, loaded: Instant, vm: Option<u32>, plugins: &str) {
        let mut state = self.state();
        // Source: Envoy, which counts from when the virtual machine was made, not from its failure.
        state.pause = state.pause.max(loaded.checked_add(self.backoff));
        match (self.policy, vm) {
            (FailurePolicy::Reload, _) => {}
            (FailurePolicy::Open, Some(vm)) => {
                if state.bypassed.insert(vm) {
                    tracing::error!("all requests pass by {plugins} from now on");
                }
            }
            (FailurePolicy::Closed, _) | (FailurePolicy::Open, None) => {
                if !std::mem::replace(&mut state.closed, true) {
                    tracing::error!("all requests are answered 503 from now on");
                }
            }
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
    fn closed_is_for_good() {
        let policy = Policy::new(FailurePolicy::Closed, Duration::from_secs(1));
        let now = Instant::now();
        assert_eq!(policy.service(now), Service::Instance);
        policy.fail(now, Some(0), "`a`");
        assert_eq!(policy.service(now + Duration::from_secs(9)), Service::Nothing);
    }

    #[test]
    fn open_is_for_good_and_for_what_failed() {
        let policy = Policy::new(FailurePolicy::Open, Duration::from_secs(1));
        let now = Instant::now();
        for (vm, bypassed) in [(1, BTreeSet::from([1])), (1, BTreeSet::from([1])), (0, BTreeSet::from([0, 1]))] {
            policy.fail(now, Some(vm), "`a`");
            assert_eq!((policy.service(now), policy.bypassed()), (Service::Instance, bypassed));
        }
        policy.fail(now, None, "`a` or `b`");
        assert_eq!(policy.service(now), Service::Nothing);
    }

    #[test]
    fn reload_pauses_from_when_the_instance_was_made() {
        let policy = Policy::new(FailurePolicy::Reload, Duration::from_secs(1));
        let (then, now) = (Instant::now(), Instant::now() + Duration::from_secs(2));
        policy.fail(then, None, "`a`");
        assert_eq!(policy.service(now), Service::Instance);
        policy.fail(now, Some(0), "`a`");
        policy.fail(then, Some(0), "`a`");
        assert_eq!(policy.service(now), Service::Present);
        assert_eq!(policy.service(now + Duration::from_secs(1)), Service::Instance);
        assert_eq!(policy.bypassed(), BTreeSet::new());
    }
}
