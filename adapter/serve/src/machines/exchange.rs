//! One exchange: carries bytes between its client, its upstream and the instance.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Release};
use std::task::{Context, Poll, Waker, ready};

use http::header::CONNECTION;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Body;
use proxy_wasm_adapter_embed::{Action, Begin, Event, ExchangeId, Peer, RawPath};
use tokio::sync::{mpsc, oneshot};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

use super::machine::{Due, Lost, Machine, NotOpened, Numbered, Turn};
use super::pipe::{Writer, pipe};
use super::sending::{Incoming, Part, poll_part, send};
use crate::departure::Departure;
use crate::fields;
use crate::instance::Answer;
use crate::outgoing::{Purpose, Sender};
use crate::plugin::Remains;
use crate::record::Record;
use crate::request::RequestBody;
use crate::target::RawTarget;

/// What an exchange has of the world.
struct Carrier {
    machine: Arc<Machine>,
    exchange: Numbered<ExchangeId>,
    record: Arc<Record>,
    inbox: mpsc::UnboundedReceiver<Action>,
    /// The request's body, until its end.
    request: Option<RequestBody>,
    /// How that ended while nothing else had come of it.
    rest: Option<Part>,
    wants_request: bool,
    wants_response: bool,
    upstream: Incoming,
    to_upstream: Option<Writer>,
    to_client: Option<Writer>,
    answer: Option<oneshot::Sender<Answer>>,
    /// Its client has left, or its instance is lost: what its upstream has not answered is no timeout.
    abandoned: Arc<AtomicBool>,
    is_over: bool,
}

/// What woke an exchange.
enum Woken {
    /// This came.
    Events(Vec<Event>),
    /// Another one's event let it do this.
    Actions(Vec<Action>),
}

/// Carries a request through to its end.
pub(super) async fn carry(
    machine: Arc<Machine>,
    request: Box<Request<RequestBody>>,
    record: Arc<Record>,
    departure: Departure,
    answer: oneshot::Sender<Answer>,
) -> Result<(), NotOpened> {
    let (mut head, body) = (*request).into_parts();
    let mut body = body.told();
    if let Some(RawTarget(target)) = head.extensions.remove() {
        head.extensions.insert(RawPath(target.into()));
    }
    let (begin, rest) = begin(&mut body).await;
    let is_over = rest.is_some() || matches!(begin, Begin::Nothing | Begin::Whole(_));
    let opened = machine.open(&record, |instance| instance.open(&head, false, begin)).await?;
    let mut carrier = Carrier {
        machine: machine.clone(),
        exchange: opened.exchange,
        record,
        inbox: opened.inbox,
        request: Some(body).filter(|_| !is_over),
        rest,
        wants_request: false,
        wants_response: false,
        upstream: Incoming::Over,
        to_upstream: None,
        to_client: None,
        answer: Some(answer),
        abandoned: Arc::default(),
        is_over: false,
    };
    let carried = match carrier.take_turn(opened.turn, opened.due) {
        Ok(again) => carrier.run(again, &departure).await,
        Err(lost) => Err(lost),
    };
    if carried.is_err() {
        carrier.abandoned.store(true, Release);
    }
    carrier.machine.forget(carrier.exchange).await;
    carried.map_err(|Lost| NotOpened::Lost)
}

/// What has come of a request's body with its head, and how it ended where that is all.
async fn begin(body: &mut RequestBody) -> (Begin, Option<Part>) {
    if body.is_end_stream() {
        return (Begin::Nothing, None);
    }
    let mut is_asked = false;
    let part = std::future::poll_fn(|context| match poll_part(body, context) {
        // This is polled at first while hyper reads the head. What came with that it gives right behind.
        Poll::Pending if !std::mem::replace(&mut is_asked, true) => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(None),
        Poll::Ready(part) => Poll::Ready(Some(part)),
    });
    match part.await {
        None => (Begin::Later, None),
        Some(Part::Bytes(bytes, true)) => (Begin::Whole(bytes), None),
        Some(Part::Bytes(bytes, false)) => (Begin::Part(bytes), None),
        Some(rest) => (Begin::Later, Some(rest)),
    }
}

impl Carrier {
    async fn run(&mut self, again: bool, departure: &Departure) -> Result<(), Lost> {
        if again {
            self.step(Vec::new()).await?;
        }
        let mut left = std::pin::pin!(departure.left());
        let mut is_gone = false;
        while !self.is_over {
            let woken = std::future::poll_fn(|context| {
                if let Poll::Ready(action) = self.inbox.poll_recv(context) {
                    let Some(action) = action else { return Poll::Ready(Err(Lost)) };
                    let more = std::iter::from_fn(|| self.inbox.try_recv().ok());
                    return Poll::Ready(Ok(Woken::Actions([action].into_iter().chain(more).collect())));
                }
                if !is_gone && left.as_mut().poll(context).is_ready() {
                    is_gone = true;
                    self.abandoned.store(true, Release);
                    return Poll::Ready(Ok(Woken::Events(vec![Event::Gone(self.exchange.id)])));
                }
                self.poll(context).map(|events| Ok(Woken::Events(events)))
            });
            match woken.await? {
                Woken::Actions(actions) => self.perform(actions),
                Woken::Events(events) => self.step(events).await?,
            }
        }
        Ok(())
    }

    /// What came of those that are wanted. A peer is read only while the other side takes what it gets.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Vec<Event>> {
        let upstream = Peer::Upstream(self.exchange.id);
        let mut is_taken =
            |writer: &Option<Writer>| writer.as_ref().is_none_or(|writer| writer.poll_taken(context).is_ready());
        let (takes_request, takes_response) = (is_taken(&self.to_upstream), is_taken(&self.to_client));
        if self.wants_request
            && takes_request
            && let Poll::Ready(event) = self.poll_request(context)
        {
            return Poll::Ready(vec![event]);
        }
        if let Poll::Ready(events) = self.upstream.poll(upstream, self.wants_response && takes_response, context) {
            return Poll::Ready(events);
        }
        if let Some(writer) = &self.to_upstream
            && writer.poll_left(context).is_ready()
        {
            self.to_upstream = None;
            return Poll::Ready(vec![Event::Refused(upstream)]);
        }
        Poll::Pending
    }

    fn poll_request(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        let Some(body) = &mut self.request else { return Poll::Pending };
        let part = ready!(poll_part(body, context));
        if !matches!(part, Part::Bytes(_, false)) {
            self.request = None;
        }
        Poll::Ready(part.event(Peer::Client(self.exchange.id)))
    }

    /// What is left of a body all of whose declared bytes came: its end, where it is there.
    fn poll_rest(&mut self) -> Option<Event> {
        if let Some(rest) = self.rest.take() {
            return Some(rest.event(Peer::Client(self.exchange.id)));
        }
        // It is asked again before anybody waits for it.
        let mut context = Context::from_waker(Waker::noop());
        if self.request.as_ref().is_some_and(|body| body.size_hint().exact() == Some(0))
            && let Poll::Ready(event) = self.poll_request(&mut context)
        {
            return Some(event);
        }
        self.upstream.poll_rest(Peer::Upstream(self.exchange.id), &mut context)
    }

    /// Tells the instance what came, and does what there is to do, as long as the instance has more of it at once.
    async fn step(&mut self, mut events: Vec<Event>) -> Result<(), Lost> {
        let machine = self.machine.clone();
        loop {
            let (before, mut turn) = machine.turn(&mut self.inbox).await;
            self.perform(before);
            let due = self.tell(&mut turn, std::mem::take(&mut events))?;
            if !self.take_turn(turn, due)? {
                return Ok(());
            }
        }
    }

    /// Does what is to be done in a turn. Where last bytes were told whose end is known, that is told in the same turn, as
    /// Envoy reads both at once: no callout's answer comes in between. Returns whether the instance asks for one more turn.
    fn take_turn(&mut self, mut turn: Turn<'_>, due: Due) -> Result<bool, Lost> {
        let mut again = due.again;
        self.perform(due.actions);
        while !self.is_over
            && let Some(event) = self.poll_rest()
        {
            let due = self.tell(&mut turn, [event])?;
            again |= due.again;
            self.perform(due.actions);
        }
        Ok(again)
    }

    /// Tells the instance. One that forgot this exchange, which is over, wants nothing of it.
    fn tell(&self, turn: &mut Turn<'_>, events: impl IntoIterator<Item = Event>) -> Result<Due, Lost> {
        let due = turn.tell(self.exchange, &self.record, events);
        due.or(if self.is_over { Ok(Due::default()) } else { Err(Lost) })
    }

    fn perform(&mut self, actions: impl IntoIterator<Item = Action>) {
        for action in actions {
            match action {
                Action::Request { to, head, end, http2, .. } => {
                    let sender = Sender {
                        abandoned: self.abandoned.clone(),
                        depth: self.machine.depth(),
                        record: Some(self.record.clone()),
                        purpose: Purpose::Upstream,
                    };
                    (self.to_upstream, self.upstream) = send(self.machine.shop(), sender, &to, head, end, http2);
                }
                Action::Response { head, end, .. } => self.respond(head, end),
                Action::Write(peer, bytes) => {
                    if let Some(writer) = self.writer(peer) {
                        writer.write(bytes);
                    }
                }
                Action::Finish(peer, trailers) => {
                    if let Some(writer) = self.writer(peer).take() {
                        writer.finish(trailers);
                    }
                }
                Action::Abort(_) => {
                    self.to_client = None;
                    if let Some(answer) = self.answer.take() {
                        let _ = answer.send(Err(ErrorCode::ConnectionTerminated));
                    }
                }
                Action::Release(_) => {
                    self.upstream = Incoming::Over;
                    self.to_upstream = None;
                }
                Action::Want { request, response, .. } => {
                    self.wants_request = request;
                    self.wants_response = response;
                }
                Action::Over { remains, .. } => {
                    // Where the filters answered by themselves: nobody waits, and its time is not over.
                    if let Incoming::Head(_) = self.upstream {
                        self.abandoned.store(true, Release);
                    }
                    if self.record.is_logged() {
                        self.record.tell(remains.map(Remains::from));
                    }
                    self.is_over = true;
                }
            }
        }
    }

    fn writer(&mut self, peer: Peer) -> &mut Option<Writer> {
        if matches!(peer, Peer::Client(_)) { &mut self.to_client } else { &mut self.to_upstream }
    }

    fn respond(&mut self, mut head: Response<()>, end: bool) {
        let Some(answer) = self.answer.take() else { return };
        // Source: scenario `cpp-body/bodies-beyond-the-buffer`: an answer to the last bytes comes before their end.
        self.record.decide();
        // No filter can set it: by it the component ends the client's connection.
        let closes = head.headers_mut().remove(CONNECTION);
        *head.headers_mut() = fields::sendable(std::mem::take(head.headers_mut()));
        head.headers_mut().extend(closes.map(|close| (CONNECTION, close)));
        let body = if end {
            Empty::new().map_err(|never| match never {}).boxed_unsync()
        } else {
            let (writer, body) = pipe();
            self.to_client = Some(writer);
            body.boxed_unsync()
        };
        // Nobody waits for it where the client has left.
        let _ = answer.send(Ok(head.map(|()| body)));
    }
}
