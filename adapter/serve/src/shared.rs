//! Shared data and shared queues over all instances, for components that were adapted with `--state host`.

use std::sync::Arc;

use proxy_wasm_adapter_embed::shared;
use tokio::sync::Notify;
use wasmtime::component::Linker;

use super::state::State;

/// What all instances share.
#[derive(Debug)]
pub(super) struct Shared {
    kept: Arc<shared::Shared>,
    news: Arc<News>,
}

/// An item came, of which an instance is to be told.
#[derive(Debug, Default)]
struct News {
    /// For whoever tends them all, though it may not wait yet.
    told: Notify,
    /// For those that tend one each, and look before they wait.
    changed: Notify,
}

impl Shared {
    /// Waits until an item came, of which an instance is to be told.
    pub(super) async fn is_told(&self) {
        self.news.told.notified().await;
    }
}

impl Default for Shared {
    fn default() -> Self {
        let news = Arc::<News>::default();
        let told = news.clone();
        let kept = shared::Shared::new(move || {
            told.told.notify_one();
            told.changed.notify_waiters();
        });
        Self { kept, news }
    }
}

/// The part of one instance.
#[derive(Clone, Debug)]
pub(super) struct Member {
    own: Arc<shared::Member>,
    news: Arc<News>,
}

impl Member {
    pub(super) fn new(shared: &Shared) -> Self {
        Self { own: Arc::new(shared::Member::new(&shared.kept)), news: shared.news.clone() }
    }

    /// Whether the instance is to be told of items.
    pub(super) fn has_ready_queues(&self) -> bool {
        self.own.has_ready_queues()
    }

    /// Waits until it is.
    pub(super) async fn has_news(&self) {
        loop {
            let changed = self.news.changed.notified();
            if self.has_ready_queues() {
                return;
            }
            changed.await;
        }
    }
}

/// Offers the interface to components.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    shared::add_to_linker(linker, |state| &state.shared.own)
}
