//! Waiting for a key: the queues of a shard, and who is told when a key comes into being.
//!
//! A queue is found by database and key and belongs to the key's shard, so it is changed under a view like the key itself and
//! no wake-up is lost. Who waits is the server's own type; here it is only queued.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::store::{DbKey, Key, Waiter};
use crate::view::{Covered, View};

impl View<'_> {
    /// Puts a waiter at the end of the key's queue.
    pub fn wait_for(&mut self, key: Key<'_>, waiter: Arc<dyn Waiter>) {
        let db = self.db() as u32;
        let state = self.state_mut(self.store().shard_of(key.hash));
        state.waiters.entry((db, key.bytes.into())).or_default().push_back(waiter);
        self.store().waited.fetch_add(1, Relaxed);
    }

    /// Takes a waiter, and those who no longer wait, out of the key's queue.
    pub fn stop_waiting(&mut self, key: Key<'_>, waiter: &Arc<dyn Waiter>) {
        let db_key: DbKey = (self.db() as u32, key.bytes.into());
        let state = self.state_mut(self.store().shard_of(key.hash));
        let Some(queue) = state.waiters.get_mut(&db_key) else { return };
        let before = queue.len();
        queue.retain(|other| !Arc::ptr_eq(other, waiter) && other.is_waiting());
        let removed = before - queue.len();
        if queue.is_empty() {
            state.waiters.remove(&db_key);
        }
        self.store().waited.fetch_sub(removed, Relaxed);
    }

    /// Who waits for the key, the longest first.
    pub fn waiters(&self, key: Key<'_>) -> Vec<Arc<dyn Waiter>> {
        let state = self.state(self.store().shard_of(key.hash));
        let queue = state.waiters.get(&(self.db() as u32, key.bytes.into()) as &DbKey);
        queue
            .map(|queue| queue.iter().filter(|waiter| waiter.is_waiting()).cloned().collect())
            .unwrap_or_default()
    }

    /// Whether serving somebody who waits for a key of this name, in whatever database, would need keys that this view may not
    /// cover: MOVE, COPY and a transaction's SELECT make keys elsewhere. O(N) in the keys of the shard that are waited for.
    pub fn has_far_waiters(&self, key: Key<'_>) -> bool {
        if self.store().waited.load(Relaxed) == 0 || self.covered() == Covered::All {
            return false;
        }
        let state = self.state(self.store().shard_of(key.hash));
        let queues = state.waiters.iter().filter(|((_, bytes), _)| **bytes == *key.bytes);
        queues.flat_map(|(_, queue)| queue).any(|waiter| waiter.is_waiting() && waiter.needs_more_keys())
    }

    /// Says that a key came into being that somebody may wait for (what creates a key says so itself).
    pub(crate) fn signal_ready(&mut self, shard: usize, key: Key<'_>) {
        let db_key: DbKey = (self.db() as u32, key.bytes.into());
        if self.state(shard).waiters.contains_key(&db_key) {
            self.effects.leave();
            self.effects.ready.push(db_key);
        }
    }

    /// Signals each key of the database that somebody waits for and that exists (after SWAPDB). Needs all shards.
    pub fn signal_all_waited(&mut self) {
        let db = self.db() as u32;
        for shard in 0..self.store().shards() {
            let waited: Vec<DbKey> =
                self.state(shard).waiters.keys().filter(|(of, _)| *of == db).cloned().collect();
            for db_key in waited {
                if self.exists(Key::new(&db_key.1)) {
                    self.effects.leave();
                    self.effects.ready.push(db_key);
                }
            }
        }
    }
}
