//! One request and its response.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::ext::ReasonPhrase;
use tokio::sync::oneshot;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

use super::body::{End, Ending, GuestBody, Interest, NoBody, Remains, Reset};
use super::departure::Departure;
use super::front::{Arrivals, Refusal};
use super::gate::{Caller, Gate, Refusal as NoTurn, Turn};
use super::instance::{Answer, Failure};
use super::log_format;
use super::nesting::Nesting;
use super::pace::{Pace, Waited};
use super::pool::Pool;
use super::presence::Flight;
use super::record::{Observer, Record};
use super::recorded::Recorded;
use super::reply::Reply;
use super::request::{self, RequestBody};
use super::runner::Runner;
use super::tasks::Tasks;

/// What hyper sends.
pub(super) type ResponseBody = Recorded<AnswerBody>;

/// The same, before anybody looks on: what a component writes, nothing, or words of this host.
pub(super) type AnswerBody = Either<GuestBody, Either<NoBody, Full<Bytes>>>;

/// Answers requests.
pub(super) struct Host {
    pub(super) runner: Runner,
    pub(super) gate: Gate,
    pub(super) nesting: Arc<Nesting>,
    pub(super) max_nesting: u32,
    /// What messages call the plugins.
    pub(super) plugin: String,
    /// Where instances run.
    pub(super) tasks: Tasks,
    pub(super) observer: Observer,
    /// It was told to end.
    pub(super) draining: AtomicBool,
}

impl Host {
    /// Answers one request of a connection between these addresses, if it is one. An error resets it: the client sees no
    /// response at all.
    pub(super) async fn receive(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        arrivals: Arrivals,
        depth: u32,
        flight: Arc<Flight>,
        ends: Option<Ends>,
    ) -> Result<Response<ResponseBody>, Reset> {
        let multiplexed = request.version() == Version::HTTP_2;
        let judged = arrivals.judge(&mut request);
        let record = self.observer.begin(&request, ends);
        if request.body().is_end_stream() {
            record.receive_end();
        }
        let attended = Attended(record.clone());
        // It is large, and handed on by many.
        let judged =
            judged.map(|body| (body, Box::new(request::lingering(request, record.pace.clone(), record.clone()))));
        let answered = async {
            match judged {
                Ok((body, request)) => tokio::select! {
                    biased;
                    refusal = body.broken() => {
                        record.refuse(refusal, false);
                        refused(refusal, multiplexed)
                    }
                    answered = self.answer(request, depth, flight, &record) => answered,
                },
                Err(refusal) => {
                    record.refuse(refusal, refusal.hides_the_head());
                    refused(refusal, multiplexed)
                }
            }
        };
        let result = log_format::of_request(record.number(), answered).await;
        let mut response = result.inspect_err(|_| record.reset())?;
        let is_received = record.respond(&response);
        if !is_received && !multiplexed {
            // The rest of the request would have to be waited for.
            // Source: `http1-connections/closes-after-a-local-response-to-a-body`.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if response.status().canonical_reason().is_none() {
            // As Envoy calls all that have no name.
            response.extensions_mut().insert(ReasonPhrase::from_static(b"Unknown"));
        }
        drop(attended);
        Ok(response.map(|body| Recorded::new(body, record)))
    }

    /// Answers one request of a depth.
    async fn answer(
        self: Arc<Self>,
        request: Box<Request<RequestBody>>,
        depth: u32,
        flight: Arc<Flight>,
        record: &Arc<Record>,
    ) -> Result<Response<AnswerBody>, Reset> {
        let reply = Reply::to(request.headers());
        if !has_authority(&request) {
            record.explain("missing_host_header");
            return Ok(reply.with(StatusCode::BAD_REQUEST));
        }
        if depth > self.max_nesting {
            tracing::error!(
                "508: {} sends requests to itself, within each another one: a cluster or the upstream leads to the \
                 address that it is served at; let it lead elsewhere, or raise --max-nesting above {}",
                self.plugin,
                self.max_nesting
            );
            record.explain("requests_within_requests");
            return Ok(reply.with(StatusCode::LOOP_DETECTED));
        }
        let (method, version) = (request.method().clone(), request.version());
        let caller = Caller { pace: record.pace.clone(), departure: Departure::default() };
        let turn = match self.turn(depth, &caller).await {
            Ok(turn) => turn,
            Err(_) => {
                self.observer.counters.refused.add();
                record.explain("overload");
                return Ok(reply.with(StatusCode::SERVICE_UNAVAILABLE));
            }
        };

        let (answer_to, mut answer) = oneshot::channel();
        let (end_to, end) = oneshot::channel();
        let outcome = Outcome { answer: answer_to, end: end_to };
        let mut ending = Ending::new(end);
        let Caller { pace, departure } = caller;
        let interest = Interest::new(departure.clone(), pace);
        let work = self.clone().work(request, depth, record.clone(), departure.clone(), turn, outcome);
        let mut work = Box::pin(log_format::of_the_same(work));
        // Many are worked off at once, and need no task: that would wake another thread, which takes as long as a filter.
        if std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await.is_ready() {
            flight.is_worked_off();
        } else {
            let (is_told, overdue) = (self.runner.hears_of_departures(), departure.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = work => {}
                    () = overdue.is_overdue(is_told) => {}
                }
                flight.is_worked_off();
            });
        }

        // A component that ended may have answered just before, or keep the answer's place without ever using it.
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered.ok(),
            () = ending.wait() => answer.try_recv().ok(),
            () = departure.left() => return Ok(self.give_up(reply, &record.pace)),
        };
        match answered {
            // Told to end, the component breaks off: the client is still there.
            Some(Err(_)) if departure.has_left() => Ok(self.give_up(reply, &record.pace)),
            Some(Ok(response)) => Ok(respond(&method, version, reply, response, interest, ending)),
            Some(Err(code)) => failed(&code, reply, interest),
            None => {
                ending.wait().await;
                record.explain("wasm_fail_stream");
                if ending.is_return() {
                    tracing::error!("503: {} returned without a response", self.plugin);
                }
                Ok(reply.with(StatusCode::SERVICE_UNAVAILABLE))
            }
        }
    }

    /// What a client gets who is still there, but whose request takes too long for those that wait.
    fn give_up(&self, reply: Reply, pace: &Pace) -> Response<AnswerBody> {
        let running = self.gate.count();
        let (_, waited) = pace.debt(Instant::now());
        let (status, why) = match waited {
            Waited::Client => (StatusCode::REQUEST_TIMEOUT, "this client is slower than they may expect"),
            Waited::Callouts => (StatusCode::GATEWAY_TIMEOUT, "the filter answers each callout with another one"),
        };
        tracing::warn!(
            "{}: all {running} turns are taken, others wait for one, and {why}; raise --max-concurrency",
            status.as_u16()
        );
        reply.with(status)
    }

    /// Waits for the turn of a request, if it may wait: one that came from this host itself has somebody waiting for it who
    /// holds a turn.
    async fn turn(&self, depth: u32, caller: &Caller) -> Result<Turn, NoTurn> {
        if depth > 0 {
            return self.gate.enter_now(caller).inspect_err(|_| {
                tracing::warn!(
                    "503: {} requests run, and one that they sent to this host itself does not wait; raise \
                     --max-concurrency",
                    self.gate.count()
                );
            });
        }
        self.gate.enter(caller).await.inspect_err(|refusal| {
            let running = self.gate.count();
            match refusal {
                NoTurn::Full => tracing::warn!(
                    "503: {running} requests run and --max-queue more wait; raise --max-concurrency or --max-queue"
                ),
                NoTurn::Late => tracing::warn!(
                    "503: {running} requests run, and one waited for its turn for --queue-timeout; raise \
                     --max-concurrency"
                ),
            }
        })
    }

    /// The part that goes on after the response began, if it has to: in a task of its own then. It is moved on the way there, so
    /// all but the usual way is boxed.
    async fn work(
        self: Arc<Self>,
        request: Box<Request<RequestBody>>,
        depth: u32,
        record: Arc<Record>,
        departure: Departure,
        turn: Turn,
        outcome: Outcome,
    ) {
        let Outcome { answer, end } = outcome;
        let pool = match &self.runner {
            Runner::Pool(pool) => pool,
            Runner::Workers(workers) => {
                return Box::pin(workers.serve(*request, depth, record, departure, answer, end)).await;
            }
            Runner::Machines(machines) => {
                return machines.serve(request, depth, record, departure, answer, end).await;
            }
        };
        // Whoever waits for the end may have left with the client.
        let mut instance = match Box::pin(pool.take(depth)).await {
            Ok(instance) => instance,
            Err(failure) => {
                self.unavailable(pool, &failure);
                let _ = end.send(End::Unavailable);
                return;
            }
        };
        let departure = Some(departure).filter(|_| pool.hears_of_departures());
        match Box::pin(instance.handle(*request, depth, &record, departure, answer)).await {
            Ok(()) => {
                pool.put_back(instance);
                let _ = end.send(End::Returned);
            }
            Err(error) => {
                pool.trapped(instance.loaded, &error);
                let _ = end.send(End::Trapped(Box::new(Remains { _instance: instance, _turn: turn })));
            }
        }
    }

    /// Logs why there was no instance for a request.
    fn unavailable(&self, pool: &Pool, failure: &Failure) {
        let plugin = &self.plugin;
        match failure {
            Failure::Instantiate(error) => tracing::error!("503: cannot instantiate {plugin}: {error:#}"),
            Failure::Refused(reason) => tracing::error!("503: {plugin} cannot start: {reason}"),
            Failure::Failed => tracing::debug!("503: {plugin} failed before"),
            Failure::Trapped(error) => {
                tracing::error!("503: {plugin} cannot start: {}", pool.report(error));
            }
        }
    }
}

/// The addresses of a connection: the client's, and the one that it connected to.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// Where it goes what becomes of a component's work.
struct Outcome {
    answer: oneshot::Sender<Answer>,
    end: oneshot::Sender<End>,
}

/// Somebody waits for the response of a request.
struct Attended(Arc<Record>);

impl Drop for Attended {
    fn drop(&mut self) {
        // Nobody does any more, and there is none.
        if !self.0.is_answered() {
            self.0.leave();
        }
    }
}

/// Whether a request says whom it is for: components are promised an authority.
fn has_authority(request: &Request<RequestBody>) -> bool {
    let host = || request.headers().get(HOST).is_some_and(|host| host.to_str().is_ok());
    request.uri().authority().is_some() || host()
}

/// What a client gets whose request never reaches the component.
fn refused(refusal: Refusal, multiplexed: bool) -> Result<Response<AnswerBody>, Reset> {
    tracing::debug!(?refusal, "a request was refused");
    let response = refusal.response(multiplexed).ok_or(Reset("the request was refused"))?;
    Ok(response.map(|words| Either::Right(Either::Right(words))))
}

/// The response that a component gave.
fn respond(
    method: &Method,
    version: Version,
    reply: Reply,
    response: Response<WasiBody>,
    interest: Interest,
    ending: Ending,
) -> Response<AnswerBody> {
    let (mut parts, body) = response.into_parts();
    if parts.status.is_informational() {
        tracing::error!(status = %parts.status, "503: an informational status is no response");
        return reply.with(StatusCode::SERVICE_UNAVAILABLE);
    }
    let length = declared_length(&parts.headers);
    let ended = body.is_end_stream();
    let has_body =
        *method != Method::HEAD && parts.status != StatusCode::NO_CONTENT && parts.status != StatusCode::NOT_MODIFIED;
    let body = GuestBody::new(body, length, interest, ending);

    if !has_body {
        if parts.status == StatusCode::NO_CONTENT {
            parts.headers.remove(CONTENT_LENGTH);
        }
        tokio::spawn(log_format::of_the_same(body.discard()));
        // hyper's HTTP/1 takes the length that a HEAD's response declares as it is, but compares that of a 304.
        let compared = parts.status == StatusCode::NOT_MODIFIED && version <= Version::HTTP_11;
        return Response::from_parts(parts, nothing(length.filter(|_| compared)));
    }
    if ended && length.is_some_and(|length| length > 0) {
        tracing::error!("503: the response declares a content-length but has no body");
        return reply.with(StatusCode::SERVICE_UNAVAILABLE);
    }
    // Of what ends with its head hyper's HTTP/1 writes the length anew, behind all other fields: so that one which the
    // component declared keeps its place, the body ends behind it.
    if ended && length.is_some() && version <= Version::HTTP_11 {
        tokio::spawn(log_format::of_the_same(body.discard()));
        return Response::from_parts(parts, nothing(length));
    }
    Response::from_parts(parts, Either::Left(body))
}

/// What becomes of a request for which a component has an error instead of a response.
fn failed(code: &ErrorCode, reply: Reply, mut interest: Interest) -> Result<Response<AnswerBody>, Reset> {
    interest.is_satisfied();
    match code {
        // This is how a component says what `proxy_close_stream` means.
        ErrorCode::ConnectionTerminated => Err(Reset("the component closed the stream")),
        code => {
            tracing::error!("503: the component answered with an error: {code:?}");
            Ok(reply.with(StatusCode::SERVICE_UNAVAILABLE))
        }
    }
}

/// The `content-length` that a component declared; `wasmtime-wasi-http` lets no malformed one through to a body.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// No body, where hyper is to believe that it has the declared length.
pub(super) fn nothing(declared: Option<u64>) -> AnswerBody {
    Either::Right(Either::Left(NoBody { declared }))
}
