//! Watching a key: whose EXEC is to answer nil when it changes.
//!
//! The watchers of a key lie in its shard, in the order of database and address, so that one among many is found quickly:
//! each EXEC ends the watches of its client.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::interest::watchers::{WatchFlag, of_db, place};
use crate::key::Key;
use crate::view::View;

impl View<'_> {
    /// Touches who watches the key.
    pub(crate) fn touch_watchers(&mut self, key: Key<'_>) {
        let db = self.db() as u32;
        let state = self.state(self.store().shard_of(key.hash));
        if let Some(watchers) = state.watchers.get(key) {
            of_db(watchers, db).for_each(|flag| flag.is_dirty.store(true, Relaxed));
        }
    }

    /// Makes `flag` dirty when the key changes. A key is watched once by each.
    pub fn watch(&mut self, key: Key<'_>, flag: &Arc<WatchFlag>) {
        let db = self.db() as u32;
        let state = self.state_mut(self.store().shard_of(key.hash));
        let watchers = state.watchers.get_or_default(key);
        if let Err(at) = place(watchers, db, Arc::as_ptr(flag)) {
            watchers.insert(at, (db, flag.clone()));
            self.store().watched.fetch_add(1, Relaxed);
            self.store().change_listeners.fetch_add(1, Relaxed);
        }
    }

    /// Ends the watch.
    pub fn unwatch(&mut self, key: Key<'_>, flag: &Arc<WatchFlag>) {
        let (db, store) = (self.db() as u32, self.store());
        let state = self.state_mut(store.shard_of(key.hash));
        state.watchers.update(key, |watchers| {
            if let Ok(at) = place(watchers, db, Arc::as_ptr(flag)) {
                watchers.remove(at);
                store.watched.fetch_sub(1, Relaxed);
                store.change_listeners.fetch_sub(1, Relaxed);
            }
            watchers.is_empty()
        });
    }

    /// Touches who watches a key of the selected database that exists (or would, after a swap with `other`).
    pub(crate) fn touch_watchers_of_db(&mut self, shard: usize, other: Option<usize>) {
        let db = self.db();
        for (bytes, watchers) in self.state(shard).watchers.iter() {
            let is_there = |db: usize| self.is_there_in(shard, db, Key::new(bytes));
            let mut watchers = of_db(watchers, db as u32).peekable();
            if watchers.peek().is_some() && (is_there(db) || other.is_some_and(is_there)) {
                watchers.for_each(|flag| flag.is_dirty.store(true, Relaxed));
            }
        }
    }
}
