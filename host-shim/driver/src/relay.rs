//! Any number of exchanges for an edge without streams: it hands over what came, and takes all that is to be done, in one call.
//!
//! Restrictions that hold everywhere:
//! - Of what came, only what is wanted goes to the filters. The rest is kept until it is: what was on its way when a filter
//!   lost interest.
//! - An action that was handed over counts as written, as what Envoy hands to its codec does. Whether the peer keeps up is the
//!   edge's to see: it reads nothing from the other side while it does not.
//! - The host gives the instance time whenever it asks for it, so no exchange stays for callouts, and ticks come by
//!   themselves.

use std::collections::VecDeque;

use proxy_wasm_semantics::{Guest, HeaderMap, Kind, Remains, Request};

use crate::{
    action::{Action, Input, Peer},
    bodies::{Follows, follows},
    turn::Turn,
};

/// How often what moves is looked at again in one call. A filter that always asks for more is given time in the next one.
const ROUNDS: u32 = 256;

/// Something that came.
#[derive(Debug)]
pub enum Event {
    /// From a peer.
    Input(Peer, Input),
    /// The peer takes no more. It may still answer.
    Refused(Peer),
    /// The client of an exchange has left.
    Gone(u32),
    /// The deadline has passed.
    Timer,
}

/// Something for the edge to do.
#[derive(Debug)]
pub enum Order {
    /// An action. Nothing is to be told of it.
    Act(Action),
    /// From whom more is wanted from now on.
    Want {
        /// The exchange.
        id: u32,
        /// More of the request's body.
        request: bool,
        /// More of the upstream's response.
        response: bool,
    },
    /// An exchange is over: the edge lets go of what it has of it.
    Over {
        /// The exchange.
        id: u32,
        /// What it left behind, where that is kept.
        remains: Option<Remains>,
    },
}

impl Order {
    /// Whether it has something done for this exchange.
    fn is_of(&self, id: u32) -> bool {
        match self {
            Self::Act(Action::Request { peer, .. } | Action::Write(peer, _) | Action::Finish(peer, _)) => {
                matches!(peer, Peer::Client(of) | Peer::Upstream(of) if *of == id)
            }
            Self::Act(Action::Response { id: of, .. } | Action::Abort(of)) => *of == id,
            Self::Act(Action::Release(_)) | Self::Want { .. } | Self::Over { .. } => false,
        }
    }
}

/// What is between an edge and the driver.
#[derive(Debug, Default)]
pub struct Relay {
    /// What came and was not wanted yet.
    kept: Vec<(Peer, VecDeque<Input>)>,
    /// The exchanges in which something went on in this call.
    touched: Vec<u32>,
    /// What the edge was told of each exchange that is under way.
    wants: Vec<(u32, Wants)>,
}

/// Whether more is wanted of a request, and of a response.
type Wants = (bool, bool);

/// What is to be done, and until when there is time for the next call, by the monotonic clock.
pub type Outcome = (Vec<Order>, Option<u64>);

impl Relay {
    /// Starts the plugins, once, and waits for nothing.
    ///
    /// # Errors
    /// Says which callback refused.
    pub fn start<'a, G: Guest>(&mut self, turn: &mut Turn<'_, 'a, G>) -> Result<(), &'a str> {
        turn.attend();
        turn.start(false)
    }

    /// A request came; `end`: and nothing follows. `first` is what came of its body with the head. Returns the exchange's id.
    pub fn open<G: Guest>(
        &mut self,
        turn: &mut Turn<'_, '_, G>,
        request: Request<'_>,
        end: bool,
        first: Option<Input>,
    ) -> u32 {
        let end = end || follows(&request, true) == Follows::Nothing;
        let id = turn.open(request, end);
        self.touched.push(id);
        self.wants.push((id, (false, false)));
        let client = Peer::Client(id);
        // The filters see the bytes that came with the head before anything goes on.
        match first.filter(|_| !end) {
            Some(input) if turn.wants(client) => turn.input(client, input),
            Some(input) => self.keep(client, input),
            None => {}
        }
        id
    }

    /// Answers in place of plugins that did not start a request of this `content-type`.
    #[cold]
    pub fn refuse<G: Guest>(turn: &Turn<'_, '_, G>, content_type: Option<&[u8]>, reason: &str) -> Vec<Order> {
        /// No stream has this number.
        const NONE: u32 = 0;
        let headers = turn.chain().refuse(content_type, reason);
        vec![
            Order::Act(Action::Response { id: NONE, headers, end: true, closes: false }),
            Order::Over { id: NONE, remains: None },
        ]
    }

    /// Takes note of what came.
    pub fn give<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, event: Event) {
        match event {
            Event::Timer => turn.expire(),
            Event::Gone(id) if self.knows(id) => {
                self.touch(id);
                turn.client_gone(id);
            }
            Event::Refused(peer) if self.takes(peer) => turn.refused(peer),
            Event::Input(peer, input) if self.takes(peer) => self.keep(peer, input),
            // Of an exchange that ended meanwhile.
            Event::Gone(_) | Event::Refused(_) | Event::Input(..) => {}
        }
    }

    /// Does everything that can be done now.
    pub fn run<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>) -> Outcome {
        let mut orders = Vec::new();
        let mut rounds = 0;
        let is_settled = loop {
            let mut more = Self::work(turn);
            self.note_moved(turn);
            for index in 0..self.touched.len() {
                self.drain(turn, self.touched[index], &mut orders);
            }
            self.drain_calls(turn, &mut orders);
            more |= self.close(turn, &mut orders);
            more |= self.read(turn);
            more |= self.note_moved(turn);
            rounds += 1;
            if !more || rounds == ROUNDS {
                break !more;
            }
        };
        // Those that are over are closed in the next call: a filter that traps in its last callbacks takes nothing with it of
        // what the exchange sent, as in Envoy, where that is on its way by then.
        let (closing, touched) = std::mem::take(&mut self.touched).into_iter().partition(|id| turn.is_over(*id));
        self.touched = closing;
        for id in touched {
            self.tell_wants(turn, id, &mut orders);
        }
        let is_settled = is_settled && self.touched.is_empty();
        (orders, if is_settled { turn.deadline() } else { Some(0) })
    }

    /// Ticks that belong to the plugins' start, where one is next, and what needs no waiting; whether there is more of that.
    fn work<G: Guest>(turn: &mut Turn<'_, '_, G>) -> bool {
        turn.stays();
        turn.hear() | turn.work()
    }

    fn knows(&self, id: u32) -> bool {
        self.wants.iter().any(|(known, _)| *known == id)
    }

    /// Takes note of a peer's exchange; whether it is under way.
    fn takes(&mut self, peer: Peer) -> bool {
        match peer {
            Peer::Client(id) | Peer::Upstream(id) => {
                self.touch(id);
                self.knows(id)
            }
            Peer::Callout(_) => true,
        }
    }

    fn touch(&mut self, id: u32) {
        if !self.touched.contains(&id) && self.knows(id) {
            self.touched.push(id);
        }
    }

    fn keep(&mut self, peer: Peer, input: Input) {
        match self.kept.iter_mut().find(|(other, _)| *other == peer) {
            Some((_, inputs)) => inputs.push_back(input),
            None => self.kept.push((peer, VecDeque::from([input]))),
        }
    }

    /// Takes note of the exchanges that others moved; tells whether there were any.
    fn note_moved<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>) -> bool {
        let mut any = false;
        while let Some(id) = turn.poll_moved() {
            self.touch(id);
            any = true;
        }
        any
    }

    /// Takes what is to be done for an exchange.
    fn drain<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, id: u32, orders: &mut Vec<Order>) {
        let (mut to_client, mut to_upstream) = (false, false);
        while let Some(action) = turn.poll(id) {
            match &action {
                Action::Write(Peer::Client(_), _) | Action::Finish(Peer::Client(_), _) => to_client = true,
                Action::Write(..) | Action::Finish(..) => to_upstream = true,
                Action::Release(peer) => self.forget(*peer),
                Action::Request { .. } | Action::Response { .. } | Action::Abort(_) => {}
            }
            orders.push(Order::Act(action));
        }
        if to_client {
            turn.written(Peer::Client(id));
        }
        if to_upstream {
            turn.written(Peer::Upstream(id));
        }
    }

    fn drain_calls<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, orders: &mut Vec<Order>) {
        let mut written = Vec::new();
        while let Some(action) = turn.poll_calls() {
            match &action {
                Action::Write(peer, _) | Action::Finish(peer, _) => written.push(*peer),
                Action::Release(peer) => self.forget(*peer),
                Action::Request { .. } | Action::Response { .. } | Action::Abort(_) => {}
            }
            orders.push(Order::Act(action));
        }
        written.into_iter().for_each(|peer| turn.written(peer));
    }

    fn forget(&mut self, peer: Peer) {
        self.kept.retain(|(other, _)| *other != peer);
    }

    /// Closes the exchanges that are over and have nothing to send in this call; tells whether there were any.
    fn close<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, orders: &mut Vec<Order>) -> bool {
        let before = self.touched.len();
        let mut index = 0;
        while let Some(&id) = self.touched.get(index) {
            if !turn.is_over(id) || orders.iter().any(|order| order.is_of(id)) {
                index += 1;
                continue;
            }
            self.touched.remove(index);
            self.wants.retain(|(known, _)| *known != id);
            self.forget(Peer::Client(id));
            self.forget(Peer::Upstream(id));
            turn.close(id);
            turn.finish();
            orders.push(Order::Over { id, remains: turn.chain().state().last_remains() });
        }
        self.touched.len() < before
    }

    /// Gives the filters a piece of what came from each peer, as far as it is wanted; tells whether there was any.
    fn read<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>) -> bool {
        let mut moved = false;
        let mut index = 0;
        while let Some((peer, inputs)) = self.kept.get_mut(index) {
            let peer = *peer;
            let input = if turn.wants(peer) { inputs.pop_front() } else { None };
            let is_empty = inputs.is_empty();
            // With a callout's head goes what came with it.
            let is_read_on = matches!((peer, &input), (Peer::Callout(_), Some(Input::Head(..)))) && !is_empty;
            if is_empty {
                self.kept.remove(index);
            } else if !is_read_on {
                index += 1;
            }
            if let Some(input) = input {
                moved = true;
                turn.input(peer, input);
            }
        }
        moved
    }

    /// Tells from whom more is wanted, where the edge does not know it yet.
    fn tell_wants<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, id: u32, orders: &mut Vec<Order>) {
        let wants = [Peer::Client(id), Peer::Upstream(id)]
            .map(|peer| !self.kept.iter().any(|(other, _)| *other == peer) && turn.wants(peer));
        let [request, response] = wants;
        let Some((_, told)) = self.wants.iter_mut().find(|(known, _)| *known == id) else { return };
        if std::mem::replace(told, (request, response)) != (request, response) {
            orders.push(Order::Want { id, request, response });
        }
    }
}

/// A response's head, as it came in one piece; `true`: and no body follows it, whatever the edge thinks.
pub fn head_of_response<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> (HeaderMap, bool) {
    crate::bodies::received(HeaderMap::from_pairs(Kind::Response, pairs))
}
