//! Instances of a component for WASI 0.3, each of which has several requests at once.
//!
//! Their order is that of `wasmtime-wasi-http`: a request goes to an instance that waits, and where none does, to a new one.
//! A trap ends all requests of its instance: a store that trapped runs no further.
//!
//! | file | idea |
//! |---|---|
//! | `maker` | what each instance is made with, and when it ends |
//! | `plugins` | what an adapted component exports besides its handler |
//! | `tender` | what is done in an instance beside its requests |
//! | `sends` | for which of its requests an instance sends one |
//! | `statuses` | statuses that only this host takes |
//! | `answer` | a response's body, and an instance's fate |

mod answer;
mod maker;
mod plugins;
mod sends;
mod statuses;
mod tender;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{Request, Uri, Version, header};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime::component::Linker;
use wasmtime_wasi_http::handler::{InstantiationError, ProxyHandler};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode as ErrorCode03;

use self::answer::{Fate, Followed};
use self::maker::{Maker, Told};
use super::body::End;
use super::departure::Departure;
use super::error::Error;
use super::fields;
use super::http2;
use super::instance::{Answer, Failure, Recipe};
use super::policy::{Policy, Service};
use super::program::Program;
use super::record::Record;
use super::request::RequestBody;
use super::state::State;
use super::target::RawTarget;

pub(super) use self::plugins::Exports;
pub(super) use self::sends::Calls;

/// What this host does otherwise than `wasmtime-wasi-http`.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    sends::add_to_linker(linker)?;
    statuses::add_to_linker(linker)
}

/// How much an instance does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Requests in its life.
    pub(super) reuse: u32,
    /// Requests at once.
    pub(super) concurrency: u32,
}

/// Runs requests in instances.
pub(super) struct Workers {
    recipe: Arc<Recipe>,
    program: Arc<Program>,
    policy: Arc<Policy>,
    /// One for each depth of the requests that it gets: what an instance sends is sent at the depth of its requests, and a
    /// callout may go out in the call of another one.
    handlers: Vec<ProxyHandler<Maker>>,
    /// This host ends.
    ending: Arc<AtomicBool>,
}

impl Workers {
    /// For requests down to this depth.
    pub(super) async fn start(
        recipe: Recipe,
        program: Program,
        load: Load,
        policy: Policy,
        max_depth: u32,
    ) -> Result<Self, Error> {
        let (recipe, program, policy) = (Arc::new(recipe), Arc::new(program), Arc::new(policy));
        let ending = Arc::<AtomicBool>::default();
        let maker = |depth| Maker::new(recipe.clone(), program.clone(), policy.clone(), load, depth, ending.clone());
        // What does not start is never served.
        let first = maker(0);
        first.make_ready().await.map_err(|failure| match failure {
            Failure::Instantiate(error) => Error::Instantiate { reason: format!("{error:#}") },
            Failure::Refused(reason) => Error::Refused { reason },
            Failure::Trapped(error) => Error::StartTrapped { report: recipe.report(&error).to_string() },
            Failure::Failed => Error::Refused { reason: String::from("it failed") },
        })?;
        let makers = std::iter::once(first).chain((1..=max_depth).map(maker));
        let handlers = makers.map(ProxyHandler::new).collect();
        Ok(Self { recipe, program, policy, handlers, ending })
    }

    /// Instances that end from now on do so with this host, whatever they have under way.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Whether every request is answered 503 from now on.
    pub(super) fn is_closed(&self) -> bool {
        self.policy.service(Instant::now()) == Service::Nothing
    }

    /// Whether its instances are told when clients leave.
    pub(super) fn hears_of_departures(&self) -> bool {
        self.program.plugins.hears_of_departures()
    }

    /// Waits until instances want more memory than all may have.
    pub(super) async fn is_pressed(&self) {
        self.recipe.budget.is_exceeded().await;
    }

    /// Serves one request of this depth, until its response is over.
    pub(super) async fn serve(
        &self,
        request: Request<RequestBody>,
        depth: u32,
        record: Arc<Record>,
        departure: Departure,
        answer: oneshot::Sender<Answer>,
        end: oneshot::Sender<End>,
    ) {
        let handler = self.handlers.get(depth as usize).filter(|_| !self.is_closed());
        let (Some(handler), Some(request)) = (handler, absolute(request, self.program.plugins.are_known())) else {
            let _ = end.send(End::Unavailable);
            return;
        };
        let (taken_to, taken) = oneshot::channel();
        let told = Told { taken: taken_to, record, departure: departure.clone() };
        match handler.handle(told, request.map(BodyExt::boxed_unsync)).await {
            Ok(response) => {
                let taken = taken.await.ok();
                let fate = taken.as_ref().map_or_else(Fate::new, |taken| taken.fate.clone());
                let (ended_to, ended) = oneshot::channel();
                let followed = response.map(|body| Followed::new(body, fate, ended_to).boxed_unsync());
                let _ = answer.send(Ok(followed));
                // It is dropped at the end of the response, whatever that is.
                let _ = ended.await;
                if let Some(taken) = taken.filter(|_| departure.has_left()) {
                    taken.leave();
                }
                let _ = end.send(End::Returned);
            }
            Err(error) => {
                if let Some(code) = error.downcast_ref::<ErrorCode03>() {
                    let _ = answer.send(Err(of_02(code)));
                    let _ = end.send(End::Returned);
                } else if let Some(failed) = error.downcast_ref::<InstantiationError<Told>>() {
                    tracing::error!("503: there is no instance: {:#}", failed.error);
                    let _ = end.send(End::Unavailable);
                } else {
                    // Of a trap its instance tells, once for all of its requests.
                    tracing::debug!("503: {error:#}");
                    let _ = end.send(End::TornDown);
                }
            }
        }
    }
}

/// The request with its authority in its target, where WASI 0.3 reads it, and with word of its protocol, where a component
/// `hears` of that. `None`: its target has no place in the types of WASI.
fn absolute(mut request: Request<RequestBody>, hears: bool) -> Option<Request<RequestBody>> {
    if request.extensions_mut().remove::<RawTarget>().is_some() {
        tracing::warn!("503: a component for WASI 0.3 can't have this request's target");
        return None;
    }
    let host = request.headers().get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = Parts::default();
    parts.authority = request.uri().authority().cloned().or(host);
    // What the connection is, whatever the client calls it.
    parts.scheme = parts.authority.is_some().then_some(Scheme::HTTP);
    let path = || request.uri().path_and_query().cloned();
    parts.path_and_query = path().or_else(|| Some(PathAndQuery::from_static("/")));
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    let is_http2 = std::mem::replace(request.version_mut(), Version::HTTP_11) == Version::HTTP_2;
    let mut headers = fields::visible(std::mem::take(request.headers_mut()));
    headers.remove(header::HOST);
    if is_http2 && hears {
        http2::tell(&mut headers);
    }
    *request.headers_mut() = headers;
    Some(request)
}

/// As far as it is told apart here.
fn of_02(code: &ErrorCode03) -> ErrorCode {
    match code {
        ErrorCode03::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        code => ErrorCode::InternalError(Some(format!("{code:?}"))),
    }
}
