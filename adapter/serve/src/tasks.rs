//! The tasks in which instances run.
//!
//! They end before the runtime does: what a component waits for are tasks as well, and a runtime that shuts down ends
//! those in any order, which `wasmtime-wasi` takes for a panic in them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::{AbortHandle, JoinSet};

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    running: JoinSet<()>,
    /// No further ones.
    ended: bool,
}

impl Tasks {
    /// Runs something in a task of its own; nothing once they were ended.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
        let mut state = self.state();
        while state.running.try_join_next().is_some() {}
        (!state.ended).then(|| state.running.spawn(task))
    }

    /// Ends all of them, and waits for that.
    pub(super) async fn end(&self) {
        let mut running = {
            let mut state = self.state();
            state.ended = true;
            std::mem::take(&mut state.running)
        };
        running.shutdown().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn they_end_together() {
        let tasks = Tasks::default();
        let held = Arc::new(());
        for _ in 0..3 {
            let held = held.clone();
            tasks.spawn(async move {
                std::future::pending::<()>().await;
                drop(held);
            });
        }
        tasks.spawn(async {}).unwrap();
        assert_eq!(Arc::strong_count(&held), 4);
        tasks.end().await;
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(tasks.spawn(async {}).is_none());
    }
}
