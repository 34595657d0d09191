//! The response's body: ended, cut off or reset.
//!
//! The component writes the body while hyper reads it, and either side can fail the other:
//!
//! - the component traps or returns before it ended the body: the client must not take what it got for the whole, so
//!   the connection (HTTP/1.1) or the stream (HTTP/2) is reset;
//! - the body does not have the length that the component declared: more is cut off, less is reset;
//! - the client leaves: the component is told, and ends its work on the request.

mod broken;
pub(super) mod woken;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::TE;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use wasmtime_wasi_http::WasiBody;

use self::broken::Broken;
use super::departure::Departure;
use super::gate::Turn;
use super::instance::Instance;
use super::pace::Pace;

/// What is read at the most of a body that no client gets, in bytes: as much as Envoy buffers of one by default.
const MOST_DISCARDED: usize = 1 << 20;

/// How a component's work on a request ended.
pub(super) enum End {
    /// It returned.
    Returned,
    /// It trapped.
    Trapped(#[expect(dead_code, reason = "kept, not used")] Box<Remains>),
    /// It never began: there was no instance for it.
    Unavailable,
    /// It was cut short by the host itself.
    TornDown,
}

/// What is left of a request whose component trapped. While it is kept, a body that the component had ended before can
/// be told from one that it had not.
pub(super) struct Remains {
    pub(super) _instance: Instance,
    /// It takes memory like one that runs.
    pub(super) _turn: Turn,
}

/// The response cannot be finished.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Reset(pub(super) &'static str);

/// The client's interest in a component's work: where it is dropped, the client has left.
pub(super) struct Interest {
    /// `None` where it has all that it wanted.
    departure: Option<Departure>,
    pace: Arc<Pace>,
    /// Bytes that it is taking.
    taking: usize,
}

impl Interest {
    pub(super) fn new(departure: Departure, pace: Arc<Pace>) -> Self {
        Self { departure: Some(departure), pace, taking: 0 }
    }

    /// It asks for more: it took what it got.
    fn takes(&mut self) {
        self.pace.downloaded(std::mem::take(&mut self.taking));
    }

    /// It gets so many bytes.
    fn gets(&mut self, bytes: usize) {
        self.taking = bytes;
        self.pace.awaits_download();
    }

    /// Others needed its turn.
    fn is_given_up(&self) -> bool {
        self.departure.as_ref().is_some_and(Departure::has_left)
    }

    /// The client has all that it wanted: the work goes on to its own end.
    pub(super) fn is_satisfied(&mut self) {
        self.departure = None;
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        if let Some(departure) = &self.departure {
            departure.leave();
        }
    }
}

/// The end of a component's work: still to come, or known.
pub(super) struct Ending {
    receiver: oneshot::Receiver<End>,
    /// `Some(None)`: the work was torn down and told nothing.
    known: Option<Option<End>>,
}

impl Ending {
    pub(super) fn new(receiver: oneshot::Receiver<End>) -> Self {
        Self { receiver, known: None }
    }

    /// Waits for it.
    pub(super) async fn wait(&mut self) {
        std::future::poll_fn(|context| self.poll(context).map(drop)).await;
    }

    /// Whether it is known that the component returned.
    pub(super) fn is_return(&self) -> bool {
        matches!(self.known, Some(Some(End::Returned)))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<&End> {
        if self.known.is_none() {
            match Pin::new(&mut self.receiver).poll(context) {
                Poll::Ready(end) => self.known = Some(end.ok()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(self.known.as_ref().and_then(Option::as_ref).unwrap_or(&End::TornDown))
    }

    fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Whether the work ended without a word.
    fn is_torn_down(&mut self) -> bool {
        if self.known.is_none() {
            match self.receiver.try_recv() {
                Ok(end) => self.known = Some(Some(end)),
                Err(oneshot::error::TryRecvError::Closed) => self.known = Some(None),
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
        }
        matches!(self.known, Some(None))
    }
}

/// A body that a component writes.
pub(super) struct GuestBody {
    // Dropped before the body: whoever learns of that end knows of the client by then.
    interest: Interest,
    written: WasiBody,
    /// Bytes that are still to come, where the component declared the length.
    remaining: Option<u64>,
    ending: Ending,
    /// Why it will be reset as soon as hyper has sent what there is.
    broken: Option<Broken>,
    /// What hyper was given last, to see when it lets go of it.
    last: Bytes,
    /// Nobody reads it, so what is wrong with it harms nobody.
    discarded: bool,
}

impl GuestBody {
    pub(super) fn new(written: WasiBody, length: Option<u64>, interest: Interest, ending: Ending) -> Self {
        let mut body =
            Self { written, remaining: length, interest, ending, broken: None, last: Bytes::new(), discarded: false };
        // hyper never asks for what is declared to be nothing.
        if body.is_end_stream() || length == Some(0) {
            body.interest.is_satisfied();
        }
        body
    }

    /// Reads and drops it, so that the component can go on to its own end: for responses that have no body on the wire.
    /// One that is longer than [`MOST_DISCARDED`] might have no end: the component is told that nobody reads it.
    pub(super) async fn discard(mut self) {
        self.remaining = None;
        self.discarded = true;
        let mut left = MOST_DISCARDED;
        while let Some(Ok(frame)) = self.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }

    /// Breaks the body off, at a later poll.
    fn reset(&mut self, why: &'static str, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Reset>>> {
        self.interest.is_satisfied();
        let broken = self.broken.insert(Broken::new(why, std::mem::take(&mut self.last)));
        broken.poll(context).map(|reset| Some(Err(reset)))
    }

    fn data(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if let Some(remaining) = &mut self.remaining {
            let wanted = usize::try_from(*remaining).unwrap_or(usize::MAX);
            if data.len() > wanted {
                tracing::warn!("the response is longer than its content-length: the rest is cut off");
                data.truncate(wanted);
            }
            *remaining -= data.len() as u64;
            if *remaining == 0 {
                // hyper may not ask again.
                self.interest.is_satisfied();
            }
        }
        self.interest.gets(data.len());
        self.last = data.clone();
        Frame::data(data)
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = Reset;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Reset>>> {
        if let Some(broken) = &mut self.broken {
            return broken.poll(context).map(|reset| Some(Err(reset)));
        }
        self.interest.takes();
        if self.interest.is_given_up() {
            return self.reset("others needed its turn", context);
        }
        loop {
            match Pin::new(&mut self.written).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    return Poll::Ready(Some(Ok(match frame.into_data() {
                        Ok(data) => self.data(data),
                        Err(trailers) => {
                            self.interest.is_satisfied();
                            sendable(trailers)
                        }
                    })));
                }
                // Such as a response to HEAD that is shorter than the length that it declares, as it has to be.
                Poll::Ready(Some(Err(_))) if self.discarded => {
                    self.interest.is_satisfied();
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::warn!(%error, "the component gave the response up");
                    return self.reset("the component gave the response up", context);
                }
                Poll::Ready(None) if self.remaining.is_some_and(|remaining| remaining > 0) => {
                    tracing::warn!(missing = self.remaining, "the response is shorter than its content-length");
                    return self.reset("the response is shorter than its content-length", context);
                }
                // A component that was torn down leaves a body that looks finished.
                Poll::Ready(None) if self.ending.is_torn_down() => {
                    return self.reset("the component was torn down", context);
                }
                Poll::Ready(None) => {
                    self.interest.is_satisfied();
                    return Poll::Ready(None);
                }
                // What it wrote before its end is still to be read: only then does the end count.
                Poll::Pending => {
                    let known = self.ending.is_known();
                    match self.ending.poll(context) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(_) if !known => {}
                        Poll::Ready(end) => {
                            if matches!(end, End::Returned) {
                                tracing::warn!("the component returned without ending the response");
                            }
                            return self.reset("the component ended before the response", context);
                        }
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.written.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Trailers without the field that HTTP/2 has for requests alone, and breaks a response off for.
fn sendable(trailers: Frame<Bytes>) -> Frame<Bytes> {
    match trailers.into_trailers() {
        Ok(mut fields) => {
            fields.remove(TE);
            Frame::trailers(fields)
        }
        Err(other) => other,
    }
}

/// No body on the wire, whatever length the head declares.
#[derive(Default)]
pub(super) struct NoBody {
    /// The declared length, where hyper is to believe that the body has it.
    pub(super) declared: Option<u64>,
}

impl Body for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.declared.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.declared.unwrap_or(0))
    }
}

/// A body, and what is held for as long as it is being sent.
pub(super) struct Held<B, T> {
    body: B,
    _held: T,
}

impl<B, T> Held<B, T> {
    pub(super) fn new(body: B, held: T) -> Self {
        Self { body, _held: held }
    }
}

impl<B: Body + Unpin, T: Unpin> Body for Held<B, T> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use wasmtime_wasi_http::Error;

    use super::*;

    /// A component that has not ended its body.
    struct Open;

    impl Body for Open {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            Poll::Pending
        }
    }

    #[test]
    fn a_client_that_got_nothing_of_nothing_has_not_left() {
        for (length, leaves) in [(Some(0), false), (Some(1), true), (None, true)] {
            let departure = Departure::default();
            let (_end, ending) = oneshot::channel();
            let interest = Interest::new(departure.clone(), Arc::default());
            drop(GuestBody::new(Open.boxed_unsync(), length, interest, Ending::new(ending)));
            assert_eq!(departure.has_left(), leaves, "{length:?}");
        }
    }
}
