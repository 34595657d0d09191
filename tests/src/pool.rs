//! Hosts that several trials share: started by the first, ended after the last.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};

/// Things by key, each used by one trial at a time.
#[derive(Debug)]
pub struct Pool<K, V> {
    slots: Mutex<HashMap<K, Slot<V>>>,
}

#[derive(Debug)]
struct Slot<V> {
    users: usize,
    /// Nothing yet, or what it is, or why it could not be made.
    value: Arc<Mutex<Option<Result<V, String>>>>,
}

impl<K: Clone + Eq + Hash, V> Default for Pool<K, V> {
    fn default() -> Self {
        Self { slots: Mutex::new(HashMap::new()) }
    }
}

impl<K: Clone + Eq + Hash, V> Pool<K, V> {
    /// Someone will use this.
    pub fn announce(&self, key: &K) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(key.clone()).or_insert_with(|| Slot { users: 0, value: Arc::default() }).users += 1;
    }

    /// Uses it, and drops it if nobody else announced to use it, or if this went wrong: the next one gets a new one.
    ///
    /// # Errors
    /// It could not be made, now or before; or what `with` returns.
    pub fn with<T>(
        &self,
        key: &K,
        make: impl FnOnce() -> Result<V>,
        with: impl FnOnce(&mut V) -> Result<T>,
    ) -> Result<T> {
        let value = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            match slots.get(key) {
                Some(slot) => slot.value.clone(),
                None => bail!("used without being announced"),
            }
        };
        let result = {
            let mut value = value.lock().unwrap_or_else(PoisonError::into_inner);
            let result = match value.get_or_insert_with(|| make().map_err(|error| format!("{error:#}"))) {
                Ok(value) => with(value),
                Err(error) => bail!("{error}"),
            };
            if result.is_err() {
                *value = None;
            }
            result
        };
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(key) {
            slot.users -= 1;
            if slot.users == 0 {
                slots.remove(key);
            }
        }
        result
    }

    /// Drops whatever is left: a run of one trial by name never comes to the others.
    pub fn clear(&self) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
