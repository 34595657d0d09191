//! When a request is sent to its cluster once more.

use serde::{Deserialize, Serialize};

use crate::routing::HeaderMatch;

/// When a request is sent once more, and how often. Source: Envoy's `RetryPolicy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// For which outcomes.
    pub on: Vec<RetryOn>,
    /// How often after the first time.
    pub retries: u32,
    /// Milliseconds that each try has, from the end of the request on; 0 is no limit.
    pub per_try_timeout_ms: u64,
    /// The statuses that [`RetryOn::RetriableStatusCodes`] means.
    pub statuses: Vec<u16>,
    /// The response's headers that [`RetryOn::RetriableHeaders`] means: one of these.
    pub headers: Vec<HeaderMatch>,
    /// Less than so many milliseconds go by before the first retry, by chance; before each further one, twice as many.
    pub base_interval_ms: u64,
    /// But never more than these.
    pub max_interval_ms: u64,
}

impl RetryPolicy {
    /// Milliseconds before the first retry, unless a policy says otherwise. Source: Envoy's `RetryStateImpl`.
    pub const BASE_INTERVAL_MS: u64 = 25;
    /// The longest time before a retry, unless a policy says otherwise, in units of the one before the first.
    pub const MAX_INTERVAL_BASES: u64 = 10;
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            on: Vec::new(),
            retries: 1,
            per_try_timeout_ms: 0,
            statuses: Vec::new(),
            headers: Vec::new(),
            base_interval_ms: Self::BASE_INTERVAL_MS,
            max_interval_ms: Self::BASE_INTERVAL_MS * Self::MAX_INTERVAL_BASES,
        }
    }
}

macro_rules! retry_on {
    ($($(#[$of:meta])* $value:ident = $name:literal,)+) => {
        /// An outcome of a try.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum RetryOn {
            $($(#[$of])* #[serde(rename = $name)] $value,)+
        }

        impl RetryOn {
            /// All of them, by Envoy's names.
            pub const ALL: &[(&str, Self)] = &[$(($name, Self::$value)),+];

            /// The one of this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
            }

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }
        }
    };
}

retry_on! {
    /// A status of 500 to 599, or no response.
    ServerError = "5xx",
    /// A status of 502, 503 or 504, or no response.
    GatewayError = "gateway-error",
    /// No response.
    Reset = "reset",
    /// No response, and the request was not sent.
    ResetBeforeRequest = "reset-before-request",
    /// No connection.
    ConnectFailure = "connect-failure",
    /// The cluster said that it does not process the request.
    RefusedStream = "refused-stream",
    /// The status 409.
    Retriable4xx = "retriable-4xx",
    /// A status of the policy's.
    RetriableStatusCodes = "retriable-status-codes",
    /// A header of the policy's.
    RetriableHeaders = "retriable-headers",
    /// The header `x-envoy-ratelimited`, for which there is no retry otherwise.
    EnvoyRatelimited = "envoy-ratelimited",
    /// `grpc-status` 1 in the head.
    Cancelled = "cancelled",
    /// `grpc-status` 4 in the head.
    DeadlineExceeded = "deadline-exceeded",
    /// `grpc-status` 8 in the head.
    ResourceExhausted = "resource-exhausted",
    /// `grpc-status` 13 in the head.
    Internal = "internal",
    /// `grpc-status` 14 in the head.
    Unavailable = "unavailable",
}
