//! The rules of exchanges and callouts, with no I/O: what an edge feeds, and what it is told to do.
//!
//! The [semantics](proxy_wasm_semantics) know what a filter sees and does. Here is what any host makes of it: in which order
//! things happen, what is waited for and for how long, how long a body is. An edge moves bytes between these rules and a
//! version of WASI, and decides nothing.
//!
//! An edge goes round, for as long as anything moves ([`advance`](Turn::advance) does it for one that has [streams](Streams)):
//!
//! ```text
//!  ┌─► turn             begins where the edge has waited: the clock is another
//!  │   expire           where its timer fired
//!  │ ┌► poll            what to do for an exchange, until there is nothing; poll_calls: the same for callouts
//!  │ │  written         what was written; refused: the peer takes no more
//!  │ │  is_over         then `close`, and `stays` until it says no
//!  │ │  wants, input    what has come, of those peers that are wanted
//!  │ └─ work            tells filters what needs no waiting; again, where it or an input moved something
//!  │   poll_moved       which other exchanges have something to do now
//!  └── deadline         waits for its peers, until then
//! ```
//!
//! Any number of exchanges may be under way at once, as far as the edge can. A callback of one may move another: it
//! continues or answers a stream, or a callout's answer does. [`poll_moved`](Turn::poll_moved) says which.
//!
//! Restrictions that hold everywhere:
//! - Nothing waits, and no clock is read that nothing needs.
//! - Actions and inputs are plain data.
//! - A filter that asks for ever more never keeps an edge from anything else: what its callbacks ask for is done in the next
//!   round, and rounds are counted.

mod action;
mod arrivals;
mod bodies;
mod calls;
mod clock;
mod deadlines;
mod egress;
mod exchange;
mod flow;
mod freeze;
mod grpc;
mod heads;
mod interface;
mod overtaken;
mod peers;
mod relay;
#[cfg(feature = "routing")]
mod retries;
#[cfg(not(feature = "routing"))]
#[path = "no_retries.rs"]
mod retries;
mod round;
mod stay;
mod turn;
mod vocabulary;

pub use action::{Action, Input, Peer};
pub use bodies::{Follows, Look, follows, response_head};
pub use clock::Clock;
pub use egress::{Egress, Frame};
pub use heads::{fields, set_status, wishes};
pub use interface::CAPABILITIES;
pub use peers::{Gone, Peers, Sink, Streams};
pub use relay::{Event, Order, Outcome, Relay, head_of_response};
// For `failures!`.
pub use proxy_wasm_semantics::UpstreamFailure;
pub use round::Edge;
pub use stay::Rest;
pub use turn::{Driver, Turn};
