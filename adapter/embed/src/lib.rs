//! Envoy's proxy-wasm filters in your own Rust proxy or server.
//!
//! The core is plain calls: an [`Instance`] holds any number of exchanges, takes what came from peers as [`Event`]s, and
//! returns what is to be done as [`Action`]s. It sends nothing, waits for nothing and needs no runtime. The rules of what a
//! filter sees, and when, are Envoy's, and the same as everywhere in this project.
//!
//! ```
//! use proxy_wasm_adapter_embed::{Action, Begin, Event, Filter, Options, Peer};
//!
//! # fn carry(component: &[u8], request: http::Request<()>) -> Result<(), Box<dyn std::error::Error>> {
//! let filter = Filter::from_component(component, Options::default())?;
//! let mut worker = filter.instance()?; // one for each thread, say
//!
//! let (head, ()) = request.into_parts();
//! let (exchange, mut outcome) = worker.open(&head, false, Begin::Nothing)?;
//! while !outcome.actions.is_empty() {
//!     let mut events = Vec::new();
//!     for action in outcome.actions {
//!         match action {
//!             // What the filter let through goes to the upstream; here it has an answer at once.
//!             Action::Request { peer, .. } => {
//!                 events.push(Event::Head { peer, head: http::Response::new(()), end: true });
//!             }
//!             Action::Response { head, .. } => println!("{} {:?}", head.status(), head.headers()),
//!             Action::Write(Peer::Client(_), bytes) => println!("{bytes:?}"),
//!             Action::Over { id, .. } => assert_eq!(id, exchange),
//!             _ => {}
//!         }
//!     }
//!     if events.is_empty() {
//!         break;
//!     }
//!     outcome = worker.step(events)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The contract
//!
//! - **The end** of an exchange, [`Action::Over`], comes in a call of its own, which [`Outcome::deadline`] asks for at once: a
//!   filter that traps in its last callbacks takes nothing with it of what was sent, as in Envoy.
//! - Actions are done in their order. What [`Action::Write`] and [`Action::Finish`] hand over counts as written.
//! - **Backpressure**: a peer is read only while [`Action::Want`] says so, and only while what was handed over for the other
//!   side of its exchange is written. Callouts are always read.
//! - Of a peer one event a call, but for a response's head, which what came with it may follow.
//! - **Time**: [`Outcome::deadline`] says when [`Event::Timer`] is due. The instance reads the clock itself, which is
//!   [`Instant::now`](std::time::Instant::now).
//! - Where a client leaves, [`Event::Gone`] says so; the answer has [`Action::Over`] in it.
//! - After [`Trapped`] the instance is dropped, and whatever it had under way is answered 503, as in Envoy.

mod allocation;
pub mod compilation;
pub mod epoch;
mod error;
mod event;
mod filter;
mod head;
mod host;
mod instance;
#[cfg(feature = "tower")]
pub mod layer;
mod log;
pub mod memory;
mod metrics;
pub mod shared;
mod wit;

pub use compilation::Optimization;
pub use error::{Error, ExchangeError, Trapped};
pub use event::{Action, Begin, CalloutId, Event, ExchangeId, Failure, Origin, Peer, Remains};
pub use filter::{Filter, Options};
pub use head::RawPath;
pub use instance::{Instance, Outcome};
#[cfg(feature = "tower")]
pub use layer::FilterLayer;
pub use log::{Level, Log, Tracing};
pub use metrics::{Change, Metric};
