//! The request's body, and what is done with one that the component leaves unread.
//!
//! A client that still sends when the connection is closed may never see the response: what it sends is answered with a
//! reset. So over HTTP/1 a body that is dropped unread is read on for a while. Over HTTP/2 the stream's reset says that
//! the response is complete.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use wasmtime_wasi_http::Error;

use super::apart::Apart;
use super::front::are_trailers;
use super::pace::Pace;
use super::record::Record;

/// How long an unread body is read on: as long as Envoy leaves the client after a response.
const LINGER: Duration = Duration::from_secs(1);

/// How much of an unread body is read on.
const LINGER_BYTES: usize = 16 << 20;

/// A request's body.
pub(super) struct RequestBody {
    /// `None` where it has ended, or where what is left of it needs no reading.
    incoming: Option<Apart<Incoming>>,
    lingers: bool,
    multiplexed: bool,
    pace: Arc<Pace>,
    record: Arc<Record>,
}

impl RequestBody {
    /// For one who is told of ends as such: see [`Apart::told`].
    pub(super) fn told(mut self) -> Self {
        self.incoming = self.incoming.take().map(Apart::told);
        self
    }

    /// Refuses trailers that are none, of HTTP/2: those of HTTP/1 were looked at before.
    fn checked(multiplexed: bool, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        match frame.trailers_ref() {
            Some(trailers) if multiplexed && !are_trailers(trailers) => Err(Error::HttpProtocolError),
            _ => Ok(frame),
        }
    }
}

/// The request with a body that lingers where that helps its client.
pub(super) fn lingering(request: Request<Incoming>, pace: Arc<Pace>, record: Arc<Record>) -> Request<RequestBody> {
    // Who waits for `100 Continue` sends nothing without it, and reading would bring it about.
    let multiplexed = request.version() == Version::HTTP_2;
    let lingers = !multiplexed && !request.headers().contains_key(EXPECT);
    request.map(|incoming| RequestBody {
        incoming: Some(Apart::new(incoming, multiplexed)),
        lingers,
        multiplexed,
        pace,
        record,
    })
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        let frame = Pin::new(&mut *incoming).poll_frame(context);
        let frame = frame.map(|frame| frame.map(|frame| Self::checked(this.multiplexed, frame?)));
        let (bytes, ended) = match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                // Over HTTP/1 the end comes after the last bytes, as in Envoy.
                let ended = frame.is_trailers() || (this.multiplexed && incoming.is_end_stream());
                (frame.data_ref().map_or(0, Bytes::len), ended)
            }
            Poll::Ready(None) => (0, true),
            _ => (0, false),
        };
        this.record.receive(bytes);
        if ended {
            this.record.receive_end();
        }
        match &frame {
            Poll::Pending => this.pace.awaits_upload(),
            Poll::Ready(Some(Ok(_))) => this.pace.uploaded(bytes),
            Poll::Ready(None | Some(Err(_))) => {
                this.pace.uploaded(0);
                this.incoming = None;
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let unread = self.incoming.take().filter(|incoming| self.lingers && !incoming.is_end_stream());
        // Outside of the runtime there are no clients any more.
        if let (Some(incoming), Ok(runtime)) = (unread, tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(LINGER, read_on(incoming)));
        }
    }
}

async fn read_on(mut incoming: Apart<Incoming>) {
    let mut left = LINGER_BYTES;
    while let Some(Ok(frame)) = incoming.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            break;
        }
    }
}
