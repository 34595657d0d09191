//! A body on its way out: written as far as the host takes it, the rest kept.

use std::task::Poll;

use proxy_wasm_driver::{Gone, Sink};

use crate::{
    bindings::wasi::http::types::Fields,
    canonical::{BodyWriter, TrailersWriter},
};

/// An outgoing body.
pub(crate) struct Writer {
    body: Option<BodyWriter>,
    trailers: TrailersWriter,
    end: End,
}

/// How the body ends after what is queued.
enum End {
    /// That is not known yet.
    Open,
    With(Option<Fields>),
    /// It breaks off.
    Broken,
    /// It has been written.
    Written,
}

impl Writer {
    pub(crate) fn new((body, trailers): (Option<BodyWriter>, TrailersWriter)) -> Self {
        Self { body, trailers, end: End::Open }
    }

    /// The body ends after what is queued.
    pub(crate) fn end(&mut self, trailers: Option<Fields>) {
        self.end = End::With(trailers);
    }

    /// The body breaks off after what is queued.
    pub(crate) fn break_off(&mut self) {
        if matches!(self.end, End::Open) {
            self.end = End::Broken;
        }
    }

    /// Whether no bytes are queued.
    fn is_idle(&self) -> bool {
        self.body.as_ref().is_none_or(BodyWriter::is_idle)
    }

    /// From now on the task that runs is told of the room for more, if more is to be written.
    pub(crate) fn wait_here(&mut self) -> bool {
        self.body.as_mut().is_some_and(BodyWriter::wait_here) | self.trailers.wait_here()
    }

    /// The task that runs is told of it no more: it ends.
    pub(crate) fn part(&mut self) {
        if let Some(body) = &mut self.body {
            body.part();
        }
        self.trailers.part();
    }
}

impl Sink for Writer {
    fn push(&mut self, bytes: Vec<u8>) {
        if let Some(body) = &mut self.body {
            body.push(bytes);
        }
    }

    fn has_more(&self) -> bool {
        !self.is_idle() || !matches!(self.end, End::Open)
    }

    fn pump(&mut self) -> Poll<Result<(), Gone>> {
        if let Some(body) = &mut self.body {
            match body.poll() {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(Gone)) => return Poll::Ready(Err(Gone)),
                Poll::Pending => return Poll::Pending,
            }
        }
        match std::mem::replace(&mut self.end, End::Written) {
            End::Open => {
                self.end = End::Open;
                return Poll::Ready(Ok(()));
            }
            End::With(trailers) => {
                self.body = None;
                self.trailers.write(Ok(trailers));
            }
            End::Broken => {
                self.body = None;
                self.trailers.write(Err(()));
            }
            End::Written => {}
        }
        self.trailers.poll().map(Ok)
    }

    fn is_finished(&self) -> bool {
        matches!(self.end, End::Written)
    }
}
