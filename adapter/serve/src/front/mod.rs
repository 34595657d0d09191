//! What is before hyper on the way in: it looks at the bytes of HTTP/1.1 that hyper hides, and tells hyper only what can
//! be read in one way.
//!
//! hyper takes requests that Envoy refuses, and refuses some that Envoy takes. Both matter to a filter that guards an
//! upstream: what the filter judges has to be what the upstream gets, whoever reads it there. So each head is read here,
//! judged as Envoy judges it, and written anew; each chunk too. The targets go beside the bytes, as hyper's type for them
//! has no place for `<`, `>`, `"` and a backtick. What is refused hyper gets as a request as well, and the answer here: so
//! it is sent behind those before it, and hyper closes the connection.
//!
//! | file | idea |
//! |---|---|
//! | `walk` | from one request of a connection to the next |
//! | `head` | a request's head, as a whole |
//! | `line` | the request line |
//! | `http2` | the same for what hyper made of HTTP/2 |
//! | `refusal` | what is answered instead |
//! | `stream` | the connection as hyper sees it |
//!
//! How fields, lengths and chunks are read stands in `serve/wire`, for answers too. All but `stream` do no I/O. The suite `wire` compares what they do with Envoy.

mod head;
mod http2;
mod line;
mod refusal;
mod stream;
mod walk;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};
use tokio::sync::oneshot;

use super::target::RawTarget;
pub(super) use http2::are_trailers;
pub(super) use refusal::Refusal;
pub(super) use stream::Front;
#[cfg(feature = "fuzzing")]
pub(crate) use walk::{Event, Walk};

/// Whether these bytes can be those of `host`.
fn is_host_field(host: &[u8]) -> bool {
    host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@[]%".contains(byte))
}

/// What is known of the requests that hyper has still to read from a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals(Arc<Mutex<VecDeque<Arrival>>>);

/// A request's head that was judged.
#[derive(Debug)]
struct Arrival {
    /// Where its head was read.
    method: Option<&'static str>,
    target: String,
    verdict: Option<Refusal>,
    body: Body,
}

/// What becomes of a request's body.
#[derive(Debug)]
pub(super) struct Body(Option<oneshot::Receiver<Refusal>>);

impl Body {
    /// Waits until it turns out that it is none; for ever, if it does not.
    pub(super) async fn broken(self) -> Refusal {
        if let Some(broken) = self.0
            && let Ok(refusal) = broken.await
        {
            return refusal;
        }
        std::future::pending().await
    }
}

impl Arrivals {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arrival>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a request that hyper read, and makes of it what its client sent.
    pub(super) fn judge<B>(&self, request: &mut Request<B>) -> Result<Body, Refusal> {
        if request.version() == Version::HTTP_2 {
            return http2::judge(request).map(|()| Body(None));
        }
        // hyper reads nothing that was not told of before.
        let arrival = self.lock().pop_front().ok_or(Refusal::BAD_REQUEST)?;
        // What hyper read in the place of one that is refused is none of the client's.
        if let Some(method) = arrival.method.and_then(|method| Method::from_bytes(method.as_bytes()).ok()) {
            *request.method_mut() = method;
        }
        match PathAndQuery::try_from(arrival.target.as_str()) {
            Ok(path) if path.as_str() == arrival.target => *request.uri_mut() = Uri::from(path),
            _ => drop(request.extensions_mut().insert(RawTarget(arrival.target))),
        }
        if let Some(refusal) = arrival.verdict {
            return Err(refusal);
        }
        Ok(arrival.body)
    }
}
