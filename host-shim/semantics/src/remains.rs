//! The data that an exchange leaves behind, for a host that logs it.

use crate::{
    headers::HeaderMap,
    state::ChainState,
    stream::{Direction, Stream},
};

/// The data of an exchange that is over.
#[derive(Debug)]
pub struct Remains {
    /// The request's head as the filters left it. Where a route has changed its path, it has the one that it came with, as
    /// Envoy's router notes it.
    pub request: Option<HeaderMap>,
    /// Why the response is what it is, in Envoy's words.
    pub details: Option<String>,
    /// Envoy's response flags, a bit set.
    pub flags: u64,
    /// The values that `proxy_set_property` stored, by path.
    pub properties: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Whether data of exchanges that are over is kept.
#[derive(Debug, Default)]
pub(crate) enum Keeping {
    /// Nothing: nobody asks.
    #[default]
    Nothing,
    /// That of the last one, until it is asked for.
    Last(Option<Remains>),
}

impl Keeping {
    /// A stream is over: `proxy_on_log` of all its plugins has returned. Envoy's access log does not have later
    /// changes either.
    pub(crate) fn keep(&mut self, stream: &Stream) {
        if let Self::Last(last) = self {
            let mut request = stream.message(Direction::Request).headers().cloned();
            if let (Some(request), Some(path)) = (&mut request, &stream.facts.original_path) {
                request.set(b"x-envoy-original-path", path);
            }
            *last = Some(Remains {
                request,
                details: stream.facts.response_code_details.clone(),
                flags: stream.facts.response_flags,
                properties: stream.filter_state.clone(),
            });
        }
    }
}

impl ChainState {
    /// The data of the exchange that ended last, once, where any is kept.
    pub fn last_remains(&mut self) -> Option<Remains> {
        match &mut self.keeping {
            Keeping::Last(last) => last.take(),
            Keeping::Nothing => None,
        }
    }

    /// The data of the exchange that ended last, once. It is kept from the first call on.
    pub fn take_remains(&mut self) -> Option<Remains> {
        match std::mem::replace(&mut self.keeping, Keeping::Last(None)) {
            Keeping::Last(last) => last,
            Keeping::Nothing => None,
        }
    }
}
