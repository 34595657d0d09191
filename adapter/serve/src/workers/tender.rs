//! The host's part in an instance beside its requests: ticks and callouts between them, metrics, what exchanges leave, and
//! clients that do.
//!
//! It runs in the instance's store, and ends with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use wasmtime::component::{Accessor, AccessorTask};

use super::plugins::{Ends, Exchange, Plugins};
use crate::record::Record;
use crate::shared::Member;
use crate::state::State;
use crate::stats::Share;

/// The requests of an instance that are under way.
#[derive(Default)]
pub(super) struct Requests {
    open: Mutex<Open>,
    /// One has begun.
    begun: Notify,
    /// The client of one has left.
    left: Notify,
    /// One is over.
    ended: Notify,
}

#[derive(Default)]
struct Open {
    /// How many came.
    count: u32,
    records: BTreeMap<u32, Arc<Record>>,
    /// Those whose clients left, and whose plugins are to be told.
    left: Vec<u32>,
}

impl Requests {
    /// The instance gets its next request. Returns its number.
    pub(super) fn begin(&self, record: Arc<Record>) -> u32 {
        let number = {
            let mut open = self.open();
            open.count = open.count.wrapping_add(1);
            let number = open.count;
            open.records.insert(number, record);
            number
        };
        self.begun.notify_one();
        number
    }

    /// The client of a request has left, unless that is over.
    pub(super) fn leave(&self, number: u32) {
        {
            let mut open = self.open();
            if !open.records.contains_key(&number) || open.left.contains(&number) {
                return;
            }
            open.left.push(number);
        }
        self.left.notify_one();
    }

    /// Waits until there are any.
    async fn are_open(&self) {
        while !self.has_open() {
            self.begun.notified().await;
        }
    }

    /// Whether there are any.
    pub(super) fn has_open(&self) -> bool {
        !self.open().records.is_empty()
    }

    /// Waits until there are none.
    pub(super) async fn are_closed(&self) {
        while self.has_open() {
            self.ended.notified().await;
        }
    }

    fn take_left(&self) -> Vec<u32> {
        std::mem::take(&mut self.open().left)
    }

    /// One is over.
    fn end(&self, Exchange { number, remains }: Exchange) {
        let record = self.open().records.remove(&number);
        if let Some(record) = record.filter(|record| record.is_logged()) {
            record.tell(remains);
        }
        self.ended.notify_one();
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is done beside requests.
pub(super) struct Tender {
    pub(super) plugins: Plugins,
    pub(super) requests: Arc<Requests>,
    /// What the instance adds to the metrics, where anybody wants to see them.
    pub(super) share: Option<Mutex<Share>>,
    /// Its part of what instances share.
    pub(super) member: Member,
}

impl Tender {
    /// Adds to the metrics what changed since the last time.
    async fn collect(&self, accessor: &Accessor<State>) -> wasmtime::Result<()> {
        let (Some(share), Some(stats)) = (&self.share, self.plugins.stats) else { return Ok(()) };
        let (changes,) = stats.call_concurrent(accessor, ()).await?;
        share.lock().unwrap_or_else(PoisonError::into_inner).add(changes);
        Ok(())
    }

    /// Listens for the ends of exchanges. While there are none to come nothing is asked: a call that never returns would
    /// keep an instance from its end.
    async fn listen(&self, accessor: &Accessor<State>, ends: Ends, over: &Notify) -> wasmtime::Result<()> {
        loop {
            self.requests.are_open().await;
            ends.ended.call_concurrent(accessor, ()).await?;
            let (exchanges,) = ends.exchanges.call_concurrent(accessor, ()).await?;
            self.collect(accessor).await?;
            for exchange in exchanges {
                self.requests.end(exchange);
            }
            over.notify_one();
        }
    }

    /// Tells the plugins whose clients have left.
    async fn tell_of_departures(&self, accessor: &Accessor<State>) -> wasmtime::Result<()> {
        let Some(left) = self.plugins.left else { return Ok(()) };
        loop {
            self.requests.left.notified().await;
            for number in self.requests.take_left() {
                left.call_concurrent(accessor, (number,)).await?;
            }
        }
    }

    /// Has the plugins do what is due between requests, when they asked for it and when an exchange is over.
    async fn tend(&self, accessor: &Accessor<State>, over: &Notify) -> wasmtime::Result<()> {
        let Some(idle) = self.plugins.idle else { return Ok(()) };
        loop {
            let (wake,) = idle.call_concurrent(accessor, ()).await?;
            self.collect(accessor).await?;
            let woken = async {
                match wake {
                    Some(wake) => tokio::time::sleep(Duration::from_nanos(wake)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = woken => {}
                () = over.notified() => {}
                () = self.member.has_news() => {}
            }
        }
    }
}

impl AccessorTask<State> for Tender {
    async fn run(self, accessor: &Accessor<State>) -> wasmtime::Result<()> {
        let over = Notify::new();
        let listening = async {
            match self.plugins.ends {
                Some(ends) => self.listen(accessor, ends, &over).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(listening, self.tell_of_departures(accessor), self.tend(accessor, &over))?;
        Ok(())
    }
}
