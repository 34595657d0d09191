//! The tries that a request has at its cluster.
//!
//! ```text
//!            ┌──────────── try_again ◄── back-off ───────────┐
//!            ▼                                               │ retry_after
//!   sent ──► a try ── its outcome is one of the policy's, and tries are left
//!            │
//!            └─── any other ──► the outcome is the upstream's answer
//! ```
//!
//! Source: Envoy's `RetryStateImpl`. Its limit of three requests of a cluster that wait for a retry at once is not here.

use proxy_wasm_abi::{
    retries::{RetryOn, RetryPolicy},
    routing::{AttemptCount, HeaderMatch, HeaderValueMatch},
};

use crate::{
    chain::Chain,
    environment::{Guest, Host},
    headers::HeaderMap,
    local_reply::LocalReply,
    router::{self, Destination, UpstreamFailure, flags},
    stream::{Direction, MapKind},
};

use super::{expressions::Expressions, matches, random};

/// The header by which both sides are told how often a request was sent.
pub(super) const ATTEMPT_COUNT: &[u8] = b"x-envoy-attempt-count";

/// What became of a try.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// This head came.
    Head(&'a HeaderMap),
    /// No head came.
    Failed(UpstreamFailure),
}

/// The tries of a request that has a route to a cluster.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// When there is another one.
    policy: Option<Policy>,
    /// Milliseconds that each has; 0 is no limit.
    time_ms: u64,
    /// How many there were.
    count: u32,
    /// Whether the cluster and the client are told.
    told: AttemptCount,
    cluster: Vec<u8>,
}

/// A policy as far as it is not used up.
#[derive(Debug)]
struct Policy {
    on: Vec<RetryOn>,
    left: u32,
    statuses: Vec<u16>,
    headers: Vec<HeaderMatch>,
    interval_ms: u64,
    max_interval_ms: u64,
}

fn number(headers: &HeaderMap, name: &[u8]) -> Option<u64> {
    std::str::from_utf8(headers.get(name)?).ok()?.trim().parse().ok()
}

/// The parts between commas.
fn list<'a>(headers: &'a HeaderMap, name: &[u8]) -> impl Iterator<Item = &'a str> {
    let text = headers.get(name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

impl Tries {
    /// The tries that a route and the headers of a request say, which filters may have added.
    pub(super) fn new(
        route: Option<&RetryPolicy>,
        headers: &HeaderMap,
        timeout_ms: u64,
        told: AttemptCount,
        cluster: &[u8],
    ) -> Self {
        let by_route = route.map_or(0, |route| route.per_try_timeout_ms);
        let time_ms = number(headers, b"x-envoy-upstream-rq-per-try-timeout-ms").unwrap_or(by_route);
        // One that is no shorter than that of all tries is none.
        let time_ms = if timeout_ms > 0 && time_ms >= timeout_ms { 0 } else { time_ms };
        Self { policy: Policy::new(route, headers), time_ms, count: 1, told, cluster: cluster.to_vec() }
    }

    /// Tells the cluster how often the request was sent, where it is to know.
    pub(super) fn tell_cluster(&self, headers: &mut HeaderMap) {
        if self.told.request {
            headers.set(ATTEMPT_COUNT, self.count.to_string());
        }
    }

    /// The same for the client.
    pub(super) fn tell_client(&self, headers: &mut HeaderMap) {
        if self.told.response {
            headers.set(ATTEMPT_COUNT, self.count.to_string());
        }
    }

    /// The same in the router's own answer.
    pub(super) fn tell_client_of_failure(&self, headers: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        if self.told.response {
            headers.push((ATTEMPT_COUNT.to_vec(), self.count.to_string().into_bytes()));
        }
    }

    /// Milliseconds that each try has, where that is less than all have.
    pub(super) fn time_ms(&self) -> Option<u64> {
        (self.time_ms > 0).then_some(self.time_ms)
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

impl Policy {
    fn new(route: Option<&RetryPolicy>, headers: &HeaderMap) -> Option<Self> {
        let route = route.cloned().unwrap_or_default();
        let mut on = route.on;
        let named = list(headers, b"x-envoy-retry-on").chain(list(headers, b"x-envoy-retry-grpc-on"));
        on.extend(named.filter_map(RetryOn::named));
        if on.is_empty() {
            return None;
        }
        let left = number(headers, b"x-envoy-max-retries").and_then(|most| most.try_into().ok());
        let mut statuses = route.statuses;
        statuses.extend(list(headers, b"x-envoy-retriable-status-codes").filter_map(|code| code.parse::<u16>().ok()));
        let mut conditions = route.headers;
        conditions.extend(list(headers, b"x-envoy-retriable-header-names").map(|name| HeaderMatch {
            name: name.to_ascii_lowercase(),
            value: HeaderValueMatch::Present(true),
            invert: false,
            missing_as_empty: false,
        }));
        Some(Self {
            on,
            left: left.unwrap_or(route.retries),
            statuses,
            headers: conditions,
            interval_ms: route.base_interval_ms.max(1),
            max_interval_ms: route.max_interval_ms.max(1),
        })
    }

    fn has(&self, condition: RetryOn) -> bool {
        self.on.contains(&condition)
    }

    /// Whether this outcome is one for which there is another try.
    fn is_for(&self, outcome: Outcome<'_>, expressions: &Expressions) -> bool {
        match outcome {
            Outcome::Head(headers) => self.is_for_head(headers, expressions),
            Outcome::Failed(UpstreamFailure::Overflow) => false,
            Outcome::Failed(failure) => {
                let is_unsent = failure == UpstreamFailure::ConnectionFailed;
                self.has(RetryOn::Reset)
                    || self.has(RetryOn::ServerError)
                    || self.has(RetryOn::GatewayError)
                    || is_unsent && (self.has(RetryOn::ConnectFailure) || self.has(RetryOn::ResetBeforeRequest))
            }
        }
    }

    fn is_for_head(&self, headers: &HeaderMap, expressions: &Expressions) -> bool {
        if headers.contains(b"x-envoy-ratelimited") {
            return self.has(RetryOn::EnvoyRatelimited);
        }
        let status = router::status(headers).unwrap_or(0);
        let by_grpc = match number(headers, b"grpc-status") {
            Some(1) => Some(RetryOn::Cancelled),
            Some(4) => Some(RetryOn::DeadlineExceeded),
            Some(8) => Some(RetryOn::ResourceExhausted),
            Some(13) => Some(RetryOn::Internal),
            Some(14) => Some(RetryOn::Unavailable),
            _ => None,
        };
        (self.has(RetryOn::ServerError) && (500..600).contains(&status))
            || (self.has(RetryOn::GatewayError) && (502..=504).contains(&status))
            || (self.has(RetryOn::Retriable4xx) && status == 409)
            || (self.has(RetryOn::RetriableStatusCodes) && self.statuses.contains(&status))
            || (self.has(RetryOn::RetriableHeaders)
                && self.headers.iter().any(|condition| matches::header(condition, headers, expressions)))
            || by_grpc.is_some_and(|condition| self.has(condition))
    }

    /// Milliseconds until the next try. Source: Envoy's `JitteredExponentialBackOffStrategy`.
    fn back_off(&mut self, host: &dyn Host) -> u64 {
        let interval = self.interval_ms;
        self.interval_ms = interval.saturating_mul(2).min(self.max_interval_ms);
        random(host) % interval.max(1)
    }
}

impl<G: Guest> Chain<G> {
    /// Bytes of a request's body that are kept for another try; `None` where there is none.
    pub fn kept_bytes(&self, id: u32) -> Option<usize> {
        let state = self.state.borrow();
        let stream = state.streams.get(id)?;
        stream.choice.tries.as_ref()?.policy.as_ref()?;
        Some(stream.buffer_limit(state.settings.connection.buffer_limit))
    }

    /// Milliseconds that a try has from the end of the request on; 0 is no limit.
    pub fn try_timeout_ms(&self, id: u32) -> u64 {
        let state = self.state.borrow();
        let tries = state.streams.get(id).and_then(|stream| stream.choice.tries.as_ref());
        tries.map_or(0, |tries| tries.time_ms)
    }

    /// Milliseconds until another try, where there is one after this outcome.
    pub fn retry_after(&self, id: u32, outcome: Outcome<'_>) -> Option<u64> {
        let state = &mut *self.state.borrow_mut();
        let stream = state.streams.get_mut(id)?;
        if stream.is_answered_locally() || stream.response_ended() {
            return None;
        }
        let policy = stream.choice.tries.as_mut()?.policy.as_mut()?;
        if !policy.is_for(outcome, state.routing.expressions()) {
            return None;
        }
        match policy.left.checked_sub(1) {
            Some(left) => {
                policy.left = left;
                Some(policy.back_off(&*self.host))
            }
            None => {
                stream.facts.response_flags |= flags::RETRY_LIMIT_EXCEEDED;
                None
            }
        }
    }

    /// Another try begins, with the head of the one before. Says where it goes, unless nothing is wanted any more.
    pub fn try_again(&self, id: u32, headers: &mut HeaderMap) -> Option<Destination> {
        let state = &mut *self.state.borrow_mut();
        let stream = state.streams.get_mut(id)?;
        if stream.is_answered_locally() || stream.response_ended() {
            return None;
        }
        let tries = stream.choice.tries.as_mut()?;
        tries.count += 1;
        let before = headers.clone();
        tries.tell_cluster(headers);
        let cluster = state.settings.cluster(&tries.cluster)?;
        let next = state.routing.next_endpoint(&state.settings, stream, cluster, &*self.host, headers);
        // What the cluster is told anew the filters see, too: Envoy sends the head that they have.
        if let Some(shown) = stream.message_mut(Direction::Request).map_mut(MapKind::Headers) {
            for name in [ATTEMPT_COUNT, b":authority"] {
                if let Some(told) = headers.get(name).filter(|told| before.get(name) != Some(told)) {
                    shown.set(name, told);
                }
            }
        }
        Some(Destination::Upstream(next))
    }

    /// A request grew too large to be sent once more. `waits` says that it was to be: then it is refused. Source: Envoy's
    /// `Router::Filter::decodeData`.
    pub fn outgrew_retries(&self, id: u32, waits: bool) {
        if let Some(stream) = self.state.borrow_mut().streams.get_mut(id)
            && let Some(tries) = &mut stream.choice.tries
        {
            tries.policy = None;
        }
        if waits {
            let details = "request_payload_exceeded_retry_buffer_limit";
            self.local_reply(
                id,
                LocalReply::new(507, "exceeded request buffer limit while retrying upstream", details),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Kind;

    fn request(pairs: &[(&str, &str)]) -> HeaderMap {
        HeaderMap::from_pairs(Kind::Request, pairs.iter().copied())
    }

    fn response(pairs: &[(&str, &str)]) -> HeaderMap {
        HeaderMap::from_pairs(Kind::Response, pairs.iter().copied())
    }

    fn is_for(on: &[RetryOn], outcome: Outcome<'_>) -> bool {
        let statuses = vec![429];
        let headers = vec![HeaderMatch {
            name: "x-again".into(),
            value: HeaderValueMatch::Present(true),
            invert: false,
            missing_as_empty: false,
        }];
        let route = RetryPolicy { on: on.to_vec(), statuses, headers, ..RetryPolicy::default() };
        let policy = Policy::new(Some(&route), &request(&[])).unwrap();
        policy.is_for(outcome, &Expressions::default())
    }

    #[test]
    fn statuses() {
        use RetryOn as On;
        for (on, yes, no) in [
            (On::ServerError, "500", "600"),
            (On::ServerError, "599", "499"),
            (On::GatewayError, "502", "500"),
            (On::GatewayError, "504", "505"),
            (On::Retriable4xx, "409", "408"),
            (On::RetriableStatusCodes, "429", "503"),
        ] {
            assert!(is_for(&[on], Outcome::Head(&response(&[(":status", yes)]))), "{on:?} {yes}");
            assert!(!is_for(&[on], Outcome::Head(&response(&[(":status", no)]))), "{on:?} {no}");
        }
    }

    #[test]
    fn headers_of_responses() {
        use RetryOn as On;
        let head = |name, value| response(&[(":status", "200"), (name, value)]);
        assert!(is_for(&[On::RetriableHeaders], Outcome::Head(&head("x-again", ""))));
        assert!(!is_for(&[On::RetriableHeaders], Outcome::Head(&head("x-other", ""))));
        assert!(is_for(&[On::Unavailable], Outcome::Head(&head("grpc-status", "14"))));
        assert!(!is_for(&[On::Unavailable], Outcome::Head(&head("grpc-status", "13"))));
        let limited = response(&[(":status", "503"), ("x-envoy-ratelimited", "true")]);
        assert!(!is_for(&[On::ServerError], Outcome::Head(&limited)));
        assert!(is_for(&[On::EnvoyRatelimited], Outcome::Head(&limited)));
    }

    #[test]
    fn failures() {
        use {RetryOn as On, UpstreamFailure as Failure};
        for (on, failure, is) in [
            (On::ServerError, Failure::RemoteReset, true),
            (On::GatewayError, Failure::TryTimeout, true),
            (On::Reset, Failure::ConnectionTerminated, true),
            (On::Reset, Failure::Overflow, false),
            (On::ConnectFailure, Failure::ConnectionFailed, true),
            (On::ConnectFailure, Failure::ConnectionTerminated, false),
            (On::ResetBeforeRequest, Failure::ConnectionFailed, true),
            (On::RefusedStream, Failure::RemoteReset, false),
            (On::RetriableStatusCodes, Failure::ConnectionFailed, false),
        ] {
            assert_eq!(is_for(&[on], Outcome::Failed(failure)), is, "{on:?} {failure:?}");
        }
    }

    #[test]
    fn headers_of_requests_add_to_the_policy() {
        assert!(Policy::new(None, &request(&[("x-envoy-max-retries", "3")])).is_none());
        assert!(Policy::new(None, &request(&[("x-envoy-retry-on", "parsecs")])).is_none());
        let head = request(&[
            ("x-envoy-retry-on", "5xx, retriable-status-codes"),
            ("x-envoy-retry-grpc-on", "cancelled"),
            ("x-envoy-max-retries", "3"),
            ("x-envoy-retriable-status-codes", "404,x,409"),
            ("x-envoy-retriable-header-names", "X-A"),
        ]);
        let policy = Policy::new(None, &head).unwrap();
        assert_eq!(policy.on, [RetryOn::ServerError, RetryOn::RetriableStatusCodes, RetryOn::Cancelled]);
        assert_eq!((policy.left, policy.statuses.as_slice()), (3, [404, 409].as_slice()));
        assert_eq!(policy.headers[0].name, "x-a");
    }

    #[test]
    fn a_try_is_shorter_than_all_of_them() {
        let policy = RetryPolicy { per_try_timeout_ms: 100, ..RetryPolicy::default() };
        let time = |timeout_ms, head: &[(&str, &str)]| {
            Tries::new(Some(&policy), &request(head), timeout_ms, Default::default(), b"c").time_ms
        };
        assert_eq!((time(0, &[]), time(101, &[]), time(100, &[])), (100, 100, 0));
        assert_eq!(time(100, &[("x-envoy-upstream-rq-per-try-timeout-ms", "7")]), 7);
    }
}
