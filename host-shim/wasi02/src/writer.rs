//! A body on its way out: written as far as the host takes it, the rest kept.

use std::task::Poll;

use proxy_wasm_driver::{Gone, Sink};

use crate::bindings::wasi::{
    http::types::{Fields, OutgoingBody},
    io::{poll::Pollable, streams::OutputStream},
};

/// An outgoing body.
pub(crate) struct Writer {
    // Children first: the pollable is the stream's, the stream the body's.
    pollable: Option<Pollable>,
    stream: Option<OutputStream>,
    body: Option<OutgoingBody>,
    pending: Vec<u8>,
    written: usize,
    /// The trailers, where the body ends after what is queued.
    end: Option<Option<Fields>>,
}

impl Writer {
    pub(crate) fn new(body: OutgoingBody) -> Self {
        let stream = body.write().ok();
        Self { pollable: None, stream, body: Some(body), pending: Vec::new(), written: 0, end: None }
    }

    /// The body ends after what is queued.
    pub(crate) fn end(&mut self, trailers: Option<Fields>) {
        self.end = Some(trailers);
    }

    /// Whether no bytes are queued.
    fn is_idle(&self) -> bool {
        self.written == self.pending.len()
    }

    /// Writes what the host takes now.
    fn write(&mut self) -> Result<(), Gone> {
        while let (Some(stream), false) = (&self.stream, self.is_idle()) {
            let room = stream.check_write().map_err(|_| Gone)? as usize;
            if room == 0 {
                return Ok(());
            }
            let part = &self.pending[self.written..];
            let part = &part[..part.len().min(room)];
            stream.write(part).map_err(|_| Gone)?;
            self.written += part.len();
        }
        if self.is_idle()
            && let Some(trailers) = self.end.take()
        {
            self.pollable = None;
            self.stream = None;
            if let Some(body) = self.body.take() {
                OutgoingBody::finish(body, trailers).map_err(|_| Gone)?;
            }
        }
        Ok(())
    }

    /// Ready when more can be written, where bytes are queued.
    pub(crate) fn pollable(&mut self) -> Option<&Pollable> {
        let is_idle = self.is_idle();
        let stream = self.stream.as_ref().filter(|_| !is_idle)?;
        Some(self.pollable.get_or_insert_with(|| stream.subscribe()))
    }
}

impl Sink for Writer {
    fn push(&mut self, bytes: Vec<u8>) {
        if self.is_idle() {
            self.pending = bytes;
            self.written = 0;
        } else {
            self.pending.extend_from_slice(&bytes);
        }
    }

    fn has_more(&self) -> bool {
        !self.is_idle() || self.end.is_some()
    }

    fn pump(&mut self) -> Poll<Result<(), Gone>> {
        match self.write() {
            Ok(()) if !self.is_idle() => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    fn is_finished(&self) -> bool {
        self.body.is_none()
    }
}
