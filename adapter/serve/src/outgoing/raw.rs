//! Targets that `http::Uri` has no place for, on their way to an upstream of HTTP/1.
//!
//! hyper writes the target that is in a request's `Uri`. So there stands a mark that nobody can guess, and the connection
//! writes the target in its place. HTTP/2 packs what it sends, and over TLS it may be HTTP/2: there they go out
//! percent-encoded.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use memchr::memmem;
use proxy_wasm_adapter_embed::RawPath;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::target::RawTarget;

/// The hexadecimal digits of a mark's number.
const DIGITS: usize = 16;

/// The targets that requests on their way have.
#[derive(Debug)]
pub(super) struct Targets {
    /// What each mark begins with.
    secret: String,
    next: AtomicU64,
    hidden: Mutex<HashMap<u64, Bytes>>,
}

impl Default for Targets {
    fn default() -> Self {
        let random = || RandomState::new().hash_one(0);
        Self {
            secret: format!("/{:016x}{:016x}-", random(), random()),
            next: AtomicU64::new(0),
            hidden: Mutex::default(),
        }
    }
}

/// A target on its way. It is forgotten with it.
#[derive(Debug)]
pub(super) struct Hidden {
    targets: Arc<Targets>,
    number: u64,
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.targets.lock().remove(&self.number);
    }
}

impl Targets {
    /// Puts into a request's address what brings this target to its upstream. It does as long as what it returns is kept.
    pub(super) fn hide(self: &Arc<Self>, target: RawTarget, uri: &mut Uri, http2: bool) -> Option<Hidden> {
        let hidden = (!http2 && uri.scheme() == Some(&Scheme::HTTP)).then(|| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.lock().insert(number, Bytes::from(target.0.clone()));
            Hidden { targets: self.clone(), number }
        });
        let path = match &hidden {
            Some(hidden) => format!("{}{:0DIGITS$x}", self.secret, hidden.number),
            None => RawPath(target.0.into()).percent_encoded(),
        };
        let mut parts = std::mem::take(uri).into_parts();
        parts.path_and_query = PathAndQuery::try_from(path).ok();
        // All parts but this one were together before.
        *uri = Uri::from_parts(parts).unwrap_or_default();
        hidden
    }

    /// What is to be written of these bytes: so many as they are, and then a target in place of so many.
    fn reveal(&self, bytes: &[u8]) -> (usize, Option<(Bytes, usize)>) {
        let hidden = self.lock();
        if hidden.is_empty() {
            return (bytes.len(), None);
        }
        for at in memmem::find_iter(bytes, self.secret.as_bytes()) {
            let digits = at + self.secret.len();
            let number = bytes.get(digits..digits + DIGITS).and_then(|digits| str::from_utf8(digits).ok());
            let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            if let Some(target) = number.and_then(|number| hidden.get(&number)) {
                return (at, Some((target.clone(), self.secret.len() + DIGITS)));
            }
        }
        (bytes.len(), None)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Bytes>> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on which the marks are replaced.
pub(super) struct Revealing<S> {
    inner: S,
    targets: Arc<Targets>,
    /// What is to be written before anything else.
    target: Bytes,
}

impl<S: AsyncWrite + Unpin> Revealing<S> {
    pub(super) fn new(inner: S, targets: Arc<Targets>) -> Self {
        Self { inner, targets, target: Bytes::new() }
    }

    fn poll_target(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.target.is_empty() {
            let size = ready!(Pin::new(&mut self.inner).poll_write(context, &self.target))?;
            if size == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.target.advance(size);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Revealing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Revealing<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_target(context))?;
        match this.targets.reveal(bytes) {
            (0, Some((target, mark))) => {
                this.target = target;
                Poll::Ready(Ok(mark))
            }
            (size, _) => Pin::new(&mut this.inner).poll_write(context, &bytes[..size]),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_target(context))?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_target(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.target.is_empty() && self.targets.lock().is_empty() {
            return Pin::new(&mut self.inner).poll_write_vectored(context, pieces);
        }
        let first = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| &piece[..]);
        self.poll_write(context, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn the_target_stands_where_its_mark_was() {
        let targets = Arc::new(Targets::default());
        let mut uri = Uri::from_static("http://a.test/x");
        let hidden = targets.hide(RawTarget("/?a=<b>#c".into()), &mut uri, false).unwrap();
        let head = format!("GET {} HTTP/1.1\r\nhost: a.test\r\n\r\n", uri.path_and_query().unwrap());
        // However little is taken at a time.
        for space in [1, 5, 1000] {
            let (inner, mut other) = tokio::io::duplex(space);
            let mut stream = Revealing::new(inner, targets.clone());
            let head = head.clone();
            tokio::spawn(async move {
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            });
            let mut written = String::new();
            other.read_to_string(&mut written).await.unwrap();
            assert_eq!(written, "GET /?a=<b>#c HTTP/1.1\r\nhost: a.test\r\n\r\n");
        }
        assert_eq!(targets.lock().len(), 1);
        drop(hidden);
        assert_eq!(targets.reveal(head.as_bytes()), (head.len(), None), "it is forgotten");
    }

    #[test]
    fn elsewhere_it_is_percent_encoded() {
        let targets = Arc::new(Targets::default());
        for (address, http2) in [("https://a.test/x", false), ("http://a.test/x", true)] {
            let mut uri = Uri::from_static(address);
            assert!(targets.hide(RawTarget("/`?a=<b>\"#\u{e4}".into()), &mut uri, http2).is_none());
            assert_eq!(uri.path_and_query().unwrap(), "/%60?a=%3Cb%3E%22%23\u{e4}");
        }
    }
}
