//! A body that is broken off, once hyper has sent what it has of it.
//!
//! hyper sends what it has while a body lets it wait, and drops it when a body fails. Over HTTP/2 another task sends it: that
//! it did is seen by its having let go of the bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Sleep, sleep};

use super::Reset;

/// How often it is looked whether a client took what came before its response breaks off.
const LOOK: Duration = Duration::from_millis(1);

/// How many times that is looked, before the response breaks off all the same.
const LOOKS: u32 = 100;

pub(super) struct Broken {
    why: &'static str,
    /// What hyper was given last.
    last: Bytes,
    looks: u32,
    next: Pin<Box<Sleep>>,
}

impl Broken {
    pub(super) fn new(why: &'static str, last: Bytes) -> Self {
        Self { why, last, looks: 0, next: Box::pin(sleep(LOOK)) }
    }

    /// Ready when the body may fail.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reset> {
        loop {
            ready!(self.next.as_mut().poll(context));
            self.looks += 1;
            if self.last.is_empty() || self.last.is_unique() || self.looks == LOOKS {
                return Poll::Ready(Reset(self.why));
            }
            self.next = Box::pin(sleep(LOOK));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it was looked, with somebody who lets go of the bytes or keeps them.
    async fn looks(lets_go: bool) -> u32 {
        let last = Bytes::from(vec![1]);
        let mut broken = Broken::new("", last.clone());
        let kept = (!lets_go).then_some(last);
        std::future::poll_fn(|context| broken.poll(context)).await;
        drop(kept);
        broken.looks
    }

    #[tokio::test]
    async fn ends_when_the_bytes_are_let_go_of() {
        assert_eq!(looks(true).await, 1);
    }

    #[tokio::test]
    async fn waits_for_nobody_who_takes_nothing() {
        assert_eq!(looks(false).await, LOOKS);
    }
}
