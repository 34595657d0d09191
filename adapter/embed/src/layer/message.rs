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

    /// What came, and whether more may come. The end that is known comes with the last bytes: Envoy reads both at once.
    pub(super) fn poll(&mut self, peer: Peer, context: &mut Context<'_>, events: &mut Vec<Event>) -> Poll<bool> {
        if self.ahead.is_none() {
            match std::task::ready!(self.poll_part(context)) {
                Part::Bytes(bytes, end) => {
                    events.push(Event::Data { peer, bytes, end });
                    if end {
                        return Poll::Ready(false);
                    }
                }
                Part::End(end) => self.ahead = Some(end),
            }
        }
        let rest = self.take_rest(peer);
        let is_over = rest.is_some();
        events.extend(rest);
        Poll::Ready(!is_over)
    }

    /// The end, where it came behind what was read. Nothing more comes then.
    pub(super) fn take_rest(&mut self, peer: Peer) -> Option<Event> {
        Some(match self.ahead.take()? {
            End::Ended(trailers) => Event::End { peer, trailers },
            End::Broken(error) => {
                tracing::debug!(?peer, %error, "a body breaks off");
                Event::Broken(peer)
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

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;
    use crate::event::ExchangeId;

    #[test]
    fn an_end_that_is_known_is_told_with_the_last_bytes() {
        let peer = Peer::Client(ExchangeId(1));
        let mut context = Context::from_waker(std::task::Waker::noop());
        for (version, joined) in [(Version::HTTP_11, false), (Version::HTTP_2, true)] {
            let mut message = Message::new(Full::from("ok"), version).unwrap();
            let mut events = Vec::new();
            assert_eq!(message.poll(peer, &mut context, &mut events), Poll::Ready(false));
            let mut expected = vec![format!("{:?}", Event::Data { peer, bytes: "ok".into(), end: joined })];
            expected.extend((!joined).then(|| format!("{:?}", Event::End { peer, trailers: None })));
            assert_eq!(events.iter().map(|event| format!("{event:?}")).collect::<Vec<_>>(), expected);

            let (begin, rest) = Message::new(Full::from("ok"), version).unwrap().begin(&mut context);
            assert_eq!(begin, if joined { Begin::Whole("ok".into()) } else { Begin::Part("ok".into()) });
            assert_eq!(rest.and_then(|mut rest| rest.take_rest(peer)).is_some(), !joined);
        }
    }
}
