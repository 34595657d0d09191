//! A body on its way in: what is there is one piece, as far as a piece goes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Version};
use http_body::Body;

use super::BoxError;
use crate::event::{Begin, Event, Peer};

/// Bytes of a piece, unless what came is larger: as the edges of WASI have it.
const PIECE: usize = 64 * 1024;

/// A body.
pub(super) struct Message<B> {
    body: Pin<Box<B>>,
    /// What came behind the last piece.
    ahead: Option<End>,
    /// The end may come with the last bytes: HTTP/2 has a frame for that. By HTTP/1 it comes by itself, as in Envoy.
    joins_end: bool,
}

/// How a body ends.
enum End {
    Ended(Option<HeaderMap>),
    Broken(BoxError),
}

/// A part of a body.
enum Part {
    Bytes(Bytes, bool),
    End(End),
}

impl<B> Message<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// The body of a message of this version; nothing, where nothing is known to come.
    pub(super) fn new(body: B, version: Version) -> Option<Self> {
        let joins_end = version >= Version::HTTP_2;
        (!body.is_end_stream()).then(|| Self { body: Box::pin(body), ahead: None, joins_end })
    }

    /// What of a request's body is there when its head is. Nothing more comes where the body is not given back.
    pub(super) fn begin(mut self, context: &mut Context<'_>) -> (Begin, Option<Self>) {
        match self.poll_part(context) {
            Poll::Pending => (Begin::Later, Some(self)),
            Poll::Ready(Part::Bytes(bytes, true)) => (Begin::Whole(bytes), None),
            Poll::Ready(Part::Bytes(bytes, false)) => (Begin::Part(bytes), Some(self)),
            Poll::Ready(Part::End(end)) => {
                self.ahead = Some(end);
                (Begin::Later, Some(self))
            }
        }
    }

    /// What came, and whether more may come.
    pub(super) fn poll(&mut self, peer: Peer, context: &mut Context<'_>) -> Poll<(Event, bool)> {
        let part = match self.ahead.take() {
            Some(end) => Part::End(end),
            None => std::task::ready!(self.poll_part(context)),
        };
        Poll::Ready(match part {
            Part::Bytes(bytes, end) => (Event::Data { peer, bytes, end }, !end),
            Part::End(End::Ended(trailers)) => (Event::End { peer, trailers }, false),
            Part::End(End::Broken(error)) => {
                tracing::debug!(?peer, %error, "a body breaks off");
                (Event::Broken(peer), false)
            }
        })
    }

    fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Part> {
        let mut first = Bytes::new();
        let mut more = BytesMut::new();
        let piece = |first: Bytes, more: BytesMut| if more.is_empty() { first } else { more.freeze() };
        loop {
            let len = first.len().max(more.len());
            let is_last = len > 0 && self.body.is_end_stream();
            if is_last && !self.joins_end {
                self.ahead = Some(End::Ended(None));
            }
            if len >= PIECE || is_last {
                return Poll::Ready(Part::Bytes(piece(first, more), is_last && self.joins_end));
            }
            let frame = match self.body.as_mut().poll_frame(context) {
                Poll::Pending if len == 0 => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Part::Bytes(piece(first, more), false)),
                Poll::Ready(frame) => frame,
            };
            let end = match frame {
                None => End::Ended(None),
                Some(Err(error)) => End::Broken(error.into()),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if first.is_empty() => {
                        first = bytes;
                        continue;
                    }
                    Ok(bytes) => {
                        if more.is_empty() {
                            more.extend_from_slice(&first);
                        }
                        more.extend_from_slice(&bytes);
                        continue;
                    }
                    Err(frame) => End::Ended(frame.into_trailers().ok()),
                },
            };
            if len == 0 {
                return Poll::Ready(Part::End(end));
            }
            self.ahead = Some(end);
            return Poll::Ready(Part::Bytes(piece(first, more), false));
        }
    }
}
