//! What goes out: actions, and when there is more to do.

use proxy_wasm_driver::{Action, Order, Outcome, Peer, Turn};
use proxy_wasm_semantics::{Chain, Guest};

use crate::{bindings::exports::proxy_wasm::adapter::exchange as wit, host, vocabulary};

/// What is to be done.
pub(crate) fn outcome<G: Guest>(turn: &Turn<'_, '_, G>, (orders, deadline): Outcome) -> wit::Outcome {
    let chain = turn.chain();
    wit::Outcome {
        actions: orders.into_iter().filter_map(|order| action(chain, order)).collect(),
        deadline: deadline.map(host::on_host),
    }
}

fn action<G: Guest>(chain: &Chain<G>, order: Order) -> Option<wit::Action> {
    Some(match order {
        Order::Act(Action::Request { peer, to, headers, end, http2 }) => {
            // Only WASI 0.3 has a next handler.
            let to = to.origin()?;
            wit::Action::Request(wit::OutgoingRequest {
                peer: whose(peer),
                tls: to.tls,
                authority: to.authority.clone(),
                head: chain.message(&headers),
                end,
                http2,
            })
        }
        Order::Act(Action::Response { id, headers, end, closes }) => {
            wit::Action::Response(wit::OutgoingResponse { id, head: chain.response(&headers, closes), end })
        }
        Order::Act(Action::Write(peer, bytes)) => wit::Action::Write(wit::OutgoingPiece { peer: whose(peer), bytes }),
        Order::Act(Action::Finish(peer, trailers)) => wit::Action::Finish(wit::BodyEnd {
            peer: whose(peer),
            trailers: trailers.map(|trailers| chain.message(&trailers)),
        }),
        Order::Act(Action::Abort(id)) => wit::Action::Abort(id),
        Order::Act(Action::Release(peer)) => wit::Action::Release(whose(peer)),
        Order::Want { id, request, response } => wit::Action::Want(wit::Wanted { id, request, response }),
        Order::Over { id, remains: left } => {
            wit::Action::Over(wit::Finished { id, remains: left.map(vocabulary::remains) })
        }
    })
}

fn whose(peer: Peer) -> wit::Peer {
    match peer {
        Peer::Client(id) => wit::Peer::Client(id),
        Peer::Upstream(id) => wit::Peer::Upstream(id),
        Peer::Callout(id) => wit::Peer::Callout((id.plugin as u64) << 32 | u64::from(id.token)),
    }
}
