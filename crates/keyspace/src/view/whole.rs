//! Whole databases: counted, walked, emptied, swapped.

use std::sync::atomic::Ordering::Relaxed;

use super::{Access, Covered, View};
use crate::entry::Entry;
use crate::interest::fate::Change;
use crate::key::Key;
use crate::store::LAZYFREE_EFFORT_MIN;

impl View<'_> {
    /// Keys of the selected database, covered or not. With all shards held this is exact.
    pub fn len(&self) -> usize {
        self.store.keys(self.db)
    }

    /// Whether the selected database is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `each` with every key that is there, in covered shards, in no order.
    pub fn for_each(&self, mut each: impl FnMut(&Entry)) {
        for shard in 0..self.store.shards() {
            if self.store.keys_in_shard(self.db, shard) > 0 && self.covered.has(shard) {
                self.table(shard)
                    .iter()
                    .map(|(entry, ())| entry)
                    .filter(|entry| !entry.is_expired(self.now_ms))
                    .for_each(&mut each);
            }
        }
    }

    /// Empties the selected database; how many keys it had. Needs all shards; the freeing is done elsewhere.
    pub fn clear(&mut self) -> usize {
        if self.is_empty() {
            // Who tracks is told all the same, as in Redis.
            self.note_whole(Change::Emptied(self.db as u32));
            return 0;
        }
        if let Some(published) = &self.store.published {
            assert!(self.covered == Covered::All, "who empties a database has everything");
            published.clear(self.db);
        }
        let mut removed = 0;
        for shard in 0..self.store.shards() {
            removed += self.clear_shard(shard);
        }
        if removed > 0 {
            self.note_whole(Change::Emptied(self.db as u32));
        }
        if self.covered == Covered::All && self.access == Access::Write {
            // SAFETY: everything is held exclusively, by this view, which keeps no table from one call to the next.
            unsafe { self.store.leave_database(self.db) };
        }
        removed
    }

    fn clear_shard(&mut self, shard: usize) -> usize {
        let db = self.db;
        self.effects.touch();
        if self.store.change_listeners.load(Relaxed) != 0 {
            self.touch_watchers_of_db(shard, None);
            self.signal_changes_of_db(shard, None);
        }
        let table = std::mem::take(self.table_mut(shard));
        let removed = table.len();
        if removed > 0 {
            let state = self.state_mut(shard);
            state.expiries.clear(db);
            state.field_expiries.clear(db);
            self.layout_changed(shard);
            self.store.set_keys(db, shard, 0);
            self.store.set_expiring_keys(db, shard, 0);
            let Some(table) = self.preserve_table(shard, table) else { return removed };
            if removed > LAZYFREE_EFFORT_MIN {
                self.store.bury(Box::new(table));
            }
        }
        removed
    }

    /// Swaps two databases. Needs all shards; linear in them, not in the keys.
    pub fn swap_databases(&mut self, first: usize, second: usize) {
        assert!(
            self.covered == Covered::All && self.access == Access::Write,
            "SWAPDB is planned over everything"
        );
        if first == second {
            return;
        }
        let mut in_use = self.store.databases_in_use();
        if !in_use.any(|db| db == first || db == second) {
            return;
        }
        drop(in_use);
        for db in [first, second] {
            self.store.use_database(db);
        }
        // What was found expired goes by the numbers of before: its deletions precede the swap in the journal.
        self.expire_found();
        self.effects.touch();
        let selected = self.db;
        for shard in 0..self.store.shards() {
            if self.store.change_listeners.load(Relaxed) != 0 {
                for (db, other) in [(first, second), (second, first)] {
                    self.db = db;
                    self.touch_watchers_of_db(shard, Some(other));
                    self.signal_changes_of_db(shard, Some(other));
                }
            }
            // SAFETY: all shards are held exclusively, and the two tables are distinct.
            unsafe { std::ptr::swap(self.store.table(shard, first), self.store.table(shard, second)) };
            let state = self.state_mut(shard);
            state.expiries.swap(first, second);
            state.field_expiries.swap(first, second);
            self.swap_preserved(shard, first, second);
            self.layout_changed(shard);
            let store = self.store;
            let (keys, expiring) =
                (store.keys_in_shard(first, shard), store.expiring_keys_in_shard(first, shard));
            store.set_keys(first, shard, store.keys_in_shard(second, shard));
            store.set_expiring_keys(first, shard, store.expiring_keys_in_shard(second, shard));
            store.set_keys(second, shard, keys);
            store.set_expiring_keys(second, shard, expiring);
        }
        if let Some(published) = &self.store.published {
            published.swap(first, second);
        }
        self.note_whole(Change::Swapped(first as u32, second as u32));
        for db in [first, second] {
            self.db = db;
            self.signal_all_waited();
        }
        self.db = selected;
    }

    /// A key of the selected database in `shard`, each with the same probability; none if it has none that is alive.
    pub fn random_in_shard(&self, shard: usize) -> Option<&Entry> {
        let table = self.table(shard);
        let skip = self.random.below(table.len().max(1));
        let alive = |entry: &&(Entry, ())| {
            let is_alive = !entry.0.is_expired(self.now_ms);
            if !is_alive {
                self.remember_stale(Key::new(entry.0.key()));
            }
            is_alive
        };
        table.iter().skip(skip).find(alive).or_else(|| table.iter().find(alive)).map(|(entry, ())| entry)
    }
}
