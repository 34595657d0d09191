//! How a message passes the filters: Envoy's `FilterManager`.
//!
//! ```text
//!   edge ──► headers ──► data ──► trailers ──┐     each piece is shown to one filter after the other …
//!               │          │          │      │
//!               └──────────┴──────────┘      └───► leave ──► router, edge      … until the last one let it go
//!                          │ a filter holds
//!                          ▼
//!                       resume ──► headers, data, trailers of what it held, from the next filter on
//! ```
//!
//! | file | holds | Envoy |
//! |---|---|---|
//! | `headers` | the head's way, and what the headers callbacks' return values mean | `decodeHeaders`, `commonHandleAfterHeadersCallback` |
//! | `data` | the body's way: what a filter is offered, what follows | `decodeData`, `commonHandleAfterDataCallback` |
//! | `trailers` | the trailers' way | `decodeTrailers`, `commonHandleAfterTrailersCallback` |
//! | `resume` | a filter continues | `commonContinue` |
//! | `leave` | the last filter let something go | the router; `FilterManagerCallbacks` of the connection manager |
//! | `local_reply` | the proxy answers itself | `FilterManager::sendLocalReply` |
//! | `preflight` | the table of routes answers a preflight | `CorsFilter` |
//!
//! Both directions are alike, so the code is one: a request passes the plugins in their order, a response in the reverse
//! one. A *step* is how many filters of its way a message has behind it.

mod data;
mod headers;
mod leave;
mod local_reply;
mod preflight;
mod resume;
mod trailers;

use crate::{chain::Chain, environment::Guest, state::PluginInStream, stream::Direction};

impl<G: Guest> Chain<G> {
    /// The plugins of a stream from this step of a message's way on.
    fn plugins_from(
        &self,
        stream: u32,
        direction: Direction,
        step: usize,
    ) -> impl Iterator<Item = PluginInStream> + use<G> {
        let count = self.len();
        (step..count).map(move |step| {
            let plugin = if direction == Direction::Request { step } else { count - 1 - step };
            PluginInStream { stream, plugin }
        })
    }

    /// Which step of a message's way this plugin is.
    fn step(&self, at: PluginInStream, direction: Direction) -> usize {
        if direction == Direction::Request { at.plugin } else { self.len() - 1 - at.plugin }
    }

    /// Whether pieces that the upstream sends are ignored, as the response is the proxy's own.
    fn answered(&self, id: u32, direction: Direction) -> bool {
        self.state.borrow().streams.get(id).is_some_and(|stream| stream.answered(direction))
    }
}
