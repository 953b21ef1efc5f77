//! Snapshots: the keys as they were at one moment, collected while everybody goes on working.
//!
//! A snapshot begins under a view of everything: each shard is told to preserve. From then on whoever is about to change
//! a key of such a shard for the first time encodes it first, as it still is, and hands it over; then the shards are visited
//! one by one, and the rest of each is encoded under a view of it alone. So nobody waits for more than the encoding of one shard
//! or one value, nothing is copied but what changes, and there is no fork.
//!
//! A shard remembers by name which keys were preserved, or made, since the beginning: it costs memory for what is written
//! during the snapshot only, and nothing in the entries. A bit per entry was rejected: after a snapshot that was given up
//! half-way it would have to be walked right again. Epochs in the entries cost 8 bytes each.
//!
//! A database that is emptied hands its tables over instead of encoding them at once, and a swap of two databases swaps
//! what their shards remember: a database goes by its number at the beginning.

pub(crate) mod preserving;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::entry::Entry;
use crate::key::Key;
use crate::store::notice;
use crate::table::Table;
use crate::view::{Access, Covered, View};
use preserving::Preserving;
pub use preserving::{Emptied, Encode, Handover, Preserved, Waits, waiting_bytes};

impl View<'_> {
    /// Begins a snapshot: `encode` will see each key as it is now, and `handover` gets what others preserve. The view covers
    /// everything, exclusively. O(shards).
    pub fn begin_snapshot(&mut self, encode: &Arc<Encode>, handover: &Arc<Handover>) {
        assert!(
            self.covered() == Covered::All && self.access() == Access::Write,
            "a snapshot begins under a view of everything"
        );
        for shard in 0..self.store().shards() {
            let preserving = Preserving::new(encode.clone(), handover.clone());
            self.state_mut(shard).preserving = Some(Box::new(preserving));
        }
        self.store().notices.fetch_or(notice::PRESERVING, Relaxed);
    }

    /// Visits a shard of the snapshot: `each` gets the keys that nobody has preserved, with their databases. The shard is
    /// done then. O(keys of the shard).
    pub fn visit_shard(&mut self, shard: usize, mut each: impl FnMut(usize, &Entry)) {
        let Some(mut preserving) = self.state_mut(shard).preserving.take() else { return };
        preserving.hand_over();
        let selected = self.db();
        for db in self.store().databases_in_use() {
            if self.store().keys_in_shard(db, shard) == 0 {
                continue;
            }
            let database = preserving.database(db);
            if database.is_done {
                continue;
            }
            self.select(db);
            let is_untouched = database.touched.is_empty();
            let table = self.table(shard);
            crate::store::for_each_prefetched(table, |entry| {
                if is_untouched || !database.touched.contains(entry.key()) {
                    each(database.number, entry);
                }
            });
        }
        self.select(selected);
    }

    /// Ends a snapshot in a shard without a visit, when it is given up.
    pub fn leave_shard(&mut self, shard: usize) {
        self.state_mut(shard).preserving = None;
    }

    /// Whether a field of some hash expires, or did when it was last looked at. The view covers everything. O(shards).
    pub fn has_expiring_fields(&self) -> bool {
        (0..self.store().shards()).any(|shard| !self.state(shard).field_expiries.is_empty())
    }

    /// Preserves the key, as it still is, before its first change during a snapshot.
    #[cold]
    pub(crate) fn preserve(&mut self, shard: usize, key: Key<'_>) {
        let Some(mut preserving) = self.state_mut(shard).preserving.take() else { return };
        preserving.preserve(self.db(), key.bytes, self.lookup(key));
        self.state_mut(shard).preserving = Some(preserving);
    }

    /// Hands the table of the emptied selected database over if a snapshot needs it; otherwise gives it back.
    pub(crate) fn preserve_table(&mut self, shard: usize, table: Table) -> Option<Table> {
        let db = self.db();
        let Some(preserving) = self.state_mut(shard).preserving.as_mut() else { return Some(table) };
        let database = preserving.database(db);
        if std::mem::replace(&mut database.is_done, true) {
            return Some(table);
        }
        let touched = std::mem::take(&mut database.touched);
        let db = database.number;
        preserving.handover.give(Preserved::Emptied(Emptied { db, table, touched }));
        None
    }

    /// Has two databases' memories change places with their tables.
    pub(crate) fn swap_preserved(&mut self, shard: usize, first: usize, second: usize) {
        if let Some(preserving) = self.state_mut(shard).preserving.as_mut() {
            preserving.swap(first, second);
        }
    }
}

impl crate::store::Store {
    /// Says that no shard preserves any more: all were visited or left.
    pub fn end_snapshot(&self) {
        self.notices.fetch_and(!notice::PRESERVING, Relaxed);
    }
}
